"""What is done to a history now and then: verify, salvage, collect, trust, export, import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from evercell.history.collect import Collected, Retention, collect, folder_size
from evercell.history.disk import create_file, write_error
from evercell.history.exchange import Imported, export_run, import_runs
from evercell.history.families import carried, kin
from evercell.history.salvage import salvage
from evercell.history.trust import Trusted, trust
from evercell.history.verify import Finding, Verification, verify

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from evercell.clock import Clock
    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore
    from evercell.history.reader import Reader

__all__ = ["Upkeep"]


class Upkeep:
    """The upkeep of one folder. Every method raises what `History.fold` raises."""

    def __init__(
        self,
        folder: Path,
        *,
        writer: str,
        reader: Reader,
        payloads: PayloadStore,
        key: UserKey,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._reader = reader
        self._payloads = payloads
        self._key = key
        self._clock = clock

    @property
    def size(self) -> int:
        """Bytes that the folder takes."""
        return folder_size(self._folder)

    def trust(self) -> Trusted:
        """Accept what others recorded here as if this user had, on their word."""
        return self._reader.write(lambda it: trust(it, self._payloads, self._key, self._clock))

    def verify(self) -> Verification:
        """Look for what is missing or was changed. Nothing but the fold is written."""
        journal = self._folder / "journal"
        return self._reader.inspect(lambda it: verify(it, journal, self._payloads, self._key))

    def salvage(self) -> list[Finding]:
        """Save what is behind the damage of dead processes' journals, and move those aside."""
        journal = self._folder / "journal"
        return self._reader.write(
            lambda it: salvage(it, journal, self._payloads, self._key, self._clock), damaged=True
        )

    def collect(self, retention: Retention, *, dry_run: bool = False) -> Collected:
        """Remove runs as `retention` says, and payload files that nothing refers to."""

        def run(connection: duckdb.DuckDBPyConnection) -> Collected:
            return collect(
                connection, self._folder, self._payloads, retention, self._clock, dry_run=dry_run
            )

        found = self._reader.write(run)
        if dry_run or not found.runs:
            return found
        self._reader.compact()
        return msgspec.structs.replace(found, size_after=self.size)

    def export(self, run_id: str, path: Path) -> int:
        """Write the run, with the workflows that it carries, to `path`: as Parquet its events for
        other programs, if the name ends in `.parquet`, and else all of it as JSON Lines. Returns
        the bytes written."""
        if path.suffix == ".parquet":
            self._reader.read(lambda it: _write_parquet(it, run_id, path))
        else:
            lines = self._reader.read(lambda it: list(export_run(it, run_id, self._payloads)))
            try:
                create_file(path, *lines, temporary=f".{path.name}.{self._writer}")
            except OSError as error:
                raise write_error(path, error) from error
        return path.stat().st_size

    def import_(self, path: Path) -> Imported:
        """Take in a run that `export` wrote as JSON Lines. What another user recorded is text
        until it is trusted."""
        try:
            with path.open("rb") as lines:
                return self._reader.write(
                    lambda it: import_runs(it, lines, self._payloads, self._key, self._writer)
                )
        except OSError as error:
            raise write_error(path, error) from error


def _write_parquet(connection: duckdb.DuckDBPyConnection, run_id: str, path: Path) -> None:
    target = str(path).replace("'", "''")
    connection.execute(
        f"""COPY (FROM events WHERE list_contains($runs, run_id))
        TO '{target}' (FORMAT parquet)""",
        {"runs": carried(run_id, kin(connection))},
    )
