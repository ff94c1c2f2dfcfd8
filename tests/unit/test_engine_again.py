"""Cells that run after a restart because they can't be given back: what had failed in them fails
again, as if nothing had happened; their user, who runs one once more, has it tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sessions import Notebook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = "\nimport _thread\nlock = _thread.allocate_lock()"
MARK = "\n# evercell: recompute"
LARGE = "\nimport hashlib\nlarge = hashlib.shake_256(b'').digest(300_000)"  # its file gets lost
WAYS = {"marked": MARK, "unstorable": LOCK + MARK, "lost": LARGE}

SETUP = """
import pathlib
from evercell import approval, step, workflow

def ledger(word):
    with open(LEDGER, "a") as file:
        file.write(word + "\\n")
        return 'DOWN' in pathlib.Path(LEDGER).with_suffix(".txt").read_text()

@step(version=1)
def fetch(name):
    if ledger(name):
        raise ConnectionError(name)
    return name

@workflow
async def flow():
    return [await fetch("first"), await fetch("second")]
"""


class Book:
    """A notebook over the lives of its kernels."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: Notebook | None = None

    def start(self) -> Notebook:
        """Another kernel, which knows nothing; large values of the one before are lost."""
        self.stop()
        for value in (self._folder / "blobs").rglob("*"):
            if value.is_file():
                value.unlink()
        self._open = Notebook(self._folder)
        return self._open

    def stop(self) -> None:
        if self._open is not None:
            self._open.stop()
            self._open = None


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "history")
    yield book
    book.stop()


class Server:
    """What steps call: a file says whether it is down, another one who called."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "ledger"
        self.setup = SETUP.replace("LEDGER", repr(str(self.ledger)))

    def down(self, *, is_down: bool) -> None:
        self.ledger.with_suffix(".txt").write_text("DOWN" if is_down else "up")

    def take(self) -> list[str]:
        """Who called since it was asked last."""
        words = self.ledger.read_text().split() if self.ledger.exists() else []
        self.ledger.write_text("")
        return words


@pytest.mark.parametrize("way", WAYS)
def test_a_step_that_had_failed(book: Book, tmp_path: Path, way: str) -> None:
    server = Server(tmp_path)
    source = (
        "try:\n    got = fetch('a')\nexcept ConnectionError as error:\n    got = repr(error)"
        + WAYS[way]
    )
    server.down(is_down=True)
    notebook = book.start()
    notebook.cell(server.setup)
    assert notebook.cell(source).error is None
    assert (notebook.live["got"], server.take()) == ("ConnectionError('a')", ["a"])
    server.down(is_down=False)
    notebook = book.start()
    notebook.cell(server.setup)
    assert notebook.cell(source).ran
    assert (notebook.live["got"], server.take()) == ("ConnectionError('a')", [])
    notebook.again(source)  # its user, in the same kernel
    assert (notebook.live["got"], server.take()) == ("a", ["a"])


def test_an_edited_cell_has_it_tried_again(book: Book, tmp_path: Path) -> None:
    server = Server(tmp_path)
    source = "try:\n    got = fetch('a')\nexcept ConnectionError as error:\n    got = repr(error)"
    server.down(is_down=True)
    notebook = book.start()
    notebook.cell(server.setup)
    notebook.cell(source + MARK)
    server.take()
    server.down(is_down=False)
    notebook = book.start()
    notebook.cell(server.setup)
    notebook.cell(source + MARK + "\nedited = 1")
    assert (notebook.live["got"], server.take()) == ("a", ["a"])


@pytest.mark.parametrize("way", WAYS)
def test_a_workflow_that_had_failed(book: Book, tmp_path: Path, way: str) -> None:
    server = Server(tmp_path)
    source = (
        "handle = flow.start()\n"
        "try:\n    got = handle.result(30)\nexcept ConnectionError as error:\n    got = repr(error)"
        + WAYS[way]
    )
    server.down(is_down=True)
    notebook = book.start()
    notebook.cell(server.setup)
    assert notebook.cell(source).error is None
    run_id = notebook.live["handle"].run_id
    assert (notebook.live["got"], server.take()) == ("ConnectionError('first')", ["first"])
    server.down(is_down=False)
    notebook = book.start()
    notebook.cell(server.setup)
    assert notebook.cell(source).ran
    assert notebook.live["handle"].run_id == run_id
    assert (notebook.live["got"], server.take()) == ("ConnectionError('first')", [])
    notebook.again(source)  # which forks it at its failure
    assert notebook.live["handle"].run_id != run_id
    assert (notebook.live["got"], server.take()) == (["first", "second"], ["first", "second"])


def test_a_wait_that_had_ended_without_an_answer(book: Book) -> None:
    source = (
        "try:\n    said = approval('Go on?', timeout=0.01)\n"
        "except TimeoutError as error:\n    said = 'too late'" + MARK
    )
    notebook = book.start()
    notebook.cell("from evercell import approval")
    notebook.cell(source)
    notebook = book.start()
    notebook.cell("from evercell import approval")
    assert notebook.cell(source).ran
    asked = notebook.session.history.query(
        "SELECT count(*) FROM events WHERE type = $type", {"type": "ApprovalRequested"}
    )
    assert (notebook.live["said"], asked.rows) == ("too late", [(1,)])
