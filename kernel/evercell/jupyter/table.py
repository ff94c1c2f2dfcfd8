"""A query's result as people read it: aligned text and a plain HTML table. Pure."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evercell.readable import NULL, as_text, clipped, exact, is_number

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TableView"]

_MAX_ROWS = 200
_MAX_TEXT = 60  # characters of one cell in the text form
_MAX_HTML = 300
_MAX_TITLE = 2000  # what pointing at a cell that was cut shows
_MAX_LINES = 8

_STYLE = """<style>
.evercell-result { overflow-x: auto; }
.evercell-table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.evercell-table th { text-align: left; font-weight: 600; white-space: nowrap; }
.evercell-table th, .evercell-table td { padding: .25em .75em; vertical-align: top;
  border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.evercell-table td { text-align: left; max-width: 32em; white-space: pre-wrap;
  overflow-wrap: break-word; }
.evercell-table .number { text-align: right; white-space: nowrap; }
.evercell-table td.time { white-space: nowrap; }
.evercell-table td.json { font-family: var(--jp-code-font-family, monospace); font-size: .9em; }
.evercell-table td.null { opacity: .4; font-style: italic; }
.evercell-caption { opacity: .7; font-size: .9em; margin-top: .4em; }
</style>"""


@dataclass(frozen=True, slots=True)
class TableView:
    """Columns and rows with a text and an HTML form; long results show their first rows.

    `types` are DuckDB's names of the columns' types.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]

    def __repr__(self) -> str:
        shown = [
            [_line(value, kind) for value, kind in zip(row, self.types, strict=True)]
            for row in self.rows[:_MAX_ROWS]
        ]
        widths = [max(map(len, column)) for column in zip(self.columns, *shown, strict=True)]
        right = [is_number(kind) for kind in self.types]
        lines = [
            "  ".join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in [list(self.columns), ["-" * width for width in widths], *shown]
        ]
        return "\n".join([*lines, self._caption()])

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th{_class('number' if is_number(kind) else '')}>{html.escape(name)}</th>"
            for name, kind in zip(self.columns, self.types, strict=True)
        )
        body = "".join(
            f"<tr>{''.join(map(_html_cell, row, self.types))}</tr>" for row in self.rows[:_MAX_ROWS]
        )
        return (
            f'{_STYLE}<div class="evercell-result"><table class="evercell-table">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            f'<div class="evercell-caption">{self._caption()}</div></div>'
        )

    def _caption(self) -> str:
        count = len(self.rows)
        if count > _MAX_ROWS:
            return f"{_MAX_ROWS:,} of {count:,} rows shown; -o name makes a DataFrame of them all"
        return f"{count:,} row{'' if count == 1 else 's'}"


def _line(value: object, kind: str) -> str:
    return clipped(" ".join(as_text(value, kind, limit=_MAX_TEXT).split()), _MAX_TEXT)


def _html_cell(value: object, kind: str) -> str:
    if value is None:
        return f"<td{_class(f'null {_class_of(kind)}'.strip())}>{NULL}</td>"
    whole = as_text(value, kind, limit=_MAX_HTML).strip("\n")
    lines = whole.splitlines()
    text = "\n".join(lines[:_MAX_LINES]) + ("\n…" if len(lines) > _MAX_LINES else "")
    text = clipped(text, _MAX_HTML)
    title = exact(value)
    if title is None and (text != whole or (isinstance(value, str) and len(value) > _MAX_HTML)):
        title = clipped(str(value), _MAX_TITLE)
    note = "" if title is None else f' title="{html.escape(title)}"'
    return f"<td{_class(_class_of(kind))}{note}>{html.escape(text)}</td>"


def _class_of(kind: str) -> str:
    if is_number(kind):
        return "number"
    if kind == "JSON" or kind.startswith(("STRUCT", "MAP")) or kind.endswith("]"):
        return "json"
    return "time" if kind.startswith(("TIMESTAMP", "DATE")) else ""


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
