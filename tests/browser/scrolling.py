"""How fast a long run is on the page: the first paint, and the frames while somebody scrolls."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from browser.bare import BarePage
from browser.lab import CHROMIUM_ARGUMENTS
from evercell import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_SCROLL = """() => new Promise((done) => {
  const grid = document.querySelector('.ec-grid'), times = [];
  let last = performance.now();
  const step = (now) => {
    times.push(now - last);
    last = now;
    grid.scrollTop += 130;
    if (times.length < 240) return requestAnimationFrame(step);
    grid.scrollTop = grid.scrollHeight;
    done(times);
  };
  requestAnimationFrame(step);
})"""


@dataclass(frozen=True, slots=True)
class Scrolled:
    """What was measured with one page."""

    painted: float  # seconds: events folded, picture made, sent as JSON, drawn and painted
    frames: list[float]  # milliseconds between two of them while rows moved by, in order of size

    def frame(self, part: float) -> float:
        """The frame time that this part of the frames keeps below."""
        return self.frames[int(part * (len(self.frames) - 1))]


def many(count: int) -> list[ev.Event]:
    """One cell with so many calls, each a tenth of a second."""
    now, tenth = time.time_ns(), 100_000_000
    began = now - count * tenth
    events: list[ev.Event] = [
        ev.RunAttached("k3v9q2m7xa", began, 1, 1, "host", None, "/home/ada/agents.ipynb"),
        ev.CellStarted(
            "k3v9q2m7xa", began, "w-0", "id:a", 0, None, "await ask.map(prompts)", b"", 0,
            "executed", "its source is new", 1,
        ),
    ]  # fmt: skip
    result = ev.Payload(b"0" * 16, "json", 5, b'"yes"')
    for n in range(count):
        at, step = began + n * tenth, f"w-{n + 1}"
        arguments = f'{{"prompt": "Is {n} prime?"}}'
        events += [
            ev.StepStarted("k3v9q2m7xa", at, step, "w-0", "id:a", "ask", b"", 0, arguments),
            ev.StepCompleted("k3v9q2m7xa", at + tenth, step, 1, result, None, tenth),
        ]
    return events


def scroll(bare: BarePage, count: int) -> Scrolled:
    """Wheel through the `count` steps that the page shows; returns when the last one is there."""
    painted = bare.prepared + bare.page.evaluate("window.evercell.painted") / 1000
    bare.open_row("ask")
    times = sorted(bare.page.evaluate(_SCROLL))
    bare.page.wait_for_function(
        "last => document.querySelector('.ec-grid').textContent.includes(last)",
        arg=f"Is {count - 1} prime",
    )
    return Scrolled(painted, times)


def scroll_anew(browser: Browser, count: int) -> Scrolled:
    """A page with `count` steps, scrolled, and closed again."""
    bare = BarePage(browser, many(count))
    scrolled = scroll(bare, count)
    bare.page.close()
    return scrolled


@contextlib.contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A browser of one's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
