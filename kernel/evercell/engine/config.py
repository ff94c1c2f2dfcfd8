"""`evercell.configure`: options of this process."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from evercell import settings
from evercell.engine.session import current_session
from evercell.errors import NotInKernelError

__all__ = ["configure"]


def configure(**options: Any) -> None:
    """Set options of this process; what is not given stays. The cell that calls it runs each time.

    codec: a layer, or several, innermost first, through which every value is recorded, such as
        `AesGcm(key)`; None takes them away.
    redact: a function from text to text, over everything that is recorded for people to read; True
        for the default (masks what looks like a key), False for none. Secrets are always masked.
    views: whether arguments, results, errors and sources are recorded in clear, for SQL and the
        widget; None (default): unless a layer encrypts.
    compress: zstd where it pays (default: True).
    interceptors: `Interceptor`s around every attempt of a step, the outermost first.

    Raises UsageError for anything else; then nothing is changed.
    """
    with suppress(NotInKernelError):  # in a script, or before a kernel's first cell
        current_session().cells.mark_volatile("it configures Evercell")
    settings.change(**options)
