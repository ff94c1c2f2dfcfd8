"""A run's picture on a terminal: what it says, and that it keeps to the terminal's size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import view_events as e
from rich.console import Console

from evercell.cli.picture import picture
from evercell_widgets.snapshot import snapshot
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from evercell import events as ev

NOW = 1_700_000_100 * 10**9


def printed(*events: ev.Event, width: int = 100, height: int = 40, color: bool = False) -> str:
    view = RunView()
    apply_all(view, events)
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=color, highlight=False,
        color_system="truecolor" if color else None,
    )  # fmt: skip
    console.print(picture(snapshot(view, now=NOW), width=width, height=height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def resumed() -> list[ev.Event]:
    return [
        *e.killed_at_step(8), e.cell_started("c2"), e.answered("c2", *(f"s{n}" for n in range(8))),
        e.attempt_started("s8", "c2"), e.step_started("bad", "c2", arguments='{"q": "why?"}'),
        e.step_failed("bad"), e.step_started("slow", "c2"), e.attempt_failed("slow"),
    ]  # fmt: skip


def test_it_says_what_was_restored_what_runs_and_what_failed() -> None:
    text = printed(*resumed())
    assert "agents.ipynb" in text
    assert "9 / 11 steps" in text
    assert "8 restored, 1 running, 1 retrying, 1 failed" in text
    assert "\nsaved 240 ms, 880 tokens, cost 4.00\n" in text  # a line more, and nothing is cut
    assert "✗ ask  why?  ValueError: <b>no</b>" in text
    assert "◌ ask" in text
    assert "attempt 2 in" in text


@pytest.mark.parametrize(("width", "height"), [(100, 30), (60, 12), (30, 6), (12, 3)])
def test_it_keeps_to_the_terminal(width: int, height: int) -> None:
    events = [*resumed()]
    for n in range(30):
        events += [e.cell_started(f"x{n}", f"id:{n}", index=n + 1), e.cell_completed(f"x{n}")]
    lines = printed(*events, width=width, height=height).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_what_has_no_room_is_finished_cells_and_said() -> None:
    events = [e.attached()]
    for n in range(30):
        events += [e.cell_started(f"x{n}", f"id:{n}", index=n), e.cell_completed(f"x{n}")]
    events += [e.cell_started("now", "id:a", index=0, source="running()")]
    lines = printed(*events, height=10).splitlines()
    assert any("running()" in line for line in lines)
    assert any("more cells" in line for line in lines)


def test_markup_in_a_run_is_text() -> None:
    text = printed(e.attached(), e.cell_started("c1", source="x = '[red]a[/red]'"))
    assert "x = '[red]a[/red]'" in text


def test_without_a_terminal_there_is_no_colour() -> None:
    assert "\x1b" in printed(*resumed(), color=True)
    assert "\x1b" not in printed(*resumed())
