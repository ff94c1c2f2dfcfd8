"""The steps of a slot that a forked notebook's run shares, in the table of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from evercell.history.lineage import ended_steps, lineage
from evercell.history.steps import step_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from evercell.history.proof import KeyProof
    from evercell.history.steps import StepTable, _Lend

__all__ = ["step_table_of"]

T = TypeVar("T")


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
