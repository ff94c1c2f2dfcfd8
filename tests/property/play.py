"""A plan, played in a laboratory."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from property.kernels import Cell, Laboratory, laboratory

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["play"]


class _User:
    def __init__(self, lab: Laboratory, cells: Sequence[str], ids: bool) -> None:
        self._lab = lab
        self._ids = ids
        self._numbers = itertools.count()
        self.cells = [self._new(source) for source in cells]

    def _new(self, source: str) -> Cell:
        return Cell(f"c{next(self._numbers)}", source)

    def _run(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            self._lab.execute(cell, use_ids=self._ids)

    def act(self, action: tuple[Any, ...]) -> None:  # noqa: C901 - one case each
        cells, lab = self.cells, self._lab
        name, *arguments = action
        at = arguments[0] % len(cells) if arguments and isinstance(arguments[0], int) else 0
        match name:
            case "run all":
                self._run(cells)
            case "restart and run all":
                lab.restart()
                self._run(cells)
            case "run":
                self._run([cells[at]])
            case "run up to":
                self._run(cells[: at + 1])
            case "kill in":
                lab.restart()
                self._run(cells[:at])
                lab.execute(cells[at], kill_at=arguments[1], use_ids=self._ids)
            case "edit" | "edit and run":
                cells[at] = Cell(cells[at].cell_id, arguments[1])
                if name == "edit and run":
                    self._run([cells[at]])
            case "insert":
                cells.insert(at, self._new(arguments[1]))
            case "append":
                cells.append(self._new(arguments[0]))
                self._run([cells[-1]])
            case "delete" if len(cells) > 1:
                del cells[at]
            case "move":
                cells.insert(arguments[1] % len(cells), cells.pop(at))
            case "repeat":
                cells.insert(arguments[1] % len(cells), self._new(cells[at].source))


def play(
    cells: Sequence[str], actions: Sequence[tuple[Any, ...]], *, ids: bool = True
) -> list[str]:
    """Run the notebook, do what the user does, kill the kernel and run it all again. Returns the
    laboratory's log. Raises AssertionError where Evercell and plain execution part."""
    with laboratory() as lab:
        user = _User(lab, cells, ids)
        user.act(("run all",))
        for action in actions:
            lab.log.append(f"-- {action!r}")
            user.act(action)
        user.act(("restart and run all",))
        lab.look()
        return lab.log
