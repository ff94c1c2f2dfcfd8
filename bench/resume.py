"""Subject 3: from the start of a fresh process to the body of the first step not yet recorded.

Each contender's store is prepared once, by a process that is killed when it reaches that step; each
round resumes a copy of it.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from statistics import median
from threading import Timer
from typing import TYPE_CHECKING

from bench.lanes import Lane, LaneError, Settings, Subject, race
from bench.processes import last_line, start
from bench.stats import Target

if TYPE_CHECKING:
    from pathlib import Path

    from bench.results import Section

SUBJECT = Subject("resume", "Resume of finished steps, from process start to the next step", "s")

PHASES = {  # mark -> what took the time up to it
    "interpreter": "interpreter",
    "imports": "imports",
    "opened": "open",
    "first answer": "read",
    "reached": "replay",
}
UNCHANGED = {"joblib", "diskcache"}  # resuming only reads; joblib's files take long to copy
LIMIT = 180  # seconds that recording or resuming may take, and
LIMIT_EACH = 0.001  # for each step


def _lanes(settings: Settings) -> tuple[Lane, ...]:
    peers = settings.choose(quick=300, full=1000)
    caches = settings.choose(quick=1000, full=10_000)
    million = Lane(
        "Evercell, 1,000,000", "evercell", {"steps": 1_000_000}, target=Target(8, "value", "s")
    )
    return (
        Lane("Evercell, 10,000", "evercell", {"steps": 10_000}),
        Lane("Evercell, 100,000", "evercell", {"steps": 100_000}, target=Target(1, "value", "s")),
        *(() if settings.quick else (million,)),
        Lane(f"DBOS, {peers:,}", "dbos", {"steps": peers}, needs="dbos"),
        Lane(
            f"LangGraph, {peers:,}",
            "langgraph",
            {"steps": peers},
            needs="langgraph.checkpoint.sqlite",
        ),
        Lane(f"joblib.Memory, {caches:,}", "joblib", {"steps": caches}, needs="joblib"),
        Lane(f"diskcache, {caches:,}", "diskcache", {"steps": caches}, needs="diskcache"),
    )


def measure(settings: Settings) -> Section:
    """Seconds; the notes say how they divide, and the process's peak memory."""
    divided: dict[str, list[dict[str, float]]] = {}

    def one(lane: Lane, number: int) -> float:
        prepared = _prepared(lane, settings)
        if lane.contender in UNCHANGED:
            marks = _run(lane, prepared, "resume")
        else:
            place = prepared.with_name("resumed")
            shutil.copytree(prepared, place)
            marks = _run(lane, place, "resume")
            shutil.rmtree(place)
        if number >= 0:
            divided.setdefault(lane.label, []).append(_phases(marks) | {"peak": marks["peak"]})
        return marks["reached"] - marks["process"]

    section = race(SUBJECT, _lanes(settings), settings.choose(quick=3, full=5), one, settings)
    return _with_notes(section, divided)


def _prepared(lane: Lane, settings: Settings) -> Path:
    """The folder that a killed process left, made at the first asking."""
    place = settings.folder / "resume" / lane.label.replace(" ", "-") / "prepared"
    if not place.exists():
        settings.say(f"{SUBJECT.title}: recording for {lane.label}")
        place.mkdir(parents=True)
        _run(lane, place, "prepare")
    return place


def _run(lane: Lane, place: Path, mode: str) -> dict[str, float]:
    """Run the program in `place`; the times it passed, `process` being its start."""
    log_path = place.with_name(f"{mode}.log")
    with log_path.open("wb") as log:
        begin = time.monotonic()
        process, answers = start(
            "bench.resumer",
            lane.contender,
            str(lane.arguments["steps"]),
            mode,
            folder=place,
            log=log,
        )
        limit = Timer(LIMIT + lane.arguments["steps"] * LIMIT_EACH, process.kill)
        limit.start()
        with answers:
            line = answers.readline()  # ends when the process does, however it ends
        code = process.wait()
        limit.cancel()
    if mode == "prepare" and code < 0:
        return {}
    if not line:
        raise LaneError(f"failed: {last_line(log_path)}")
    marks: dict[str, float] = json.loads(line)
    return {"process": begin, **marks}


def _phases(marks: dict[str, float]) -> dict[str, float]:
    """Seconds by phase, each the time since the mark before it."""
    phases = {}
    before = marks["process"]
    for mark, phase in PHASES.items():
        if mark in marks:
            phases[phase] = marks[mark] - before
            before = marks[mark]
    return phases


def _with_notes(section: Section, divided: dict[str, list[dict[str, float]]]) -> Section:
    lines = (
        replace(line, note=_note(divided[line.contender])) if line.value else line
        for line in section.lines
    )
    return replace(section, lines=tuple(lines))


def _note(rounds: list[dict[str, float]]) -> str:
    parts = {phase: median(each[phase] for each in rounds) for phase in rounds[0]}
    peak = f"peak {parts.pop('peak') / 1e6:,.0f} MB"
    return ", ".join([*(f"{phase} {seconds:.2f}" for phase, seconds in parts.items()), peak])
