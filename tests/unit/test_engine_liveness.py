from __future__ import annotations

import _thread
import asyncio
import gc
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sessions import Notebook

from evercell.engine.liveness import still_running

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType


def notebook(source: str) -> dict[str, object]:
    """A namespace whose functions run as a notebook's do."""
    live: dict[str, object] = {"threading": threading}
    exec(source, live)
    return live


WAITER = """
entered, release = threading.Event(), threading.Event()
def wait():
    entered.set()
    release.wait()
"""


def test_nothing_runs() -> None:
    assert still_running({}) is None


def test_a_thread_in_notebook_code_is_named_until_it_ends() -> None:
    live = notebook(WAITER)
    thread = threading.Thread(target=live["wait"], name="crawler")
    thread.start()
    live["entered"].wait()
    assert still_running(live) == "the thread 'crawler' still runs"
    live["release"].set()
    thread.join()
    assert still_running(live) is None


def test_a_thread_that_the_threading_module_knows_nothing_of_counts() -> None:
    live = notebook(WAITER)
    ended = _thread.allocate_lock()
    ended.acquire()

    def run() -> None:
        live["wait"]()
        ended.release()

    _thread.start_new_thread(run, ())
    live["entered"].wait()
    assert still_running(live) == "a thread still runs"
    live["release"].set()
    assert ended.acquire(timeout=60)
    assert still_running(live) is None


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_collected_while_the_interpreter_is_locked(
    monkeypatch: pytest.MonkeyPatch, *, collects: bool
) -> None:
    """What is collected may let other threads run, and one of these may wait for that lock."""
    look, inside, collected = sys._current_frames, [False], []

    def watched() -> dict[int, FrameType]:
        inside[0] = True
        found = look()
        inside[0] = False
        return found

    def on_collection(_phase: str, _info: dict[str, Any]) -> None:
        collected.append(inside[0])

    monkeypatch.setattr(sys, "_current_frames", watched)
    before = gc.get_threshold()
    gc.callbacks.append(on_collection)
    try:
        if not collects:
            gc.disable()
        gc.set_threshold(1)
        assert still_running({}) is None
        assert gc.isenabled() is collects
    finally:
        gc.set_threshold(*before)
        gc.enable()
        gc.callbacks.remove(on_collection)
    assert True not in collected
    assert bool(collected) is collects


def test_an_idle_pool_does_not_count() -> None:
    live = notebook("def work(): return 1")
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(live["work"]).result() == 1
        assert still_running(live) is None


def test_a_pending_task_counts_also_when_it_waits_in_a_library() -> None:
    live = notebook("import asyncio\nasync def nap(): await asyncio.Event().wait()")

    async def main() -> tuple[str | None, str | None]:
        task = asyncio.create_task(asyncio.wait_for(live["nap"](), None), name="nap")
        await asyncio.sleep(0)
        during = still_running(live)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return during, still_running(live)

    assert asyncio.run(main()) == ("the task 'nap' still runs", None)


ENTERED, RELEASE = threading.Event(), threading.Event()
WORKFLOW = """
from evercell import step, workflow
@step
def wait():
    events = __import__("test_engine_liveness")
    events.ENTERED.set()
    events.RELEASE.wait()
    return 1
@workflow
async def waits():
    return await wait()
"""
STARTED = """
handle = waits.start(id='w')
__import__("test_engine_liveness").ENTERED.wait()
seen = len(handle.history())
"""


def test_what_a_workflow_does_is_no_cells(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / "visible")
    notebook.cell(WORKFLOW)
    notebook.cell(STARTED)
    notebook.cell("value = 6 * 7")  # beside its step
    RELEASE.set()
    notebook.cell("result = await handle")
    ends = notebook.session.history.query(
        "SELECT detail->>'$.restorable', detail->>'$.reason', detail->>'$.reads' FROM store.event "
        "WHERE type = 'CellCompleted' ORDER BY rowid"
    ).rows[1:]
    notebook.stop()
    assert [(restorable, reason) for restorable, reason, _ in ends] == [("true", None)] * 3
    assert not any("journal" in reads for _, _, reads in ends)  # the history is no input


FILLING = """
from evercell import step, workflow
filled = []
@step
def fill():
    events = __import__("test_engine_liveness")
    events.ENTERED.set()
    events.RELEASE.wait()
    filled.append(1)
    events.ENTERED.set()
    events.AGAIN.wait()
@workflow
async def fills():
    await fill()
"""
AGAIN = threading.Event()


def test_what_a_step_of_a_workflow_changed_between_cells_is_no_hit_for_the_next(
    tmp_path: Path,
) -> None:
    for event in (ENTERED, RELEASE, AGAIN):
        event.clear()
    notebook = Notebook(tmp_path / "history")
    notebook.cell(FILLING)
    notebook.cell("handle = fills.start(id='f')\n__import__('test_engine_liveness').ENTERED.wait()")
    before = notebook.session.cells.namespace.version("filled")
    ENTERED.clear()
    RELEASE.set()
    ENTERED.wait()
    notebook.cell("count = len(filled)")
    assert notebook.session.cells.namespace.version("filled") != before
    AGAIN.set()
    notebook.cell("await handle")
    notebook.stop()


def test_asking_keeps_nothing_alive_that_its_caller_knew():
    class Known:
        pass

    def ask():
        known = Known()
        assert still_running({}) is None
        return weakref.ref(known)

    gc.disable()  # what holds itself would be found some time
    try:
        assert ask()() is None
    finally:
        gc.enable()
