"""What carries a kernel's cells out: the capture of their outputs, and a host for each of them.

Loaded once the kernel has answered a frontend (ahead.py), or with the first cell: a kernel starts
without the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from evercell.engine.host import CellRequest

from . import requests
from .host import KernelHost
from .notebook_file import NotebookFile
from .outputs import OutputCapture

if TYPE_CHECKING:
    from pathlib import Path

    from ipykernel.ipkernel import IPythonKernel
    from jupyter_client.session import Session

    from .executor import Call
    from .interrupts import HeldInterrupts

__all__ = ["Hosting"]


class Hosting:
    """One kernel's. `file` is its notebook, where the path is known."""

    def __init__(self, kernel: IPythonKernel, file: Path | None) -> None:
        self._kernel = kernel
        self._capture = OutputCapture(cast("Session", kernel.session), kernel.iopub_thread)
        self._notebook = NotebookFile(file)

    def host(self, call: Call, interrupts: HeldInterrupts) -> KernelHost:
        """What the engine may ask of the kernel for this cell."""
        return KernelHost(self._kernel, self._capture, interrupts, call)

    def request(self, call: Call, kind: requests.CellKind) -> CellRequest:
        """The cell, as far as the engine cares."""
        shell: Any = self._kernel.shell
        index = requests.cell_index(call.cell_meta)
        if index is None:
            index = self._notebook.index_of(call.cell_id)
        return CellRequest(
            source=call.code,
            transformed=call.transformed,
            execution_count=shell.execution_count,
            cell_id=call.cell_id,
            cell_index=index,
            tags=requests.tags(call.cell_meta, kind),
            expressions=tuple(call.user_expressions.values()),
        )
