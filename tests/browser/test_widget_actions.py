"""Questions, forms and actions on a page of their own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from browser.bare import BarePage
from evercell import events as ev

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

RUN, PAYLOAD = "k3v9q2m7xa", ev.Payload(b"0" * 16, "json", 2, b"{}")
SCHEMA = json.dumps(
    {
        "$defs": {
            "Limits": {
                "properties": {
                    "dollars": {"title": "Dollars", "type": "number", "minimum": 0, "maximum": 50},
                    "hours": {"title": "Hours", "type": "integer", "default": 2},
                },
                "required": ["dollars"], "title": "Limits", "type": "object",
            }
        },
        "properties": {
            "publish": {"title": "Publish", "type": "boolean", "default": True},
            "tone": {"enum": ["dry", "warm"], "title": "Tone", "description": "Of the summary."},
            "note": {"title": "Note", "type": "string", "default": "", "maxLength": 500},
            "limits": {"$ref": "#/$defs/Limits"},
        },
        "required": ["tone", "limits"], "title": "Plan", "type": "object",
    }
)  # fmt: skip


def story() -> list[ev.Event]:
    """A notebook whose kernel carries workflows that wait for people and for time."""
    now, second = time.time_ns(), 10**9
    start = ev.WorkflowStart("review-ducks", RUN, PAYLOAD, b"", b"")
    events: list[ev.Event] = [
        ev.RunAttached(RUN, now - 90 * second, 1, 1, "host", None, "/home/ada/agents.ipynb"),
        ev.CellStarted(
            RUN, now - 80 * second, "c1", "id:a", 0, None, "handle = review.start('ducks')", b"",
            0, "executed", "its source is new", 1,
        ),
        ev.CellCompleted(
            RUN, now - 79 * second, "c1", b"", second, {}, (), (), (), None, None, True
        ),
        ev.RunStarted("w1", now - 79 * second, "review", None, {"topic": "ducks"}, "", "", start),
        ev.StepStarted("w1", now - 78 * second, "s1", "", "workflow", "draft", b"", 0, '{"n": 1}'),
        ev.StepCompleted(
            "w1", now - 60 * second, "s1", 1, PAYLOAD, '"A draft on ducks"', 18 * second
        ),
        ev.ApprovalRequested(
            "w1", now - 59 * second, "a1", "workflow", "Publish the draft on <b>ducks</b>?", SCHEMA,
            now + 3600 * second,
        ),
        ev.ApprovalRequested("w1", now - 58 * second, "a2", "workflow", "Mail it to Grace?", None),
        ev.RunStarted("w2", now - 50 * second, "nightly", None, {}, "", "", start),
        ev.TimerStarted(
            "w2", now - 50 * second, "t1", "workflow", "until morning", now + 7200 * second
        ),
        ev.CellStarted(
            RUN, now - 20 * second, "c2", "id:b", 1, None, "answers = ask.map(questions)", b"", 0,
            "executed", "its source is new", 2,
        ),
        ev.StepStarted(RUN, now - 20 * second, "s2", "c2", "id:b", "ask", b"", 0, '{"q": "Why?"}'),
        ev.AttemptFailed(
            RUN, now - 5 * second, "s2", 1, ev.ErrorInfo("openai.RateLimitError", "429"),
            30 * second,
        ),
    ]  # fmt: skip
    return events


@pytest.mark.parametrize(("name", "dark", "width"), [("", False, 900), ("-dark", True, 900)])
def test_a_form_asks_what_the_schema_says(
    browser: Browser, name: str, dark: bool, width: int
) -> None:
    bare = BarePage(browser, story(), dark=dark, width=width)
    asks = bare.page.get_by_role("region", name="Waiting for you")
    assert "Publish the draft on <b>ducks</b>?" in asks.inner_text()
    bare.page.get_by_role("button", name="Answer…").click()
    bare.page.get_by_label("Tone").select_option("warm")
    bare.page.get_by_label("Dollars").fill("80")
    bare.page.get_by_role("button", name="Answer", exact=True).click()
    asks.get_by_text("Dollars is at most 50.").wait_for()
    bare.screenshot(f"approval-form{name}")
    bare.page.get_by_label("Dollars").fill("20")
    bare.page.get_by_role("button", name="Answer", exact=True).click()
    asks.get_by_text("Saved").wait_for()
    (act,) = bare.acts
    assert (act["deed"], act["run"], act["activity"]) == ("approve", "w1", "a1")
    assert json.loads(act["value"]) == {
        "publish": True, "tone": "warm", "limits": {"dollars": 20, "hours": 2},
    }  # fmt: skip
    bare.apply(ev.ApprovalAnswered("w1", time.time_ns(), "a1", True, None, "{}", "ada"))
    bare.page.wait_for_selector(".ec-ask:has-text('ducks')", state="detached")
    assert "Mail it to Grace?" in asks.inner_text()


def test_yes_and_no_are_one_click_and_errors_are_said(browser: Browser) -> None:
    bare = BarePage(browser, story())
    grace = bare.page.locator(".ec-ask", has_text="Grace")
    bare.answer = "This approval is not pending: it was answered, or gave up."
    grace.get_by_role("button", name="Approve").click()
    grace.get_by_text("not pending").wait_for()
    bare.answer = None
    grace.get_by_role("button", name="Reject").click()
    grace.get_by_text("Saved").wait_for()
    assert [act["deed"] for act in bare.acts] == ["approve", "reject"]


def test_what_costs_is_asked_before_it_is_done(browser: Browser) -> None:
    bare = BarePage(browser, story())
    bare.row("Why?").click()
    details = bare.page.get_by_role("region", name="Details")
    details.get_by_role("button", name="Retry now").click()
    details.get_by_text("which may cost money").wait_for()
    bare.screenshot("action-asks")
    details.get_by_role("button", name="Don't").click()
    assert bare.acts == []
    details.get_by_role("button", name="Skip with a value…").click()
    details.get_by_label("Result (JSON)").fill('"because"')
    details.get_by_role("button", name="Skip with a value", exact=True).click()
    details.get_by_text("Saved").wait_for()
    details.get_by_role("button", name="Cancel step").click()
    details.locator(".ec-primary").click()
    details.get_by_text("Saved").wait_for()
    assert [(act["deed"], act.get("value")) for act in bare.acts] == [
        ("skip", '"because"'), ("cancel", None),
    ]  # fmt: skip


def test_a_form_stays_while_the_run_goes_on(browser: Browser) -> None:
    bare = BarePage(browser, story())
    bare.row("nightly").locator(".ec-more").click(force=True)
    details = bare.page.get_by_role("region", name="Details")
    details.get_by_role("button", name="Send signal…").click()
    details.get_by_label("Signal").fill("wake up")
    now = time.time_ns()
    bare.apply(ev.StepStarted(RUN, now, "s3", "c2", "id:b", "ask", b"", 0, '{"q": "How?"}'))
    assert details.get_by_label("Signal").input_value() == "wake up"
    details.locator(".ec-primary").click()
    details.get_by_text("Saved").wait_for()
    (act,) = bare.acts
    assert (act["deed"], act["run"], act["name"]) == ("signal", "w2", "wake up")
