"""Evercell's extension in JupyterLab: what became of each cell, and Resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lab import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab import LabPage

pytestmark = pytest.mark.browser

PREPARE = """import threading, time
from pathlib import Path
import evercell
from evercell import step

GATE = Path({gate!r})

@step
def ask(question: str) -> str:
    evercell.record_usage(model="tiny", input_tokens=400, output_tokens=20, cost=0.004)
    return question.upper()"""
EARLY = 'early = [ask(f"early {n}") for n in range(3)]\nearly'
LATE = """late = []
for n in range(8):
    if n == 5:
        while not GATE.exists():  # here the kernel is killed
            time.sleep(0.02)
    late.append(ask(f"late {n}"))"""
LOCK = "lock, kept = threading.Lock(), 3"
VOLATILE = '%%evercell volatile\nprint("now", kept)'
CELLS = [PREPARE, EARLY, LATE, LOCK, VOLATILE]


def badges(lab: LabPage) -> list[str]:
    """The badges' texts on one line each, cell by cell; "" for a cell without one."""
    cells = lab.page.locator(".jp-Notebook .jp-CodeCell").all()
    return [
        " ".join(" ".join(cell.locator(".evercell-Badge-text").all_inner_texts()).split())
        for cell in cells
    ]


def wait_for_badge(lab: LabPage, index: int, text: str) -> None:
    """Until the badge of the cell at `index` holds `text`."""
    wait_until(f"cell {index} shows {text!r}", lambda: text in badges(lab)[index], timeout=20)


def test_badges_follow_a_run_through_a_kill_and_a_resume(
    open_notebook: Callable[..., LabPage], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    lab = open_notebook("run.ipynb", [PREPARE.format(gate=str(gate)), *CELLS[1:]])
    assert badges(lab) == [""] * 5
    lab.run_all(wait=False)
    wait_for_badge(lab, 2, "running 5 steps")
    assert badges(lab)[1].startswith("ran ")
    assert badges(lab)[1].endswith(", 1 260 tokens, cost 0.012"), badges(lab)

    lab.reload()  # while a cell blocks the kernel
    wait_for_badge(lab, 2, "running 5 steps")
    lab.screenshot("lab-1-running")
    lab.kill_kernel()
    wait_for_badge(lab, 2, "in doubt cut off before it finished 5 steps kept")
    assert badges(lab)[1].startswith("recorded took ")
    lab.screenshot("lab-2-in-doubt")

    gate.touch()
    lab.page.get_by_role("button", name="Resume").click()
    wait_for_badge(lab, 4, "volatile")
    shown = badges(lab)
    assert shown[0].startswith("restored saved "), shown
    assert shown[1].startswith("restored saved "), shown
    assert "cost 0.012" in shown[1], shown
    assert shown[2].startswith("ran "), shown
    assert "5 steps restored" in shown[2], shown
    assert lab.errors() == []
    lab.page.get_by_role("button", name="Resume").click()
    wait_for_badge(lab, 3, "recomputed")
    wait_for_badge(lab, 4, "volatile")
    assert "lock: cannot pickle" in badges(lab)[3]
    lab.screenshot("lab-3-resumed")
    before = badges(lab)
    lab.reload()
    wait_until("the badges are back", lambda: badges(lab) == before, timeout=20)


def test_a_plain_kernel_has_badges_once_it_loads_evercell(
    open_notebook: Callable[..., LabPage],
) -> None:
    cells = ["x = 1", "%load_ext evercell", "y = x + 1"]
    lab = open_notebook("plain.ipynb", cells, kernel="python3")
    assert lab.page.get_by_role("button", name="Resume").count() == 0
    lab.run_all()
    wait_for_badge(lab, 2, "ran")
    assert lab.page.get_by_role("button", name="Resume").is_visible()
    assert badges(lab)[:2] == ["", ""]
