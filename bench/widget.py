"""Subject 16: what showing a run live costs its kernel, and how fast a long run is on the page.

A kernel records (synthetically: only the display is measured) 1,000 steps a second, with and
without a display that one page looks at, in interleaved rounds. The cost is the difference in CPU
time, as a part of the time that passed. Then a page shows 100,000 steps, and scrolls through them,
in Chromium.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from jupyter_client.manager import start_new_kernel

from bench.processes import ROOT
from bench.results import Line, Section, judge
from bench.stats import Target

if TYPE_CHECKING:
    from bench.lanes import Settings

COST = "kernel's CPU at 1,000 steps/s, live display"
PAINT = "first paint of a run of 100,000 steps"
SCROLL = "frame while {:,} steps scroll, 95th percentile"

_PREPARE = """
import json, os, threading, time
from evercell import events as ev
from evercell.clock import SystemClock
from evercell_widgets.frames import frame_of
from evercell_widgets.outline import Look
from evercell_widgets.view import RunView, apply_all
from evercell_widgets.widget import RunDisplay

PAYLOAD = ev.Payload(b"0" * 16, "json", 40, b'"an answer of about forty characters...."')

def begin():
    at = time.time_ns()
    return [
        ev.RunAttached("run", at, 1, 1, "host", None, "/n/a.ipynb"),
        ev.CellStarted("run", at, "c", "id:a", 0, None, "ask.map(x)", b"", 0, "executed", "new", 1),
    ]

def step(n):
    at, name, prompt = time.time_ns(), f"w-{n}", '{"prompt": "what is %d?"}' % n
    return (
        ev.StepStarted("run", at, name, "c", "id:a", "ask", b"", 0, prompt),
        ev.UsageRecorded("run", at, name, 1, "m", 100, 20, 0.001),
        ev.StepCompleted("run", at, name, 1, PAYLOAD, None, 1_000_000),
    )

class Source:
    def __init__(self):
        self.events, self.listener = begin(), None
    def events_so_far(self):
        return list(self.events)
    def is_over(self):
        return False
    def subscribe(self, listener):
        self.listener = listener
        return lambda: setattr(self, "listener", None)

def work(source, seconds):
    start, n = time.perf_counter(), 0
    while (now := time.perf_counter()) < start + seconds:
        while n < (now - start) * 1000:
            for event in step(n):
                if source.listener:
                    source.listener((event,))
            n += 1
        time.sleep(0.002)
    return n

def measure(seconds, shown):
    source = Source()
    display = RunDisplay(source, clock=SystemClock()) if shown else None
    if display:
        look = {"type": "look", "page": "p", "fresh": True, "open": {"g:id:a:ask": True}}
        display._heard(None, look, None)
    cpu, wall = time.process_time(), time.perf_counter()
    n = work(source, seconds)
    if display:
        display.close()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu": cpu, "wall": wall, "steps": n}))

def first_paint(steps):
    events = begin() + [event for n in range(steps) for event in step(n)]
    view = RunView()
    start = time.process_time()
    apply_all(view, events)
    folded = time.process_time()
    frame = frame_of(view, Look(), now=time.time_ns())
    print(json.dumps({"fold": folded - start, "frame": time.process_time() - folded}))
"""


def _ask(client: Any, code: str) -> Any:
    """What `code` printed, as JSON."""
    printed: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=hear, timeout=120)
    assert reply["content"]["status"] == "ok", reply["content"]
    return json.loads("".join(printed)) if printed else None


def measure(settings: Settings) -> Section:
    """Per cent of a core, seconds, milliseconds."""
    began = time.perf_counter()
    rounds, seconds = settings.choose(quick=3, full=5), settings.choose(quick=2, full=4)
    settings.say("widget: kernel")
    lines = [
        judge(COST, "%", _costs(rounds, seconds), baseline=None, target=Target(1, "value", "%"),
              note="the difference to none"),
        *_on_the_page(settings),
    ]  # fmt: skip
    took = time.perf_counter() - began
    return Section("widget", "The run widget", None, "difference", tuple(lines), took)


def _costs(rounds: int, seconds: float) -> list[float]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        _ask(client, _PREPARE)
        _ask(client, "measure(0.5, True)")
        costs = []
        for _ in range(rounds):
            without = _ask(client, f"measure({seconds}, False)")
            shown = _ask(client, f"measure({seconds}, True)")
            cost = shown["cpu"] / shown["wall"] - without["cpu"] / without["wall"]
            costs.append(100 * cost)
        return costs
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _on_the_page(settings: Settings) -> list[Line]:
    names = [PAINT, *(SCROLL.format(steps) for steps in (20_000, 100_000))]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        problem = "Chromium is not installed (Debian: apt-get install chromium)"
        return [Line(name, "ms", problem=problem) for name in names]
    sys.path.append(str(ROOT / "tests"))
    try:
        from browser import scrolling
    except ImportError as error:
        return [Line(name, "ms", problem=f"{error}: pip install --group test") for name in names]
    rounds = settings.choose(quick=1, full=3)
    settings.say("widget: page")
    with scrolling.chromium(chromium) as browser:
        few = [scrolling.scroll_anew(browser, 20_000) for _ in range(rounds)]
        lots = [scrolling.scroll_anew(browser, 100_000) for _ in range(rounds)]
    paint = judge(
        PAINT, "s", [it.painted for it in lots], baseline=None, target=Target(1, "value", "s"),
        note="from folding the events to the painted page",
    )  # fmt: skip
    return [
        paint,
        *(
            judge(name, "ms", [it.frame(0.95) for it in found], baseline=None, target=None,
                  note=f"median {sorted(it.frame(0.5) for it in found)[rounds // 2]:.1f} ms")
            for name, found in zip(names[1:], (few, lots), strict=True)
        ),
    ]  # fmt: skip
