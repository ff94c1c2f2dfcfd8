"""The extension in the oldest JupyterLab that it supports, and in Notebook 7.

The newest JupyterLab has the other browser tests. The oldest one lives in an environment of its
own, which `make test` makes; the kernel is ours in any case.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_lab_extension import badges, preview, toolbar_button, wait_for_badge

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab import LabPage

pytestmark = pytest.mark.browser

OLDEST = str(Path(sys.prefix) / "oldest" / "bin" / "python")


@pytest.mark.parametrize(
    ("app", "python"),
    [
        pytest.param("lab", OLDEST, id="oldest-lab"),
        pytest.param("notebook", OLDEST, id="oldest-notebook", marks=pytest.mark.soak),
        pytest.param("notebook", sys.executable, id="newest-notebook"),
    ],
)
def test_badges_resume_and_preview(
    open_notebook: Callable[..., LabPage], app: str, python: str
) -> None:
    if not Path(python).exists():
        pytest.skip(f"{python} is missing: `make test` installs the oldest JupyterLab there")
    lab = open_notebook("old.ipynb", ["x = 1", "x + 1"], app=app, python=python)
    errors: list[str] = []
    lab.page.on("pageerror", lambda error: errors.append(str(error)))
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
    assert [it for it in errors if "evercell" in it.lower()] == []
    lab.screenshot(f"lab-{'oldest' if python == OLDEST else 'newest'}-{app}")
