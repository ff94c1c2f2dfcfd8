"""The key that tells this user's records and payloads from anybody else's.

32 random bytes in a file that only its owner reads, outside of every project: a history that came
with a cloned repository was not written under it, so nothing in it is ever unpickled.

    key ─┬─ payload ids                    (payloads.py)
         ├─ "journal frame" -> frame tags  (frames.py): checked before a batch is folded
         ├─ "event row"     -> row tags    (rows.py, seals.py): checked before a resume uses rows
         └─ "letter"        -> letter tags (inbox.py): checked before a command is carried out
"""

from __future__ import annotations

import os
import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3

from evercell.errors import HistoryError
from evercell.history.disk import make_folder, sync_folder, write_error

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KEY_SIZE", "TAG_SIZE", "UserKey", "key_file", "key_id", "load_key"]

KEY_SIZE = 32
TAG_SIZE = 16  # bytes of a tag: forging one takes 2**128 tries


class UserKey:
    """The key in `path` (default: `key_file()`), read, or made, when first needed.

    What needs it raises HistoryError when it is not a key, HistoryWriteError when it can't be read
    or made.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @cached_property
    def secret(self) -> bytes:
        """The key itself."""
        return load_key(self._path or key_file())

    @cached_property
    def id(self) -> str:
        """The key's public name."""
        return key_id(self.secret)

    def frames(self, header: bytes) -> blake3:
        """What the frame tags of a segment with this header begin with: a tag that holds proves
        the header, too."""
        return blake3(header, key=self._frame_key)

    def tag(self, message: Iterable[object]) -> bytes:
        """The tag of a row or block, by what must not be changed in it."""
        hasher = self._row_hasher.copy()
        hasher.update(_encode(message))
        return hasher.digest(TAG_SIZE)

    def holds(self, tag: bytes | None, message: Iterable[object]) -> bool:
        """Whether a row's tag is right."""
        return tag is not None and tag == self.tag(message)

    def tags(self, messages: Iterable[Iterable[object]]) -> list[bytes]:
        """The tags of many rows."""
        begin, tags = self._row_hasher.copy, []
        for message in messages:
            hasher = begin()
            hasher.update(_encode(message))
            tags.append(hasher.digest(TAG_SIZE))
        return tags

    def letter(self, name: str, body: bytes) -> bytes:
        """The tag of a letter in the inbox, by its file's name and its content."""
        hasher = blake3(key=_derived(self.secret, "evercell history v1: letter"))
        hasher.update(_encode((name, body)))
        return hasher.digest(TAG_SIZE)

    @cached_property
    def _frame_key(self) -> bytes:
        return _derived(self.secret, "evercell history v1: journal frame")

    @cached_property
    def _row_hasher(self) -> blake3:
        return blake3(key=_derived(self.secret, "evercell history v1: event row"))


_encode = msgspec.msgpack.Encoder().encode


def _derived(key: bytes, purpose: str) -> bytes:
    return blake3(key, derive_key_context=purpose).digest()


def key_file() -> Path:
    """Where the key is: `EVERCELL_KEY_FILE`, else in the user's data folder."""
    configured = os.environ.get("EVERCELL_KEY_FILE")
    if configured:
        return Path(configured).expanduser()
    import platformdirs  # noqa: PLC0415 - only needed without the variable

    return platformdirs.user_data_path("evercell") / "key"


def load_key(path: Path) -> bytes:
    """The key in `path`, made on first use. Raises HistoryError when it is not a key, and
    HistoryWriteError when it can't be read or made."""
    try:
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            _create(path)
            key = path.read_bytes()
    except OSError as error:
        raise write_error(path, error) from error
    if len(key) != KEY_SIZE:
        raise HistoryError(
            f"{path} is not an Evercell key: it holds {len(key)} bytes instead of {KEY_SIZE}. "
            "Restore it from a backup; with a new key, the results recorded so far can't be used."
        )
    return key


def key_id(key: bytes) -> str:
    """A name for `key` that gives nothing of it away (16 hex digits)."""
    return blake3(b"evercell key id", key=key).hexdigest(8)


def _create(path: Path) -> None:
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(KEY_SIZE))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, never replaces another process's key
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        draft.unlink()
