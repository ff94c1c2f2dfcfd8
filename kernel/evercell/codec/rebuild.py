"""What stored streams call to rebuild functions, closure cells, exceptions and array views.

These names stand in histories: never rename or remove one, add a new one instead. Those that need
the live namespace are bound by the unpickler (`unpickling.Unpickler.find_class`); called by a plain
`pickle.loads` they refuse.
"""

from __future__ import annotations

import contextlib
import copyreg
import functools
import types
from typing import TYPE_CHECKING, Any, TypeVar

from evercell.codec.annotations import class_dict, set_evaluated
from evercell.codec.tracebacks import make_traceback, packed, points_of, unpacked
from evercell.errors import RestoreError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "OUT_OF_BAND",
    "by_stride",
    "exception_state",
    "make_array",
    "make_array_view",
    "make_cached_property",
    "make_cell",
    "make_exception",
    "make_function",
    "make_lru_cache",
    "make_partial_method",
    "make_reduced",
    "make_typevar",
    "named",
    "reduce_exception",
    "set_cell",
    "set_class_cell",
    "set_enum",
    "set_exception",
    "set_function",
]

OUT_OF_BAND = 65_536  # bytes from which a buffer travels beside the stream


def named(name: str) -> Any:
    """The function, class or step that the namespace has under `name`."""
    raise RestoreError(f"{name} belongs to a notebook: read this value through Evercell.")


def make_function(
    _code: bytes, _index: int, _scope: object, _name: str, _closure: tuple[Any, ...] | None
) -> Any:
    """A function from its stripped code; `_scope` is None for the live namespace, a module's name,
    or the very dict."""
    raise RestoreError("this function belongs to a notebook: read it through Evercell.")


def set_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    """Everything of a function that can refer back to it."""
    function.__dict__.update(state.pop("__dict__"))
    evaluated = state.pop("__annotations__", None) if "__annotate__" in state else None
    for name, value in state.items():
        setattr(function, name, value)
    if evaluated is not None:
        set_evaluated(function, state["__annotate__"], evaluated)


def make_cell() -> types.CellType:
    """An empty closure cell; several functions may share it."""
    return types.CellType()


def set_cell(cell: types.CellType, content: tuple[Any]) -> None:
    """Fill it; a tuple of one, for None is a content too."""
    (cell.cell_contents,) = content


def set_class_cell(cell: types.CellType, cls: type) -> None:
    """Let what is evaluated late see the attributes of its class."""
    cell.cell_contents = class_dict(cls)


def set_enum(cls: Any, state: tuple[dict[str, Any], dict[str, dict[str, Any]]]) -> None:
    """What else an enum has, and what its members have."""
    attributes, own = state
    for name, value in attributes.items():
        setattr(cls, name, value)
    for name, held in own.items():
        cls.__members__[name].__dict__.update(held)


def make_cached_property(function: Any, name: str | None, doc: str | None) -> Any:
    """A `functools.cached_property` that knows its attribute's name."""
    made: Any = functools.cached_property(function)
    made.attrname, made.__doc__ = name, doc
    return made


def make_partial_method(
    function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> functools.partialmethod[Any]:
    """A `functools.partialmethod`."""
    return functools.partialmethod(function, *arguments, **keywords)


def make_lru_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """A `functools.lru_cache` that remembers nothing yet."""
    return functools.lru_cache(**parameters)(function)


def make_typevar(
    name: str, constraints: tuple[Any, ...], options: dict[str, Any], module: str
) -> Any:
    """A type variable of the notebook."""
    variable: Any = TypeVar(name, *constraints, **options)  # type: ignore[misc]
    variable.__module__ = module
    return variable


def make_exception(cls: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """An exception without calling its own `__init__`, whose signature is nobody's business."""
    error = cls.__new__(cls, *arguments)
    with contextlib.suppress(TypeError):  # OSError and its like check what they are given
        builtin_base(cls).__init__(error, *arguments)
    return error


def make_reduced(maker: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """An exception whose author has said how it is pickled."""
    return maker(*arguments)


def reduce_exception(error: BaseException) -> Any:
    """How pickle makes the exception again: as its author has said, if so, with all else that it
    has. NotImplemented where that can't be done together."""
    kind = type(error)
    if not has_own_reduce(kind):
        arguments = exception_arguments(error)
        return make_exception, (kind, arguments), exception_state(error), None, None, set_exception
    reducer = copyreg.dispatch_table.get(kind)
    reduced: Any = error.__reduce_ex__(5) if reducer is None else reducer(error)
    if isinstance(reduced, str) or any(part is not None for part in reduced[3:]):
        return NotImplemented
    maker, arguments, own = (*reduced, None)[:3]
    state = {"own": own, **exception_state(error)}
    return make_reduced, (maker, arguments), state, None, None, set_exception


def exception_state(error: BaseException, *, own: bool = True) -> dict[str, Any]:
    """What an exception holds; its traceback with Evercell's `own` frames, if so asked."""
    return {
        "args": error.args,
        "cause": error.__cause__,
        "context": error.__context__,
        "suppress": error.__suppress_context__,
        "traceback": packed(points_of(error.__traceback__, own=own)),
        "fields": _fields(error),
        "dict": dict(vars(error)),
    }


def set_exception(error: BaseException, state: dict[str, Any]) -> None:
    """`args`, attributes, the chain, and a traceback without the frames' variables."""
    if state.get("own") is not None:
        error.__setstate__(state["own"])
    error.args = state["args"]
    error.__cause__ = state["cause"]
    error.__context__ = state["context"]
    error.__suppress_context__ = state["suppress"]
    error.__traceback__ = make_traceback(unpacked(state.get("traceback", b"")))
    for name, value in state.get("fields", {}).items():
        if not _is(getattr(error, name, _MISSING), value):
            with contextlib.suppress(AttributeError, TypeError):  # whoever compares finds it
                setattr(error, name, value)
    for name, value in state["dict"].items():
        if name in _C_FIELDS:
            setattr(error, name, value)
        else:
            error.__dict__[name] = value


def _fields(error: BaseException) -> dict[str, Any]:
    """Attributes that are not in its dict: those of C code (`NameError.name`), and slots."""
    classes = [c for c in type(error).__mro__ if c not in (object, BaseException)]
    kinds = (types.MemberDescriptorType, types.GetSetDescriptorType)
    names = {n for c in classes for n, made in vars(c).items() if isinstance(made, kinds)}
    names -= {"__dict__", "__weakref__", "exceptions"}  # a group's are among its arguments
    found = {name: getattr(error, name, _MISSING) for name in sorted(names)}
    return {name: value for name, value in found.items() if value is not _MISSING}


def _is(one: object, other: object) -> bool:
    """Whether a field needs not be set."""
    return one is other or (type(one) is type(other) and type(one) in _PLAIN and one == other)


def builtin_base(cls: type[BaseException]) -> Any:
    """The first class of the interpreter itself that `cls` is made of."""
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def has_own_reduce(cls: type[BaseException]) -> bool:
    """Whether somebody other than the interpreter says how `cls` is pickled."""
    methods = ("__reduce__", "__reduce_ex__")
    owner = next(base for base in cls.__mro__ if any(name in vars(base) for name in methods))
    return owner.__module__ != "builtins"


def exception_arguments(error: BaseException) -> tuple[Any, ...]:
    """What an exception is made from."""
    arguments: tuple[Any, ...] = builtin_base(type(error)).__reduce__(error)[1]
    return arguments


_MISSING = object()
_PLAIN = (str, bytes, int)
_C_FIELDS = frozenset({"name", "path", "name_from", "obj"})  # of ImportError, NameError, ...


def make_array(
    dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...], writable: bool, data: Any
) -> Any:
    """A numpy array. A small one gets memory of its own, which can be resized; a large one stays
    over the memory of `data`, which may be a file that nobody has read yet."""
    import numpy as np  # noqa: PLC0415 - only for those who have arrays

    array = np.ndarray(shape, dtype, buffer=data, strides=strides)
    if array.nbytes < OUT_OF_BAND:
        array = array.copy(order="K")
    if not writable:
        array.flags.writeable = False
    return array


def by_stride(array: Any) -> list[int]:
    """The axes of an array, from the longest step in memory to the shortest."""
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def make_array_view(  # noqa: PLR0917 - as the stream calls it
    base: Any,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
    writable: bool,
) -> Any:
    """A numpy array over the memory of `base`."""
    import numpy as np  # noqa: PLC0415 - only for those who have arrays

    # A buffer must be contiguous; numpy makes the owner of the memory the base all the same.
    ordered = base.transpose(by_stride(base))
    view = np.ndarray(shape, dtype, buffer=ordered, offset=offset, strides=strides)
    if not base.flags.writeable:
        view.flags.writeable = False
    if not writable:
        view.flags.writeable = False
    return view
