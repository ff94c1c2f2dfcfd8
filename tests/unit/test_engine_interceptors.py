"""Interceptors around steps and workflows; OpenTelemetry's spans."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

import evercell
from evercell import settings, step, workflow
from evercell.engine.workflow.definition import DEFINED
from evercell.errors import UsageError
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def options() -> Iterator[None]:
    yield
    settings.reset()
    DEFINED.clear()


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkflowEnvironment]:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    with WorkflowEnvironment(tmp_path / "history") as environment:
        yield environment


class Log(evercell.Interceptor):
    def __init__(self, name: str, lines: list[str]) -> None:
        self.name, self.lines = name, lines

    @contextmanager
    def step(self, info: Any) -> Iterator[None]:
        self.lines.append(f"{self.name} > {info.name} {info.attempt}")
        try:
            yield
        finally:
            self.lines.append(f"{self.name} < {info.name}")

    def workflow(self, end: Any) -> None:
        self.lines.append(f"{self.name} {end.workflow} {end.status}")


@step(name="plus")
async def plus(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


@step(name="times")
def times(x: int) -> int:
    return x * 2


def test_they_surround_each_attempt_and_hear_of_ends(env: WorkflowEnvironment) -> None:
    lines: list[str] = []
    evercell.configure(interceptors=[Log("outer", lines), Log("inner", lines)])

    @workflow(name="flow")
    async def flow(x: int) -> int:
        return await times(await plus(x))  # type: ignore[misc, no-any-return] # awaited here

    assert flow.start(1).result(30) == 4
    env.worker.call(lambda: None).result(10)
    assert lines == [
        "outer > plus 1", "inner > plus 1", "inner < plus", "outer < plus",
        "outer > times 1", "inner > times 1", "inner < times", "outer < times",
        "outer flow completed", "inner flow completed",
    ]  # fmt: skip
    with pytest.raises(UsageError):
        evercell.configure(interceptors=["no"])


def test_spans_are_made_where_opentelemetry_is_in_use(env: WorkflowEnvironment) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    @step(name="breaks")
    async def breaks() -> None:
        raise ConnectionError("no")

    @workflow(name="flow")
    async def flow() -> None:
        await plus(1)
        await breaks()

    handle = flow.start()
    try:
        with pytest.raises(ConnectionError):
            handle.result(30)
        env.worker.call(lambda: None).result(10)
        spans = {span.name: span for span in exporter.get_finished_spans()}
        assert set(spans) == {"step plus", "step breaks", "workflow flow"}
        assert spans["workflow flow"].attributes["evercell.run_id"] == handle.run_id
        assert spans["workflow flow"].status.description == "ConnectionError: no"
        assert not spans["step breaks"].status.is_ok
    finally:
        for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
            del sys.modules[name]  # later tests are to run without it


class Current(evercell.Interceptor):
    """Keeps the step as OpenTelemetry keeps its span: what it sets, it takes back where it was."""

    def __init__(self) -> None:
        self.step_name: ContextVar[str] = ContextVar("step_name", default="")
        self.failures: list[ValueError] = []
        self.ended: list[str] = []

    @contextmanager
    def step(self, info: Any) -> Iterator[None]:
        token = self.step_name.set(info.name)
        try:
            yield
        finally:
            try:
                self.step_name.reset(token)
                self.ended.append(info.name)
            except ValueError as error:  # the token is another context's
                self.failures.append(error)


def test_a_step_under_way_ends_in_its_own_context_when_the_process_lets_go(
    env: WorkflowEnvironment,
) -> None:
    current, begun = Current(), threading.Event()
    settings.change(interceptors=[current])

    @step(name="endless")
    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    @step(name="stubborn")
    async def stubborn() -> None:
        with suppress(GeneratorExit):
            await endless()
        await asyncio.sleep(1)  # refused: nobody waits any more

    @workflow
    async def flow() -> None:
        await asyncio.gather(endless(), stubborn())

    flow.start()
    assert begun.wait(30)
    env.worker.call(lambda: None).result(30)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env.worker.close()
        gc.collect()
    assert current.failures == []
    assert "endless" in current.ended
    told = [it for it in caught if it.category is not ResourceWarning]  # loops of other tests
    assert [str(it.message) for it in told] == []
