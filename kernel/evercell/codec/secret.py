"""`Secret`: a text that is used and never shown, and the texts that must not be recorded.

Secret("...")        repr, str and format show Secret(***); pickling is refused
as an argument       counts by a digest under the user's key
forbid(text)         what every Secret, and every encryption key, registers
mask(text)           forbidden texts as ***            (what people read)
holds_secret(data)   whether bytes hold one            (what is given back: not recorded at all)
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from blake3 import blake3

from evercell.codec.parts import Pieces
from evercell.errors import NotStorableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MASK",
    "Secret",
    "forbid",
    "holds_secret",
    "mark_of",
    "mask",
    "refuse_secrets",
    "use_key",
]

MASK = "***"
SEARCHED = 6  # characters; a shorter text is found everywhere, so it is not searched for
_PIECE = 1 << 20  # bytes searched at a time
_REASON = "it is a Secret, which is never recorded"

_forbidden: frozenset[str | bytes] = frozenset()  # replaced, never changed: threads read it
_process_key = secrets.token_bytes(32)
_key: Callable[[], bytes] = lambda: _process_key  # noqa: E731 - until a history gives the user's


class Secret:
    """A text such as an API key, which `reveal()` gives. It is shown as `Secret(***)`, never
    recorded, and as a step's argument it counts by a digest under the user's key."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        """Raises UsageError for anything but a text that is not empty."""
        if not isinstance(text, str) or not text:
            raise UsageError(
                f"Secret takes a text that is not empty, not {type(text).__qualname__}. "
                'From the environment: Secret.env("NAME").'
            )
        self.__text = text
        forbid(text)

    @classmethod
    def env(cls, name: str) -> Secret:
        """The secret in the environment variable `name`. Raises UsageError if it is not set."""
        text = os.environ.get(name)
        if not text:
            raise UsageError(
                f"The environment variable {name} is not set or empty. Set it before the kernel "
                "starts, in the shell or in the kernelspec's env."
            )
        return cls(text)

    def reveal(self) -> str:
        """The text."""
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(*_AS_IS), other.reveal().encode(*_AS_IS))

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> Secret:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise NotStorableError(_REASON)

    def __evercell_mark__(self) -> bytes:
        """What stands for it in digests."""
        return mark_of(self.__text.encode(*_AS_IS))


_AS_IS = ("utf-8", "surrogatepass")


def use_key(key: Callable[[], bytes]) -> None:
    """Have secrets digested under `key()`, which is asked when the first one is."""
    global _key  # noqa: PLW0603 - a process has one user
    _key = key


def mark_of(secret: bytes) -> bytes:
    """16 bytes that stand for `secret` and, without the user's key, tell nothing about it."""
    key = blake3(_key(), derive_key_context="evercell history v1: secret").digest()
    return blake3(secret, key=key).digest(16)


def forbid(text: str | bytes) -> None:
    """Keep `text`, or bytes, out of everything that is recorded from now on; short ones can't be
    kept out."""
    global _forbidden  # noqa: PLW0603 - what a process knows, it knows everywhere
    if len(text) >= SEARCHED:
        _forbidden |= {text}


def mask(text: str) -> str:
    """`text` with *** for each forbidden text, also where it stands escaped."""
    return _pattern(_forbidden).sub(MASK, text) if _forbidden else text


def holds_secret(data: bytes | bytearray | memoryview | Pieces) -> bool:
    """Whether a forbidden text is in `data`, as UTF-8, in JSON, or in an array of characters."""
    if not _forbidden or not len(data):
        return False
    if isinstance(data, Pieces):
        return any(map(holds_secret, data))
    needles = _needles(_forbidden)
    if not isinstance(data, memoryview):
        return any(needle in data for needle in needles)
    view = data.cast("B")
    overlap = max(map(len, needles)) - 1
    for begin in range(0, len(view), _PIECE):
        piece = bytes(view[begin : begin + _PIECE + overlap])
        if any(needle in piece for needle in needles):
            return True
    return False


def refuse_secrets(data: bytes | Pieces) -> None:
    """Raise NotStorableError for bytes that hold a forbidden text."""
    if holds_secret(data):
        raise NotStorableError("it holds the text of a Secret, which is never recorded.")


def _spellings(text: str | bytes) -> set[str]:
    if isinstance(text, bytes):
        return {repr(text)[2:-1], text.hex()}
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    return {text} | escaped


@lru_cache(1)
def _pattern(forbidden: frozenset[str | bytes]) -> re.Pattern[str]:
    found = {spelling for it in forbidden for spelling in _spellings(it)}
    return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))


@lru_cache(1)
def _needles(forbidden: frozenset[str | bytes]) -> tuple[bytes, ...]:
    found = {it for it in forbidden if isinstance(it, bytes)}
    texts = [it for it in forbidden if isinstance(it, str)]
    found |= {spelling.encode(*_AS_IS) for text in texts for spelling in _spellings(text)}
    found |= {text.encode("utf-32-le", "surrogatepass") for text in texts}  # as numpy has them
    return tuple(found)
