# ruff: noqa: E501 - a cell's source on one line reads better than a wrapped one
"""Captured in one process, restored in another; and random sharing, compared with deepcopy."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from cellbench import Bench
from hypothesis import given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
CELLS = [
    "import os, functools, dataclasses\nimport numpy as np\nk = 1\ndef f(): return k",
    "@dataclasses.dataclass\nclass P:\n    xs: list\n    def n(self): return len(self.xs) + k",
    "a = [1, 2]; p = P(a); d = {'p': p, 'f': f}",
    "a.append(3); k = 10",
    "def make():\n    n = 0\n    def inc():\n        nonlocal n\n        n += 1\n        return n\n"
    "    return inc, lambda: n\ninc, get = make(); inc()",
    "m = np.arange(12.).reshape(3, 4); row = m[1]; row[0] = 99",
    "big = np.ones(50_000); half = big[::2]",
    "g = (i for i in range(3))",
    "class E(Exception):\n    def __init__(self, a, b): super().__init__(a); self.b = b\ne = E(1, 2)",
    "os.environ['EVERCELL_P'] = 'x'; np.random.seed(4)",
    "P.n",
    "r = (d['p'].n(), d['f'](), float(np.random.rand()))",
]
CHECK = """
import pickle, sys
sys.path.insert(0, sys.argv[2])
from cellbench import Bench
with open(sys.argv[1], 'rb') as file:
    cells, history = pickle.load(file)
bench = Bench()
log = bench.replay(cells, history)
ns = bench.ns
assert ns['p'].xs is ns['a'] and ns['d']['p'] is ns['p'] and ns['d']['f'] is ns['f']
assert type(ns['p']) is ns['P'] and ns['a'] == [1, 2, 3]
assert ns['get']() == 1 and ns['inc']() == 2 and ns['get']() == 2
assert ns['m'][1, 0] == 99
ns['m'][1, 1] = -1
assert ns['row'][1] == -1
ns['big'][2] = 7
assert ns['half'][1] == 7
assert list(ns['g']) == [0, 1, 2]
assert (ns['e'].args, ns['e'].b) == ((1,), 2)
assert ns['f']() == 10
ns['k'] = 20
assert ns['f']() == 20 and ns['p'].n() == 23
import os
assert os.environ['EVERCELL_P'] == 'x'
print(*log, ns['r'])
"""


class History:
    """What a process leaves behind."""

    def __init__(self, bench: Bench) -> None:
        self.records, self.sources = bench.records, bench.sources


@pytest.fixture(autouse=True)
def _main_module():
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def test_restored_in_another_process(tmp_path, monkeypatch):
    monkeypatch.setenv("EVERCELL_P", "")
    first = Bench()
    for cell in CELLS:
        first.run(cell)
    saved = tmp_path / "history"
    saved.write_bytes(pickle.dumps((CELLS, History(first))))
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(saved), str(HERE)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = ["recomputed" if "range(3)" in c else "restored" for c in CELLS]
    assert done.stdout.split("(")[0].split() == expected
    assert str(first.ns["r"]) in done.stdout


NAMES = ["a", "b", "c", "d"]
actions = st.one_of(
    st.tuples(st.just("new"), st.sampled_from(NAMES)),
    st.tuples(st.just("alias"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("put"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("grow"), st.sampled_from(NAMES)),
    st.tuples(st.just("split"), st.sampled_from(NAMES)),
    st.tuples(st.just("del"), st.sampled_from(NAMES)),
    st.tuples(st.just("def"), st.sampled_from(NAMES)),
)


def code_of(action) -> str:  # noqa: PLR0911 - one case each
    match action:
        case ("new", name):
            return f"{name} = [len(globals_seen)]"
        case ("alias", name, other):
            return f"{name} = {other}"
        case ("put", name, other):
            return f"{name}.append({other})"
        case ("grow", name):
            return f"{name}.append(0)"
        case ("split", name):
            return f"if {name} and type({name}[-1]) is list:\n    {name}[-1] = list({name}[-1])"
        case ("del", name):
            return f"del {name}"
        case _:
            name = action[1]
            return f"def touch(x={name}):\n    x.append('t')\ntouch()"


@given(st.lists(st.lists(actions, min_size=1, max_size=3), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_restored_namespace_equals_a_deep_copy(plan):
    first = Bench()
    cells = ["globals_seen = [1]\na = []; b = [1]; c = [b]; d = {}"]
    first.run(cells[0])
    for step in plan:
        text = "\n".join(code_of(action) for action in step)
        try:  # a cell that fails is not part of the story
            trial = copy.deepcopy(
                {k: v for k, v in first.ns.items() if k in (*NAMES, "globals_seen", "touch")}
            )
            exec(text, {**trial})
        except (NameError, AttributeError, TypeError, KeyError):
            continue
        first.run(text)
        cells.append(text)
    second = Bench()
    log = second.replay(cells, first)
    assert "recomputed" not in log
    names = [n for n in NAMES if n in first.ns]
    assert names == [n for n in NAMES if n in second.ns]
    assert shape([first.ns[n] for n in names]) == shape([second.ns[n] for n in names])


def shape(values) -> object:
    """Content and sharing: each container by the order in which it is first met."""
    seen: dict[int, int] = {}

    def walk(value):
        if not isinstance(value, list | dict):
            return value
        if id(value) in seen:
            return ("same", seen[id(value)])
        seen[id(value)] = len(seen)
        items = value.items() if isinstance(value, dict) else value
        return [type(value).__name__, *map(walk, items)]

    return [walk(value) for value in values]
