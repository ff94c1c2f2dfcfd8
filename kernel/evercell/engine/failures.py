"""An exception as it is recorded: readable, and so that it can be raised again where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.codec import exceptions
from evercell.codec.secret import holds_secret
from evercell.engine import clear
from evercell.errors import NotStorableError
from evercell.events import ErrorInfo

if TYPE_CHECKING:
    from evercell.history import History

__all__ = ["recorded_error"]


def recorded_error(
    error: BaseException, history: History, live: dict[str, Any], *, storable: bool = True
) -> ErrorInfo:
    """The record of `error`; with its payload where `storable`, it can be pickled, and holds no
    text of a Secret."""
    name, message, traceback = clear.error(error)
    if not storable:
        return ErrorInfo(name, message, traceback)
    try:
        encoded = exceptions.encode_exception(error, live)
    except NotStorableError:
        return ErrorInfo(name, message, traceback)
    if holds_secret(encoded.data):
        return ErrorInfo(name, message, traceback)
    payload = history.put(encoded.data, encoded.codec)
    return ErrorInfo(name, message, traceback, payload)
