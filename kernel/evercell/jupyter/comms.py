"""A widget's click is handled where the browser sent it, also while a cell is running.

JupyterLab sends comm messages to a subshell, so that a button answers while a cell blocks the
main shell. ipykernel 7.4.0 routes them back to the shell that last published on the comm, behind
the blocked cell. With the patch, the browser's own choice of a subshell stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipykernel.comm.comm import BaseComm

from evercell.loading import importing

if TYPE_CHECKING:
    from ipykernel.ipkernel import IPythonKernel

    from .executor import CellExecutor

__all__ = ["LAB_TARGET", "answer_lab", "keep_browser_subshell", "leave_lab"]

LAB_TARGET = "evercell"
"""The comm target to which JupyterLab's extension opens a comm; see lab.py."""

_MARK = "_evercell_keeps_browser_subshell"


def keep_browser_subshell() -> bool:
    """Patch ipykernel's comms, once. False if this ipykernel routes comms in another way."""
    # A private name, hence the guard; the browser test tells when it stops working.
    route = getattr(BaseComm, "_reply_subshell_for", None)
    if route is None:
        return False
    if getattr(route, _MARK, False):
        return True

    def reply_subshell_for(self: BaseComm, data: Any, default: str | None) -> str | None:
        routed: str | None = route(self, data, default)
        return routed if default is None else default

    setattr(reply_subshell_for, _MARK, True)
    comm_class: Any = BaseComm
    comm_class._reply_subshell_for = reply_subshell_for
    return True


def answer_lab(kernel: IPythonKernel, cells: CellExecutor) -> None:
    """Let JupyterLab's extension ask this kernel about its run. Costs nothing until one does."""

    def on_open(comm: Any, _message: object) -> None:
        with importing:
            from .lab import LabChannel  # noqa: PLC0415 - loads the widgets' view state

        LabChannel(comm, cells)

    kernel.comm_manager.register_target(LAB_TARGET, on_open)


def leave_lab(kernel: IPythonKernel) -> None:
    """Undo `answer_lab`; open comms are closed."""
    manager: Any = kernel.comm_manager
    manager.targets.pop(LAB_TARGET, None)
    for comm in [it for it in manager.comms.values() if it.target_name == LAB_TARGET]:
        comm.close()
