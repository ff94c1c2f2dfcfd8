"""The history alone: its journal folded, its database queried, read by others while it records."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from bench.processes import start
from evercell import events as e
from evercell.clock import SystemClock
from evercell.history import History
from evercell.history.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUN = "run0000001"
RESULT = b'"' + b"a" * 200 + b'"'  # as in the other subjects
QUERIES = {
    "event": "SELECT type, count(*), sum(duration_ns), max(at_ns) FROM store.event GROUP BY ALL",
    "steps": "SELECT status, count(*), max(duration) FROM steps GROUP BY ALL",
}
TICK = 0.01  # seconds between two batches of what is recorded at a steady rate
LEAD = 2  # seconds before the outside reader looks: then there is something to see


class Steps:
    """Records steps as the engine does, a batch at a time."""

    def __init__(self, folder: Path) -> None:
        self.history = History(folder)
        self._now = SystemClock().now
        self._count = 0
        self.history.commit(
            e.RunStarted(RUN, self._now(), "notebook", "/bench.ipynb", {}, "cpython-311", "0"),
            e.RunAttached(RUN, self._now(), 1, os.getpid(), "host", "kernel", "/bench.ipynb"),
        )
        self._cell = self.history.new_activity_id()

    def record(self, steps: int) -> None:
        """Two events each, durable when this returns."""
        batch: list[e.Event] = []
        for number in range(self._count, self._count + steps):
            step = self.history.new_activity_id()
            key = blake3(number.to_bytes(8, "big")).digest(16)
            text = f'{{"tag":"bench","number":{number}}}'
            batch.append(
                e.StepStarted(RUN, self._now(), step, self._cell, "id:a", "ask", key, 0, text)
            )
            result = self.history.put(RESULT, "json")
            batch.append(e.StepCompleted(RUN, self._now(), step, 1, result, None, 1_000))
        self._count += steps
        self.history.commit(*batch)


class Contender:
    """Folds copies of one journal; queries what came out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folded: History | None = None
        self._rates: dict[int, dict[bool, float]] = {}  # by round: events a second, of CPU or not
        self._live: dict[int, dict[str, float]] = {}  # by round: what was seen while recording

    def prepare(self, events: int) -> float:
        """Seconds to record a journal of so many events that nobody has folded."""
        begin = perf_counter()
        steps = Steps(self._folder / "recorded")
        for _ in range(events // 2000):
            steps.record(1000)
        # Its writer lives: nothing has been folded, and the segments stay.
        shutil.copytree(self._folder / "recorded", self._folder / "prepared")
        return perf_counter() - begin

    def fold(self, events: int, number: int, *, cpu: bool) -> float:
        """Events a second, of the wall's time or of the processors', in this round."""
        if number not in self._rates:
            place = self._folder / "folded"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(self._folder / "prepared", place)
            self._folded = History(place)
            begin, spent = perf_counter(), process_time()
            self._folded.fold()
            wall, processors = perf_counter() - begin, process_time() - spent
            self._rates[number] = {False: events / wall, True: events / processors}
        return self._rates[number][cpu]

    def query(self, of: str) -> float:
        """Milliseconds for an aggregate over all events, in an open connection."""
        assert self._folded is not None
        with self._folded.reading():
            self._folded.query("SELECT 1")
            begin = perf_counter()
            self._folded.query(QUERIES[of])
            return (perf_counter() - begin) * 1000

    def size(self, events: int) -> float:
        """Bytes of an event in `history.duckdb`."""
        return (self._folder / "folded" / "history.duckdb").stat().st_size / events

    def held(self, rate: int, seconds: int, number: int) -> float:
        """Per cent of the time that the database file is held, while steps are recorded."""
        return self._seen(rate, seconds, number)["held"]

    def age(self, rate: int, seconds: int, number: int) -> float:
        """How old the newest event is that another process sees, at the worst, in seconds."""
        return self._seen(rate, seconds, number)["age"]

    def _seen(self, rate: int, seconds: int, number: int) -> dict[str, float]:
        if number not in self._live:
            self._live[number] = self._recording(rate, seconds)
        return self._live[number]

    def _recording(self, rate: int, seconds: int) -> dict[str, float]:
        """Record `rate` steps a second, another process reading all the time."""
        place = self._folder / "live"
        shutil.rmtree(place, ignore_errors=True)
        steps = Steps(place)
        steps.history.fold()
        with (self._folder / "reader.log").open("wb") as log, _holding() as held:
            database, span = str(place / "history.duckdb"), str(seconds)
            process, answers = start(
                "bench.reader", database, span, str(LEAD), folder=self._folder, log=log
            )
            steps.history.start_folding()
            begin = perf_counter()
            recorded = 0
            while (spent := perf_counter() - begin) < seconds + LEAD:
                due = int(spent * rate) - recorded
                steps.record(due)
                recorded += due
                time.sleep(TICK)
            share = 100 * held["seconds"] / (perf_counter() - begin)
            with answers:
                seen: dict[str, Any] = json.loads(answers.readline() or "{}")
            process.wait()
        steps.history.close()
        if recorded < 0.9 * rate * seconds or not seen.get("ages"):
            raise RuntimeError(f"{recorded} steps recorded, read: {seen}")
        return {"held": share, "age": max(seen["ages"])}

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def _holding() -> Iterator[dict[str, float]]:
    """Adds up for how many seconds this process has a database file open."""
    told = {"seconds": 0.0, "since": 0.0}
    connect, attach, patiently = Database.connect, Database.attach, Database._patiently

    def noted(database: Database, open_: Callable[[], Any]) -> Any:
        def once() -> Any:
            told["since"] = perf_counter()  # of the last try, the one that gets it
            return open_()

        return patiently(database, once)

    def counted(opened: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def count(database: Database, **options: bool) -> Iterator[Any]:
            with opened(database, **options) as connection:
                yield connection
            told["seconds"] += perf_counter() - told["since"]

        return count

    patched = {"connect": counted(connect), "attach": counted(attach), "_patiently": noted}
    before = {"connect": connect, "attach": attach, "_patiently": patiently}
    for name, function in patched.items():
        setattr(Database, name, function)
    try:
        yield told
    finally:
        for name, function in before.items():
            setattr(Database, name, function)
