"""A value is believed only if it comes back whole; what needs no proof is known by its kinds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

from evercell.codec.pickling import dump, load

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


_DROPS = (
    "class C:\n    def __init__(self): self.x = [1]; self.cache = {1: 2}\n"
    "    def __getstate__(self): return {'x': self.x}"
)
_CASES = {
    "an attribute that __getstate__ drops": (_DROPS, "C.cache"),
    "one that __setstate__ makes otherwise": (
        _DROPS + "\n    def __setstate__(self, state): self.x = state['x']; self.cache = {}",
        "C.cache",
    ),
    "one that __setstate__ makes the same": (
        _DROPS + "\n    def __setstate__(self, state): self.x = state['x']; self.cache = {1: 2}",
        None,
    ),
    "a lock that __setstate__ makes anew": (
        "import threading\nclass C:\n    def __init__(self): self.lock = threading.Lock()\n"
        "    def __getstate__(self): return {}\n"
        "    def __setstate__(self, state): self.__init__()",
        None,
    ),
    "one that __reduce__ forgets": (
        "class C:\n    def __init__(self, x=1): self.x = x; self.y = 0\n"
        "    def __reduce__(self): return C, (self.x,)\ndef change(c): c.y = 5; return c",
        "C.y",
    ),
    "a slot that __getstate__ drops": (
        "class C:\n    __slots__ = ('x', 'y')\n    def __init__(self): self.x = self.y = 1\n"
        "    def __getstate__(self): return (None, {'x': self.x})",
        "C.y",
    ),
    "a cached property": (
        "import functools\nclass C:\n    def __init__(self): self.x = 1; self.p\n"
        "    @functools.cached_property\n    def p(self): return [2]\n"
        "    def __getstate__(self): return {'x': self.x}",
        None,
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_what_a_class_leaves_out_of_its_pickle(case: str) -> None:
    source, lost = _CASES[case]
    made = "change(C())" if "def change" in source else "C()"
    cells = [source, f"c = {made}", f"d = {{'deep': [{made}]}}"]
    first = Bench()
    reasons = [first.run(cell).reason for cell in cells]
    for reason in reasons[1:]:
        assert (reason is None) if lost is None else (reason is not None and lost in reason)
    second = Bench()
    assert second.replay(cells, first)[2] == ("restored" if lost is None else "recomputed")


@pytest.mark.parametrize(
    ("expression", "plain"),
    [
        ("[1, 'a', (2.5, {3: None}), {b'x'}, bytearray(1)]", True),
        ("[P(), P(), Q(1)]", True),
        (
            "[datetime.date(2020, 1, 1), collections.deque([1], 2), collections.Counter('aab')]",
            True,
        ),
        ("[np.arange(3), np.float64(1)]", True),
        ("np.arange(6)[1:]", False),
        ("np.array([[1]], dtype=object)", False),
        ("[W()]", False),
        ("S()", False),
        ("[lambda: 1]", False),
        ("ValueError(1)", False),
    ],
)
def test_what_needs_no_proof(expression: str, plain: bool) -> None:
    bench = Bench()
    bench.run("import collections, dataclasses, datetime\nimport numpy as np")
    bench.run(
        "class P:\n    def __init__(self): self.x = [1]\n"
        "@dataclasses.dataclass(slots=True)\nclass Q:\n    x: int\n"
        "class W:\n    def __getstate__(self): return {}\n"
        "class S(dict): pass"
    )
    value = eval(expression, bench.ns)
    dumped = dump({"v": value}, bench.ns, own={"v": value}, out_of_band=True)
    assert dumped.plain is plain
    assert bench.run(f"v = {expression}").reason is None


def test_sharing_is_seen_in_plain_and_in_other_values() -> None:
    bench = Bench()
    bench.run("class P: pass\nclass S(dict): pass")
    bench.run("part = [1]; p = P(); p.x = {'k': (part,)}; s = S(a=part); t = [(p,)]; other = [[1]]")
    assert bench.space.groups["part"] == {"part", "p", "s", "t"}
    assert bench.space.groups["other"] == {"other"}


def test_large_values_are_connected_as_small_ones_are() -> None:
    bench = Bench()
    bench.run("part = [1]; xs = [[i] for i in range(20_000)]; ys = [[i] for i in range(20_000)]")
    assert bench.space.groups["xs"] == {"xs"}
    bench.run("xs.append(part); ys.append(xs[3])")
    assert bench.space.groups["part"] == {"part", "xs", "ys"}


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    'doc'\n    n: int = 0\n    def f(self): return self.n",
        "class A:\n    __slots__ = ('x', 'y')",
        "class A:\n    @property\n    def x(self): 'doc'; return 1\n"
        "    @classmethod\n    def c(cls): return cls\n    @staticmethod\n    def s(y): return y",
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...",
        "import typing\nclass A(typing.NamedTuple):\n    x: int = 1",
        "import collections\nA = collections.namedtuple('A', 'x y')",
        "import pydantic\nclass A(pydantic.BaseModel):\n    a: int = 1\n    b: list[str] = []",
        "class P: pass\nA = P(); A.name = 'name'",
    ],
)
def test_a_loaded_value_has_the_version_of_a_fresh_one(source: str) -> None:
    """Else what reads a class looked stale after a recompute."""
    bench = Bench()
    bench.run(source)
    value = {"A": bench.ns["A"]}
    fresh = dump(value, bench.ns, own=value)
    loaded = load(fresh.stream, (), bench.ns)
    assert dump(loaded, bench.ns, own=loaded).digest() == fresh.digest()


@pytest.mark.parametrize(
    ("source", "owns"),
    [
        ("nv = np.arange(12.); nw = nv[2:5]", True),
        ("nv = np.ones(50_000); nw = nv[::2]", False),
        ("nv = np.asfortranarray(np.ones((200, 300))); nw = nv[:10]", False),
        ("nv = np.array([[1, None], [3, 4]], dtype=object); nw = nv.T", True),
        ("nv = np.array([[1, None], [3, 4]], dtype=object); nw = nv[::-1, 0]", True),
        ("nv = np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2).copy('K'); nw = nv[0]", True),
        ("nv = np.zeros(3, dtype=[('a', 'i4'), ('b', 'O')]); nw = nv['b']", True),
    ],
)
def test_the_base_of_a_view_is_the_array_it_looks_into(source: str, owns: bool) -> None:
    first = Bench()
    cells = ["import numpy as np", source]
    for cell in cells:
        first.run(cell)
    second = Bench()
    assert second.replay(cells, first) == ["restored", "restored"]
    base, view = second.ns["nv"], second.ns["nw"]
    assert view.base is base
    assert base.flags.owndata is owns  # a large one stays over the bytes that it was read from
    assert view.tolist() == first.ns["nw"].tolist()
    view[0] = view[0]
    base[:] = base[:]
