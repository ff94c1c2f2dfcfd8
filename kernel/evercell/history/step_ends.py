"""What recorded steps came to: the latest event of each that tells it.

completions ─ blocks (seals.py) ─ check ─┬─ at the first try, as JSON, inline: nearly all
                                         └─ others, one by one
failures, cancellations, further attempts ─ one by one, where they are later
"""

from __future__ import annotations

from array import array
from functools import cached_property
from itertools import chain, filterfalse, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from evercell.events import ErrorInfo, Payload
from evercell.history.columns import common_length
from evercell.history.seals import COVERED, block_message, block_starts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.history.arrow import Chunk
    from evercell.history.columns import Items

__all__ = ["Ends", "Latest", "Proof"]

_WITH_ERROR = frozenset({"StepFailed", "AttemptFailed"})


class Proof(Protocol):
    """Tells this user's unchanged records from all others."""

    def holds(self, tag: bytes | None, message: tuple[object, ...]) -> bool:
        """Whether the tag of a row or block is right; if not, its user will be told."""
        ...


class Latest(NamedTuple):
    """What a step came to last."""

    kind: str  # of the event
    attempt: int = 1
    result: Payload | None = None
    error: ErrorInfo | None = None


_BEGUN = Latest("StepStarted")


class Ends:
    """The ends of steps, by activity, in UTF-8 as it was read. `usual` is the JSON of results: what
    nearly all come to."""

    def __init__(self, run_id: str, proof: Proof) -> None:
        self.usual: dict[bytes, bytes] = {}
        self._others: dict[bytes, Latest | None] = {}  # None: its record does not hold
        self._run_id = run_id
        self._proof = proof
        self._chunks: list[Chunk] = []

    def take(self, completions: Chunk | None) -> None:
        """Take in whole blocks of StepCompleted, in order; perhaps of other steps, too."""
        if completions is None:
            return
        blocks, tags = completions.numbers("block"), completions.items("tag")
        for first, end in pairwise(block_starts(blocks, tags)):
            tag = None if blocks[first] < 0 else tags.at(first)
            self._take_block(completions, first, end, tag)
        completions.forget("payload_data")
        self._chunks.append(completions)

    def unknown(self, activities: Iterable[bytes]) -> set[bytes]:
        """Those about which nothing was taken in."""
        there, others = self.usual.__contains__, self._others
        return {it for it in filterfalse(there, activities) if it not in others}

    def _take_block(self, chunk: Chunk, first: int, end: int, tag: bytes | None) -> None:
        covered = [chunk.column(name) for name in COVERED["StepCompleted"]]
        message = block_message(("StepCompleted", self._run_id, ""), covered, first, end)
        right = self._proof.holds(tag, message)
        attempts, sizes = (chunk.numbers(it)[first:end] for it in ("attempt", "payload_size"))
        activities = chunk.items("activity_id").cut(first, end)
        data = chunk.items("payload_data").cut(first, end)
        once = attempts == array(attempts.typecode, (1,)) * (end - first)
        plain = once and _are_json(chunk.items("codec"), first, end)
        if right and plain and not self._others and list(map(len, data)) == sizes.tolist():
            self.usual.update(zip(activities, data, strict=True))
            return
        codecs = chunk.items("codec").texts(first, end)
        identities = chunk.items("payload_id").cut(first, end)
        columns = activities, attempts, codecs, identities, sizes, data
        for activity, *row in zip(*columns, strict=True):
            self._note(activity, _completed(*row) if right else None)

    def _note(self, activity: bytes, latest: Latest | None) -> None:
        if latest is not None and latest.kind == "StepCompleted" and latest.attempt == 1:
            result = latest.result
            if result is not None and result.codec == "json" and result.data is not None:
                self.usual[activity] = result.data
                self._others.pop(activity, None)
                return
        self.usual.pop(activity, None)
        self._others[activity] = latest

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Take in what is no completion, a row for each step; where a completion came later, that
        counts."""
        for named, seq, kind, tag, attempt, codec, identity, size, data, *told in rows:
            activity = named.encode()
            if seq < self._seqs.get(activity, 0):
                continue
            covered: tuple[object, ...] = (named, attempt)
            latest = Latest(kind, attempt or 0)
            if kind in _WITH_ERROR:
                covered += (codec, identity, size, *told)
                name, text, trace = told
                stored = None if codec is None else Payload(identity, codec, size, data)
                latest = latest._replace(
                    error=ErrorInfo(name or "", text or "", trace or "", stored)
                )
            right = self._proof.holds(tag, (self._run_id, seq, kind, *covered))
            self._note(activity, latest if right else None)

    @cached_property
    def _seqs(self) -> dict[bytes, int]:
        found = [zip(_activities(it), it.numbers("seq"), strict=True) for it in self._chunks]
        return dict(chain.from_iterable(found))

    @cached_property
    def _identities(self) -> dict[bytes, bytes]:
        parts = [(_activities(it), it.items("payload_id").cut(0, it.rows)) for it in self._chunks]
        return dict(chain.from_iterable(zip(*part, strict=True) for part in parts))

    def latest(self, activity: bytes) -> Latest | None:
        """What became of a step that was begun; None if its record does not hold."""
        data = self.usual.get(activity)
        if data is None:
            return self._others.get(activity, _BEGUN)
        result = Payload(self._identities[activity], "json", len(data), data)
        return Latest("StepCompleted", 1, result)


def _activities(chunk: Chunk) -> list[bytes]:
    return chunk.items("activity_id").cut(0, chunk.rows)


def _are_json(codecs: Items, first: int, end: int) -> bool:
    """Whether all of these are "json", as nearly always."""
    ends = codecs.ends[first : end + 1]
    same = codecs.data[ends[0] : ends[-1]] == b"json" * (end - first)
    return same and common_length(ends) == len(b"json")


def _completed(attempt: int, codec: str, identity: bytes, size: int, data: bytes) -> Latest:
    stored = Payload(identity, codec, size, data if len(data) == size else None)
    return Latest("StepCompleted", attempt, stored)
