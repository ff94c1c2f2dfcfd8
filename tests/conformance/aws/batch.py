"""AWS's `parallel` and `map` in terms of child workflows and asyncio.

Evercell has no operation of this kind: tasks are asyncio's, and when enough of them succeeded or
failed is a few lines of the author's. These are such lines.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.aws.kit import DEFINITIONS, child

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Batch", "Branch", "Limits", "batch_map", "parallel"]


@dataclass(frozen=True)
class Branch:
    """A workflow's name, what it is started with, and the id of the run."""

    workflow: str
    arguments: tuple[Any, ...] = ()
    id: str | None = None

    def call(self) -> Awaitable[Any]:
        return DEFINITIONS[self.workflow].start(*self.arguments, id=self.id)

    def call_flat(self) -> Awaitable[Any]:
        """Without a run of its own."""
        return DEFINITIONS[self.workflow].function(*self.arguments)


@dataclass(frozen=True)
class Limits:
    """When a batch is over before all of it is; None: never."""

    concurrency: int | None = 1
    successes: int | None = None
    failures: int | None = None
    failure_percentage: float | None = None

    def reached(self, batch: Batch, total: int) -> str | None:
        failed = len(batch.errors)
        if self.failures is not None and failed > self.failures:
            return "FAILURE_TOLERANCE_EXCEEDED"
        if self.failure_percentage is not None and 100 * failed > self.failure_percentage * total:
            return "FAILURE_TOLERANCE_EXCEEDED"
        if self.successes is not None and len(batch.results) >= self.successes:
            return "MIN_SUCCESSFUL_REACHED"
        return None


@dataclass
class Batch:
    """What came of the branches, by number."""

    results: dict[int, Any] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    over: str | None = None

    @property
    def ordered(self) -> list[Any]:
        return [self.results[index] for index in sorted(self.results)]

    def summary(self, *names: str) -> dict[str, Any]:
        facts = {
            "completionReason": self.over or "ALL_COMPLETED",
            "status": "FAILED" if self.errors else "SUCCEEDED",
            "successCount": len(self.results),
            "failureCount": len(self.errors),
            "totalCount": len(self.results) + len(self.errors),
            "hasFailure": bool(self.errors),
            "errorCount": len(self.errors),
        }
        return {name: facts[name] for name in names}

    def rethrow(self) -> None:
        for message in self.errors.values():
            raise RuntimeError(message)


async def _run(calls: list[Callable[[], Awaitable[Any]]], limits: Limits) -> Batch:
    batch = Batch()
    queue = iter(enumerate(calls))

    async def work() -> None:
        for index, call in queue:
            try:
                batch.results[index] = await call()
            except Exception as error:
                batch.errors[index] = str(error)
            batch.over = batch.over or limits.reached(batch, len(calls))
            if batch.over:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(limits.concurrency or len(calls)):
            group.create_task(work())
    return batch


@child(name="Parallel")
async def parallel(branches: list[Branch], limits: Limits, flat: bool = False) -> Batch:
    return await _run([it.call_flat if flat else it.call for it in branches], limits)


@child(name="Map")
async def batch_map(branches: list[Branch], limits: Limits, flat: bool = False) -> Batch:
    return await _run([it.call_flat if flat else it.call for it in branches], limits)
