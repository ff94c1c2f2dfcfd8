"""Every recipe of docs/recipes.md over a history that real cells and steps made: one run that was
killed, resumed, and restored whole; one with another model; one that was killed and left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from history_samples import SECOND, T0, Recorder

from evercell import events as e
from evercell.codec.messages import Message, encode_messages
from evercell.history import History, bind
from support import plain_notebook

DOCS = Path(__file__).parents[2] / "docs" / "recipes.md"
BLOCKS = re.findall(
    r"^```sql\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
RECIPES = {block.split("\n")[0].removeprefix("-- recipe: "): block for block in BLOCKS}

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """The history, to ask it; `runs` are the ids of its three runs, in order."""

    history: History
    runs: list[str]

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        table = self.history.query(sql, bind(sql, parameters, "the test"))
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]

    def recipe(self, name: str, **parameters: Any) -> list[Row]:
        return self.rows(RECIPES[name], **parameters)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("recipes") / ".evercell"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(folder.with_name("key")))
        plain_notebook.start(folder, "small", die="colour?")
        plain_notebook.start(folder, "small")
        plain_notebook.start(folder, "small")
        plain_notebook.start(folder, "large")
        plain_notebook.start(folder, "small", fresh=True, die="slow?")
        history = History(folder)
        yield Asked(history, [run.run_id for run in history.runs()])
        history.close()


def test_every_block_is_a_named_recipe_and_has_a_test() -> None:
    tests = {name.removeprefix("test_recipe_") for name in globals()}
    assert len(RECIPES) == len(BLOCKS)
    assert {name.replace(" ", "_") for name in RECIPES} <= tests


def test_recipe_cost(asked: Asked) -> None:
    rows = asked.recipe("cost", run=asked.runs[0])
    assert [(row["model"], row["cell"], row["calls"]) for row in rows] == [
        ("large", 5, 2),
        ("large", None, 2),
        ("small", 4, 4),
        ("small", None, 4),
        (None, None, 6),
    ]
    assert rows[2]["input_tokens"] == 4 * 5
    assert rows[2]["output_tokens"] == 4 * 10
    assert [row["cost"] for row in rows] == pytest.approx([0.06, 0.06, 0.06, 0.06, 0.12])


def test_recipe_cost_by_price(asked: Asked) -> None:
    large, small = asked.recipe("cost by price")
    # The third run was killed after two answers.
    assert (small["model"], small["calls"]) == ("small", 6)
    assert small["cost"] == pytest.approx(6 * (5 * 0.15 + 10 * 0.60) / 1e6)
    assert (large["model"], large["calls"]) == ("large", 4 + 2 + 2)


def test_recipe_saved(asked: Asked) -> None:
    first, second, third = asked.recipe("saved")
    # The second process restored two cells and got three answers; the third process restored both
    # of these, and the two cells that had made six calls.
    assert (first["run_id"], first["cells"], first["steps"]) == (asked.runs[0], 3 + 5, 3 + 6)
    assert first["tokens"] == (3 + 4) * 15 + 2 * 3
    assert first["cost"] == pytest.approx((3 + 4) * 0.015 + 2 * 0.03)
    cells = asked.rows("FROM cells WHERE decision = 'restored'")
    answered = asked.rows("FROM steps WHERE restored > 0")
    assert {row["arguments"] for row in answered} == {
        f'{{"prompt":"{prompt}","model":"small"}}' for prompt in ("capital?", "busy?", "slow?")
    }
    assert first["time"] == sum(
        [row["saved"] - row["duration"] for row in cells] + [row["duration"] for row in answered],
        start=timedelta(),
    )
    assert [(row["cells"], row["steps"], row["tokens"]) for row in (second, third)] == [
        (0, 0, 0)
    ] * 2


def test_recipe_retries(asked: Asked) -> None:
    (row,) = asked.recipe("retries", run=asked.runs[1])
    assert (row["prompt"], row["status"], row["attempts"]) == ("busy?", "completed", 3)
    assert row["attempt_by_attempt"] == (
        "support.plain_notebook.BusyError: try again (1) → "
        "support.plain_notebook.BusyError: try again (2) → completed"
    )
    assert row["waited"] > timedelta()


def test_recipe_retries_names_attempts_in_doubt(asked: Asked) -> None:
    (row,) = asked.recipe("retries", run=asked.runs[0])[1:]
    assert (row["prompt"], row["attempt_by_attempt"]) == ("colour?", "in doubt → completed")


def test_recipe_compare(asked: Asked) -> None:
    rows = asked.recipe("compare", first=asked.runs[0], second=asked.runs[1])
    assert [(row["cell"], row["name"], row["prompt"]) for row in rows] == [
        *((4, "ask", prompt) for prompt in ("capital?", "busy?", "slow?", "colour?")),
        *((5, "judge", prompt) for prompt in ("capital?", "busy?")),
    ]
    assert [row["prompt"] for row in rows if not row["same"]] == ["colour?"]
    left = asked.recipe("compare", first=asked.runs[0], second=asked.runs[2])
    assert [row["second_status"] for row in left] == [
        "completed", "completed", "in doubt", None, None, None,
    ]  # fmt: skip
    assert not any(row["same"] for row in left[2:])


def test_recipe_slowest(asked: Asked) -> None:
    rows = asked.recipe("slowest")
    assert len(rows) == 10
    assert all("slow?" in row["arguments"] for row in rows[:2])
    durations = [row["duration"] for row in rows]
    assert durations == sorted(durations, reverse=True)


def test_recipe_answers(asked: Asked) -> None:
    rows = asked.recipe("answers", prompt="colour?")
    assert [(row["run_id"], row["answer"]) for row in rows] == [
        (asked.runs[0], "?"),
        (asked.runs[1], "COLOUR?"),
    ]


def test_recipe_in_doubt(asked: Asked) -> None:
    # The first run's cell and step were in doubt once, and are no more.
    cell, step = asked.recipe("in doubt")
    assert (cell["what"], cell["run_id"], cell["cell"]) == ("cell", asked.runs[2], 4)
    assert cell["name"].startswith("with lock:")
    assert (step["what"], step["run_id"], step["name"]) == ("step", asked.runs[2], "ask")
    assert '"slow?"' in step["arguments"]


def test_recipe_recomputed(asked: Asked) -> None:
    (row,) = asked.recipe("recomputed")
    assert (row["run_id"], row["cell"], row["times"]) == (asked.runs[0], 3, 1)
    assert "lock" in row["reason"]


def test_recipe_outputs(tmp_path: Path) -> None:
    asked = flows(tmp_path)
    [row] = asked.recipe("outputs", run="run0000001", word="LOSS")
    assert (row["cell"], row["kind"], row["shown"]) == (3, "stream", "loss 0.5\n")
    asked.history.close()


def flows(tmp_path: Path) -> Asked:
    """A notebook's run with a cell that shows something, and with three workflows, which wait,
    failed and finished."""
    history = History(tmp_path / "flows")
    notebook = Recorder(history).start().attach()
    texts = (Message("stream", {"name": "stdout", "text": it}) for it in ("loss 0.5\n", "", "x"))
    shown = history.put(encode_messages(tuple(texts)), "messages")
    cell, error = notebook.cell(index=2), e.ErrorInfo("ValueError", "no")
    history.append(e.CellFailed(notebook.run_id, notebook.tick(), cell, 1, error, False, shown))
    waits = notebook.workflow()
    history.append(
        e.TimerStarted(waits.run_id, waits.tick(), "t-1", "workflow", "sleep", T0 + 9 * SECOND),
        e.TimerStarted(waits.run_id, waits.tick(), "t-2", "workflow", "gone", T0 + 8 * SECOND),
        e.TimerFired(waits.run_id, waits.tick(), "t-2"),
        e.ApprovalRequested(waits.run_id, waits.tick(), "q-1", "workflow", "Deploy?", None),
    )
    notebook.workflow("flow000002").finish("failed", error=e.ErrorInfo("ValueError", "no"))
    notebook.workflow("flow000003").finish()
    return Asked(history, [])


def test_recipe_waiting(tmp_path: Path) -> None:
    asked = flows(tmp_path)
    rows = asked.recipe("waiting")
    assert [(row["what"], row["name"], row["workflow"]) for row in rows] == [
        ("timer", "sleep", "review"),
        ("approval", "Deploy?", "review"),
    ]
    asked.history.close()


def test_recipe_workflows(tmp_path: Path) -> None:
    asked = flows(tmp_path)
    rows = asked.recipe("workflows")
    assert [(row["status"], row["runs"], row["last_error"]) for row in rows] == [
        ("completed", 1, None),
        ("failed", 1, "ValueError: no"),
        ("running", 1, None),
    ]
    assert rows[0]["shortest"] == timedelta(seconds=1)
    asked.history.close()
