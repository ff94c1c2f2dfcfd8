"""A query's result as people read it: aligned text and a plain HTML table. Pure."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TableView"]

_MAX_ROWS = 200
_MAX_TEXT = 60  # characters of one cell in the text form
_MAX_HTML = 500

_STYLE = """<style>
.evercell-table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.evercell-table th { text-align: left; font-weight: 600; }
.evercell-table th, .evercell-table td { padding: .25em .75em; vertical-align: top;
  border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
.evercell-table td.number { text-align: right; }
.evercell-table td.none { opacity: .45; }
.evercell-caption { opacity: .7; font-size: .9em; margin-top: .4em; }
</style>"""


@dataclass(frozen=True, slots=True)
class TableView:
    """Columns and rows with a text and an HTML form; long results show their first rows."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]

    def __repr__(self) -> str:
        shown = [[_short(_text(v), _MAX_TEXT) for v in row] for row in self.rows[:_MAX_ROWS]]
        widths = [
            max(len(name), *(len(row[n]) for row in shown)) if shown else len(name)
            for n, name in enumerate(self.columns)
        ]
        right = [self._is_number_column(n) for n in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in [list(self.columns), ["-" * width for width in widths], *shown]
        ]
        return "\n".join([*lines, self._caption()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            f"<tr>{''.join(_html_cell(value) for value in row)}</tr>"
            for row in self.rows[:_MAX_ROWS]
        )
        return (
            f'{_STYLE}<table class="evercell-table"><thead><tr>{head}</tr></thead>'
            f'<tbody>{body}</tbody></table><div class="evercell-caption">{self._caption()}</div>'
        )

    def _caption(self) -> str:
        count = len(self.rows)
        if count > _MAX_ROWS:
            return f"{_MAX_ROWS:,} of {count:,} rows shown"
        return f"{count:,} row{'' if count == 1 else 's'}"

    def _is_number_column(self, n: int) -> bool:
        values = [row[n] for row in self.rows[:_MAX_ROWS] if row[n] is not None]
        return bool(values) and all(_is_number(value) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | timedelta) and not isinstance(value, bool)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case datetime():
            return value.isoformat(" ", "milliseconds")
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _short(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _html_cell(value: object) -> str:
    if value is None:
        return '<td class="none">&ndash;</td>'
    text = html.escape(_short(_text(value), _MAX_HTML))
    return f'<td class="number">{text}</td>' if _is_number(value) else f"<td>{text}</td>"
