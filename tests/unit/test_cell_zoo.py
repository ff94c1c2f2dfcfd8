# ruff: noqa: E501 - a cell's source on one line reads better than a wrapped one
"""A zoo of kinds: each comes back equal after a kill, or its cell is recomputed; none is wrong."""

from __future__ import annotations

import sys

import pytest
from cellbench import Bench

from evercell.codec.canonical import digest
from evercell.errors import NotStorableError

# name -> (set-up, expression, how it must come back: "equal", "recomputed" or "either")
ZOO: dict[str, tuple[str, str, str]] = {
    "int": ("", "2**80", "equal"),
    "float nan": ("", "[float('nan'), -0.0, float('inf')]", "equal"),
    "complex": ("", "3+4j", "equal"),
    "surrogate": ("", "'\\ud800'", "equal"),
    "bytes": ("", "b'\\0\\xff'", "equal"),
    "bytearray": ("", "bytearray(b'ab')", "equal"),
    "nested": ("", "{'a': [(1, {2: {3}}), frozenset({4})]}", "equal"),
    "cycle": ("d = {}; d['d'] = d", "d", "equal"),
    "range, slice": ("", "(range(3), slice(1, 2), ..., NotImplemented)", "equal"),
    "datetime": (
        "import datetime as t",
        "[t.datetime(2020,1,1), t.timedelta(1), t.timezone.utc]",
        "equal",
    ),
    "zoneinfo": ("import zoneinfo", "zoneinfo.ZoneInfo('UTC')", "equal"),
    "decimal": (
        "import decimal, fractions",
        "[decimal.Decimal('1.10'), fractions.Fraction(1, 3)]",
        "equal",
    ),
    "uuid, path": ("import uuid, pathlib", "(uuid.UUID(int=1), pathlib.Path('a'))", "equal"),
    "regex": ("import re", "re.compile('a+')", "equal"),
    "match": ("import re", "re.match('a', 'ab')", "recomputed"),
    "collections": (
        "import collections as c",
        "[c.deque([1], 3), c.Counter('aab'), c.OrderedDict(a=1), c.ChainMap({})]",
        "equal",
    ),
    "defaultdict": ("import collections as c", "c.defaultdict(list, a=[1])", "equal"),
    "defaultdict lambda": ("import collections as c", "c.defaultdict(lambda: 5)", "equal"),
    "namedtuple": (
        "import collections\nP = collections.namedtuple('P', 'x y')",
        "P(1, 2)",
        "equal",
    ),
    "typing.NamedTuple": (
        "import typing\nclass P(typing.NamedTuple):\n    x: int = 1",
        "P(3)",
        "equal",
    ),
    "dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    x: int\n    y: list = dataclasses.field(default_factory=list)",
        "D(1)",
        "equal",
    ),
    "frozen slots": (
        "import dataclasses\n@dataclasses.dataclass(frozen=True, slots=True)\nclass D:\n    x: int",
        "D(1)",
        "equal",
    ),
    "enum": ("import enum\nclass E(enum.Enum):\n    A = 1\n    B = 'b'", "[E.A, E.B]", "equal"),
    "flag": (
        "import enum\nclass E(enum.Flag):\n    A = enum.auto()\n    B = enum.auto()",
        "E.A | E.B",
        "equal",
    ),
    "typed dict": ("import typing\nclass T(typing.TypedDict):\n    a: int", "T(a=1)", "either"),
    "protocol": ("import typing\nclass T(typing.Protocol):\n    def f(self): ...", "T", "either"),
    "generic": (
        "import typing\nV = typing.TypeVar('V')\nclass G(typing.Generic[V]):\n    pass",
        "G()",
        "equal",
    ),
    "abc": (
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\nclass B(A):\n    def f(self): return 1",
        "B()",
        "equal",
    ),
    "slots": ("class S:\n    __slots__ = ('a', 'b')\ns = S(); s.a = 1", "s", "equal"),
    "property": ("class S:\n    @property\n    def p(self): 'doc'; return 1", "S()", "equal"),
    "metaclass": ("class M(type): pass\nclass S(metaclass=M): pass", "S()", "recomputed"),
    "init_subclass": (
        "class B:\n    subs = []\n    def __init_subclass__(cls): B.subs.append(cls)\nclass S(B): pass",
        "B.subs",
        "recomputed",
    ),
    "pydantic": (
        "import pydantic\nclass M(pydantic.BaseModel):\n    a: int = 1\n    b: list[str] = []",
        "M(a=2, b=['x'])",
        "equal",
    ),
    "attrs": (
        "import attrs\n@attrs.define\nclass A:\n    x: int\n    y: list = attrs.field(factory=list)",
        "A(1)",
        "either",
    ),
    "msgspec": ("import msgspec\nclass S(msgspec.Struct):\n    a: int", "S(1)", "either"),
    "lambda": ("k = 2", "lambda x: x * k", "equal"),
    "loop closures": ("", "[lambda i=i: i for i in range(3)]", "equal"),
    "partial": ("import functools, operator", "functools.partial(operator.add, 1)", "equal"),
    "singledispatch": (
        "import functools\n@functools.singledispatch\ndef f(x): return 0",
        "f",
        "either",
    ),
    "cached_property": (
        "import functools\nclass C:\n    @functools.cached_property\n    def v(self): return [1]\nc = C(); c.v",
        "c",
        "equal",
    ),
    "bound method": ("class C:\n    def m(self): return self\nc = C()", "c.m", "equal"),
    "builtin method": ("xs = [1]", "xs.append", "equal"),
    "async function": ("async def f(): return 1", "f", "equal"),
    "coroutine": ("async def f(): return 1", "f()", "recomputed"),
    "generator": ("", "(i for i in [1])", "recomputed"),
    "iterators": ("", "[iter([1, 2]), reversed([1]), enumerate('ab')]", "either"),
    "itertools": ("import itertools", "itertools.count(3)", "recomputed"),
    "two-argument exception": (
        "class E(Exception):\n    def __init__(self, a, b): super().__init__(a); self.b = b",
        "E(1, 2)",
        "equal",
    ),
    "chained exception": (
        "try:\n    try: 1/0\n    except Exception as q: raise KeyError('k') from q\nexcept KeyError as e: err = e",
        "err",
        "either",
    ),
    "traceback": (
        "import sys\ntry: 1/0\nexcept Exception: tb = sys.exc_info()[2]",
        "tb",
        "recomputed",
    ),
    "lock": ("import threading", "threading.Lock()", "recomputed"),
    "event": ("import threading", "threading.Event()", "recomputed"),
    "thread local": ("import threading", "threading.local()", "recomputed"),
    "executor": ("import concurrent.futures as f", "f.ThreadPoolExecutor(1)", "recomputed"),
    "context var": ("import contextvars", "contextvars.ContextVar('c')", "recomputed"),
    "weakref": ("class C: pass\nc = C()\nimport weakref", "weakref.ref(c)", "recomputed"),
    "weak dict": ("import weakref", "weakref.WeakValueDictionary()", "recomputed"),
    "memoryview": ("", "memoryview(b'ab')", "recomputed"),
    "dict view": ("d = {1: 2}", "d.keys()", "recomputed"),
    "file read": ("", "open('/dev/null')", "recomputed"),
    "file write": ("import tempfile, os", "tempfile.TemporaryFile('w')", "recomputed"),
    "StringIO": ("import io\ns = io.StringIO(); _n = s.write('abc')", "s", "either"),
    "socket": ("import socket", "socket.socket()", "recomputed"),
    "ssl": ("import ssl", "ssl.create_default_context()", "recomputed"),
    "sqlite": ("import sqlite3", "sqlite3.connect(':memory:')", "recomputed"),
    "duckdb": ("import duckdb", "duckdb.connect()", "recomputed"),
    "hashlib": ("import hashlib", "hashlib.sha256(b'x')", "recomputed"),
    "struct": ("import struct", "struct.Struct('<i')", "recomputed"),
    "process": ("import subprocess", "subprocess.Popen(['true'])", "recomputed"),
    "random": ("import random", "random.Random(3)", "equal"),
    "logger": ("import logging", "logging.getLogger('zoo')", "equal"),
    "module": ("import json", "json", "equal"),
    "types": ("import types", "[int, list[int], types.SimpleNamespace(a=1), int | None]", "equal"),
    "mapping proxy": ("import types\nd = {1: 2}", "types.MappingProxyType(d)", "equal"),
    "array.array": ("import array", "array.array('d', [1.5])", "equal"),
    "numpy kinds": (
        "import numpy as np",
        "[np.float32(1), np.array('2020', 'M8[D]'), np.zeros((2, 0)), np.array([1, 'a', None], object)]",
        "equal",
    ),
    "masked array": ("import numpy as np", "np.ma.array([1, 2], mask=[0, 1])", "either"),
    "numpy structured": (
        "import numpy as np",
        "np.array([(1, 2.5)], dtype=[('a', 'i4'), ('b', 'f8')])",
        "equal",
    ),
    "numpy fortran": (
        "import numpy as np",
        "np.asfortranarray(np.arange(6).reshape(2, 3))",
        "equal",
    ),
    "numpy window": (
        "import numpy as np\na = np.arange(5)",
        "np.lib.stride_tricks.sliding_window_view(a, 2)",
        "equal",
    ),
    "numpy generator": ("import numpy as np", "np.random.default_rng(3)", "equal"),
    "numpy over bytearray": (
        "import numpy as np\nb = bytearray(8)\na = np.frombuffer(b, 'u1')",
        "a",
        "recomputed",
    ),
    "memmap": (
        "import numpy as np, tempfile",
        "np.memmap(tempfile.TemporaryFile(), 'u1', 'w+', shape=4)",
        "recomputed",
    ),
    "pandas": (
        "import pandas as pd",
        "pd.DataFrame({'a': [1, None], 'b': ['x', 'y'], 'c': pd.to_datetime(['2020', '2021']), 'd': pd.Categorical(['u', 'v'])})",
        "equal",
    ),
    "pandas series": (
        "import pandas as pd",
        "pd.Series([1, 2], index=['a', 'b'], name='s')",
        "equal",
    ),
    "httpx client": ("import httpx", "httpx.Client()", "recomputed"),
    "openai client": (
        "import openai",
        "openai.OpenAI(api_key='k', base_url='http://127.0.0.1:9')",
        "recomputed",
    ),
}


@pytest.fixture(autouse=True)
def _main_module():
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.mark.parametrize("name", ZOO)
def test_equal_or_recomputed(name):
    setup, expression, expected = ZOO[name]
    cells = [*([setup] if setup else []), f"value = {expression}"]
    first = Bench()
    for cell in cells:
        first.run(cell)
    second = Bench()
    log = second.replay(cells, first)
    value = second.ns["value"]
    assert type(value).__name__ == type(first.ns["value"]).__name__
    if "recomputed" in log:
        assert expected in ("recomputed", "either"), [r.reason for r in first.records]
        assert any(r.reason for r in first.records)
        return
    assert set(log) == {"restored"}
    assert expected in ("equal", "either")
    assert _content(value, second.ns) == _content(first.ns["value"], first.ns)


def _content(value, ns):
    try:
        return digest(value, ns)
    except NotStorableError:
        return repr(value)
