"""The live layer on a page of its own: no JupyterLab, the view state in this process.

    page: run.js, a model ── look ──> Viewers (here) ── frame ──> page

What is tested here is the picture: how it looks, scrolls and reads. That it reaches a notebook is
tested in JupyterLab and Notebook 7, which take ten times as long to start.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from playwright.sync_api import expect

import evercell_widgets
from browser.lab import SCREENSHOTS
from evercell_widgets.frames import Viewers, frame_of
from evercell_widgets.modules import joined
from evercell_widgets.outline import Look, parse_look
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playwright.sync_api import Browser, Locator

    from evercell.events import Event

STATIC = Path(evercell_widgets.__file__).parent / "static"

# JupyterLab's own variables, those that run.css asks for.
LIGHT = {
    "--jp-content-font-color1": "rgba(0,0,0,.87)", "--jp-content-font-color2": "rgba(0,0,0,.54)",
    "--jp-layout-color0": "white", "--jp-layout-color2": "#eee", "--jp-border-color2": "#e0e0e0",
    "--jp-brand-color1": "#1976d2", "--jp-success-color1": "#388e3c",
    "--jp-error-color1": "#d32f2f", "--jp-warn-color1": "#f57c00",
}  # fmt: skip
DARK = {
    "--jp-content-font-color1": "rgba(255,255,255,1)",
    "--jp-content-font-color2": "rgba(255,255,255,.7)", "--jp-layout-color0": "#111111",
    "--jp-layout-color2": "#424242", "--jp-border-color2": "#616161",
    "--jp-brand-color1": "#2196f3", "--jp-success-color1": "#4caf50",
    "--jp-error-color1": "#f44336", "--jp-warn-color1": "#ff9800",
}  # fmt: skip

PAGE = """<!doctype html><html lang="en"><head><title>run</title><style>{css}
body {{ margin: 16px; background: var(--jp-layout-color0); }} :root {{ {variables} }}</style></head>
<body><main id="place"></main><script type="module">
const listeners = {{}};
const state = {{ picture: {picture} }};
const deliver = (frame, page) => {{
  const buffer = new DataView(new TextEncoder().encode(frame).buffer);
  for (const f of listeners["msg:custom"] ?? []) f({{ type: "frame", page }}, [buffer]);
}};
const model = {{
  get: (name) => state[name],
  on: (name, f) => (listeners[name] ??= []).push(f),
  off: (name, f) => (listeners[name] = (listeners[name] ?? []).filter((each) => each !== f)),
  send: async (message) => {{
    if (message.type === "look") await window.evercell.held;
    const said = await window.evercellHear(message);
    if (message.type === "act") {{
      const {{ page, request }} = message, {{ error }} = JSON.parse(said);
      for (const f of listeners["msg:custom"]) f({{ type: "answer", page, request, error }}, []);
    }} else if (said) deliver(said, message.page);
  }},
}};
window.evercell = {{
  deliver,
  picture: (picture) => {{
    state.picture = picture;
    window.evercell.tell("change:picture");
  }},
  tell: (name) => {{ for (const f of listeners[name] ?? []) f(); }},
  begin: (key) => {{
    state.key = key;
    widget.initialize({{ model, signal: new AbortController().signal }});
  }},
}};
const text = {script};
const blob = new Blob([text], {{ type: "text/javascript" }});
const {{ default: widget }} = await import(URL.createObjectURL(blob));
const began = performance.now();
widget.render({{ model, el: document.getElementById("place") }});
requestAnimationFrame(() => setTimeout(() => window.evercell.painted = performance.now() - began));
</script></body></html>"""


class BarePage:
    """A page that shows one run; `apply` is what happens next in it."""

    def __init__(
        self, browser: Browser, events: Iterable[Event], *, dark: bool = False, width: int = 1000
    ) -> None:
        began = time.perf_counter()
        self.view = RunView()
        apply_all(self.view, events)
        self.viewers = Viewers(
            self.view, now=time.time_ns, monotonic=time.monotonic, acts=lambda _: True
        )
        self.answer: str | None = None  # to the next action: what is wrong with it
        self.heard: list[dict[str, Any]] = []
        self.requests: list[str] = []
        variables = ";".join(f"{name}:{value}" for name, value in (DARK if dark else LIGHT).items())
        picture = frame_of(self.view, Look(), now=time.time_ns(), acts=lambda _: True)
        sent = _script(json.dumps(picture))
        self.prepared = time.perf_counter() - began
        """Seconds that the kernel needs for the first picture."""
        self.page = browser.new_page(viewport={"width": width, "height": 760})
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.expose_function("evercellHear", self._hear)
        html = PAGE.format(
            css=(STATIC / "run.css").read_text(),
            variables=variables,
            picture=sent,
            script=_script(json.dumps(joined(STATIC / "run.js"))),
        )
        self.page.set_content(html)
        self.page.wait_for_selector(".evercell-run .ec-line")
        self.page.wait_for_function("window.evercell.painted")

    @property
    def acts(self) -> list[dict[str, Any]]:
        """The actions that were asked for."""
        return [message for message in self.heard if message["type"] == "act"]

    def _hear(self, message: dict[str, Any]) -> str | None:
        self.heard.append(message)
        if message["type"] == "act":
            return json.dumps({"error": self.answer})
        if message["type"] == "leave":
            self.viewers.leave(message["page"])
        if message["type"] != "look":
            return None
        look, fresh = parse_look(message), message["fresh"] is True
        return msgspec.json.encode(self.viewers.look(message["page"], look, fresh=fresh)).decode()

    def apply(self, *events: Event) -> None:
        """Let `events` happen, and show it."""
        apply_all(self.view, events)
        for page, frame in self.viewers.frames():
            self.page.evaluate(
                "([frame, page]) => window.evercell.deliver(frame, page)",
                [msgspec.json.encode(frame).decode(), page],
            )

    def hold(self) -> None:
        """Let no look be heard until `release`: the kernel is busy."""
        self.page.evaluate(
            """() => {
              window.evercell.held = new Promise((go) => (window.evercell.release = go));
            }"""
        )

    def release(self) -> None:
        """Let the looks be heard that the page has sent since `hold`."""
        self.page.evaluate("window.evercell.release()")

    def search(self, text: str) -> None:
        """Search, and wait until the rows are those that were found."""
        self.page.get_by_role("searchbox").fill(text)
        expect(self.page.get_by_role("treegrid")).to_have_attribute("aria-busy", "false")

    def row(self, text: str) -> Locator:
        """The first row in sight that says `text`."""
        return self.page.locator(".evercell-run .ec-line:visible", has_text=text).first

    def open_row(self, label: str) -> None:
        """Open the group of the step with this name."""
        row = self.page.locator(".ec-line[data-kind=group]:visible", has_text=label).first
        row.click()
        expect(self.page.get_by_role("treegrid")).to_have_attribute("aria-busy", "false")

    def inspect(self, text: str) -> Locator:
        """Show the details of the first step in sight that says `text`, and wait for them."""
        row = self.row(text)
        name = row.get_attribute("data-row") or ""
        row.click()
        details = self.page.get_by_role("region", name="Details")
        expect(details).to_have_attribute("data-row", name)  # not those of another row before
        expect(details).to_have_attribute("aria-busy", "false")
        return details

    def active(self) -> str:
        """What the row says that keys act on."""
        text: str = self.page.evaluate(
            """() => document.getElementById(
              document.querySelector('[role=treegrid]').getAttribute('aria-activedescendant')
            ).querySelector('.ec-name').textContent"""
        )
        return text

    def texts(self, selector: str) -> list[str]:
        """What the visible elements say, from top to bottom."""
        found = self.page.locator(f".evercell-run {selector}:visible").all()
        return [
            text for _, text in sorted((it.bounding_box()["y"], it.inner_text()) for it in found)
        ]

    def screenshot(self, name: str) -> Path:
        """Keep a picture as `artifacts/screenshots/NAME.png`."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def _script(text: str) -> str:
    return text.replace("</", "<\\/")
