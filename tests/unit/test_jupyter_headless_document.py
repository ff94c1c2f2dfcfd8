"""Notebook files: what is refused and why, ids that stay, and writing that loses nothing."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from evercell.errors import NotebookInvalidError, NotebookNotFoundError, UsageError
from evercell.jupyter.headless.document import OutputFile, code_cells, read_notebook, settle_ids

CODE = {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": []}


def notebook(*cells: Any, minor: int = 5, **more: Any) -> dict[str, Any]:
    return {
        "nbformat": 4,
        "nbformat_minor": minor,
        "metadata": {},
        "cells": [dict(cell) for cell in cells or (CODE,)],
        **more,
    }


def saved(folder: Path, content: object, name: str = "nb.ipynb") -> Path:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# -- reading ------------------------------------------------------------------------------------


def test_a_notebook_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotebookNotFoundError, match=r"There is no notebook at .*nope"):
        read_notebook(tmp_path / "nope.ipynb")


def test_a_name_without_its_ending_gets_a_hint(tmp_path: Path) -> None:
    saved(tmp_path, notebook())
    with pytest.raises(NotebookNotFoundError, match=r"Did you mean nb\.ipynb\?"):
        read_notebook(tmp_path / "nb")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(NotebookNotFoundError, match="is a folder"):
        read_notebook(tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('<<<<<<< HEAD\n{"cells": []}', "merge conflict"),
        ("[" * 100_000, "nested too deeply"),
        ([], "no object"),
        ({}, "no `nbformat` and `cells`"),
        ({"cells": []}, "no `nbformat` and `cells`"),
        ({"nbformat": 4}, "no `nbformat` and `cells`"),
        ({"nbformat": "4", "cells": []}, "no `nbformat` and `cells`"),
        ({"nbformat": 5, "cells": []}, "notebook format 5"),
        ({"nbformat": 3, "worksheets": 1}, "format 3 and can't be upgraded"),
        ({"nbformat": 4, "cells": {}}, "`cells` are no list"),
        ({"nbformat": 4, "cells": [], "metadata": []}, "`metadata` are no object"),
        ({"nbformat": 4, "cells": ["print()"]}, "cell 1 has the type None"),
        ({"nbformat": 4, "cells": [{"cell_type": "sql"}]}, "cell 1 has the type 'sql'"),
        (notebook(CODE, CODE | {"source": 3}), "source of cell 2 is no text"),
        (notebook(CODE | {"metadata": None}), "metadata of cell 1 are no object"),
        (notebook(CODE | {"cell_type": "markdown"}), "no code cells"),
        (notebook(CODE | {"source": " \n"}), "no code cells"),
        (notebook(metadata={"kernelspec": {"language": "R"}}), "notebook in R"),
        (notebook(metadata={"language_info": {"name": "julia"}}), "notebook in julia"),
    ],
)
def test_what_is_no_python_notebook_is_refused_with_the_reason(
    tmp_path: Path, content: object, why: str
) -> None:
    with pytest.raises(NotebookInvalidError, match=why):
        read_notebook(saved(tmp_path, content))


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "nb.ipynb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NotebookInvalidError, match="not UTF-8"):
        read_notebook(tmp_path / "nb.ipynb")


def test_lines_are_joined_and_what_may_lack_is_filled(tmp_path: Path) -> None:
    path = saved(
        tmp_path, {"nbformat": 4, "cells": [{"cell_type": "code", "source": ["a\n", "b"]}]}
    )
    read = read_notebook(path)
    assert read["cells"][0] == {
        "cell_type": "code",
        "source": "a\nb",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    assert code_cells(read) == [0]


def test_an_older_format_is_upgraded_the_same_way_each_time(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "input": "x = 1", "outputs": [], "language": "python"}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [cell]}]}
    path = saved(tmp_path, old)
    read = read_notebook(path)
    assert read["cells"][0]["source"] == "x = 1"
    assert read == read_notebook(path)


@pytest.mark.parametrize(
    ("ids", "settled"),
    [
        (["a", "b"], ["a", "b"]),
        ([None, "b"], ["cell-0", "b"]),
        (["a", "a", "a"], ["a", "a-2", "a-3"]),
        (["a", "a-2", "a"], ["a", "a-2", "a-3"]),
        (["", "not an id!", 3], ["cell-0", "cell-1", "cell-2"]),
        (["cell-1", None], ["cell-1", "cell-1-2"]),
        (["x" * 64, "x" * 64], ["x" * 64, "x" * 56 + "-2"]),
    ],
)
def test_missing_and_repeated_ids_are_settled_without_chance(
    ids: list[object], settled: list[str]
) -> None:
    target = notebook(*(CODE | {"id": each} for each in ids))
    settle_ids(target)
    assert [cell["id"] for cell in target["cells"]] == settled


def test_formats_before_ids_have_none() -> None:
    target = notebook(minor=4)
    settle_ids(target)
    assert "id" not in target["cells"][0]


# -- writing ------------------------------------------------------------------------------------


def write(file: OutputFile, text: str) -> None:
    file.write(lambda: text)


def test_writing_replaces_the_file_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = saved(tmp_path, "old")
    path.chmod(0o640)
    write(OutputFile(path), "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["nb.ipynb"]


def test_a_new_file_gets_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(OutputFile(tmp_path / "new.ipynb"), "new")
    finally:
        os.umask(before)
    assert (tmp_path / "new.ipynb").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path = saved(tmp_path, "old")
    link = tmp_path / "link.ipynb"
    link.symlink_to(path)
    write(OutputFile(link), "new")
    assert link.is_symlink()
    assert path.read_text() == "new"


def test_an_edit_during_the_run_stays_and_the_outputs_go_beside_it(tmp_path: Path) -> None:
    path = saved(tmp_path, "old")
    file = OutputFile(path)
    write(file, "first")
    path.write_text("somebody's edit")
    write(file, "second")
    write(file, "third")
    assert path.read_text() == "somebody's edit"
    assert (tmp_path / "nb.out.ipynb").read_text() == "third"
    assert file.path == tmp_path / "nb.out.ipynb"
    assert len(file.notes) == 1
    assert "left as it is" in file.notes[0]


def test_an_edit_of_the_output_too_goes_to_the_next_free_name(tmp_path: Path) -> None:
    saved(tmp_path, "older outputs", "nb.out.ipynb")
    file = OutputFile(saved(tmp_path, "old"))
    file.path.write_text("somebody's edit")
    write(file, "outputs")
    assert (tmp_path / "nb.out.ipynb").read_text() == "older outputs"
    assert (tmp_path / "nb.out2.ipynb").read_text() == "outputs"


def test_a_failed_write_is_noted_once_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = saved(tmp_path, "old")
    file = OutputFile(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        write(file, "x" * 1000)
        write(file, "x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.failed
    assert path.read_text() == "old"
    assert len(file.notes) == 1
    assert names(tmp_path) == ["nb.ipynb"]
    write(file, "new")
    assert not file.failed
    assert path.read_text() == "new"


def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        OutputFile(tmp_path).check()
    with pytest.raises(UsageError, match="does not exist"):
        OutputFile(tmp_path / "no" / "out.ipynb").check()
    with pytest.raises(UsageError, match="can't be written"):
        OutputFile(Path("/proc/out.ipynb")).check()
    OutputFile(tmp_path / "out.ipynb").check()
    assert names(tmp_path) == []
