"""Evercell's extension in JupyterLab: what became of each cell, Resume, and what would run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lab import LabPage, LabServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "widgets" / "node_modules" / "axe-core" / "axe.min.js"
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    running = LabServer(tmp_path_factory.mktemp("lab"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One page for all notebooks: its cache holds JupyterLab."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    yield page
    page.close()


@pytest.fixture
def open_here(server: LabServer, tab: Page) -> Callable[..., LabPage]:
    """`open_here(name, cells, kernel=...)`: a LabPage on the module's one server."""

    def open_one(name: str, cells: list[str], *, kernel: str = "evercell") -> LabPage:
        lab = LabPage(server, tab, server.write(name, cells, kernel=kernel))
        lab.open()
        return lab

    return open_one


_BADGES = """[...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(cell =>
    [...cell.querySelectorAll('.evercell-Badge-text > *')].map(it => it.textContent).join(' '))"""


def badges(lab: LabPage) -> list[str]:
    """The badges' texts on one line each, cell by cell; "" for a cell without one."""
    shown: list[str] = lab.page.evaluate(_BADGES)
    return [" ".join(text.split()) for text in shown]


def wait_for_badge(lab: LabPage, index: int, text: str) -> None:
    """Until the badge of the cell at `index` holds `text`."""
    wait_until(
        f"cell {index} shows {text!r}: {badges(lab)}",
        lambda: text in "".join(badges(lab)[index : index + 1]),
        timeout=20,
    )


def preview(lab: LabPage) -> list[list[str]]:
    """What the preview says, row by row: cell, code, what happens, why, what it had cost."""
    toolbar_button(lab, "What would run?").click()
    lab.page.wait_for_selector(".evercell-Preview")
    rows = lab.page.locator(".evercell-Preview tbody tr").all_inner_texts()
    return [[" ".join(text.split()) for text in row.split("\t")] for row in rows]


def toolbar_button(lab: LabPage, name: str) -> Locator:
    """A button of the notebook's toolbar."""
    toolbar = lab.page.locator(".jp-NotebookPanel-toolbar")
    return toolbar.get_by_role("button", name=name, exact=True)


def edit(lab: LabPage, index: int, source: str) -> None:
    """Type over a cell's code."""
    lab.page.locator(".jp-CodeCell .cm-content").nth(index).click()
    lab.page.keyboard.press("Control+a")
    lab.page.keyboard.insert_text(source)


def serious(lab: LabPage, selector: str) -> list[str]:
    """What axe-core finds wrong there, if it is serious."""
    if not AXE.exists():
        return []
    lab.page.add_script_tag(path=AXE)
    found = lab.page.evaluate("selector => axe.run(selector)", selector)
    return [
        f"{it['id']}: {it['nodes'][0]['html']}"
        for it in found["violations"]
        if it["impact"] in {"serious", "critical"}
    ]


def test_badges_follow_a_run_through_a_kill_and_a_resume(
    open_here: Callable[..., LabPage], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    cells = [PREPARE.format(gate=str(gate)), EARLY, LATE, LOCK, VOLATILE]
    lab = open_here("run.ipynb", cells)
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
    toolbar_button(lab, "Resume").click()
    wait_for_badge(lab, 4, "volatile")
    shown = badges(lab)
    assert shown[0].startswith("restored saved "), shown
    assert shown[1].startswith("restored saved "), shown
    assert "cost 0.012" in shown[1], shown
    assert shown[2].startswith("ran "), shown
    assert "5 steps restored" in shown[2], shown
    toolbar_button(lab, "Resume").click()
    wait_for_badge(lab, 3, "recomputed")
    wait_for_badge(lab, 4, "volatile")
    assert "lock: cannot pickle" in badges(lab)[3]
    assert badges(lab)[2].startswith("restored"), badges(lab)
    assert lab.errors() == []
    lab.screenshot("lab-3-resumed")
    before = badges(lab)
    lab.reload()
    wait_until("the badges are back", lambda: badges(lab) == before, timeout=20)


def test_an_edit_makes_a_cell_stale_and_the_preview_says_what_would_run(
    open_here: Callable[..., LabPage], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    lab = open_here("preview.ipynb", [PREPARE.format(gate=str(gate)), EARLY, "len(early)"])
    page = lab.page
    assert [row[2] for row in preview(lab)] == ["▸runs"] * 3
    page.keyboard.press("Escape")
    lab.run_all()
    wait_for_badge(lab, 2, "ran")
    edit(lab, 1, EARLY.replace("3", "4"))
    wait_for_badge(lab, 1, "stale its source was edited had taken ")
    shown = preview(lab)
    assert [row[2] for row in shown] == ["↺restored", "▸runs: stale", "?may run"]
    assert shown[1][3] == "its source was edited"
    assert "cost 0.012" in shown[1][4]
    assert "1 cell would run, 1 may run, 1 restored." in page.inner_text(".evercell-Preview-sum")
    assert serious(lab, ".evercell-Preview") == []
    lab.screenshot("lab-4-preview")
    page.locator(".jp-Dialog").get_by_role("button", name="Resume").click()
    wait_for_badge(lab, 1, "3 steps restored")
    wait_for_badge(lab, 2, "ran ")


def test_the_panel_lists_runs_and_the_picker_begins_another(
    open_here: Callable[..., LabPage],
) -> None:
    lab = open_here("picker.ipynb", ["x = 1", "x"])
    page = lab.page
    assert page.inner_text(".evercell-Picker") == "no run yet"
    lab.run_all()
    wait_for_badge(lab, 1, "ran")
    first = page.inner_text(".evercell-Picker")
    assert first.startswith("run ")
    page.focus(".evercell-Picker")
    for key in ("Enter", "ArrowDown", "ArrowDown", "ArrowDown", "Enter"):  # by keyboard
        page.keyboard.press(key)
    page.get_by_role("button", name="New Run").click()
    wait_until("another run began", lambda: page.inner_text(".evercell-Picker") != first)
    wait_for_badge(lab, 1, "ran")  # not restored: it is a new run
    page.click(".evercell-Picker")
    page.get_by_text("All Runs of This Folder").click()
    runs = page.locator(".evercell-Runs-run")
    page.wait_for_function("document.querySelectorAll('.evercell-Runs-run').length >= 2")
    assert runs.first.get_attribute("aria-current") == "true"
    page.fill(".evercell-Runs input", "picker stopped")
    assert runs.count() == 1
    page.fill(".evercell-Runs input", "nothing like it")
    assert page.inner_text(".evercell-Runs-message") == "No run matches."
    page.fill(".evercell-Runs input", "")
    assert serious(lab, ".evercell-Runs") == []
    assert serious(lab, ".jp-NotebookPanel-toolbar .evercell-Picker") == []
    lab.screenshot("lab-5-runs")
    lab.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    assert serious(lab, ".evercell-Runs") == []
    assert serious(lab, ".jp-Notebook .evercell-Badge") == []
    lab.screenshot("lab-6-dark")
    lab.command("apputils:change-theme", {"theme": "JupyterLab Light"})


def test_a_plain_kernel_has_badges_once_it_loads_evercell(
    open_here: Callable[..., LabPage],
) -> None:
    cells = ["x = 1", "%load_ext evercell", "y = x + 1"]
    lab = open_here("plain.ipynb", cells, kernel="python3")
    button = toolbar_button(lab, "Resume")
    assert button.count() == 0
    lab.run_all()
    wait_for_badge(lab, 2, "ran")
    assert button.is_visible()
    assert badges(lab)[:2] == ["", ""]
