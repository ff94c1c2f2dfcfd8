"""Run a notebook from its first to its last cell.

    make_plan -> start_kernel -> connect -> for each cell: send, collect, write -> finish -> stop

The run ends in one of four ways: completed; failed, with the cell that raised; interrupted, by
SIGINT or SIGTERM; kernel died. Whatever happens, what was recorded stays in the history and the
same call resumes the run.
"""

# ruff: noqa: PLC0415 - the kernel is started before the heavy imports

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.jupyter.headless import report
from evercell.jupyter.headless.follow import Follower
from evercell.jupyter.headless.plan import Plan, make_plan
from evercell.jupyter.headless.stopper import Stopper
from evercell.loading import import_jsonschema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["run_notebook"]

_START_SECONDS = 120.0


def run_notebook(
    path: Path | str,
    *,
    output: Path | str | None = None,
    parameters: Mapping[str, Any] | Sequence[str] = (),
    fresh: bool = False,
    run: str | None = None,
    progress: Callable[[report.Progress], None] | None = None,
    history: Path | str | None = None,
    kernel_name: str = "evercell",
) -> report.RunOutcome:
    """Run the notebook at `path`; resume its current run, or another one, unless `fresh`.

    Args:
        path: the notebook.
        output: where the notebook with its outputs is written, while they come. By default the
            notebook itself, or `<name>.out.ipynb` beside it when there are `parameters`, because
            they add a cell.
        parameters: values by name, or `name=value` texts as on a command line.
        fresh: begin a new run instead of resuming the current one.
        run: an earlier run of the notebook to resume, its id or the beginning of it.
        progress: called, in this thread, with what happens as it happens.
        history: the history's folder; by default EVERCELL_HOME or `.evercell/` beside the notebook.
        kernel_name: the kernelspec to run on.

    Raises EvercellError when the run can't begin: wrong input (UsageError and its kinds), or a
    history that refuses it (HistoryError and its kinds). The output is untouched then.
    SIGINT and SIGTERM are handled while it runs in the main thread.
    """
    plan = make_plan(
        Path(path),
        output=Path(output) if output is not None else None,
        parameters=parameters,
        fresh=fresh,
        history=Path(history) if history is not None else None,
        kernel_name=kernel_name,
        run=run,
    )
    return asyncio.run(_run(plan, progress or (lambda _: None)))


async def _run(plan: Plan, progress: Callable[[report.Progress], None]) -> report.RunOutcome:
    from evercell.jupyter.headless import kernel as kernels

    began = time.monotonic()
    follower = Follower(plan.history)
    progress(report.RunBegan(plan.path, plan.output.path, len(plan.cells)))
    with tempfile.TemporaryFile() as log, Stopper() as stopper:
        manager = await kernels.start_kernel(
            plan.kernel_name, cwd=str(plan.path.parent), env=plan.env, log=log
        )
        stopper.manager = manager
        try:
            # The kernel starts while this imports nbclient.
            import_jsonschema()
            from evercell.jupyter.headless.client import RunClient
            from evercell.jupyter.headless.session import Session, as_node

            node = as_node(plan)
            try:
                client, info = await kernels.connect(
                    manager, within=_START_SECONDS, stopped=stopper.is_stopping
                )
            except kernels.KernelGoneError:
                death = await kernels.kernel_death(manager, log, -1, 0, "")
                return _not_started(plan, stopper, death, time.monotonic() - began)
            node.metadata["language_info"] = info["language_info"]
            progress(report.KernelReady(time.monotonic() - began))
            runner = RunClient(node, manager, client)
            session = Session(plan, runner, manager, stopper, follower, log, progress, began)
            try:
                return await session.run()
            finally:
                client.stop_channels()
        finally:
            follower.close()
            await kernels.stop_kernel(manager, now=stopper.killed)


def _not_started(
    plan: Plan, stopper: Stopper, death: report.CellFailure, seconds: float
) -> report.RunOutcome:
    """The kernel process ended before it took requests, or was not let to."""
    stopped = stopper.is_stopping()
    return report.RunOutcome(
        status="interrupted" if stopped else "kernel died",
        notebook=plan.path,
        output=plan.output.path,
        cells=len(plan.cells),
        tally=report.Tally(),
        seconds=seconds,
        failure=None if stopped else death,
        signal=stopper.signal,
    )
