"""Why a value can't be pickled, or can't be loaded again: which object, which of its methods."""

from __future__ import annotations

import copyreg
import os
import pickle
from typing import TYPE_CHECKING

import cloudpickle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

__all__ = ["full_name", "summary", "why_not_loaded", "why_not_pickled"]

_OWN = (
    os.path.dirname(__file__),  # noqa: PTH120 - compared with what code objects hold
    os.path.dirname(cloudpickle.__file__),  # noqa: PTH120 - as above
    copyreg.__file__,
    pickle.__file__,
)


def full_name(kind: type) -> str:
    """As "pandas.DataFrame"; builtins and the notebook's own by their bare names."""
    if kind.__module__ in ("builtins", "__main__", None):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def summary(error: BaseException) -> str:
    """Its first line, or its type where it says nothing."""
    return (str(error) or type(error).__name__).splitlines()[0]


def why_not_pickled(error: BaseException, value: object) -> str:
    """`value` is the object that was being pickled when `error` was raised."""
    method = next(_methods(error), None)
    if method is not None:
        name = method.co_name.rpartition(".")[2]  # Cython's are qualified
        return f"{full_name(type(value))}: its {name} raised {_told(error)}"
    text = summary(error)
    if isinstance(error, TypeError | pickle.PicklingError) and "pickle" in text:
        return text  # Python's own words, which name the type
    return f"{full_name(type(value))} can't be pickled: {_told(error)}"


def why_not_loaded(error: BaseException) -> str:
    """What loading a pickle has come to."""
    method = next(_methods(error), None)
    where = "" if method is None else f"{method.co_qualname} raised "
    return f"its pickle can't be loaded: {where}{_told(error)}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {summary(error)}" if str(error) else type(error).__name__


def _methods(error: BaseException) -> Iterator[CodeType]:
    """The code that pickle called, and what that called, outermost first."""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith(_OWN):
            yield code
        trace = trace.tb_next
