"""Says where a process stands that does not end: its threads, and what each part of the engine has
queued and waits for. Reads everything without a lock, for one of them may be why."""

from __future__ import annotations

import faulthandler
import os
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evercell.engine.session import Session

__all__ = ["STOOD_STILL", "expect_end"]

STOOD_STILL = 71  # exit code

_JOURNAL = ("_queue", "_unwritten", "_urgent", "_idle", "_failure", "_closing", "written")
_WORKER = (
    "_queue", "_asked", "_under_way", "coming", "open", "starting", "ending", "blocked", "_closing",
)  # fmt: skip
_RUNNER = ("_next", "_ended", "_queue", "_tasks", "_jobs", "_canceled", "_woken", "_closed")
_INSTANCE = ("finished", "broken", "pending", "work", "_task", "timers", "_canceled", "closed")
_MESSAGES = ("taken", "dropped", "unhandled", "left", "_waiters", "conditions", "_updating")


def expect_end(session: Session, report: Path, limit: float) -> Callable[[], None]:
    """After `limit` seconds write the report and exit with STOOD_STILL, unless what is returned
    was called."""
    ended = threading.Event()

    def watch() -> None:
        if not ended.wait(limit):
            with report.open("w") as file:
                for line in _state(session):
                    print(line, file=file, flush=True)
                faulthandler.dump_traceback(file, all_threads=True)
            os._exit(STOOD_STILL)

    threading.Thread(target=watch, name="standstill", daemon=True).start()
    return ended.set


def _state(session: Session) -> list[str]:
    lines = [f"threads: {[thread.name for thread in threading.enumerate()]}"]
    journal = session.history._journal
    lines += _told("journal", journal, _JOURNAL)
    lines.append(f"journal is to wake: {not journal._wake.locked()}")
    inbox = session.history.folder / "inbox"
    lines.append(f"inbox: {[path.name for path in inbox.glob('*')]}")
    worker = session._worker
    if worker is None:
        return [*lines, "no workflows"]
    lines += _told("workflows", worker, _WORKER)
    lines.append(f"workflows are to wake: {not worker._wake.locked()}")
    lines.append(f"workflows' thread lives: {worker._thread.is_alive()}")
    lines += _told("waiting", worker.waiting, ("_futures",))
    lines += _told("outage", worker.outage, ("why", "_held", "_asking"))
    lines += _told("timers", worker.timers, ("_heap",))
    lines += _told("steps", worker.runner, _RUNNER)
    loop = worker.runner._loop
    if loop is not None:
        lines += _told("steps' loop", loop, ("_ready", "_scheduled"))
    for run_id, instance in list(worker.instances.items()):
        name = f"run {run_id} of {instance.started.workflow}"
        lines += _told(name, instance, _INSTANCE)
        lines += _told(name, instance.messages, _MESSAGES)
        lines += _told(name, instance.loop, ("_ready", "_tasks", "_lost"))
        lines += _told(name, instance.asks, ("fresh",))
    return lines


def _told(name: str, part: Any, attributes: tuple[str, ...]) -> list[str]:
    lines = []
    for attribute in attributes:
        value: Any = "not there"
        with suppress(AttributeError):
            value = getattr(part, attribute)
        try:
            lines.append(f"{name}: {attribute} = {value!r:.2000}")
        except Exception:  # it changes meanwhile; the rest is wanted all the more
            lines.append(f"{name}: {attribute}: {traceback.format_exc(limit=1)}")
    return lines
