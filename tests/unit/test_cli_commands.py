"""`ls`, `show` and `sql` over a real history, and what each command says to bad input."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from evercell import events
from evercell.cli.app import app
from evercell.history import History

if TYPE_CHECKING:
    from pathlib import Path

RUN, OTHER = "4k2m9x0abc", "7k2m9x0abc"
AT = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def _own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EVERCELL_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A history with one finished run, of a cell with two steps, and one that has only begun."""
    history = History(tmp_path / ".evercell")
    payload = history.put(b'{"answer": 42}', "json")
    for event in _recorded(str(tmp_path / "exp.ipynb"), payload):
        history.commit(event)
    history.close()
    return tmp_path / ".evercell"


def _recorded(notebook: str, payload: events.Payload) -> list[events.Event]:
    error = events.ErrorInfo("openai.RateLimitError", "slow down")
    return [
        events.RunStarted(RUN, AT, "notebook", notebook, {"n": 3}, "cpython-311", "0.1.0"),
        events.RunAttached(RUN, AT, 1, 1234, "here", "k", notebook),
        _cell("c1", "id:a", 0, "# ask\nanswers = ask(3)"),
        events.StepStarted(RUN, AT, "s1", "c1", "id:a", "ask", b"k1", 0, '{"q": "why?"}'),
        events.UsageRecorded(RUN, AT, "s1", 1, "smol", 10, 20),
        events.StepCompleted(RUN, AT, "s1", 1, payload, None, 2_000_000_000),
        events.StepStarted(RUN, AT, "s2", "c1", "id:a", "ask", b"k2", 0, '{"q": "how?"}'),
        events.AttemptFailed(RUN, AT, "s2", 1, error, 1_000_000),
        events.AttemptStarted(RUN, AT, "s2", "c1", 2),
        events.StepCompleted(RUN, AT, "s2", 2, payload, None, 1_000_000_000),
        events.CellCompleted(
            RUN, AT, "c1", b"key", 3_000_000_000, {}, (), (), (), None, None, True
        ),
        events.RunFinished(RUN, AT, "completed"),
        events.RunDetached(RUN, AT, 1),
        events.RunStarted(OTHER, AT + 1_000_000, "notebook", notebook, {}, "cpython-311", "0.1.0"),
    ]


def _cell(activity: str, slot: str, index: int, source: str) -> events.CellStarted:
    return events.CellStarted(
        RUN, AT, activity, slot, index, "a", source, b"d", 0, "executed", "new", 1
    )


def run(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=text)


def document(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# -- ls -----------------------------------------------------------------------------------------


def test_ls_lists_the_runs_the_latest_first(folder: Path) -> None:
    lines = run("ls").stdout.splitlines()
    rows = [line.split() for line in lines if "exp.ipynb" in line]
    assert [row[:3] for row in rows] == [
        [OTHER, "stopped", "exp.ipynb"],
        [RUN, "completed", "exp.ipynb"],
    ]
    assert "n=3" in rows[1]


def test_ls_as_json(folder: Path, tmp_path: Path) -> None:
    latest, first = document("ls")
    assert latest["run_id"] == OTHER
    assert first["notebook"] == str(tmp_path / "exp.ipynb")
    assert (first["parameters"], first["cells"], first["steps"]) == ({"n": 3}, 1, 2)
    assert first["started_at"].startswith("2023-11-")


def test_ls_of_a_history_without_runs(tmp_path: Path) -> None:
    History(tmp_path / "empty").close()
    assert "No runs yet" in run("ls", "--history", "empty").stdout
    assert document("ls", "--history", "empty") == []


# -- show ---------------------------------------------------------------------------------------


def test_show_takes_a_prefix_and_sums_up_the_steps(folder: Path) -> None:
    lines = run("show", "4k").stdout.splitlines()
    assert lines[0] == f"run {RUN}: completed"
    assert "  parameters: n=3" in lines
    assert "  usage of smol: 10 tokens in, 20 out" in lines
    cell = next(line.split() for line in lines if "answers = ask(3)" in line)
    assert cell[:6] == ["1", "completed", "executed", "3.0", "s", "2"]
    steps = next(line.split() for line in lines if line.split()[1:2] == ["ask"])
    assert steps[:6] == ["1", "ask", "completed", "2", "3", "0"]


def test_show_as_json_holds_every_step(folder: Path) -> None:
    shown = document("show", RUN)
    assert shown["usage"] == [
        {"model": "smol", "input_tokens": 10, "output_tokens": 20, "cost": None}
    ]
    (cell,) = shown["cells"]
    assert (cell["status"], cell["duration"]) == ("completed", 3.0)
    assert [(step["arguments"], step["result"], step["attempts"]) for step in cell["steps"]] == [
        ({"q": "why?"}, {"answer": 42}, 1),
        ({"q": "how?"}, {"answer": 42}, 2),
    ]


def test_show_names_the_latest_execution_of_a_cell_once(folder: Path) -> None:
    history = History(folder)
    history.append(
        events.RunAttached(RUN, AT, 2, 99, "here", "k", None),
        events.CellRestored(
            RUN, AT, "c2", "c1", "id:a", 0, "a", "answers = ask(3)", b"d", 0, "same", 1, 5, 3
        ),
    )
    history.close()
    (cell,) = document("show", RUN)["cells"]
    assert (cell["decision"], cell["attach"], len(cell["steps"])) == ("restored", 2, 2)


@pytest.mark.parametrize("prefix", ["zz", ""])
def test_show_of_an_unknown_or_ambiguous_run_is_usage(folder: Path, prefix: str) -> None:
    result = run("show", prefix)
    assert result.exit_code == 2
    assert result.stderr.startswith("evercell: [EC205] ")


# -- sql ----------------------------------------------------------------------------------------

QUERY = "select name, attempts, result, duration from steps order by attempts"


def test_sql_prints_a_table_and_counts_on_stderr(folder: Path) -> None:
    result = run("sql", QUERY)
    assert "ask" in result.stdout
    assert "2.0 s" in result.stdout
    assert result.stderr == "2 rows\n"


def test_sql_as_json_and_csv(folder: Path) -> None:
    rows = document("sql", QUERY)
    assert [(row["name"], row["attempts"], row["duration"]) for row in rows] == [
        ("ask", 1, 2.0),
        ("ask", 2, 1.0),
    ]
    table = list(csv.reader(io.StringIO(run("sql", QUERY, "--csv").stdout)))
    assert table[0] == ["name", "attempts", "result", "duration"]
    assert table[1] == ["ask", "1", '{"answer": 42}', "2.0"]


def test_sql_reads_a_query_from_stdin(folder: Path) -> None:
    result = run("sql", "-", "--csv", text="select count(*) as n from runs")
    assert result.stdout == "n\n2\n"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("select 1/0.0 as x", [{"x": None}]),
        ("select 'nan'::double as x, [1, 2] as l, {'a': 1} as s",
         [{"x": None, "l": [1, 2], "s": {"a": 1}}]),
        ("select '\\x01'::blob as b, 1.50::decimal(5,2) as d, date '2026-11-23' as t",
         [{"b": "01", "d": 1.5, "t": "2026-11-23"}]),
        ("select count(*) as n from runs where false", [{"n": 0}]),
    ],
)  # fmt: skip
def test_sql_json_is_json(folder: Path, query: str, shown: object) -> None:
    assert document("sql", query) == shown


def test_bad_sql_is_usage_with_duckdbs_message(folder: Path) -> None:
    result = run("sql", "select nothing from runs")
    assert result.exit_code == 2
    assert result.stderr.startswith("evercell: [EC208] ")
    assert "nothing" in result.stderr


def test_an_error_as_json_is_a_document_on_stdout(folder: Path) -> None:
    result = run("sql", "selec", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "EC208"


def test_two_formats_are_usage(folder: Path) -> None:
    assert run("sql", QUERY, "--csv", "--json").exit_code == 2


# -- the history's folder -----------------------------------------------------------------------


def test_the_folder_comes_from_the_option_or_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert run("ls").exit_code == 2
    assert len(document("ls", "--history", str(folder))) == 2
    monkeypatch.setenv("EVERCELL_HOME", str(folder))
    assert len(document("ls")) == 2
    assert run("ls", "--history", str(tmp_path / "nowhere")).exit_code == 2


def test_reading_where_there_is_no_history_makes_none(tmp_path: Path) -> None:
    result = run("ls")
    assert result.exit_code == 2
    assert "There is no history in" in result.stderr
    assert not (tmp_path / ".evercell").exists()


def test_a_newer_history_is_refused_with_what_to_install(folder: Path) -> None:
    marker = folder / "history.json"
    newer = {**json.loads(marker.read_bytes()), "schema": 99, "evercell": "9.9"}
    marker.write_bytes(msgspec.json.encode(newer))
    result = run("ls")
    assert result.exit_code == 1
    assert result.stderr.startswith("evercell: [EC202] ")
    assert "9.9" in result.stderr


def test_a_damaged_journal_is_named(folder: Path) -> None:
    for path in folder.glob("history.duckdb*"):
        path.unlink()
    (journal,) = (folder / "journal").glob("*.log")
    data = bytearray(journal.read_bytes())
    first = data.index(b"EVFR")
    data[first + 40] ^= 0xFF
    journal.write_bytes(data)
    result = run("ls")
    assert result.exit_code == 1
    assert result.stderr.startswith("evercell: [EC203] ")
    assert str(journal) in result.stderr


def test_a_full_disk_is_said_and_nothing_is_traced(folder: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    result = subprocess.run(
        # Not to write bytecode: what is cut off at the limit would be there for all that follow.
        [sys.executable, "-B", "-m", "evercell", "ls"],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("evercell: [EC2")
    assert "Traceback" not in result.stderr


# -- the program --------------------------------------------------------------------------------


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from evercell.cli.app import app\n"
        "for words in (['--help'], ['run', '--help'], ['sql', '--help']):\n"
        "    assert CliRunner().invoke(app, words).exit_code == 0\n"
        "heavy = {'duckdb', 'nbclient', 'nbformat', 'jupyter_client', 'IPython', 'zmq', 'asyncio',"
        " 'evercell.history', 'evercell.engine'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("module", ["evercell", "evercell.cli"])
def test_the_modules_run(module: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", module, "frobnicate"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert result.returncode == 2
    assert "frobnicate" in result.stderr


def test_install_kernel_refuses_two_places() -> None:
    result = run("install-kernel", "--user", "--prefix", "/nowhere")
    assert result.exit_code == 2
    assert "Give one of them" in result.stderr


# -- sql: parameters and files ------------------------------------------------------------------


def test_sql_parameters_are_json_or_text(folder: Path) -> None:
    query = "select typeof($a) as a, $b as b, $c as c, $d as d"
    words = ("-p", "a=5", "-p", "b=it's = text", "--parameter", "c=[1, 2]", "-p", "$d=null")
    assert document("sql", query, *words) == [
        {"a": "INTEGER", "b": "it's = text", "c": [1, 2], "d": None}
    ]
    rows = document("sql", "select run_id from runs where run_id = $run", "-p", f"run={RUN}")
    assert rows == [{"run_id": RUN}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("select $x",), "asks for $x, and -p has no x"),
        (("select $modle", "-p", "model=1"), "Did you mean $model?"),
        (("select 1", "-p", "x=1"), "has no $x"),
        (("select $x", "-p", "x"), "not of the form name=value"),
        (("select $x", "-p", "x=1", "-p", "x=2"), "given twice"),
        (("select 1", "--csv", "--parquet", "x"), "Give one of them"),
    ],
)
def test_sql_parameters_that_do_not_fit_are_usage(
    folder: Path, words: tuple[str, ...], said: str
) -> None:
    result = run("sql", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_sql_writes_parquet(folder: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = "select name, duration + interval 1 millisecond as d from steps order by 2"
    result = run("sql", query, "--parquet", "s.parquet")
    assert (result.exit_code, result.stdout) == (0, "")
    found = duckdb.connect().from_parquet(str(tmp_path / "s.parquet")).fetchall()
    assert found == [("ask", 1.001), ("ask", 2.001)]
    failed = run("sql", "select 1", "--parquet", "absent/x.parquet")
    assert failed.exit_code == 2
    assert "absent/x.parquet could not be written" in failed.stderr


def test_sql_table_is_for_people(folder: Path) -> None:
    query = (
        "select 1234567 as n, interval 125 second as took, null as nothing, arguments from steps"
    )
    line = run("sql", query).stdout.splitlines()[-2]
    assert [word.strip() for word in line.split("  ") if word.strip()] == [
        "1,234,567", "2 min 05 s", "NULL", '{"q": "how?"}',
    ]  # fmt: skip
