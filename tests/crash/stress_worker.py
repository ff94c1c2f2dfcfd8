"""Records N steps in a run of its own beside others that do the same: FOLDER RUN N."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evercell import events as e
from evercell.history import History

folder, run, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
history = History(folder, wait=120)
history.start_folding(0.5)
history.commit(e.RunStarted(run, 1, "notebook", None, {}, "python", "0.1.0"))
history.commit(e.RunAttached(run, 1, 1, os.getpid(), "host", None, None))
print("ready", flush=True)
sys.stdin.readline()
for number in range(steps):
    step = history.new_activity_id()
    result = history.put(b"%d" % number, "json")
    key = number.to_bytes(16, "big")
    history.append(e.StepStarted(run, 1, step, "cell", "id:a", "ask", key, number, "{}"))
    history.commit(e.StepCompleted(run, 1, step, 1, result))
history.close()
