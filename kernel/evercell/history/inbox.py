"""Letters for a run from any process: files that appear whole, durable, and signed.

    put:   body ─ tag under the user's key ─ draft, synced ─ rename ─ folder synced
    for_runs:  names of those runs ─ oldest first ─ does the tag hold? ─> letters
    remove:  once what it says is recorded
    refuse:  where it fits nothing; its sender, if it still looks, reads why

A letter for a run that nobody has stays until somebody has it. The tag covers the file's name, so a
letter can't be given to another run, nor be made one of another time.

The name is `<run_id>.<nanoseconds since the epoch>.<id>`; a draft's begins with a dot.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from evercell.errors import UsageError
from evercell.history import failpoints
from evercell.history.disk import create_file, make_folder, sync_folder, write_error
from evercell.history.keys import TAG_SIZE

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from evercell.clock import Clock
    from evercell.history.keys import UserKey

__all__ = ["Inbox", "Letter", "Refusal"]

MAGIC = b"EVLT\x01"
_NAME = re.compile(r"([0-9a-z]+)\.(\d{19})\.([0-9a-z]+)")
_SETTLED = (
    2_500_000_000  # nanoseconds after which a folder's time has moved past a change: HFS+, 1 s
)


class Letter(NamedTuple):
    """A letter that this user wrote."""

    run_id: str
    sent_at: int  # nanoseconds since the epoch, by the sender's clock
    letter_id: str
    body: bytes

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.run_id}.{self.sent_at:019d}.{self.letter_id}"


class Refusal(msgspec.Struct, frozen=True):
    """Why a letter was not carried out."""

    code: str  # of the error
    message: str


class Inbox:
    """The letters in `folder`, which is made when the first one is put there.

    `foreign` are the names of letters that another user wrote, or somebody changed: they are left
    where they are and never opened again.
    """

    def __init__(self, folder: Path, writer: str, key: UserKey, clock: Clock) -> None:
        self.foreign: set[str] = set()
        self._folder = folder
        self._writer = writer
        self._key = key
        self._clock = clock
        self._latest = 0  # keeps this sender's letters in order when its clock stands or jumps back
        self._listed: int | None = None  # the folder's time when it was last listed, once settled

    def put(self, run_id: str, body: bytes, letter_id: str | None = None) -> str:
        """Leave a letter; it is durable when this returns its id, a new one unless it is given.
        Raises HistoryWriteError, and UsageError for what is no run id."""
        self._latest = max(self._clock.now(), self._latest + 1)
        letter = Letter(run_id, self._latest, letter_id or self._clock.new_id(16), body)
        if not _NAME.fullmatch(letter.name):
            raise UsageError(f"{run_id!r} is no id of a run. List them with: evercell ls.")
        make_folder(self._folder)
        path = self._folder / letter.name
        tag = self._key.letter(letter.name, body)
        try:
            create_file(path, MAGIC, tag, body, temporary=f".{letter.name}.{self._writer}")
        except OSError as error:
            raise write_error(path, error) from error
        return letter.letter_id

    def may_have_changed(self) -> bool:
        """Whether there may be letters that the latest `for_runs` did not see; costs one stat."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        return changed != self._listed

    def look_again(self) -> None:
        """Have `may_have_changed` say so: letters may have got somebody who takes them."""
        self._listed = None

    def for_runs(self, runs: Container[str]) -> list[Letter]:
        """The letters for these runs, oldest first. Raises HistoryWriteError."""
        try:
            changed = self._folder.stat().st_mtime_ns
            names = [path.name for path in self._folder.iterdir()]
            self._listed = changed if time.time_ns() - changed > _SETTLED else None
        except FileNotFoundError:
            return []
        except OSError as error:
            raise write_error(self._folder, error) from error
        found = [
            parts
            for name in names
            if (parts := _NAME.fullmatch(name)) and parts[1] in runs and name not in self.foreign
        ]
        letters = [self._open(parts) for parts in sorted(found, key=lambda it: (it[2], it[3]))]
        return [letter for letter in letters if letter is not None]

    def _open(self, parts: re.Match[str]) -> Letter | None:
        name = parts[0]
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None  # taken meanwhile
        except OSError as error:
            raise write_error(self._folder / name, error) from error
        begin = len(MAGIC) + TAG_SIZE
        body = data[begin:]
        if data[:begin] != MAGIC + self._key.letter(name, body):
            self.foreign.add(name)
            return None
        return Letter(parts[1], int(parts[2]), parts[3], body)

    def remove(self, letter: Letter) -> None:
        """Take a letter away whose content is recorded. Raises HistoryWriteError."""
        failpoints.reach("letter")
        try:
            (self._folder / letter.name).unlink(missing_ok=True)
            sync_folder(self._folder)
        except OSError as error:
            raise write_error(self._folder, error) from error

    def refuse(self, letter: Letter, why: Refusal) -> None:
        """Take a letter away that could not be carried out, and leave word for its sender. Raises
        HistoryWriteError."""
        path = self._refusal(letter.letter_id)
        try:
            path.write_bytes(msgspec.json.encode(why))  # a courtesy: not durable, and no secret
        except OSError as error:
            raise write_error(path, error) from error
        self.remove(letter)

    def take_refusal(self, letter_id: str) -> Refusal | None:
        """Why a letter was refused, once; None where nobody said so."""
        refusal = self.refusal(letter_id)
        with suppress(OSError):
            self._refusal(letter_id).unlink()
        return refusal

    def refusal(self, letter_id: str) -> Refusal | None:
        """Why a letter was refused; None where nobody said so."""
        try:
            data = self._refusal(letter_id).read_bytes()
        except OSError:
            return None
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(data, type=Refusal)
        return None

    def _refusal(self, letter_id: str) -> Path:
        return self._folder / f".refused.{letter_id}"

    def holds(self, letter_id: str) -> bool:
        """Whether the letter is still there, taken by nobody."""
        return any(self._folder.glob(f"[!.]*.{letter_id}"))
