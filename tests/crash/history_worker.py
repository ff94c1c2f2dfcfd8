"""Records steps until it is killed, and writes down what was acknowledged.

Reads orders from stdin, a line of JSON each: {"folder", "ledger", "first", "run", "failpoint"}. For
each it forks a process, so that a trial does not wait for imports; prints its id; and when it has
died, how: "died PID STATUS".

Step numbers begin at `first`. A number goes into the ledger once its commit has returned; that is a
plain file, whose bytes survive the process's death.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import traceback
from pathlib import Path

import duckdb  # noqa: F401 - once, for all that are forked

from evercell import events as e
from evercell import settings
from evercell.codec.messages import Message, encode_messages
from evercell.history import History, failpoints
from evercell.history import segments as segment_module
from evercell.history.collect import Retention

SHOWN = encode_messages((Message("stream", {"name": "stdout", "text": "shown"}),))


def main() -> None:
    segment_module.FIRST_SIZE = segment_module.LATER_SIZE = 16 << 10  # roll often
    settings.change(compress=False)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                failpoints.arm(order["failpoint"])
                record(Path(order["folder"]), Path(order["ledger"]), order["first"], order["run"])
            except BaseException:
                traceback.print_exc()
                os._exit(70)
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print("died", child, os.waitstatus_to_exitcode(status), flush=True)


def record(folder: Path, ledger: Path, first: int, run: str) -> None:
    faulthandler.dump_traceback_later(120, exit=True)  # a worker that hangs says where
    history = History(folder, wait=60)
    lock = history.attach(run)
    history.commit(e.RunAttached(run, 1, lock.generation, os.getpid(), "host", None, None))
    out = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(first, first + 2000):
        step = history.new_activity_id()
        key = number.to_bytes(16, "big")
        large = number % 50 == 0
        result = history.put(b"%d" % number + b" " * (70_000 if large else 0), "json")
        history.append(e.StepStarted(run, 1, step, "cell", "id:a", "ask", key, number, "{}"))
        history.commit(e.StepCompleted(run, 1, step, 1, result))
        os.write(out, b"%d\n" % number)
        if number % 40 == 0:
            history.fold()
        if number % 50 == 25:
            come_and_go(history, number)


def come_and_go(history: History, number: int) -> None:
    """A run that is collected again, with a value of its own."""
    run = f"gone{number:06}"
    error = e.ErrorInfo("E", "no")
    value = history.put(b'"%d"' % number + b" " * 80_000, "json")
    shown = history.put(SHOWN, "messages")
    history.commit(
        e.RunStarted(run, 1, "notebook", None, {}, "python", "0.1.0"),
        e.CellFailed(run, 1, f"{run}-cell", 1, error, outputs=shown),
        e.RunFinished(run, 1, "completed", value),
    )
    os.utime(history.folder / "blobs" / value.id.hex()[:2] / value.id.hex(), (0, 0))
    history.upkeep.collect(Retention(runs=(run,)))


if __name__ == "__main__":
    main()
