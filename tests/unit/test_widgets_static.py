"""The static table: readable without kernel, script or styles, and safe."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import nbformat
import pytest
import view_events as e

from evercell import events as ev
from evercell_widgets.snapshot import Snapshot, snapshot
from evercell_widgets.static import html_table, text_table
from evercell_widgets.texts import call_text, one_line
from evercell_widgets.view import RunView, apply_all
from evercell_widgets.words import duration, number

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def picture(*events: ev.Event) -> Snapshot:
    view = RunView()
    apply_all(view, events)
    return snapshot(view, now=1_700_000_100 * 10**9)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_everything_from_a_run_is_escaped() -> None:
    hostile = picture(
        ev.RunStarted("run1", 1, "notebook", f"/n/{HOSTILE}.ipynb", {}, "cpython-311", "0.1.0"),
        e.cell_started("c1", source=HOSTILE),
        e.step_started("s1", "c1", name=HOSTILE, arguments=HOSTILE),
        e.step_failed("s1"),
        e.step_started("s2", "c1", name="other"),
        e.cell_failed("c1"),
    )
    reader = read(html_table(hostile))
    assert set(reader.tags) <= {
        "div", "strong", "span", "br", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert reader.attributes <= {"style", "scope", "title", "colspan"}
    assert reader.text.count(HOSTILE) >= 3
    assert "<b>no</b>" in reader.text


def test_nbconvert_shows_the_table() -> None:
    exporters = pytest.importorskip("nbconvert.exporters", reason="nbconvert is not installed")
    done = picture(*e.killed_at_step(2), e.cell_started("c2"), e.answered("c2", "s0", "s1"))
    data = {"text/plain": text_table(done), "text/html": html_table(done)}
    output = nbformat.v4.new_output("display_data", data)
    cell = nbformat.v4.new_code_cell("evercell.progress()", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    for exporter in (exporters.HTMLExporter(template_name="basic"), exporters.MarkdownExporter()):
        shown, _ = exporter.from_notebook_node(notebook)
        assert shown.count("<table") == 1
        assert _words(data["text/html"]) in _words(shown)


def _words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_table_says_what_was_restored_and_what_it_saved() -> None:
    whole = picture(
        *e.killed_at_step(8), e.cell_started("c2"), e.answered("c2", *(f"s{n}" for n in range(8))),
        e.attempt_started("s8", "c2"), e.step_completed("s8"), e.cell_completed("c2"),
    )  # fmt: skip
    for text in (read(html_table(whole)).text, text_table(whole)):
        assert "agents.ipynb" in text
        assert "9 steps: 8 restored, 1 ran" in text
        assert "saved 240 ms, 880 tokens, cost 4" in text
        assert "ask()" in text


def test_a_running_table_says_of_when_it_is() -> None:
    assert re.search(r"as of \d\d:\d\d:\d\d", html_table(picture(e.cell_started("c1"))))


def test_lines_of_text_keep_to_the_width() -> None:
    whole = picture(e.cell_started("c1", source="x" * 300), e.cell_failed("c1"))
    assert all(len(line) <= 60 for line in text_table(whole, 60).splitlines())


def test_durations_and_numbers_read_well() -> None:
    seconds = [0, 0.34, 0.9996, 8.21, 59.99, 185, 3599.9, 7800]
    assert [duration(int(s * 1e9)) for s in seconds] == [
        "<1 ms", "340 ms", "1.0 s", "8.2 s", "1 min 00 s", "3 min 05 s", "1 h 00 min", "2 h 10 min",
    ]  # fmt: skip
    assert number(1234567) == "1\u202f234\u202f567"


def test_arguments_read_as_a_call() -> None:
    assert call_text('{"prompt": "why?"}') == "why?"
    assert call_text('{"a": 1, "b": [2]}') == "a: 1, b: [2]"
    assert call_text('{"prompt": "cut o') == "cut o…"
    assert call_text("") == ""
    assert call_text("[1]") == "[1]"


def test_a_result_reads_in_one_line() -> None:
    assert one_line('"an answer\\nin two lines"') == "an answer in two lines"
    assert one_line('"cut o') == "cut o"
    assert one_line('{"a":  1}') == '{"a": 1}'
    assert one_line("x" * 900, 5) == "xxxx…"
