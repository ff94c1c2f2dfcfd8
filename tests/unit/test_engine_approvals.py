"""Questions that cells ask people: answers, forms, time limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from waiting import BOTH, DAY, Book, events, interrupt_at, reply, run, when

from evercell.engine import commands as c
from evercell.errors import UsageError
from evercell.events import (
    ApprovalAnswered,
    ApprovalRequested,
)


@BOTH
@pytest.mark.parametrize("approved", [True, False])
def test_a_question_is_answered(book: Book, how: str, approved: bool) -> None:
    notebook = book.start()
    when(notebook, ApprovalRequested, lambda it: reply(notebook, it.activity_id, approved))
    assert run(notebook, how, "evercell.approval('Deploy?')") is approved
    book.die()
    notebook = book.start()
    assert run(notebook, how, "evercell.approval('Deploy?')") is approved
    view = "SELECT prompt, status, answered_by FROM approvals"
    assert notebook.session.history.query(view).rows == [
        ("Deploy?", "approved" if approved else "rejected", "me")
    ]


FORM = "import pydantic\nclass Form(pydantic.BaseModel):\n    env: str\n    n: int = 1"
ASK = "evercell.approval('Which?', Form, timeout='3d')"


@BOTH
def test_a_form_is_checked_before_it_is_recorded(book: Book, how: str) -> None:
    notebook = book.start()
    notebook.cell(FORM)
    refused: list[str] = []

    def answer(asked: ApprovalRequested) -> None:
        for wrong in ({"n": 2}, {"env": 3}, None):
            with pytest.raises(UsageError, match="form") as error:
                reply(notebook, asked.activity_id, True, wrong)
            refused.append(str(error.value))
        reply(notebook, asked.activity_id, True, {"env": "prod"})
        with pytest.raises(UsageError, match="over already"):
            reply(notebook, asked.activity_id, True, {"env": "prod"})

    done = when(notebook, ApprovalRequested, answer)
    form: Any = run(notebook, how, ASK)
    assert (type(form).__name__, form.env, form.n) == ("Form", "prod", 1)
    assert done.wait(30)
    assert "'env' is a required property" in refused[0]
    assert "at 'env'" in refused[1]


def test_a_form_can_be_rejected(book: Book) -> None:
    notebook = book.start()
    notebook.cell(FORM)
    when(notebook, ApprovalRequested, lambda it: reply(notebook, it.activity_id, False))
    assert run(notebook, "{}", ASK) is None


@BOTH
def test_what_the_models_own_validator_refuses_is_asked_again(book: Book, how: str) -> None:
    notebook = book.start()
    notebook.cell(
        f"{FORM}\n    @pydantic.field_validator('env')\n    @classmethod\n"
        "    def known(cls, value):\n        assert value in {'prod', 'test'}\n        return value"
    )
    when(
        notebook, ApprovalRequested, lambda it: reply(notebook, it.activity_id, True, {"env": "x"})
    )
    when(
        notebook,
        ApprovalRequested,
        lambda it: reply(notebook, it.activity_id, True, {"env": "test"}),
        after=1,
    )
    shell = notebook.cell(f"value = {how.format(ASK)}")
    assert (shell.error, notebook.live["value"].env) == (None, "test")
    assert "asks again" in shell.notes[0]
    assert len(notebook.session.history.query("FROM approvals").rows) == 1


def test_an_answer_that_came_too_late_is_refused(book: Book) -> None:
    notebook = book.start()
    interrupt_at(notebook, ApprovalRequested)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.approval('Deploy?', timeout='3d')")
    book.die()
    (asked,) = events(notebook, ApprovalRequested)
    book.clock.advance(4 * DAY)
    notebook = book.start()
    with pytest.raises(UsageError, match="too late"):
        reply(notebook, asked.activity_id, True)
    with pytest.raises(TimeoutError, match=r"Deploy\?"):
        run(notebook, "{}", "evercell.approval('Deploy?', timeout='3d')")


def test_an_answer_in_time_counts_though_no_kernel_lived(book: Book) -> None:
    notebook = book.start()
    interrupt_at(notebook, ApprovalRequested)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.approval('Deploy?', timeout='3d')")
    book.die()
    (asked,) = events(notebook, ApprovalRequested)
    run_id, history = notebook.session.run_id, notebook.session.history
    letter = c.Answer(run_id, asked.activity_id, True, by="me", at=book.clock.now())
    notebook.session._leave_run()  # it holds the run no more, as a dead one
    c.send(history, letter)
    book.clock.advance(4 * DAY)
    assert run(book.start(), "{}", "evercell.approval('Deploy?', timeout='3d')") is True


def test_an_answer_whose_cell_ended_before_it_was_told_is_given_once(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = (
        "asked = evercell.approval('Deploy?')\n"
        "evercell.answer(evercell.run_id(), activity_id='Deploy?')\n"
        "value = await asked"
    )
    notebook = book.start()
    submit = notebook.session.commands.submit

    def submit_and_end(*args: Any) -> None:
        submit(*args)
        raise asyncio.CancelledError

    monkeypatch.setattr(notebook.session.commands, "submit", submit_and_end)
    with pytest.raises(asyncio.CancelledError):
        notebook.cell(cell)
    notebook = book.start()
    shell = notebook.cell(cell)
    assert shell.error is None
    assert notebook.live["value"] is True
    assert len(events(notebook, ApprovalAnswered)) == 1
