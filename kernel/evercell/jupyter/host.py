"""The kernel, for the time of one cell: what the engine may ask of it.

run      ipykernel executes the cell -> fence -> everything it published
replay   recorded messages are published, In/Out and the counter move as if the cell had run
refuse   an error of ours instead of the cell
"""

from __future__ import annotations

import inspect
import sys
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult
from IPython.utils.capture import capture_output

from evercell.cell.callbacks import is_notebooks
from evercell.cell.outputs import Message
from evercell.engine.host import NOTHING, Ran

from .streams import fence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

    from ipykernel.ipkernel import IPythonKernel

    from evercell.errors import EvercellError

    from .executor import Call
    from .interrupts import HeldInterrupts
    from .outputs import OutputCapture

__all__ = ["KernelHost"]


_CAPPED = (
    "[Evercell: {:.1f} MB of this output are not recorded, and will not be shown again after a "
    "restart: evercell.configure(output_limit=...)]\n"
)


class KernelHost:
    """Implements `engine.host.Host` over ipykernel."""

    def __init__(
        self,
        kernel: IPythonKernel,
        capture: OutputCapture,
        interrupts: HeldInterrupts,
        call: Call,
    ) -> None:
        self._kernel = kernel
        shell: Any = kernel.shell
        self._shell = shell
        self._capture = capture
        self._interrupts = interrupts
        self._call = call
        self._parent: dict[str, Any] = kernel.get_parent("shell")
        self._count: int = shell.execution_count
        self._entered = False  # the input is stored and the counter is past it

    async def run(self) -> Ran:
        """Run the cell as ipykernel does, capturing what it publishes."""
        self._capture.begin(self._parent["header"]["msg_id"])
        finished: list[ExecutionResult | None] = []

        def on_post_run_cell(result: ExecutionResult | None) -> None:
            finished.append(result)

        self._shell.events.register("post_run_cell", on_post_run_cell)
        try:
            reply, interrupt = await self._run_plain()
        finally:
            self._forget(on_post_run_cell)
            flushing = fence((self._kernel._stdout, self._kernel._stderr))
            messages = self._capture.end(flushing=flushing)
        if self._capture.left_out:
            self.note(_CAPPED.format(self._capture.left_out / 1e6))
        result = finished[-1] if finished else None  # a cell may run cells; its own ends last
        error = interrupt or _error_of(result, reply)
        shown = result.result if result is not None and error is None else None
        return Ran(reply, messages, error, NOTHING if shown is None else shown)

    async def _run_plain(self) -> tuple[dict[str, Any], KeyboardInterrupt | None]:
        """The reply, and the interrupt if it came where ipykernel does not answer it."""
        if self._interrupts.take():
            interrupt = KeyboardInterrupt()
            return self._fail(interrupt, ["KeyboardInterrupt: before the cell began"]), interrupt
        try:
            with self._interrupts.released(), _transformed(self._shell, self._call):
                self._entered = True
                return await self._call.run_plain(), None
        except KeyboardInterrupt as interrupt:
            self._entered = self._shell.execution_count > self._count
            return self._fail(interrupt, ["KeyboardInterrupt"]), interrupt

    def _forget(self, callback: Callable[..., None]) -> None:
        with suppress(ValueError):  # the cell reset the shell's events
            self._shell.events.unregister("post_run_cell", callback)

    def run_again(self, code: CodeType) -> BaseException | None:
        """Run the code of an earlier cell and publish nothing of what it shows."""
        try:
            with self._interrupts.released(), capture_output():
                try:
                    exec(code, self._shell.user_ns)  # noqa: S102 - running the user's cell is the point
                finally:
                    # As a cell's end does: pyplot's figures are closed, and the next cell draws
                    # into one of its own.
                    self._shell.events.trigger("post_execute")
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the cell's own business
            return error
        return None

    def replay(self, messages: tuple[Message, ...], result: object) -> dict[str, Any]:
        """Publish recorded messages, set `Out[n]` and `_`, store the input, advance the count."""
        shell = self._shell
        info = _execution_info(self._call)
        outcome: Any = ExecutionResult(info)
        outcome.execution_count = self._count
        self._enter()
        # Tracebacks through the functions that it defined show their lines.
        shell.compile.cache(self._call.transformed, self._count, raw_code=self._call.code)
        self._trigger("pre_execute")
        self._trigger("pre_run_cell", info)
        for message in messages:
            self._publish(message)
        if result is not NOTHING:
            outcome.result = result
            self._set_out(messages, result)
        if shell.history_manager is not None:
            shell.history_manager.store_output(self._count)
        shell.last_execution_succeeded = True
        shell.last_execution_result = outcome
        self._trigger("post_execute")
        self._trigger("post_run_cell", outcome)
        return {
            "status": "ok",
            "execution_count": self._count,
            "user_expressions": shell.user_expressions(self._call.user_expressions),
            "payload": [],
        }

    def refuse(self, error: EvercellError) -> dict[str, Any]:
        """Show `error` as its message, without frames; the content of an "error" reply."""
        return self._fail(error, [f"{type(error).__name__}: {error}"])

    def fault(self, error: Exception) -> dict[str, Any]:
        """Show an error that only a fault of Evercell can have caused, with its frames."""
        lines = traceback.format_exception(error)
        advice = "This is a fault in Evercell, not in your cell. Please report it with these lines."
        return self._fail(error, ["".join(lines), advice])

    def interrupted(self, when: str) -> dict[str, Any]:
        """Answer an interrupt that could not stop the cell itself: it ends the queue of cells."""
        lines = [f"KeyboardInterrupt: {when}; the cells after it are not run"]
        return self._fail(KeyboardInterrupt(), lines)

    def note(self, text: str) -> None:
        """Tell the user a line on stderr that belongs to no cell's recorded outputs."""
        for stream in (self._kernel._stdout, self._kernel._stderr):
            stream.flush()
        self._publish(Message("stream", {"name": "stderr", "text": text}), self._capture.uncaptured)

    def _trigger(self, event: str, *arguments: object) -> None:
        """Tell the libraries that listen. What the notebook's own callbacks did in the cell is
        recorded with it, and restored."""
        events, live = self._shell.events, self._shell.user_ns
        every = list(events.callbacks[event])
        own = [callback for callback in every if is_notebooks(callback, live)]
        if not own:
            events.trigger(event, *arguments)
            return
        events.callbacks[event] = [callback for callback in every if callback not in own]
        events.trigger(event, *arguments)
        now = events.callbacks[event]
        kept = [callback for callback in every if callback in own or callback in now]
        events.callbacks[event] = kept + [callback for callback in now if callback not in every]

    def _enter(self) -> None:
        """Store the input in the history and move the counter, as `run_cell` does, once."""
        if self._entered:
            return
        self._entered = True
        shell, call = self._shell, self._call
        shell.execution_count = self._count + 1
        if shell.history_manager is not None:
            shell.history_manager.store_inputs(self._count, call.transformed, call.code)
        shell.logger.log(call.transformed, call.code)

    def _set_out(self, messages: tuple[Message, ...], result: object) -> None:
        """`Out[n]`, `_` and its kin, by IPython's own rules about what a user has overridden."""
        hook = self._shell.displayhook
        hook.check_for_underscore()
        hook.update_user_ns(result)
        for message in messages:
            if message.msg_type == "execute_result":
                hook.log_output(message.content["data"])

    def _fail(self, error: BaseException, lines: list[str]) -> dict[str, Any]:
        self._enter()
        content = {"ename": type(error).__name__, "evalue": str(error), "traceback": lines}
        self._publish(Message("error", content))
        self._shell.last_execution_succeeded = False
        return {
            "status": "error",
            **content,
            "execution_count": self._count,
            "user_expressions": {},
            "payload": [],
        }

    def _publish(self, message: Message, socket: object = None) -> None:
        kernel = self._kernel
        session: Any = kernel.session
        content = message.content
        if message.msg_type == "execute_result":
            content = {**content, "execution_count": self._count}
        session.send(
            socket or kernel.iopub_socket,
            message.msg_type,
            content,
            parent=self._parent,
            ident=self._topic(message),
            buffers=list(message.buffers),
            metadata=message.metadata or None,
        )

    def _topic(self, message: Message) -> bytes:
        """The topics under which ipykernel's streams, displays and hooks publish."""
        match message.msg_type:
            case "stream":
                return b"stream." + str(message.content["name"]).encode()
            case "execute_result" | "error":
                topic: bytes = self._kernel._topic(message.msg_type)
                return topic
            case _:
                return b"display_data"


@contextmanager
def _transformed(shell: Any, call: Call) -> Iterator[None]:
    """Have ipykernel and IPython, which both ask, find the cell as it was transformed already."""
    own = vars(shell)
    if "transform_cell" in own or call.transformed is call.code:  # it was rejected: to be shown
        yield
        return
    transform = shell.transform_cell

    def transform_cell(code: str) -> str:
        transformed: str = call.transformed if code == call.code else transform(code)
        return transformed

    own["transform_cell"] = transform_cell
    try:
        yield
    finally:
        if own.get("transform_cell") is transform_cell:
            del own["transform_cell"]


def _error_of(result: ExecutionResult | None, reply: dict[str, Any]) -> BaseException | None:
    """What the cell raised. A value that raised while it was displayed fails the request, too;
    IPython keeps that exception only where the standard library's post-mortem looks."""
    if result is not None:
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        if error is not None:
            return error
    if reply["status"] == "ok":
        return None
    last: BaseException | None = getattr(sys, "last_value", None)
    return last if last is not None else RuntimeError(reply.get("evalue", ""))


def _execution_info(call: Call) -> ExecutionInfo:
    """What event callbacks get. Later IPythons tell them more; each is given what it takes."""
    known = {
        "raw_cell": call.code,
        "store_history": True,
        "silent": False,
        "shell_futures": True,
        "cell_id": call.cell_id,
        "cell_meta": call.cell_meta,
        "transformed_cell": call.transformed,
    }
    accepted = inspect.signature(ExecutionInfo.__init__).parameters
    return ExecutionInfo(**{name: value for name, value in known.items() if name in accepted})
