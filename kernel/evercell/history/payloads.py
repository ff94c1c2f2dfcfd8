"""Encoded values: small ones inside the event, large ones as content-addressed files.

    put:  data ─ id = keyed digest ─┬─ <= 64 KiB: Payload(data=data)
                                    └─ else: blobs/<2 hex>/<hex>, synced ─ Payload(data=None)
    get:  bytes ─ digest equals id? ─ bytes, else PayloadError

The id covers the codec's name as well: bytes recorded as JSON can't be passed off as a pickle.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blake3 import blake3

from evercell.errors import PayloadError
from evercell.events import Payload
from evercell.history.disk import create_file, make_folder, sync_folder, write_error
from evercell.history.keys import TAG_SIZE, UserKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["INLINE_LIMIT", "PayloadStore"]

INLINE_LIMIT = 64 * 1024
READABLE_LIMIT = 1 << 20  # bytes of JSON from a file that SQL shows
_PARALLEL_FROM = 1 << 20  # bytes; below, starting threads costs more than it saves


class PayloadStore:
    """Payloads under `folder`, which is made when the first large one comes.

    `writer` keeps the drafts of concurrent processes apart.
    """

    def __init__(self, folder: Path, writer: str, *, key: UserKey | None = None) -> None:
        self._folder = folder
        self._writer = writer
        self._key = key or UserKey()
        # Hashers that have seen key and codec: copying one takes half the time of a new one.
        self._begun: dict[str, blake3] = {}

    def put(self, data: bytes | memoryview, codec: str) -> Payload:
        """Store `data`; when this returns, a large one is durable. Raises HistoryWriteError."""
        view = memoryview(data).cast("B") if isinstance(data, memoryview) else memoryview(data)
        identity = self.identify(view, codec)
        if len(view) <= INLINE_LIMIT:
            return Payload(id=identity, codec=codec, size=len(view), data=bytes(view))
        path = self.path(identity)
        make_folder(path.parent)
        try:
            with self._shared():
                return self._put_file(path, view, identity, codec)
        except OSError as error:
            raise write_error(path, error) from error

    def _put_file(self, path: Path, view: memoryview, identity: bytes, codec: str) -> Payload:
        payload = Payload(id=identity, codec=codec, size=len(view))
        if self.check(payload) is None:
            os.utime(path)  # young again: its event comes soon
            sync_folder(path.parent)  # its writer may have died before doing it
        else:
            create_file(path, view, temporary=f".{path.name}.{self._writer}")
        return payload

    @contextmanager
    def _shared(self) -> Iterator[None]:
        """Keep collections away while a file is written, or found to be there."""
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep writers away while unused files are deleted. Raises HistoryWriteError."""
        try:
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise write_error(self._lock_path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @property
    def _lock_path(self) -> Path:
        return self._folder.parent / "blobs.lock"

    def get(self, payload: Payload) -> bytes:
        """The bytes that `put` was given. Raises PayloadError unless this user wrote them."""
        if payload.data is not None:
            data, place = payload.data, "in the history"
        else:
            path = self.path(payload.id)
            place = str(path)
            try:
                data = path.read_bytes()
            except OSError as error:
                raise PayloadError(
                    f"A recorded value is missing: {path}: {error.strerror}. Restore the file "
                    "from a backup, or run the cell or step again."
                ) from error
        if len(data) != payload.size or self.identify(data, payload.codec) != payload.id:
            raise PayloadError(
                f"A recorded value ({place}) was changed, or another user wrote it; it was not "
                "decoded. Run the cell or step again, or start a new run."
            )
        return data

    def check(self, payload: Payload) -> str | None:
        """What is wrong with a payload that is a file: None, "missing", "cut" or "changed"."""
        path = self.path(payload.id)
        try:
            if path.stat().st_size != payload.size:
                return "cut"
            hasher = self._hasher(payload.codec, payload.size)
            if payload.size:
                hasher.update_mmap(path)
        except OSError:
            return "missing"
        return None if hasher.digest(TAG_SIZE) == payload.id else "changed"

    def files(self) -> dict[bytes, Path]:
        """The files that are there, by the id in their names."""
        found = {}
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            if len(path.name) == 2 * TAG_SIZE and not path.name.startswith("."):
                found[bytes.fromhex(path.name)] = path
        return found

    def readable(self, payload: Payload) -> str | None:
        """The JSON of a payload that is a file, for SQL; None if it is no JSON or too large."""
        if payload.codec != "json" or payload.data is not None or payload.size > READABLE_LIMIT:
            return None
        try:
            return self.get(payload).decode()
        except (PayloadError, UnicodeDecodeError):
            return None  # SQL shows its size; whoever loads it is told what is wrong

    def identify(self, data: bytes | memoryview, codec: str) -> bytes:
        """The id that this user's key gives to `data` as `codec`."""
        return self._hasher(codec, len(data)).update(data).digest(TAG_SIZE)

    def _hasher(self, codec: str, size: int) -> blake3:
        if size >= _PARALLEL_FROM:
            return blake3(codec.encode() + b"\0", key=self._key.secret, max_threads=blake3.AUTO)
        begun = self._begun.get(codec)
        if begun is None:
            begun = self._begun[codec] = blake3(codec.encode() + b"\0", key=self._key.secret)
        return begun.copy()

    def path(self, identity: bytes) -> Path:
        """Where a large payload's file is."""
        name = identity.hex()
        return self._folder / name[:2] / name
