"""Annotations come back as they were, also those that CPython 3.14 evaluates when it is asked."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

from evercell.codec.canonical import digest
from evercell.codec.pickling import dump

if TYPE_CHECKING:
    from collections.abc import Iterator

since_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of CPython 3.12")
since_14 = pytest.mark.skipif(sys.version_info < (3, 14), reason="names that are found later")
_INNER = "class A:\n    class B: pass\n    x: B\n    def f(self, y: B): pass"


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def _restored(cells: list[str], question: str) -> tuple[object, object]:
    """What `question` is after the cells, and after they were restored: all of them."""
    first = Bench()
    for cell in cells:
        first.run(cell)
    expected = eval(question, first.ns)
    second = Bench()
    assert second.replay(cells, first) == ["restored"] * len(cells)
    return expected, eval(question, second.ns)


_BOTH = "[str(v) for held in (A, A.f) for v in held.__annotations__.items()]"
_CASES = {
    "of a class": (["class A:\n    x: int\n    y: list[str] = 's'"], "A.__annotations__"),
    "of a function": (["def f(x: int, *, y: 'A' = 1) -> dict[str, int]: ..."], "f.__annotations__"),
    "in a branch": (["class A:\n    if 1:\n        x: int\n    else:\n        y: str"],
                    "A.__annotations__"),
    "a class of the notebook": (["class F: pass", "class A:\n    x: F\n    def f(self, y: F): ..."],
                                "A.__annotations__['x'] is F is A.f.__annotations__['y']"),
    "a name of the class": ([_INNER], "A.__annotations__['x'] is A.B is A.f.__annotations__['y']"),
    "a name that the class got later": ([_INNER, "A.B = 5"],
                                        "A.f.__annotations__['y'] in (5, A.B)"),
    "a method that is a variable": ([f"{_INNER}\nm = A.f"],
                                    "m is A.f and m.__annotations__['y'] is A.B"),
    "a method without its class": ([_INNER, "m = A.f", "del A"], "str(m.__annotations__)"),
    "of a class that has no name": (
        ["def make():\n    class A:\n        class B: pass\n        x: B\n"
         "        def f(self, y: B): ...\n    return A()", "a = make()"],
        "[type(a).__annotations__['x'] is type(a).B, type(a).f.__annotations__['y'] is type(a).B]",
    ),
    "a name around the class": (
        ["def make(T):\n    class A:\n        x: T\n        def f(self, y: T): ...\n    return A",
         "A = make(int)"], _BOTH),
    "set": (["class A:\n    x: int\n    def f(self, y: int): ...\n",
             "A.__annotations__ = {'z': str}\nA.f.__annotations__ = {'q': int}"], _BOTH),
    "changed": (["class A:\n    x: int\n    def f(self, y: int): ...\n",
                 "A.__annotations__['z'] = str\nA.f.__annotations__['q'] = int"], _BOTH),
    "shared": (["class A:\n    x: int\ndef f(x: int): ...",
                "d = f.__annotations__, A.__annotations__",
                "d[0]['z'] = 3"], "f.__annotations__ is d[0], A.__annotations__ is d[1], str(d)"),
    "none": (["class A: pass", "d = A.__annotations__", "d['z'] = 3"],
             "A.__annotations__ is d, d, getattr(A, '__annotate__', None)"),
    "as texts": (["from __future__ import annotations\nclass A:\n    x: int\n"
                  "    def f(self, y: A): ..."],
                 "A.__annotations__, A.f.__annotations__, '__annotations__' in vars(A)"),
    "a dataclass": (["import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 1\n"
                     "    def f(self, y: 'A'): ..."], _BOTH),
    "a dataclass with slots": (
        ["import dataclasses\n@dataclasses.dataclass(slots=True)\nclass A:\n    x: int = 1\n"
         "    def f(self, y: int): ...", "a = A(3)"],
        "A.__annotations__, A.f.__annotations__, type(a) is A, repr(a)"),
    "a named tuple": (["import typing\nclass A(typing.NamedTuple):\n    x: int = 1\n"
                       "    def f(self, y: int): ..."], _BOTH),
    "a protocol": (["import typing\nclass A(typing.Protocol):\n    x: int\n"
                    "    def f(self) -> str: ..."], _BOTH),
    "an enum": (["import enum\nclass A(enum.Enum):\n    label: str\n    B = 1\n"
                 "    def f(self, y: int): ..."], _BOTH),
    "a model": (["import pydantic\nclass A(pydantic.BaseModel):\n    a: int = 1\n"
                 "    b: list['A'] = []\n    def f(self, y: int): ...", "a = A(b=[A()])"],
                "A.__annotations__, A.f.__annotations__, type(a.b[0]) is A, A.model_json_schema()"),
    "a wrapper": (["import functools\ndef deco(f):\n    @functools.wraps(f)\n"
                   "    def g(*a): return f(*a)\n    return g\n"
                   "class A:\n    x: int\n    class B: pass\n    @deco\n"
                   "    def f(self, x: B): ...", "A.f.__annotations__"],
                  "A.f.__annotations__['x'] is A.B is A.f.__wrapped__.__annotations__['x']"),
}  # fmt: skip


@pytest.mark.parametrize("name", _CASES)
def test_annotations_come_back(name: str) -> None:
    before, after = _restored(*_CASES[name])
    assert before == after


_LATE = {
    "asked for early": (["def f(x: B): ...\nclass A:\n    x: B", "B = 3",
                         "d = f.__annotations__['x'], A.__annotations__['x']", "B = 4"]),
    "asked for late": (["def f(x: B): ...\nclass A:\n    x: B", "B = 3", "B = 4"]),
    "a builtin for now": (["def f(x: int): ...\nclass A:\n    x: int", "int = 4"]),
    "the user's own way": (["class A:\n    x: int\n", "def f(x: int): ...\n"
                            "def own(format): return {'x': 5}\nf.__annotate__ = own",
                            "d = f.__annotations__"]),
}  # fmt: skip


@since_14
@pytest.mark.parametrize("name", _LATE)
def test_what_was_not_asked_for_is_found_when_it_is(name: str) -> None:
    question = "(f.__annotations__, A.__annotations__)"
    before, after = _restored(_LATE[name], question)
    assert before == after


@since_14
def test_names_that_are_not_there_yet_are_no_hindrance() -> None:
    question = "__import__('annotationlib').get_annotations(A, format=4)"
    before, after = _restored(["class A:\n    x: Later | int"], question)
    assert before == after == {"x": "Later | int"}


@since_14
def test_functions_that_evaluate_annotations_are_values() -> None:
    cells = [_INNER, "g, h = A.__annotate__, A.f.__annotate__"]
    question = "[g is A.__annotate__, h is A.f.__annotate__, h(1)['y'] is A.B]"
    assert _restored(cells, question) == ([True] * 3, [True] * 3)


@since_14
def test_no_value_is_stored_by_asking_for_annotations() -> None:
    bench = Bench()
    bench.run("asked = []\ndef ask(): asked.append(1); return int\nclass A:\n    x: ask()\n"
              "    def f(self, y: ask()): ...\ndef g(y: ask()): ...")  # fmt: skip
    assert bench.ns["asked"] == []


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    x: int\n    class B:\n        y: int",
        "import typing\nclass A(typing.NamedTuple):\n    x: int = 1\n    def f(self, y: int): ...",
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass A:\n    x: int = 1\n"
        "    def f(self, y: int): ...",
        "def A():\n    class B:\n        x: int\n    return B",
    ],
)
def test_where_it_stands_does_not_count_for_the_version(source: str) -> None:
    versions = set()
    for lines in (0, 1, 300):
        bench = Bench()
        (made,) = (p for p in bench.run("\n" * lines + source).products if p.names == ("A",))
        assert made.reason is None
        versions.add(made.version)
    assert len(versions) == 1


@since_14
def test_annotated_variables_do_not_hang_on_those_of_other_cells() -> None:
    first, second = Bench(), Bench()
    for cell in ["a: int = 1", "b: int = 2", "a + b"]:
        first.run(cell)
    again = second.replay(["a: int = 1; c: str = 's'", "b: int = 2", "a + b"], first)
    assert again == ["executed", "restored", "restored"]


@since_12
@pytest.mark.parametrize(
    ("source", "question"),
    [
        ("def f[T: int](x: T): ...", "T.__bound__, T.__infer_variance__, str(T)"),
        ("def f[T: (int, str)](x: T): ...", "T.__constraints__, T.__infer_variance__, str(T)"),
        ("class f[T]:\n    x: T", "T.__bound__, T.__infer_variance__, str(T)"),
    ],
)
def test_type_parameters_come_back(source: str, question: str) -> None:
    ask = f"(lambda T: ({question}, f.__annotations__['x'] is T))(f.__type_params__[0])"
    before, after = _restored([source], ask)
    assert before == after


@pytest.mark.skipif(sys.version_info < (3, 13), reason="of CPython 3.13")
def test_a_type_variable_keeps_its_default() -> None:
    cells = ["from typing import TypeVar\nT = TypeVar('T', default=int)\nU = TypeVar('U')"]
    question = "T.has_default(), T.__default__, U.has_default(), str(T)"
    before, after = _restored(cells, question)
    assert before == after == (True, int, False, "~T")


def _class(text: str) -> type:
    bench = Bench()
    bench.run(text)
    return bench.ns["A"]  # type: ignore[no-any-return]


def test_a_digest_sees_annotations_and_not_who_asked_for_them() -> None:
    kinds = [_class(f"class A:\n    x: {kind}\n    def f(self, y: int): ...")
             for kind in ("int", "int", "str")]  # fmt: skip
    before = digest(kinds[0], {})
    assert kinds[0].__annotations__ == {"x": int}
    assert digest(kinds[0], {}) == before == digest(kinds[1], {}) != digest(kinds[2], {})


def test_a_class_that_was_made_twice_has_one_version() -> None:
    """The first one may be collected at any time."""
    bench = Bench()
    bench.run("import dataclasses\n@dataclasses.dataclass(slots=True)\nclass A:\n    x: int = 1\n"
              "    class B: pass\n    def f(self, y: B) -> 'A': ...")  # fmt: skip
    own = {"A": bench.ns["A"]}
    before = dump(own, bench.ns, own=own).digest()
    gc.collect()
    assert dump(own, bench.ns, own=own).digest() == before
