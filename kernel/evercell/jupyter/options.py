"""The options behind `%%evercell sql`: read here once, for running it and for knowing, before it
runs, whether it makes a variable. Pure, and it loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["FORMS", "Form", "Options", "leading_options"]

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
