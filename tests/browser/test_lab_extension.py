"""Evercell's extension in JupyterLab: what became of each cell, Resume, and what would run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from browser.lab import (
    badges,
    edit,
    part,
    preview,
    serious,
    toolbar_button,
    use_theme,
    wait_for_badge,
)
from browser.pictures import assert_alike

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from browser.lab import LabPage, LabServer

pytestmark = pytest.mark.browser

PREPARE = """import evercell
from evercell import step

@step
def ask(question: str) -> str:
    evercell.record_usage(model="tiny", input_tokens=400, output_tokens=20, cost=0.004)
    return question.upper()"""
EARLY = 'early = [ask(f"early {n}") for n in range(3)]\nearly'


def test_an_edit_makes_a_cell_stale_and_the_preview_says_what_would_run(
    open_notebook: Callable[..., LabPage], tmp_path: Path
) -> None:
    lab = open_notebook("preview.ipynb", [PREPARE, EARLY, "len(early)"])
    page = lab.page
    assert [row[2] for row in preview(lab)] == ["▸runs"] * 3
    _close_dialog(lab)
    lab.run_all()
    wait_for_badge(lab, 2, "ran")
    edit(lab, 1, EARLY.replace("3", "4"))
    wait_for_badge(lab, 1, "stale its source was edited had taken ")
    shown = preview(lab)
    assert [row[2] for row in shown] == ["↺restored", "▸runs: stale", "?may run"]
    assert shown[1][3] == "its source was edited"
    assert "cost 0.012" in shown[1][4]
    said = page.locator(".evercell-Preview-sum")
    expect(said).to_contain_text("1 cell would run, 1 may run, 1 restored.")
    lab.screenshot("lab-4-preview")
    page.locator(".jp-Dialog").get_by_role("button", name="Resume").click()
    wait_for_badge(lab, 1, "3 steps restored")
    wait_for_badge(lab, 2, "ran ")
    _lose_a_forecast(lab, tmp_path / "gate")
    edit(lab, 1, EARLY.replace("3", "5"))
    wait_for_badge(lab, 1, "stale")
    _look_at_each_part(lab)  # the last, for it skips what it has not the means for


def _close_dialog(lab: LabPage) -> None:
    lab.page.keyboard.press("Escape")
    lab.page.wait_for_selector(".jp-Dialog", state="detached")


# A kernel whose forecasts fail until the gate opens; then the first one is lost on its way.
UNRELIABLE = """%%evercell volatile
from pathlib import Path
from evercell.errors import UsageError
from evercell.jupyter.lab import LabChannel

send, answer, lost = LabChannel._send, LabChannel._answer, []

def lossy(channel, **message):
    is_forecast = isinstance(message.get("result"), list)
    return lost.append(message) if is_forecast and not lost else send(channel, **message)

def failing(channel, request):
    if request["method"] == "preview" and not Path({gate!r}).exists():
        raise UsageError("Not now.")
    return answer(channel, request)

LabChannel._send, LabChannel._answer = lossy, failing"""


def _lose_a_forecast(lab: LabPage, gate: Path) -> None:
    """One that failed, or was lost, is asked for again."""
    edit(lab, 2, UNRELIABLE.format(gate=str(gate)))
    lab.command("notebook:run-cell")
    wait_for_badge(lab, 2, "volatile")
    toolbar_button(lab, "What would run?").click()
    lab.page.locator(".evercell-Preview", has_text="Not now.").wait_for()
    gate.touch()
    lab.page.get_by_role("button", name="Try again").click()
    lab.page.locator(".evercell-Preview tbody tr").first.wait_for()
    _close_dialog(lab)
    assert lab.errors() == []


PARTS = {
    "panel": (".evercell-Runs", (240, 160)),
    "tab": (".evercell-RunView .evercell-run", (480, 240)),
    "badge": (".jp-Notebook .evercell-Badge[data-kind=stale]", (420, 22)),
    "picker": (".jp-NotebookPanel-toolbar .evercell-Picker", (96, 26)),
}
"""The extension's own parts: where they are, and how much of them is compared."""
NAME_THE_RUN = "document.querySelector('.evercell-Picker > span').textContent = 'run k3v9q'"


def _look_at_each_part(lab: LabPage) -> None:
    """Each looks as it did, and axe finds nothing serious, in both themes."""
    page = lab.page
    page.set_viewport_size({"width": 2000, "height": 900})
    page.click(".evercell-Picker")
    page.get_by_text("All Runs of This Folder").click()
    page.locator(".evercell-Runs-run").first.click()
    page.locator(".evercell-RunView .ec-line", has_text="early = ").wait_for()
    page.mouse.move(0, 0)
    page.evaluate(NAME_THE_RUN)
    themes = ("light", "dark")
    for theme in themes:
        use_theme(lab, theme)
        for name, (selector, size) in PARTS.items():
            assert_alike(part(lab, f"lab-{name}-{theme}", selector, size))
        preview(lab)  # lies over the others
        assert_alike(part(lab, f"lab-preview-{theme}", ".evercell-Preview", (760, 130)))
        _close_dialog(lab)
    wrong = {}
    for theme in reversed(themes):
        use_theme(lab, theme)
        wrong |= {(theme, name): serious(page, selector) for name, (selector, _) in PARTS.items()}
        preview(lab)
        wrong[theme, "preview"] = serious(page, ".evercell-Preview")
        _close_dialog(lab)
    assert not any(wrong.values()), wrong


def test_the_picker_begins_forks_and_resumes_runs_and_the_panel_lists_them(
    open_notebook: Callable[..., LabPage],
) -> None:
    lab = open_notebook("picker.ipynb", [PREPARE, EARLY, '", ".join(early)'])
    page = lab.page
    picker = page.locator(".evercell-Picker")
    expect(picker).to_have_text("no run yet")
    lab.run_all()
    wait_for_badge(lab, 2, "ran")
    first = picker.inner_text()
    assert first.startswith("run ")
    _begin_another_by_keyboard(lab)
    expect(picker).not_to_have_text(first)
    expect(picker).to_have_attribute("title", re.compile("kernel 2$"))  # which runs its cells
    wait_for_badge(lab, 2, "ran")  # not restored: it is a new run
    second = picker.inner_text()
    _choose(lab, "Fork This Run…")
    page.get_by_role("button", name="Fork", exact=True).click()
    expect(picker).not_to_have_text(second)
    wait_for_badge(lab, 2, "restored")  # what the forked run had finished
    _choose(lab, "Resume Earlier Run…")
    runs = page.locator(".jp-Dialog select")
    expect(runs.locator("option")).to_have_count(2)
    lab.screenshot("lab-6-resume-earlier")
    runs.select_option(index=1)  # the oldest
    page.locator(".jp-Dialog").get_by_role("button", name="Resume").click()
    expect(picker).to_have_text(first)
    expect(picker).to_have_attribute("title", re.compile("kernel 3$"))
    wait_for_badge(lab, 2, "restored")
    _see_the_runs(lab)
    _override(lab)
    expect(picker).not_to_have_text(first)
    wait_for_badge(lab, 1, "3 steps restored")
    wait_for_badge(lab, 2, "ran")
    shown = page.locator(".jp-OutputArea-executeResult").last
    expect(shown).to_contain_text("EARLY 0, better, EARLY 2")
    wait_for_badge(lab, 0, "restored")
    lab.screenshot("lab-8-overridden")


def _begin_another_by_keyboard(lab: LabPage) -> None:
    page = lab.page
    page.focus(".evercell-Picker")
    page.keyboard.press("Enter")
    page.wait_for_selector(".evercell-Menu:focus-within")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.wait_for_selector(".evercell-Menu .lm-mod-active:has-text('New Run')")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="New Run").click()


def _choose(lab: LabPage, name: str) -> None:
    """An item of the picker's menu."""
    lab.page.click(".evercell-Picker")
    lab.page.locator(".evercell-Menu").get_by_text(name).click()


def _see_the_runs(lab: LabPage) -> None:
    """Search the panel, open a run that no kernel has, and the kernel's own."""
    page = lab.page
    _choose(lab, "All Runs of This Folder")
    runs = page.locator(".evercell-Runs-run")
    expect(runs).to_have_count(3)
    expect(runs.last).to_have_attribute("aria-current", "true")
    page.fill(".evercell-Runs input", "picker stopped")
    expect(runs).to_have_count(2)
    page.fill(".evercell-Runs input", "nothing like it")
    expect(page.locator(".evercell-Runs-message")).to_have_text("No run matches.")
    page.fill(".evercell-Runs input", "")
    lab.screenshot("lab-5-runs")
    runs.first.click()
    page.locator(".evercell-RunView .ec-line", has_text="early = ").wait_for()
    runs.last.click()
    own = page.locator(".evercell-RunView:visible .evercell-run[data-state=idle]")
    own.wait_for()
    page.locator(".jp-Notebook").first.click()
    lab.run_all()  # which the tab follows
    own.locator(".ec-elapsed").wait_for()
    lab.screenshot("lab-7-run-in-a-tab")


def _override(lab: LabPage) -> None:
    """Give a step of the run in the tab another result, and go on in the fork."""
    own = lab.page.locator(".evercell-RunView:visible .evercell-run")
    own.get_by_role("searchbox").fill("early 1")
    expect(own.get_by_role("treegrid")).to_have_attribute("aria-busy", "false")
    own.locator(".ec-line[data-kind=step]", has_text="early 1").click()
    details = own.get_by_role("region", name="Details")
    details.get_by_role("button", name="Override and fork…").click()
    details.get_by_text("which may cost money").wait_for()
    result = details.get_by_label("Result (JSON)")
    expect(result).to_have_value('"EARLY 1"')
    result.fill('"better"')
    lab.screenshot("lab-9-override")
    details.locator(".ec-primary").click()
    details.get_by_text("Saved as run").wait_for()
    toolbar_button(lab, "Resume").click()


def test_a_plain_kernel_has_badges_once_it_loads_evercell(
    open_notebook: Callable[..., LabPage],
) -> None:
    cells = ["x = 1", "%load_ext evercell", "y = x + 1"]
    lab = open_notebook("plain.ipynb", cells, kernel="python3")
    button = toolbar_button(lab, "Resume")
    assert button.count() == 0
    lab.run_all()
    wait_for_badge(lab, 2, "ran")
    expect(button).to_be_visible()
    assert badges(lab)[:2] == ["", ""]


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_all_else_works_where_the_extension_is_disabled(
    open_notebook: Callable[..., LabPage], server: LabServer, app: str
) -> None:
    with server.without_extension():
        lab = open_notebook("bare.ipynb", [PREPARE, EARLY, "evercell.progress()"], app=app)
        lab.run_all()
        lab.page.wait_for_selector(".evercell-run[data-state=idle]")
        lab.kill_kernel()
        lab.run_all()
        restored = lab.page.locator(".evercell-run").get_by_role("button", name="3 restored")
        restored.wait_for()
        expect(lab.page.locator(".jp-OutputArea-executeResult").first).to_be_visible()
        assert lab.errors() == []
        assert badges(lab) == ["", "", ""]
        assert toolbar_button(lab, "Resume").count() == 0
