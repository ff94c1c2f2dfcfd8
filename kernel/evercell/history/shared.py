"""What a forked notebook's run shares: the steps of a slot, in the table of its own; the steps that
a name means; and what its display shows of the other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from evercell.events import (
    CellCompleted,
    CellFailed,
    CellForgotten,
    CellRestored,
    CellStarted,
    StepCompleted,
    StepFailed,
    StepsAnswered,
    StepStarted,
    UsageRecorded,
)
from evercell.history.lineage import ended_steps, last_place, lineage
from evercell.history.reread import stored_events
from evercell.history.steps import step_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from evercell.events import Event
    from evercell.history.proof import KeyProof
    from evercell.history.queries import Check
    from evercell.history.steps import StepTable, _Lend

__all__ = ["ForkHistory", "NamedStep", "step_table_of"]

T = TypeVar("T")

_SHOWN = (
    CellStarted, CellCompleted, CellFailed, CellRestored, CellForgotten, StepStarted, StepCompleted,
    StepFailed, StepsAnswered, UsageRecorded,
)  # fmt: skip


def step_table_of(
    connection: duckdb.DuckDBPyConnection, run_id: str, slot: str, proof: KeyProof, lend: _Lend
) -> StepTable:
    """What `step_table` gives, with what had ended in the runs that this one was forked from; its
    own records, and those of nearer runs, come first."""
    table = step_table(connection, run_id, slot, proof, lend)

    def at_once(use: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        return use(connection)

    for run in reversed(lineage(connection, run_id, proof.holds)):
        ended = ended_steps(connection, run)
        for record in step_table(connection, run.run_id, slot, proof, at_once).records():
            call = record.key, record.ordinal
            if record.activity_id in ended and table.get(call) is None:
                table[call] = replace(record, shared=True)
    return table


class NamedStep(NamedTuple):
    """A step as its first call was recorded; not proved."""

    activity_id: str
    name: str
    slot: str
    key: bytes
    ordinal: int
    arguments: str  # JSON object by parameter name
    at_most_once: bool


class _Checked(Protocol):
    def __call__(self, use: Callable[[duckdb.DuckDBPyConnection, Check], T], /) -> T:
        """What `use` makes of a connection and what tells this user's unchanged rows."""
        ...


class ForkHistory:
    """What is read to fork a notebook's run, and to show a forked one. Each method raises what
    reading the history raises."""

    def __init__(self, read: _Checked) -> None:
        self._read = read

    def last_place(self, run_id: str) -> int:
        """The place of the run's latest event in its order: what a fork shares ends there."""
        return self._read(lambda connection, _: last_place(connection, run_id))

    def steps(self, run_id: str, name: str) -> list[NamedStep]:
        """The run's steps with this activity_id, or this name (whole, or the last part of it), in
        the order of their first calls, after those that it shares; of a call that several runs
        hold, the nearest one's."""
        return self._read(lambda it, check: _named_steps(it, run_id, name, check))

    def shared_events(self, run_id: str) -> list[Event]:
        """What had become of cells and steps in the runs that this one shares, in order, as a
        display shows it: like all that is only shown, not proved."""
        return self._read(lambda it, check: _shared_events(it, run_id, check))


def _named_steps(
    connection: duckdb.DuckDBPyConnection, run_id: str, name: str, check: Check
) -> list[NamedStep]:
    runs = [(it.run_id, it.top) for it in lineage(connection, run_id, check)]
    found: dict[tuple[str, bytes, int], NamedStep] = {}
    for run, top in (*runs, (run_id, None)):
        rows: list[Any] = connection.execute(
            """SELECT activity_id, name, slot, key, ordinal, arguments, at_most_once
            FROM store.event
            WHERE run_id = $run AND type = 'StepStarted' AND seq <= coalesce($top, seq)
                AND (activity_id = $name OR name = $name OR ends_with(name, '.' || $name))
            ORDER BY seq""",
            {"run": run, "top": top, "name": name},
        ).fetchall()
        for step in (NamedStep(*row) for row in rows):
            found[step.slot, step.key, step.ordinal] = step
    return list(found.values())


def _shared_events(connection: duckdb.DuckDBPyConnection, run_id: str, check: Check) -> list[Event]:
    return [
        stored.event
        for run in lineage(connection, run_id, check)
        for stored in stored_events(connection, run.run_id, types=_SHOWN)
        if stored.event is not None and stored.seq <= run.top
    ]
