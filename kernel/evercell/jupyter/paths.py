"""Which notebook a kernel belongs to, and where its history is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Place", "locate", "run_parameters"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kernel process lives."""

    notebook: str  # absolute path, or "kernel:<stem of the connection file>"
    file: Path | None  # the notebook, where its path is known
    history: Path  # the history folder
    kernel_id: str | None  # Jupyter's id of the kernel: the same over restarts


def locate(
    environ: Mapping[str, str],
    connection_file: str | None,
    cwd: Path,
    namespace: Mapping[str, object],
) -> Place:
    """The place of a kernel, from what its starter left in the environment.

    `EVERCELL_NOTEBOOK` comes first (headless runs set it), then JupyterLab's `JPY_SESSION_NAME`,
    then the variable that VS Code puts into the namespace.
    """
    stem = Path(connection_file).stem if connection_file else "none"
    file = next(
        (
            path
            for name in (
                environ.get("EVERCELL_NOTEBOOK"),
                _absolute_notebook(environ.get("JPY_SESSION_NAME")),
                _absolute_notebook(namespace.get("__vsc_ipynb_file__")),
            )
            # Resolved, so that a notebook reached through a link is the same one everywhere.
            if name and (path := (cwd / name).resolve())
        ),
        None,
    )
    home = environ.get("EVERCELL_HOME")
    return Place(
        notebook=str(file) if file is not None else f"kernel:{stem}",
        file=file,
        history=cwd / home if home else (file.parent if file else cwd) / ".evercell",
        kernel_id=stem.removeprefix("kernel-") if connection_file else None,
    )


def _absolute_notebook(name: object) -> str | None:
    """A session's name, if it is a path that says which file: consoles have other names."""
    if isinstance(name, str) and name.endswith(".ipynb") and Path(name).is_absolute():
        return name
    return None


def run_parameters(environ: Mapping[str, str]) -> dict[str, Any]:
    """The run's parameters from `EVERCELL_PARAMETERS`. Raises UsageError if it is no object."""
    text = environ.get("EVERCELL_PARAMETERS", "{}")
    try:
        parameters = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"EVERCELL_PARAMETERS is not JSON ({error}). {_PARAMETERS_HINT}") from None
    if not isinstance(parameters, dict):
        raise UsageError(f"EVERCELL_PARAMETERS is {text}, not an object. {_PARAMETERS_HINT}")
    return parameters


_PARAMETERS_HINT = """Set it to an object by name, such as {"model": "small"}, or unset it."""
