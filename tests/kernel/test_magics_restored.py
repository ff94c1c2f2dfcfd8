"""Magics whose effect depends on files: what an edit between and within kernels does."""

import os

import pytest
from notebooks import Notebook, cells, run_all, shown

SOURCES = cells(
    "%load_ext autoreload\n%autoreload 2",
    "import helper",
    "helper.answer()",
    "%run script.py",
    "from_script",
    "%pip --version",
    "%%timeit -n1 -r1\npass",
    "%conda --no-such-command",
)
RELOADING, IMPORT, CALL, RUN, VARIABLE, PIP, TIMEIT, CONDA = range(len(SOURCES))


def write(path, text, age):
    """A file of its own time: autoreload goes by that."""
    path.write_text(text)
    os.utime(path, (1_700_000_000 + age, 1_700_000_000 + age))


def value(answer):
    return answer.messages[-1][1]["data"]["text/plain"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three kernels: the module is edited while the first one lives, the script behind it."""
    notebook = Notebook(tmp_path_factory.mktemp("magics"))
    helper, script = notebook.folder / "helper.py", notebook.folder / "script.py"
    write(helper, "def answer():\n    return 1\n", 0)
    write(script, "from_script = 'one'\nprint('ran')\n", 0)
    answers, decided = [], []
    with notebook.kernel() as k:
        answers.append(run_all(k, SOURCES))
        write(helper, "def answer():\n    return 2\n", 5)
        answers[0].append(k.run("helper.answer()", metadata={"cellId": "later"}))
    write(script, "from_script = 'two'\nprint('ran')\n", 5)
    for _ in range(2):
        with notebook.kernel() as k:
            answers.append(run_all(k, SOURCES))
        decided.append([d.decision for d in notebook.decisions()])
    return answers, decided


def test_edited_module_is_reloaded_and_its_cells_are_stale_afterwards(runs):
    (first, second, third), (edited, again) = runs
    assert [value(first[CALL]), value(first[-1])] == ["1", "2"]
    assert [value(second[CALL]), value(third[CALL])] == ["2", "2"]
    assert edited[CALL] == "executed"
    assert again[CALL] == "restored"


def test_setting_up_reloading_is_done_again_in_each_kernel(runs):
    _, (edited, again) = runs
    assert [edited[RELOADING], again[RELOADING]] == ["recomputed", "recomputed"]


def test_edited_script_runs_again_and_an_unchanged_one_is_restored(runs):
    (first, second, third), (edited, again) = runs
    assert [value(a[VARIABLE]) for a in (first, second, third)] == ["'one'", "'two'", "'two'"]
    assert edited[RUN] == "executed"
    assert [again[RUN], again[VARIABLE]] == ["restored", "restored"]
    assert third[RUN].text() == "ran\n"


def test_what_pip_said_and_what_was_timed_come_back(runs):
    (_, second, third), (_, again) = runs
    for at in (PIP, TIMEIT):
        assert again[at] == "restored"
        assert shown(third[at]) == shown(second[at])
    assert third[PIP].text().startswith("pip ")


def test_a_magic_that_failed_runs_again(runs):
    (_, _, third), (_, again) = runs
    assert third[CONDA].reply["status"] == "error"
    assert again[CONDA] == "executed"
