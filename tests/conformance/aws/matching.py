"""Whether a recorded history is the one that a case expects.

    "*", {}      anything          ${/regex/}   a text in which it is found
    ${NAME}      the same value wherever the name stands
    else         equal; of an object, the fields that are named

What the cases number and Evercell does not have is left out: the invocations of a function that is
called anew after each wait. All other events have to come in the order of their numbers, and only
where the numbers leave a gap may others come between.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conformance.aws.suite import Case

__all__ = ["history_problems", "log_problems"]

Events = list[dict[str, Any]]
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_REGEX = re.compile(r"\$\{/(.*)/\}")
_INVOCATION = "InvocationCompleted"


def history_problems(case: Case, actual: Events) -> list[str]:
    """What is wrong with the events, in words."""
    expected = sorted(case.history, key=lambda event: event["EventId"])
    bound: dict[str, Any] = {}
    problems: list[str] = []
    at, number = 0, 1
    for event in expected:
        gap, number = event["EventId"] - number - 1, event["EventId"]
        if event["EventType"] == _INVOCATION:
            continue
        while gap > 0 and at < len(actual) and actual[at]["EventType"] != event["EventType"]:
            at, gap = at + 1, gap - 1
        if at == len(actual):
            return [*problems, f"event {number}, {event['EventType']}, did not come"]
        found = [f"event {number}: {it}" for it in _differences(event, actual[at], bound, "")]
        problems += found
        at += 1
        if found and event["EventType"] != actual[at - 1]["EventType"]:
            return problems  # the rest would only follow from it
    whole = expected[-1]["EventType"] == _INVOCATION or expected[-1]["EventType"].startswith("Exec")
    rest = [it["EventType"] for it in actual[at:] if not it["EventType"].startswith("Execution")]
    if whole and rest:
        problems.append(f"more came than was expected: {', '.join(rest)}")
    return problems


def _differences(expected: Any, actual: Any, bound: dict[str, Any], path: str) -> list[str]:
    if expected in ("*", {}):
        return []
    if isinstance(expected, str):
        if regex := _REGEX.fullmatch(expected):
            return [] if re.search(regex[1], str(actual)) else [f"{path}: {actual!r}"]
        if name := _PLACEHOLDER.fullmatch(expected):
            known = bound.setdefault(name[1], actual)
            return [] if known == actual else [f"{path}: {actual!r} is not the {known!r} of before"]
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = []
        for key, value in expected.items():
            if key in ("EventId", "EventTimestamp"):
                continue
            where = f"{path}.{key}" if path else key
            if key in actual:
                found += _differences(value, actual[key], bound, where)
            elif value not in ("*", {}):
                found.append(f"{where} is missing")
        return found
    return [] if expected == actual else [f"{path}: {actual!r} instead of {expected!r}"]


def log_problems(case: Case, log: list[dict[str, Any]]) -> list[str]:
    """What is wrong with what the code logged: how often, and after what."""
    problems = []
    for wanted in case.logs:
        places = _places(wanted["match"], log)
        if len(places) != wanted["count"]:
            problems.append(f"{wanted['match']} was logged {len(places)} x")
        for before in wanted.get("after", ()):
            earlier = _places(before, log)
            if places and not (earlier and earlier[0] < places[0]):
                problems.append(f"{wanted['match']} was not logged after {before}")
    return problems


def _places(pattern: dict[str, Any], log: list[dict[str, Any]]) -> list[int]:
    return [
        number
        for number, entry in enumerate(log)
        if all(_logged(value, entry.get(key)) for key, value in pattern.items())
    ]


def _logged(pattern: Any, value: Any) -> bool:
    if isinstance(pattern, str) and pattern.startswith("/") and pattern.endswith("/"):
        return isinstance(value, str) and re.search(pattern[1:-1], value) is not None
    return bool(pattern == value) or bool(_PLACEHOLDER.fullmatch(str(pattern)) and value)
