"""Edits that don't fit an open run: each is refused before anything is carried out, naming what is
recorded, what today's code asks for, and the line; the run goes on when the code fits again."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, edit, settle
from wrong_edits import EDITS, SETTING, SOURCE

from evercell.engine.workflow.asks import ASKED
from evercell.engine.workflow.definition import DEFINED
from evercell.errors import NondeterminismError, WorkflowBlockedError
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wrong_edits import Edit

    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.handle import WorkflowHandle

CELL = "<the cell>"


class Stage:
    """A run that has gone through all of SOURCE but its end, and the ledger of what its steps
    did."""

    def __init__(self, env: WorkflowEnvironment, ledger: Path) -> None:
        self.env = env
        self._ledger = ledger
        self._slow = threading.Event()
        self._cell: dict[str, Any] = {"__name__": "__main__", "write": self._write}
        exec(compile(SETTING, "<setting>", "exec"), self._cell)
        self.right = self.defined(SOURCE)
        self.handle: WorkflowHandle[Any] = self.right.start(1, id="main")

    def _write(self, line: str) -> None:
        with self._ledger.open("a") as ledger:
            ledger.write(f"{line}\n")
        if "slow" in line:
            self._slow.set()

    def ledger(self) -> list[str]:
        return self._ledger.read_text().splitlines()

    def defined(self, source: str) -> Workflow[..., Any]:
        exec(compile(source, CELL, "exec"), self._cell)
        made: Workflow[..., Any] = self._cell["main"]
        return made

    def asked(self) -> int:
        return sum(isinstance(event, ASKED) for event in self.handle.history())

    def refusal(self) -> BaseException | None:
        """Why the run can't go on."""
        with pytest.raises(WorkflowBlockedError) as blocked:
            self.handle.result(5)
        settle(self.env)
        return blocked.value.__cause__

    def play(self) -> None:
        """Bring the run to its last wait."""
        env, handle = self.env, self.handle
        self._cell["helper"].start(1, id="helper")
        settle(env)
        assert handle.update("extend", 5).result(LIMIT) == 6
        handle.signal("note", "hm")
        env.sleep(60)
        assert self._slow.wait(LIMIT)  # while it runs, time stands still
        handle.signal("enough")
        settle(env)
        handle.answer(True)
        handle.signal("word", "four")
        settle(env)
        env.sleep(6)
        self.asked_first = self.asked()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    DEFINED.clear()
    folder = tmp_path_factory.mktemp("edits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(folder / "key"))
        with WorkflowEnvironment(folder / "history") as env:
            stage = Stage(env, folder / "ledger")
            stage.play()
            yield stage


@pytest.mark.parametrize("wrong", EDITS, ids=[edit.name for edit in EDITS])
def test_a_wrong_edit_is_refused_before_anything_happens(stage: Stage, wrong: Edit) -> None:
    done = stage.ledger()
    source = SOURCE.replace(wrong.old, wrong.new, 1)
    assert source != SOURCE
    edit(stage.env, stage.defined(source))
    why = stage.refusal()
    assert stage.ledger() == done
    assert isinstance(why, NondeterminismError)
    held, _, today = why.message.partition("today's code asks for")
    assert (held, today) == (Matching(wrong.recorded), Matching(wrong.asked))
    line = next(n for n, text in enumerate(source.splitlines(), 1) if wrong.at.strip() in text)
    assert f"line {line} of {CELL}" in today


class Matching:
    """Equal to texts in which the pattern is found."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __eq__(self, text: object) -> bool:
        return isinstance(text, str) and re.search(self._pattern, text) is not None

    def __hash__(self) -> int:
        return hash(self._pattern)

    def __repr__(self) -> str:
        return f"Matching({self._pattern!r})"


def test_then_the_right_code_goes_on_and_each_thing_was_done_once(stage: Stage) -> None:
    assert stage.handle.status == "blocked"
    assert stage.asked() == stage.asked_first
    edit(stage.env, stage.right)
    settle(stage.env)
    assert stage.handle.status == "running"
    stage.handle.signal("end")
    assert stage.handle.result(LIMIT) == 8
    assert [line.split()[1] for line in stage.ledger()] == [
        "first", "second", "left", "right", "extend", "note", "named", "loop", "loop", "loop",
        "slow", "word", "before", "end",
    ]  # fmt: skip
