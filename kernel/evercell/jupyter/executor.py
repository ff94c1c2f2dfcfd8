"""What a durable kernel does with an execute_request.

control cell (%evercell ...) ────────────────────────────> ipykernel
cell -> session, opened at the first -> CellRequest -> engine -> KernelHost -> reply
             └ can't be opened ──────────────────────────> refused, not run
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.errors import EvercellError
from evercell.loading import importing

from . import requests, session
from .ahead import LoadAhead
from .interrupts import HeldInterrupts
from .paths import Place, locate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from ipykernel.ipkernel import IPythonKernel

    from evercell.engine.preview import CellPreview, NotebookCell

    from .hosting import Hosting
    from .preview import WrittenCell
    from .session import CellSession

__all__ = ["Call", "CellExecutor"]


@dataclass(frozen=True, slots=True)
class Call:
    """An execute_request for a cell that belongs to the run."""

    code: str
    transformed: str  # `code` itself where a transformer rejected it
    user_expressions: dict[str, str]
    cell_meta: Mapping[str, Any] | None
    cell_id: str | None
    run_plain: Callable[[], Awaitable[dict[str, Any]]]  # what ipykernel does with the request


class CellExecutor:
    """One kernel's cells: holds the engine's session."""

    def __init__(self, kernel: IPythonKernel) -> None:
        self._kernel = kernel
        self._shell: Any = kernel.shell
        # Now, before a cell can change the folder.
        self._cwd = Path.cwd()
        self._session: CellSession | None = None
        self._hosting: Hosting | None = None
        self._ahead = LoadAhead()
        self._watchers: tuple[Callable[[], None], ...] = ()

    @property
    def session(self) -> CellSession | None:
        """The engine's session; None before the first cell, or if it can't be opened."""
        return self._session

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's variables."""
        variables: dict[str, Any] = self._shell.user_ns
        return variables

    def place(self) -> Place:
        """Where this kernel's notebook and history are."""
        parent: Any = self._kernel.parent
        connection_file = getattr(parent, "connection_file", None) or None
        return locate(os.environ, connection_file, self._cwd, self._shell.user_ns)

    def prepare(self) -> None:
        """Load what cells need, beside all else: somebody is there to run one."""
        self._ahead.begin()

    def open(self) -> CellSession:
        """The session, opened if need be. Raises EvercellError, such as RunInUseError."""
        if self._session is None:
            self._session = self._open(fresh=False)
            self._changed()
        return self._session

    def preview(self, cells: Iterable[WrittenCell] | None = None) -> tuple[CellPreview, ...]:
        """What Restart and Run All would do to the notebook's cells as a frontend shows them.

        None: as the file was saved. From any thread. Raises EvercellError, such as RunInUseError.
        """
        return self.open().preview(self.cells_now(cells))

    def cells_now(self, cells: Iterable[WrittenCell] | None = None) -> tuple[NotebookCell, ...]:
        """The run's cells as a frontend shows them; None: as the notebook was saved, or else as
        they were run last."""
        # A kernel starts without loading the engine.
        with importing:
            from .preview import read_cells, recorded_cells, to_preview  # noqa: PLC0415

        if cells is None:
            file = self.place().file
            cells = read_cells(file) if file is not None else None
        if cells is None:
            cells = recorded_cells(self.open().state)
        return to_preview(cells, self.transform)

    def transform(self, source: str) -> str:
        """The cell as Python; as it is where a transformer rejects it, which running will show."""
        try:
            transformed: str = self._shell.transform_cell(source)
        except Exception:  # noqa: BLE001 - transformers are anybody's code
            return source
        return transformed

    def watch(self, on_run_changed: Callable[[], None]) -> Callable[[], None]:
        """Have `on_run_changed` called when this kernel has attached to another run or let go of
        one; it must be quick. Returns what ends it."""
        self._watchers = (*self._watchers, on_run_changed)

        def unwatch() -> None:
            self._watchers = tuple(it for it in self._watchers if it is not on_run_changed)

        return unwatch

    def _changed(self) -> None:
        for on_run_changed in self._watchers:
            on_run_changed()

    def provide(self, text: str | None, *, run: bool = True) -> None:
        """Load what `text` names (None: everything) and waited on disk; `run`: or for its cell to
        run again. What can't be had is not there, and the cell that needs it is told why."""
        if self._session is not None:
            with suppress(EvercellError):
                self._session.provide(text, run=run)

    def waiting(self) -> tuple[str, ...]:
        """The restored variables that are not loaded yet."""
        return () if self._session is None else self._session.waiting()

    def begin_new_run(self) -> CellSession:
        """Begin another run of this notebook; cells from the next one on belong to it."""
        if self._session is None:
            self._session = self._open(fresh=True)
        else:
            self._session.new_run()
        self._changed()
        return self._session

    def resume_run(self, run: str) -> CellSession:
        """Go on with an earlier run of this notebook; cells from the next one on belong to it."""
        session = self.open()
        session.resume_run(run)
        self._changed()
        return session

    def fork_run(self, run: str | None, overrides: Mapping[str, Any]) -> CellSession:
        """Begin another run that knows what `run` (None: the current one) has finished, with other
        results for the steps that `overrides` names."""
        session = self.open()
        session.fork_run(run, overrides)
        self._changed()
        return session

    def _open(self, *, fresh: bool) -> CellSession:
        place = self.place()
        project = place.file.parent if place.file is not None else self._cwd
        return session.open_session(self._kernel, place, project, fresh=fresh)

    def close(self) -> None:
        """Let go of the run; the next cell opens it again."""
        self.provide(None)  # the kernel is a plain one from now on
        former, self._session = self._session, None
        if former is not None:
            former.close()
            self._changed()

    async def execute(self, call: Call) -> dict[str, Any]:
        """The content of the execute_reply."""
        kind = requests.kind_of(call.code)
        if kind is requests.CellKind.CONTROL:
            self.provide(call.code)
            return await call.run_plain()
        # The trap puts get_ipython() into the builtins, as run_cell does for a cell that runs: what
        # a restore imports asks it where it is. pandas lays out its tables by the answer.
        with HeldInterrupts() as interrupts, self._shell.builtin_trap:
            hosting = self._host_cells()
            host = hosting.host(call, interrupts)
            try:
                reply = await self.open().execute(hosting.request(call, kind), host)
            except EvercellError as error:
                reply = host.refuse(error)
            except KeyboardInterrupt:
                return host.interrupted("while Evercell worked on this cell")
            except Exception as error:  # noqa: BLE001 - a fault of ours must end as a reply:
                reply = host.fault(error)  # without one, the frontend waits for ever
            if interrupts.take() and reply["status"] == "ok":
                return host.interrupted("this cell had finished")
            return reply

    def _host_cells(self) -> Hosting:
        """Loaded for the first cell, as the engine is."""
        if self._hosting is None:
            self._ahead.finish()
            with importing:
                from .hosting import Hosting  # noqa: PLC0415 - see above

            self._hosting = Hosting(self._kernel, self.place().file)
        return self._hosting
