"""Handlers of the suites child and invoke."""

from __future__ import annotations

from typing import Any

from conformance.aws.kit import child, crash_once, handler, log, returns
from evercell import RetryPolicy, current_step, step, workflow

__all__: list[str] = []

_RETRY = RetryPolicy(initial_interval=1, backoff_coefficient=1, maximum_attempts=2)


@step
async def fails() -> None:
    raise ValueError("no")


@child
async def one_step(value: Any) -> Any:
    return await returns(value)


@handler("3-1")
async def basic(value: str) -> Any:
    return await one_step.run(value)


@handler("3-2")
async def named(event: dict[str, str]) -> Any:
    return await one_step.start(event["value"], id=event["name"])


@child
async def two_steps(value: Any) -> Any:
    return await returns(await returns(value))


@handler("3-3")
async def in_sequence(value: str) -> Any:
    return await two_steps.run(value)


@child
async def failing() -> None:
    await fails()


@handler("3-4")
async def failed(_: None) -> None:
    await failing.run()


@handler("3-5")
async def caught(value: str) -> Any:
    try:
        await failing.run()
    except ValueError:
        return await returns(value)
    return None


@child
async def outer(value: Any) -> Any:
    return await one_step.run(await returns(value))


@handler("3-6")
async def nested(value: str) -> Any:
    return await outer.run(value)


@step(retry=_RETRY)
async def second_time(value: Any) -> Any:
    if current_step().attempt == 1:
        raise ValueError("not yet")
    return value


@child
async def retrying(value: Any) -> Any:
    return await second_time(value)


@handler("3-7")
async def retried(value: str) -> Any:
    return await retrying.run(value)


@step(retry=_RETRY)
async def never() -> None:
    raise ValueError("never")


@child
async def exhausting() -> None:
    await never()


@handler("3-8")
async def exhausted(_: None) -> None:
    await exhausting.run()


@handler("3-9")
async def then_waits(value: str) -> Any:
    result = await one_step.run(value)
    await workflow.sleep(1)
    return result


@child
async def step_and_wait(value: Any) -> Any:
    result = await returns(value)
    await workflow.sleep(1)
    return result


@handler("3-10")
async def mixed(value: str) -> Any:
    return await step_and_wait.run(value)


@step
async def crashes(value: Any) -> Any:
    crash_once()
    return value


@child
async def crashing(value: Any) -> Any:
    return await crashes(value)


@handler("3-12")
async def interrupted(value: str) -> Any:
    return await crashing.run(value)


@child
async def only_waits(value: Any) -> Any:
    await workflow.sleep(1)
    return value


@handler("3-13")
async def waits_inside(value: str) -> Any:
    return await returns(await only_waits.run(value))


@child
async def raises() -> None:
    raise ValueError("directly")


@handler("3-15")
async def without_a_step(_: None) -> None:
    await raises.run()


@child
async def no_result() -> None:
    return None


@handler("3-16")
async def null(_: None) -> Any:
    return await no_result.run()


@child
async def only_logs(value: str) -> str:
    with workflow.unsafe():
        log(value)
    return value


@handler("3-17")
async def not_run_again(value: str) -> Any:
    result = await only_logs.run(value)
    await workflow.sleep(1)
    return result


@handler("3-18")
async def inside_and_after(value: str) -> Any:
    result = await returns(await step_and_wait.run(value))
    await workflow.sleep(1)
    return result


# -- invoke: another workflow, by its name ------------------------------------------------------


@child(name="ChainedInvoke")
async def target(payload: Any) -> Any:
    if payload == "fail":
        raise ValueError("the target failed")
    return payload


@handler("5-1", "5-3", "5-4")
async def invokes(payload: Any) -> Any:
    return await target.run(payload)


@handler("5-2")
async def invokes_by_name(event: dict[str, str]) -> Any:
    return await target.start(event["payload"], id=event["name"])


@handler("5-5")
async def target_fails(_: None) -> Any:
    return await target.run("fail")


async def _fallback() -> Any:
    try:
        return await target.run("fail")
    except ValueError:
        return "fallback"


@handler("5-6")
async def failure_caught(_: None) -> Any:
    return await _fallback()


@handler("5-7")
async def large(_: None) -> int:
    return len(await target.run("x" * 5_000_000))


@handler("5-9")
async def invokes_and_waits(_: None) -> Any:
    result = await target.run("echo")
    await workflow.sleep(1)
    return result


@handler("5-10")
async def fails_and_waits(_: None) -> Any:
    result = await _fallback()
    await workflow.sleep(1)
    return result


@handler("5-11")
async def step_first(_: None) -> Any:
    return await target.run(await returns("made by a step"))


@handler("5-12")
async def step_after(_: None) -> Any:
    return await returns(await target.run("echo"))


@child
async def invoking() -> Any:
    return await target.run("echo")


@handler("5-13")
async def inside_a_child(_: None) -> Any:
    return await invoking.run()


@handler("5-14")
async def two_invokes(_: None) -> Any:
    return [await target.run("first"), await target.run("second")]
