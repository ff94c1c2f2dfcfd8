"""Events of a journal become rows: decoded, placed in their run's order, tagged, as columns.

    bodies ─ decode ─ generations ─ group by Shape ─ JSON for people, outputs ─ a Batch ─ tags

Nearly all events are of steps, and a fold may have a million. So what is done for each of them is
done a column at a time, by map, zip and compress.
"""

from __future__ import annotations

from itertools import compress, pairwise
from operator import attrgetter, or_
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from evercell.errors import HistoryError
from evercell.events import (
    CellCompleted,
    CellFailed,
    Event,
    RunAttached,
    RunStarted,
    StepStarted,
    decode_event,
    decode_events,
)
from evercell.history.columns import Batch
from evercell.history.outputs import OutputRow, output_rows
from evercell.history.rows import GENERATION_SHIFT, READABLE, Shape, shape_of, viewed
from evercell.history.seals import seal_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from evercell.history.applied import Applied
    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore

__all__ = ["Rows", "load_rows"]

_PLACED = frozenset({RunStarted, RunAttached})  # they tell the generation of what follows
_PART = 1024  # events that are worked on together: they stay in a core's own cache
_get_run_id, _get_at = attrgetter("run_id"), attrgetter("at")
_shifted = GENERATION_SHIFT.__rlshift__  # the generation's part of a seq
_get_result, _get_codec, _get_data = map(attrgetter, ("result", "codec", "data"))


class Rows(msgspec.Struct, frozen=True):
    """Makes rows of events; knows which generation a writer is in, by (writer, run), and which
    notebook's run carries a workflow's, where that is not attached itself."""

    generations: dict[tuple[str, str], int]
    hosts: dict[str, str]
    payloads: PayloadStore
    key: UserKey
    outputs: list[OutputRow] = field(default_factory=list)  # of the cells' ends so far
    known: dict[str, set[int]] = field(default_factory=dict)  # positions to skip, by writer

    def of(self, after: Applied, bodies: list[bytes], *, tagged: bool) -> list[Batch]:
        """The rows of the events in `bodies`, the last of which leads to `after`."""
        key = self.key if tagged else None
        made: dict[Shape, Batch] = {}
        first = after.position - len(bodies) + 1
        for start in range(0, len(bodies), _PART):
            part = bodies[start : start + _PART]
            for group in self._groups(after.writer, first + start, part):
                group.put(made.setdefault(group.shape, Batch()), after.writer, key)
        return list(made.values())

    def _groups(self, writer: str, first: int, bodies: list[bytes]) -> Iterator[_Group]:
        """The events by shape; the first one's position is `first`."""
        events = _decode(bodies, writer, first)
        positions = range(first, first + len(events))
        kinds = list(map(type, events))
        runs = list(map(_get_run_id, events))
        generations = self._generations(writer, events, kinds, runs)
        known = self.known.get(writer, set())
        shapes: dict[Shape, set[type[Event]]] = {}
        for kind in dict.fromkeys(kinds):
            shapes.setdefault(shape_of(kind), set()).add(kind)
        for shape, own in shapes.items():
            chosen = list(map(own.__contains__, kinds))
            if known:
                places = zip(chosen, positions, strict=True)
                chosen = [it and position not in known for it, position in places]
            group = _Group(
                shape,
                list(compress(events, chosen)),
                list(compress(runs, chosen)),
                list(compress(positions, chosen)),
                list(compress(generations, chosen)),
                list(compress(bodies, chosen)) if shape.whole else [],
            )
            if group.events:
                self._show(writer, group)
                yield group

    def take_outputs(self) -> list[OutputRow]:
        """The rows of the outputs of what `of` was given since the last call."""
        taken = self.outputs[:]
        self.outputs.clear()
        return taken

    def _generations(
        self, writer: str, events: list[Event], kinds: list[type[Event]], runs: list[str]
    ) -> list[int]:
        """Each event's; what some tell of them is learned on the way."""
        starts = [place for place, kind in enumerate(kinds) if kind in _PLACED]
        found: list[int] = []
        for first, end in pairwise((0, *starts, len(events))):
            if first == end:
                continue
            match events[first]:
                case RunStarted(run_id=run_id, start=start) if start is not None:
                    self.hosts[run_id] = start.host
                case RunAttached(run_id=run_id, generation=generation):
                    self.generations[writer, run_id] = generation
                case _:
                    pass
            stretch = runs[first:end]
            if stretch.count(stretch[0]) == len(stretch):
                found += [self._generation(writer, stretch[0])] * len(stretch)
                continue
            known = {run_id: self._generation(writer, run_id) for run_id in set(stretch)}
            found += map(known.__getitem__, stretch)
        return found

    def _generation(self, writer: str, run_id: str) -> int:
        generation = self.generations.get((writer, run_id))
        if generation is None:
            generation = self.generations.get((writer, self.hosts.get(run_id, "")), 0)
        return generation

    def _show(self, writer: str, group: _Group) -> None:
        """Give events JSON for people where SQL can't read their payloads; note cells' outputs."""
        events = group.events
        if group.shape.sealed and (type(events[0]) is StepStarted or _are_plain(events)):
            return
        for place, event in enumerate(events):
            if isinstance(event, READABLE):
                events[place] = viewed(event, self.payloads.readable)
            elif isinstance(event, CellCompleted | CellFailed):
                position = group.positions[place]
                self.outputs.extend(output_rows(event, writer, position, self.payloads.get))


def _are_plain(events: Sequence[Event]) -> bool:
    """Whether SQL can read the result of each StepCompleted in its row, as of nearly all."""
    results = list(map(_get_result, events))
    codecs, data = map(_get_codec, results), map(_get_data, results)
    return list(codecs).count("json") == len(events) == list(map(type, data)).count(bytes)


class _Group(msgspec.Struct, frozen=True):
    """Events that fill the same columns, with what places each in the history."""

    shape: Shape
    events: list[Event]
    runs: list[str]
    positions: list[int]
    generations: list[int]
    bodies: list[bytes]  # the events, encoded, where the rows keep it

    def put(self, batch: Batch, writer: str, key: UserKey | None) -> None:
        """Append their rows; with tags under `key`."""
        events, shape = self.events, self.shape
        generation, name = self.generations[0], type(events[0]).__name__
        one = shape.sealed  # type of event: no other has these columns
        same = self.generations.count(generation) == len(events)
        above = map(_shifted, self.generations)
        values: dict[str, Sequence[Any]] = {
            "writer": [writer] * len(events),
            "position": self.positions,
            "generation": self.generations,
            "seq": list(
                map(_shifted(generation).__or__, self.positions)
                if same
                else map(or_, above, self.positions)
            ),
            "run_id": self.runs,
            "at_ns": list(map(_get_at, events)),
            "type": [name] * len(events) if one else [type(it).__name__ for it in events],
        }
        values |= shape.columns_of(events)
        if shape.whole:
            values["body"] = self.bodies
        batch.add(values)
        if key is None:
            return
        if shape.sealed:
            blocks, tags = seal_rows(name, values, key, batch)
            batch.add({"block": blocks, "tag": tags})
        else:
            covered = [values[name] for name in ("run_id", "seq", "type", *shape.covered)]
            batch.add({"tag": key.tags(zip(*covered, strict=True))})


def _decode(bodies: list[bytes], writer: str, first: int) -> list[Event]:
    """The events in `bodies`, the first of which is number `first` of its journal."""
    try:
        return decode_events(bodies)
    except msgspec.DecodeError:
        pass  # which one?
    events = []
    for position, body in enumerate(bodies, start=first):
        try:
            events.append(decode_event(body))
        except msgspec.DecodeError as error:
            raise HistoryError(
                f"Event {position} of journal {writer} can't be decoded ({error}): another release "
                "of Evercell wrote it. Install the newest one: pip install -U evercell."
            ) from error
    return events


def load_rows(connection: duckdb.DuckDBPyConnection, payloads: PayloadStore, key: UserKey) -> Rows:
    """What makes rows, with the generations and hosts that are in the database."""
    rows = connection.execute(
        """SELECT writer, run_id, arg_max(generation, position) FROM store.event
        WHERE type = 'RunAttached' GROUP BY ALL"""
    ).fetchall()
    generations = {(writer, run_id): generation for writer, run_id, generation in rows}
    hosts = connection.execute(
        "SELECT run_id, host_run FROM store.event WHERE type = 'RunStarted' AND host_run <> ''"
    ).fetchall()
    return Rows(generations, dict(hosts), payloads, key)
