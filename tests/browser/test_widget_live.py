"""The run's view in JupyterLab: live while a cell computes, a static table ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from browser.lab import use_theme

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Dialog

    from browser.lab import LabPage

pytestmark = pytest.mark.browser

SHOW = """import time
from pathlib import Path
import evercell
from evercell import step

@step
def ask(question: str) -> str:
    if "(19)" in question:  # one call, however long the cell goes on
        raise ValueError("<b>too long</b>")
    return question.upper()

evercell.progress()"""
COMPUTE = """n = 0
while n < 40 or not Path({gate!r}).exists():  # the main thread does nothing else meanwhile
    try:
        ask(f"What of <script>alert({{n}})</script>?")
    except ValueError:
        pass
    n += 1
    sum(i * i for i in range(200_000))"""


def _ended(lab: LabPage) -> int:
    """How many steps the live picture's running cell counts as ended."""
    text = lab.page.locator(".evercell-run .ec-line", has_text="n = 0").locator(
        ".ec-count"
    ).inner_text()  # fmt: skip
    return int(text.split("/")[0].replace("\u202f", ""))


def _see_it_move(lab: LabPage, pictures: int = 5) -> None:
    lab.page.wait_for_selector(".evercell-run .ec-line:has-text('n = 0') .ec-count:has-text('/')")
    seen = {_ended(lab)}
    while len(seen) < pictures:
        assert lab.executing(), f"the cell ended, and the picture only showed {seen}"
        lab.page.wait_for_timeout(50)
        seen.add(_ended(lab))


def _type_while_the_table_is_shown_anew(lab: LabPage) -> None:
    """Which JupyterLab does by writing the HTML again: who types goes on."""
    page, field = lab.page, lab.page.locator(".evercell-run").get_by_role("searchbox")
    field.press_sequentially("n =")
    _await_another_table(lab)
    page.keyboard.type(" 0")
    expect(field).to_have_value("n = 0")
    field.fill("")
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-busy", "false")


def _await_another_table(lab: LabPage) -> None:
    table = lab.page.locator(".evercell-view table").element_handle()
    lab.page.wait_for_function("table => !table.isConnected", arg=table)


def _assert_only_the_table(lab: LabPage) -> None:
    lab.page.wait_for_selector(".evercell-run", state="detached")
    assert lab.page.get_by_text("Error displaying widget").count() == 0
    lab.page.wait_for_selector(".evercell-view table", state="visible")


def test_it_moves_while_a_cell_computes_and_stays_as_a_table(
    open_notebook: Callable[..., LabPage], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    lab = open_notebook("live.ipynb", [SHOW, COMPUTE.format(gate=str(gate))], width=760)
    dialogs: list[str] = []

    def on_dialog(dialog: Dialog) -> None:
        if dialog.type != "beforeunload":  # JupyterLab's own, before a page is loaded anew
            dialogs.append(dialog.message)
        dialog.accept()

    lab.on("dialog", on_dialog)
    lab.run_all(wait=False)
    _see_it_move(lab)
    _type_while_the_table_is_shown_anew(lab)
    lab.screenshot("widget-live-narrow")
    gate.touch()
    lab.page.wait_for_selector(".evercell-run[data-state=idle]")
    assert lab.page.locator(".evercell-run").count() == 1
    lab.page.set_viewport_size({"width": 1200, "height": 900})
    lab.page.get_by_role("button", name="1 failed").click()
    shown = lab.page.locator(".evercell-run .ec-text", has_text="<script>alert(19)</script>")
    shown.click()
    lab.page.wait_for_selector(".evercell-run .ec-details[aria-busy=false]")
    lab.screenshot("widget-details")

    # the page that holds the final table is the one that is saved
    lab.page.wait_for_function(
        "/\\d ran, 1 failed/.test(document.querySelector('.evercell-view')?.textContent)"
    )
    (output,) = lab.save().cells[0].outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert " ran, 1 failed" in output.data["text/html"]
    assert "&lt;b&gt;too long&lt;/b&gt;" in output.data["text/html"]
    assert "<script>" not in output.data["text/html"]

    lab.open()  # the kernel lives: the live layer finds its place again
    lab.page.wait_for_selector(".evercell-run[data-state=idle]")
    lab.kill_kernel()
    _assert_only_the_table(lab)
    use_theme(lab, "dark")
    lab.screenshot("widget-dark-killed")
    lab.open()
    _assert_only_the_table(lab)
    assert dialogs == []
