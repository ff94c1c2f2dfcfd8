"""The options behind `%%evercell sql` and `%evercell fork`. The first are read here once, for
running it and for knowing, before it runs, whether it makes a variable. Pure, and it loads nothing.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any, Literal, get_args

from evercell.errors import UsageError

__all__ = ["FORMS", "Form", "Options", "leading_options", "parse_fork"]

Form = Literal["pandas", "polars", "arrow", "relation"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True, slots=True)
class Options:
    """`-o NAME` and `--FORM`, and the text behind them."""

    output: str | None  # "" where the name is missing
    form: Form | None
    rest: str


def leading_options(text: str) -> Options:
    """The options that `text` begins with."""
    output: str | None = None
    form: Form | None = None
    rest = text.strip()
    while True:
        word, _, behind = rest.partition(" ")
        if word in ("-o", "--output"):
            output, _, rest = behind.lstrip().partition(" ")
        elif chosen := _FORM_OPTIONS.get(word):
            form, rest = chosen, behind
        else:
            return Options(output, form, rest)
        rest = rest.lstrip()


_FORM_OPTIONS: dict[str, Form] = {f"--{form}": form for form in FORMS}


def parse_fork(text: str) -> tuple[str | None, dict[str, Any]]:
    """What `%evercell fork` is to do: the run that is named, and the results that are overridden,
    by step. Raises UsageError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"%evercell fork {text}: {error}. {_FORK_HINT}") from None
    runs: list[str] = []
    overrides: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if word == "--override":
            step, value = _override(next(rest, ""))
            overrides[step] = value
        elif word.startswith("--override="):
            step, value = _override(word.removeprefix("--override="))
            overrides[step] = value
        else:
            runs.append(word)
    if len(runs) > 1 or any(run.startswith("-") for run in runs):
        raise UsageError(f"%evercell fork has no {runs[-1]!r}. {_FORK_HINT}")
    return (runs[0] if runs else None), overrides


def _override(text: str) -> tuple[str, Any]:
    step, equals, value = text.partition("=")
    if not equals or not step.strip():
        raise UsageError(f"--override {text!r} is not of the form STEP=JSON. {_FORK_HINT}")
    try:
        return step.strip(), json.loads(value)
    except ValueError as error:
        raise UsageError(f"{value!r} is no JSON: {error}. {_FORK_HINT}") from None


_FORK_HINT = """Such as: %evercell fork --override plan='"a better plan"'"""
