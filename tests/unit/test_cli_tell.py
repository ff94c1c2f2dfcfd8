"""`evercell signal`, `approve`, `cancel`, ...: to a run that a process has, or none has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner
from waiting import Book, events, interrupt_at, run, when

from evercell.cli.app import app
from evercell.clock import SystemClock
from evercell.errors import ForkEditedError, ForkError, RunNotFoundError
from evercell.events import ApprovalRequested, SignalAwaited, SignalReceived, StepStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = [Path(__file__).parents[2] / name for name in ("kernel", "widgets")]
FORM = "import pydantic\nclass Form(pydantic.BaseModel):\n    env: str\n    n: int = 1"
ASK = "evercell.approval('Which?', Form, timeout='3d')"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / ".evercell", SystemClock())
    handler = signal.getsignal(signal.SIGINT)
    yield book
    signal.signal(signal.SIGINT, handler)
    book.stop()


def tell(book: Book, *words: str, code: int = 0) -> Any:
    """What a command says, as JSON."""
    if threading.current_thread() is threading.main_thread():
        result = CliRunner().invoke(app, [*words, "--json", "--history", str(book.folder)])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)
    process = subprocess.run(  # the cell that blocks has this process's stdout
        [sys.executable, "-m", "evercell", *words, "--json", "--history", str(book.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PACKAGES))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == code, process.stdout + process.stderr
    return json.loads(process.stdout)


def test_a_question_is_answered_while_its_cell_blocks(book: Book) -> None:
    notebook = book.start()
    notebook.cell(FORM)
    run_id = notebook.session.run_id
    said: list[Any] = []

    def answer(asked: ApprovalRequested) -> None:
        for wrong in ("[1]", '{"n": 2}'):
            said.append(tell(book, "approve", run_id, "--value", wrong, code=2))
        said.append(tell(book, "approve", run_id, "What?", code=2))
        said.append(tell(book, "approve", run_id, "Which?", "--value", '{"env": "prod"}'))

    done = when(notebook, ApprovalRequested, answer)
    form: Any = run(notebook, "{}", ASK)
    assert (form.env, form.n) == ("prod", 1)
    assert done.wait(60)
    assert "is not of type 'object'" in said[0]["error"]["message"]
    assert "'env' is a required property" in said[1]["error"]["message"]
    assert "Under way are: approval" in said[2]["error"]["message"]
    (asked,) = events(notebook, ApprovalRequested)
    taken = {"run_id": run_id, "activity_id": asked.activity_id, "status": "recorded"}
    assert said[3] == taken
    tell(book, "reject", run_id, code=2)  # nothing is asked any more


def test_a_signal_answers_the_question_of_its_name(book: Book) -> None:
    notebook = book.start()
    notebook.cell(FORM)
    run_id = notebook.session.run_id
    said: list[Any] = []

    def answer(asked: ApprovalRequested) -> None:
        for wrong in ((), ('{"n": 2}',)):
            said.append(tell(book, "signal", run_id, "Which?", *wrong, code=2))
        said.append(tell(book, "signal", run_id, asked.activity_id, '{"env": "prod"}'))

    done = when(notebook, ApprovalRequested, answer)
    assert run(notebook, "{}", ASK) == notebook.live["Form"](env="prod")
    assert done.wait(60)
    assert "asks 'Which?'" in said[0]["error"]["message"]
    assert "'env' is a required property" in said[1]["error"]["message"]
    (asked,) = events(notebook, ApprovalRequested)
    assert said[2] == {"run_id": run_id, "activity_id": asked.activity_id, "status": "recorded"}
    assert events(notebook, SignalReceived) == []


def test_a_signal_that_shares_its_name_with_a_question_is_none_of_its_answers(book: Book) -> None:
    notebook = book.start()
    run_id = notebook.session.run_id
    tell(book, "signal", run_id, "deploy", "true")  # the run got a signal of this name

    def act(asked: ApprovalRequested) -> None:
        assert tell(book, "signal", run_id, "deploy", "true")["activity_id"] is None
        tell(book, "signal", run_id, asked.activity_id, "false")

    done = when(notebook, ApprovalRequested, act)
    assert run(notebook, "{}", "evercell.approval('deploy')") is False
    assert done.wait(60)
    assert len(events(notebook, SignalReceived)) == 2


def test_what_comes_while_no_process_has_the_run_is_kept(book: Book) -> None:
    notebook = book.start()
    run_id = notebook.session.run_id
    book.stop()
    sent = tell(book, "signal", run_id, "go", "7", "seven", '{"a": 1}')
    assert sent == {"run_id": run_id, "activity_id": None, "status": "kept"}
    refused = tell(book, "cancel", run_id, code=2)
    assert "No process has run" in refused["error"]["message"]
    notebook = book.start()
    assert run(notebook, "{}", "evercell.wait_signal('go')") == (7, "seven", {"a": 1})


def test_a_signal_a_skip_and_a_cancel_reach_what_runs(book: Book) -> None:
    notebook = book.start()
    run_id = notebook.session.run_id
    notebook.cell("@evercell.step\nasync def slow(x): await asyncio.Event().wait()")
    when(notebook, SignalAwaited, lambda _: tell(book, "signal", run_id, "go"))
    assert run(notebook, "await {}", "evercell.wait_signal('go')") is None
    when(notebook, StepStarted, lambda _: tell(book, "skip", run_id, "slow", '{"a": [1]}'))
    assert run(notebook, "await {}", "slow(1)") == {"a": [1]}
    when(notebook, StepStarted, lambda _: tell(book, "cancel", run_id, "slow", "--reason", "no"))
    shell = notebook.cell("await slow(2)")
    assert "no" in str(shell.error)


def test_what_the_run_refuses_its_sender_hears(book: Book) -> None:
    notebook = book.start()
    run_id = notebook.session.run_id
    notebook.cell("@evercell.step\nasync def slow(x): await asyncio.Event().wait()")
    said: list[Any] = []

    def act(_: StepStarted) -> None:
        said.append(tell(book, "retry-now", run_id, "slow", code=2))
        tell(book, "skip", run_id, "slow", "1")

    done = when(notebook, StepStarted, act)
    assert run(notebook, "await {}", "slow(1)") == 1
    assert done.wait(60)
    assert "does not wait for its next attempt" in said[0]["error"]["message"]
    assert [path.name for path in (book.folder / "inbox").iterdir()] == []


def test_a_workflow_is_terminated_and_forked_with_its_users_word(book: Book) -> None:
    notebook = book.start()
    notebook.cell("from evercell import step, workflow")
    define = (
        "@step(version=VERSION)\nasync def draft(x): return x + 'VERSION'\n"
        "@workflow\nasync def flow(topic):\n"
        "    text = await draft(topic)\n"
        "    return text + ' ' + await workflow.wait_signal('go', str)"
    )
    notebook.cell(define.replace("VERSION", "1"))
    notebook.cell("handle = flow.start('a', id='one')")
    tell(book, "signal", "one", "nothing")
    tell(book, "terminate", "one", "--reason", "enough")
    closed = tell(book, "signal", "one", "go", "x", code=1)
    assert "is closed" in closed["error"]["message"]
    forked = tell(book, "fork", "one", "--override", 'draft="better"')
    tell(book, "signal", forked["run_id"], "go", "now")
    notebook.cell("from evercell.engine.workflow.handle import WorkflowHandle")
    notebook.live["forked"] = forked["run_id"]
    assert run(notebook, "{}", "WorkflowHandle(forked).result(30)") == "better now"
    notebook.cell(define.replace("VERSION", "2"))
    refused = tell(book, "fork", "one", code=1)
    assert refused["error"]["code"] == ForkEditedError.code
    assert "draft" in refused["error"]["message"]
    assert "--accept-edits" in refused["error"]["message"]
    again = tell(book, "fork", "one", "--accept-edits", "--id", "two")
    assert again["status"] == "recorded"
    tell(book, "signal", "two", "go", "then")
    notebook.live["forked"] = again["run_id"]
    assert run(notebook, "{}", "WorkflowHandle(forked).result(30)") == "a1 then"


def test_a_notebooks_run_is_forked_with_another_result(book: Book) -> None:
    notebook = book.start()
    notebook.cell("from evercell import step\n@step\ndef ask(x): return x + 1")
    notebook.cell("answer = ask(1)")
    origin = notebook.session.run_id
    forked = tell(book, "fork", origin, "--override", "ask=7")
    assert (forked["status"], notebook.session.run_id) == ("recorded", origin)
    unknown = tell(book, "fork", origin, "--override", "other=7", code=1)
    assert unknown["error"]["code"] == ForkError.code
    book.stop()
    notebook = book.start()
    assert notebook.session.run_id == forked["run_id"]
    notebook.cell("from evercell import step\n@step\ndef ask(x): return x + 1")
    assert notebook.cell("answer = ask(1)").ran
    assert notebook.live["answer"] == 7


def test_a_fork_that_is_refused_later_says_why_to_who_asked(book: Book) -> None:
    notebook = book.start()
    define = (
        "from evercell import step, workflow\n"
        "@step(version=VERSION)\nasync def draft(x): return x\n"
        "@workflow\nasync def flow(): return await draft('a')"
    )
    notebook.cell(define.replace("VERSION", "1"))
    assert run(notebook, "{}", "flow.start(id='one').result(30)") == "a"
    book.stop()
    assert tell(book, "show", "one")["status"] == "completed"
    kept = tell(book, "fork", "one", "--id", "two")
    assert kept["status"] == "kept"
    unknown = tell(book, "show", kept["run_id"], code=2)
    assert unknown["error"]["code"] == RunNotFoundError.code
    notebook = book.start()
    notebook.cell(define.replace("VERSION", "2"))
    inbox = book.folder / "inbox"
    until = time.monotonic() + 30
    while any(it.name[0] != "." for it in inbox.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    refused = tell(book, "show", kept["run_id"], code=1)
    assert refused["error"]["code"] == ForkEditedError.code
    assert "draft" in refused["error"]["message"]
    assert "draft" in "".join(notebook.session.history.take_notices())


@pytest.mark.parametrize(
    "words",
    [
        ("approve", "RUN"),
        ("approve", "RUN", "--value", "true"),
        ("approve", "RUN", "--value", "{"),
        ("skip", "RUN", "slow", "text"),
        ("fork", "RUN", "--at", "ask"),
        ("fork", "RUN", "--id", "other"),
        ("fork", "RUN", "--override", "x"),
        ("terminate", "RUN"),
        ("signal", "nobody", "go"),
    ],
)
def test_what_fits_nothing_is_refused_and_leaves_no_letter(book: Book, words: Any) -> None:
    run_id = book.start().session.run_id
    tell(book, *(run_id if word == "RUN" else word for word in words), code=2)
    assert not (book.folder / "inbox").exists()


def test_a_dead_kernels_cell_is_answered(book: Book) -> None:
    notebook = book.start()
    interrupt_at(notebook, ApprovalRequested)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.approval('Deploy?')")
    book.die()
    run_id = notebook.session.run_id
    book.stop()
    assert tell(book, "approve", run_id, "Deploy?")["status"] == "kept"
    assert run(book.start(), "{}", "evercell.approval('Deploy?')") is True
