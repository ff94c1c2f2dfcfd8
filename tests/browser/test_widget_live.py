"""The run's view in JupyterLab: live while a cell blocks, a static table ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import LabPage

pytestmark = pytest.mark.browser

SHOW = """from evercell_widgets import progress
from synthetic import SyntheticRun, play
run = SyntheticRun()
play(run, pause={pause})
progress(run)"""
BLOCK = "run.finished.wait()  # the main thread does nothing else until the run has ended"


def _ended(lab: LabPage) -> int:
    """How many steps the live picture's running cell counts as ended."""
    text = lab.page.locator(".evercell-run .ec-line", has_text="await ask").locator(
        ".ec-count"
    ).inner_text()  # fmt: skip
    return int(text.split("/")[0])


def _see_it_move(lab: LabPage, pictures: int = 5) -> None:
    lab.page.wait_for_selector(".evercell-run[data-state=running]", timeout=20_000)
    seen = {_ended(lab)}
    while len(seen) < pictures:
        assert lab.executing(), f"the cell ended, and the picture only showed {seen}"
        lab.page.wait_for_timeout(100)
        seen.add(_ended(lab))


def _assert_only_the_table(lab: LabPage) -> None:
    assert lab.page.get_by_text("Error displaying widget").count() == 0
    assert lab.page.locator(".evercell-run").count() == 0
    lab.page.wait_for_selector(".evercell-view table", state="visible")


def test_it_moves_while_a_cell_blocks_and_stays_as_a_table(
    open_notebook: Callable[..., LabPage],
) -> None:
    lab = open_notebook("live.ipynb", [SHOW.format(pause=0.2), BLOCK], kernel="python3")
    dialogs: list[str] = []
    lab.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    lab.run_all(wait=False)
    _see_it_move(lab)
    lab.screenshot("widget-live")
    lab.page.wait_for_selector(".evercell-run[data-state=idle]", timeout=30_000)
    facts = lab.page.locator(".evercell-run .ec-facts").inner_text()
    assert {"22 restored", "44 ran", "1 failed"} <= set(facts.split("\n")), facts
    assert lab.page.locator(".evercell-run").count() == 1
    lab.screenshot("widget-finished")
    lab.page.get_by_role("button", name="1 failed").click()
    shown = lab.page.locator(".evercell-run .ec-text", has_text="<script>alert(19)</script>")
    shown.click()
    lab.page.wait_for_selector(".evercell-run .ec-details:visible")
    lab.screenshot("widget-unfolded")

    # the page that holds the final table is the one that is saved
    lab.page.wait_for_function(
        "document.querySelector('.evercell-view')?.textContent.includes('44 ran, 1 failed')"
    )
    (output,) = lab.save().cells[0].outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert "22 restored, 44 ran, 1 failed" in output.data["text/html"]
    assert "<script>" not in output.data["text/html"]

    lab.open()  # the kernel lives: the live layer finds its place again
    lab.page.wait_for_selector(".evercell-run[data-state=idle]")
    lab.kill_kernel()
    _assert_only_the_table(lab)
    lab.open()
    _assert_only_the_table(lab)
    lab.screenshot("widget-after-kill")
    assert dialogs == []


def test_a_kill_under_load_leaves_the_table(open_notebook: Callable[..., LabPage]) -> None:
    lab = open_notebook(
        "killed.ipynb", [SHOW.format(pause=0.5), BLOCK], kernel="python3",
        theme="JupyterLab Dark", width=760,
    )  # fmt: skip
    lab.run_all(wait=False)
    _see_it_move(lab)
    lab.screenshot("widget-dark-narrow")
    lab.kill_kernel()
    _assert_only_the_table(lab)
    lab.screenshot("widget-dark-killed")
    (output,) = lab.save().cells[0].outputs
    assert "as of" in output.data["text/html"]
    lab.open()
    _assert_only_the_table(lab)
