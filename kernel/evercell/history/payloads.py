"""Encoded values: small ones inside the event, large ones as content-addressed files.

    put:  data ─ layers ─ id = keyed digest ─┬─ <= 64 KiB: Payload(data=data)
                                             └─ else: blobs/<2 hex>/<hex>, synced ─ Payload(id)
    get:  bytes ─ digest equals id? ─ layers ─ data, else PayloadError

Layers are zstd where it pays, then those of `evercell.configure(codec=...)`. The id covers what is
stored and the codec's name: bytes recorded as JSON can't be passed off as a pickle, and nothing
unknown reaches a layer. Large values take no second copy in memory: they are written from where
they are, chunk by chunk where layers change them, and a large array's memory is read as a private
mapping of its file.
"""

from __future__ import annotations

import fcntl
import io
import mmap
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blake3 import blake3

from evercell.codec import layers
from evercell.codec.buffers import PrivateMapping
from evercell.codec.parts import Parted, Pieces, are_apart, gathered
from evercell.errors import PayloadError, RestoreError, UsageError
from evercell.events import Payload
from evercell.history.disk import Draft, create_file, make_folder, sync_folder, write_error
from evercell.history.keys import TAG_SIZE, UserKey
from evercell.settings import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from evercell.codec.layers import Layer

__all__ = ["INLINE_LIMIT", "Data", "PayloadStore"]

Data = bytes | bytearray | mmap.mmap

INLINE_LIMIT = 64 * 1024
READABLE_LIMIT = 1 << 20  # bytes of JSON from a file that SQL shows
_PARALLEL_FROM = 1 << 20  # bytes; below, starting threads costs more than it saves
# From here a mapping pays: fewer bytes are not worth a file descriptor that stays open.
_MAPPED_FROM = 16 << 20
# What holds the memory of arrays, and is handed out as memory that is the reader's own.
_MEMORY = ("buffer", "parts")
# Shares of its size to which compression must bring a value; more is asked of a large array, whose
# file is its memory only while it is stored as it is.
_PAYS, _PAYS_MAPPED = 0.8, 0.25


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

    def put(self, data: bytes | memoryview | Pieces, codec: str) -> Payload:
        """Store `data`; when this returns, a large one is durable. Raises HistoryWriteError."""
        if type(data) is bytes and len(data) < layers.COMPRESSED_FROM and not current().layers:
            begun = self._begun.get(codec)  # as below, without the calls: nearly all are such
            hasher = self._hasher(codec, 0) if begun is None else begun.copy()
            hasher.update(data)
            return Payload(hasher.digest(TAG_SIZE), codec, len(data), data)
        if isinstance(data, Pieces) and len(data) > layers.CHUNK:
            return self._put_pieces(data, codec)
        view = (
            memoryview(data).cast("B") if isinstance(data, memoryview) else memoryview(bytes(data))
        )
        chain = self._layers(view, codec)
        if not chain:
            return self._keep(view, codec)
        names = "".join(f"+{layer.name}" for layer in chain)
        if len(view) > layers.CHUNK:
            codec = f"{codec}+{layers.CHUNKS}{names}"
            return self._keep_parts(layers.chunked(view, chain), len(view), codec)
        return self._keep(memoryview(layers.encode(view, chain)), f"{codec}{names}")

    def _put_pieces(self, data: Pieces, codec: str) -> Payload:
        """What lies in the value's own memory: a copy of each chunk is hashed and written, for
        another thread may change the value meanwhile."""
        if chain := self._layers(data, codec):
            codec = "+".join([codec, layers.CHUNKS, *(layer.name for layer in chain)])
            return self._keep_parts(layers.chunked(data, chain), len(data), codec)
        begins = range(0, len(data), layers.CHUNK)
        chunks = (data[begin : begin + layers.CHUNK] for begin in begins)
        return self._keep_parts(chunks, len(data), codec)

    def enclose(self, data: bytes, codec: str) -> Payload:
        """`data` as a payload that holds all its bytes: for a letter, which needs no file but its
        own. Raises UsageError for more than 16 MiB."""
        if len(data) > layers.CHUNK:
            raise UsageError(
                f"A value of {len(data):,} bytes is too large to send; the limit is "
                f"{layers.CHUNK:,}. Write it to a file and send the file's name."
            )
        view = memoryview(data)
        if chain := self._layers(view, codec):
            names = "".join(f"+{layer.name}" for layer in chain)
            view, codec = memoryview(layers.encode(view, chain)), f"{codec}{names}"
        return Payload(self.identify(view, codec), codec, len(view), bytes(view))

    def get(self, payload: Payload) -> bytes:
        """The bytes that `put` was given. Raises what `fetch` raises."""
        data: Data | None = payload.data
        begun = self._begun.get(payload.codec)
        if data is not None and begun is not None and len(data) == payload.size:
            hasher = begun.copy()  # as `fetch`, without the calls: a replay reads many thousands
            hasher.update(data)
            if hasher.digest(TAG_SIZE) == payload.id and "+" not in payload.codec:
                return payload.data  # type: ignore[return-value]
        data = self.fetch(payload)
        return data if isinstance(data, bytes) else bytes(data)

    def fetch(self, payload: Payload) -> Data:
        """What `put` was given; a large buffer as memory that is the caller's own.

        Raises PayloadError unless this user wrote them, or for a layer that is not configured.
        """
        data = self.value(payload)
        return bytes(data) if isinstance(data, Parted) else data

    def value(self, payload: Payload) -> Data | Parted:
        """As `fetch`, for who takes large bytes objects each by itself."""
        if payload.data is not None:
            self._check(payload, payload.data, "in the history")
            if "+" not in payload.codec:
                return payload.data  # nearly all are such, and a resume reads them by the million
            chain = layers.find_layers(payload.codec, current().layers)
            return layers.decode(payload.data, chain)
        chain = layers.find_layers(payload.codec, current().layers)
        try:
            return self._read(payload, chain)
        except OSError as error:
            raise _missing(self.path(payload.id), error) from error

    def probe(self, payload: Payload) -> None:
        """Raise PayloadError if the value surely can't be read: its file is missing or cut, or a
        layer is not configured. Its bytes are not looked at."""
        layers.find_layers(payload.codec, current().layers)
        if payload.data is None:
            path = self.path(payload.id)
            try:
                size = path.stat().st_size
            except OSError as error:
                raise _missing(path, error) from error
            if size != payload.size:
                raise _foreign(str(path))

    def readable(self, payload: Payload) -> str | None:
        """The JSON of a payload that SQL can't read by itself: a file, or compressed. None if it
        is no JSON, is encrypted or too large."""
        if payload.codec not in ("json", "json+zstd") or payload.size > READABLE_LIMIT:
            return None
        if payload.codec == "json" and payload.data is not None:
            return None
        try:
            data = self.get(payload)
            return str(data, "utf-8") if len(data) <= READABLE_LIMIT else None
        except (PayloadError, UnicodeDecodeError):
            return None  # SQL shows its size; whoever loads it is told what is wrong

    def _layers(self, data: memoryview | Pieces, codec: str) -> tuple[Layer, ...]:
        settings = current()
        small = len(data) < (INLINE_LIMIT + 1 if codec == "json" else layers.COMPRESSED_FROM)
        if small and not settings.layers:
            return ()  # not worth it, or SQL reads it as it is
        if not settings.compress or layers.ZSTD in settings.layers:
            return settings.layers
        mapped = codec in _MEMORY and len(data) >= _MAPPED_FROM and not settings.layers
        pays = _PAYS_MAPPED if mapped else _PAYS
        if layers.compression_pays(data, pays):
            return (layers.ZSTD, *settings.layers)
        return settings.layers

    def _keep(self, view: memoryview, codec: str) -> Payload:
        identity = self.identify(view, codec)
        if len(view) <= INLINE_LIMIT:
            return Payload(id=identity, codec=codec, size=len(view), data=bytes(view))
        payload = Payload(id=identity, codec=codec, size=len(view))
        path = self.path(identity)
        make_folder(path.parent)
        try:
            with self._shared():
                if not self._is_there(payload):
                    create_file(path, view, temporary=f".{path.name}.{self._writer}")
        except OSError as error:
            raise write_error(path, error) from error
        return payload

    def _keep_parts(self, parts: Iterator[bytes | memoryview], size: int, codec: str) -> Payload:
        """Write a part at a time; the name is known at the end. `size`: of the value."""
        folder = self._folder / "new"
        make_folder(folder)
        hasher = self._hasher(codec, size)
        try:
            with self._shared(), Draft(folder / f".{id(parts):x}.{self._writer}") as draft:
                for piece in parts:
                    hasher.update(piece)
                    draft.write(piece)
                payload = Payload(id=hasher.digest(TAG_SIZE), codec=codec, size=draft.size)
                path = self.path(payload.id)
                make_folder(path.parent)
                if not self._is_there(payload):
                    draft.place(path)
        except OSError as error:
            raise write_error(folder, error) from error
        return payload

    def _is_there(self, payload: Payload) -> bool:
        """Whether the payload's file is there, whole; if so, durable from now on."""
        path = self.path(payload.id)
        if self.check(payload) is not None:
            return False
        os.utime(path)  # young again: its event comes soon
        sync_folder(path.parent)  # its writer may have died before doing it
        return True

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

    def check(self, payload: Payload) -> str | None:
        """What is wrong with a payload that is a file: None, "missing", "cut" or "changed"."""
        path = self.path(payload.id)
        try:
            if path.stat().st_size != payload.size:
                return "cut"
            hasher = self._hasher(payload.codec, payload.size)
            chunk = memoryview(bytearray(min(payload.size, layers.CHUNK)))
            with path.open("rb", buffering=0) as file:  # a mapping would count as memory
                while size := file.readinto(chunk):
                    hasher.update(chunk[:size])
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

    def _read(self, payload: Payload, chain: tuple[Layer, ...]) -> Data | Parted:
        """A file's value. Raises OSError, PayloadError."""
        path = self.path(payload.id)
        if layers.CHUNKS in payload.codec.split("+"):
            if self.check(payload) not in (None, "missing"):
                raise _foreign(str(path))
            with path.open("rb") as stored:
                size, chunks = layers.unchunked(stored, chain)
                return _together(chunks, size, payload.encoding)
        if payload.codec == "parts":
            with path.open("rb") as file, _structure_of(path):
                if are_apart(file, payload.size):
                    return gathered(self._proved(file, payload), payload.size)
        data: Data
        if payload.codec not in _MEMORY:
            data = path.read_bytes()
        elif payload.size >= _MAPPED_FROM and _is_private(path):
            with path.open("rb") as file:
                data = PrivateMapping(file.fileno(), 0, access=mmap.ACCESS_COPY)
        else:
            data = bytearray(payload.size)
            with path.open("rb") as file:
                if file.readinto(data) != payload.size or file.read(1):
                    data = bytearray()  # another length: what follows says so
        self._check(payload, data, str(path))
        return layers.decode(bytes(data), chain) if chain else data

    def _proved(self, file: BinaryIO, payload: Payload) -> Iterator[memoryview]:
        """The file's bytes in chunks, each good until the next one. Raises PayloadError at the end
        unless they are the payload's."""
        hasher = self._hasher(payload.codec, payload.size)
        chunk, found = memoryview(bytearray(min(payload.size, layers.CHUNK))), 0
        while size := file.readinto(chunk):  # type: ignore[attr-defined] # binary files have it
            hasher.update(chunk[:size])
            found += size
            yield chunk[:size]
        if found != payload.size or hasher.digest(TAG_SIZE) != payload.id:
            raise _foreign(file.name)

    def _check(self, payload: Payload, data: Data, place: str) -> None:
        if len(data) != payload.size or self.identify(data, payload.codec) != payload.id:
            raise _foreign(place)

    def identify(self, data: Data | memoryview, codec: str) -> bytes:
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


def _missing(path: Path, error: OSError) -> PayloadError:
    return PayloadError(
        f"A recorded value is missing: {path}: {error.strerror}. Restore the file from a backup, "
        "or run the cell or step again."
    )


def _together(chunks: Iterable[bytes], size: int, encoding: str) -> Data | Parted:
    """A value that comes in chunks. Raises RestoreError."""
    if encoding == "parts":
        return gathered(chunks, size)
    if encoding in _MEMORY:
        whole, filled = bytearray(size), 0
        for chunk in chunks:
            whole[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return whole
    file = io.BytesIO()
    file.writelines(chunks)
    return file.getvalue()  # without a copy


@contextmanager
def _structure_of(path: Path) -> Iterator[None]:
    """What is not in parts, although it was written so, is not what was written."""
    try:
        yield
    except RestoreError as error:
        raise _foreign(str(path)) from error


def _foreign(place: str) -> PayloadError:
    return PayloadError(
        f"A recorded value ({place}) was changed, or another user wrote it; it was not decoded. "
        "Run the cell or step again, or start a new run."
    )


def _is_private(path: Path) -> bool:
    """Whether nobody else may write to the file: a mapping sees what is written to it later."""
    status = path.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
