"""Versions follow who shares with whom; what belongs to a module is no copy; submodules come."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

from evercell.cell.bonds import Bonds
from evercell.cell.shared import module_of
from evercell.errors import RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def test_what_shared_with_a_rebound_name_has_another_version() -> None:
    bonds = Bonds()
    versions = {"a": b"1", "b": b"1", "c": b"2"}
    bonds.form(("a", "b"), ())
    bonds.form(("c",), ())
    bonds.leave(("b",), versions)
    assert versions["a"] != b"1"
    assert versions["c"] == b"2"
    alone = dict(versions)
    bonds.leave(("b",), versions)  # it has left already
    assert versions == alone


def test_what_held_a_name_has_another_version_when_the_name_is_bound_anew() -> None:
    bonds = Bonds()
    versions = {"p": b"1", "A": b"2"}
    bonds.form(("p",), ("A",))
    bonds.leave(("A",), versions)
    assert versions["p"] != b"1"


def test_a_restored_kernel_comes_to_the_versions_of_the_recorded_one() -> None:
    cells = ["a = [1]; b = [a]", "class A: pass\np = A()", "b = 0", "del A"]
    first, second = Bench(), Bench()
    for cell in cells:
        first.run(cell)
    assert set(second.replay(cells, first)) == {"restored"}
    assert second.space.versions == first.space.versions


def test_a_container_of_a_module_belongs_to_it() -> None:
    import os

    assert module_of([os.environ]) == "os.environ"
    assert module_of([dict(os.environ), [1]]) is None


def test_a_variable_that_is_a_modules_container_is_never_a_copy() -> None:
    import os

    cells = ["import os\ne = os.environ"]
    first, second = Bench(), Bench()
    reason = first.run(cells[0]).reason
    assert reason is not None
    assert "os.environ" in reason
    assert second.replay(cells, first) == ["recomputed"]
    assert second.ns["e"] is os.environ


def test_submodules_that_a_cell_imported_are_there_after_a_restore() -> None:
    cells = ["import xml.dom.minidom"]
    first, second = Bench(), Bench()
    first.run(cells[0])
    for name in [n for n in sys.modules if n.startswith("xml.dom")]:
        del sys.modules[name]
    sys.modules["xml"].__dict__.pop("dom", None)
    assert second.replay(cells, first) == ["restored"]
    assert second.ns["xml"].dom.minidom


def test_a_submodule_that_breaks_is_an_error_of_the_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evercell_broken").mkdir()
    (tmp_path / "evercell_broken" / "__init__.py").touch()
    (tmp_path / "evercell_broken" / "part.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    bench = Bench()
    bench.run("x = 1")
    with pytest.raises(RestoreError, match=r"evercell_broken\.part"):
        bench.restore(bench.records[0], ("evercell_broken.part",))
    bench.restore(bench.records[0], ("evercell_missing.part",))  # the cell did without it, too
