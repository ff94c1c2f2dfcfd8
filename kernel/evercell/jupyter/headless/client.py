"""How a headless kernel's messages become a notebook's outputs.

nbclient turns messages into outputs; this adds each cell's id, tags and index in its request, and
streams merged as JupyterLab merges them, so that outputs do not depend on when they were flushed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode

    from evercell.jupyter.headless.kernel import CellClient

__all__ = ["RunClient"]

_OVERWRITTEN = re.compile(r".*\r(?=[^\n])")  # what a carriage return lets the next text cover
_ERASED = re.compile(r"[^\n]\x08")


class RunClient(NotebookClient):
    """nbclient's outputs, with merged streams and a word to `on_message` for each message."""

    def __init__(
        self, notebook: NotebookNode, manager: AsyncKernelManager, client: CellClient
    ) -> None:
        super().__init__(
            notebook,
            km=manager,
            timeout=None,
            iopub_timeout=60,  # outputs may queue for a while behind the reply
            allow_errors=False,
            record_timing=False,  # a restored cell's would tell nothing
        )
        self.kc = client
        self._cells = client  # the same, as what it is
        self.on_message: Callable[[str], None] = lambda _: None
        self._stream: NotebookNode | None = None  # the output that grows,
        self._pieces: list[str] = []  # and what was added to it

    async def run_cell(self, index: int, metadata: Mapping[str, Any]) -> None:
        """Run one cell. Raises nbclient's CellExecutionError and DeadKernelError."""
        self._cells.cell_metadata = metadata
        try:
            await self.async_execute_cell(self.nb.cells[index], index)
        finally:
            self.settle()

    async def ask(self, code: str) -> dict[str, Any]:
        """Run `code` beside the notebook: not recorded, not counted. Returns the reply's content.

        Raises nbclient's DeadKernelError."""
        self._cells.cell_metadata = {}
        request_id = self._cells.execute(code, silent=True, store_history=False)
        reply = await self.async_wait_for_reply(request_id)
        content: dict[str, Any] = reply["content"] if reply else {"status": "error"}
        return content

    def settle(self) -> None:
        """Bring the outputs up to date with what was streamed."""
        if self._stream is not None and self._pieces:
            text = "".join([self._stream["text"], *self._pieces])
            while (erased := _ERASED.sub("", text)) != text:
                text = erased
            self._stream["text"] = _OVERWRITTEN.sub("", text)
            self._pieces = []

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        if msg["msg_type"] not in {"stream", "status", "execute_input"}:
            self.settle()
        self.on_message(msg["msg_type"])
        if msg["msg_type"].startswith("evercell"):
            return None  # for frontends that know us
        return super().process_message(msg, cell, cell_index)

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        content = msg["content"]
        growing = self._stream
        if (
            msg["msg_type"] == "stream"
            and not self.clear_before_next_output
            and not self.output_hook_stack[msg["parent_header"].get("msg_id")]
            and growing is not None
            and outs
            and outs[-1] is growing
            and growing["name"] == content["name"]
        ):
            self._pieces.append(content["text"])
            return growing
        self.settle()
        made = super().output(outs, msg, display_id, cell_index)
        self._stream = made if msg["msg_type"] == "stream" else None
        return made
