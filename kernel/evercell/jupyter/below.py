"""The run's view below each cell that makes a durable call: `evercell.configure(progress=True)`.

It is no doing of the cell, so a thread of Evercell's own shows it, with the cell's context, by
which ipykernel knows below which cell. The cell waits for it, lest it end before.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial

from evercell.loading import importing
from evercell.settings import current
from evercell.threads import OwnThread

__all__ = ["show_below"]


def show_below() -> None:
    """Show the run of this process below the cell that runs, if that is wanted. What goes wrong
    is told on stderr, and the cell goes on."""
    if not current().progress:
        return
    with importing:
        from evercell.api import show_run  # noqa: PLC0415 - a kernel starts without the engine

    thread = OwnThread(partial(copy_context().run, show_run), "evercell-below")
    thread.start()
    thread.join()
