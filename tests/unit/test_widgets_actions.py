"""Actions from a page become commands; what does not fit is said and does nothing."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
import view_events as e

from evercell.engine import commands
from evercell.errors import ForkEditedError, UsageError
from evercell.history import History
from evercell.history.inbox import Refusal
from evercell_widgets.actions import Action, parse_action
from evercell_widgets.desk import CommandDesk, Letters
from evercell_widgets.talk import Talk
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evercell_widgets.feeder import Feeder
    from evercell_widgets.state import Wait

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"budget": {"type": "number", "maximum": 10}, "who": {"$ref": "#/$defs/Who"}},
        "required": ["budget"],
        "$defs": {"Who": {"enum": ["ada", "grace"]}},
    }
)


class Taker:
    """Keeps what is submitted."""

    def __init__(self) -> None:
        self.taken: list[commands.Command] = []
        self.ids: list[str | None] = []

    def takes(self, run_id: str) -> bool:
        return run_id == "w1"

    def submit(self, command: commands.Command, command_id: str | None = None) -> str:
        self.taken.append(command)
        self.ids.append(command_id)
        return "id"


class Counter:
    """A desk with a history of its own, and two approvals that are pending."""

    def __init__(self, folder: Path) -> None:
        self.history, self.taker = History(folder), Taker()
        self.desk = CommandDesk(self.history, self.taker, {})
        self.view = RunView()
        apply_all(
            self.view,
            [
                e.workflow_started("w1"),
                e.approval_requested("w1", "yes-no"),
                e.approval_requested("w1", "form", schema=SCHEMA),
            ],
        )

    def pending(self, activity_id: str) -> Wait | None:
        return self.view.approvals.get(activity_id)

    approval = pending  # as a Feeder's

    def act(self, **message: Any) -> commands.Command:
        self.desk.act(parse_action({"run": "w1", **message}), self.pending)
        return self.taker.taken[-1]

    def value(self, payload: Any) -> Any:
        return json.loads(self.history.get(payload))


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    counter = Counter(tmp_path / "history")
    yield counter
    counter.history.close()


def test_an_answer_carries_the_form(counter: Counter) -> None:
    answer = counter.act(deed="approve", activity="form", value='{"budget": 3, "who": "ada"}')
    assert isinstance(answer, commands.Answer)
    assert (answer.run_id, answer.activity_id, answer.approved) == ("w1", "form", True)
    assert counter.value(answer.value) == {"budget": 3, "who": "ada"}
    assert answer.by == commands.user()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('{"budget": 30}', "at 'budget': 30 is greater than"),
        ('{"budget": 3, "who": "eve"}', "at 'who': 'eve' is not one of"),
        ("{}", "'budget' is a required property"),
        ("[]", "is not of type 'object'"),
    ],
)
def test_an_answer_that_does_not_fit_its_schema_is_not_sent(
    counter: Counter, value: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        counter.act(deed="approve", activity="form", value=value)
    assert counter.taker.taken == []


def test_yes_and_no_need_no_form(counter: Counter) -> None:
    yes = counter.act(deed="approve", activity="yes-no")
    no = counter.act(deed="reject", activity="form")
    assert isinstance(yes, commands.Answer)
    assert isinstance(no, commands.Answer)
    assert (yes.approved, yes.value, no.approved, no.value) == (True, None, False, None)


def test_an_approval_that_is_not_pending_is_refused(counter: Counter) -> None:
    apply_all(counter.view, [e.approval_answered("w1", "yes-no")])
    for activity in ("yes-no", "gone", None):
        with pytest.raises(UsageError, match="not pending"):
            counter.act(deed="approve", activity=activity)


def test_the_other_deeds_are_commands_of_their_own(counter: Counter) -> None:
    signal = counter.act(deed="signal", name=" go on ", value='{"fast": true}')
    assert isinstance(signal, commands.Signal)
    assert signal.name == "go on"
    assert counter.value(signal.payload) == [[{"fast": True}], {}]
    bare = counter.act(deed="signal", name="go")
    assert isinstance(bare, commands.Signal)
    assert bare.payload is None
    skip = counter.act(deed="skip", activity="s1", value="null")
    assert isinstance(skip, commands.Skip)
    assert counter.value(skip.value) is None
    assert isinstance(counter.act(deed="cancel"), commands.CancelRun)
    assert isinstance(counter.act(deed="cancel", activity="s1"), commands.CancelActivity)
    assert isinstance(counter.act(deed="retry", activity="s1"), commands.RetryNow)
    assert isinstance(counter.act(deed="terminate"), commands.Terminate)


@pytest.mark.parametrize(
    "message",
    [
        {"deed": "burn"},
        {"deed": "cancel", "run": 5},
        {"deed": "cancel", "activity": 5},
        {"deed": "signal", "name": "  "},
        {"deed": "signal", "name": "go", "value": "{no json"},
        {"deed": "signal", "name": "go", "value": {"a": 1}},
        {"deed": "skip", "activity": "s1"},
        {"deed": "skip", "value": "1"},
        {"deed": "retry"},
    ],
)
def test_what_makes_no_sense_is_refused(counter: Counter, message: dict[str, Any]) -> None:
    with pytest.raises((ValueError, UsageError)):
        counter.act(**message)
    assert counter.taker.taken == []


def test_a_run_that_takes_no_commands_here_gets_none(counter: Counter) -> None:
    with pytest.raises(UsageError, match="takes no commands"):
        counter.act(deed="cancel", run="elsewhere")
    assert counter.taker.taken == []


def test_a_value_is_told_from_none() -> None:
    assert parse_action({"deed": "skip", "run": "r", "value": "null"}).has_value
    assert parse_action({"deed": "skip", "run": "r"}) == Action("skip", "r")


class Refuser(Taker):
    """Puts letters into the inbox, where another process refuses them."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self.history = history

    def takes(self, run_id: str) -> bool:
        return False

    def submit(self, command: commands.Command, command_id: str | None = None) -> str:
        letter_id = commands.send(self.history, command, command_id)
        [letter] = self.history.inbox.for_runs({command.run_id})
        self.history.inbox.refuse(letter, Refusal(ForkEditedError.code, "draft is another today"))
        return letter_id


def test_what_another_process_refuses_is_told_to_who_asked(counter: Counter) -> None:
    letters = Letters(Refuser(counter.history), counter.history.inbox, lambda: False)
    said: list[Any] = []
    desk = CommandDesk(counter.history, letters, {})
    talk = Talk(cast("Feeder", counter), desk, lambda content, _: said.append(content))
    act = {"type": "act", "page": "p", "request": 7, "deed": "cancel", "run": "elsewhere"}
    talk.hear(act)
    assert said == [
        {
            "type": "answer",
            "page": "p",
            "request": 7,
            "error": "draft is another today",
            "word": "Share the old results",
            "note": None,
        }
    ]


class Slow(Taker):
    """Takes a command when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may = threading.Event(), threading.Event()

    def submit(self, command: commands.Command, command_id: str | None = None) -> str:
        self.begun.set()
        assert self.may.wait(60)
        return super().submit(command, command_id)


def test_an_action_that_is_sent_again_is_done_once(counter: Counter) -> None:
    taker, said = Slow(), list[Any]()
    desk = CommandDesk(counter.history, taker, {})
    talk = Talk(cast("Feeder", counter), desk, lambda content, _: said.append(content))
    act = {"type": "act", "page": "p", "request": 7, "deed": "signal", "run": "w1", "name": "go"}
    first = threading.Thread(target=talk.hear, args=(act,))
    first.start()
    assert taker.begun.wait(60)
    talk.hear(act)
    assert said == []  # the first one answers
    taker.may.set()
    first.join()
    talk.hear(act)
    answer = {"type": "answer", "page": "p", "request": 7}
    assert said == [answer | {"error": None, "word": None, "note": None}] * 2
    assert len(taker.taken) == 1
    talk.hear(act | {"request": 8})
    assert len(taker.taken) == 2  # the same once more, as somebody wants it
    Talk(cast("Feeder", counter), desk, lambda *_: None).hear(act)  # asked of the next kernel
    first_time, another, again = taker.ids
    assert first_time == again != another  # so its run takes it once


def test_an_action_that_was_refused_is_refused_again_the_same(counter: Counter) -> None:
    said: list[Any] = []
    talk = Talk(
        cast("Feeder", counter), counter.desk, lambda content, _: said.append(content["error"])
    )
    act = {"type": "act", "page": "p", "request": 1, "deed": "approve", "run": "w1"}
    gone = act | {"activity": "gone"}
    talk.hear(gone)
    apply_all(counter.view, [e.approval_requested("w1", "gone")])
    talk.hear(gone)
    assert "not pending" in said[0]
    assert said == said[:1] * 2
    assert counter.taker.taken == []


def test_what_another_process_has_is_told_by_letter(counter: Counter) -> None:
    over = False
    letters = Letters(counter.taker, counter.history.inbox, lambda: over)
    desk = CommandDesk(counter.history, letters, {})
    desk.act(parse_action({"deed": "cancel", "run": "elsewhere"}), counter.pending)
    assert counter.taker.taken == [commands.CancelRun("elsewhere", by=commands.user())]
    over = True
    assert (letters.takes("elsewhere"), letters.takes("w1")) == (False, True)
