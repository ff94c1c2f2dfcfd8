"""What a headless run is going to do: every check that needs no kernel happens here."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evercell.errors import RunNotFoundError, UsageError
from evercell.jupyter.headless import parameters as params
from evercell.jupyter.headless.document import (
    Notebook,
    OutputFile,
    code_cells,
    read_notebook,
    tags_of,
)

__all__ = ["Plan", "make_plan"]

_SKIP = "skip-execution"  # nbclient's tag for cells that are not run


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that can begin."""

    path: Path  # absolute, links resolved: the run's name
    notebook: Notebook  # as it will be run and written: parameters injected, outputs cleared
    cells: tuple[int, ...]  # the indices of the cells to run
    output: OutputFile
    in_place: bool
    history: Path
    env: dict[str, str]  # of the kernel
    kernel_name: str


def make_plan(
    path: Path,
    *,
    output: Path | None,
    parameters: Mapping[str, Any] | Sequence[str],
    fresh: bool,
    history: Path | None,
    kernel_name: str,
    run: str | None = None,
) -> Plan:
    """Read and check everything. Raises UsageError and its kinds; nothing has been touched then."""
    path = Path(os.path.realpath(path))
    notebook = read_notebook(path)
    declared = params.read_parameters(notebook)
    if isinstance(parameters, Mapping):
        params.check_names(parameters, declared)
        values = {name: parameters[name] for name in declared or () if name in parameters}
    else:
        values = params.parse_values(parameters, declared)
    identity = _as_json(values)
    if values:
        params.inject(notebook, values)
    cells = tuple(
        index for index in code_cells(notebook) if _SKIP not in tags_of(notebook["cells"][index])
    )
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook["metadata"].pop("widgets", None)  # the state of an earlier run's widgets
    target = output or (path.with_name(f"{path.stem}.out.ipynb") if values else path)
    file = OutputFile(target)
    file.check()
    folder = _history_folder(path, history)
    env = _environment(path, identity, fresh=fresh, history=folder)
    if run is not None:
        env["EVERCELL_RUN"] = _own_run(run, path, values, folder, fresh=fresh)
    return Plan(
        path=path,
        notebook=notebook,
        cells=cells,
        output=file,
        in_place=file.path == path,
        history=folder,
        env=env,
        kernel_name=kernel_name,
    )


def _own_run(name: str, path: Path, values: Mapping[str, Any], folder: Path, *, fresh: bool) -> str:
    """The id of the run that is to be resumed. Raises UsageError, RunNotFoundError."""
    from evercell.engine.run import RunRequest, check_own  # noqa: PLC0415 - loads the engine
    from evercell.history import History  # noqa: PLC0415

    if fresh:
        raise UsageError("A new run is no earlier one: give --fresh or --run, not both.")
    if not folder.is_dir():  # to open a history makes its folder
        raise RunNotFoundError(f"There is no run {name!r}: no history is in {folder}.")
    history = History(folder)
    try:
        return check_own(history, RunRequest(str(path), dict(values), None), name)
    finally:
        history.close()


def _as_json(values: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The parameters can't be written as JSON ({error}); a run is known by them. "
            "Use numbers, texts, true, false, null, lists and objects."
        ) from None
    if json.loads(text) != values:  # a tuple or an int key would come back as something else
        raise UsageError("The parameters change when written as JSON: use lists and text keys.")
    return text


def _history_folder(path: Path, history: Path | None) -> Path:
    chosen = history or os.environ.get("EVERCELL_HOME") or path.parent / ".evercell"
    return Path(chosen).expanduser().absolute()


def _environment(path: Path, parameters: str, *, fresh: bool, history: Path) -> dict[str, str]:
    """Ours, with what names the run; what an outer kernel left there must not name it."""
    outer = {"JPY_SESSION_NAME", "EVERCELL_FRESH", "EVERCELL_RUN"}
    env = {name: value for name, value in os.environ.items() if name not in outer}
    env["EVERCELL_NOTEBOOK"] = str(path)
    env["EVERCELL_PARAMETERS"] = parameters
    env["EVERCELL_HOME"] = str(history)
    env["EVERCELL_HEADLESS"] = "1"  # nobody watches: evercell.progress() shows a table only
    if fresh:
        env["EVERCELL_FRESH"] = "1"
    return env
