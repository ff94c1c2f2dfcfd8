"""The cells of a headless run, one after the other.

for each cell: send -> collect its messages, write the output now and then -> reply
-> %evercell finish -> the outcome
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import nbformat.v4
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from evercell import errors
from evercell.errors import NotebookInvalidError
from evercell.jupyter.headless import report
from evercell.jupyter.headless.document import tags_of
from evercell.jupyter.headless.kernel import kernel_death, kernel_pid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jupyter_client.manager import AsyncKernelManager

    from evercell.jupyter.headless.client import RunClient
    from evercell.jupyter.headless.follow import Follower
    from evercell.jupyter.headless.plan import Plan
    from evercell.jupyter.headless.stopper import Stopper

__all__ = ["Session", "as_node"]

_SILENCE = 2.0  # seconds after which a wait for workflows is explained
_TICK = 0.5  # seconds between looks at the history and at the output file's throttle


def as_node(plan: Plan) -> NotebookNode:
    """The plan's notebook as nbformat has it. Raises NotebookInvalidError."""
    try:
        node: NotebookNode = nbformat.v4.to_notebook_json(plan.notebook)  # type: ignore[no-untyped-call]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotebookInvalidError(f"{plan.path} is not a notebook: {error!r}.") from error
    return node


@dataclass(slots=True)
class Session:
    """One run, on a kernel that takes requests."""

    plan: Plan
    client: RunClient
    manager: AsyncKernelManager
    stopper: Stopper
    follower: Follower
    log: IO[bytes]  # what the kernel process itself wrote
    progress: Callable[[report.Progress], None]
    began: float
    dirty: bool = False  # outputs came since the last write
    any_done: bool = False  # a cell ended well: the kernel is attached to the run
    tally: report.Tally = field(default_factory=report.Tally)
    notes: list[str] = field(default_factory=list)

    async def run(self) -> report.RunOutcome:
        """Run the plan's cells up to the first that ends the run."""
        self.client.on_message = self._heard
        ticker = asyncio.create_task(self._tick())
        status: report.Status = "completed"
        failure: report.CellFailure | None = None
        try:
            for number, index in enumerate(self.plan.cells, 1):
                if self.stopper.is_stopping():
                    status = "interrupted"
                    break
                status, failure = await self._run_cell(number, index)
                if status != "completed":
                    break
            if status == "completed":
                status = await self._wait()
            if status in {"completed", "failed"}:
                await self._finish(status)
        finally:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
        self._count()
        self.client.set_widgets_metadata()
        self._write(durable=True)
        return self._outcome(status, failure)

    async def _run_cell(
        self, number: int, index: int
    ) -> tuple[report.Status, report.CellFailure | None]:
        cell = self.client.nb.cells[index]
        self.progress(report.CellScheduled(index, number, cell.source))
        sent = time.monotonic()
        status: report.Status = "completed"
        failure: report.CellFailure | None = None
        try:
            await self.client.run_cell(index, _metadata(cell, index))
        except CellExecutionError as error:
            self._raise_refusal(error.ename, error.evalue)
            failure = _failure(index, number, cell, error.ename, error.evalue)
            stopped = self.stopper.is_stopping() or error.ename == "KeyboardInterrupt"
            status = "interrupted" if stopped else "failed"
        except DeadKernelError:
            failure = await kernel_death(self.manager, self.log, index, number, cell.source)
            status = "interrupted" if self.stopper.killed else "kernel died"
        else:
            self.any_done = True
        self.stopper.cell_ended()
        self._count()
        seconds = time.monotonic() - sent
        decision = self.tally.decisions.get(index)
        ok = status == "completed"
        self.progress(report.CellEnded(index, number, cell.source, ok, seconds, decision))
        self.dirty = True
        if self.plan.output.is_due():
            self._write()
        return status, failure

    def _raise_refusal(self, name: str, message: str) -> None:
        """The kernel could not attach to the run: no cell ran, and the output stays as it was."""
        kind = getattr(errors, name, None) if name in errors.__all__ else None
        if self.any_done or kind is None or not issubclass(kind, errors.HistoryError):
            return
        refused = re.fullmatch(rf"\[{kind.code}\] (.*)", message, re.DOTALL)
        if refused:
            raise kind(refused[1])

    async def _wait(self) -> report.Status:
        """Have the notebook's workflows come to their ends."""
        asked = asyncio.create_task(self.client.ask("%evercell wait"))
        try:
            await asyncio.wait({asked}, timeout=_SILENCE)
            run_id = self.tally.run_id
            if not asked.done() and run_id is not None:
                found = await asyncio.to_thread(_workflows_waits, self.plan.history, run_id)
                self.progress(report.Waits(found))
            reply = await asked
        except DeadKernelError:
            return "interrupted" if self.stopper.killed else "kernel died"
        if self.stopper.is_stopping() or reply.get("ename") == "KeyboardInterrupt":
            return "interrupted"
        if reply.get("ename") in _STUCK:
            self._note(f"A workflow can't go on: {reply.get('evalue')}")
            return "failed"
        return "completed"

    async def _finish(self, status: report.Status) -> None:
        """Have the kernel record that the run came to its end."""
        try:
            reply = await self.client.ask(f"%evercell finish {status}")
        except DeadKernelError:
            reply = {"status": "error", "evalue": "the kernel died"}
        if reply["status"] != "ok":
            why = reply.get("evalue") or reply["status"]
            self._note(f"The run could not be marked as finished: {why}")

    def _heard(self, kind: str) -> None:
        if kind == "execute_input":
            self.stopper.cell_began()
        # An error alone may be the kernel's refusal of the run, which must leave the file alone;
        # it is written with the cell's end.
        if kind not in {"status", "execute_input", "error"}:
            self.dirty = True

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self._count()
            if self.dirty and self.plan.output.is_due():
                self._write()

    def _count(self) -> None:
        tally = self.follower.read(kernel_pid(self.manager))
        if events := self.follower.take():
            self.progress(report.Recorded(tuple(events)))
        if tally != self.tally:
            self.tally = tally
            self.progress(report.Counted(tally))

    def _write(self, *, durable: bool = False) -> None:
        self.dirty = False
        known = len(self.plan.output.notes)
        self.plan.output.write(self._rendered, durable=durable)
        for note in self.plan.output.notes[known:]:
            self._note(note)

    def _rendered(self) -> str:
        self.client.settle()
        text: str = nbformat.v4.writes_json(self.client.nb)  # type: ignore[no-untyped-call]
        return text + "\n"

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.progress(report.Noted(text))

    def _outcome(
        self, status: report.Status, failure: report.CellFailure | None
    ) -> report.RunOutcome:
        return report.RunOutcome(
            status=status,
            notebook=self.plan.path,
            output=self.plan.output.path,
            cells=len(self.plan.cells),
            tally=self.tally,
            seconds=time.monotonic() - self.began,
            failure=failure,
            signal=self.stopper.signal,
            notes=tuple(self.notes),
            output_written=not self.plan.output.failed,
        )


def _workflows_waits(folder: Path, run_id: str) -> tuple[report.Awaited, ...]:
    """See `report.Waits`; nothing where the history can't be read now."""
    from evercell.history import History  # noqa: PLC0415 - for runs that wait

    try:
        history = History(folder)
        try:
            rows = history.query(_WAITS, {"run": run_id}).rows
        finally:
            history.close()
    except errors.HistoryError:
        return ()
    return tuple(report.Awaited(*row) for row in rows)


_WAITS = """
SELECT kind, name, run_id, epoch_ns(until), CAST(schema AS VARCHAR) FROM waits
WHERE run_id IN (SELECT run_id FROM runs WHERE notebook_run = $run)
"""

# A kernel without Evercell knows no workflows either: any other answer is none.
_STUCK = frozenset({"WorkflowBlockedError", "WorkflowNotDefinedError"})


def _metadata(cell: Any, index: int) -> dict[str, Any]:
    """What JupyterLab sends with a cell, and its index."""
    metadata: dict[str, Any] = {"evercell": {"cell_index": index}, "tags": list(tags_of(cell))}
    if "id" in cell:
        metadata["cellId"] = cell["id"]
    return metadata


def _failure(index: int, number: int, cell: Any, name: str, message: str) -> report.CellFailure:
    shown = [output for output in cell.outputs if output["output_type"] == "error"]
    traceback = "\n".join(shown[-1]["traceback"]) if shown else ""
    return report.CellFailure(index, number, cell.source, name, message, traceback)
