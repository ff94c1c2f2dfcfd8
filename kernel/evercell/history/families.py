"""Runs that belong together: a notebook's run and the workflows that it carries.

carriers   a workflow's host and parent: it goes where they go, and never before them
origins    what it was forked from: it needs that history
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

__all__ = ["Kin", "carried", "kin", "owner", "with_origins"]


class Kin(msgspec.Struct, frozen=True):
    """How a run is tied to others."""

    run_id: str
    carriers: tuple[str, ...]
    origins: tuple[str, ...]


def kin(connection: duckdb.DuckDBPyConnection) -> dict[str, Kin]:
    """Every run that has begun, in the order in which they were started."""
    rows = connection.execute(
        """SELECT run_id, host_run, detail->>'$.start.parent',
            coalesce(detail->>'$.start.forked_from', detail->>'$.forked_from')
        FROM store.event WHERE type = 'RunStarted' ORDER BY rowid"""
    ).fetchall()
    return {
        run_id: Kin(
            run_id,
            tuple(it for it in (host, parent) if it is not None),
            () if forked_from is None else (forked_from,),
        )
        for run_id, host, parent, forked_from in rows
    }


def owner(run_id: str, known: Mapping[str, Kin]) -> str:
    """The run that it comes and goes with: the notebook's, if that is known."""
    seen = {run_id}
    while True:
        carriers = [it for it in known[run_id].carriers if it in known and it not in seen]
        if not carriers:
            return run_id
        run_id = carriers[0]
        seen.add(run_id)


def carried(run_id: str, known: Mapping[str, Kin]) -> list[str]:
    """The run and all that it carries, directly or not."""
    found = {run_id: None}
    children: dict[str, list[str]] = {}
    for it in known.values():
        for carrier in it.carriers:
            children.setdefault(carrier, []).append(it.run_id)
    queue = [run_id]
    while queue:
        new = [it for it in children.get(queue.pop(), ()) if it not in found]
        found |= dict.fromkeys(new)
        queue += new
    return list(found)


def with_origins(runs: Iterable[str], known: Mapping[str, Kin]) -> list[str]:
    """The runs, and those whose history they share."""
    found = dict.fromkeys(runs)
    queue = list(found)
    while queue:
        it = known.get(queue.pop())
        new = [origin for origin in (it.origins if it else ()) if origin not in found]
        found |= dict.fromkeys(new)
        queue += new
    return list(found)
