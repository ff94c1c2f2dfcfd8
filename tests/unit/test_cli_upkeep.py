"""`verify`, `gc`, `trust` and `history` as commands: their words, documents and exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from history_samples import Recorder
from typer.testing import CliRunner, Result

from evercell import settings
from evercell.cli.app import app
from evercell.cli.upkeep import parse_size
from evercell.errors import UsageError
from evercell.history import History

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _uncompressed() -> None:
    """So that large values are files, although they say little."""
    settings.change(compress=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EVERCELL_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    history = History(tmp_path / ".evercell")
    for run_id in ("run0000001", "run0000002"):
        recorder = Recorder(history, run_id).start().attach()
        cell = recorder.cell()
        recorder.complete_step(recorder.step(cell), data=b"x" * 70_000)
        recorder.complete_cell(cell)
    history.close()
    return tmp_path / ".evercell"


def invoke(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=answer)


def document(*arguments: str) -> Any:
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_verify_says_that_all_is_right(folder: Path) -> None:
    result = invoke("verify")
    assert result.exit_code == 0
    assert "12 events, 1 payload file and" in result.stdout
    assert document("verify")["findings"] == []


def test_verify_ends_with_1_when_something_is_wrong(folder: Path) -> None:
    (blob,) = (folder / "blobs").glob("*/*")
    blob.unlink()
    result = invoke("verify", "--salvage")
    assert result.exit_code == 1
    assert f"error: {blob}: the file of a recorded value is missing." in result.stdout
    as_json = invoke("verify", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["holds"] is False


def test_gc_removes_a_run(folder: Path) -> None:
    dry = document("gc", "--run", "run0000001", "--dry-run")
    assert dry["runs"] == [["run0000001", "asked for"]]
    result = invoke("gc", "--run", "run0000001")
    assert "run0000001   removed   asked for" in result.stdout
    assert "1 run and 0 payload files removed" in result.stdout
    assert [run["run_id"] for run in document("ls")] == ["run0000002"]


def test_gc_keeps_the_latest_run_of_a_notebook(folder: Path) -> None:
    result = invoke("gc", "--max-size", "1kB")
    assert result.exit_code == 0
    assert "still larger than 1kB" in result.stderr
    assert [run["run_id"] for run in document("ls")] == ["run0000002"]


def test_wrong_words_are_a_usage_error(folder: Path) -> None:
    for arguments in (
        ("gc", "--max-size", "much"),
        ("gc", "--older-than", "long"),
        ("gc", "--keep", "-1"),
        ("gc", "--run", "nope"),
        ("history", "import", "nowhere.jsonl"),
        ("trust", "nowhere"),
    ):
        assert invoke(*arguments).exit_code == 2, arguments


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("1.5g", 15 * 10**8), ("7", 7), ("3KiB", 3072)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_no_size() -> None:
    with pytest.raises(UsageError, match="no size"):
        parse_size("GB")


def test_trust_asks(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "another"))
    refused = invoke("trust", str(folder), answer="n\n")
    assert refused.exit_code == 2
    assert "Nothing was trusted" in refused.stderr
    assert invoke("trust", str(folder), answer="").exit_code == 2
    assert document("trust", str(folder), "--yes")["events"] == 12
    assert "0 events" in invoke("trust", str(folder), answer="y\n").stdout


def test_a_run_goes_out_and_in(folder: Path, tmp_path: Path) -> None:
    told = document("history", "export", "run0000001", "-o", "run.jsonl")
    assert told["size"] == (tmp_path / "run.jsonl").stat().st_size
    invoke("gc", "--run", "run0000001")
    assert document("history", "import", "run.jsonl")["events"] == 6
    assert len(document("ls")) == 2
    elsewhere = ("--history", str(tmp_path / "new" / ".evercell"))
    assert document("history", "import", "run.jsonl", *elsewhere)["events"] == 6
    document("history", "export", "run0000001", "-o", "again.jsonl", *elsewhere)
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "run.jsonl").read_bytes()


def test_ls_tells_the_size(folder: Path) -> None:
    assert "MB in .evercell" in invoke("ls").stderr
