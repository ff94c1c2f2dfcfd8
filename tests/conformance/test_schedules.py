"""Schedules: when they start runs, what they do when runs overlap, what a restart catches up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

import pytest
from conformance_kit import settle

from evercell import events as e
from evercell import workflow
from evercell.engine.workflow.schedules import OverlapPolicy, choose, make_spec, times_after
from evercell.errors import RunNotFoundError, UsageError, WorkflowNotDefinedError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment

SECOND = 1_000_000_000


def spec_of(**changes: Any) -> Any:
    options: dict[str, Any] = {
        "cron": None, "every": None, "offset": 0, "timezone": "UTC", "overlap": "skip",
        "catchup_window": "1d", "created_at": 0,
    }  # fmt: skip
    return make_spec(**{**options, **changes})


def moments(spec: Any, after: datetime, count: int) -> list[str]:
    found = islice(times_after(spec, int(after.timestamp()) * SECOND), count)
    return [datetime.fromtimestamp(at / SECOND, UTC).isoformat() for at in found]


def test_intervals_are_counted_from_the_epoch() -> None:
    after = datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
    assert moments(spec_of(every="1h", offset="15m"), after, 2) == [
        "2026-03-01T11:15:00+00:00",
        "2026-03-01T12:15:00+00:00",
    ]


def test_cron_follows_the_clock_of_its_zone() -> None:
    spec = spec_of(cron="30 9 * * *", timezone="Europe/Berlin")
    found = moments(spec, datetime(2026, 3, 28, tzinfo=UTC), 3)
    assert found == [  # summer time begins on the 29th
        "2026-03-28T08:30:00+00:00",
        "2026-03-29T07:30:00+00:00",
        "2026-03-30T07:30:00+00:00",
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"cron": "1 2 3", "every": None},
        {"cron": "* * * * *", "every": "1h"},
        {"every": 0.1},
        {"every": "1h", "overlap": "never"},
        {"cron": "* * * * *", "timezone": "Mars/Olympus"},
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        spec_of(**bad)


def test_each_policy_at_each_state() -> None:
    table = {
        policy: (
            choose(policy, running=False, buffered=0),
            choose(policy, running=True, buffered=0),
            choose(policy, running=True, buffered=1),
        )
        for policy in get_args(OverlapPolicy)
    }
    assert table == {
        "skip": ("start", "skip", "skip"),
        "buffer_one": ("start", "buffer", "skip"),
        "buffer_all": ("start", "buffer", "buffer"),
        "cancel_other": ("start", "cancel and buffer", "skip"),
        "terminate_other": ("start", "terminate and start", "terminate and start"),
        "allow_all": ("start", "start", "start"),
    }


@workflow
async def nap(hours: float) -> str:
    try:
        await asyncio.sleep(3600 * hours)
    except asyncio.CancelledError:
        await asyncio.sleep(60)
        raise
    return "slept"


def ends(env: WorkflowEnvironment) -> list[tuple[str, str | None]]:
    """Each start of the schedule: when it was due, and how its run stands."""
    table = env.history.query(
        """select strftime(make_timestamp((f.detail->>'due')::bigint // 1000), '%H:%M') as due,
            r.status
        from events f left join runs r on r.run_id = f.detail->>'child'
        where f.type = 'ScheduleFired' and f.detail->>'child' is not null
        order by f.generation, f.position"""
    )
    return [(due, status) for due, status in table.rows]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", [("01:00", "completed"), ("04:00", "running")]),
        ("buffer_one", [("01:00", "completed"), ("02:00", "completed"), ("04:00", "running")]),
        ("buffer_all", [("01:00", "completed"), ("02:00", "completed"), ("03:00", "running")]),
        (
            "cancel_other",
            [("01:00", "canceled"), ("02:00", "canceled"), ("03:00", "canceled"),
             ("04:00", "canceled"), ("05:00", "running")],
        ),
        (
            "terminate_other",
            [("01:00", "terminated"), ("02:00", "terminated"), ("03:00", "terminated"),
             ("04:00", "terminated"), ("05:00", "running")],
        ),
        (
            "allow_all",
            [("01:00", "completed"), ("02:00", "completed"), ("03:00", "completed"),
             ("04:00", "running"), ("05:00", "running")],
        ),
    ],
)  # fmt: skip
def test_overlap(
    env: WorkflowEnvironment, overlap: OverlapPolicy, expected: list[tuple[str, str]]
) -> None:
    nap.schedule("naps", every="1h", overlap=overlap, args=(2.2,))
    env.sleep("5h30m")
    assert ends(env) == expected


def test_missed_times_are_caught_up_within_the_window(env: WorkflowEnvironment) -> None:
    nap.schedule("naps", every="1h", overlap="allow_all", catchup_window="2h30m", args=(0.1,))
    env.sleep("1h30m")
    env.worker.close()
    env.clock.advance(6 * 3600)
    env.restart(define=False)
    env.worker.define(nap)
    env.sleep("5m")
    due = [at for at, _ in ends(env)]
    assert due == ["01:00", "06:00", "07:00"]


def test_pause_trigger_describe_delete(env: WorkflowEnvironment) -> None:
    handle = nap.schedule("naps", cron="0 * * * *", args=(0.5,), note="every hour")
    assert len(handle.describe().next_times) == 5
    handle.pause("holidays")
    env.sleep("3h")
    assert ends(env) == []
    assert handle.describe().note == "holidays"
    handle.unpause()
    handle.trigger()
    env.sleep("45m")
    assert len(handle.describe().recent) == 1
    env.restart()
    env.worker.define(nap)
    env.sleep("1h")
    assert len(handle.describe().recent) == 2
    handle.delete()
    with pytest.raises(RunNotFoundError, match="known are: none"):
        handle.describe()
    env.sleep("3h")
    assert len(ends(env)) == 2


def test_a_trigger_that_waits_for_the_run_before_survives_a_restart(
    env: WorkflowEnvironment,
) -> None:
    handle = nap.schedule("naps", every="12h", overlap="buffer_one", args=(2,))
    handle.trigger()
    env.sleep("1h")
    handle.trigger()
    assert handle.describe().buffered == 1
    env.restart()
    env.worker.define(nap)
    assert handle.describe().buffered == 1
    env.sleep("90m")
    assert ends(env) == [("00:00", "completed"), ("01:00", "running")]
    assert env.history.query("SELECT started, skipped FROM schedules").rows == [(2, 0)]


def test_a_trigger_whose_run_before_ended_with_its_process_goes_on(
    env: WorkflowEnvironment,
) -> None:
    handle = nap.schedule("naps", every="12h", overlap="buffer_one", args=(2,))
    handle.trigger()
    handle.trigger()
    first = handle.describe().open[0]
    env.worker.close()  # and nobody was told of the end that the next lines record
    env.history.commit(e.RunFinished(first, env.clock.now(), "completed"))
    env.restart(define=False)
    assert handle.describe().buffered == 1
    env.worker.define(nap)
    settle(env)
    assert ends(env) == [("00:00", "completed"), ("00:00", "running")]


def test_a_schedule_whose_workflow_is_not_defined_refuses_a_trigger(
    env: WorkflowEnvironment,
) -> None:
    handle = nap.schedule("naps", every="12h", args=(2,))
    env.restart(define=False)
    with pytest.raises(WorkflowNotDefinedError, match="Run the cell that defines it"):
        handle.trigger()


def test_workflow_code_can_not_ask_schedules(world: WorkflowEnvironment) -> None:
    handle = nap.schedule("asked", every="12h", args=(2,))

    @workflow
    async def asks() -> None:
        handle.describe()

    with pytest.raises(UsageError, match="a replay could not repeat"):
        asks.start().result(30)
    handle.delete()
