"""Records steps until it is killed, and writes down what was acknowledged.

    history_worker.py FOLDER LEDGER FIRST

Step numbers begin at FIRST. A number goes into LEDGER once its commit has returned; the ledger is
a plain file, whose bytes survive this process's death.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path

from evercell import events as e
from evercell.history import History
from evercell.history import segments as segment_module

RUN = "run0000001"


def main(folder: Path, ledger: Path, first: int) -> None:
    faulthandler.dump_traceback_later(45, exit=True)  # a worker that hangs says where
    segment_module.FIRST_SIZE = segment_module.LATER_SIZE = 16 << 10  # roll often
    history = History(folder, wait=60)
    lock = history.attach(RUN)
    history.commit(e.RunAttached(RUN, 1, lock.generation, os.getpid(), "host", None, None))
    out = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(first, first + 2000):
        step = history.new_activity_id()
        key = number.to_bytes(16, "big")
        large = number % 50 == 0
        result = history.put(b"%d" % number + b" " * (70_000 if large else 0), "json")
        history.append(e.StepStarted(RUN, 1, step, "cell", "id:a", "ask", key, number, "{}"))
        history.commit(e.StepCompleted(RUN, 1, step, 1, result))
        os.write(out, b"%d\n" % number)
        if number % 40 == 0:
            history.fold()


main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
