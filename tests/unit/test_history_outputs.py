"""What cells showed, in SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from history_samples import SECOND, Recorder

from evercell import events as e
from evercell import settings
from evercell.codec.messages import Message, encode_messages
from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLACEHOLDER = "<IPython.core.display.Markdown object>"


def stream(text: str, name: str = "stdout") -> Message:
    return Message("stream", {"name": name, "text": text})


def display(**parts: Any) -> Message:
    data = {kind.replace("_", "/"): part for kind, part in parts.items()}
    return Message("display_data", {"data": data, "metadata": {}})


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path / "history")
    yield history
    history.close()


@pytest.fixture
def recorder(history: History) -> Recorder:
    return Recorder(history).start().attach()


def show(recorder: Recorder, *messages: Message, index: int = 0, failed: bool = False) -> str:
    cell = recorder.cell(slot=f"id:{index}", index=index)
    outputs = recorder.history.put(encode_messages(messages), "messages") if messages else None
    event: e.Event
    if failed:
        error = e.ErrorInfo("ValueError", "no")
        event = e.CellFailed(recorder.run_id, recorder.tick(), cell, SECOND, error, False, outputs)
    else:
        event = e.CellCompleted(
            recorder.run_id, recorder.tick(), cell, b"k", 1, {}, (), (), (), outputs, None, True
        )
    recorder.history.commit(event)
    return cell


def shown(history: History, columns: str = "kind, name, mime, text") -> list[tuple[Any, ...]]:
    return history.query(f"SELECT {columns} FROM outputs").rows


def test_a_row_for_each_message(history: History, recorder: Recorder) -> None:
    show(recorder, stream("one\n"), stream("bad\n", "stderr"), index=4)
    show(
        recorder,
        Message(
            "error",
            {"ename": "ValueError", "evalue": "no", "traceback": ["\x1b[31mValue\x1b[0m", "no"]},
        ),
        index=5,
        failed=True,
    )
    show(recorder, index=6)
    assert shown(history) == [
        ("stream", "stdout", "text/plain", "one\n"),
        ("stream", "stderr", "text/plain", "bad\n"),
        ("error", "ValueError", "text/plain", "Value\nno"),
    ]
    assert shown(history, "cell_index, cell_id, ordinal, size > 10") == [
        (4, "4", 0, True),
        (4, "4", 1, True),
        (5, "5", 0, True),
    ]


def test_the_text_is_what_people_read(history: History, recorder: Recorder) -> None:
    show(
        recorder,
        display(text_plain="   a\n0  1", text_html="<table>"),
        display(text_plain=PLACEHOLDER, text_markdown="# Title"),
        display(text_plain="<IPython.core.display.HTML object>", text_html="<b>x</b>"),
        display(text_plain="<Figure size 640x480 with 1 Axes>", image_png="iVBOR" * 9),
        display(text_plain="<IPython.core.display.JSON object>", application_json={"a": [1]}),
        Message("execute_result", {"data": {"text/plain": "42"}, "execution_count": 1}),
        Message("clear_output", {"wait": False}),
    )
    assert shown(history, "mime, text, data->>'text/html', data->'application/json'->>'a'") == [
        ("text/html", "   a\n0  1", "<table>", None),
        ("text/markdown", "# Title", None, None),
        ("text/html", "<b>x</b>", "<b>x</b>", None),
        ("image/png", None, None, None),
        ("application/json", '{"a":[1]}', None, "[1]"),
        ("text/plain", "42", None, None),
        (None, None, None, None),
    ]
    assert "iVBOR" not in str(shown(history, "data"))


def test_what_is_large_is_named_by_its_payload(history: History, recorder: Recorder) -> None:
    settings.change(compress=False)
    show(recorder, stream("x" * 70_000), stream("end"), display(text_html="y" * 70_000))
    long, short, html = shown(history, "text, data, size, payload_id")
    assert long[:3] == (None, None, long[2])
    assert long[2] > 70_000
    assert short[0] == "end"
    assert html[:2] == (None, None)
    found = history.result(long[3])
    assert found.payload is not None
    assert len(history.get(found.payload)) > 140_000


def test_what_cant_be_read_is_one_row(history: History, recorder: Recorder) -> None:
    settings.change(compress=False)
    show(recorder, stream("z" * 100_000), stream("more"))
    [blob] = [it for it in (history.folder / "blobs").rglob("*") if it.is_file()]
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    show(recorder, stream("fine"), index=1)
    assert shown(history, "cell_index, ordinal, kind, text") == [
        (0, 0, None, None),
        (1, 0, "stream", "fine"),
    ]


def test_encrypted_outputs_are_not_shown(history: History, recorder: Recorder) -> None:
    class Upside:
        name = "upside"
        encrypts = True

        def encode(self, data: bytes | memoryview) -> bytes:
            return bytes(data)[::-1]

        def decode(self, data: bytes) -> bytes:
            return data[::-1]

    settings.change(codec=Upside())
    show(recorder, stream("secret"))
    assert shown(history, "kind, text") == [(None, None)]


def test_they_go_with_their_run_and_come_back_with_it(
    history: History, recorder: Recorder, tmp_path: Path
) -> None:
    from evercell.history.collect import Retention

    show(recorder, stream("kept " * 20_000))
    other = Recorder(history, "run0000002").start()
    show(other, stream("other"))
    history.commit(e.RunDetached(recorder.run_id, recorder.tick(), 1))
    before = shown(history, "run_id, ordinal, kind, name, mime, text, data, size, payload_id")
    history.upkeep.export(recorder.run_id, tmp_path / "run.jsonl")
    history.upkeep.collect(Retention(runs=(recorder.run_id,)))
    assert shown(history, "run_id") == [("run0000002",)]
    history.upkeep.import_(tmp_path / "run.jsonl")
    assert shown(history, "run_id, ordinal, kind, name, mime, text, data, size, payload_id") == [
        *before
    ]


def test_anothers_are_shown_once_they_are_trusted(
    history: History, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(recorder, stream("theirs"), stream("too", "stderr"))
    history.close()
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "mine"))
    mine = History(history.folder)
    assert shown(mine, "kind, text") == [(None, None)]
    mine.upkeep.trust()
    assert shown(mine, "kind, text") == [("stream", "theirs"), ("stream", "too")]
    assert mine.query("SELECT count(*) FROM store.output").rows == [(2,)]
    assert mine.upkeep.verify().findings == ()
    mine.close()


def test_data_is_json(history: History, recorder: Recorder) -> None:
    show(recorder, display(text_plain="1", text_latex="$1$"))
    [(data,)] = shown(history, "data")
    assert json.loads(data) == {"text/plain": "1", "text/latex": "$1$"}
