from __future__ import annotations

import ctypes
import fcntl
import glob
import importlib
import importlib.metadata
import importlib.util
import operator
import os
import pkgutil
import sys
import threading
from _thread import start_new_thread
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evercell.cell import files
from evercell.cell.files import FileWatch, file_version, folder_version, watch_files
from evercell.jupyter.streams import flush_c_streams
from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    return path


def watched(act: object, *, paused: bool = False) -> FileWatch:
    with watch_files(lambda: paused) as watch:
        act()
    return watch


@pytest.mark.parametrize(
    "read",
    [
        lambda path: path.read_text(),
        lambda path: path.open("rb").close(),
        lambda path: os.close(os.open(path, os.O_RDONLY)),
    ],
)
def test_a_file_that_is_read_is_an_input_by_content(data: Path, read: object) -> None:
    assert watched(lambda: read(data)).inputs() == {str(data): file_version(str(data))}
    before = file_version(str(data))
    data.write_text("a,b\n1,3\n")
    assert file_version(str(data)) != before


def test_reads_on_other_threads_count(data: Path) -> None:
    def act() -> None:
        thread = threading.Thread(target=data.read_text)
        thread.start()
        thread.join()

    assert list(watched(act).inputs()) == [str(data)]


@pytest.mark.parametrize("act", [lambda path: path.read_text(), lambda path: path.rename(path)])
def test_a_thread_may_do_something_in_the_moment_in_which_the_cell_ends(
    data: Path, act: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as cell:
        cell.enter_context(watch_files(lambda: False))

        def asked_as_the_cell_ends() -> bool:
            cell.close()
            return False

        monkeypatch.setattr(files, "is_own", asked_as_the_cell_ends)
        act(data)


def test_a_thread_without_any_python_code_may_do_something(data: Path) -> None:
    done = threading.Lock()
    done.acquire()

    def act() -> None:
        calls = [partial(os.listdir, data.parent), done.release]
        start_new_thread(list, (map(operator.call, calls),))
        assert done.acquire(timeout=60)

    assert watched(act).outside == "os.listdir"


def test_what_evercell_does_meanwhile_is_not_the_cells_doing(data: Path) -> None:
    def work() -> None:
        with data.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
        data.rename(data.with_name("moved"))

    def act(kind: Callable[..., threading.Thread]) -> None:
        thread = kind(target=work, name="other")
        thread.start()
        thread.join()

    own = watched(lambda: act(OwnThread))
    assert (own.inputs(), own.outside) == ({}, None)
    data.with_name("moved").rename(data)
    assert watched(lambda: act(threading.Thread)).outside == "open"


def test_the_c_functions_that_evercell_calls_are_not_the_cells_doing() -> None:
    """CPython tells of each call from 3.14 on."""
    calls_are_told = sys.version_info >= (3, 14)
    assert watched(flush_c_streams).outside is None
    pid = ctypes.CDLL(None).getpid
    assert watched(pid).outside == ("ctypes.call_function" if calls_are_told else None)


def test_what_is_written_first_or_opened_by_a_steps_body_is_no_input(data: Path) -> None:
    def act() -> None:
        data.write_text("new")
        data.read_text()

    assert watched(act).inputs() == {}
    assert watched(data.read_text, paused=True).inputs() == {}
    data.read_text()  # after the watch


def test_installed_hidden_and_system_files_are_no_inputs(tmp_path: Path) -> None:
    hidden = tmp_path / ".cache" / "x"
    hidden.parent.mkdir()
    hidden.write_text("x")

    def act() -> None:
        Path(os.__file__).read_text()
        Path(pytest.__file__).read_text()
        hidden.read_text()
        with Path(os.devnull).open() as null:
            null.read()

    assert watched(act).inputs() == {}


def test_a_file_that_changed_after_it_was_read_fits_nothing(data: Path) -> None:
    def act() -> None:
        data.read_text()
        data.write_text("longer than before")

    first, again = watched(act).inputs(), watched(act).inputs()
    assert first[str(data)] not in (again[str(data)], file_version(str(data)))


def test_what_is_missing_or_a_folder_raises_nothing(tmp_path: Path) -> None:
    def act() -> None:
        with pytest.raises(FileNotFoundError):
            (tmp_path / "missing").open()
        with pytest.raises(IsADirectoryError):
            tmp_path.read_text()

    assert watched(act).inputs() == {str(tmp_path / "missing"): b""}
    assert file_version(str(tmp_path / "missing")) == b""


@pytest.mark.parametrize(
    "look",
    [
        os.listdir,
        lambda folder: list(os.scandir(folder)),
        lambda folder: list(folder.iterdir()),
        lambda folder: list(folder.glob("*.csv")),
        lambda folder: glob.glob(f"{folder}/*.csv"),  # noqa: PTH207 - what is tested
        lambda folder: list(os.walk(folder)),
    ],
)
def test_a_folder_whose_names_are_asked_for_is_an_input_by_them(data: Path, look: object) -> None:
    folder = f"{data.parent}{os.sep}"
    (before,) = watched(lambda: look(data.parent)).inputs().items()
    assert before == (folder, file_version(folder))
    (data.parent / ".hidden").touch()
    data.write_text("other content")
    assert file_version(folder) == before[1]
    (data.parent / "more.csv").touch()
    assert file_version(folder) != before[1]
    assert folder_version(folder, ["more.csv"]) == before[1]


def test_what_a_cell_adds_to_a_folder_after_it_looked_is_none_of_its_inputs(data: Path) -> None:
    folder = f"{data.parent}{os.sep}"
    before = file_version(folder)

    def act() -> None:
        list(data.parent.iterdir())
        (data.parent / "new.csv").write_text("x")
        (data.parent / "made").mkdir()

    watch = watched(act)
    assert watch.inputs() == {folder: before}
    assert list(watch.outputs()) == [str(data.parent / "new.csv"), str(data.parent / "made")]


def test_imports_and_steps_ask_for_no_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent)
    monkeypatch.syspath_prepend(str(data.parent))

    def act() -> None:
        importlib.invalidate_caches()
        importlib.util.find_spec("no_such_module")
        list(importlib.metadata.distributions(path=[str(data.parent)]))
        list(pkgutil.iter_modules([str(data.parent)]))

    assert watched(act).inputs() == {}
    assert watched(lambda: list(data.parent.iterdir()), paused=True).inputs() == {}


def test_what_python_compiles_a_module_to_is_no_input(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = data.parent / "compiled_here.py"
    source.write_text("x = 1")
    monkeypatch.syspath_prepend(str(source.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    importlib.invalidate_caches()
    for inputs in ([str(source)], []):  # which is not opened once it was compiled
        watch = watched(lambda: importlib.import_module(source.stem))
        assert (list(watch.inputs()), list(watch.outputs())) == (inputs, [])
        assert list(source.parent.glob("__pycache__/compiled_here.*.pyc"))
        del sys.modules[source.stem]


def test_a_file_that_was_opened_and_not_there_is_an_input(data: Path) -> None:
    missing = data.parent / "cache.json"

    def ask() -> None:
        with pytest.raises(FileNotFoundError):
            missing.read_text()

    assert watched(ask).inputs() == {str(missing): b""}

    def act() -> None:
        with suppress(OSError):
            missing.read_text()
        missing.write_text("made")

    assert watched(act).inputs() == {}


def test_a_walk_over_countless_folders_is_known_to_nobody(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_FOLDERS", 1)
    (data.parent / "inside").mkdir()
    watch = watched(lambda: list(os.walk(data.parent)))
    assert watch.inputs()[os.sep] != watch.inputs()[os.sep]
