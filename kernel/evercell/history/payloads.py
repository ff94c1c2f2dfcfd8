"""Encoded values: small ones inside the event, large ones as content-addressed files.

    put:  data ─ id = keyed digest ─┬─ <= 64 KiB: Payload(data=data)
                                    └─ else: blobs/<2 hex>/<hex>, synced ─ Payload(data=None)
    get:  bytes ─ digest equals id? ─ bytes, else PayloadError

The id covers the codec's name as well: bytes recorded as JSON can't be passed off as a pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from evercell.errors import PayloadError
from evercell.events import Payload
from evercell.history.disk import create_file, make_folder, sync_folder, write_error
from evercell.history.keys import TAG_SIZE, UserKey

if TYPE_CHECKING:
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
            if path.exists() and path.stat().st_size == len(view):
                sync_folder(path.parent)  # its writer may have died before doing it
            else:
                create_file(path, view, temporary=f".{path.name}.{self._writer}")
        except OSError as error:
            raise write_error(path, error) from error
        return Payload(id=identity, codec=codec, size=len(view))

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
        if len(data) >= _PARALLEL_FROM:
            hasher = blake3(codec.encode() + b"\0", key=self._key.secret, max_threads=blake3.AUTO)
            return hasher.update(data).digest(TAG_SIZE)
        begun = self._begun.get(codec)
        if begun is None:
            begun = self._begun[codec] = blake3(codec.encode() + b"\0", key=self._key.secret)
        return begun.copy().update(data).digest(TAG_SIZE)

    def path(self, identity: bytes) -> Path:
        """Where a large payload's file is."""
        name = identity.hex()
        return self._folder / name[:2] / name
