"""The cases of the package `aws-durable-execution-conformance-tests`, as data.

They are AWS's (Apache-2.0) and stay in that package. It asks for Python 3.14 to run its own
validator, which needs an AWS account; what is used here are its YAML files.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["PACKAGE", "Action", "Case", "cases", "suite_folder"]

PACKAGE = "aws-durable-execution-conformance-tests"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, in C
_NAME = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Action:
    """What the world outside does about a callback, `delay` seconds after it was created."""

    name: str  # of the callback; "*" for any
    operation: str  # success, failure, heartbeat
    payload: Any
    delay: float


@dataclass(frozen=True, slots=True)
class Case:
    """One case: the input of the code, and what has to come of it."""

    id: str
    suite: str
    input: Any
    status: str | None  # None: the case is over when the code waits
    result: Any
    has_result: bool
    history: list[dict[str, Any]]
    actions: tuple[Action, ...] = ()
    logs: tuple[dict[str, Any], ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


def suite_folder() -> Path | None:
    """Where the installed package keeps its cases; None if it is not installed."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))  # which does not import it
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "test_requirements"
    return folder if folder.is_dir() else None


def cases() -> list[Case]:
    """All cases, in the order of their numbers; none if the package is not installed."""
    folder = suite_folder()
    if folder is None:
        return []
    found = [_case(path) for path in folder.glob("*/*.yaml")]
    return sorted(found, key=lambda case: tuple(map(int, case.id.split("-"))))


def _case(path: Path) -> Case:
    raw = yaml.load(path.read_text(), _Loader)
    variables = {
        name: f"{name.lower()}-of-{path.stem}" if str(text).startswith("${GEN_STR") else str(text)
        for name, text in raw.get("Variables", {}).items()
    }
    data = _filled(raw, variables)
    expected = data.get("ExpectedResult", {})
    return Case(
        id=path.stem,
        suite=path.parent.name,
        input=data["Input"],
        status=expected.get("ExecutionStatus"),
        result=expected.get("Result"),
        has_result="Result" in expected,
        history=data["ExpectedExecutionHistory"],
        actions=tuple(
            Action(it["CallbackName"], it["Operation"], it.get("Payload"), it.get("Delay", 0))
            for it in data.get("CallbackActions", ())
        ),
        logs=tuple(data.get("ExpectedLogs", ())),
        variables=variables,
    )


def _filled(data: Any, variables: dict[str, str]) -> Any:
    """`data` with each `${NAME}` that is a variable replaced."""
    match data:
        case str():
            return _NAME.sub(lambda found: variables.get(found[1], found[0]), data)
        case dict():
            return {key: _filled(value, variables) for key, value in data.items()}
        case list():
            return [_filled(value, variables) for value in data]
        case _:
            return data
