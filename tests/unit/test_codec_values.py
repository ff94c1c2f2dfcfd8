"""Values, digests, exceptions: what goes in comes out, and equal content is equal."""

from __future__ import annotations

import copy
import json
import marshal
import pickle
import sys
import threading
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evercell.codec.canonical import digest
from evercell.codec.code import (
    code_constant,
    code_digest,
    marshal_code,
    plain_constant,
    positions_of,
    unmarshal_code,
)
from evercell.codec.exceptions import decode_exception, describe, encode_exception
from evercell.codec.values import decode, encode, json_view
from evercell.errors import NotStorableError, RestoreError

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
keys = st.text() | st.integers() | st.booleans()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.frozensets(keys)
        | st.sets(keys)
    ),
    max_leaves=12,
)


@pytest.fixture
def live():
    saved = sys.modules["__main__"]
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    yield vars(module)
    sys.modules["__main__"] = saved


def strict(value):
    """Content with types, so that 1, 1.0 and True differ, and NaN equals itself."""
    if isinstance(value, dict):
        return ("dict", sorted(((strict(k), strict(v)) for k, v in value.items()), key=repr))
    if isinstance(value, list | tuple):
        return (type(value).__name__, [strict(v) for v in value])
    if isinstance(value, set | frozenset):
        return (type(value).__name__, sorted(map(strict, value), key=repr))
    return (type(value).__name__, repr(value))


@given(values)
@settings(max_examples=60, deadline=None)
def test_digest_is_equal_over_copies(value):
    expected = digest(value)
    assert digest(copy.deepcopy(value)) == expected
    assert digest(pickle.loads(pickle.dumps(value))) == expected


@given(values, values)
@settings(max_examples=60, deadline=None)
def test_digest_differs_exactly_when_content_does(one, other):
    assert (digest(one) == digest(other)) == (strict(one) == strict(other))


@given(values)
@settings(max_examples=60, deadline=None)
def test_encode_round_trip(value):
    encoded = encode(value, {})
    assert strict(decode(encoded.codec, encoded.data, {})) == strict(value)
    json.loads(encoded.view or encoded.data)


@given(st.dictionaries(st.text(), st.integers() | st.text()))
@settings(max_examples=50, deadline=None)
def test_dict_order_does_not_count_for_the_digest_but_is_kept(value):
    turned = dict(reversed(value.items()))
    assert digest(turned) == digest(value)
    encoded = encode(turned, {})
    assert list(decode(encoded.codec, encoded.data, {})) == list(turned)


def test_aliases_in_a_result_stay_aliases():
    row = [1]
    encoded = encode([row, row], {})
    first, second = decode(encoded.codec, encoded.data, {})
    assert first is second


def test_undigestible_part_is_named():
    class Client:
        def __init__(self):
            self._client = threading.Lock()

    with pytest.raises(NotStorableError, match=r"argument\[0\]\._client"):
        digest((Client(), 1))


def test_cycle_has_a_digest():
    one: list = []
    one.append(one)
    two: list = []
    two.append(two)
    assert digest(one) == digest(two) != digest([[]])


def test_code_digest_ignores_the_place_and_sees_the_content(live):
    exec(compile("def f(x):\n    return x + 1", "a.py", "exec"), live)
    f = live["f"]
    exec(compile("\n\n\ndef f(x):\n\n    return x + 1", "b.py", "exec"), live)
    assert code_digest(f.__code__) == code_digest(live["f"].__code__)
    assert digest(f, live) == digest(live["f"], live)
    exec("def f(x): return x + 2", live)
    assert code_digest(f.__code__) != code_digest(live["f"].__code__)


CLASSES = {
    "plain": "class A:\n  x = 1\n  def f(self): return 2\n return A",
    "its line is among its constants": (
        "class A:\n  y = 2, 7\n  x = 2\n  z = 3, 7\n  w = 7, 300\n  v = 302\n return A"
    ),
    "inside of another": "class A:\n  class B:\n   x = 3\n  def f(self): return 2\n return A",
    "decorated": "@(lambda cls: cls)\n class A:\n  'doc'\n  x: int = 1\n return A",
}


@pytest.mark.parametrize("name", CLASSES)
def test_where_a_function_makes_its_classes_does_not_count(live, name):
    """From CPython 3.13 on the number of a class's first line is a part of its body's code."""
    versions, code = set(), None
    for line in (1, 2, 6, 254, 255, 299, 300):
        text = f"{chr(10) * line}def f():\n {CLASSES[name]}"
        exec(compile(text, "a.py", "exec"), live)
        code = live["f"].__code__
        versions.add(code_digest(code))
        stored = marshal_code(code)
        again = unmarshal_code(stored, positions_of(code))
        assert marshal_code(again) == stored
        assert positions_of(again) == positions_of(code)
        before, after = live["f"](), types.FunctionType(again, live)()
        pairs = [(before, after)]
        if hasattr(before, "B"):
            pairs.append((before.B, after.B))
        for cls, back in pairs:
            own = {k: v for k, v in vars(cls).items() if type(v) in (int, str, tuple)}
            assert own == {k: vars(back)[k] for k in own}
    assert len(versions) == 1


def test_what_a_function_makes_of_its_classes_counts(live):
    versions = set()
    for body in ("x = 1", "x = 2", "x = 3", "x = 300", "y = 1", "x = 1; y = 1", "x = (1,)"):
        exec(f"def f():\n class A:\n  {body}\n return A", live)
        versions.add(code_digest(live["f"].__code__))
    assert len(versions) == 7


SLICE = (..., "slice", 1, None, None)
CONSTANTS = (
    slice(1, 2),
    slice(1, None),
    (slice(None, None, 3), ..., slice(1)),
    (..., slice(1, None), 0),
    (..., SLICE),
    (..., 0),
    ((..., (1, 2)), slice(None)),
    SLICE,
    (..., "tuple", SLICE),
)


def test_slices_are_constants_of_code():
    """Of CPython 3.14's; before 3.12 they have no hash, and code that holds one has none."""
    written = [marshal.dumps(plain_constant(constant), 2) for constant in CONSTANTS]
    assert len(set(written)) == len(CONSTANTS)
    assert [code_constant(marshal.loads(data)) for data in written] == list(CONSTANTS)


def test_a_function_that_takes_slices_comes_back(live):
    exec("def f(x): return x[1:], x[:2], x[::2]", live)
    encoded = encode(live["f"], live)
    assert decode(encoded.codec, encoded.data, live)("abcd") == ("bcd", "ab", "ac")


def test_functions_with_other_closures_differ(live):
    exec("def make(n):\n    def f(): return n\n    return f", live)
    assert digest(live["make"](1), live) == digest(live["make"](1), live)
    assert digest(live["make"](1), live) != digest(live["make"](2), live)


def test_class_of_the_notebook_counts_by_its_code(live):
    exec("class P:\n    def f(self): return 1", live)
    before = digest(live["P"](), live)
    exec("class P:\n    def f(self): return 1", live)
    assert digest(live["P"](), live) == before
    exec("class P:\n    def f(self): return 2", live)
    assert digest(live["P"](), live) != before


EXCEPTIONS = """
class Two(Exception):
    def __init__(self, a, b): super().__init__(f"{a}-{b}"); self.a = a; self.b = b
class Keyword(ValueError):
    def __init__(self, *, code): self.code = code
    def __str__(self): return f"code {self.code}"
"""


def test_exceptions_of_any_signature_come_back(live):
    exec(EXCEPTIONS, live)
    made = [
        live["Two"](1, 2), live["Keyword"](code=4), FileNotFoundError(2, "no", "f"), KeyError("k"),
        UnicodeDecodeError("utf8", b"x", 0, 1, "bad"), ExceptionGroup("g", [ValueError(1)]),
        ImportError("x", name="n"), StopIteration(4), TimeoutError(),
    ]  # fmt: skip
    for error in made:
        encoded = encode_exception(error, live)
        back = decode_exception(encoded.codec, encoded.data, live)
        assert (type(back), str(back), repr(back.args)) == (
            type(error),
            str(error),
            repr(error.args),
        )
        assert back.__dict__ == error.__dict__


def test_openai_error_comes_back_with_its_response(live):
    import httpx
    import openai

    request = httpx.Request("POST", "http://x")
    response = httpx.Response(429, headers={"retry-after": "3"}, json={"e": 1}, request=request)
    error = openai.RateLimitError("slow down", response=response, body={"code": "x"})
    encoded = encode_exception(error, live)
    back = decode_exception(encoded.codec, encoded.data, live)
    assert type(back) is openai.RateLimitError
    assert (str(back), back.status_code, back.body) == ("slow down", 429, {"code": "x"})
    assert back.response.headers["retry-after"] == "3"


def test_unpicklable_attribute_of_an_exception_is_left_out(live):
    error = ValueError("v")
    error.lock = threading.Lock()
    error.__cause__ = KeyError("k")
    encoded = encode_exception(error, live)
    back = decode_exception(encoded.codec, encoded.data, live)
    assert not hasattr(back, "lock")
    assert isinstance(back.__cause__, KeyError)


def test_describe_names_the_type():
    assert describe(ValueError("v"))[:2] == ("ValueError", "v")
    assert describe(json.JSONDecodeError("m", "d", 0))[0] == "json.decoder.JSONDecodeError"


def test_json_view_never_raises_and_is_abridged():
    class Bad:
        def __repr__(self):
            raise RuntimeError

    assert "RuntimeError" in json_view(Bad())
    assert len(json_view(list(range(100_000)))) < 20_000
    assert json.loads(json_view({1: {2}, "x": float("nan")})) == {"1": [2], "x": "nan"}


def test_unknown_codec_and_damaged_data_are_restore_errors():
    with pytest.raises(RestoreError):
        decode("zip", b"", {})
    with pytest.raises(RestoreError):
        decode("pickle", b"junk", {})
    with pytest.raises(RestoreError):
        decode("json", b"{", {})


def test_a_missing_class_is_a_restore_error(live):
    exec("class P: pass\np = P()", live)
    encoded = encode(live["p"], live)
    assert type(decode(encoded.codec, encoded.data, live)) is live["P"]
    with pytest.raises(RestoreError, match="P"):
        decode(encoded.codec, encoded.data, {})
