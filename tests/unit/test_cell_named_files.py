"""Files that no audit event tells of: they count as read where the cell names them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

from evercell.cell import files
from evercell.cell.files import LARGE, file_version, watch_files
from evercell.cell.named_files import files_asked, files_named
from evercell.cell.source import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def names(source: str, **variables: object) -> set[str]:
    """Relative to the working folder."""
    bench = Bench()
    bench.ns.update(variables)
    parsed = parse_source(source, source)
    found = files_named(parsed, bench.space.reach(parsed), bench.ns)
    return {os.path.relpath(file) for file in found}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("pd.read_parquet('a.parquet')", {"a.parquet"}),
        ("read(path='a.parquet')", {"a.parquet"}),
        ("read(join('data', 'a.parquet'))", {"a.parquet"}),
        ("con.execute(\"SELECT * FROM 'a.csv' JOIN 'b.csv' USING (id)\")", {"a.csv", "b.csv"}),
        ("df.to_parquet('a.parquet')", {"a.parquet"}),
        ("print('a.parquet')", set()),
        ("out = 'a.parquet'", set()),
        ("def later():\n    return read('a.parquet')", set()),
        ("@cached('a.parquet')\ndef later(): ...", {"a.parquet"}),
        ("ask('Is this a question. Yes.')", set()),
        ("read('script.py')", set()),
    ],
)
def test_what_a_cell_names(source: str, found: set[str]) -> None:
    assert names(source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Path('a.json').exists()", {"a.json"}),
        ("os.path.isfile('a.json') and read('b.json')", {"a.json", "b.json"}),
        ("(folder / 'a.json').is_file()", {"a.json", "below/a.json"}),
        ("known(folder)", {"cache.json", "below/cache.json"}),
        ("read('a.json')", set()),
    ],
)
def test_what_a_cell_may_ask_for(source: str, found: set[str]) -> None:
    def known(folder: Path) -> bool:
        return (folder / "cache.json").exists()

    Path("below").mkdir()
    bench = Bench()
    bench.ns.update(folder=Path("below"), known=known)
    parsed = parse_source(source, source)
    asked = files_asked(parsed, bench.space.reach(parsed), bench.ns)
    assert {os.path.relpath(file) for file in asked} == found


def test_what_was_asked_for_and_not_there_is_an_input() -> None:
    asked = [str(Path("missing.json").absolute()), str(Path("made.json").absolute())]
    with watch_files(lambda: False, tuple, lambda: asked) as watch:
        Path("made.json").touch()
    assert watch.inputs() == {asked[0]: b""}


def test_what_variables_name() -> None:
    def load() -> object:
        return open_in_c("inside.h5")  # type: ignore[name-defined]  # noqa: F821

    Path("data").mkdir()
    assert names("read(p)", p=Path("a.nc")) == {"a.nc"}
    assert names("read(p)", p="a.nc") == {"a.nc"}
    assert names("read(d / 'a.nc')", d=Path("data")) == {"a.nc", "data/a.nc"}
    assert "data/a.nc" in names("read(f'{d}/a.nc')", d="data")
    assert names("load()", load=load) == {"inside.h5"}
    assert names("other()", load=load) == set()


def inputs(act: Callable[[], object], *named: str) -> dict[str, bytes]:
    with watch_files(lambda: False, lambda: map(os.path.abspath, named)) as watch:
        act()
    return {os.path.relpath(file): version for file, version in watch.inputs().items()}


def test_a_file_that_stays_as_it_is_counts_as_read() -> None:
    Path("a.bin").write_bytes(b"1")
    assert inputs(lambda: None, "a.bin", "absent.bin") == {"a.bin": file_version("a.bin")}


def _write_in_c(name: str) -> Callable[[], object]:
    return lambda: subprocess.run(["sh", "-c", f"echo written > {name}"], check=True)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    "write", [lambda: Path("a.bin").write_bytes(b"2"), _write_in_c("a.bin")], ids=["python", "c"]
)
def test_a_file_that_the_cell_wrote_is_its_output(
    write: Callable[[], object], *, there: bool
) -> None:
    if there:
        Path("a.bin").write_bytes(b"1")
    with watch_files(lambda: False, lambda: [os.path.abspath("a.bin")]) as watch:  # noqa: PTH100
        write()
    assert watch.inputs() == {}
    assert watch.outputs() == {os.path.abspath("a.bin"): file_version("a.bin")}  # noqa: PTH100


@pytest.mark.parametrize("older", [True, False])
def test_what_is_named_only_when_the_cell_has_run_counts_if_it_is_older(
    monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    if older:  # the cell begins ten seconds after the file was made
        later = time.time_ns() + 10**10
        monkeypatch.setattr(files.time, "time_ns", lambda: later)
    Path("a.bin").write_bytes(b"1")
    named: list[str] = []
    with watch_files(lambda: False, lambda: named) as watch:
        pass
    named.append(os.path.abspath("a.bin"))  # noqa: PTH100
    assert (watch.inputs() != {}) is older


def test_of_a_large_file_size_and_time_count() -> None:
    path = Path("large.bin")
    with path.open("wb") as stream:
        stream.truncate(LARGE + 1)
    before = inputs(lambda: None, "large.bin")
    os.utime(path, (1, 1))
    assert before.keys() == {"large.bin"}
    assert inputs(lambda: None, "large.bin") != before
