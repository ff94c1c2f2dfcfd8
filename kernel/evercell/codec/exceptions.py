"""What an attempt raised, readable and so that it can be raised again.

An exception is rebuilt without calling its `__init__`, whose signature `args` rarely fits: the
class, `args`, the attributes that can be stored, the chain of causes. What can't be stored (an open
response) is left out; type, `args` and `str()` must survive, or it is not storable.
"""

from __future__ import annotations

import traceback
from typing import Any

from evercell.codec import rebuild
from evercell.codec.pickling import dump, load
from evercell.codec.values import Encoded
from evercell.errors import EvercellError, NotStorableError, RestoreError

__all__ = ["decode_exception", "describe", "encode_exception"]

CODEC = "exception"
_DEPTH = 8  # exceptions of a chain that are kept


def describe(error: BaseException) -> tuple[str, str, str]:
    """(qualified type name, message, traceback text)."""
    kind = type(error)
    module = kind.__module__
    name = (
        kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    )
    return name, _text(error), "".join(traceback.format_exception(error))


def encode_exception(error: BaseException, live: dict[str, Any]) -> Encoded:
    """The exception as bytes. Raises NotStorableError."""
    state = _state(error, live, _DEPTH)
    stream = dump(state, live).stream
    try:
        restored = decode_exception(CODEC, stream, live)
    except RestoreError as failed:
        raise NotStorableError(
            f"{type(error).__qualname__} can't be rebuilt: {failed.message}"
        ) from failed
    if type(restored) is not type(error) or _text(restored) != _text(error):
        raise NotStorableError(f"{type(error).__qualname__} comes back as something else.")
    return Encoded(CODEC, stream, None)


def decode_exception(codec: str, data: bytes, live: dict[str, Any]) -> BaseException:
    """The exception again, its traceback without variables. Raises RestoreError."""
    if codec != CODEC:
        raise RestoreError(
            f"a recorded exception has the codec {codec!r}, which this release lacks."
        )
    state = load(data, (), live)
    try:
        return _build(state)
    except Exception as error:
        raise RestoreError(f"a recorded exception can't be rebuilt: {error}.") from error


def _state(error: BaseException, live: dict[str, Any], depth: int) -> dict[str, Any]:
    if rebuild.has_own_reduce(type(error)) and _stores(error, live):
        return {"whole": error}
    found = rebuild.exception_state(error, own=False)
    for part in ("dict", "fields"):
        found[part] = {n: value for n, value in found[part].items() if _stores(value, live)}
    state = {
        "type": type(error),
        "arguments": rebuild.exception_arguments(error),
        **found,
        "cause": None,
        "context": None,
    }
    for link, other in (("cause", error.__cause__), ("context", error.__context__)):
        if other is not None and depth > 0:
            nested = _state(other, live, depth - 1)
            state[link] = nested if _stores(nested, live) else None
    return state


def _build(state: dict[str, Any]) -> BaseException:
    if "whole" in state:
        whole: BaseException = state["whole"]
        return whole
    error = rebuild.make_exception(state["type"], state["arguments"])
    chain = {k: None if state[k] is None else _build(state[k]) for k in ("cause", "context")}
    rebuild.set_exception(error, {**state, **chain})
    return error


def _stores(value: object, live: dict[str, Any]) -> bool:
    try:
        load(dump(value, live).stream, (), live)
    except EvercellError:
        return False
    return True


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001 - `__str__` is other people's code
        return f"<{type(failed).__name__} in __str__>"
