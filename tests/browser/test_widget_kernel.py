"""What people do in the widget reaches a kernel while its cell blocks or waits, in JupyterLab and
Notebook 7."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from browser.lab import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from browser.lab import LabPage

pytestmark = pytest.mark.browser

DEFINE = """import threading
import evercell
from evercell import RetryPolicy, step, workflow

calls = []

@step(retry=RetryPolicy(initial_interval="1h"))
def flaky(what: str) -> str:
    calls.append(what)
    if len(calls) == 1 or what in {"never", "stuck"}:
        raise ConnectionError("try again in an hour")
    return "got " + what

@workflow
async def publish(topic: str) -> list[str]:
    draft = await flaky(topic)
    picture = await flaky("a picture for " + draft)
    return [draft, picture, await workflow.wait_signal("signed", str)]

evercell.progress()"""
SYNC = 'evercell.approval("Publish ducks?")  # blocks the main thread'
AWAIT = 'await evercell.approval("Publish geese?")'
RETRY = 'flaky("fox")'
SKIP = 'flaky("never")'
WORKFLOW = 'published = publish.start("owls")\npublished.result()'
STOP = """try:
    answer = flaky("stuck")
except evercell.errors.StepCanceledError:
    answer = "canceled"
answer"""
CANCEL = "threading.Event().wait()"


class Widget:
    """The live view, and what a person does in it."""

    def __init__(self, lab: LabPage) -> None:
        self.view = lab.page.locator(".evercell-run")
        self.details = self.view.get_by_role("region", name="Details")

    def ask(self, text: str) -> Locator:
        return self.view.locator(".ec-ask", has_text=text)

    def inspect(self, kind: str, text: str | re.Pattern[str]) -> Locator:
        """Show the details of the last row of this kind that says `text`."""
        found = self.view.locator(f".ec-line[data-kind={kind}]:visible", has_text=text).last
        name = found.get_attribute("data-row") or ""
        row = self.view.locator(f".ec-line[data-row={json.dumps(name)}]")
        if kind in {"cell", "workflow"}:  # a click opens and closes them
            row.hover()
            row.locator(".ec-more").click()
        else:
            row.click()
        expect(self.details).to_have_attribute("data-row", name)  # not those of another row before
        expect(self.details).to_have_attribute("aria-busy", "false")
        return row

    def search(self, text: str) -> None:
        """Show what matches, and wait until the rows are those."""
        self.view.get_by_role("searchbox").fill(text)
        expect(self.view.get_by_role("treegrid")).to_have_attribute("aria-busy", "false")

    def press(self, name: str) -> None:
        self.details.get_by_role("button", name=name, exact=True).click()

    def confirm(self) -> None:
        self.details.locator(".ec-primary").click()


def _act_on_steps(widget: Widget, shown: Locator) -> None:
    """Retry one now, skip one, cancel one; `shown` are the results of the cells that ask them."""
    widget.inspect("step", "fox")
    widget.press("Retry now")
    widget.details.get_by_text("which may cost money").wait_for()
    widget.confirm()
    expect(shown).to_have_count(3)
    widget.inspect("step", "never")
    widget.press("Skip with a value…")
    widget.details.get_by_label("Result (JSON)").fill('"nothing"')
    widget.press("Skip with a value")
    expect(shown).to_have_count(4)
    widget.inspect("step", "stuck")
    widget.press("Cancel step")
    widget.details.get_by_text("What the attempt has cost so far stays paid").wait_for()
    widget.confirm()
    expect(shown).to_have_count(5)


def _answer_the_workflow(widget: Widget, shown: Locator) -> None:
    """Send the signal that it waits for."""
    widget.inspect("wait", "signed")
    widget.press("Send signal…")
    expect(widget.details.get_by_label("Signal")).to_have_value("signed")
    widget.details.get_by_label("Argument (JSON)").fill('"ada"')
    widget.confirm()
    expect(shown).to_have_count(6)


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_people_act_while_a_cell_blocks_or_waits(
    open_notebook: Callable[..., LabPage], app: str
) -> None:
    cells = [DEFINE, SYNC, AWAIT, RETRY, SKIP, STOP, WORKFLOW, CANCEL]
    lab = open_notebook("act.ipynb", cells, app=app)
    lab.run_all(wait=False)
    widget = Widget(lab)
    shown = lab.page.locator(".jp-OutputArea-executeResult")
    widget.ask("ducks").get_by_role("button", name="Approve").click()
    expect(shown).to_have_count(1)
    widget.ask("geese").get_by_role("button", name="Reject").wait_for()
    lab.screenshot(f"approve-{app}")
    widget.ask("geese").get_by_role("button", name="Reject").click()
    expect(shown).to_have_count(2)

    _act_on_steps(widget, shown)
    _answer_the_workflow(widget, shown)
    given = lab.page.locator(".jp-OutputArea-executeResult .jp-OutputArea-output")
    expect(given).to_have_text(
        ["True", "False", "'got fox'", "'nothing'", "'canceled'",
         "['got owls', 'got a picture for got owls', 'ada']"]
    )  # fmt: skip

    widget.search("owls")
    widget.inspect("step", re.compile(r"^\W*(flaky)?owls"))
    widget.press("Override and fork…")
    widget.details.get_by_text("which may cost money").wait_for()
    widget.details.get_by_label("Result (JSON)").fill('"hens"')
    widget.confirm()
    widget.details.get_by_text("Saved").wait_for()
    widget.search("got a picture for hens")
    widget.view.locator(".ec-result", has_text="got a picture for hens").first.wait_for()
    lab.screenshot(f"forked-{app}")
    fork = widget.inspect("workflow", "publish")  # which waits for its signal
    widget.press("Cancel run")
    widget.details.get_by_text("may clean up, then it ends").wait_for()
    widget.confirm()
    expect(fork).to_have_attribute("data-status", "canceled")
    expect(widget.details.get_by_role("button", name="Cancel run")).to_have_count(0)
    lab.screenshot(f"canceled-{app}")
    widget.search("fox")
    widget.inspect("step", "fox")  # of a cell: while another one blocks
    widget.press("Override and fork…")
    expect(widget.details.get_by_label("Result (JSON)")).to_have_value('"got fox"')
    widget.confirm()
    widget.details.get_by_text("Saved as run").wait_for()
    widget.search("")

    widget.inspect("cell", "threading.Event().wait()")
    widget.press("Cancel cell")
    widget.details.get_by_text("is interrupted").wait_for()
    widget.confirm()
    wait_until("it is", lambda: any("KeyboardInterrupt" in it for it in lab.errors()))
    lab.page.wait_for_selector(".ec-asks", state="hidden")
    wait_until("no cell runs", lambda: lab.executing() == 0)
