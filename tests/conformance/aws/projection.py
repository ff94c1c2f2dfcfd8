"""Evercell's history of a run and its children, in the cases' words.

    StepStarted, AttemptStarted after a failure    StepStarted
    AttemptFailed, StepFailed                      StepFailed
    StepCompleted; a poll that asks for another    StepSucceeded
    TimerStarted, TimerFired                       WaitStarted, WaitSucceeded
    ApprovalRequested, ApprovalAnswered            CallbackStarted, CallbackSucceeded | -Failed
    the end of an approval by its time limit       CallbackTimedOut
    ChildStarted, ChildFinished                    ContextStarted, ContextSucceeded | -Failed
    RunFinished                                    ExecutionSucceeded | -Failed

The run of a child workflow is a context: what its code asks for has the id of the ChildStarted
for its ParentId.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance.aws.kit import NotYetError
from evercell import events as e
from evercell.codec import values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell.history import History

__all__ = ["Projection", "ordered_events"]

_SECOND = 1_000_000_000
_OWN_KIND = ("Parallel", "Map", "WaitForCallback", "ChainedInvoke")
_BRANCHES = {"Parallel": "ParallelBranch", "Map": "MapIteration"}
_IN_ORDER = """
SELECT run_id FROM events ORDER BY max(generation) OVER (PARTITION BY writer), position
"""
_NOT_YET = f"{NotYetError.__module__}.{NotYetError.__qualname__}"


def ordered_events(history: History, without: set[str]) -> list[e.Event]:
    """The events of all runs but these, in the order in which they were recorded."""
    order = [str(run_id) for (run_id,) in history.query(_IN_ORDER).rows if run_id not in without]
    runs = {run: iter(events) for run, events in history.workflows.events([*set(order)]).items()}
    return [next(runs[run_id]) for run_id in order]


class Projection:
    """The events of one run and of its descendants, in the cases' words: `events`."""

    def __init__(self, history: History, root: str, recorded: list[e.Event]) -> None:
        """`recorded`: the events of all runs, in order."""
        self._history = history
        self._workflows: dict[str, str] = {}  # of the runs
        self._contexts: dict[str, str] = {}  # run_id -> activity_id of its ChildStarted
        self._asked: dict[str, Any] = {}  # by activity_id
        self._failed: set[str] = set()  # steps whose last attempt failed
        self._beats: dict[str, e.Payload | None] = {}
        self._expired: set[str] = set()  # runs in which a time limit was just reached
        self._root = root
        self.events: list[dict[str, Any]] = []
        self.family = family = {root}  # run ids
        for event in recorded:
            if event.run_id not in family:
                continue
            if isinstance(event, e.ChildStarted):
                family.add(event.child)
            if isinstance(event, e.RunStarted):
                self._workflows[event.run_id] = event.workflow
                self._fill_in(event)
            self.events += self._told(event)

    @property
    def end(self) -> dict[str, Any] | None:
        """The run's end, if it came."""
        last = self.events[-1] if self.events else None
        return last if last is not None and last["EventType"].startswith("Execution") else None

    def open_callbacks(self) -> list[e.ApprovalRequested]:
        """Those that nobody completed."""
        over = {it["Id"] for it in self.events if it["EventType"] != "CallbackStarted"}
        return [
            asked
            for asked in self._asked.values()
            if isinstance(asked, e.ApprovalRequested) and asked.activity_id not in over
        ]

    def _told(self, event: Any) -> Iterator[dict[str, Any]]:
        match event:
            case e.StepStarted() | e.AttemptStarted() | e.HeartbeatRecorded():
                yield from self._begun(event)
            case e.AttemptFailed() | e.StepFailed() | e.StepCompleted():
                yield from self._ended(event)
            case e.TimerStarted() | e.TimerFired():
                yield from self._timed(event)
            case e.ApprovalRequested() | e.ApprovalAnswered() | e.StepCanceled():
                yield from self._called_back(event)
            case e.ChildStarted() | e.ChildFinished():
                yield from self._nested(event)
            case e.RunFinished() if event.run_id == self._root:
                good = event.status == "completed"
                yield self._event(
                    "Execution" + ("Succeeded" if good else "Failed"), event, None, self._end(event)
                )
            case _:
                pass

    def _event(
        self, kind: str, event: Any, sub: str | None, details: dict[str, Any], name: str = ""
    ) -> dict[str, Any]:
        told = {
            "EventType": kind,
            "Id": getattr(event, "activity_id", ""),
            f"{kind}Details": details,
        }
        told |= {"SubType": sub} if sub else {}
        told |= {"Name": name} if name else {}
        if event.run_id in self._contexts:
            told["ParentId"] = self._contexts[event.run_id]
        return told

    # -- steps ----------------------------------------------------------------------------------

    def _begun(self, event: Any) -> Iterator[dict[str, Any]]:
        if isinstance(event, e.HeartbeatRecorded):
            self._beats[event.activity_id] = event.payload
            return
        again = event.activity_id in self._asked
        step = self._asked.setdefault(event.activity_id, event)
        # A step whose process died begins once more; the cases have no event for that.
        if not again or event.activity_id in self._failed:
            self._failed.discard(event.activity_id)
            yield self._event("StepStarted", event, self._step_kind(step), {}, step.name)

    def _ended(self, event: Any) -> Iterator[dict[str, Any]]:
        step = self._asked[event.activity_id]
        retry: dict[str, Any] = {"CurrentAttempt": event.attempt}
        if isinstance(event, e.AttemptFailed):
            self._failed.add(event.activity_id)
            retry["NextAttemptDelaySeconds"] = _whole(event.retry_delay)
        details: dict[str, Any] = {"RetryDetails": retry}
        if isinstance(event, e.StepCompleted):
            details["Result"] = self._payload(event.result)
        elif event.error.type == _NOT_YET and isinstance(event, e.AttemptFailed):
            args = self._value(self._beats[event.activity_id])
            details["Result"] = {"Payload": _json(args[0])}
        else:
            details["Error"] = _error(event.error)
        kind = "StepSucceeded" if "Result" in details else "StepFailed"
        yield self._event(kind, event, self._step_kind(step), details, step.name)

    def _step_kind(self, step: e.StepStarted) -> str:
        return "WaitForCondition" if step.name.startswith("poll") else "Step"

    # -- timers and callbacks -------------------------------------------------------------------

    def _timed(self, event: Any) -> Iterator[dict[str, Any]]:
        timer = self._asked.setdefault(event.activity_id, event)
        fired = isinstance(event, e.TimerFired)
        if timer.name == "timeout":  # of an approval
            if fired:
                self._expired.add(event.run_id)
            return
        details = {"Duration": _whole(timer.fire_at - timer.at)}
        kind = "WaitSucceeded" if fired else "WaitStarted"
        yield self._event(kind, event, "Wait", details, "" if timer.name == "sleep" else timer.name)

    def _called_back(self, event: Any) -> Iterator[dict[str, Any]]:
        asked = self._asked.setdefault(event.activity_id, event)
        if not isinstance(asked, e.ApprovalRequested):
            return
        kind, details = "CallbackStarted", {"CallbackId": event.activity_id}
        if isinstance(event, e.ApprovalRequested):
            if event.expires_at is not None:
                details["Timeout"] = _whole(event.expires_at - event.at)
        elif isinstance(event, e.StepCanceled):
            if event.run_id not in self._expired:
                return
            self._expired.discard(event.run_id)
            kind = "CallbackTimedOut"
            details = {"Error": {"Payload": {"ErrorType": "Callback.Timeout"}}}
        else:
            answer = self._value(event.payload)
            kind = "CallbackFailed" if "error" in answer else "CallbackSucceeded"
            failed = {"Error": {"Payload": answer.get("error")}}
            given = {"Result": {"Payload": _json(answer.get("result"))}}
            details = failed if "error" in answer else given
        yield self._event(kind, event, "Callback", details, asked.prompt)

    # -- children and ends ----------------------------------------------------------------------

    def _nested(self, event: Any) -> Iterator[dict[str, Any]]:
        asked = self._asked.setdefault(event.activity_id, event)
        if isinstance(event, e.ChildStarted):
            self._contexts[event.child] = event.activity_id
        parent = self._workflows.get(event.run_id, "")
        sub = _BRANCHES.get(parent, "RunInChildContext")
        if asked.workflow in _OWN_KIND:
            sub = asked.workflow
        named = asked.workflow_id if asked.workflow_id != asked.child else asked.workflow
        invoked = sub == "ChainedInvoke"
        stem = "ChainedInvoke" if invoked else "Context"
        if isinstance(event, e.ChildStarted):
            end, details = "Started", {"FunctionName": event.workflow}
        else:
            end = "Succeeded" if event.status == "completed" else "Failed"
            details = self._end(event)
        yield self._event(stem + end, event, None if invoked else sub, details, named)

    def _fill_in(self, started: e.RunStarted) -> None:
        """What a workflow was invoked with stands in its own first event."""
        if started.workflow == "ChainedInvoke" and started.start is not None:
            args, _ = self._value(started.start.input)
            asked = self._contexts[started.run_id]
            told = next(it for it in self.events if it["Id"] == asked)
            told["ChainedInvokeStartedDetails"]["Input"] = {"Payload": _json(args[0])}

    def _end(self, event: Any) -> dict[str, Any]:
        if event.status == "completed":
            return {"Result": self._payload(event.result)}
        if event.error is None:
            return {"Error": {"Payload": {"ErrorType": event.status, "ErrorMessage": ""}}}
        return {"Error": _error(event.error)}

    def _payload(self, payload: e.Payload | None) -> dict[str, Any]:
        return {"Payload": _json(self._value(payload)), "Truncated": False}

    def _value(self, payload: e.Payload | None) -> Any:
        if payload is None:
            return None
        return values.decode(payload.encoding, self._history.get(payload), {})


def _json(value: Any) -> str:
    return json.dumps(value, default=repr)


def _error(error: e.ErrorInfo) -> dict[str, Any]:
    return {"Payload": {"ErrorType": error.type, "ErrorMessage": error.message}}


def _whole(nanoseconds: int) -> float:
    """Seconds; a whole number of them as an int."""
    seconds = nanoseconds / _SECOND
    return int(seconds) if seconds == int(seconds) else seconds
