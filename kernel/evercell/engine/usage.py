"""Tokens and money: found in what model clients return, or said by the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evercell.engine.context import current_attempt
from evercell.errors import NotInKernelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Usage", "record_usage", "usage_of"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one model call used."""

    model: str | None
    input_tokens: int
    output_tokens: int
    cost: float | None = None


def record_usage(
    *,
    model: str | None = None,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cost: float | None = None,
) -> None:
    """Record what the running step used. It replaces what Evercell reads from the step's result.

    `cost` is in whatever currency the user counts in. Raises NotInKernelError outside a step that
    is being recorded, UsageError for negative numbers.
    """
    context = current_attempt.get()
    if context is None or not context.book.recording:
        raise NotInKernelError(
            "record_usage() was called outside a recorded step, so there is nothing to book it on. "
            "Call it in the body of an @step function."
        )
    if input_tokens < 0 or output_tokens < 0 or (cost is not None and cost < 0):
        raise UsageError("record_usage() takes no negative numbers.")
    context.reported = True
    used = Usage(model, input_tokens, output_tokens, cost)
    context.book.usage(context.attempt, used)


def usage_of(result: object) -> Usage | None:
    """The usage that an OpenAI or Anthropic answer (object or dict) carries, if it is one."""
    usage = _get(result, "usage")
    if usage is None:
        return None
    entered = _first_int(usage, "prompt_tokens", "input_tokens")
    left = _first_int(usage, "completion_tokens", "output_tokens")
    if entered is None and left is None:
        return None
    model = _get(result, "model")
    return Usage(model if isinstance(model, str) else None, entered or 0, left or 0)


def _get(value: object, name: str) -> Any:
    if type(value) is dict:
        mapping: Mapping[str, Any] = value
        return mapping.get(name)
    # Only declared data, never __getattr__: asking a stranger for "usage" could do anything.
    attributes = getattr(value, "__dict__", None)
    return attributes.get(name) if type(attributes) is dict else None


def _first_int(value: object, *names: str) -> int | None:
    for name in names:
        found = _get(value, name)
        if type(found) is int and found >= 0:
            return found
    return None
