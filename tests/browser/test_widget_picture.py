"""The picture on a page of its own: how it looks, scrolls, reads, and what keys do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from browser.bare import BarePage
from browser.lab import SCREENSHOTS, serious
from browser.pictures import assert_alike
from browser.scrolling import many, scroll
from browser.synthetic import SyntheticRun, earlier_kernel, later_kernel

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from evercell import events as ev

pytestmark = pytest.mark.browser

PAINTED = "window.evercell.painted"


def story(*, ended: bool = False) -> list[ev.Event]:
    """A resumed run in the middle of its third cell, or at its end."""
    run = SyntheticRun()
    later_kernel(run, earlier_kernel(run), 0.0)
    events = run.events_so_far()
    return events if ended else events[:-40]


@pytest.mark.parametrize(
    ("name", "dark", "width"),
    [("light", False, 1000), ("dark", True, 1000), ("narrow", False, 460)],
)
def test_pictures_to_look_at(browser: Browser, name: str, dark: bool, width: int) -> None:
    bare = BarePage(browser, story(), dark=dark, width=width)
    bare.open_row("ask")
    assert_alike(bare.screenshot(f"picture-{name}"))
    bare.inspect("What does page 4")
    bare.page.get_by_role("button", name="Timeline").click()
    assert_alike(bare.screenshot(f"picture-{name}-timeline"))
    wide = bare.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert wide, "something sticks out to the right"
    asked = [url for url in bare.requests if not url.startswith("blob:")]  # run.js itself
    assert asked == [], "the picture asked the network for something"


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(browser: Browser, dark: bool) -> None:
    bare = BarePage(browser, story(), dark=dark)
    bare.open_row("ask")
    bare.inspect("What does page 2")
    bare.page.get_by_role("button", name="Timeline").click()
    bare.page.get_by_role("button", name="failed").click()
    bare.page.wait_for_function("document.querySelectorAll('.ec-line').length < 8")
    assert serious(bare.page, ".evercell-run") == []


def test_markup_in_a_run_is_text(browser: Browser) -> None:
    bare = BarePage(browser, story())
    dialogs: list[str] = []
    bare.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    bare.open_row("ask")
    assert "<script>alert(2)" in bare.inspect("<script>alert(2)</script>").inner_text()
    assert "<b>context_length_exceeded</b>" in bare.page.locator(".ec-grid").inner_text()
    assert bare.page.locator(".evercell-run :is(script, b b, img)").count() == 0
    assert dialogs == []


def test_a_view_that_was_left_comes_back_with_the_next_sign_of_life(browser: Browser) -> None:
    bare = BarePage(browser, story())
    page = bare.page
    page.evaluate(
        """() => {
            const view = document.createElement("div");
            view.className = "evercell-view here";
            view.innerHTML = "<p>the table</p>";
            document.body.append(view);
            evercell.begin("here");
        }"""
    )
    table, live = page.get_by_text("the table"), page.locator(".evercell-view .ec-line")
    for _ in range(2):
        expect(live.first).to_be_visible()
        expect(table).to_be_hidden()
        page.evaluate("evercell.tell('comm_live_update')")
        expect(table).to_be_visible()
        expect(live).to_have_count(0)
        page.evaluate("evercell.tell('change:picture')")


OUTPUT = """key => {
    const child = document.createElement("div");
    child.className = "jp-OutputArea-child";
    child.innerHTML = '<div class="jp-OutputArea-output"></div>';
    document.body.replaceChildren(child);
    const host = child.firstChild;
    evercell.write = (said) => (host.innerHTML = said);
    evercell.write(`<div class="evercell-view ${key}"><p>the table</p></div>`);
    evercell.begin(key);
}"""


def test_a_table_that_is_shown_anew_takes_no_press_and_no_focus(browser: Browser) -> None:
    """JupyterLab writes an output's HTML anew, once a second while something happens."""
    bare = BarePage(browser, story())
    page, field = bare.page, bare.page.get_by_role("searchbox")
    page.evaluate(OUTPUT, "here")
    write = "said => evercell.write(`<div class='evercell-view here'><p>${said}</p></div>`)"
    field.press_sequentially("page")
    page.evaluate(write, "a newer table")
    page.keyboard.type(" 24")
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-busy", "false")
    found = bare.row("page 24 say").bounding_box()
    assert found is not None
    page.mouse.move(found["x"] + 200, found["y"] + 13)
    page.mouse.down()
    page.evaluate(write, "the newest table")
    page.mouse.up()
    expect(page.get_by_role("region", name="Details")).to_contain_text("page 24 say")
    assert field.input_value() == "page 24"
    expect(page.get_by_text("the newest table")).to_be_hidden()
    assert page.locator(".evercell-run").count() == 1
    page.evaluate("evercell.tell('comm_live_update')")  # the kernel died
    expect(page.get_by_text("the newest table")).to_be_visible()
    page.evaluate("evercell.tell('change:picture')")
    expect(bare.row("answers = ")).to_be_visible()
    page.evaluate("evercell.write('<p>of another cell</p>')")
    expect(page.get_by_text("of another cell")).to_be_visible()
    assert page.locator(".evercell-run").count() == 0


def test_keys_move_open_and_show_details(browser: Browser) -> None:
    bare = BarePage(browser, story())
    grid = bare.page.get_by_role("treegrid")
    grid.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown"):
        grid.press(key)
    assert bare.active().startswith("ask")
    grid.press("ArrowRight")
    bare.page.wait_for_selector("[data-kind=group][aria-expanded=true]")
    grid.press("ArrowRight")
    assert "page 0" in bare.active()
    grid.press("Enter")
    bare.page.wait_for_selector(".ec-details:visible")
    grid.press("Escape")
    bare.page.wait_for_selector(".ec-details", state="hidden")
    grid.press("ArrowLeft")
    assert bare.active().startswith("ask")
    grid.press("ArrowLeft")
    bare.page.wait_for_selector("[data-kind=group][aria-expanded=false]")
    grid.press("Home")
    assert "client" in bare.active()
    grid.press("/")
    assert bare.page.evaluate("document.activeElement.className") == "ec-search"


def test_facts_filter_and_the_field_searches(browser: Browser) -> None:
    bare = BarePage(browser, story(ended=True))
    bare.page.get_by_role("button", name="1 failed").click()
    expect(bare.page.locator(".ec-line")).to_have_count(3)
    assert "context_length_exceeded" in bare.page.locator(".ec-line:visible").last.inner_text()
    bare.page.get_by_role("button", name="1 failed").click()
    bare.search("page 7 say")
    assert bare.texts(".ec-text") == ["What does page 7 say about <script>alert(7)</script>?"]
    bare.search("nowhere")
    assert bare.page.locator(".ec-empty").is_visible()
    bare.page.get_by_role("searchbox").press("Escape")
    bare.page.wait_for_selector(".ec-empty", state="hidden")


def test_a_row_is_one_element_wherever_it_moves(browser: Browser) -> None:
    """What a pointer, a screen reader or a program holds stays that row, or has gone."""
    bare = BarePage(browser, story(ended=True))
    bare.open_row("ask")
    found = bare.row("page 7 say").element_handle()
    passed_over = bare.row("page 3 say").element_handle()
    bare.search("page 7 say")
    found.click()
    bare.page.locator(".ec-details", has_text="page 7 say").wait_for()
    assert not passed_over.evaluate("it => it.isConnected")
    bare.search("")
    assert found.evaluate("it => it.isConnected && it.textContent.includes('page 7 say')")
    order = bare.page.locator(".ec-line").evaluate_all("all => all.map(it => it.ariaRowIndex)")
    assert order == sorted(order, key=int)  # as it is read aloud


def test_a_press_that_ends_on_another_row_does_nothing(browser: Browser) -> None:
    bare = BarePage(browser, story(ended=True))
    bare.open_row("ask")
    pressed = bare.row("page 1 say").bounding_box()
    assert pressed is not None
    bare.page.mouse.move(pressed["x"] + 200, pressed["y"] + 13)
    bare.page.mouse.down()
    bare.search("page 9 say")  # other rows come under the pointer
    assert bare.row("page 9 say").is_visible()
    bare.page.mouse.up()
    assert bare.page.locator(".ec-details").is_hidden()
    assert "inspect" in bare.heard[-1]
    assert not any(message.get("inspect") for message in bare.heard)


def test_it_says_that_the_kernel_has_not_answered_yet(browser: Browser) -> None:
    bare = BarePage(browser, story())
    bare.page.get_by_role("button", name="running").click()
    grid, details = bare.page.get_by_role("treegrid"), bare.inspect("page 24 say")
    details.get_by_role("button", name="Skip with a value…").wait_for()
    bare.hold()
    bare.row("page 33 say").click()
    assert details.get_attribute("aria-busy") == "true"
    assert "page 33 say" in details.inner_text()
    assert details.locator(".ec-deed").count() == 0  # none that is about the row before
    bare.page.get_by_role("searchbox").fill("nowhere")
    assert grid.get_attribute("aria-busy") == "true"
    bare.apply(*story(ended=True)[-40:-38])  # brings a frame that answers neither
    assert (grid.get_attribute("aria-busy"), details.get_attribute("aria-busy")) == ("true",) * 2
    assert bare.page.locator(".ec-empty").is_hidden()
    bare.release()
    bare.page.locator(".ec-empty").wait_for()
    assert grid.get_attribute("aria-busy") == "false"
    assert details.get_attribute("aria-busy") == "false"


def test_the_timeline_zooms(browser: Browser) -> None:
    bare = BarePage(browser, many(200))
    bare.open_row("ask")
    bare.page.get_by_role("button", name="Timeline").click()
    span = bare.page.locator(".ec-line[data-kind=step] .ec-span").first
    narrow = span.bounding_box()
    for _ in range(2):
        bare.page.get_by_role("button", name="Zoom in").click()
    bare.page.get_by_role("button", name="Fit").click()
    lane = bare.page.locator(".ec-columns .ec-lane").bounding_box()
    assert narrow is not None
    assert lane is not None
    bare.page.mouse.move(lane["x"] + 1, lane["y"] + 60)
    bare.page.keyboard.down("Control")
    bare.page.mouse.wheel(0, -400)
    bare.page.keyboard.up("Control")
    bare.page.wait_for_function(
        "narrow => document.querySelector('[data-kind=step] .ec-span').offsetWidth > narrow",
        arg=narrow["width"],
    )


def test_a_reader_hears_of_states_and_not_of_ticks(browser: Browser) -> None:
    bare = BarePage(browser, story())
    spoken = bare.page.get_by_role("status")
    assert spoken.text_content() == "agents.ipynb: running, 1 failed"
    bare.apply(*story(ended=True)[-40:])
    assert "idle" in (spoken.text_content() or "")
    row = bare.row("client = ")
    assert (row.get_attribute("aria-level"), row.get_attribute("aria-rowindex")) == ("1", "2")
    assert bare.page.get_by_role("treegrid").get_attribute("aria-rowcount") == "6"


def test_twenty_thousand_steps_scroll_smoothly(browser: Browser) -> None:
    """The frame times are kept beside the pictures, and `bench/widget.py` prints them. What is
    asserted is that rows come: times depend on the machine."""
    bare = BarePage(browser, many(20_000))
    scrolled = scroll(bare, 20_000)
    _keep("scroll-20000", median_ms=scrolled.frame(0.5), p95_ms=scrolled.frame(0.95))
    assert bare.page.locator(".ec-line").count() < 60  # only what is in sight is on the page
    assert bare.page.locator(".ec-blank:visible").count() == 0


def test_a_hundred_thousand_steps_paint_at_once(browser: Browser) -> None:
    bare = BarePage(browser, many(100_000))
    _keep("first-paint-100000", kernel_s=bare.prepared, page_ms=bare.page.evaluate(PAINTED))
    assert bare.page.locator(".ec-line:visible").count() == 2
    assert "100\u202f000 / 100\u202f000" in bare.page.locator(".ec-head").inner_text()


def _keep(name: str, **figures: float) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"{name}.json").write_text(json.dumps(figures))
