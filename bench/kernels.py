"""Real kernels, spoken to as a frontend does."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, suppress
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from bench.contenders import kishu
from bench.lanes import LaneError
from bench.processes import ROOT, environment, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Kernel", "started"]

ANSWER_LIMIT = 60  # seconds
SPECS = {
    "ipykernel": KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="Python 3 (ipykernel)",
        language="python",
    ),
    "kishu": kishu.SPEC,
    "evercell": KernelSpec.from_resource_dir(str(ROOT / "kernel/evercell/jupyter/resources")),
}


class Kernel:
    """A running kernel and the client that measures it."""

    def __init__(self, manager: Any, client: Any, log: Path, begun: float) -> None:
        self._manager = manager
        self._client = client
        self._log = log
        self.begun = begun  # when its process was asked for

    def wait_for_ready(self) -> float:
        """Seconds from its start to its first answer. (The client's own method of this name polls,
        and waits for quiet.) On return, what it publishes is heard."""
        self._reply(self._client.kernel_info())
        seconds = time.perf_counter() - self.begun
        self._wait_for_publications()
        return seconds

    def _wait_for_publications(self) -> None:
        """A subscription takes its time to reach the kernel, and what is published before is lost:
        have it publish something until it is heard. Raises LaneError."""
        for _ in range(10 * ANSWER_LIMIT):
            self._reply(self._client.kernel_info())
            with suppress(Empty):
                self._client.get_iopub_msg(timeout=0.1)
                return
        raise LaneError("failed: nothing that the kernel publishes is heard")

    def execute(self, source: str, cell_id: str | None = None) -> float:
        """Seconds from the request to both the reply and the idle status."""
        client = self._client
        content = {
            "code": source,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        metadata = {"cellId": cell_id} if cell_id else {}
        message = client.session.msg("execute_request", content, metadata=metadata)
        begin = time.perf_counter()
        client.shell_channel.send(message)
        reply = self._reply(message["header"]["msg_id"])
        self._idle(message["header"]["msg_id"])
        seconds = time.perf_counter() - begin
        if reply["status"] != "ok":
            raise LaneError(f"failed: {reply.get('ename')}: {reply.get('evalue')}")
        return seconds

    def _reply(self, message_id: str) -> dict[str, Any]:
        while True:
            message = self._receive(self._client.get_shell_msg)
            if message["parent_header"].get("msg_id") == message_id:
                content: dict[str, Any] = message["content"]
                return content

    def _idle(self, message_id: str) -> None:
        while True:
            message = self._receive(self._client.get_iopub_msg)
            if (
                message["parent_header"].get("msg_id") == message_id
                and message["content"].get("execution_state") == "idle"
            ):
                return

    def _receive(self, get: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        """The next message. Raises LaneError when the kernel is dead or silent."""
        for _ in range(ANSWER_LIMIT):
            try:
                return get(timeout=1)
            except Empty:
                if not self._manager.is_alive():
                    break
        raise LaneError(f"failed: {last_line(self._log)}")


@contextmanager
def started(name: str, folder: Path) -> Iterator[Kernel]:
    """A fresh kernel; killed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder.with_suffix(".log")
    manager: Any = KernelManager(connection_file=str(folder / "connection.json"))
    manager._kernel_spec = SPECS[name]  # measured from the source tree, installed or not
    with log_path.open("wb") as log:
        begun = time.perf_counter()
        manager.start_kernel(cwd=str(folder), env=environment(folder), stdout=log, stderr=log)
        client = manager.blocking_client()
        client.start_channels()
        try:
            yield Kernel(manager, client, log_path, begun)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
