"""AES-GCM: equal values stay equal, changed ones are refused, keys can be exchanged."""

from __future__ import annotations

import base64
import pickle

import pytest

from evercell.codec.crypto import AesGcm
from evercell.codec.secret import Secret, holds_secret
from evercell.errors import NotStorableError, UsageError

KEY = bytes(range(32))
OLD = bytes(range(1, 33))


def test_it_encrypts() -> None:
    layer = AesGcm(KEY)
    for data in (b"", b"a", b"attack at dawn" * 1000):
        stored = layer.encode(data)
        assert data == b"" or data not in stored
        assert layer.decode(stored) == data
    assert layer.encode(memoryview(b"a")) == layer.encode(b"a")


def test_equal_values_share_bytes_and_different_ones_no_nonce() -> None:
    stored = {AesGcm(KEY).encode(str(number).encode()) for number in range(200)}
    assert len({each[4:16] for each in stored}) == 200
    assert AesGcm(KEY).encode(b"1") in stored
    assert AesGcm(OLD).encode(b"1") not in stored


@pytest.mark.parametrize("place", [0, 5, 20, -1])
def test_a_changed_bit_is_refused(place: int) -> None:
    stored = bytearray(AesGcm(KEY).encode(b"attack at dawn"))
    stored[place] ^= 1
    with pytest.raises(ValueError, match=r"changed|another key"):
        AesGcm(KEY).decode(bytes(stored))


def test_an_earlier_key_still_reads() -> None:
    stored = AesGcm(OLD).encode(b"a")
    assert AesGcm(KEY, previous=[OLD]).decode(stored) == b"a"
    with pytest.raises(ValueError, match="another key"):
        AesGcm(KEY).decode(stored)


@pytest.mark.parametrize("form", [
    KEY, KEY.hex(), Secret(KEY.hex()), base64.b64encode(KEY).decode(),
    Secret(base64.urlsafe_b64encode(KEY).decode()),
])  # fmt: skip
def test_forms_of_a_key(form: bytes | str | Secret) -> None:
    assert AesGcm(form).decode(AesGcm(KEY).encode(b"a")) == b"a"


@pytest.mark.parametrize("wrong", [b"short", "no key at all!", "ab" * 5, b"x" * 31])
def test_what_is_no_key(wrong: bytes | str) -> None:
    with pytest.raises(UsageError, match="16, 24 or 32 bytes"):
        AesGcm(wrong)


def test_its_key_does_not_leave_it() -> None:
    layer = AesGcm(KEY)
    assert repr(layer) == "AesGcm(***)"
    with pytest.raises(NotStorableError):
        pickle.dumps(layer)
    assert holds_secret(pickle.dumps({"my key": KEY}))
