"""The views and their columns as `views/*.sql` comments them: for completion and for docs/sql.md,
which must not wait for a lock or load DuckDB."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import msgspec

__all__ = ["View", "views", "views_script"]

_COMMENT = re.compile(r"COMMENT ON (VIEW|COLUMN) (\w+)(?:\.(\w+))? IS '((?:[^']|'')*)';")


class View(msgspec.Struct, frozen=True):
    """A view that people query; `columns` are its columns' comments by name, in order."""

    name: str
    comment: str
    columns: dict[str, str]


@cache
def views_script() -> str:
    """The statements that make all views: the files in `views`, by name."""
    folder = resources.files("evercell.history").joinpath("views")
    files = sorted(folder.iterdir(), key=lambda it: it.name)
    return "\n".join(it.read_text(encoding="utf-8") for it in files if it.name.endswith(".sql"))


@cache
def views() -> dict[str, View]:
    """The views by name, in the order of the script."""
    text = views_script()
    found: dict[str, View] = {}
    for kind, view, column, quoted in _COMMENT.findall(text):
        comment = quoted.replace("''", "'")
        if kind == "VIEW":
            found[view] = View(view, comment, {})
        else:
            found[view].columns[column] = comment
    return found
