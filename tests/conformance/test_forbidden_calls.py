"""What a replay could not repeat is refused where workflow code calls it, with the remedy; the run
stays open, and goes on with better code."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance_kit import LIMIT, edit, error_of

from evercell import workflow
from evercell.engine.workflow import loop
from evercell.errors import WorkflowBlockedError, WorkflowCallError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from evercell.engine.workflow.definition import Workflow
    from evercell.testing import WorkflowEnvironment


async def in_a_thread() -> None:
    await asyncio.to_thread(len, "x")


async def executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, len, "x")


async def subprocess_of_asyncio() -> None:
    await asyncio.create_subprocess_exec("true")


async def completed() -> None:
    sleeps = [asyncio.sleep(1), asyncio.sleep(2)]
    try:
        for each in asyncio.as_completed(sleeps):
            await each
    finally:
        for never_awaited in sleeps:
            never_awaited.close()


async def busy() -> None:
    while True:  # noqa: ASYNC110 - refused, not done
        await asyncio.sleep(0)


CALLS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "time": (time.time, "time.time", "workflow.now"),
    "monotonic": (time.monotonic, "time.monotonic", "workflow.now"),
    "sleep": (lambda: time.sleep(0), "time.sleep", "await asyncio.sleep"),
    "now": (lambda: datetime.datetime.now(tz=datetime.UTC), "datetime.now", "workflow.now"),
    "today": (datetime.date.today, "date.today", "workflow.now"),
    "random": (random.random, "random.random", "workflow.random"),
    "choice": (lambda: random.choice("ab"), "random.choice", "workflow.random"),
    "urandom": (lambda: os.urandom(1), "os.urandom", "workflow.random"),
    "token": (secrets.token_hex, "secrets.token_hex", "workflow.random"),
    "uuid4": (uuid.uuid4, "uuid.uuid4", "workflow.uuid4"),
    "open": (lambda: Path(__file__).open(), "open", "@step"),  # noqa: SIM115
    "read": (Path(__file__).read_text, "open", "@step"),
    "listdir": (os.listdir, "os.listdir", "@step"),
    "thread": (lambda: threading.Thread(target=len).start(), "thread", "@step"),
    "pool": (lambda: ThreadPoolExecutor().submit(len), "ThreadPoolExecutor", "@step"),
    "socket": (lambda: socket.create_connection(("127.0.0.1", 9)), "socket", "@step"),
    "process": (lambda: subprocess.run(["true"], check=True), "subprocess", "@step"),
    "database": (lambda: sqlite3.connect(":memory:"), "sqlite3", "@step"),
    "to_thread": (in_a_thread, "run_in_executor", "@step"),
    "executor": (executor, "run_in_executor", "@step"),
    "create_subprocess": (subprocess_of_asyncio, "subprocess", "@step"),
    "as_completed": (completed, "as_completed", "Give it tasks"),
}


def calling(name: str, call: Callable[[], Any]) -> Workflow[..., str]:
    @workflow(name=f"calling {name}")
    async def flow() -> str:
        found = call()
        if asyncio.iscoroutine(found):
            await found
        return name

    return flow


def test_each_is_named_with_its_remedy(world: WorkflowEnvironment) -> None:
    handles = {name: calling(name, call).start() for name, (call, _, _) in CALLS.items()}
    for name, handle in handles.items():
        _, called, remedy = CALLS[name]
        blocked = error_of(handle)
        assert isinstance(blocked, WorkflowBlockedError), name
        assert isinstance(blocked.__cause__, WorkflowCallError), name
        text = str(blocked.__cause__)
        assert called in text, (name, text)
        assert remedy in text, (name, text)
        edit(world, calling(name, lambda: None))
    for name, handle in handles.items():
        assert handle.result(LIMIT) == name


def test_code_that_never_waits(world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_BUSY", 1000)
    handle = calling("for ever", busy).start()
    why = error_of(handle).__cause__
    assert isinstance(why, WorkflowCallError)
    assert "without once waiting" in str(why)
    edit(world, calling("for ever", lambda: None))
    assert handle.result(LIMIT) == "for ever"


def test_a_caught_one_blocks_the_run_all_the_same(world: WorkflowEnvironment) -> None:
    def caught() -> None:
        with suppress(WorkflowCallError):
            time.time()

    handle = calling("caught", caught).start()
    assert isinstance(error_of(handle), WorkflowBlockedError)
    edit(world, calling("caught", lambda: None))
    assert handle.result(LIMIT) == "caught"


def test_it_is_allowed_on_the_authors_word(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> bool:
        with workflow.unsafe():
            text = Path(__file__).read_text()  # noqa: ASYNC240
            return len(text) > 0 and time.monotonic() > 0

    assert flow.start().result(LIMIT)


def test_what_is_the_runs_own_is_fine(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[Any]:
        own = random.Random(7)
        return [
            own.random(),
            workflow.random().random() < 1,
            workflow.uuid4().version,
            str(Path("a") / "b"),
            datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).isoformat(),
            asyncio.get_running_loop().time() == workflow.time(),
        ]

    found = flow.start().result(LIMIT)
    assert found[1:] == [True, 4, "a/b", "2026-01-01T00:00:00+00:00", True]
