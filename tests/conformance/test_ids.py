"""Workflow ids: what a second start does, by the state of the first run and the policies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, error_of, settle

from evercell import workflow
from evercell.errors import RunNotFoundError, UsageError, WorkflowAlreadyStartedError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment

CONFLICT = {"fail": "refused", "use_existing": "the first", "terminate_existing": "another"}
REUSE = {
    "allow_duplicate": dict.fromkeys(("completed", "failed", "canceled", "timed out"), "another"),
    "allow_duplicate_failed_only": {
        "completed": "refused", "failed": "another", "canceled": "another", "timed out": "another",
    },
    "reject_duplicate": dict.fromkeys(("completed", "failed", "canceled", "timed out"), "refused"),
}  # fmt: skip


@workflow(name="first or second")
async def flow(fate: str) -> str:
    if fate == "fails":
        raise ValueError("as told")
    if fate == "continues":
        workflow.continue_as_new("waits")
    if fate == "waits":
        await workflow.wait_signal("go")
    return fate


def second(first: Any, **policies: Any) -> str:
    """What starting once more gives."""
    try:
        found = flow.start("waits", id=first, **policies)
    except WorkflowAlreadyStartedError:
        return "refused"
    return found.run_id


@pytest.mark.parametrize("policy", CONFLICT)
def test_an_open_run_has_the_id(world: WorkflowEnvironment, policy: str) -> None:
    first = flow.start("waits", id="x")
    found = second("x", id_conflict_policy=policy)
    expected = {"refused": "refused", "the first": first.run_id}.get(CONFLICT[policy])
    if expected is None:
        assert found not in ("refused", first.run_id)
        assert first.status == "terminated"
    else:
        assert found == expected
        assert first.status == "running"


@pytest.mark.parametrize("policy", REUSE)
def test_a_closed_run_had_the_id(world: WorkflowEnvironment, policy: str) -> None:
    found = {}
    for state in REUSE[policy]:
        fate = {"completed": "returns", "failed": "fails"}.get(state, "waits")
        name = f"{policy} {state}"
        first = flow.start(fate, id=name, execution_timeout=60 if state == "timed out" else None)
        settle(world)
        if state == "canceled":
            first.cancel()
        if state != "completed":
            error_of(first)
        assert first.status == state
        answer = second(name, id_reuse_policy=policy)
        found[state] = "refused" if answer == "refused" else "another"
    assert found == REUSE[policy]


def test_a_chain_keeps_its_id(world: WorkflowEnvironment) -> None:
    first = flow.start("continues", id="chain")
    settle(world)
    assert second("chain") == "refused"
    last = workflow.get_handle("chain")
    assert last.run_id != first.run_id
    last.signal("go")
    assert first.result(LIMIT) == "waits"
    assert second("chain", id_reuse_policy="allow_duplicate_failed_only") == "refused"


def test_the_policies_hold_after_a_restart(world: WorkflowEnvironment) -> None:
    flow.start("returns", id="closed").result(LIMIT)
    opened = flow.start("waits", id="open")
    world.restart(define=False)
    assert second("closed", id_reuse_policy="reject_duplicate") == "refused"
    assert second("open") == "refused"
    assert second("open", id_conflict_policy="use_existing") == opened.run_id


def test_ids_name_runs(world: WorkflowEnvironment) -> None:
    open_run = flow.start("waits", id="named")
    assert workflow.get_handle("named") == open_run == workflow.get_handle(open_run.run_id)
    open_run.signal("go")
    open_run.result(LIMIT)
    assert workflow.get_handle("named") == open_run
    with pytest.raises(RunNotFoundError, match="'nobody'"):
        workflow.get_handle("nobody").describe()


def test_a_policy_that_is_none_is_refused(world: WorkflowEnvironment) -> None:
    with pytest.raises(UsageError, match="id_reuse_policy"):
        second("x", id_reuse_policy="sometimes")
    with pytest.raises(UsageError, match="id_conflict_policy"):
        second("x", id_conflict_policy="sometimes")


def test_two_starts_at_once_make_one_run(world: WorkflowEnvironment) -> None:
    async def both() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(second, "raced") for _ in range(4)))

    found = asyncio.run(both())
    assert found.count("refused") == 3
