"""Signals: order, those that come early, handlers, types, closed and unknown runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydantic
import pytest
from conformance_kit import LIMIT, count, edit, error_of, settle

from evercell import events as e
from evercell import step, workflow
from evercell.engine.workflow import loading
from evercell.errors import RunNotFoundError, UsageError, WorkflowClosedError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


@dataclass
class Address:
    street: str
    number: int


class Order(pydantic.BaseModel):
    item: str
    pieces: int


def test_they_arrive_in_order(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[int]:
        return [await workflow.wait_signal("n", int) for _ in range(20)]

    handle = flow.start()
    for number in range(20):
        handle.signal("n", number)
    assert handle.result(LIMIT) == list(range(20))


def test_early_ones_are_kept_for_whoever_waits(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[Any]:
        await asyncio.sleep(3600)
        first = await workflow.wait_signal("a")
        second = await workflow.wait_signal("b")
        return [first, second, await workflow.wait_signal("a")]

    handle = flow.start()
    for name, value in (("a", 1), ("b", 2), ("a", 3), ("unknown", 4)):
        handle.signal(name, value)
    settle(world)
    world.restart()
    assert handle.result(LIMIT) == [1, 2, 3]


def test_early_ones_reach_a_handler_registered_later(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[int]:
        got: list[int] = []
        await asyncio.sleep(60)

        @workflow.signal
        def add(number: int) -> None:
            got.append(number)

        await workflow.wait_condition(lambda: len(got) == 3)
        return got

    handle = flow.start()
    handle.signal("add", 1)
    handle.signal("add", 2)
    world.sleep(61)
    handle.signal("add", 3)
    assert handle.result(LIMIT) == [1, 2, 3]


def test_each_name_has_its_own_line(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[str]:
        return list(
            await asyncio.gather(
                workflow.wait_signal("b", str),
                workflow.wait_signal("a", str),
                workflow.wait_signal("a", str),
            )
        )

    handle = flow.start()
    for name, text in (("a", "a1"), ("b", "b1"), ("a", "a2")):
        handle.signal(name, text)
    assert handle.result(LIMIT) == ["b1", "a1", "a2"]


def test_arguments_become_what_is_asked_for(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[Any]:
        got: list[Any] = []

        @workflow.signal
        def order(order: Order, urgent: bool = False) -> None:
            got.append([order.item, order.pieces, urgent])

        address = await workflow.wait_signal("address", Address)
        await workflow.wait_condition(lambda: len(got) == 2)
        several = await workflow.wait_signal("several")
        nothing = await workflow.wait_signal("nothing")
        return [address.street, *got, several, nothing]

    handle = flow.start()
    handle.signal("order", {"item": "tea", "pieces": 2}, urgent=True)
    handle.signal("order", Order(item="jam", pieces=1))
    handle.signal("address", {"street": "Elm", "number": 3})
    handle.signal("several", 1, 2)
    handle.signal("nothing")
    assert handle.result(LIMIT) == ["Elm", ["tea", 2, True], ["jam", 1, False], (1, 2), None]


def test_one_that_does_not_fit_is_refused_where_it_is_sent(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> int:
        got: list[int] = []

        @workflow.signal
        def add(number: int) -> None:
            got.append(number)

        await workflow.wait_condition(lambda: bool(got))
        return got[0]

    handle = flow.start()
    settle(world)
    with pytest.raises(UsageError, match="number of 'add' takes int"):
        handle.signal("add", "many")
    with pytest.raises(UsageError, match="missing a required argument"):
        handle.signal("add")
    assert count(handle, e.SignalReceived) == 0
    assert handle.status == "running"
    handle.signal("add", 7)
    assert handle.result(LIMIT) == 7


def test_one_that_does_not_fit_and_came_early_does_not_fail_the_run(
    world: WorkflowEnvironment,
) -> None:
    @workflow(name="early misfit")
    async def flow() -> int:
        got: list[int] = []
        await asyncio.sleep(60)

        @workflow.signal
        def add(number: int) -> None:
            got.append(number)

        await workflow.wait_condition(lambda: bool(got))
        return got[0]

    handle = flow.start()
    handle.signal("add", "many")  # nobody knows yet what it takes
    world.sleep(61)
    assert handle.status == "running"
    handle.signal("add", 7)
    assert handle.result(LIMIT) == 7


def test_who_waits_for_a_kind_gets_no_other(world: WorkflowEnvironment) -> None:
    @workflow(name="kinds")
    async def flow() -> list[Any]:
        await asyncio.sleep(60)
        numbers = [await workflow.wait_signal("n", int) for _ in range(2)]
        return [*numbers, await workflow.wait_signal("n", str)]

    handle = flow.start()
    settle(world)
    handle.signal("n", "early")  # nobody knows yet what it takes: it is kept for who takes it
    world.sleep(61)
    assert handle.status == "running"
    received = count(handle, e.SignalReceived)
    with pytest.raises(UsageError, match="signal 'n' takes int, and 'text' is none"):
        handle.signal("n", "text")
    assert count(handle, e.SignalReceived) == received
    handle.signal("n", 1)
    world.restart()
    with pytest.raises(UsageError, match="signal 'n' takes int"):
        handle.signal("n", "text")
    handle.signal("n", 2)
    assert handle.result(LIMIT) == [1, 2, "early"]


def test_a_signal_goes_to_the_first_who_waits_for_its_kind(world: WorkflowEnvironment) -> None:
    @workflow(name="beside")
    async def flow() -> list[Any]:
        kinds = (int, str, int)
        return list(await asyncio.gather(*(workflow.wait_signal("n", kind) for kind in kinds)))

    handle = flow.start()
    settle(world)
    for value in ("a", 1):
        handle.signal("n", value)
    with pytest.raises(UsageError, match="takes int"):
        handle.signal("n", "b")
    handle.signal("n", 2)
    assert handle.result(LIMIT) == [1, "a", 2]


def test_a_second_delivery_of_a_signal_is_none(world: WorkflowEnvironment) -> None:
    @workflow(name="twice")
    async def flow() -> list[int]:
        got: list[int] = []
        while (number := await workflow.wait_signal("n", int)) != 0:
            got.append(number)
        return got

    handle = flow.start()
    settle(world)

    def deliver(number: int, signal_id: str) -> None:
        payload = world.history.put(b"[[%d],{}]" % number, "json")
        event = e.SignalReceived(handle.run_id, world.clock.now(), signal_id, "n", payload)
        world.worker.carrier.record_message(handle.run_id, event)

    for _ in range(2):
        world.worker.call(lambda: deliver(1, "same")).result(LIMIT)
    settle(world)
    world._close()
    world._open()
    world.worker.call(lambda: deliver(1, "same")).result(LIMIT)  # no code is there to know it
    world.worker.define(flow)
    world.worker.call(lambda: deliver(2, "other")).result(LIMIT)
    handle.signal("n", 0)
    assert handle.result(LIMIT) == [1, 2]


def test_an_edit_while_a_signal_is_being_recorded_delivers_it_once(
    world: WorkflowEnvironment,
) -> None:
    def define(text: str) -> Any:
        @workflow(name="raced")
        async def flow() -> list[int]:
            got = []
            while (number := await workflow.wait_signal("n", int)) != 0:
                got.append(number)
            return [*got, len(text)]

        return flow

    handle = define("a").start()
    settle(world)

    def both() -> None:
        payload = world.history.put(b"[[1],{}]", "json")
        event = e.SignalReceived(handle.run_id, world.clock.now(), "s1", "n", payload)
        world.worker.carrier.record_message(handle.run_id, event)
        loading.define(world.worker, define("bb"))

    world.worker.call(both).result(LIMIT)
    settle(world)
    handle.signal("n", 0)
    assert handle.result(LIMIT) == [1, 2]


def test_a_timed_out_wait_does_not_lose_the_signal(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> str:
        with suppress(TimeoutError):
            await workflow.wait_signal("word", timeout=60)
        return str(await workflow.wait_signal("word"))

    handle = flow.start()
    world.sleep(61)
    handle.signal("word", "kept")
    assert handle.result(LIMIT) == "kept"


def test_async_handlers_and_steps_in_them(world: WorkflowEnvironment) -> None:
    @step
    async def double(number: int) -> int:
        return 2 * number

    @workflow
    async def flow() -> list[int]:
        got: list[int] = []

        @workflow.signal(name="number")
        async def take(number: int) -> None:
            got.append(await double(number))

        await workflow.wait_condition(lambda: len(got) == 3)
        return sorted(got)

    handle = flow.start()
    for number in range(3):
        handle.signal("number", number)
    assert handle.result(LIMIT) == [0, 2, 4]


def test_a_handler_that_raises_fails_the_run(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> None:
        @workflow.signal
        def go() -> None:
            raise RuntimeError("in the handler")

        await workflow.wait_signal("never")

    handle = flow.start()
    handle.signal("go")
    assert str(error_of(handle)) == "in the handler"


def test_workflows_signal_each_other(world: WorkflowEnvironment) -> None:
    @workflow
    async def taker() -> str:
        return str(await workflow.wait_signal("word"))

    @workflow
    async def sender(target: str) -> str:
        await workflow.get_handle(target).signal("word", "from afar")
        try:
            await workflow.get_handle("nobody").signal("word", "?")
        except RunNotFoundError as error:
            return type(error).__name__
        return "?"

    target = taker.start(id="taker")
    assert sender.start("taker").result(LIMIT) == "RunNotFoundError"
    assert target.result(LIMIT) == "from afar"


def test_a_signal_that_a_run_sends_last_arrives_once(world: WorkflowEnvironment) -> None:
    @workflow
    async def taker() -> str:
        return str(await workflow.wait_signal("word"))

    @workflow
    async def sender(target: str) -> None:
        workflow.get_handle(target).signal("word", "bye")  # not awaited

    target = taker.start()
    sender.start(target.run_id).result(LIMIT)
    assert target.result(LIMIT) == "bye"


def test_closed_and_unknown_runs_take_none(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> int:
        return 1

    handle = flow.start()
    assert handle.result(LIMIT) == 1
    with pytest.raises(WorkflowClosedError, match="is closed"):
        handle.signal("late")
    with pytest.raises(RunNotFoundError, match="nobody"):
        workflow.get_handle("nobody")
    assert count(handle, e.SignalReceived) == 0


def test_a_run_without_its_definition_keeps_its_signals(world: WorkflowEnvironment) -> None:
    @workflow(name="absent")
    async def flow() -> str:
        return str(await workflow.wait_signal("word"))

    handle = flow.start()
    settle(world)
    world.restart(define=False)
    assert handle.status == "not defined"
    handle.signal("word", "kept")
    edit(world, flow)
    assert handle.result(LIMIT) == "kept"
