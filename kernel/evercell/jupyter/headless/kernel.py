"""The kernel process of a headless run, and the client that speaks to it.

    start_kernel -> connect -> (execute requests that name their cell) -> stop_kernel

Needs jupyter_client only: nbclient and nbformat are imported while the kernel starts.
"""

from __future__ import annotations

import re
import signal
import time
from queue import Empty
from typing import IO, TYPE_CHECKING, Any, cast

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from evercell.errors import KernelNotFoundError
from evercell.jupyter.headless.report import CellFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "CellClient",
    "KernelGoneError",
    "connect",
    "kernel_death",
    "kernel_pid",
    "start_kernel",
    "stop_kernel",
]

_LOG_LINES = 20
_CHATTER = re.compile(r"\[\w+\] (DEBUG|INFO|WARNING) \|")  # what traitlets applications log
_ERRORS_ONLY = "--log-level=40"  # the log is shown after a fault, where warnings only distract
_SHUTDOWN_SECONDS = 20.0  # a kernel may have to finish a large write


class KernelGoneError(Exception):
    """The kernel process ended before it answered."""


class CellClient(AsyncKernelClient):
    """A client whose execute requests say which cell they come from."""

    cell_metadata: Mapping[str, Any] = {}

    def execute(  # noqa: PLR0917 - as in jupyter_client
        self,
        code: str,
        silent: bool = False,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool | None = None,
        stop_on_error: bool = True,
    ) -> str:
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": user_expressions or {},
            "allow_stdin": self.allow_stdin if allow_stdin is None else allow_stdin,
            "stop_on_error": stop_on_error,
        }
        message = self.session.msg("execute_request", content, metadata=dict(self.cell_metadata))
        self.shell_channel.send(message)
        request_id: str = message["header"]["msg_id"]
        return request_id


async def start_kernel(
    name: str, *, cwd: str, env: dict[str, str], log: IO[bytes]
) -> AsyncKernelManager:
    """Start the process of the kernel `name`; it is not ready yet. `log` gets what the process
    itself writes, such as a fault's trace. Raises KernelNotFoundError."""
    manager = AsyncKernelManager(kernel_name=name, client_factory=CellClient)
    try:
        await manager.start_kernel(
            cwd=cwd, env=env, stdout=log, stderr=log, extra_arguments=[_ERRORS_ONLY]
        )
    except NoSuchKernel:
        raise KernelNotFoundError(
            f"The kernel `{name}` is not installed where Jupyter looks. "
            "Install it with: evercell install-kernel"
        ) from None
    except OSError as error:
        raise KernelNotFoundError(
            f"The kernel `{name}` can't be started: {error}. Its kernelspec may name a Python that "
            "is gone. Install it again with: evercell install-kernel"
        ) from error
    return manager


async def connect(
    manager: AsyncKernelManager, *, within: float, stopped: Callable[[], bool]
) -> tuple[CellClient, dict[str, Any]]:
    """A client that hears everything the kernel publishes from now on, and its kernel_info.

    Raises KernelGoneError when the kernel process ends first, is not ready `within` so
    many seconds, or `stopped` becomes true.
    """
    client = cast("CellClient", manager.client())
    # ZeroMQ drops messages past 1000 waiting ones; no output may be lost while a file is written.
    client.context.setsockopt(zmq.RCVHWM, 0)
    client.start_channels(hb=False, stdin=False)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and not stopped():
        request_id = client.kernel_info()
        try:  # its answer on IOPub proves the subscription, which connects on its own time
            while True:
                message = await client.iopub_channel.get_msg(timeout=1)
                if message["parent_header"].get("msg_id") == request_id:
                    reply = await client.shell_channel.get_msg(timeout=_SHUTDOWN_SECONDS)
                    return client, reply["content"]
        except Empty:
            if not await manager.is_alive():
                break
    client.stop_channels()
    raise KernelGoneError


async def stop_kernel(manager: AsyncKernelManager, *, now: bool) -> None:
    """End the kernel: by request, so that it closes its history, or at once.

    Not `shutdown_kernel`: that interrupts the kernel first, a second time for an interrupted cell.
    """
    if manager.has_kernel:
        if now or not await manager.is_alive():
            await manager._async_kill_kernel()
        else:
            await manager._async_request_shutdown()
            await manager._async_finish_shutdown(waittime=_SHUTDOWN_SECONDS)
    await manager._async_cleanup_resources()


def kernel_pid(manager: AsyncKernelManager) -> int | None:
    """The kernel's process id, where it is a local process."""
    return getattr(manager.provisioner, "pid", None)


async def kernel_death(
    manager: AsyncKernelManager, log: IO[bytes], index: int, number: int, source: str
) -> CellFailure:
    """What is known about the end of the kernel process while it ran this cell."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    telling = [line for line in lines if not _CHATTER.match(line)][-_LOG_LINES:]
    message = await _how_it_ended(manager)
    return CellFailure(index, number, source, "", message, "\n".join(telling))


async def _how_it_ended(manager: AsyncKernelManager) -> str:
    """In words: "was killed by SIGKILL", "exited with code 1"."""
    code = await manager.provisioner.poll() if manager.provisioner else None
    if code is None:
        return "no longer answers"
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (out of memory is a common cause)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
