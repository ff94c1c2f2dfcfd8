"""The key that tells this user's payloads from anybody else's.

32 random bytes in a file that only its owner reads, outside of every project: a history that came
with a cloned repository was not written under it, so nothing in it is ever unpickled.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from blake3 import blake3

from evercell.errors import HistoryError
from evercell.history.disk import make_folder, sync_folder, write_error

__all__ = ["KEY_SIZE", "key_file", "key_id", "load_key"]

KEY_SIZE = 32


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
