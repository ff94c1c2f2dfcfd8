"""Notebooks that once parted from plain execution, as small as they could be made."""

from __future__ import annotations

from typing import Any

import pytest

from property.notebooks import PRELUDE
from property.play import play

_RESTART = ("restart and run all",)
# What went wrong -> the cells after the prelude, and what the user did.
CASES: dict[str, tuple[list[str], list[tuple[Any, ...]]]] = {
    "arrays shared their dtype, so a deleted cell's effect came back": (
        ["c *= 2", "a = np.arange(6)"],
        [("delete", 3)],
    ),
    "instances of a rebound class were stored apart": (
        [
            "b = type(q)\na = [lambda i=i: (i, c) for i in range(2)]",
            "class A:\n    def see(self): return b",
        ],
        [],
    ),
    "a seed that was set twice was lost": (["np.random.seed(1)"], [("run all",)]),
    "a seed that was there from the beginning was lost": (
        ["np.random.seed(0)"],
        [("edit", 1, "a = float(np.random.rand())")],
    ),
    "a seed that was drawn from as often before was lost": (
        ["np.random.seed(0); c = np.random.rand()", "np.random.seed(0); d = np.random.rand()"],
        [("insert", 4, "a = np.random.rand()"), _RESTART],
    ),
    "a value laid over a recomputed cell's was not the displayed one": (
        ["d = (i for i in [1])\ndef f():\n    global a\n    a = [1]\n    return a\nf()"],
        [_RESTART],
    ),
    "a generator went its own way": (
        ["d = (i for i in a)", "a.append(3)", "b = list(d)"],
        [],
    ),
    "a failed cell changed what it had only reached": (
        [
            "p = B(d)",
            "a = g(b)\n@step\ndef ask(q): return [world.ask('two', q)]",
            "c = {i: ask(i) for i in ('r', 's')}",
        ],
        [],
    ),
    "a name in a value made another version of it": (
        ["d = ask('3')\nexec('c = [3]')", "d = p.see", "d = [ask('u'), ask('u')]"],
        [("edit", 2, "p.see()")],
    ),
    "what shared with others had the version of what shared with nobody": (
        [
            "def g(x=c): x.append(1); return x",
            "b = type(q)\nwith open(os.devnull) as d: d = 0",
            "a, c = c, a",
        ],
        [("insert", 1, "class B(A): pass"), ("move", 2, 4), ("run all",)],
    ),
    "what held a class by name had the version of what holds it by itself": (
        ["class A: pass", "p.x = 1", "b = type(p) is A"],
        [("delete", 3), _RESTART],
    ),
    "an array came back over memory that it did not own": (
        ["d = 1"],
        [_RESTART, ("append", "b = c.flags.owndata")],
    ),
    "an attribute was looked for on a class of the notebook as on one of a module": (
        ["p.x = threading.Lock()", "next(a)\ndef f(): B.n += 1"],
        [("run all",)],
    ),
    "a postponed cell loaded an instance beside another one of its class": (
        ["A.n += 1", "p.x = threading.Lock()"],
        [],
    ),
    "an array of objects lost its view": (
        ["d = np.array([[1], a, None], dtype=object)\na = d[::2]"],
        [],
    ),
    "a function lost another name of what it wraps": (
        ["b = f", "@functools.wraps(f)\ndef f(*k): return f(*k)"],
        [("append", "a = b is f.__wrapped__")],
    ),
}


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("case", CASES)
def test_as_plain_execution(case: str, ids: bool) -> None:
    cells, actions = CASES[case]
    play([*PRELUDE, *cells], actions, ids=ids)
