"""Events as bytes, whatever text they hold.

File names and program output may hold lone surrogates, which no UTF-8 can carry. Losing a record
over one would be worse than writing it as `\\udc80`, so that is what happens.
"""

from __future__ import annotations

from typing import Any

import msgspec

from evercell.events import Event, encode_event

__all__ = ["encode"]


def encode(event: Event) -> bytes:
    """The event as bytes; lone surrogates become escapes."""
    try:
        return encode_event(event)
    except UnicodeEncodeError:
        escaped: Event = _escaped(event)
        return encode_event(escaped)


def _escaped(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case msgspec.Struct():
            parts = [_escaped(getattr(value, name)) for name in value.__struct_fields__]
            return type(value)(*parts)
        case dict():
            return {_escaped(name): _escaped(part) for name, part in value.items()}
        case tuple() | list():
            return type(value)(map(_escaped, value))
        case _:
            return value
