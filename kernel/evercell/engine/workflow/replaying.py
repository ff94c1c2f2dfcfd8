"""Does today's code still fit recorded runs? Checked without carrying anything out.

    Replayer(research).replay_folder(".evercell") -> one Replayed a run, each with its error if any

As Temporal's Replayer: for a test, or a CI job, before an edit meets open runs.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell import events as e
from evercell.engine.workflow.guard import GUARD
from evercell.engine.workflow.instance import Instance
from evercell.errors import EvercellError, RunNotFoundError, UsageError
from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.guard import Guard
    from evercell.events import RunStarted

__all__ = ["Replayed", "Replayer"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One run's check. `error`: why today's code does not fit it; None: it does."""

    run_id: str
    workflow: str
    workflow_id: str
    events: int
    error: EvercellError | None


@dataclass(slots=True)
class _Services:
    """What instances ask for while they are replayed; nothing that they make is kept."""

    history: History
    live: dict[str, Any]
    definitions: dict[str, Workflow[..., Any]]
    instances: dict[str, Instance]
    guard: Guard = GUARD

    def new_activity_id(self) -> str:
        return self.history.new_activity_id()

    def new_run_id(self) -> str:
        return "not-started"

    def meet(self, definition: Workflow[..., Any]) -> None:
        """Its runs can be replayed, too."""
        self.definitions.setdefault(definition.name, definition)

    def notice(self, _: str) -> None:
        """Its user looks at what comes of the replay."""


class Replayer:
    """Replays recorded runs of `workflows`. `live`: the namespace in which stored values find the
    notebook's classes."""

    def __init__(self, *workflows: Workflow[..., Any], live: dict[str, Any] | None = None) -> None:
        if not workflows:
            raise UsageError("a Replayer needs the workflows whose runs it is to replay.")
        self._definitions = {definition.name: definition for definition in workflows}
        self._live = {} if live is None else live

    def replay_folder(
        self, folder: Path | str, run_ids: Iterable[str] | None = None
    ) -> list[Replayed]:
        """Replay the runs of these workflows in a history's folder, or those of `run_ids`.

        Raises RunNotFoundError, UsageError for a run of another workflow, HistoryError.
        """
        history = History(Path(folder))
        try:
            return self._replay_all(history, run_ids)
        finally:
            history.close()

    def replay_export(self, path: Path | str, *, trust: bool = False) -> list[Replayed]:
        """Replay the runs in a file that `evercell history export` wrote. Another user's are
        decoded only with `trust`, because decoding runs what they pickled.

        Raises UsageError, HistoryError.
        """
        with tempfile.TemporaryDirectory() as folder:
            history = History(Path(folder))
            try:
                history.upkeep.import_(Path(path))
                if trust:
                    history.upkeep.trust()
                return self._replay_all(history, None)
            finally:
                history.close()

    def _replay_all(self, history: History, run_ids: Iterable[str] | None) -> list[Replayed]:
        found = []
        for run_id in self._chosen(history) if run_ids is None else run_ids:
            events = history.workflows.events([run_id])[run_id]
            started = next((event for event in events if isinstance(event, e.RunStarted)), None)
            if started is None or started.start is None:
                raise RunNotFoundError(
                    f"No run {run_id!r} of a workflow in {history.folder} is proved to be yours. "
                    "Another user's is replayed on your word: evercell trust for a folder, "
                    "--trust or trust=True for an export."
                )
            found.append(self._replay(history, started, events))
        return found

    def _chosen(self, history: History) -> list[str]:
        return [run.run_id for run in history.runs() if run.workflow in self._definitions]

    def _replay(self, history: History, started: RunStarted, events: list[e.Event]) -> Replayed:
        assert started.start is not None  # noqa: S101 - checked by the caller
        definition = self._definitions.get(started.workflow)
        if definition is None:
            raise UsageError(
                f"run {started.run_id} is one of workflow {started.workflow!r}, which this "
                "Replayer was not given."
            )
        services = _Services(history, self._live, self._definitions, {})
        instance = Instance(started, definition, services)
        error: EvercellError | None = None
        try:
            instance.replay(events)
        except EvercellError as failed:
            error = failed
        finally:
            instance.close()
        return Replayed(
            started.run_id, started.workflow, started.start.workflow_id, len(events), error
        )
