"""The cases, driven: real engine, journal and DuckDB, time that is moved, restarts at each wait.

    start all ─ until their code waits ─ restart: replays, which must record nothing new
              ─ what comes next: a callback's completion, a timer ─ until their code waits ...

Cases share a history, as runs of one notebook do. Those that fail and try again have one of their
own, because a manual clock jumps over the waits between attempts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import conformance.aws.batches
import conformance.aws.callbacks
import conformance.aws.children
import conformance.aws.conditions
import conformance.aws.steps  # noqa: F401 - the handlers
from conformance.aws.kit import DEFINITIONS, HANDLERS, ledger, log
from conformance.aws.matching import history_problems, log_problems
from conformance.aws.projection import Projection, ordered_events
from evercell import Interceptor, WorkflowHandle, settings, workflow
from evercell.engine.workflow.definition import DEFINED
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conformance.aws.suite import Action, Case
    from evercell import StepInfo
    from evercell.engine.workflow.definition import Workflow
    from evercell.events import ApprovalRequested

__all__ = ["LIMIT", "begin", "drive_all"]

LIMIT = 60
_CRASHES = ("1-17", "3-12")  # they kill the process in which they begin
_SECOND = 1_000_000_000
_ENDS = {"SUCCEEDED": "ExecutionSucceeded", "FAILED": "ExecutionFailed"}


class _Hooks(Interceptor):
    """Logs what the suite plugin looks for."""

    @contextmanager
    def step(self, info: StepInfo) -> Iterator[None]:
        fields = {"plugin": "CONFPLUGIN", "n": info.attempt, "op": info.activity_id}
        log(hook="attempt-start", **fields)
        outcome = "FAILED"
        try:
            yield
            outcome = "SUCCEEDED"
        finally:
            log(hook="attempt-end", outcome=outcome, **fields)


def drive_all(cases: list[Case], folder: Path) -> dict[str, list[str]]:
    """What is wrong with Evercell's way through each case; nothing for those that passed."""
    plugins = [case for case in cases if case.suite == "plugin"]
    crashes = [case for case in cases if case.id in _CRASHES]
    rest = [case for case in cases if case not in plugins and case not in crashes]
    groups = [
        *([case] for case in crashes),
        plugins,
        [case for case in rest if _tries_again(case)],
        [case for case in rest if not _tries_again(case)],
    ]
    found: dict[str, list[str]] = {}
    before = settings.current().interceptors, dict(DEFINED), os.environ.get("CONFORMANCE_LEDGER")
    try:
        for number, group in enumerate(groups):
            DEFINED.clear()
            DEFINED.update(_needed(group))
            os.environ["CONFORMANCE_LEDGER"] = str(folder / f"{number}.jsonl")
            settings.change(interceptors=(_Hooks(),) if group == plugins else ())
            found |= _drive(group, folder / str(number))
    finally:
        settings.change(interceptors=before[0])
        DEFINED.clear()
        DEFINED.update(before[1])
        os.environ["CONFORMANCE_LEDGER"] = before[2] or ""
    return found


def _needed(cases: list[Case]) -> dict[str, Workflow[..., Any]]:
    """The cases' workflows and all that may be their children."""
    others = set(HANDLERS.values()) - {HANDLERS[case.id] for case in cases}
    return {name: it for name, it in DEFINITIONS.items() if it not in others}


def _tries_again(case: Case) -> bool:
    begun = [it["Id"] for it in case.history if it["EventType"] == "StepStarted"]
    return len(begun) > len(set(begun))


def begin(case: Case) -> WorkflowHandle[Any]:
    """Start the case's code."""
    handle: WorkflowHandle[Any] = HANDLERS[case.id].start(case.input, id=f"case {case.id}")
    return handle


def _drive(cases: list[Case], folder: Path) -> dict[str, list[str]]:
    if not cases:
        return {}
    crashed = cases[0].id in _CRASHES
    if crashed:
        command = [sys.executable, "-m", "conformance.aws.crash", cases[0].id, str(folder)]
        died = subprocess.run(command, check=False, timeout=LIMIT)
        if died.returncode != -9:
            return {cases[0].id: [f"its process ended with {died.returncode}, not killed"]}
    with WorkflowEnvironment(folder) as env:
        for definition in list(DEFINED.values()):
            env.worker.define(definition)
        return _Drive(
            env, [_Way(case, _found(case) if crashed else begin(case)) for case in cases]
        ).run()


def _found(case: Case) -> WorkflowHandle[Any]:
    return workflow.get_handle(f"case {case.id}")


@dataclass
class _Way:
    """One case under way."""

    case: Case
    handle: WorkflowHandle[Any]
    actions: list[Action] = field(init=False)
    problems: list[str] = field(default_factory=list)
    shown: Projection = field(init=False)
    over: bool = False

    def __post_init__(self) -> None:
        self.actions = list(self.case.actions)

    def judge(self) -> None:
        """The case is over: what is wrong?"""
        self.over = True
        case = self.case
        self.problems += history_problems(case, self.shown.events)
        written = ledger().read_text().splitlines() if ledger().exists() else []
        self.problems += log_problems(case, [json.loads(line) for line in written])
        if case.status is None:
            self.handle.terminate("the case is over")
            return
        end = self.shown.end
        if end is None or end["EventType"] != _ENDS[case.status]:
            self.problems.append(f"it ended as {end}")
        elif case.has_result and case.status == "SUCCEEDED":
            result = json.loads(end["ExecutionSucceededDetails"]["Result"]["Payload"])
            if result != case.result:
                self.problems.append(f"the result is {result!r} instead of {case.result!r}")

    def matched(self) -> Iterator[tuple[ApprovalRequested, Action]]:
        """Open callbacks with what is to happen to them; each action is for one of them."""
        free = list(self.actions)
        for asked in self.shown.open_callbacks():
            action = next((it for it in free if it.name in ("*", asked.prompt)), None)
            if action is not None:
                free.remove(action)
                yield asked, action

    def complete(self, action: Action, asked: ApprovalRequested) -> None:
        self.actions.remove(action)
        word = "error" if action.operation == "failure" else "result"
        handle: WorkflowHandle[Any] = WorkflowHandle(asked.run_id)
        handle.answer({word: action.payload}, activity_id=asked.activity_id)


class _Drive:
    def __init__(self, env: WorkflowEnvironment, ways: list[_Way]) -> None:
        self.env, self.ways = env, ways

    def run(self) -> dict[str, list[str]]:
        while True:
            self.env.sleep(0)
            self._look()
            for way in self._under_way():
                if way.shown.end is not None or way.case.status is None:
                    way.judge()
            if not self._under_way():
                break
            self._restart()
            if not self._go_on():
                for way in self._under_way():
                    way.problems.append("the code waits for what does not come")
                    way.judge()
        return {way.case.id: way.problems for way in self.ways}

    def _under_way(self) -> list[_Way]:
        return [way for way in self.ways if not way.over]

    def _look(self) -> None:
        done = {run_id for way in self.ways if way.over for run_id in way.shown.family}
        recorded = ordered_events(self.env.history, done)
        for way in self._under_way():
            way.shown = Projection(self.env.history, way.handle.run_id, recorded)

    def _restart(self) -> None:
        before = {way.case.id: way.shown.events for way in self._under_way()}
        self.env.restart()
        self.env.sleep(0)
        self._look()
        for way in self._under_way():
            known = before[way.case.id]
            if way.shown.events != known:
                way.problems.append(f"a replay recorded {way.shown.events[len(known) :]}")

    def _go_on(self) -> bool:
        """Let happen what is next: the completion of a callback, or a timer's time."""
        due = [
            (asked.at + int(action.delay * _SECOND), way, action, asked)
            for way in self._under_way()
            for asked, action in way.matched()
        ]
        timer = self.env.worker.timers.next
        times = [it[0] for it in due] + ([] if timer is None else [timer])
        if not times:
            return False
        self.env.sleep(max(0, min(times) - self.env.clock.now()) / _SECOND)
        for at, way, action, asked in due:
            if at <= self.env.clock.now():
                way.complete(action, asked)
        return True
