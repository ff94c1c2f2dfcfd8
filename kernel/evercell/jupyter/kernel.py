"""The kernel: ipykernel's, with cells that go through the engine.

`DurableKernel` is a mixin, so that the kernelspec's `EvercellKernel` and a plain ipykernel made
durable by `%load_ext evercell` are the same.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelbase import _accepts_parameters
from IPython.utils.tokenutil import line_at_cursor, token_at_cursor

from .comms import answer_lab, keep_browser_subshell, leave_lab
from .executor import Call, CellExecutor
from .interrupts import cancel_on_sigint
from .magics import register_magics, unregister_magics
from .streams import FencedOutStream
from .tracebacks import hide_own_frames

if TYPE_CHECKING:
    import asyncio
    from contextlib import _GeneratorContextManager

__all__ = ["DurableKernel", "EvercellKernel", "make_durable", "make_plain"]


class DurableKernel(IPythonKernel):
    """What turns an ipykernel into a durable one; comes first among the bases."""

    cells: CellExecutor
    plain: type[IPythonKernel] | None = None  # the class before `make_durable`

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """Execute, restore or refuse a cell; what a frontend runs silently is no cell."""
        run_plain = partial(
            super().do_execute,
            code,
            silent,
            store_history,
            user_expressions,
            allow_stdin,
            cell_meta=cell_meta,
            cell_id=cell_id,
        )
        expressions = tuple((user_expressions or {}).values())
        if silent or not store_history or not code.strip() or not self._on_main_shell():
            self._provide("\n".join((code, *expressions)))
            plain: dict[str, Any] = await run_plain()
            return plain
        call = Call(
            code=code,
            transformed=self.cells.transform(code),
            user_expressions=user_expressions or {},
            cell_meta=cell_meta,
            cell_id=cell_id,
            run_plain=run_plain,
        )
        return await self.cells.execute(call)

    async def kernel_info_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Answer who we are, and then get ready for the first cell."""
        await super().kernel_info_request(stream, ident, parent)  # type: ignore[no-untyped-call]
        self.cells.prepare()

    def do_complete(self, code: str, cursor_pos: int | None) -> Any:
        """Complete; what the line names and was not loaded yet is loaded first."""
        line, _ = line_at_cursor(code, len(code) if cursor_pos is None else cursor_pos)
        self._provide(line, run=False)
        return super().do_complete(code, cursor_pos)  # type: ignore[no-untyped-call]

    def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()
    ) -> Any:
        """Inspect; what is named and was not loaded yet is loaded first."""
        self._provide(token_at_cursor(code, cursor_pos), run=False)
        return super().do_inspect(  # type: ignore[no-untyped-call]
            code, cursor_pos, detail_level, omit_sections
        )

    def _provide(self, text: str, *, run: bool = True) -> None:
        """A subshell runs beside the notebook's cells: it takes the variables as they are. Who only
        looks makes no cell run."""
        if self._on_main_shell():
            self.cells.provide(text, run=run)

    def _cancel_on_sigint(self, future: asyncio.Future[Any]) -> _GeneratorContextManager[None]:
        return cancel_on_sigint(future)

    def _on_main_shell(self) -> bool:
        """A subshell runs beside the notebook's order of cells, which is what a run records."""
        main = getattr(self.shell_channel_thread, "parent_thread", threading.main_thread())
        return threading.current_thread() is main


class EvercellKernel(DurableKernel):
    """The kernel "Evercell (Python 3)"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call] # ipykernel has no types here
        _furnish(self)


def make_durable(kernel: IPythonKernel) -> None:
    """Make a running ipykernel durable, from its next cell on. A durable one stays as it is."""
    if isinstance(kernel, DurableKernel):
        return
    plain = type(kernel)
    kernel.__class__ = type(f"Durable{plain.__name__}", (DurableKernel, plain), {"plain": plain})
    _furnish(cast("DurableKernel", kernel))
    # ipykernel looked at the signature when the kernel began.
    kernel._do_exec_accepted_params = _accepts_parameters(
        kernel.do_execute, ["cell_meta", "cell_id"]
    )


def make_plain(kernel: IPythonKernel) -> None:
    """Undo `make_durable`; the run is let go of in good order. Other kernels stay as they are."""
    if isinstance(kernel, DurableKernel) and kernel.plain is not None:
        kernel.cells.close()
        unregister_magics(kernel.shell)
        leave_lab(kernel)
        plain: Any = kernel.plain
        kernel.__class__ = plain


def _furnish(kernel: DurableKernel) -> None:
    for stream in (kernel._stdout, kernel._stderr):
        FencedOutStream.upgrade(stream)
    keep_browser_subshell()
    hide_own_frames(kernel.shell)
    kernel.cells = CellExecutor(kernel)
    register_magics(kernel.shell, kernel.cells)
    answer_lab(kernel, kernel.cells)
