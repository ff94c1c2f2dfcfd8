"""A Secret is used, never shown and never written."""

from __future__ import annotations

import copy
import json
import pickle
from array import array

import numpy as np
import pytest

from evercell.codec import canonical, secret
from evercell.codec.parts import Pieces
from evercell.codec.pickling import dump
from evercell.codec.secret import Secret, holds_secret, mask
from evercell.codec.views import json_view
from evercell.errors import NotStorableError, UsageError

TEXT = 'open"sesame\n\\ü-42'


def test_it_shows_nothing() -> None:
    hidden = Secret(TEXT)
    for shown in (repr(hidden), str(hidden), f"{hidden}", f"{hidden!s:>20}"):
        assert shown.strip() == "Secret(***)"
    assert hidden.reveal() == TEXT
    assert json_view({"key": hidden}) == '{"key":"***"}'


def test_it_is_equal_by_its_text() -> None:
    assert Secret(TEXT) == Secret(TEXT) != Secret("another")
    assert len({Secret(TEXT), Secret(TEXT)}) == 1
    assert Secret(TEXT) != TEXT


def test_it_is_never_pickled() -> None:
    hidden = Secret(TEXT)
    for write in (pickle.dumps, lambda value: dump(value, {})):
        with pytest.raises(NotStorableError, match="never recorded"):
            write([hidden])
    assert copy.deepcopy([hidden])[0] is hidden


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", TEXT)
    assert Secret.env("MY_KEY").reveal() == TEXT
    with pytest.raises(UsageError, match="NO_KEY"):
        Secret.env("NO_KEY")


@pytest.mark.parametrize("wrong", ["", None, b"bytes"])
def test_only_text(wrong: object) -> None:
    with pytest.raises(UsageError):
        Secret(wrong)  # type: ignore[arg-type]


def test_it_counts_by_a_digest_under_the_users_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_key", lambda: bytes(32))
    one = canonical.digest(("prompt", Secret(TEXT)))
    assert one == canonical.digest(("prompt", Secret(TEXT)))
    assert one != canonical.digest(("prompt", Secret("another")))
    assert one != canonical.digest(("prompt", TEXT))
    monkeypatch.setattr(secret, "_key", lambda: bytes(31) + b"\1")
    assert one != canonical.digest(("prompt", Secret(TEXT)))


@pytest.mark.parametrize("data", [
    TEXT.encode(), json.dumps([TEXT]).encode(), json.dumps(TEXT, ensure_ascii=False).encode(),
    pickle.dumps({"a": TEXT}), repr([TEXT]).encode(), memoryview(np.array([TEXT])),
    memoryview(array("b", bytes(3_000_000) + TEXT.encode())),
    memoryview(bytes((1 << 20) - 3) + TEXT.encode()),
    Pieces(b"", [memoryview(b"other"), memoryview(bytes(99) + TEXT.encode())]),
])  # fmt: skip
def test_it_is_found_in_bytes(data: bytes | memoryview | Pieces) -> None:
    assert not holds_secret(data)
    Secret(TEXT)
    assert holds_secret(data)


def test_texts_are_masked() -> None:
    Secret("sesame")
    Secret("sesame street")
    assert mask("to sesame street, sesame!") == "to ***, ***!"
    Secret(TEXT)
    assert mask(json.dumps({"a": TEXT})) == '{"a": "***"}'


def test_short_ones_are_not_searched_for() -> None:
    Secret("a")
    assert mask("banana") == "banana"
    assert not holds_secret(b"banana")
