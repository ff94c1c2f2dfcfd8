"""Which run is meant: by the beginning of its id, or as a notebook's current one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.errors import RunNotFoundError
from evercell.history.queries import same_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evercell.history.queries import KnownRun, RunRecord

__all__ = ["current_run", "the_run"]

_SHOWN = 5


def the_run(runs: Sequence[RunRecord], prefix: str, folder: Path) -> RunRecord:
    """The run whose id begins with `prefix`. Raises RunNotFoundError for none, or for several."""
    found = [record for record in runs if record.run_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(record.run_id for record in found[:_SHOWN])
        raise RunNotFoundError(
            f"Run {prefix!r} is ambiguous: {names} begin so. Give more of the id."
        )
    raise RunNotFoundError(
        f"No run {prefix!r} in {folder}: it holds {len(runs)} runs. List them with: evercell ls."
    )


def current_run(
    runs: Sequence[KnownRun],
    notebook: str,
    parameters: Mapping[str, Any],
    kernel_id: str | None,
) -> KnownRun | None:
    """The last of `runs`, which are in the order in which they were started or attached to, that
    is the notebook's with these parameters.

    A notebook that was renamed under its living kernel is found by `kernel_id`, if the path that
    its run knows no longer exists.
    """
    wanted = dict(parameters)
    fitting = [run for run in reversed(runs) if same_parameters(run.parameters, wanted)]
    for run in fitting:
        if run.notebook == notebook:
            return run
    for run in fitting:
        moved = run.notebook is not None and not Path(run.notebook).exists()
        if kernel_id is not None and run.kernel_id == kernel_id and moved:
            return run
    return None
