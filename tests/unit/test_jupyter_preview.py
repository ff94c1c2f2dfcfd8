from __future__ import annotations

import json
from typing import TYPE_CHECKING

from evercell.jupyter.preview import WrittenCell, plain_transform, read_cells, to_preview

if TYPE_CHECKING:
    from pathlib import Path


def test_cells_come_from_the_file_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    cells = [
        {"cell_type": "markdown", "id": "m", "source": ["# text"]},
        {"cell_type": "code", "id": "a", "source": ["x = 1\n", "y = 2"], "metadata": {}},
        {"cell_type": "code", "source": "z", "metadata": {"tags": ["evercell:volatile"]}},
    ]
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    assert read_cells(path) == [
        WrittenCell("x = 1\ny = 2", 1, "a"),
        WrittenCell("z", 2, None, ("evercell:volatile",)),
    ]


def test_a_file_that_is_being_saved_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    assert read_cells(path) is None
    path.write_text('{"cells": [')
    assert read_cells(path) is None


def test_only_cells_of_the_run_are_previewed() -> None:
    written = [
        WrittenCell("%evercell status", 0),
        WrittenCell(" \n", 1),
        WrittenCell("%%evercell volatile\nx = await f()", 2),
        WrittenCell("!ls", 3, "id"),
    ]
    volatile, shell = to_preview(written, plain_transform())
    assert (volatile.index, volatile.tags) == (2, ("evercell:volatile",))
    assert volatile.transformed == "# %%evercell volatile\nx = await f()\n"
    assert (shell.cell_id, shell.transformed) == ("id", "get_ipython().system('ls')\n")


def test_what_no_transformer_takes_stays_as_it_is() -> None:
    assert plain_transform()("x = (\n") == "x = (\n"
