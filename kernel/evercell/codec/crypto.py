"""`AesGcm`: payloads encrypted with AES-GCM, for the codec layer "aes-gcm".

    stored = id of the key (4) ─ nonce (12) ─ ciphertext and tag

The nonce is synthetic: a keyed digest of the plaintext. So equal values are equal bytes again, and
content addressing keeps sharing them; an onlooker learns which stored values are equal, and nothing
else. A nonce repeats for different values with the odds that 96 random bits have, so nothing is
lost against random nonces (the bound for both: some 2**32 values under one key).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NoReturn

from blake3 import blake3

from evercell.codec.secret import Secret, forbid, mark_of
from evercell.errors import NotStorableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AesGcm"]

_SIZES = (16, 24, 32)
_KEY_ID, _NONCE = 4, 12


class AesGcm:
    """A codec layer that encrypts. Needs `pip install evercell[crypto]`."""

    __slots__ = ("_encrypting", "_key", "_known", "_nonce_key")

    name = "aes-gcm"
    encrypts = True

    def __init__(
        self, key: bytes | Secret | str, *, previous: Iterable[bytes | Secret | str] = ()
    ) -> None:
        """`key`: 16, 24 or 32 bytes, or their base64 or hexadecimal form, best as a Secret.
        `previous`: earlier keys, to read with. Raises UsageError."""
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - extra
        except ImportError as error:
            raise UsageError(
                "AesGcm needs the package cryptography: pip install 'evercell[crypto]'."
            ) from error
        keys = [_key_bytes(each) for each in (key, *previous)]
        self._known: dict[bytes, Any] = {_id_of(each): AESGCM(each) for each in keys}
        self._encrypting = _id_of(keys[0])
        self._nonce_key = blake3(keys[0], derive_key_context="evercell aes-gcm v1: nonce").digest()
        self._key = keys[0]

    def encode(self, data: bytes | memoryview) -> bytes:
        """Encrypted and authenticated."""
        nonce = blake3(data, key=self._nonce_key).digest(_NONCE)
        sealed: bytes = self._known[self._encrypting].encrypt(nonce, data, None)
        return self._encrypting + nonce + sealed

    def decode(self, data: bytes) -> bytes:
        """What `encode` was given. Raises ValueError for another key, or changed bytes."""
        cipher = self._known.get(bytes(data[:_KEY_ID]))
        if cipher is None:
            raise ValueError("it was encrypted with another key; give it as previous=[...]")
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - extra

        nonce, sealed = data[_KEY_ID : _KEY_ID + _NONCE], memoryview(data)[_KEY_ID + _NONCE :]
        try:
            opened: bytes = cipher.decrypt(nonce, sealed, None)
        except InvalidTag:
            raise ValueError("it was changed") from None
        return opened

    def __repr__(self) -> str:
        return "AesGcm(***)"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise NotStorableError("it holds an encryption key, which is never recorded")

    def __evercell_mark__(self) -> bytes:
        """What stands for it in digests."""
        return mark_of(self._key)


def _id_of(key: bytes) -> bytes:
    return blake3(key, derive_key_context="evercell aes-gcm v1: key id").digest(_KEY_ID)


def _key_bytes(key: bytes | Secret | str) -> bytes:
    if isinstance(key, bytes):
        if len(key) in _SIZES:
            forbid(key)
            return key
    else:
        text = (key.reveal() if isinstance(key, Secret) else key).strip()
        forbid(text)
        for read in (bytes.fromhex, base64.urlsafe_b64decode, base64.standard_b64decode):
            try:
                found: bytes = read(text)
            except (ValueError, binascii.Error):
                continue
            if len(found) in _SIZES:
                return found
    raise UsageError(
        "AesGcm needs a key of 16, 24 or 32 bytes, or their base64 or hexadecimal form. Make one: "
        'python -c "import secrets; print(secrets.token_hex(32))", and keep it outside of the '
        'project: AesGcm(Secret.env("MY_KEY")).'
    )
