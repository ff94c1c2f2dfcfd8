"""A run that never happened: events fed from a thread, for looking at the widget in a browser."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

from evercell import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000_000
PAYLOAD = ev.Payload(b"0" * 16, "json", 2, b"{}")


class SyntheticRun:
    """An event source, as `evercell_widgets.progress` takes it."""

    def __init__(self) -> None:
        self._events: list[ev.Event] = []
        self._listeners: list[Callable[[tuple[ev.Event, ...]], None]] = []
        self._ids = itertools.count()
        self.finished = threading.Event()
        self.run_id = "k3v9q2m7xa"

    def events_so_far(self) -> list[ev.Event]:
        return list(self._events)

    def is_over(self) -> bool:
        return False

    def subscribe(self, listener: Callable[[tuple[ev.Event, ...]], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def emit(self, *events: ev.Event) -> None:
        self._events += events
        for listener in list(self._listeners):
            listener(events)

    def attach(self, generation: int = 1) -> None:
        self.emit(
            ev.RunStarted(
                self.run_id,
                time.time_ns(),
                "notebook",
                "/home/ada/agents.ipynb",
                {},
                "cpython-311",
                "0.1.0",
            ),
            ev.RunAttached(self.run_id, time.time_ns(), generation, 1, "host", None, None),
        )

    def start_cell(self, slot: str, source: str, index: int) -> str:
        cell = f"w-{next(self._ids)}"
        self.emit(
            ev.CellStarted(
                self.run_id,
                time.time_ns(),
                cell,
                slot,
                index,
                None,
                source,
                b"",
                0,
                "executed",
                "its source is new",
                index + 1,
            )
        )
        return cell

    def complete_cell(self, cell: str, seconds: float) -> None:
        self.emit(
            ev.CellCompleted(
                self.run_id,
                time.time_ns(),
                cell,
                b"",
                int(seconds * SECOND),
                {},
                (),
                (),
                (),
                None,
                None,
                True,
            )
        )

    def fail_cell(self, cell: str, seconds: float, message: str) -> None:
        error = ev.ErrorInfo("openai.BadRequestError", message)
        self.emit(ev.CellFailed(self.run_id, time.time_ns(), cell, int(seconds * SECOND), error))

    def restore_cell(self, slot: str, source: str, index: int, origin: str, seconds: float) -> None:
        self.emit(
            ev.CellRestored(
                self.run_id,
                time.time_ns(),
                f"w-{next(self._ids)}",
                origin,
                slot,
                index,
                None,
                source,
                b"",
                0,
                "same source, same inputs",
                index + 1,
                4_000_000,
                int(seconds * SECOND),
            )
        )

    def start_step(self, cell: str, name: str, arguments: str) -> str:
        step = f"w-{next(self._ids)}"
        self.emit(
            ev.StepStarted(self.run_id, time.time_ns(), step, cell, "", name, b"", 0, arguments)
        )
        return step

    def complete_step(self, step: str, seconds: float, attempt: int = 1, tokens: int = 180) -> None:
        at = time.time_ns()
        self.emit(
            ev.UsageRecorded(
                self.run_id, at, step, attempt, "smollm2", tokens, tokens // 6, 0.0004
            ),
            ev.StepCompleted(self.run_id, at, step, attempt, PAYLOAD, None, int(seconds * SECOND)),
        )

    def retry_step(self, step: str, message: str) -> None:
        error = ev.ErrorInfo("openai.RateLimitError", message)
        self.emit(ev.AttemptFailed(self.run_id, time.time_ns(), step, 1, error, 2 * SECOND))

    def fail_step(self, step: str, message: str) -> None:
        error = ev.ErrorInfo("openai.BadRequestError", message)
        self.emit(
            ev.StepFailed(self.run_id, time.time_ns(), step, 1, error, "non-retryable", SECOND // 3)
        )

    def answer(self, cell: str, *steps: str) -> None:
        self.emit(ev.StepsAnswered(self.run_id, time.time_ns(), cell, steps))


def earlier_kernel(run: SyntheticRun) -> list[str]:
    """A first kernel that did two cells, and died at the 16th question of the third."""
    run.attach()
    cell = run.start_cell("id:a", "import openai\nclient = openai.OpenAI()", 1)
    run.complete_cell(cell, 0.41)
    cell = run.start_cell("id:b", "pages = [fetch(p) for p in topics]", 2)
    for page in range(6):
        run.complete_step(run.start_step(cell, "fetch", f'{{"page": {page}}}'), 0.8, tokens=0)
    run.complete_cell(cell, 5.2)
    cell = run.start_cell("id:c", ASK, 4)
    asked = [run.start_step(cell, "ask", question(n)) for n in range(17)]
    for step in asked[:16]:
        run.complete_step(step, 1.9)
    run.attach(2)
    run.restore_cell("id:a", "import openai\nclient = openai.OpenAI()", 1, "w-0", 0.41)
    run.restore_cell("id:b", "pages = [fetch(p) for p in topics]", 2, "w-1", 5.2)
    return asked


ASK = "# every page, every question\nanswers = await ask.map(questions, max_concurrency=4)"


def question(n: int) -> str:
    return f'{{"prompt": "What does page {n} say about <script>alert({n})</script>?"}}'


def later_kernel(run: SyntheticRun, asked: list[str], pause: float) -> None:
    """The second kernel goes on with the third cell: 16 answered, 24 more asked."""
    cell = run.start_cell("id:c", ASK, 4)
    run.answer(cell, *asked[:16])
    flying = {n: run.start_step(cell, "ask", question(n)) for n in range(17, 21)}
    run.emit(ev.AttemptStarted(run.run_id, time.time_ns(), asked[16], cell, 2))
    waiting: list[str] = []
    for n in range(21, 41):
        time.sleep(pause)
        first = min(flying)
        step = flying.pop(first)
        if first == 19:
            run.fail_step(step, "Error code: 400: <b>context_length_exceeded</b>: 9,311 tokens")
        elif first in {20, 24}:
            run.retry_step(step, "Error code: 429: rate limit reached, retry after 2 s")
            waiting.append(step)
        else:
            run.complete_step(step, 1.2 + first % 3)
        if n == 26:
            run.complete_step(asked[16], 2.2, attempt=2)
        flying[n] = run.start_step(cell, "ask", question(n))
        run.complete_step(run.start_step(cell, "lookup", f'{{"term": "page {n}"}}'), 0.02)
    for step in [*flying.values(), *waiting]:
        time.sleep(pause)
        run.complete_step(step, 1.4)
    run.complete_cell(cell, 44 * pause)
    run.finished.set()


def play(run: SyntheticRun, pause: float = 0.15) -> None:
    """Feed the whole second kernel's work from a thread; `run.finished` is set at its end."""
    asked = earlier_kernel(run)
    threading.Thread(target=later_kernel, args=(run, asked, pause), daemon=True).start()
