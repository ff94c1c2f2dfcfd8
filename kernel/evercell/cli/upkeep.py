"""`evercell verify`, `gc`, `trust`, `history export` and `history import`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import typer

from evercell.cli.console import as_size, open_history, print_json, print_table
from evercell.engine.durations import seconds
from evercell.errors import UsageError
from evercell.history.collect import Collected, Retention

if TYPE_CHECKING:
    from pathlib import Path

    from evercell.history import History

__all__ = ["collect", "export_run", "import_run", "trust_folder", "verify_history"]

_UNITS = ("", "K", "M", "G", "T")


def verify_history(folder: Path | None, *, salvage: bool, as_json: bool) -> int:
    """Print what is wrong, where, and what can be done; returns the exit code."""
    history = open_history(folder)
    try:
        done = history.upkeep.salvage() if salvage else []
        found = history.upkeep.verify()
    finally:
        history.close()
    findings = [*done, *found.findings]
    wrong = any(finding.kind == "error" for finding in findings)
    if as_json:
        print_json(
            {"holds": not wrong, **msgspec.to_builtins(found)}
            | {"findings": [msgspec.to_builtins(finding) for finding in findings]}
        )
        return int(wrong)
    for finding in findings:
        typer.echo(f"{finding.kind}: {finding.where}: {finding.what.rstrip('.')}.")
        if finding.advice:
            typer.echo(f"  {finding.advice.rstrip('.')}.")
    checked = (
        f"{_count(found.events, 'event')}, {_count(found.payloads, 'payload file')} and "
        f"{_count(found.journals, 'journal file')}"
    )
    typer.echo(f"{checked} were checked: " + ("not all is right." if wrong else "all is right."))
    return int(wrong)


def collect(
    folder: Path | None,
    *,
    max_size: str | None,
    older_than: str | None,
    runs: list[str],
    keep: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove runs, and payload files that nothing refers to. Raises UsageError, and
    RunNotFoundError."""
    if keep < 0:
        raise UsageError(f"--keep {keep} is less than none.")
    history = open_history(folder)
    try:
        retention = Retention(
            max_size=None if max_size is None else parse_size(max_size),
            older_than=None if older_than is None else seconds(older_than),
            runs=tuple(history.run(prefix).run_id for prefix in runs),
            keep=keep,
        )
        found = history.upkeep.collect(retention, dry_run=dry_run)
    finally:
        history.close()
    if as_json:
        print_json({"dry_run": dry_run, **msgspec.to_builtins(found)})
    else:
        _print_collected(found, dry_run=dry_run)
    if max_size is not None and found.size_after > parse_size(max_size):
        typer.echo(
            f"The history is still larger than {max_size}: the rest belongs to runs that are kept. "
            "See --keep and --run.",
            err=True,
        )


def _print_collected(found: Collected, *, dry_run: bool) -> None:
    if found.runs or found.kept:
        shown = [(run, "removed" if not dry_run else "would go", why) for run, why in found.runs]
        shown += [(run, "kept", why) for run, why in found.kept]
        print_table(("run", "what", "why"), shown)
    would = "would be " if dry_run else ""
    typer.echo(
        f"{_count(len(found.runs), 'run')} and {_count(found.files, 'payload file')} "
        f"{would}removed: {as_size(found.size_before)} -> {as_size(found.size_after)}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def parse_size(text: str) -> int:
    """Bytes in "2GB", "500 MB", "1.5g" or "1000". Raises UsageError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", text.upper())
    if match is None:
        raise UsageError(f"{text!r} is no size. Write a number with a unit: 500MB, 2GB.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _UNITS.index(match[2]))


def trust_folder(folder: Path, *, yes: bool, as_json: bool) -> None:
    """Accept what others recorded in `folder`. Raises UsageError without the user's word."""
    history = open_history(folder)
    try:
        if not yes:
            _ask(history, folder)
        found = history.upkeep.trust()
    finally:
        history.close()
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    typer.echo(
        f"{_count(found.events, 'event')} and {_count(found.payloads, 'payload')} of "
        f"{_count(len(found.runs), 'run')} are trusted now."
    )
    if found.missing:
        typer.echo(f"{found.missing} payloads are missing; their cells and steps run again.")


def _ask(history: History, folder: Path) -> None:
    runs = history.runs()
    print_table(("run", "notebook", "host"), [(run.run_id, run.notebook, run.host) for run in runs])
    typer.echo(
        "Restoring a cell or a step runs pickled code. With your word, what is recorded in "
        f"{folder} is used as if you had recorded it."
    )
    try:
        agreed = typer.confirm("Do you trust who made it?", err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise UsageError("Nothing was trusted. To say so without being asked: --yes.")


def export_run(prefix: str, output: Path, folder: Path | None, *, as_json: bool) -> None:
    """Write a run to a file."""
    history = open_history(folder)
    try:
        run = history.run(history.find(prefix))
        size = history.upkeep.export(run.run_id, output.expanduser().absolute())
    finally:
        history.close()
    if as_json:
        print_json({"run_id": run.run_id, "output": str(output), "size": size})
    else:
        typer.echo(f"run {run.run_id} -> {output} ({as_size(size)})")


def import_run(source: Path, folder: Path | None, *, as_json: bool) -> None:
    """Take in a run from a file; the history may be a new one."""
    if not source.is_file():
        raise UsageError(f"There is no file {source}.")
    history = open_history(folder, new=True)
    try:
        found = history.upkeep.import_(source.expanduser().absolute())
    finally:
        history.close()
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        typer.echo(f"run {found.run_id}: {found.events} events, {found.payloads} payload files")
