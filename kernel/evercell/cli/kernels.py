"""`evercell install-kernel`."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

import sys
from pathlib import Path

import typer

from evercell.errors import UsageError

__all__ = ["install"]


def install(*, user: bool, prefix: Path | None) -> None:
    """Write the kernelspec; into this environment by default.

    Raises UsageError when both are given or the place can't be written.
    """
    if user and prefix is not None:
        raise UsageError("--user and --prefix name two places. Give one of them.")
    from evercell.jupyter import kernelspec

    where = None if user else str((prefix or Path(sys.prefix)).expanduser().absolute())
    try:
        folder = kernelspec.install(user=user, prefix=where)
    except OSError as error:
        raise UsageError(
            f"The kernel could not be installed: {error}. Try --user, or --prefix with a folder "
            "that you may write."
        ) from None
    typer.echo(f"Installed the kernel in {folder}")
