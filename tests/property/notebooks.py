# ruff: noqa: E501 - a line per statement
"""Random notebooks, and what their users do to them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["PRELUDE", "plans"]

VARIABLES = ("a", "b", "c", "d")
FUNCTIONS = ("f", "g")
CLASSES = ("A", "B")
INSTANCES = ("p", "q")

PRELUDE = (
    "import copy, functools, os, random, threading\nimport numpy as np\nimport world\nfrom evercell import step\n"
    "@step\ndef ask(q): return world.ask('ask', q)",
    "K = 0; a = [1, 2]; b = {'k': a}; c = np.arange(6); d = [a, b]\n"
    "def f(x=1): return (x, a)\ndef g(): return f()",
    "class A:\n    n = 0\n    all = []\n    def __init__(self, x=None): self.x = x; A.all.append(1)\n"
    "    def see(self): return (self.n, a)\n    def add(self, y): self.x = [self.x, y]\n"
    "p = A(a); q = p",
)

# x, y: variables; f, g: functions; A, B: classes; p, q: instances; n: a small number.
STATEMENTS = r"""
{x} = [1, 2]
{x} = {{'k': [0]}}
{x} = {n}
{x} = ({y}, [{y}])
{x} = {y}
{x} = [{y}, {y}]
{x} = {{'k': {y}}}
{x} = {{1, 2, {n}}}
{x}.append({n})
{x}.append({y})
{x}['k'] = {y}
{x}[0] = {y}
{x} += [{n}]
{x} = {x} + [1]
{x}.clear()
{x}.extend(list({y})[:9])
{x}.pop()
{x}.update([('z', {y})])
{x}.setdefault('k', []).append({n})
{x} = {y}[0]
{x} = {y}['k']
{x}, {y} = {y}, {x}
del {x}
del {x}[0]
{x} = len({y})
{x} = {y} == {z}
{x} = {y} is {z}
{x} = copy.copy({y})
{x} = copy.deepcopy({y})
{x} = [{y} for i in range({n})]
{x} = np.arange(6)
{x} = {y}[1:4]
{x} = {y}.T
{x} = {y}.reshape(2, 3)
{x} = {y}[::2]
{x}[0] = {n}
{x} *= 2
{x} = np.array([{n}, 2.5])
{x} = np.array([[1], {y}, None], dtype=object)
{x} = {y}.copy()
{x} = float(np.random.rand())
np.random.seed({n})
random.seed({n})
{x} = random.random()
random.shuffle({x})
os.environ['ZOO_X'] = str({n})
{x} = os.environ.get('ZOO_X')
os.environ.pop('ZOO_X', None)
def {f}(x={n}): return (x, {x})
def {f}(x={x}): x.append(1); return x
def {f}(): {x}.append({n}); return len({x})
def {f}(): return {g}()
def {f}(): return [{g}, {x}]
def {f}(x=0): return A(x)
def {f}():\n    global {x}\n    {x} = {n}
def {f}():\n    global {x}\n    del {x}
def {f}():\n    global {x}\n    {x} = [{y}]\n    return {x}
def {f}(): return {A}.n, {A}.all
def {f}(): {A}.n += 1
def {f}():\n    def inner(): return {x}\n    return inner
{x} = {f}()
{f}()
{f}({n})
{x} = {f}({y})
{x} = {f}
{f} = {g}
{f}.note = {x}
{f}.note.append({n})
{f}.__defaults__ = ({n},)
{x} = {f}.__name__
{x} = [{f}, {g}]
{x}[0]()
{x}()
def make():\n    n = [{n}]\n    def inc(): n.append(1); return len(n)\n    return inc, lambda: n\n{f}, {g} = make()
def make():\n    n = 0\n    def inc():\n        nonlocal n\n        n += 1\n        return n\n    return inc\n{f} = make()
{x} = lambda: {y}
{x} = [lambda i=i: (i, {y}) for i in range(2)]
{x} = [lambda: i for i in range(2)]
{x} = functools.partial({f}, {y})
{f} = functools.lru_cache({f})
{f} = functools.wraps({g})(lambda *k: {g}(*k))
@functools.wraps({g})\ndef {f}(*k): return {g}(*k)
class {A}:\n    n = {n}\n    all = []\n    def __init__(self, x=0): self.x = x\n    def see(self): return {x}
class {A}({B}): pass
class {A}:\n    all = {x}\n    def add(self, y): self.all.append(y)
class {A}:\n    __slots__ = ('x', 'y')\n    def see(self): return self.x
class {A}(list):\n    def see(self): return len(self)
class {A}:\n    @property\n    def x(self): return {x}\n    @classmethod\n    def see(cls): return cls.n\n    @staticmethod\n    def add(y): {y}.append(y)
{p} = {A}()
{p} = {A}({x})
{p}.x = {x}
{p}.x.append({n})
{p}.y = {q}
{p}.add({x})
{x} = {p}.see()
{x} = {p}.see
{x} = {p}.add
{x} = {p}.x
{x}({n})
{x} = {p}
{p} = {q}
{x} = type({p})
{x} = isinstance({p}, {A})
{p}.__class__ = {A}
{A}.n = {n}
{A}.n += 1
{A}.all.append({n})
{A}.all = {x}
{A}.see = lambda self: {x}
{A}.extra = {f}
setattr({A}, 'n', {x})
setattr({p}, 'x', {y})
vars({p})['x'] = {n}
{A} = {B}
del {A}
del {p}
del {f}
{x} = {A}.all
{x} = (i * {n} for i in [1, 2, 3])
{x} = (({y}, i) for i in [1, 2, 3])
{x} = next({y})
next({x})
{x} = iter({y})
{x} = zip({y}, [1, 2])
{x} = (i for i in {y})
{x} = map({f}, {y})
{x} = enumerate({y})
{x} = threading.Lock()
{x} = (threading.Lock(), {y})
{x} = [threading.Lock(), random.random()]
{p}.x = threading.Lock()
for i in range({n}): {x}.append(i)
for i in list({x}): {y}.append(i)
if len({x}) > 2: {y} = {n}
if {x}: {y} = [{x}]\nelse: {z} = 2
while len({x}) < 4: {x}.append(0)
with open(os.devnull) as {x}: {y} = {n}
try: {x}[99] = 1\nexcept Exception as e: {y} = str(e)
try: {x} = {y}[0]\nexcept Exception as {z}: pass
{x}.append({n}); 1 / 0
raise ValueError({n})
assert not {x}
print({x})
print(len({x}), {n})
print({f}())
{x}
({x}, {y})
{x}[0]
{n}
{f}()
{p}.see()
exec('{x} = [{n}]')
globals()['{x}'] = {y}
{x} = sorted(k for k in globals() if len(k) == 1)
{x} = eval('{y}')
import math as {x}
from os import path as {x}
from math import *
{x} = ask('{n}')
{x} = [ask('u'), ask('u')]
{x} = [ask(i) for i in range({n})]
{x} = {{i: ask(i) for i in ('r', 's')}}
{x}.append(ask('{n}'))
{x} = ask(type({y}).__name__)
{x} = ask.map(['t', '{n}', 't'])
@step\ndef ask(q): return world.ask('one', q)
@step\ndef ask(q): return [world.ask('two', q)]
K = {n}
@step\ndef ask(q): return world.ask('with K', q, K)
@step\ndef ask(q): return helper(q)
def helper(q): return world.ask('helper', q)
def helper(q): return world.ask('helper {n}', q)
""".strip().splitlines()
STATEMENTS = [line.replace("\\n", "\n") for line in dict.fromkeys(STATEMENTS)]


@st.composite
def statements(draw: Any) -> str:
    template = draw(st.sampled_from(STATEMENTS))
    names = {
        **{k: draw(st.sampled_from(VARIABLES)) for k in "xyz" if f"{{{k}}}" in template},
        **{k: draw(st.sampled_from(FUNCTIONS)) for k in "fg" if f"{{{k}}}" in template},
        **{k: draw(st.sampled_from(CLASSES)) for k in "AB" if f"{{{k}}}" in template},
        **{k: draw(st.sampled_from(INSTANCES)) for k in "pq" if f"{{{k}}}" in template},
    }
    if "{n}" in template:
        names["n"] = draw(st.integers(0, 3))
    return template.format(**names)


cells = st.lists(statements(), min_size=1, max_size=3).map("\n".join)
places = st.integers(0, 30)
actions = st.one_of(
    st.tuples(st.just("run all")),
    st.tuples(st.just("restart and run all")),
    st.tuples(st.just("restart and run all")),
    st.tuples(st.just("run"), places),
    st.tuples(st.just("run up to"), places),
    st.tuples(st.just("kill in"), places, st.integers(0, 5)),
    st.tuples(st.just("edit"), places, cells),
    st.tuples(st.just("edit and run"), places, cells),
    st.tuples(st.just("insert"), places, cells),
    st.tuples(st.just("append"), cells),
    st.tuples(st.just("delete"), places),
    st.tuples(st.just("move"), places, places),
    st.tuples(st.just("repeat"), places, places),
)


plans = st.fixed_dictionaries(
    {
        "cells": st.lists(cells, min_size=2, max_size=6),
        "actions": st.lists(actions, min_size=1, max_size=4),
        "ids": st.booleans(),
    }
)
"""A notebook after the prelude, what its user does, and whether the frontend sends cell ids."""
