"""One click answers a workflow while the cell that waits for it blocks, in JupyterLab and
Notebook 7."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.lab import LabPage

pytestmark = pytest.mark.browser

DEFINE = """import evercell
from evercell import workflow

@workflow
async def publish(topic: str) -> str:
    if not await workflow.approval(f"Publish what was found on {topic}?"):
        return "kept " + topic
    return "published " + topic

evercell.progress()"""
SYNC = 'publish.start("ducks").result(60)  # blocks the main thread'
AWAIT = 'await publish.start("geese")'


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_an_answer_reaches_a_workflow_while_a_cell_waits(
    open_notebook: Callable[..., LabPage], app: str
) -> None:
    lab = open_notebook("approve.ipynb", [DEFINE, SYNC, AWAIT], app=app)
    lab.run_all(wait=False)
    ducks = lab.page.locator(".ec-ask", has_text="ducks")
    ducks.get_by_role("button", name="Approve").click(timeout=60_000)
    geese = lab.page.locator(".ec-ask", has_text="geese")
    assert lab.executing() or geese.count(), lab.errors()
    geese.get_by_role("button", name="Reject").wait_for(timeout=60_000)
    lab.screenshot(f"approve-{app}")
    geese.get_by_role("button", name="Reject").click()
    lab.page.wait_for_selector(".jp-OutputArea-executeResult:has-text('kept geese')")
    first = lab.page.locator(".jp-OutputArea-executeResult").first.inner_text()
    assert "'published ducks'" in first
    lab.page.wait_for_selector(".ec-asks", state="hidden")
    assert lab.errors() == []
