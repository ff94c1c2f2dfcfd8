"""The engine's session of this kernel, opened at the first cell and closed with the kernel.

A kernel that only completes or inspects attaches to nothing, and starts without loading the
engine.
"""

from __future__ import annotations

import atexit
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from evercell.loading import importing

from .paths import run_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ipykernel.ipkernel import IPythonKernel

    from evercell.engine.accept import Accepted
    from evercell.engine.explain import Explanation
    from evercell.engine.feed import RunFeed
    from evercell.engine.host import CellRequest, Host
    from evercell.engine.post import Post
    from evercell.engine.preview import CellPreview, NotebookCell
    from evercell.engine.state import RunState
    from evercell.events import CellForgotten
    from evercell.history import History

    from .paths import Place

__all__ = ["CellSession", "open_session", "reading"]


class CellSession(Protocol):
    """What the kernel needs of `engine.session.Session`."""

    history: History
    commands: Post

    @property
    def run_id(self) -> str:
        """The run that this kernel is attached to."""
        ...

    @property
    def state(self) -> RunState:
        """What the run's cells amount to."""
        ...

    def preview(self, cells: Iterable[NotebookCell]) -> tuple[CellPreview, ...]:
        """What Restart and Run All would do to the notebook's cells."""
        ...

    def explain(self, cells: Iterable[NotebookCell], chosen: int) -> Explanation | None:
        """Why the cell with the index `chosen` would be restored or run."""
        ...

    def accept(self, cells: Iterable[NotebookCell], chosen: int | None = None) -> Accepted:
        """Keep recorded results of stale cells on the user's word."""
        ...

    def forget(
        self, cells: Iterable[NotebookCell], chosen: int | None = None
    ) -> tuple[CellForgotten, ...]:
        """Take the records of a cell, or of all, out of use for good."""
        ...

    async def execute(self, request: CellRequest, host: Host) -> dict[str, Any]:
        """Restore the cell or run it; the content of the execute_reply."""
        ...

    def provide(self, text: str | None, *, run: bool = True) -> None:
        """Load the restored variables that `text` names and that waited; None: all. `run`: also
        those that it takes a cell's run to make."""
        ...

    def waiting(self) -> tuple[str, ...]:
        """The restored variables that are not loaded yet."""
        ...

    def new_run(self) -> str:
        """Leave the run and begin another; its id."""
        ...

    def resume_run(self, run: str) -> str:
        """Leave the run and go on with an earlier one of the notebook; its id."""
        ...

    def fork_run(self, run: str | None = None, overrides: Mapping[str, Any] | None = None) -> str:
        """Leave the run and begin one that knows what `run`, or this one, has finished, with other
        results for the steps that `overrides` names; its id."""
        ...

    def finish(self, status: Literal["completed", "failed", "canceled"]) -> None:
        """Record that the run came to its end; durable on return."""
        ...

    def wait_for_workflows(self) -> Iterable[tuple[str, str, str]]:
        """(run_id, workflow, how it ended) of each open workflow run, as they end."""
        ...

    def feed(self) -> RunFeed:
        """The run's events, past and coming, for a display."""
        ...

    def close(self) -> None:
        """Let go of the run; everything is durable on return. Idempotent."""
        ...


def open_session(
    kernel: IPythonKernel, place: Place, project: Path, *, fresh: bool = False
) -> CellSession:
    """Attach to the notebook's current run, or begin one.

    `project` is the folder whose modules count as the user's own code. `fresh` begins a run in any
    case, as `EVERCELL_FRESH=1` does. Raises what `Session.open` raises, and UsageError.
    """
    with importing:
        from evercell.engine.run import RunRequest  # noqa: PLC0415 - see above
        from evercell.engine.session import Session  # noqa: PLC0415
        from evercell.engine.workflow.where import name_cells  # noqa: PLC0415

        from .below import show_below  # noqa: PLC0415

    request = RunRequest(
        notebook=place.notebook,
        parameters=run_parameters(os.environ),
        kernel_id=place.kernel_id,
        fresh=fresh or os.environ.get("EVERCELL_FRESH") == "1",
        run=os.environ.get("EVERCELL_RUN") or None,
    )
    shell: Any = kernel.shell
    name_cells(partial(_cell_name, shell.compile))
    session = Session.open(place.history, request, shell.user_ns, project, on_first_call=show_below)
    pid = os.getpid()

    def close() -> None:
        if os.getpid() == pid:  # in a forked child, the run is its parent's
            session.close()

    atexit.register(close)
    return session


def _cell_name(compiler: Any, file: str) -> str | None:
    """What IPython's tracebacks call the cell whose code is in `file`."""
    named = getattr(compiler, "format_code_name", lambda _: None)(file)  # IPython 7 has it not
    return None if named is None else " ".join(named)


@contextmanager
def reading(session: CellSession | None, place: Place) -> Iterator[History]:
    """The history for queries, also where no run could be attached."""
    if session is not None:
        yield session.history
        return
    with importing:
        from evercell.history import History  # noqa: PLC0415 - see above

    history = History(place.history)
    try:
        yield history
    finally:
        history.close()
