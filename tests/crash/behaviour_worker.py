"""Runs a behaviour's notebook until its end, or until it is killed at an append.

Reads orders from stdin, a line of JSON each: {"behaviour", "folder", "process", "failpoint"}. For
each it forks a process, so that a trial does not wait for imports; prints "died STATUS" when it is
gone. The process writes FOLDER/PROCESS.json: what came of it, or FOLDER/PROCESS.standstill: where
it stood when its time was over.

Each append is a frame of its own here, so that a kill can come between any two.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401 - once, for all that are forked
from behaviours import BEHAVIOURS
from standstill import expect_end

import evercell.engine.workflow.worker  # noqa: F401 - as above
from evercell import settings
from evercell.engine.host import CellRequest
from evercell.engine.run import RunRequest
from evercell.engine.session import Session
from evercell.engine.workflow.definition import DEFINED
from evercell.history import failpoints, journal
from evercell.testing import ExecHost, Replayer

LIMIT = 90  # seconds; a process that takes longer says where it stands, and has failed


def main() -> None:
    journal.BATCH_LIMIT = 0
    settings.change(compress=False)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                run(order)
            except BaseException:
                traceback.print_exc()
                os._exit(70)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("died", os.waitstatus_to_exitcode(status), flush=True)


def run(order: dict[str, Any]) -> None:
    faulthandler.dump_traceback_later(LIMIT + 30, exit=True)  # where not even the report ends
    folder = Path(order["folder"])
    os.environ["LEDGER"] = str(folder / "ledger")
    os.environ["LEDGER_PROCESS"] = str(order["process"])
    counts = _count_failpoints()
    failpoints.arm(order["failpoint"])
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    live = vars(module)
    session = Session.open(folder / "history", RunRequest("/kill.ipynb", {}, None), live)
    ended = expect_end(session, folder / f"{order['process']}.standstill", LIMIT)
    finished = session.history.query(
        "SELECT activity_id FROM store.event WHERE type IN ('StepCompleted', 'StepFailed')"
    ).rows
    failed = session.history.query(
        "SELECT activity_id, attempt FROM store.event WHERE type = 'AttemptFailed'"
    ).rows
    error = _run_all(session, live, BEHAVIOURS[order["behaviour"]])
    session.close()
    ended()
    failpoints.arm("")
    outcome = {
        "result": repr(live.get("result")),
        "error": error,
        "finished": [row[0] for row in finished],  # before this process did anything
        "failed": failed,
        "counts": counts,
        "replays": [] if error else _replays(folder / "history", live),
    }
    (folder / f"{order['process']}.json").write_text(json.dumps(outcome))


def _run_all(session: Session, live: dict[str, Any], cells: tuple[str, ...]) -> str | None:
    """Restart and Run All; the first error."""
    with asyncio.Runner() as runner:
        for number, source in enumerate(cells, 1):
            host = ExecHost(source, live, number)
            request = CellRequest(source, source, number, cell_id=f"c{number}")
            runner.run(session.execute(request, host))
            if host.error is not None:
                return f"cell {number}: {host.error!r}"
    return None


def _replays(folder: Path, live: dict[str, Any]) -> list[str]:
    """Replay every recorded run with today's code: what does not fit."""
    if not DEFINED:
        return []
    replayed = Replayer(*DEFINED.values(), live=live).replay_folder(folder)
    return [f"{it.workflow} {it.run_id}: {it.error}" for it in replayed if it.error is not None]


def _count_failpoints() -> dict[str, int]:
    """Counts how often each place is reached, from here on."""
    counts: dict[str, int] = {}
    reach = failpoints.reach

    def counted(name: str) -> None:
        counts[name] = counts.get(name, 0) + 1
        reach(name)

    failpoints.reach = counted
    return counts


if __name__ == "__main__":
    main()
