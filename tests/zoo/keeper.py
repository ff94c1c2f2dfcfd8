"""A process of the zoo: builds the kinds of a batch, or restores them and looks at each.

python -m zoo.keeper build FILE package...     cells are run and recorded into FILE
python -m zoo.keeper restore FILE              another process: JSON of what came of each kind
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import re
import signal
import sys
import types
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from cellbench import Bench

from evercell.codec.canonical import digest
from evercell.errors import NotStorableError
from zoo.kinds import KINDS, Kind

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_CONSTANTS = (int, complex, str, bytes, tuple, types.CodeType)  # nobody can tell a copy
_LIMIT = 20  # seconds for one kind; a lock that is taken twice would wait forever


@dataclass
class Built:
    """A kind's notebook, its history, and what its value was."""

    kind: Kind
    cells: list[str]
    history: Any
    seen: str


def cells_of(kind: Kind) -> list[str]:
    """The notebook: the last cell makes aliases, whose sharing must come back as well."""
    setup = [kind.setup] if kind.setup else []
    return [*setup, f"value = {kind.expression}", "pair = (value, [value])"]


def look(kind: Kind, ns: dict[str, Any]) -> str:
    """What can be seen of the value: its type, what it says when it is used, its aliases."""
    value = ns["value"]
    aliases = type(value) in _CONSTANTS or ns["pair"][0] is value is ns["pair"][1][0]
    kind_of = type(value).__name__
    if kind.probe is not None:
        shown = repr(eval(kind.probe, ns))
    else:
        try:
            shown = digest(value, ns).hex()
        except NotStorableError:
            shown = repr(value)
    return f"{kind_of} aliases={aliases} {_ADDRESS.sub('0x', shown)}"


def build(kinds: list[Kind]) -> list[Built]:
    built = []
    for kind in kinds:
        first = Bench()
        cells = cells_of(kind)
        try:
            for cell in cells:
                first.run(cell)
        except Exception as error:
            error.add_note(f"while making: {kind}")
            raise
        history = SimpleNamespace(records=first.records, sources=first.sources)
        built.append(Built(kind, cells, history, look(kind, first.ns)))
    return built


def restore(built: list[Built]) -> list[dict[str, str]]:
    found = []
    for one in built:
        second = Bench()
        signal.alarm(_LIMIT)
        try:
            log = second.replay(one.cells, one.history)
            seen = look(one.kind, second.ns)
        except Exception as error:
            log, seen = ["failed"], f"{type(error).__name__}: {error}"
        signal.alarm(0)
        reason = next((r.reason for r in one.history.records if r.reason), "")
        outcome = "wrong" if seen != one.seen else "recomputed" if "recomputed" in log else "equal"
        if "executed" in log:
            outcome = "run again" if outcome != "wrong" else outcome
        found.append({
            "package": one.kind.package,
            "name": one.kind.name,
            "outcome": outcome,
            "reason": reason if outcome != "equal" else "",
            "detail": f"{log}: {seen} instead of {one.seen}" if outcome == "wrong" else "",
        })  # fmt: skip
    return found


def main(command: str, file: str, *packages: str) -> None:
    warnings.simplefilter("ignore")
    keep = sys.modules["__main__"]
    if command == "build":
        there = [p for p in packages if " " in p or p == "python" or importlib.util.find_spec(p)]
        with redirect_stdout(sys.stderr):
            built = build([kind for kind in KINDS if kind.package in there])
        sys.modules["__main__"] = keep
        with open(file, "wb") as stream:  # noqa: PTH123
            pickle.dump(built, stream)
        return
    with open(file, "rb") as stream:  # noqa: PTH123
        built = pickle.load(stream)
    with redirect_stdout(sys.stderr):
        found = restore(built)
    print(json.dumps(found))


if __name__ == "__main__":
    from zoo.keeper import main as run  # the classes must not be those of __main__

    run(*sys.argv[1:])
