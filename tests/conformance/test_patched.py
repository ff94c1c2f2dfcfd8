"""`patched` over four ages of the code: which runs go on with which code.

old        await former()
patched    if workflow.patched("way"): await latter()  else: await former()
deprecated workflow.deprecate_patch("way"); await latter()
new        await latter()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, edit, settle

from evercell import events as e
from evercell import step, workflow
from evercell.errors import NondeterminismError, WorkflowBlockedError

if TYPE_CHECKING:
    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.handle import WorkflowHandle
    from evercell.testing import WorkflowEnvironment


@step(version=1)
async def former() -> str:
    return "former"


@step(version=1)
async def latter() -> str:
    return "latter"


async def old() -> str:
    return await former()


async def patched() -> str:
    return await (latter() if workflow.patched("way") else former())


async def deprecated() -> str:
    workflow.deprecate_patch("way")
    return await latter()


async def new() -> str:
    return await latter()


AGES = {"old": old, "patched": patched, "deprecated": deprecated, "new": new}


def code(name: str, age: str) -> Workflow[..., Any]:
    """The workflow `name` with the code of that age."""
    act = AGES[age]

    @workflow(name=name)
    async def flow() -> list[str]:
        first = await act()
        await workflow.wait_signal("on")
        return [first, await act()]

    return flow


GOES_ON = {
    "old": ("former", "former", None, None),
    "patched": (None, "latter", "latter", None),
    "deprecated": (None, "latter", "latter", "latter"),
    "new": (None, None, "latter", "latter"),
}
"""By the age that a run began with: what it does with code of each age; None: it is blocked."""


@pytest.mark.parametrize("began", AGES)
def test_runs_of_one_age_meet_code_of_each(world: WorkflowEnvironment, began: str) -> None:
    handles = {age: code(f"{began}-{age}", began).start() for age in AGES}
    settle(world)
    outcomes: list[str | None] = []
    for age, handle in handles.items():
        edit(world, code(f"{began}-{age}", age))
        handle.signal("on")
        outcomes.append(outcome(handle))
    assert tuple(outcomes) == GOES_ON[began]


def outcome(handle: WorkflowHandle[Any]) -> str | None:
    """Which way the run took; None if it is blocked."""
    try:
        ways = set(handle.result(LIMIT))
    except WorkflowBlockedError as blocked:
        if not isinstance(blocked.__cause__, NondeterminismError):
            raise
        return None
    [way] = ways
    return str(way)


def test_a_patch_is_asked_once_for_each_run(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[bool]:
        seen = [workflow.patched("a") for _ in range(3)]
        await workflow.wait_signal("on")
        return [*seen, workflow.patched("a"), workflow.patched("b")]

    handle = flow.start()
    settle(world)
    world.restart()
    handle.signal("on")
    assert handle.result(LIMIT) == [True] * 5
    markers = [event for event in handle.history() if isinstance(event, e.MarkerRecorded)]
    assert [(event.kind, event.name) for event in markers] == [("patched", "a"), ("patched", "b")]


def test_an_old_run_takes_the_new_way_where_it_has_not_been(world: WorkflowEnvironment) -> None:
    """A patch in code that the run has not reached is new to it."""

    def define(*, later: bool) -> Workflow[..., Any]:
        @workflow(name="two parts")
        async def flow() -> list[str]:
            first = await former()
            await workflow.wait_signal("on")
            way = latter() if later and workflow.patched("second part") else former()
            return [first, await way]

        return flow

    handle = define(later=False).start()
    settle(world)
    edit(world, define(later=True))
    handle.signal("on")
    assert handle.result(LIMIT) == ["former", "latter"]
