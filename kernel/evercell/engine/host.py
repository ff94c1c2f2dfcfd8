"""What the engine asks of the kernel that hosts it, and what the kernel hands in.

The engine decides what happens to a cell; only a `Host` touches the shell and the wire. The
jupyter package implements it over ipykernel; `evercell.testing` has one without a kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from evercell.cell.capture import NOTHING

if TYPE_CHECKING:
    from types import CodeType

    from evercell.cell.outputs import Message
    from evercell.errors import EvercellError

__all__ = ["NOTHING", "CellRequest", "Host", "Ran"]


class CellRequest(msgspec.Struct, frozen=True):
    """An execute_request, as far as the engine cares."""

    source: str
    transformed: str  # what IPython's input transformer made of it: magics are calls
    execution_count: int
    cell_id: str | None = None  # nbformat id, where the frontend sends it
    cell_index: int | None = None  # index in the notebook's cells, where it is known
    tags: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()  # that the frontend has evaluated after the cell


class Ran(msgspec.Struct, frozen=True):
    """What came of running a cell."""

    reply: dict[str, Any]  # content of the execute_reply
    messages: tuple[Message, ...]  # everything it published, complete and in order
    error: BaseException | None  # what the cell raised, or None
    result: object  # the value shown as Out[n], or NOTHING


class Host(Protocol):
    """The kernel, for the time of one cell."""

    async def run(self) -> Ran:
        """Run the cell as ipykernel does, capturing what it publishes."""
        ...

    def run_again(self, code: CodeType) -> BaseException | None:
        """Run the code of an earlier cell and publish nothing of what it shows. Returns what it
        raised, if it is an Exception or a KeyboardInterrupt."""
        ...

    def replay(self, messages: tuple[Message, ...], result: object) -> dict[str, Any]:
        """Publish recorded messages with the current execution count, set `Out[n]` and `_` (unless
        `result` is NOTHING), store the input history, advance the execution count. Returns the
        content of an "ok" execute_reply."""
        ...

    def refuse(self, error: EvercellError) -> dict[str, Any]:
        """Show `error` without frames of ours. Returns the content of an "error" reply."""
        ...

    def note(self, text: str) -> None:
        """Tell the user a line on stderr that belongs to no cell's recorded outputs."""
        ...
