"""Values from outside, made into what an annotation says: a JSON object into a model, and so on."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["convert", "convert_arguments", "json_schema"]


def convert(value: Any, annotation: Any, what: str) -> Any:
    """`value` as `annotation` says: pydantic models, dataclasses, msgspec structs and plain types,
    from their own kind or from JSON data; other classes are only checked. Raises UsageError."""
    if annotation in (inspect.Parameter.empty, Any, object):
        return value
    if isinstance(annotation, type) and isinstance(value, annotation):
        return value
    adapter = _pydantic_adapter(annotation)
    try:
        if adapter is not None:
            return adapter.validate_python(value)
        return msgspec.convert(value, annotation)
    except (msgspec.ValidationError, ValueError) as error:  # pydantic's is a ValueError
        raise UsageError(
            f"{what} takes {_name(annotation)}, and {value!r:.200} is none: {error}"
        ) from error
    except TypeError as error:  # a class that msgspec can't describe
        if isinstance(annotation, type):
            raise UsageError(f"{what} takes {_name(annotation)}, not {value!r:.200}.") from error
        return value


def convert_arguments(
    function: Callable[..., Any], name: str, args: list[Any], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments bound to `function`, each as its annotation says. Raises UsageError."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"{name!r} takes {signature}: {error}.") from error
    try:
        hints = get_type_hints(function)
    except NameError:  # an annotation of a name that only type checkers see
        return bound
    for parameter, value in bound.arguments.items():
        kind = signature.parameters[parameter].kind
        if parameter in hints and kind not in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD):
            what = f"{parameter} of {name!r}"
            bound.arguments[parameter] = convert(value, hints[parameter], what)
    return bound


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of a pydantic model, a dataclass, a struct or a plain type; a dict is one
    already. Raises UsageError."""
    if isinstance(kind, dict):
        return kind
    adapter = _pydantic_adapter(kind)
    try:
        schema = msgspec.json.schema(kind) if adapter is None else adapter.json_schema()
    except TypeError as error:
        raise UsageError(f"{_name(kind)} has no JSON schema: {error}.") from error
    return dict(schema)


def _pydantic_adapter(annotation: Any) -> Any:
    """pydantic's adapter where the annotation speaks of one of its models. A program that has not
    imported pydantic has none."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not _mentions_model(annotation, pydantic.BaseModel):
        return None
    return pydantic.TypeAdapter(annotation)


def _mentions_model(annotation: Any, model: type) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, model):
        return True
    return any(_mentions_model(part, model) for part in getattr(annotation, "__args__", ()))


def _name(annotation: Any) -> str:
    return getattr(annotation, "__qualname__", None) or str(annotation)
