"""What is tried beside the kernel: trusted once it is known to come back, and not before."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from sessions import Watched

from evercell import settings
from evercell.cell import products, trial
from evercell.engine import verifying
from evercell.events import CellCompleted, CellStarted, CellVerified

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

MAKE = "from pathlib import PurePosixPath\npaths = [PurePosixPath(str(n)) for n in range(7000)]"
DROPS = (
    "class Odd:\n"
    "    def __init__(self, n): self.n = n; self.cache = [n]\n"
    "    def __getstate__(self): return {'n': self.n}\n"
)
ODD = "odd = [Odd(n) for n in range(7000)]"
UNVERIFIED = "its kernel ended before it was known whether what it made comes back"


@pytest.fixture(autouse=True)
def _main_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    main = sys.modules["__main__"]
    monkeypatch.setattr(verifying, "_PATIENCE", 300)
    yield
    sys.modules["__main__"] = main


class Kernel(Watched):
    """A notebook that says why its cells ran, and waits for its trials."""

    def reasons(self) -> list[str]:
        """Why the cells ran that did."""
        return [e.reason for e in self.events if isinstance(e, CellStarted)]

    def settle(self) -> None:
        """Wait until what is tried is known, and have it known."""
        for thread, _ in self.session.cells.verifying._trials:
            thread.join()
        self.session.cells.verifying.take()


@contextlib.contextmanager
def stuck() -> Iterator[None]:
    """Trials that find out nothing as long as the kernel lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "begin", lambda _: trial.begin(signal.pause))  # type: ignore[arg-type]
        patch.setattr(verifying, "_PATIENCE", 0)
        yield


def run(folder: Path, *sources: str, settle: bool = False) -> list[bool]:
    """Whether each of the cells ran, in one kernel."""
    with Kernel(folder) as notebook:
        ran = []
        for source in sources:
            ran.append(notebook.cell(source).ran)
            if settle:
                notebook.settle()
        return ran


def test_a_cell_is_done_before_its_values_are_tried(tmp_path: Path) -> None:
    with Kernel(tmp_path) as notebook:
        notebook.cell(MAKE)
        (completed,) = (e for e in notebook.events if isinstance(e, CellCompleted))
        assert [p.verified for p in completed.products if p.names == ("paths",)] == [False]
        notebook.settle()
    (verified,) = (e for e in notebook.events if isinstance(e, CellVerified))
    (verdict,) = verified.products
    assert (verdict.names, verdict.reason) == (("paths",), None)


@pytest.mark.parametrize("settle", [True, False])
def test_what_comes_back_is_restored_with_all_that_read_it(tmp_path: Path, settle: bool) -> None:
    cells = [MAKE, "first = str(paths[0])", "exec('x = first')", "paths[0] = None", "len(paths)"]
    assert all(run(tmp_path, *cells, settle=settle))
    assert not any(run(tmp_path, *cells))
    with Kernel(tmp_path) as notebook:
        for cell in cells:
            notebook.cell(cell)
        assert notebook.live["x"] == "0"
        assert notebook.live["paths"][0] is None


def test_the_same_content_by_another_way_stops_a_chain(tmp_path: Path) -> None:
    read = "size = len(paths)"
    assert all(run(tmp_path, MAKE, read))
    assert run(tmp_path, MAKE + "\npaths = list(paths)", read, settle=True) == [True, False]


def test_until_it_is_known_nothing_of_it_is_trusted(tmp_path: Path) -> None:
    make = "import os\n" + MAKE + "\npaths.append(os.urandom(8))\nsmall = 1"
    cells = [make, "last = paths[-1]", "small + 1"]
    with stuck():
        assert all(run(tmp_path, *cells))
    with Kernel(tmp_path) as notebook:
        ran = [notebook.cell(cell).ran for cell in cells]
        assert notebook.reasons() == [UNVERIFIED, "stale: paths (changed)"]
        assert ran == [True, True, False]
        assert notebook.live["last"] is notebook.live["paths"][-1]


def test_an_earlier_record_does_not_stand_in_for_it(tmp_path: Path) -> None:
    imports, make = MAKE.splitlines()
    imports, make = imports + "\nimport os", make + " + [os.urandom(8)]"
    with Kernel(tmp_path) as notebook:
        notebook.cell(imports)
        notebook.cell(make)
        notebook.settle()
        with stuck():
            notebook.again(make)
            notebook.session.cells.verifying.close()
    with Kernel(tmp_path) as notebook:
        notebook.cell(imports)
        notebook.cell(make)
        assert notebook.reasons() == [UNVERIFIED]


def test_what_does_not_come_back_is_made_again(tmp_path: Path) -> None:
    cells = [DROPS, ODD, "total = sum(o.cache[0] for o in odd)"]
    assert all(run(tmp_path, *cells))
    with Kernel(tmp_path) as notebook:
        assert not any(notebook.cell(cell).ran for cell in cells)
        assert notebook.cell("odd[7].cache").ran
        reason = "odd: Odd.cache does not come back from its pickle"
        assert notebook.reasons()[0] == f"a cell needs what can't be stored: {reason}"
        assert notebook.live["odd"][7].cache == [7]


def test_another_way_to_what_does_not_come_back_is_another_value(tmp_path: Path) -> None:
    read = "total = sum(o.cache[0] for o in odd)"
    assert all(run(tmp_path, DROPS, ODD, read))
    other = ODD + "\nfor o in odd: o.cache = [1]"
    with Kernel(tmp_path) as notebook:
        assert [notebook.cell(cell).ran for cell in (DROPS, other, read)] == [False, True, True]
        assert notebook.live["total"] == 7000


def test_a_step_that_uses_it_is_answered_before_and_after(tmp_path: Path) -> None:
    define = (
        "from evercell import step\ncalls = []\n"
        "@step\ndef ask(n):\n    calls.append(n)\n    return f'{n} of {len(paths)}'"
    )
    with Kernel(tmp_path) as notebook:
        for cell in (MAKE, define, "first = ask(1)"):  # asked while it is being tried
            notebook.cell(cell)
        notebook.settle()
        notebook.again("first = ask(1)")
        assert notebook.live["calls"] == [1]
    with Kernel(tmp_path) as notebook:
        for cell in (MAKE, define, "first = ask(1); second = 2"):
            notebook.cell(cell)
        assert notebook.live["calls"] == []
        assert notebook.live["first"] == "1 of 7000"


def test_a_copy_that_died_says_nothing_good(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "begin", lambda _: trial.begin(lambda: os._exit(1)))
        assert run(tmp_path, MAKE, settle=True) == [True]
    with Kernel(tmp_path) as notebook:
        notebook.cell(MAKE)
        notebook.cell("paths[1]")
        (reason,) = (r for r in notebook.reasons() if "could not be found out" in r)
        assert "paths: whether it comes back from its pickle" in reason


def test_without_copies_values_are_tried_in_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_current", replace(settings.current(), verify_in_fork=False))
    with Kernel(tmp_path) as notebook:
        notebook.cell(MAKE)
        (completed,) = (e for e in notebook.events if isinstance(e, CellCompleted))
        assert all(product.verified for product in completed.products)
    assert run(tmp_path, MAKE) == [False]


def test_a_headless_run_ends_with_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "_PATIENCE", 0)
    with Kernel(tmp_path) as notebook:
        notebook.cell(MAKE)
        notebook.session.finish("completed")
    assert any(isinstance(e, CellVerified) for e in notebook.events)


def test_a_failed_cell_is_not_tried(tmp_path: Path) -> None:
    with Kernel(tmp_path) as notebook:
        notebook.cell(MAKE + "\n1 / 0")
        assert not notebook.session.cells.verifying._trials
