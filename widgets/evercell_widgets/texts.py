"""Code, arguments, results and errors in one line each, for people."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evercell.events import ErrorInfo

__all__ = ["call_text", "cut", "error_line", "one_line", "preview"]

_OPENING = re.compile(r'^\{"\w+": ?"?')
_PRELUDE = ("import ", "from ", "@")
_REMEMBERED = 1024  # texts: those of the rows in sight are asked for several times a second
_ERROR = 300  # characters of an error's first line


def cut(text: str, width: int) -> str:
    """`text` in at most `width` characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def preview(source: str, width: int = 100) -> str:
    """The line of `source` that tells most: the first that is no comment, import or decorator."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")] or lines or [""]
    line = next((line for line in code if not line.startswith(_PRELUDE)), code[0])
    return cut(line, width)


@lru_cache(_REMEMBERED)
def call_text(arguments: str, width: int = 300) -> str:
    """A JSON object of arguments as values, with names only where there are several."""
    try:
        values = json.loads(arguments) if arguments else {}
    except ValueError:  # cut off: it is only shown
        return cut(_OPENING.sub("", arguments), width - 1).removesuffix("…") + "…"
    if not isinstance(values, dict):
        return cut(arguments, width)
    shown = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    if len(shown) == 1:
        return cut(next(iter(shown.values())), width)
    return cut(", ".join(f"{name}: {value}" for name, value in shown.items()), width)


@lru_cache(_REMEMBERED)
def one_line(result: str, width: int = 200) -> str:
    """A result's JSON in one line; a text without its quotation marks."""
    if result.startswith('"'):
        try:
            result = json.loads(result)
        except ValueError:  # cut off
            result = result[1:]
    return cut(" ".join(result[: 4 * width].split()), width)


def error_line(error: ErrorInfo | None) -> str | None:
    """An exception's type and the first line of what it says."""
    if error is None:
        return None
    message = error.message.strip().partition("\n")[0]
    return f"{error.type}: {message}"[:_ERROR] if message else error.type
