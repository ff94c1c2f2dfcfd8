"""A step's argument or result as bytes and back.

    exactly JSON-able and without aliases -> "json", compact
    what holds large arrays or bytes      -> "parts": a pickle, with their memory behind it
    everything else                       -> "pickle"
    one of these, and what a call changed -> "changed" (changes.py)
    pickles are loaded once to see that they come back equal

Reading JSON gives the same types, the same floats, the same order of keys: that is what "exactly"
means. A list that stands in two places is one object, which JSON can't say, so that is pickled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.codec import canonical, changes
from evercell.codec.buffers import PrivateMapping
from evercell.codec.layers import CHUNK
from evercell.codec.parts import Parted, Pieces, parted
from evercell.codec.pickling import dump, load
from evercell.codec.views import json_view
from evercell.errors import EvercellError, NotStorableError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evercell.codec.buffers import Buffer
    from evercell.codec.pickling import Dumped

__all__ = ["Encoded", "check_round_trip", "decode", "encode", "json_view"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_INTEGER = 2**53  # beyond it other readers of the JSON would round
_TRUSTED = (type(None), bool)


class Encoded(msgspec.Struct, frozen=True):  # each step makes one: five times as quick
    """A stored value: how to decode it, its bytes, and JSON for people where it is not JSON.

    Those of large arrays are pieces of the value's own memory: no copy of a gigabyte is made.
    """

    codec: str
    data: bytes | Pieces
    view: str | None = None


def encode(value: object, live: dict[str, Any]) -> Encoded:
    """The value as bytes that `decode` is known to understand. Raises NotStorableError."""
    if type(value) is str:
        try:
            return Encoded("json", _encode(value))
        except UnicodeEncodeError:
            pass
    elif _is_json(value, set()):
        try:
            return Encoded("json", _encode(value))
        except (UnicodeEncodeError, RecursionError):
            pass
    dumped = dump(value, live, out_of_band=True, apart=True)
    stream = dumped.stream
    if dumped.buffers:
        if not dumped.plain:
            _check_parts(value, dumped, live)
        pieces = Pieces(stream, dumped.buffers)
        data = pieces if len(pieces) > CHUNK else bytes(pieces)
        return Encoded("parts", data, json_view(value))
    check_round_trip(value, dumped.main, load(stream, (), live), live)
    return Encoded("pickle", stream, json_view(value))


def decode(codec: str, data: Buffer | Parted, live: dict[str, Any]) -> Any:
    """The value that `encode` was given. Raises RestoreError.

    One large array stays over the memory of `data`, if that is a private mapping.
    """
    if isinstance(data, Parted) or codec == "parts":
        stream, buffers = parted(data)
        # Two arrays in one mapping would look as if they shared memory.
        mapped = isinstance(data, PrivateMapping) and len(buffers) == 1
        return load(stream, buffers, live, owned=mapped)
    if codec == "json":
        try:
            return _decode(data)
        except msgspec.DecodeError as error:
            raise RestoreError(
                f"a recorded value is not the JSON it should be: {error}."
            ) from error
    if codec == changes.CODEC:
        changed = changes.unpack(data)
        return decode(changed.codec, changed.result, live)
    if codec == "pickle":
        return load(data, (), live)
    raise RestoreError(f"a recorded value has the codec {codec!r}, which this release lacks.")


def check_round_trip(
    value: object,
    main: bytes,
    loaded: object,
    live: dict[str, Any],
    own: Mapping[str, object] | None = None,
) -> None:
    """Raise NotStorableError unless `loaded` is what `value` was.

    Cheap first: the same bytes when it is pickled again. Sets and string identities can change the
    bytes of an equal value; then the contents are compared.
    """
    try:
        again = dump(loaded, live, own=own or {})
        if again.main == main:
            return
        if canonical.digest(value, live, "value") == canonical.digest(loaded, live, "value"):
            return
    except EvercellError as error:
        raise NotStorableError(f"its round trip can't be verified: {error.message}") from error
    raise NotStorableError("it comes back from its pickle as something else")


def _check_parts(value: object, dumped: Dumped, live: dict[str, Any]) -> None:
    """`check_round_trip` of what has buffers."""
    loaded = load(dumped.stream, dumped.buffers, live)
    try:
        again = dump(loaded, live, out_of_band=True, apart=True)
    except EvercellError as error:
        raise NotStorableError(f"its round trip can't be verified: {error.message}") from error
    if again.main != dumped.main or again.content_of_buffers() != dumped.content_of_buffers():
        check_round_trip(value, b"", loaded, live)


def _is_json(value: object, seen: set[int]) -> bool:
    kind = type(value)
    if kind is str or kind in _TRUSTED:
        return True
    if kind is int:
        return -_INTEGER <= value <= _INTEGER  # type: ignore[operator]
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if (kind is not list and kind is not dict) or id(value) in seen:
        return False
    seen.add(id(value))
    if kind is list:
        return all(_is_json(item, seen) for item in value)  # type: ignore[attr-defined]
    return all(
        type(key) is str and _is_json(item, seen)
        for key, item in value.items()  # type: ignore[attr-defined]
    )
