"""The extension in the oldest JupyterLab that it supports, and in Notebook 7.

The newest JupyterLab has the other browser tests. The oldest one lives in an environment of its
own, which `make test` makes; the kernel is ours in any case.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.lab import LabServer, badges, preview, toolbar_button, wait_for_badge, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator

    from browser.lab import LabPage

pytestmark = pytest.mark.browser

OLDEST = Path(sys.prefix) / "oldest" / "bin" / "python"


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A server of the oldest JupyterLab and Notebook 7."""
    if not OLDEST.exists():
        pytest.skip(f"{OLDEST} is missing: `make test` installs the oldest JupyterLab there")
    running = LabServer(tmp_path_factory.mktemp("oldest"), python=str(OLDEST))
    yield running
    running.close()


def _has_room(shown: Locator) -> bool:
    box = shown.bounding_box()
    return box is not None and box["width"] >= 400 and box["height"] > 100


def _tour(lab: LabPage) -> None:
    """Run, kill, resume, preview, panel: what the extension does, once."""
    errors: list[str] = []
    lab.on("pageerror", lambda error: errors.append(str(error)))
    lab.run_all()
    wait_for_badge(lab, 1, "ran")
    lab.kill_kernel()
    wait_for_badge(lab, 1, "recorded")
    toolbar_button(lab, "Resume").click()
    wait_for_badge(lab, 1, "restored")
    assert [row[2] for row in preview(lab)] == ["↺restored"] * 2
    lab.page.keyboard.press("Escape")
    lab.page.click(".evercell-Picker")
    lab.page.get_by_text("All Runs of This Folder").click()
    lab.page.wait_for_selector(".evercell-Runs-run[aria-current]")
    assert badges(lab)[0].startswith("restored")
    lab.page.click(".evercell-Runs-run[aria-current]")
    shown = lab.page.locator(".evercell-RunView .evercell-run")
    shown.locator(".ec-line", has_text="x + 1").wait_for()
    wait_until("the run has room", lambda: _has_room(shown))
    assert [it for it in errors if "evercell" in it.lower()] == []


def test_notebook_7(open_notebook: Callable[..., LabPage]) -> None:
    lab = open_notebook("new.ipynb", ["x = 1", "x + 1"], app="notebook")
    _tour(lab)
    lab.screenshot("lab-newest-notebook")


def test_the_oldest_jupyterlab_shows_badges_and_the_live_view(
    open_notebook: Callable[..., LabPage], oldest: LabServer
) -> None:
    show = "import evercell\nevercell.progress()"
    lab = open_notebook("old.ipynb", [show, "evercell.approval('Go on?')"], server=oldest)
    lab.run_all(wait=False)
    wait_for_badge(lab, 0, "ran")
    lab.page.locator(".evercell-run .ec-ask").get_by_role("button", name="Approve").click()
    wait_for_badge(lab, 1, "ran")
    lab.screenshot("live-oldest-lab")


@pytest.mark.soak
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_oldest_jupyterlab_and_notebook_7(
    open_notebook: Callable[..., LabPage], oldest: LabServer, app: str
) -> None:
    lab = open_notebook("old.ipynb", ["x = 1", "x + 1"], app=app, server=oldest)
    _tour(lab)
    lab.screenshot(f"lab-oldest-{app}")
