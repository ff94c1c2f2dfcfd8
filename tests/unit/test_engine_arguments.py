"""What a step's body changed in its arguments is there again when the history answers the step."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pandas as pd
import pydantic
import pytest
from sessions import Notebook

from evercell.codec import canonical
from evercell.codec.changes import may_change
from evercell.engine.step import step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Kernel


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@dataclass
class Agent:
    name: str
    history: list[Any] = field(default_factory=list)


class Slotted:
    __slots__ = ("kept", "made", "taken")

    def __init__(self) -> None:
        self.kept, self.taken = [1], 2


@attrs.define
class Defined:
    items: list[int]


class Model(pydantic.BaseModel):
    items: list[int]
    inner: Model | None = None


def _change_slots(it: Slotted) -> None:
    it.made = it.kept
    it.kept.append(3)
    del it.taken


def _move(it: list[list[int]]) -> None:
    it[0].append(1)
    it.append(it[0])
    it.reverse()


def _cycle() -> list[Any]:
    it: list[Any] = [1]
    it.append(it)
    return it


def _grow(it: pd.DataFrame) -> None:
    it["double"] = 2 * it["a"]
    it.insert(0, "first", [7, 8, 9])
    it.index.name = "row"
    it.attrs["note"] = "seen"


def _rename(it: pd.Series[Any]) -> None:
    it.name = "renamed"
    it.iloc[0] = 9


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "list": (lambda: [1, 2], lambda it: it.append(3)),
    "nested": (lambda: [[0], [5], {"a": [1]}], lambda it: it[2]["a"].append({"b": it[0]})),
    "moved": (lambda: [[0], [5]], _move),
    "dict": (lambda: {"b": 1, "a": [2]}, lambda it: (it.pop("b"), it["a"].append(1))),
    "order": (lambda: OrderedDict(a=1, b=2), lambda it: it.move_to_end("a")),
    "default": (lambda: defaultdict(list), lambda it: it["new"].append(1)),
    "counter": (lambda: Counter("aab"), lambda it: it.update("abc")),
    "set": (lambda: {1, ("x", 2)}, lambda it: it.add("new")),
    "deque": (lambda: deque([1, 2], maxlen=2), lambda it: it.append(3)),
    "bytearray": (lambda: bytearray(b"abc"), lambda it: it.extend(b"d")),
    "random": (lambda: random.Random(1), lambda it: it.random()),
    "array": (lambda: np.arange(6.0).reshape(2, 3), lambda it: it[::-1].sort(axis=0)),
    "view": (lambda: [np.arange(6.0)], lambda it: it[0][1:3].fill(7)),
    "table": (lambda: pd.DataFrame({"a": [1, 2, 3]}), _grow),
    "series": (lambda: pd.Series([1, 2], name="s"), _rename),
    "instance": (lambda: Agent("a", [1]), lambda it: it.history.append(Agent("b"))),
    "attribute": (lambda: Agent("a"), lambda it: setattr(it, "name", "b")),
    "slots": (Slotted, _change_slots),
    "attrs": (lambda: Defined([1]), lambda it: it.items.append(2)),
    "pydantic": (
        lambda: Model(items=[1], inner=Model(items=[2])),
        lambda it: (it.items.append(2), setattr(it.inner, "items", [3])),
    ),
    "cycle": (_cycle, lambda it: it.append(it)),
    "in a tuple": (lambda: (1, ([2],)), lambda it: it[1][0].append(3)),
}


def content(value: object) -> bytes:
    return canonical.digest(value, {})


def test_changes_are_put_back_in_place(kernel: Kernel) -> None:
    ran = []

    @step(version=1)
    def body(kind: str, it: Any, beside: Any) -> str:
        ran.append(kind)
        KINDS[kind][1](it)
        return "done"

    made: list[dict[str, Any]] = []
    for _ in range(2):
        made.append({kind: make() for kind, (make, _) in KINDS.items()})
        held = made[-1]["moved"][0]
        with kernel.cell() as scope:
            for kind, value in made[-1].items():
                assert body(kind, value, (1, "a")) == "done"
            assert (scope.notes, scope.missed) == ([], None)
    first, again = ({k: content(v) for k, v in each.items()} for each in made)
    assert [kind for kind, (make, _) in KINDS.items() if first[kind] == content(make())] == []
    assert [kind for kind in KINDS if again[kind] != first[kind]] == []
    assert ran == list(KINDS)
    moved = made[-1]["moved"]
    assert moved[0] is moved[2] is held  # what it moved is the object that was there
    assert made[-1]["table"].attrs == {"note": "seen"}
    assert made[-1]["cycle"][2] is made[-1]["cycle"]
    assert kernel.query("SELECT DISTINCT result FROM steps") == [('"done"',)]


def test_whoever_holds_the_object_sees_the_change(kernel: Kernel) -> None:
    @step(version=1)
    def body(rows: list[dict[str, Any]]) -> int:
        for row in rows:
            row["seen"] = True
        rows.append(rows[0])
        return len(rows)

    for _ in range(2):
        inner: dict[str, Any] = {"n": 1}
        rows = [inner, {"n": 2}]
        alias = rows
        with kernel.cell():
            assert body(rows) == 3
        assert inner == {"n": 1, "seen": True}
        assert alias is rows
        assert alias[2] is inner


def test_steps_that_build_on_a_change_are_answered(kernel: Kernel) -> None:
    ran = []

    @step(version=1)
    def add(total: list[int], n: int) -> int:
        ran.append(n)
        total.append(n)
        return sum(total)

    for _ in range(2):
        total: list[int] = []
        with kernel.cell():
            assert [add(total, n) for n in (1, 2, 3)] == [1, 3, 6]
        assert total == [1, 2, 3]
    assert ran == [1, 2, 3]


@pytest.mark.parametrize("limit", [1, 3])
def test_a_map_over_objects_that_are_filled(kernel: Kernel, limit: int) -> None:
    ran = []

    @step(version=1)
    def fill(row: dict[str, int]) -> None:
        ran.append(row["n"])
        row["square"] = row["n"] ** 2

    for _ in range(2):
        rows = [{"n": n} for n in range(5)]
        with kernel.cell():
            fill.map(rows, max_concurrency=limit)
        assert [row["square"] for row in rows] == [0, 1, 4, 9, 16]
    assert sorted(ran) == [0, 1, 2, 3, 4]


def test_tasks_that_each_fill_an_object(kernel: Kernel) -> None:
    ran = []

    @step(version=1)
    async def fill(row: dict[str, int]) -> None:
        ran.append(row["n"])
        await asyncio.sleep(0)
        row["square"] = row["n"] ** 2

    async def work(rows: list[dict[str, int]]) -> None:
        await asyncio.gather(*map(fill, rows))

    for _ in range(2):
        rows = [{"n": n} for n in range(5)]
        with kernel.cell() as scope:
            asyncio.run(work(rows))
            assert scope.missed is None
        assert [row["square"] for row in rows] == [0, 1, 4, 9, 16]
    assert sorted(ran) == [0, 1, 2, 3, 4]


def test_one_object_in_steps_at_the_same_time_is_told_and_never_paid_twice(kernel: Kernel) -> None:
    ran = []
    together = threading.Barrier(2, timeout=60)

    @step(version=1)
    def add(total: list[int], n: int) -> int:
        ran.append(n)
        together.wait()
        total.append(n)
        return n

    with kernel.cell() as scope:
        assert add.map([(total := [])] * 2, [1, 2]) == [1, 2]
        assert sorted(total) == [1, 2]
        assert "at the same time" in scope.notes[0]
        assert scope.missed is None  # the cell ran as it should
    with kernel.cell() as scope:
        assert add.map([(again := [])] * 2, [1, 2]) == [1, 2]
        assert again == []
        assert "add changed in its arguments is missing: another step" in str(scope.missed)
        assert len(scope.notes) == 2
    assert sorted(ran) == [1, 2]


class Odd:
    """What is stored of it says nothing of how to fill one."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __reduce__(self) -> tuple[Any, ...]:
        return Odd, (self.n,)


def test_what_cannot_be_put_back_is_told(kernel: Kernel) -> None:
    ran = []

    @step(version=1)
    def body(it: Any) -> int:
        ran.append(it)
        (it[0] if isinstance(it, list) else it).n = 5
        return 1

    @step(version=1)
    def hide(it: list[Any]) -> int:
        ran.append(it)
        it.append(threading.Lock())
        return 2

    for time in range(2):
        with kernel.cell() as scope:
            assert body([Odd(1)]) == 1
            assert hide([]) == 2
            assert bool(scope.missed) == (time == 1)
            assert any("hide changed its arguments" in note for note in scope.notes) == (time == 0)
    assert len(ran) == 2


def test_immutable_arguments_are_not_looked_at() -> None:
    assert not may_change(("a", 1, None, (1, ("b", 2.0)), b"c", True))
    assert may_change(([],))
    assert may_change((1, ("a", [])))
    assert not may_change((int, np.float64(1), range(3)))


CELLS = (
    "from evercell import step\nCALLS = []",
    "@step(version=1)\ndef fill(row, n):\n    row['n'] = n\n    return n",
    "row = {}\nother = row",
)


def test_a_cell_that_runs_again_makes_what_it_had_made(tmp_path: Path) -> None:
    source = "import threading\nlock = threading.Lock()\nx = fill(row, 3)\nshown = dict(other)"
    notebook = Notebook(tmp_path / ".evercell")
    for cell in CELLS:
        notebook.cell(cell)
    notebook.cell(source)
    notebook.close()
    notebook = Notebook(tmp_path / ".evercell")
    for cell in CELLS:
        assert not notebook.cell(cell).ran
    edited = notebook.cell(source + "\ny = 1")
    assert edited.ran
    assert edited.notes == []
    assert notebook.live["shown"] == notebook.live["other"] == {"n": 3}
    assert notebook.live["other"] is notebook.live["row"]
    steps = notebook.session.history.query("SELECT attempts, restored FROM steps").rows
    assert steps == [(1, 1)]
    notebook.close()


def test_a_cell_that_misses_a_change_is_no_hit(tmp_path: Path) -> None:
    cells = (
        CELLS[0],
        "class Odd:\n    def __init__(self, n): self.n = n\n"
        "    def __reduce__(self): return Odd, (self.n,)",
        "@step(version=1)\ndef hide(it):\n    it.n = 5\n    return 1",
    )
    plain, edited = "it = Odd(1)\nx = hide(it)", "it = Odd(1)\nx = hide(it)\ny = 1"
    ran, notes = [], []
    for source in (plain, plain, edited, edited):
        notebook = Notebook(tmp_path / ".evercell")
        for cell in cells:
            notebook.cell(cell)
        shell = notebook.cell(source)
        ran.append(shell.ran)
        notes.append("".join(shell.notes))
        found = notebook.live["it"].n
        notebook.close()
        assert found == (5 if source is plain else 1)
    assert ran == [True, False, True, True]
    assert notes[1] == ""
    for note in notes[2:]:
        assert "what hide changed in its arguments is missing" in note
