"""Readable JSON of any value, for people: in SQL, in the widget, on a terminal. Never raises.

It is not for reading back: models and dataclasses become objects, tuples and sets lists, arrays and
frames their shape and first rows, anything else its `repr`. Beyond `limit` it is abridged.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from typing import Any

import msgspec

from evercell.codec.secret import MASK, Secret

__all__ = ["json_view"]

_DEPTH = 12
_PLAIN = frozenset({str, bool, type(None)})
_LARGE = 2**63
_encode = msgspec.json.Encoder(enc_hook=str).encode


def json_view(value: object, limit: int = 16_384) -> str:
    """JSON text of at most about `limit` characters."""
    if (plain := _plain_view(value)) is not None and len(plain) <= limit:
        return plain
    for items, characters in ((1000, limit), (50, 2000), (5, 200)):
        try:
            text = _encode(_View(items, characters).of(value, 0)).decode()
        except Exception as error:  # noqa: BLE001 - reprs and properties are other people's code
            return _encode(f"<{type(value).__qualname__}: {type(error).__name__}>").decode()
        if len(text) <= limit:
            return text
    return _encode(_clip(_repr(value), limit - 100)).decode()


def _plain_view(value: object) -> str | None:
    """The JSON of a flat dict of scalars, as most steps' arguments are; None for others."""
    if type(value) is not dict or len(value) > 100:
        return None
    for name, part in value.items():
        kind = type(part)
        small = kind is int and -_LARGE < part < _LARGE
        if type(name) is not str or not (small or kind in _PLAIN):
            return None
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:
        return None


class _View:
    def __init__(self, items: int, characters: int) -> None:
        self._items = items
        self._characters = characters
        self._open: set[int] = set()

    def of(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 - one case each
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return self.of(value.value, depth)
        if isinstance(value, int):
            return int(value) if abs(value) < 2**63 else str(int(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else repr(float(value))
        if isinstance(value, str):
            text = str(value)
            shown = text[: self._characters].encode(errors="replace").decode()
            return _cut(shown, len(text) - self._characters, f"{len(text)} characters")
        if isinstance(value, bytes | bytearray):
            shown = repr(value[: self._characters])  # of a gigabyte it would take four
            return _cut(shown, len(value) - self._characters, f"{len(value)} bytes")
        if isinstance(value, Secret):
            return MASK
        if id(value) in self._open or depth > _DEPTH:
            return "..."
        self._open.add(id(value))
        try:
            return self._compound(value, depth + 1)
        finally:
            self._open.discard(id(value))

    def _compound(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 - one case each
        if isinstance(value, dict):
            return self._pairs(value, depth)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._pairs(dict(zip(value._fields, value, strict=False)), depth)
        if isinstance(value, list | tuple | set | frozenset):
            shown = [self.of(v, depth) for _, v in zip(range(self._items), value, strict=False)]
            return shown if len(value) <= self._items else [*shown, _more(len(value), self._items)]
        if isinstance(value, type):
            return value.__qualname__
        if hasattr(value, "model_dump") and hasattr(type(value), "model_fields"):
            return self.of(value.model_dump(mode="json"), depth)
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value)]
            return self._pairs({n: getattr(value, n, None) for n in names}, depth)
        if hasattr(type(value), "__attrs_attrs__"):
            names = [a.name for a in type(value).__attrs_attrs__]
            return self._pairs({n: getattr(value, n, None) for n in names}, depth)
        return self._library(value, depth)

    def _library(self, value: Any, depth: int) -> Any:
        numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
        if numpy is not None and hasattr(numpy, "ndarray"):
            if isinstance(value, numpy.generic):
                return self.of(value.item(), depth)
            if isinstance(value, numpy.ndarray):
                first = value.reshape(-1)[: min(self._items, 20)].tolist()
                return {
                    "dtype": str(value.dtype),
                    "shape": list(value.shape),
                    "first": self.of(first, depth),
                }
        if pandas is not None and hasattr(pandas, "DataFrame"):
            if isinstance(value, pandas.DataFrame):
                rows = value.head(min(self._items, 10)).to_dict(orient="records")
                return {
                    "columns": [str(c) for c in value.columns],
                    "rows": len(value),
                    "first": self.of(rows, depth),
                }
            if isinstance(value, pandas.Series):
                first = value.head(min(self._items, 10)).to_list()
                return {"name": str(value.name), "rows": len(value), "first": self.of(first, depth)}
        return _clip(_repr(value), self._characters)

    def _pairs(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        pairs = zip(range(self._items), list(value.items()), strict=False)
        shown = {
            self.of(k, depth) if isinstance(k, str) else _clip(_repr(k), 200): self.of(v, depth)
            for _, (k, v) in pairs
        }
        if len(value) > self._items:
            shown["..."] = _more(len(value), self._items)
        return shown


def _more(size: int, shown: int) -> str:
    return f"... {size - shown} more"


def _clip(text: str, characters: int) -> str:
    return _cut(text[:characters], len(text) - characters, f"{len(text)} characters")


def _cut(shown: str, missing: int, whole: str) -> str:
    return shown if missing <= 0 else f"{shown}... {whole}"


def _repr(value: object) -> str:
    return repr(value).encode(errors="replace").decode()
