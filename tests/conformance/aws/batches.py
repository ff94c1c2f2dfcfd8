"""Handlers of the suites parallel and map."""

from __future__ import annotations

from typing import Any

from conformance.aws.batch import Batch, Branch, Limits, batch_map, parallel
from conformance.aws.kit import child, greet, handler, returns
from evercell import workflow

__all__: list[str] = []


# -- branches -----------------------------------------------------------------------------------


@child(name="value")
async def value_branch(value: Any) -> Any:
    return value


@child(name="step")
async def step_branch(value: Any) -> Any:
    return await returns(value)


@child(name="error")
async def error_branch(_: Any = None) -> None:
    raise ValueError("this branch fails")


@child(name="wait")
async def wait_branch(seconds: float, value: Any) -> Any:
    await workflow.sleep(seconds)
    return value


@child(name="wait, step")
async def wait_step_branch(seconds: float, value: Any) -> Any:
    await workflow.sleep(seconds)
    return await returns(value)


@child(name="greet")
async def greet_branch(name: str) -> str:
    return await greet(name)


@child(name="upper")
async def upper_branch(text: str) -> str:
    return text.upper()


def _values(*values: Any) -> list[Branch]:
    return [Branch("value", (value,)) for value in values]


def _outcomes(pattern: str) -> list[Branch]:
    """A branch for each letter: "o" succeeds, "x" fails."""
    return [Branch("value", ("ok",)) if it == "o" else Branch("error") for it in pattern]


async def _parallel(branches: list[Branch], name: str, limits: Limits, flat: bool = False) -> Batch:
    batch: Batch = await parallel.start(branches, limits, flat, id=f"parallel {name}")
    return batch


async def _map(branches: list[Branch], name: str, limits: Limits, flat: bool = False) -> Batch:
    batch: Batch = await batch_map.start(branches, limits, flat, id=f"map {name}")
    return batch


_FULL = ("completionReason", "status", "successCount", "failureCount", "totalCount")
_COUNTS = ("completionReason", "successCount", "failureCount", "totalCount")
_SHORT = ("completionReason", "successCount", "totalCount")

_PARALLEL: dict[str, tuple[str, Limits, tuple[str, ...]]] = {
    "8-6": ("oxo", Limits(failures=0), _FULL),
    "8-8": ("oooo", Limits(successes=2), _SHORT),
    "8-9": ("oxo", Limits(failures=1), _FULL),
    "8-10": ("xxo", Limits(failures=1), _COUNTS),
    "8-13": ("xxoo", Limits(failure_percentage=25), _COUNTS),
    "8-16": ("xxx", Limits(failures=3), _FULL),
    "8-17": ("oxo", Limits(successes=3), _FULL),
    "8-18": ("xxoo", Limits(successes=3, failures=1), _COUNTS),
    "8-20": (
        "oxo",
        Limits(failures=1),
        ("hasFailure", "successCount", "failureCount", "errorCount"),
    ),
    "8-22": ("xooo", Limits(failure_percentage=25), _FULL),
}
_MAP: dict[str, tuple[str, Limits, tuple[str, ...]]] = {
    "9-5": ("oxo", Limits(failures=0), _FULL),
    "9-7": ("oooo", Limits(successes=2), _SHORT),
    "9-8": ("oxo", Limits(failures=1), _FULL),
    "9-9": ("xxo", Limits(failures=1), _COUNTS),
    "9-10": ("xxoo", Limits(failure_percentage=25), _COUNTS),
}


def _summarised(case: str, run: Any, row: tuple[str, Limits, tuple[str, ...]]) -> None:
    """Cases that differ only in which branches fail and when the batch is over."""
    pattern, limits, names = row

    async def summarised(_: None) -> dict[str, Any]:
        batch: Batch = await run(_outcomes(pattern), f"batch {case}", limits)
        return batch.summary(*names)

    summarised.__qualname__ = f"summarised {case}"
    handler(case)(summarised)


for _case, _row in _PARALLEL.items():
    _summarised(_case, _parallel, _row)
for _case, _row in _MAP.items():
    _summarised(_case, _map, _row)


# -- parallel -----------------------------------------------------------------------------------


@handler("8-1")
async def two_steps(_: None) -> Any:
    branches = [Branch("step", ("task-1",)), Branch("step", ("task-2",))]
    return (await _parallel(branches, "parallel", Limits())).ordered


@handler("8-2")
async def without_name(_: None) -> Any:
    return (await parallel.start(_values("alpha", "beta"), Limits())).ordered


@handler("8-3")
async def named_branches(_: None) -> Any:
    branches = [
        Branch("value", ("one",), "branch first"),
        Branch("value", ("two",), "branch second"),
    ]
    return (await _parallel(branches, "named", Limits())).ordered


@handler("8-4")
async def of_different_types(_: None) -> Any:
    return (await _parallel(_values("hello", 42, {"k": "v"}), "hetero", Limits())).ordered


@handler("8-5")
async def empty(_: None) -> Any:
    return (await _parallel([], "empty", Limits(None))).ordered


@handler("8-7")
async def rethrows(_: None) -> Any:
    (await _parallel(_outcomes("xo"), "throwing", Limits(failures=0))).rethrow()


@handler("8-11")
async def concurrent(_: None) -> Any:
    return (await _parallel(_values("r0", "r1", "r2"), "concurrent", Limits(2))).ordered


@handler("8-12")
async def flat(_: None) -> Any:
    branches = [Branch("step", ("fa",)), Branch("step", ("fb",))]
    return (await _parallel(branches, "flat", Limits(), flat=True)).ordered


@handler("8-14")
async def one_waits(_: None) -> Any:
    branches = [Branch("step", ("b0",)), Branch("wait", (2, "b1"))]
    return (await _parallel(branches, "replay", Limits())).ordered


@handler("8-19")
async def no_concurrency(_: None) -> Any:
    return await returns.map(["a", "b"], max_concurrency=0)  # type: ignore[misc] # in a workflow


@child(name="inner")
async def inner_branch() -> Any:
    branches = [Branch("step", ("i1",)), Branch("step", ("i2",))]
    return (await _parallel(branches, "inner", Limits())).ordered


@handler("8-21")
async def nested(_: None) -> Any:
    return (await _parallel([Branch("inner")], "outer", Limits())).ordered


# -- map ----------------------------------------------------------------------------------------


@handler("9-1")
async def maps_a_step(names: list[str]) -> Any:
    return (await _map([Branch("greet", (name,)) for name in names], "map", Limits())).ordered


@handler("9-2")
async def maps_without_name(items: list[int]) -> Any:
    return (await batch_map.start(_values(*(2 * item for item in items)), Limits())).ordered


@handler("9-3")
async def maps_with_index(items: list[int]) -> Any:
    sums = [item + index for index, item in enumerate(items)]
    return (await _map(_values(*sums), "indexed", Limits())).ordered


@handler("9-4")
async def maps_nothing(items: list[int]) -> Any:
    return (await _map(_values(*items), "empty", Limits(None))).ordered


@handler("9-6")
async def map_rethrows(_: None) -> Any:
    (await _map(_outcomes("xo"), "throwing", Limits(failures=0))).rethrow()


@handler("9-11")
async def maps_concurrently(_: None) -> Any:
    return (await _map(_values("r0", "r1", "r2"), "concurrent", Limits(2))).ordered


@handler("9-12")
async def maps_flat(_: None) -> Any:
    branches = [Branch("step", ("fa",)), Branch("step", ("fb",))]
    return (await _map(branches, "flat", Limits(), flat=True)).ordered


@handler("9-13")
async def maps_with_names(items: list[int]) -> Any:
    branches = [Branch("value", (10 * item,), f"item-{item}") for item in items]
    return (await _map(branches, "named-items", Limits())).ordered


@handler("9-15")
async def one_item_waits(_: None) -> Any:
    branches = [Branch("step", ("r0",)), Branch("wait, step", (1, "r1"))]
    return (await _map(branches, "suspend", Limits())).ordered


@handler("9-16")
async def large_results(_: None) -> Any:
    batch = await _map(_values(*("x" * 70_000 for _ in range(4))), "large", Limits())
    return batch.summary("successCount", "totalCount")


async def _then_waits(branches: list[Branch], name: str, limits: Limits) -> Batch:
    batch = await _map(branches, name, limits)
    await workflow.sleep(1)
    return batch


@handler("9-17")
async def maps_then_waits(_: None) -> Any:
    branches = [Branch("upper", (it,)) for it in "ab"]
    return (await _then_waits(branches, "then-wait", Limits())).ordered


@handler("9-18")
async def fails_then_waits(_: None) -> Any:
    batch = await _then_waits(_outcomes("ox"), "fail-then-wait", Limits(failures=1))
    return batch.summary(*_FULL)
