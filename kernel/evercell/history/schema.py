"""The history's schema version and the folder's marker, which tells it without DuckDB."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import msgspec

import evercell
from evercell.errors import HistoryError, HistoryNewerError
from evercell.history.disk import create_file, make_folder, write_error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RELEASE", "SCHEMA", "claim_folder", "newer", "own_paths"]

SCHEMA = 1  # as many as there are migrations; journals and the marker carry it, too
RELEASE = getattr(evercell, "__version__", "0.1.0")
MARKER = "history.json"
# What the folder holds, see docs/history.md; a folder that is not hidden may hold other things too.
_OWN = (
    MARKER, "history.duckdb", "journal/", "blobs/", "blobs.lock", "runs/", "fold.lock", "inbox/",
    "damaged/",
)  # fmt: skip


def own_paths(folder: Path) -> tuple[str, ...]:
    """What the absolute paths of the history's own files begin with."""
    return tuple(f"{folder.absolute()}{os.sep}{name}" for name in _OWN)


class _Marker(msgspec.Struct, frozen=True):
    schema: int
    evercell: str


def newer(path: Path, schema: int, release: str) -> str:
    """The message of a HistoryNewerError."""
    known = release or "a newer release"
    return (
        f"{path} was written by Evercell {known} in a form (schema {schema}) that this release, "
        f"{RELEASE}, does not know (it knows up to {SCHEMA}). Install it: "
        f"pip install 'evercell>={release}'."
        if release
        else f"{path} has schema {schema}; this release, {RELEASE}, knows up to {SCHEMA}. "
        "Install a newer Evercell: pip install -U evercell."
    )


def claim_folder(folder: Path) -> None:
    """Make `folder` a history folder of this schema.

    Raises HistoryNewerError for one of a newer schema, HistoryWriteError if it can't be made.
    """
    path = folder / MARKER
    try:
        marker = msgspec.json.decode(path.read_bytes(), type=_Marker)
    except FileNotFoundError:
        marker = None
    except msgspec.DecodeError as error:
        raise HistoryError(
            f"{path} is not an Evercell history's marker: {error}. Is {folder} another program's "
            "folder? Set EVERCELL_HOME to a folder of its own, or delete the file."
        ) from error
    except OSError as error:
        raise write_error(path, error) from error
    if marker is not None and marker.schema > SCHEMA:
        raise HistoryNewerError(newer(folder, marker.schema, marker.evercell))
    if marker is not None and not os.access(folder, os.W_OK):
        return  # it can be read
    if marker is None or marker.schema < SCHEMA:
        make_folder(folder)
        try:
            text = msgspec.json.encode(_Marker(SCHEMA, RELEASE))
            mine = f"{os.getpid()}.{threading.get_ident()}"  # others may open the folder just now
            create_file(path, text + b"\n", temporary=f".{MARKER}.{mine}")
        except OSError as error:
            raise write_error(path, error) from error
