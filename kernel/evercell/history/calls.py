"""Where each of a slot's recorded calls is: an index of all, at 130 bytes each."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, chain
from typing import TYPE_CHECKING, NamedTuple

from evercell.history.step_pages import place_of, places_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    from evercell.history.columns import Items

__all__ = ["Calls", "index_calls"]


class Calls(NamedTuple):
    """Where each call is among all."""

    parts: list[tuple[Items, array[int]]]  # keys and ordinals
    starts: list[int]
    rows: dict[int, int]  # by place
    alike: dict[int, list[int]]  # all rows of a place, where it has several

    def at(self, row: int) -> tuple[bytes, int]:
        """The key and the ordinal."""
        number = bisect_right(self.starts, row) - 1
        keys, ordinals = self.parts[number]
        row -= self.starts[number]
        return keys.at(row), ordinals[row]

    def find(self, key: bytes, ordinal: int) -> list[int]:
        """The rows of a call: several if a record did not hold and its step was made once more."""
        place = place_of(key, ordinal)
        row = self.rows.get(place)
        if row is None:
            return []
        rows = self.alike.get(place, [row]) if self.alike else [row]
        return [row for row in rows if self.at(row) == (key, ordinal)]


def index_calls(parts: Iterable[tuple[Items, array[int]]]) -> Calls:
    found = list(parts)
    starts = list(accumulate((len(ordinals) for _, ordinals in found), initial=0))
    places = chain.from_iterable(places_of(*part) for part in found)
    rows = dict(zip(places, range(starts[-1]), strict=True))
    alike: dict[int, list[int]] = {}
    if len(rows) < starts[-1]:
        for row, place in enumerate(chain.from_iterable(places_of(*part) for part in found)):
            if rows[place] != row:
                alike.setdefault(place, []).append(row)
        for place, others in alike.items():
            others.append(rows[place])
    return Calls(found, starts, rows, alike)
