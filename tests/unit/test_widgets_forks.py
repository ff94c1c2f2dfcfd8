"""A notebook's forked run as people see it, and a fork that they ask for in the widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from test_engine_forks import asked, kernel, run_all
from test_engine_overrides import CELLS, plan_of

from evercell.engine.feed import RecordedFeed
from evercell.errors import ForkError, UsageError
from evercell_widgets.actions import parse_action
from evercell_widgets.badges import Badges
from evercell_widgets.desk import CommandDesk
from evercell_widgets.frames import frame_of, nothing
from evercell_widgets.outline import Look
from evercell_widgets.snapshot import header_of
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sessions import Notebook

    from evercell.engine import commands
    from evercell.events import Event

TOLD = """
@evercell.step
def pay():
    evercell.record_usage(model="m", input_tokens=10, output_tokens=5, cost=0.5)
paid = pay()
"""


def seen(events: Iterable[Event]) -> RunView:
    view = RunView()
    apply_all(view, events)
    return view


def statuses(view: RunView) -> list[str]:
    return [badge["status"] for badge in Badges().changed(view)]


class Nobody:
    """Takes no commands: no kernel has the run."""

    def takes(self, _: str) -> bool:
        return False

    def submit(self, command: commands.Command, _: str | None = None) -> str:
        raise AssertionError(command)


def fork_action(notebook: Notebook, view: RunView, acts: Any) -> list[Any]:
    """What is offered for the step that asks for the plan."""
    step = next(it for it in view.steps.values() if it.arguments == '{"question":"plan"}')
    assert step.execution is not None
    row = f"s:{step.execution.activity_id}:{step.activity_id}"
    details = frame_of(view, Look(inspect=row), now=history_now(notebook), acts=acts)["details"]
    assert details is not None
    return details["actions"]


def history_now(notebook: Notebook) -> int:
    return notebook.session.clock.now()


def test_a_forks_cells_are_recorded_before_they_run_and_cost_it_nothing(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, TOLD, *CELLS)
        notebook.session.fork_run()
        own = seen(notebook.session.feed().events_so_far())
        read = seen(RecordedFeed(notebook.session.history, own.run_id).events_so_far())
        assert statuses(own) == statuses(read) == ["recorded"] * 5
        header = header_of(own, history_now(notebook))
        assert (header["run_id"], header["cost"], header["busy"]) == (own.run_id, 0.0, 0)
        assert header["saved_tokens"] == 0
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, TOLD, *CELLS[:1])
        view = seen(notebook.session.feed().events_so_far())
        assert statuses(view) == ["restored"] * 3 + ["recorded"] * 2
        header = header_of(view, history_now(notebook))
        assert (header["cost"], header["saved_cost"], header["saved_tokens"]) == (0.0, 0.5, 15)
        # Of the fork that gave it back, another one: what it spares is what it had cost at first.
        notebook.session.fork_run()
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, TOLD)
        header = header_of(seen(notebook.session.feed().events_so_far()), 0)
        assert (header["cost"], header["saved_cost"], header["saved_tokens"]) == (0.0, 0.5, 15)


def test_a_cells_step_is_overridden_from_the_widget(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, *CELLS)
        session, origin = notebook.session, notebook.session.run_id
        plan = plan_of(session.history, origin)
        view = seen(session.feed().events_so_far())
        assert fork_action(notebook, view, nothing) == []
        desk = CommandDesk(session.history, Nobody(), notebook.live)
        (action,) = fork_action(notebook, view, desk.takes)
        asked_for = (action["deed"], action["run"], action["activity"], action["value"])
        assert asked_for == ("fork", origin, plan, '"PLAN"')
        message = {
            "deed": "fork", "run": origin, "activity": plan, "value": '"BETTER"',
            "page": "p", "request": 1,
        }  # fmt: skip
        note = desk.act(parse_action(message), lambda _: None)
        assert session.run_id == origin  # this kernel stays where it is
        for wrong in ({**message, "value": ""}, {**message, "activity": None}):
            with pytest.raises(UsageError, match="a step and its result"):
                desk.act(parse_action(wrong), lambda _: None)
        with pytest.raises(ForkError):
            desk.act(
                parse_action({**message, "activity": "nobody-1", "request": 2}), lambda _: None
            )
    with kernel(tmp_path) as notebook:
        fork = notebook.session.run_id
        assert note is not None
        assert fork[:5] in note
        again = CommandDesk(notebook.session.history, Nobody(), notebook.live)
        assert again.act(parse_action(message), lambda _: None) == note  # it had not heard of it
        assert [it.run_id for it in notebook.session.history.runs()] == [origin, fork]
        view = seen(notebook.session.feed().events_so_far())
        assert statuses(view) == ["recorded"] * 4
        run_all(notebook, tmp_path, *CELLS)
        assert notebook.live["act"] == "DO BETTER"
        view = seen(notebook.session.feed().events_so_far())
        assert statuses(view) == ["restored", "completed", "completed", "restored"]
        # What the fork shares can be overridden there, too: in the fork, not in what it came from.
        (action,) = fork_action(notebook, view, desk.takes)
        assert (action["run"], action["activity"]) != (origin, plan)
    assert asked(tmp_path)[-2:] == ["do", "BETTER"]
