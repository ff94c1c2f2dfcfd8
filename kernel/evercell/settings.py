"""What `evercell.configure` sets: one frozen value for the process, replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from evercell.codec.layers import ZSTD, Layer, check_layer, encrypts
from evercell.codec.redaction import mask_keys
from evercell.errors import UsageError

__all__ = ["OPTIONS", "Redactor", "Settings", "change", "current", "reset"]

Redactor = Callable[[str], str]


class Settings(msgspec.Struct, frozen=True):
    """The options in force."""

    layers: tuple[Layer, ...] = ()  # around every payload, innermost first
    redact: Redactor | None = mask_keys  # over text for people
    views: bool | None = None  # record text for people in clear; None: unless a layer encrypts
    compress: bool = True  # zstd where it pays
    interceptors: tuple[Any, ...] = ()  # around steps, the outermost first
    lazy_from: int | None = 8 << 20  # bytes from which a restored value is loaded when needed
    output_limit: int | None = 32 << 20  # bytes of a cell's outputs that are recorded
    payload_limit: int | None = None  # bytes of one value that a step, workflow or message records
    verify_in_fork: bool = True  # try large values in a copy of the process, not in their cell
    progress: bool = False  # a cell with durable calls shows the run below it

    @property
    def in_clear(self) -> bool:
        """Whether arguments, results, errors and sources are recorded in clear, for people."""
        if self.views is None:
            return not self.layers or not encrypts(self.layers)
        return self.views


_current = Settings()


def current() -> Settings:
    """The options in force now."""
    return _current


def change(**options: Any) -> Settings:
    """Put the given options in force, all or none. Raises UsageError."""
    global _current  # noqa: PLW0603 - a process has one set of options
    if unknown := options.keys() - _READERS.keys():
        raise UsageError(
            f"configure() has no option {min(unknown)!r}; it has {', '.join(sorted(_READERS))}."
        )
    changes: dict[str, Any] = {}
    for name, value in options.items():
        field, read = _READERS[name]
        changes[field] = read(name, value)
    _current = replace(_current, **changes)
    return _current


def reset() -> None:
    """Back to the defaults."""
    global _current  # noqa: PLW0603 - see above
    _current = Settings()


def _layers(_name: str, value: Any) -> tuple[Layer, ...]:
    if value is None:
        return ()
    given = value if isinstance(value, list | tuple) else (value,)
    layers = tuple(check_layer(layer) for layer in given)
    names = [layer.name for layer in layers]
    if len(set(names)) < len(names):
        raise UsageError(f"Codec layers need names of their own, not {', '.join(names)}.")
    if any(layer.name == ZSTD.name and layer is not ZSTD for layer in layers):
        raise UsageError("The codec layer 'zstd' is built in; name yours differently.")
    return layers


def _redactor(_name: str, value: Any) -> Redactor | None:
    if value is True:
        return mask_keys
    if value is False or value is None:
        return None
    if not callable(value):
        raise UsageError("redact is a function from text to text, True (the default) or False.")
    found: Redactor = value
    return found


def _interceptors(_name: str, value: Any) -> tuple[Any, ...]:
    given = tuple(value or ())
    for interceptor in given:
        if not (hasattr(interceptor, "step") and hasattr(interceptor, "workflow")):
            raise UsageError(f"{interceptor!r} is no evercell.Interceptor.")
    return given


def _size(name: str, value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise UsageError(f"{name} is a number of bytes, or None, not {value!r}.")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} is True or False, not {value!r}.")
    return value


def _optional_flag(name: str, value: Any) -> bool | None:
    return None if value is None else _flag(name, value)


_READERS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "codec": ("layers", _layers),
    "redact": ("redact", _redactor),
    "views": ("views", _optional_flag),
    "compress": ("compress", _flag),
    "interceptors": ("interceptors", _interceptors),
    "lazy_from": ("lazy_from", _size),
    "output_limit": ("output_limit", _size),
    "payload_limit": ("payload_limit", _size),
    "verify_in_fork": ("verify_in_fork", _flag),
    "progress": ("progress", _flag),
}
OPTIONS = tuple(_READERS)
