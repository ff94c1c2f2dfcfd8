"""A call without limits takes the straight way; it leaves what the general one leaves."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from bodies import QUICK

from evercell.engine.context import current_step, heartbeat
from evercell.engine.scope import current_scope
from evercell.engine.step import step
from evercell.engine.usage import record_usage
from evercell.errors import HistoryWriteError
from evercell.events import Event, StepCompleted, StepStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Kernel

_VARYING = {"at", "activity_id", "cell", "run_id", "slot", "duration", "key"}


def gives() -> Any:
    return {"answer": [1, 2.5, None, "text"]}


def fails() -> None:
    raise ValueError("no")


def fails_once() -> int:
    if current_step().attempt == 1:
        raise OSError("busy")
    return current_step().attempt


def is_no_data() -> Any:
    return threading.Lock()


def says_more() -> Any:
    heartbeat("half")
    record_usage(model="m", input_tokens=1, output_tokens=2)
    return {"usage": {"input_tokens": 7, "output_tokens": 8}}


def is_an_answer() -> Any:
    return {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 8}}


def says_last_words() -> None:
    heartbeat(1)
    heartbeat(2)
    raise ValueError("after the second")


def is_cancelled_and_fails() -> None:
    _control().cancel("enough", lambda: None)
    raise ValueError("because of it")


def is_cancelled_and_returns() -> int:
    _control().cancel("enough", lambda: None)
    return 1


def is_skipped() -> int:
    scope = current_scope()
    assert scope is not None
    _control().skip(scope.history.put(b"42", "json"), lambda _: None)
    return 1


def is_interrupted() -> None:
    raise KeyboardInterrupt


BODIES = [
    gives, fails, fails_once, is_no_data, says_more, is_an_answer, says_last_words,
    is_cancelled_and_fails, is_cancelled_and_returns, is_skipped, is_interrupted,
]  # fmt: skip


def _control() -> Any:
    scope = current_scope()
    assert scope is not None
    return next(iter(scope.activities.values()))


def _steps(body: Callable[[], Any], *, straight: bool) -> list[Callable[[], Any]]:
    @step(name="sync", version=1, retry=QUICK)
    def sync(number: int) -> Any:
        return body()

    @step(name="async", version=1, retry=QUICK)
    async def async_(number: int) -> Any:
        await asyncio.sleep(0)
        return body()

    async def call() -> Any:
        return await async_(number=2)

    assert sync.straight is async_.straight is True
    sync.straight = async_.straight = straight
    return [lambda: sync(1), lambda: asyncio.run(call())]


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        fields = {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        fields.pop("traceback", None)
        kept = {name: part for name, part in fields.items() if name not in _VARYING}
        return type(value).__name__, kept
    return value


def _lived(kernel: Kernel, body: Callable[[], Any], *, straight: bool) -> tuple[list[Any], ...]:
    """What a cell with both kinds of step gets, leaves behind, and records."""
    came: list[Any] = []
    recorded: list[Any] = []
    with kernel.cell(slot=f"id:{straight}") as scope:
        leave = scope.history.subscribe(lambda events: recorded.extend(map(_plain, events)))
        for run in _steps(body, straight=straight):
            try:
                came.append(run())
            except BaseException as error:
                came.append((type(error), str(error)))
            came.append(sorted(record.status for record in scope.table().new.values()))
        leave()
        assert scope.activities == {}
    return came, recorded


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_it_leaves_what_the_general_way_leaves(kernel: Kernel, body: Callable[[], Any]) -> None:
    came, recorded = _lived(kernel, body, straight=True)
    assert (came, recorded) == _lived(kernel, body, straight=False)
    assert [name for name, _ in recorded].count("StepStarted") == 2


def test_what_can_not_be_recorded_is_not_given(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    @step(version=1)
    def work() -> int:
        return 1

    seen: list[Event] = []
    with kernel.cell() as scope:
        scope.history.subscribe(seen.extend)

        def refuse(*_: Event) -> None:
            raise HistoryWriteError("no room")

        with monkeypatch.context() as patch:
            patch.setattr(scope.history, "commit", refuse)
            with pytest.raises(HistoryWriteError, match="no room"):
                work()
        assert scope.activities == {}
        assert not scope.table().new
    assert [type(event) for event in seen if isinstance(event, StepStarted | StepCompleted)] == [
        StepStarted
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"start_to_close_timeout": 1},
        {"heartbeat_timeout": 1},
        {"schedule_to_close_timeout": 1},
        {"max_concurrent": 1},
        {"rate_limit": "60/m"},
        {"at_most_once": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_calls_with_limits_do_not_take_it(options: dict[str, Any]) -> None:
    assert not step(**options)(gives).straight
