"""The runs that a worker knows: open, loaded, blocked, about to begin or to end, closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evercell.clock import SystemClock
from evercell.events import RunAttached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell import events as e
    from evercell.clock import Clock
    from evercell.engine.workflow.instance import Instance
    from evercell.errors import EvercellError
    from evercell.events import Event, RunStarted
    from evercell.history import History

__all__ = ["HostRun", "Runs"]


@dataclass(frozen=True, slots=True)
class HostRun:
    """The notebook's run whose kernel carries the workflows."""

    run_id: str
    generation: int
    pid: int
    host: str
    kernel_id: str | None
    notebook: str | None


class Runs:
    """For the worker's thread; looking something up may be done from any."""

    def __init__(self, history: History, host: HostRun, clock: Clock) -> None:
        self.history = history
        self.host = host
        self.clock = clock
        self.attached: set[str] = set()
        self.instances: dict[str, Instance] = {}
        self.open: dict[str, RunStarted] = {}  # known runs that are not loaded
        self.blocked: dict[str, EvercellError] = {}
        self.starting: dict[str, RunStarted] = {}  # recorded, and about to begin
        self.ending: dict[str, e.RunFinished] = {}  # over, and their end is being recorded
        self.outcomes: dict[str, e.RunFinished] = {}
        self.ids: dict[str, str] = {}  # the open run of each workflow id
        self.children: dict[str, list[str]] = {}  # of each open parent, also closed ones
        self.new_activity_id = history.new_activity_id  # a fresh id

    def serve(self, run_id: str) -> None:
        """Take the commands of other processes for the run."""

    def opened(self, started: RunStarted) -> None:
        """An open run whose code is not here."""
        self.open[started.run_id] = started
        self._index(started)

    def took(self, instance: Instance) -> None:
        """A run whose code is here from now on."""
        self.starting.pop(instance.run_id, None)
        self.instances[instance.run_id] = instance
        self._index(instance.started)

    def _index(self, started: RunStarted) -> None:
        start = started.start
        self.serve(started.run_id)
        if start is not None:
            self.ids[start.workflow_id] = started.run_id
            if start.parent is not None:
                siblings = self.children.setdefault(start.parent, [])
                if started.run_id not in siblings:
                    siblings.append(started.run_id)

    # -- ids and attachments --------------------------------------------------------------------

    def new_run_id(self) -> str:
        """A fresh id."""
        return SystemClock().new_id()

    def ensure_attached(self, run_id: str) -> list[Event]:
        """What has to be recorded before anything else of the run is, in this process."""
        return [] if run_id in self.attached else [self.attach(run_id)]

    def attach(self, run_id: str) -> RunAttached:
        """The event that this process carries the run from here on."""
        self.attached.add(run_id)
        host = self.host
        return RunAttached(
            run_id, self.clock.now(), host.generation, host.pid, host.host, host.kernel_id,
            host.notebook,
        )  # fmt: skip

    def forget(self, run_id: str) -> None:
        """The run that was to begin does not."""
        self.starting.pop(run_id, None)
        self.attached.discard(run_id)

    # -- what is known of runs ------------------------------------------------------------------

    def open_runs(self) -> Iterator[tuple[str, RunStarted]]:
        """The open runs of this host run, loaded or not."""
        yield from list(self.open.items())
        for run_id, instance in list(self.instances.items()):
            yield run_id, instance.started

    def started(self, run_id: str) -> RunStarted | None:
        """The start of an open run."""
        instance = self.instances.get(run_id)
        return self.open.get(run_id) if instance is None else instance.started

    def knows(self, run_id: str) -> bool:
        """Whether the run is open here, or about to end."""
        return any(
            run_id in runs for runs in (self.instances, self.open, self.ending, self.starting)
        )

    def knows_chain(self, first: str) -> bool:
        """Whether the run, or one that continues it, is open here."""
        return self.knows(first) or any(
            started.start is not None and started.start.first == first
            for _, started in self.open_runs()
        )

    def find_end(self, run_id: str) -> e.RunFinished | None:
        """A closed run's end."""
        return self.outcomes.get(run_id) or self.history.workflows.end(run_id)

    def last_end(self, workflow_id: str) -> e.RunFinished | None:
        """The end of the latest closed run with this workflow id."""
        run_id = self.history.workflows.last_closed(self.host.run_id, workflow_id)
        return None if run_id is None else self.find_end(run_id)
