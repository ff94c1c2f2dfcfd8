"""Handlers of the suite wait_for_condition."""

from __future__ import annotations

import base64
from typing import Any

from conformance.aws.kit import handler, poll
from evercell import step

__all__: list[str] = []


def increment(state: int) -> int:
    return state + 1


def two(state: int) -> bool:
    return state >= 2


def three(state: int) -> bool:
    return state >= 3


def four(state: int) -> bool:
    return state >= 4


def eight(state: int) -> bool:
    return state >= 8


def same(state: Any) -> Any:
    return state


def always(_: Any) -> bool:
    return True


def never(_: Any) -> bool:
    return False


def broken(_: Any) -> Any:
    raise ValueError("the check is broken")


until_three = poll(increment, three)
at_once = poll(same, always)
status = poll(increment, two, name="poll-status")
until_eight = poll(increment, eight)
every_two_seconds = poll(increment, three, delay=2)
three_times = poll(increment, never, attempts=3)
cannot_check = poll(broken, always)


@handler("6-1")
async def counts(threshold: int) -> Any:
    return await until_three(threshold - 3)


@handler("6-2")
async def immediate(state: int) -> Any:
    return await at_once(state)


@handler("6-3")
async def named(_: int) -> Any:
    return await status(0)


@handler("6-4")
async def from_five(_: int) -> Any:
    return await until_eight(5)


@handler("6-5")
async def fixed_delay(_: int) -> Any:
    return await every_two_seconds(0)


@handler("6-6")
async def exhausted(state: int) -> Any:
    return await three_times(state)


@handler("6-7")
async def check_fails(_: None) -> Any:
    return await cannot_check(0)


@handler("6-8")
async def failure_caught(_: None) -> Any:
    try:
        return await cannot_check(0)
    except ValueError:
        return "recovered"


def look(state: dict[str, Any]) -> dict[str, Any]:
    attempts = state["attempts"] + 1
    return {"status": "DONE" if attempts == 2 else "PENDING", "attempts": attempts}


def is_done(state: dict[str, Any]) -> bool:
    return bool(state["status"] == "DONE")


structured_poll = poll(look, is_done)


@handler("6-9")
async def structured(_: None) -> Any:
    return await structured_poll({"status": "PENDING", "attempts": 0})


@handler("6-10")
async def null(_: None) -> Any:
    return await at_once(None)


class Encoded:
    """A text that is stored in base 64: what a class says of itself is how it is stored."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Encoded) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __getstate__(self) -> bytes:
        return base64.b64encode(self.text.encode())

    def __setstate__(self, state: bytes) -> None:
        self.text = base64.b64decode(state).decode()


def lengthen(state: Encoded) -> Encoded:
    return Encoded(state.text + "x")


def long_enough(state: Encoded) -> bool:
    return len(state.text) == 2


encoded_poll = poll(lengthen, long_enough)


@handler("6-11")
async def own_encoding(_: None) -> str:
    return str((await encoded_poll(Encoded(""))).text)


@step
async def times_ten(value: int) -> int:
    return value * 10


until_two = poll(increment, two)
until_four = poll(increment, four)


@handler("6-12")
async def then_a_step(_: int) -> Any:
    return await times_ten(await until_two(0))


@handler("6-13")
async def one_seeds_the_other(_: None) -> Any:
    return await until_four(await until_two(0))
