"""A notebook's cells for the engine's preview: as a frontend shows them, or as the file has them.

frontend's cells | notebook file -> code cells of the run -> transformed as IPython would
                                 -> NotebookCell -> engine.preview
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.engine.preview import NotebookCell
from evercell.loading import importing

from .requests import CellKind, kind_of, tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from evercell.engine.state import RunState

__all__ = ["WrittenCell", "plain_transform", "read_cells", "recorded_cells", "to_preview"]


@dataclass(frozen=True, slots=True)
class WrittenCell:
    """A code cell as it stands in a notebook; nobody has looked at it yet."""

    source: str
    index: int  # in the notebook, from 0, markdown counted
    cell_id: str | None = None
    tags: tuple[str, ...] = ()


class _Cell(msgspec.Struct):
    cell_type: str = ""
    source: str | list[str] = ""
    id: str | None = None
    metadata: dict[str, Any] = {}


class _Notebook(msgspec.Struct):
    cells: list[_Cell] = []


def read_cells(path: Path) -> list[WrittenCell] | None:
    """The code cells of the notebook as it was saved; None if there is none to be read now."""
    try:
        notebook = msgspec.json.decode(path.read_bytes(), type=_Notebook)
    except (OSError, msgspec.DecodeError):
        return None
    return [
        WrittenCell(
            cell.source if isinstance(cell.source, str) else "".join(cell.source),
            index,
            cell.id,
            tags(cell.metadata, CellKind.ORDINARY),
        )
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
    ]


def recorded_cells(state: RunState) -> list[WrittenCell]:
    """The run's cells as they were run last, where no file tells."""
    found = []
    for number, event in enumerate(state.cells()):
        index = number if event.cell_index is None else event.cell_index
        found.append(WrittenCell(event.source, index, event.cell_id))
    return sorted(found, key=lambda cell: cell.index)


def to_preview(
    cells: Iterable[WrittenCell], transform: Callable[[str], str]
) -> tuple[NotebookCell, ...]:
    """The cells that belong to the run; what is blank or only asks about the run does not."""
    found = []
    for cell in cells:
        kind = kind_of(cell.source)
        if not cell.source.strip() or kind is CellKind.CONTROL:
            continue
        marks = tags({"tags": cell.tags}, kind)
        source = cell.source
        found.append(NotebookCell(source, transform(source), cell.index, cell.cell_id, marks))
    return tuple(found)


def plain_transform() -> Callable[[str], str]:
    """What turns cells into Python where no kernel runs; a cell that it rejects stays as it is."""
    from IPython.core.inputtransformer2 import TransformerManager  # noqa: PLC0415 - heavy

    with importing:
        from .magics import open_volatile  # noqa: PLC0415 - likewise

    manager = TransformerManager()
    manager.cleanup_transforms.append(open_volatile)

    def transform(source: str) -> str:
        try:
            return str(manager.transform_cell(source))
        except SyntaxError:
            return source

    return transform
