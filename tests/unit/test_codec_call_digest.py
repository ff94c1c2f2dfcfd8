"""A call's digest tells all arguments apart that are not the same, whichever way it is made."""

from __future__ import annotations

from itertools import combinations

import pytest

from evercell.codec.canonical import call_digest

VERSION = b"v" * 16
ALIKE: list[tuple[object, ...]] = [
    (), (None,), (0,), (0.0,), (-0.0,), (False,), ("",), (b"",), ((),), ([],), ({},), ("0",),
    (b"0",), (1,), (1.0,), (True,), (1 + 0j,), ((1,),), ([1],), ("1",), (2**64,), (float(2**64),),
    (-(2**64),), ("a", "b"), ("ab",), (("a", "b"),), (["a", "b"],), ("a", b"b"), ("\udc80",),
    ("\\udc80",), (VERSION,), (VERSION, 1), ({"a": 1},), ({"a": 1.0},),
    (float("inf"),), (float("-inf"),),
]  # fmt: skip


def test_different_arguments_have_different_digests() -> None:
    for one, other in combinations(ALIKE, 2):
        assert call_digest(VERSION, one, {}) != call_digest(VERSION, other, {}), (one, other)


@pytest.mark.parametrize("arguments", ALIKE, ids=repr)
def test_the_same_call_has_the_same_digest(arguments: tuple[object, ...]) -> None:
    digest = call_digest(VERSION, arguments, {})
    assert len(digest) == 16
    assert digest == call_digest(bytes(VERSION), (*arguments,), {})
    assert digest != call_digest(VERSION[::-1] + b"w", arguments, {})
