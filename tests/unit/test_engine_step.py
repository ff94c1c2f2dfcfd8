from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from bodies import calls, double, double_async

from evercell.engine.scope import current_scope, enter_scope
from evercell.engine.step import step
from evercell.engine.usage import record_usage
from evercell.errors import (
    NotInKernelError,
    NotStorableError,
    UsageError,
)
from evercell.events import MapStarted

if TYPE_CHECKING:
    from .conftest import Kernel


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def test_outside_a_cell_it_is_the_plain_function() -> None:
    assert current_scope() is None
    assert double(2) == 4
    assert asyncio.run(double_async(3)) == 6
    assert double.map([1, 2]) == [2, 4]


def test_a_finished_call_is_answered_after_a_restart(kernel: Kernel) -> None:
    with kernel.cell():
        assert [double(n) for n in (1, 2)] == [2, 4]
    with kernel.cell():
        assert [double(n) for n in (1, 2, 3)] == [2, 4, 6]
    assert calls == [1, 2, 3]
    rows = kernel.query("SELECT name, status, attempts, restored FROM steps ORDER BY started_at, 1")
    assert sorted(rows) == [("double", "completed", 1, 0), *[("double", "completed", 1, 1)] * 2]


def test_the_nth_sample_of_one_prompt_stays_the_nth(kernel: Kernel) -> None:
    @step(version=1)
    def sample(prompt: str) -> float:
        return random.random()

    with kernel.cell():
        first = [sample("p") for _ in range(3)]
    with kernel.cell():
        again = [sample("p") for _ in range(4)]
    assert len(set(first)) == 3
    assert again[:3] == first
    assert again[3] not in first


def test_cells_do_not_answer_each_other(kernel: Kernel) -> None:
    with kernel.cell(slot="id:a"):
        double(1)
    with kernel.cell(slot="id:b"):
        double(1)
    assert calls == [1, 1]


def test_arguments_count_however_they_are_passed(kernel: Kernel) -> None:
    @step(version=1)
    def ask(prompt: str, temperature: float = 0.0, *, stop: str | None = None) -> str:
        calls.append((prompt, temperature, stop))
        return prompt

    with kernel.cell():
        ask("p")
    with kernel.cell():
        ask(prompt="p", temperature=0.0, stop=None)
    with kernel.cell():
        ask("p", 0)  # another type is another call
    assert len(calls) == 2


def test_ignored_arguments_and_keys(kernel: Kernel) -> None:
    @step(ignore=["client"], version=1)
    def ask(client: object, prompt: str) -> str:
        calls.append(prompt)
        return prompt

    @step(key=lambda prompt: prompt.lower(), version=1)
    def fold(prompt: str) -> str:
        calls.append(prompt)
        return prompt

    for _ in range(2):
        with kernel.cell():
            ask(threading.Lock(), "a")
    with kernel.cell():
        fold("B")
        assert kernel is not None
    with kernel.cell():
        assert fold("b") == "B"
    assert calls == ["a", "B"]
    with kernel.cell(), pytest.raises(NotStorableError, match="argument"):
        double(threading.Lock())


def test_editing_the_function_or_a_constant_asks_again(kernel: Kernel) -> None:
    live = kernel.live

    def define(source: str) -> Any:
        exec(source, live)
        return live["ask"]

    live["step"] = step
    live["calls"] = calls
    body = "@step\ndef ask(p):\n    calls.append(p)\n    return {}\n"
    for source, constant, asked in [
        (body.format("p + SUFFIX"), "!", 1),
        ("# a comment\n\n" + body.format("p + SUFFIX"), "!", 1),
        (body.format("p + SUFFIX"), "?", 2),
        (body.format("SUFFIX + p"), "?", 3),
    ]:
        live["SUFFIX"] = constant
        ask = define(source)
        with kernel.cell():
            ask("p")
        assert len(calls) == asked, source


def test_what_the_caller_sees_is_what_a_replay_returns(kernel: Kernel) -> None:
    @step(version=1)
    def pair() -> tuple[list[int], list[int]]:
        shared = [1]
        return (shared, shared)

    with kernel.cell():
        first = pair()
    with kernel.cell():
        assert pair() == first
        assert type(pair()) is tuple


def test_gather_tasks_and_threads_share_the_scope(kernel: Kernel) -> None:
    async def many() -> list[int]:
        return await asyncio.gather(*(double_async(n % 3) for n in range(9)))

    for _ in range(2):
        with kernel.cell():
            assert asyncio.run(many()) == [2 * (n % 3) for n in range(9)]
            thread = threading.Thread(target=double, args=(7,))
            thread.start()
            thread.join()
    assert sorted(calls) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 7]


@pytest.mark.parametrize("known", [0, 400, 1000])
def test_a_map_asks_only_what_is_missing(kernel: Kernel, known: int) -> None:
    with kernel.cell():
        assert double.map(range(known)) == [2 * n for n in range(known)]
    calls.clear()
    with kernel.cell():
        assert double.map(range(1000), max_concurrency=20) == [2 * n for n in range(1000)]
    assert sorted(calls) == list(range(known, 1000))
    with kernel.attached() as run:
        events = run.history.events(run.run_id)
    told = [event.calls for event in events if isinstance(event, MapStarted)]
    assert told == [n for n in (known, 1000 - known) if n]  # a display knows how many will come


def test_an_async_map_keeps_to_its_limit(kernel: Kernel) -> None:
    inside = most = 0

    @step(version=1)
    async def probe(n: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return n

    async def main() -> list[int]:
        return await probe.map(range(50), max_concurrency=4)

    with kernel.cell():
        assert asyncio.run(main()) == list(range(50))
    assert 1 < most <= 4


def test_usage_is_read_from_answers_or_told(kernel: Kernel) -> None:
    @dataclass
    class Tokens:
        prompt_tokens: int
        completion_tokens: int

    @dataclass
    class Answer:
        model: str
        usage: Tokens

    # pickled by value: local classes
    @step(version=1)
    def ask() -> dict[str, Any]:
        return {"model": "m1", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}

    @step(version=1)
    def told() -> str:
        record_usage(model="m2", input_tokens=5, output_tokens=6, cost=0.5)
        return "text"

    with kernel.cell():
        ask()
        told()
    rows = kernel.query("SELECT model, input_tokens, output_tokens, cost FROM usage ORDER BY 1")
    assert rows == [("m1", 3, 4, None), ("m2", 5, 6, 0.5)]
    with pytest.raises(NotInKernelError):
        record_usage(model="m")


def test_methods_can_be_steps(kernel: Kernel) -> None:
    with kernel.cell():
        assert Asker("a").ask("p") == "a:p"
    with kernel.cell():
        assert Asker("a").ask("p") == "a:p"
        assert Asker("b").ask("p") == "b:p"
    assert calls == ["a", "b"]


@dataclass
class Asker:
    name: str

    @step(version=1)
    def ask(self, prompt: str) -> str:
        calls.append(self.name)
        return f"{self.name}:{prompt}"


def test_a_result_whose_file_is_gone_is_asked_for_again(kernel: Kernel) -> None:
    text = random.Random(1).randbytes(80_000).hex()  # too large for the journal, even compressed

    @step(version=1)
    def long() -> str:
        calls.append(1)
        return text

    with kernel.cell():
        long()
    for blob in (kernel.folder / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    with kernel.cell() as scope:
        assert long() == text
        assert "runs again" in scope.notes[0]
    assert calls == [1, 1]
    assert kernel.query("SELECT status, attempts FROM steps") == [("completed", 2)]


def test_a_thread_that_outlives_its_cell_still_records(kernel: Kernel) -> None:
    with kernel.attached() as run:
        with enter_scope(kernel.scope(run)):
            thread = threading.Thread(target=double, args=(21,))
        thread.start()
        thread.join()
    assert kernel.query("SELECT name, status FROM steps") == [("double", "completed")]


def test_wrong_use_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="generator"):

        @step
        def chunks() -> Any:
            yield 1

    with pytest.raises(UsageError, match="ignores"):
        step(ignore=["nothing"])(lambda x: x)
    with pytest.raises(UsageError, match="max_concurrency"):
        double.map([1], max_concurrency=0)
