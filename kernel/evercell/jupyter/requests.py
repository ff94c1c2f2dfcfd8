"""What an execute_request says about its cell beyond the code. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from .options import leading_options

__all__ = ["VOLATILE_TAG", "CellKind", "cell_index", "kind_of", "tags"]

VOLATILE_TAG = "evercell:volatile"
"""The tag, from the notebook or set here, of a cell that always runs and is never restored."""


class CellKind(Enum):
    """How a cell is treated, as far as its Evercell magics decide it."""

    ORDINARY = "ordinary"
    VOLATILE = "volatile"  # runs each time, and the record says so
    CONTROL = "control"  # about the run, no part of it: works when the history does not


def kind_of(source: str) -> CellKind:
    """The kind of a cell, from its source as the user wrote it."""
    lines = [line.strip() for line in source.splitlines()]
    code = [line.split() for line in lines if line and not line.startswith("#")]
    if not code:
        return CellKind.ORDINARY
    first = next(line.split() for line in lines if line)
    if first[0] == "%%evercell":
        return _kind_of_command(first[1:])
    if all(words[0] == "%evercell" for words in code):
        kinds = {_kind_of_command(words[1:]) for words in code}
        return CellKind.VOLATILE if CellKind.VOLATILE in kinds else CellKind.CONTROL
    return CellKind.ORDINARY


def _kind_of_command(words: list[str]) -> CellKind:
    """`sql -o name` makes a variable, so it has its place in the run."""
    command = words[:1]
    if command == ["volatile"]:
        return CellKind.VOLATILE
    if command == ["sql"] and leading_options(" ".join(words[1:])).output is not None:
        return CellKind.VOLATILE
    return CellKind.CONTROL


def tags(metadata: Mapping[str, Any] | None, kind: CellKind) -> tuple[str, ...]:
    """The cell's tags, from the metadata that the frontend sent, and the volatile one by magic."""
    found = (metadata or {}).get("tags", ())
    given = tuple(tag for tag in found if isinstance(tag, str)) if _is_list(found) else ()
    if kind is CellKind.VOLATILE and VOLATILE_TAG not in given:
        return (*given, VOLATILE_TAG)
    return given


def cell_index(metadata: Mapping[str, Any] | None) -> int | None:
    """The index that the headless runner sends, `{"evercell": {"cell_index": 3}}`."""
    ours = (metadata or {}).get("evercell")
    index = ours.get("cell_index") if isinstance(ours, Mapping) else None
    return index if isinstance(index, int) else None


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)
