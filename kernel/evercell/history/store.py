"""The history of a folder: recording, payloads, reading, locks, behind one object.

append, commit, commit_async ─ journal (durable)         put, get ─ payload files
fold ─ journals -> history.duckdb                        attach ─ the run's lock
query, relation, runs, cell_events, step_records: fold first, then read
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from evercell.clock import Clock, SystemClock
from evercell.codec.secret import use_key
from evercell.errors import HistoryError
from evercell.events import Event, Payload
from evercell.history import queries
from evercell.history.costs import Cost, cell_costs
from evercell.history.database import Database, query_errors
from evercell.history.disk import make_folder
from evercell.history.encoding import encode
from evercell.history.finding import current_run, the_run
from evercell.history.folding import Folding
from evercell.history.inbox import Inbox
from evercell.history.interrupts import interruptible
from evercell.history.journal import Journal
from evercell.history.keys import UserKey
from evercell.history.lineage import lineage
from evercell.history.locks import RunLock
from evercell.history.machines import refuse_elsewhere
from evercell.history.patience import Patience
from evercell.history.payloads import Data, PayloadStore
from evercell.history.proof import KeyProof
from evercell.history.queries import Check, KnownRun, RunRecord, StepRecord, Table
from evercell.history.reader import Reader
from evercell.history.reread import run_events
from evercell.history.results import Result, no_result, relation_of, result_of, write_parquet
from evercell.history.schema import claim_folder
from evercell.history.shared import ForkHistory, step_table_of
from evercell.history.workflows import WorkflowHistory

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from evercell.codec.parts import Parted, Pieces
    from evercell.history.entries import Meanwhile, Tell
    from evercell.history.steps import StepTable
    from evercell.history.upkeep import Upkeep

__all__ = ["History", "Listener"]

Listener = Callable[[tuple[Event, ...]], None]
T = TypeVar("T")


class History:
    """The event history in `folder`, and this process's journal in it.

    Making one is cheap: files come with the first event, DuckDB with the first fold. `wait` is how
    many seconds a reading call waits for another program that holds the DuckDB file.
    """

    def __init__(self, folder: Path, *, clock: Clock | None = None, wait: float = 10.0) -> None:
        """Open or make the folder. Raises HistoryNewerError, HistoryWriteError."""
        self.folder = folder.absolute()
        self._clock = clock or SystemClock()
        # Random under any clock: a writer's id that comes twice would hide the second's events.
        self.writer = SystemClock().new_id()
        make_folder(self.folder)
        claim_folder(self.folder)
        self._numbers = itertools.count(1)
        self._key = UserKey()
        use_key(lambda: self._key.secret)
        self._journal = Journal(self.folder / "journal", self.writer, self._clock, key=self._key)
        self._payloads = PayloadStore(self.folder / "blobs", self.writer, key=self._key)
        self.inbox = Inbox(self.folder / "inbox", self.writer, self._key, self._clock)
        database = Database(self.folder, self._clock, wait=wait)
        self._reader = Reader(database, self._journal, self._payloads, self._key)
        self._notices: list[str] = []
        self._noticed: set[str] = set()
        self._listeners: tuple[Listener, ...] = ()
        self._folding: Folding | None = None

    def new_activity_id(self) -> str:
        """A fresh id for a cell's execution or a step."""
        return f"{self.writer}-{next(self._numbers)}"

    # -- recording ----------------------------------------------------------------------------

    def append(self, *events: Event) -> None:
        """Queue `events` in order; they are durable soon. Raises HistoryWriteError."""
        self.queue(events)
        self.show(events)

    def queue(self, events: Sequence[Event]) -> None:
        """`append` of what is to be shown later."""
        self._journal.append([encode(event) for event in events])

    def commit(self, *events: Event) -> None:
        """Return when `events`, and all before them, are durable; from any thread.

        Raises HistoryWriteError; KeyboardInterrupt only after the events are durable.
        """
        try:
            self._journal.commit([encode(event) for event in events])
        except KeyboardInterrupt:
            self.show(events)
            raise
        self.show(events)

    async def commit_async(self, *events: Event) -> None:
        """`commit`, from any event loop."""
        await self._journal.commit_async([encode(event) for event in events])
        self.show(events)

    def commit_then(self, events: Sequence[Event], tell: Tell) -> None:
        """Queue `events` and return; once they are durable, `tell(None)` is called by the thread
        that wrote them, or `tell(why)` when they can't be written at the time (they stay queued).
        `tell` must be quick and must not raise."""
        self._journal.commit_then([encode(event) for event in events], tell)
        self.show(tuple(events))

    def commit_here(
        self, events: Sequence[Event], tell: Tell, meanwhile: Meanwhile | None = None
    ) -> bool:
        """`commit_then` by the calling thread, which is not the main one, if nobody else writes or
        waits and the disk is quick; whether it told. `meanwhile(settle)` may be called while the
        disk writes: nobody is to see what it does before it was told, as when `settle()` returns.
        """
        told = self._journal.commit_here([encode(event) for event in events], tell, meanwhile)
        self.show(tuple(events))
        return told

    def put(self, data: bytes | memoryview | Pieces, codec: str) -> Payload:
        """Store an encoded value; a large one is durable when this returns. Raises
        HistoryWriteError."""
        return self._payloads.put(data, codec)

    def enclose(self, data: bytes, codec: str) -> Payload:
        """An encoded value with all its bytes inside, for a letter. Raises UsageError for more than
        16 MiB."""
        return self._payloads.enclose(data, codec)

    def get(self, payload: Payload) -> bytes:
        """The bytes of a stored value. Raises PayloadError unless this user wrote them, or when
        they need a codec layer that is not configured."""
        return self._payloads.get(payload)

    def fetch(self, payload: Payload) -> Data:
        """As `get`, but a large buffer as memory that is the caller's own: no copy is needed."""
        return self._payloads.fetch(payload)

    def value(self, payload: Payload) -> Data | Parted:
        """As `fetch`, for `values.decode`: large bytes objects in it come each by itself."""
        return self._payloads.value(payload)

    def probe(self, payload: Payload) -> None:
        """Raise PayloadError if the value can't be read, as far as its file's size tells."""
        self._payloads.probe(payload)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with each recorded batch, on the recording thread; it must be
        quick. Returns what ends it."""
        self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unsubscribe

    def show(self, events: tuple[Event, ...]) -> None:
        """Tell the listeners of `events`, which were recorded."""
        for listener in self._listeners:
            listener(events)

    # -- reading ------------------------------------------------------------------------------

    def fold(self) -> None:
        """Bring history.duckdb up to every readable journal.

        Raises HistoryLockedError, HistoryWriteError, HistoryNewerError, JournalDamagedError.
        """
        self._reader.read(lambda _: None)

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> Table:
        """The result of a reading statement over the history, `$name` standing for parameters.

        Raises QueryError with DuckDB's message, and what `fold` raises.
        """

        def run(connection: duckdb.DuckDBPyConnection) -> Table:
            def ask() -> tuple[list[Any], list[Any]]:
                cursor = connection.execute(sql, dict(parameters) if parameters else None)
                described = cursor.description or []
                return described, cursor.fetchall() if described else []

            with query_errors():
                described, rows = interruptible(connection, ask)
            columns = tuple(str(column[0]) for column in described)
            return Table(columns, tuple(str(column[1]) for column in described), rows)

        return self._reader.read(run, read_only=True)

    def relation(
        self, sql: str, parameters: Mapping[str, object] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """The result as a DuckDB relation of its own, in memory: `.df()`, `.pl()`, further SQL.
        Raises what `query` raises."""
        return relation_of(self._reader, sql, parameters)

    def write_parquet(
        self, path: Path, sql: str, parameters: Mapping[str, object] | None = None
    ) -> None:
        """Write the result to a Parquet file, whole or not at all; durations in seconds. Raises
        UsageError where `path` can't be written, and what `query` raises."""
        write_parquet(self.relation(sql, parameters), path)

    def result(self, identity: str) -> Result:
        """The step with this activity_id and its latest state, or the stored value with this
        payload id. Raises UsageError where there is none."""
        found = self._reader.read(
            lambda connection: result_of(connection, identity), read_only=True
        )
        if found is None:
            raise no_result(identity, self.folder)
        return found

    def runs(self) -> list[RunRecord]:
        """Every run, in the order of their starts."""
        return self._reader.read(queries.run_records)

    def run(self, run_id_prefix: str) -> RunRecord:
        """The run whose id begins so. Raises RunNotFoundError for none, or for several."""
        return the_run(self.runs(), run_id_prefix, self.folder)

    def find(self, run: str) -> str:
        """The id of the run whose id begins so, or else of the latest run with this workflow id.
        Raises RunNotFoundError for none, or for several."""
        found = self._reader.read(lambda connection: queries.named_run(connection, run))
        return found or self.run(run).run_id

    def find_run(
        self, notebook: str, parameters: Mapping[str, Any], *, kernel_id: str | None = None
    ) -> RunRecord | None:
        """The notebook's current run with these parameters, as `current_run` finds it."""
        known = self.current_run(notebook, parameters, kernel_id=kernel_id)
        if known is None:
            return None
        return next(record for record in self.runs() if record.run_id == known.run_id)

    def current_run(
        self, notebook: str, parameters: Mapping[str, Any], *, kernel_id: str | None = None
    ) -> KnownRun | None:
        """Of the runs of the notebook with these parameters that this user started, the one that
        was begun or resumed last.

        A notebook that was renamed under its living kernel is found by `kernel_id`, if the path
        that its run knows no longer exists.
        """
        known = self._checked(queries.known_runs)
        return current_run(known, notebook, parameters, kernel_id)

    def cell_events(self, run_id: str) -> list[Event]:
        """The run's events about cells, in order; not those about their steps."""
        return self._checked(lambda it, check: queries.cell_events(it, run_id, check))

    def wait_events(self, run_id: str) -> list[Event]:
        """What the run's cells waited for, what reached them, and the commands that were taken."""
        return self._checked(lambda it, check: queries.wait_events(it, run_id, check))

    def cell_costs(self, run_id: str) -> dict[str, Cost]:
        """What each finished execution of a cell had cost, by its activity_id."""
        return self._checked(
            lambda it, check: {
                activity_id: cost
                for run in (*(shared.run_id for shared in lineage(it, run_id, check)), run_id)
                for activity_id, cost in cell_costs(it, run).items()
            }
        )

    @property
    def forks(self) -> ForkHistory:
        """What is read to fork a notebook's run, and to show a forked one."""
        return ForkHistory(self._checked)

    def events(self, run_id: str, *, hosted: bool = False) -> list[Event]:
        """All events of the run, in order; with `hosted`, then those of the workflows' runs that
        it carries."""
        return self._reader.read(lambda it: run_events(it, run_id, hosted=hosted))

    def step_records(self, run_id: str, slot: str) -> list[StepRecord]:
        """The latest state of each step of the slot, in the order of their first calls."""
        return list(self.step_table(run_id, slot).records())

    def step_table(self, run_id: str, slot: str) -> StepTable:
        """The same by key and ordinal; each is read, checked and built when it is asked for."""
        lend = self._reader.read_folded
        return self._reader.read(lambda it: step_table_of(it, run_id, slot, self._proof(it), lend))

    def folded_steps(self, run_id: str, slot: str, tell: Callable[[str], None]) -> StepTable:
        """The same for a cell that runs: what was recorded since the last fold may be missing, and
        while another program holds the database file, now or later, this waits. `tell` takes a
        line for the user, who can close that program or interrupt the cell."""
        lend = Patience(self._reader, tell)
        return lend(lambda it: step_table_of(it, run_id, slot, self._proof(it), lend))

    def step_slots(self, run_id: str) -> dict[str, int]:
        """How many steps each slot has: where it has none, `step_records` need not be asked."""
        return self._checked(lambda it, check: queries.step_slots(it, run_id, check))

    def reading(self) -> AbstractContextManager[None]:
        """Keep DuckDB open for this thread's reads in the block: several cost one opening."""
        return self._reader.reading()

    def opening(self) -> AbstractContextManager[None]:
        """`reading` for a kernel that is about to go on, and folds from then on: tidying up is left
        to its first fold. Not for `relation`."""
        return self._reader.opening()

    def unread(self) -> AbstractContextManager[bool]:
        """Whether nothing was ever recorded in the folder, which takes no DuckDB to tell. If so,
        no other process looks for runs in it within the block. Raises HistoryLockedError."""
        return self._reader.unread()

    @property
    def workflows(self) -> WorkflowHistory:
        """What is read of the runs of workflow functions."""
        return WorkflowHistory(lambda use: self._reader.read(lambda it: use(it, self._proof(it))))

    def take_notices(self) -> list[str]:
        """Lines that the user should see, each once: why records were not used."""
        notices, self._notices = self._notices, []
        return notices

    def _checked(self, use: Callable[[duckdb.DuckDBPyConnection, Check], T]) -> T:
        """`use` with what tells this user's unchanged rows from all others."""

        return self._reader.read(lambda it: use(it, self._proof(it).holds))

    def _proof(self, connection: duckdb.DuckDBPyConnection) -> KeyProof:
        foreign = bool(queries.foreign_keys(connection, self._key))
        return KeyProof(self.folder, self._key, foreign=foreign, tell=self.notice)

    def notice(self, line: str) -> None:
        """Have the user told `line`, once, at the end of the next cell."""
        if line not in self._noticed:
            self._noticed.add(line)
            self._notices.append(line)

    # -- the run's lock -----------------------------------------------------------------------

    def attach(self, run_id: str, *, new: bool = False) -> RunLock:
        """Take the run for this process; `new`: its id was made just now, so that nobody had it
        before. Raises RunInUseError naming who has it."""
        lock = RunLock.take(self.folder / "runs", run_id, since=self._clock.now())
        if new:
            return RunLock(run_id, 1, lock)
        try:
            latest = self._reader.read(lambda it: queries.latest_attachment(it, run_id))
            refuse_elsewhere(self.folder, self._journal.folder, run_id, latest)
        except BaseException:
            lock.release()
            raise
        return RunLock(run_id, latest.generation + 1, lock)

    @cached_property
    def upkeep(self) -> Upkeep:
        """Checking, thinning out, giving away and accepting what is in the folder."""
        from evercell.history.upkeep import Upkeep  # noqa: PLC0415 - no kernel needs it

        return Upkeep(
            self.folder,
            writer=self.writer,
            reader=self._reader,
            payloads=self._payloads,
            key=self._key,
            clock=self._clock,
        )

    # -- folding ------------------------------------------------------------------------------

    def start_folding(self, age: float = 1.9) -> None:
        """Fold in the background, until `close`: what others read is at most `age` seconds old,
        unless folding itself takes long."""
        if self._folding is None:
            self._folding = Folding(lambda: self._fold_quietly(self._reader.fold), age)

    def close(self) -> None:
        """Make everything durable and let go. Raises HistoryWriteError if that fails."""
        folding, self._folding = self._folding, None
        if folding is not None:
            folding.stop()
            self._reader.let_go()
        self._journal.close()
        if folding is not None:
            self._fold_quietly(self.fold)  # which leaves nothing in DuckDB's log

    def _fold_quietly(self, fold: Callable[[], None]) -> None:
        # What goes wrong here goes wrong again, and is raised, where somebody reads.
        with suppress(HistoryError):
            if self._reader.is_behind():
                fold()
