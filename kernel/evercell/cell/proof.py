"""Whether a stored value comes back as what it was: loaded once and compared, before it counts.

nothing but what pickle gives back exactly   -> no proof needed
light                                        -> now
heavy                                        -> in a copy of the process, see trial.py

the same stream again, the same attributes   -> it came back
another stream                               -> both values are walked side by side
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.codec.blame import why_not_loaded
from evercell.codec.equal import difference, lost_attribute, same
from evercell.codec.pickling import dump, load
from evercell.codec.streams import same_streams
from evercell.errors import EvercellError, RestoreError

if TYPE_CHECKING:
    from evercell.cell.covariables import Observation
    from evercell.codec.pickling import Dumped

__all__ = ["is_heavy", "verify"]

_HEAVY = 64 << 10, 8 << 20  # bytes of a pickle, and beside it: from a few milliseconds on


_UNSHARED = "what these share is not shared when they come back from their pickle"


def is_heavy(seen: Observation) -> bool:
    """Whether its proof would hold a cell up."""
    stored = seen.dumped
    if stored is None or stored.plain:
        return False
    beside = sum(buffer.nbytes for buffer in stored.buffers)
    return len(stored.main) > _HEAVY[0] or beside > _HEAVY[1]


def verify(values: dict[str, object], seen: Observation, live: dict[str, Any]) -> str | None:
    """Load the stream into a scratch namespace: None if it gives what was stored."""
    stored = seen.dumped
    if stored is None or stored.plain:
        return seen.reason
    try:
        return _compare(values, stored, seen.digest, live)
    except RestoreError as error:
        cause = error.__cause__
        return error.message if cause is None else why_not_loaded(cause)
    except EvercellError as error:
        return f"what is loaded from its pickle can't be compared: {error.message}"


def _compare(
    values: dict[str, object], stored: Dumped, digest: bytes, live: dict[str, Any]
) -> str | None:
    loaded: dict[str, Any] = load(stored.stream, stored.buffers, live)
    again = dump(loaded, live, own=loaded, out_of_band=True)
    if again.digest() != digest and not _says_the_same(again, stored):
        loaded = {name: loaded[name] for name in values}
        for name, value in values.items():
            if (odd := difference(value, loaded[name], live)) is not None:
                return f"{odd} comes back from its pickle as something else"
        # What they share must be shared again.
        return None if len(values) == 1 or same(values, loaded, live) else _UNSHARED
    # A class that says itself what is stored may leave out what it doesn't make again.
    lost = lost_attribute(zip(stored.met.told, again.met.told, strict=True), live)
    return None if lost is None else f"{lost} does not come back from its pickle"


def _says_the_same(one: Dumped, other: Dumped) -> bool:
    return one.content_of_buffers() == other.content_of_buffers() and same_streams(
        one.main, other.main
    )
