"""Kernels that are killed and started again: nothing restored wrong, lost, or paid twice.

Each fixture runs many small notebooks as one, in a plain kernel, in a durable one, and once more
in a durable one after kill -9; the tests compare.
"""

import json
import time
from collections import Counter

import pytest
from notebooks import Cell, Notebook, cells, error_text, run_all, shown
from restore_cases import EDITS, EDITS_FIRST, OUTPUTS, STATE, STEPS


class Comparison:
    """The same cells in a plain kernel, a durable one, and a durable one after a kill."""

    def __init__(self, folder, cases):
        self.cells = cells(*(s for case in cases.values() for s in case.sources))
        self.cases = [name for name, case in cases.items() for _ in case.sources]
        plain, notebook = Notebook(folder / "plain"), Notebook(folder / "durable")
        for each in (plain, notebook):
            (each.folder / "script.py").write_text("script_var = 7\nprint('script ran')\n")
        self.answers, self.states = [], []
        for start in (plain.plain, notebook.kernel, notebook.kernel):
            with start() as k:
                self.answers.append(run_all(k, self.cells))
                self.states.append({n: value_of(k, c.check) for n, c in cases.items() if c.check})
        self.decisions = notebook.decisions()

    def sources(self, name):
        """The sources of a case's cells."""
        pairs = zip((c.source for c in self.cells), self.cases, strict=True)
        return [s for s, case in pairs if case == name and s.strip()]

    def shown(self, name):
        """Per kernel, what the cells of a case showed and raised."""
        at = [n for n, case in enumerate(self.cases) if case == name]
        return [[(shown(a[n]), error_text(a[n])) for n in at] for a in self.answers]

    def decided(self, name):
        """Decisions of the killed and started kernel for the cells of a case."""
        return [
            next(d.decision for d in self.decisions if d.source == s) for s in self.sources(name)
        ]

    def reasons(self, name):
        """What the history says of the cells of a case, for a test that fails."""
        return [d for d in self.decisions if d.source in self.sources(name)]


def value_of(k, check):
    try:
        return k.value(f"repr(({check}))")
    except AssertionError as error:
        return f"failed: {error}"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return Comparison(tmp_path_factory.mktemp("outputs"), OUTPUTS)


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_those_of_plain_ipykernel_before_and_after_a_kill(outputs, name):
    plain, first, again = outputs.shown(name)
    case = OUTPUTS[name]
    if case.compared:
        assert first == plain
    assert again == first
    assert outputs.decided(name) == case.decided, outputs.reasons(name)


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return Comparison(tmp_path_factory.mktemp("state"), STATE)


@pytest.mark.parametrize("name", [name for name, case in STATE.items() if case.check])
def test_state_is_that_of_a_plain_run_before_and_after_a_kill(state, name):
    plain, first, again = (s[name] for s in state.states)
    assert not plain.startswith("failed"), plain
    assert first == plain
    assert again == plain
    assert state.decided(name) == STATE[name].decided, state.reasons(name)


class Edited:
    """Notebooks that are run, killed, edited, run again, killed, and run a third time."""

    def __init__(self, folder):
        plain, self.notebook = Notebook(folder / "plain"), Notebook(folder / "durable")
        before = [Cell(EDITS_FIRST, "first"), *self._cells(0)]
        after = [Cell(EDITS_FIRST, "first"), *self._cells(1)]
        with plain.plain() as k:
            self.plain = [shown(a) for a in run_all(k, after)]
            self.plain_state = {n: value_of(k, case[2]) for n, case in EDITS.items()}
        with self.notebook.kernel() as k:
            run_all(k, before)
        self.asked_before = self._asked()
        self.runs, self.states, self.asked = [], [], []
        for _ in range(2):
            with self.notebook.kernel() as k:
                self.runs.append([shown(a) for a in run_all(k, after)])
                self.states.append({n: value_of(k, case[2]) for n, case in EDITS.items()})
            self.asked.append(self._asked())
        self.edited = self._decisions(2)
        self.again = self._decisions(3)

    def _cells(self, version):
        return [Cell(s, f"{n}-{i}") for n, case in EDITS.items() for i, s in case[version].items()]

    def _asked(self):
        return (self.notebook.folder / "ledger.txt").read_text().splitlines()

    def _decisions(self, generation):
        rows = self.notebook.rows(
            f"SELECT cell_id, decision FROM cells WHERE generation = {generation}"
        )
        return dict(rows)


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    return Edited(tmp_path_factory.mktemp("edits"))


@pytest.mark.parametrize("name", EDITS)
def test_edited_notebook_gives_what_a_plain_run_of_it_gives(edited, name):
    assert not edited.plain_state[name].startswith("failed")
    assert edited.states[0][name] == edited.plain_state[name]
    assert edited.states[1][name] == edited.plain_state[name]
    expected = EDITS[name][3]
    kept = [i for i in EDITS[name][1] if edited.edited[f"{name}-{i}"] == "restored"]
    assert kept == expected


def test_edited_notebook_shows_what_a_plain_run_of_it_shows(edited):
    assert edited.runs == [edited.plain, edited.plain]


def test_edits_ask_only_what_is_new(edited):
    new = edited.asked[0][len(edited.asked_before) :]
    assert new == ["real s", "v2 1", "more 2"]
    assert edited.asked[1] == edited.asked[0]


def test_edited_notebook_is_restored_whole_by_the_next_kernel(edited):
    late = {i for i, decision in edited.again.items() if decision != "restored"}
    assert late <= {f"{name}-{i}" for name, case in EDITS.items() for i in case[4]}


# -- steps ----------------------------------------------------------------------------------------


class Ledger:
    """What the bodies of steps wrote down, outside of any kernel."""

    def __init__(self, notebook):
        self._file = notebook.folder / "ledger.txt"
        self._hang = notebook.folder / "hang"

    def calls(self):
        if not self._file.exists():
            return []
        entries = [json.loads(line) for line in self._file.read_text().splitlines()]
        return [tuple(e) for e in entries if e[0] != "hanging"]

    def hang_at(self, call):
        self._hang.write_text(call)

    def go_on(self):
        self._hang.unlink()

    def wait_for_hang(self, call, limit=60):
        """Until a step body says that it waits at `call`."""
        deadline = time.monotonic() + limit
        line = json.dumps(["hanging", call])
        while not self._file.exists() or line not in self._file.read_text().splitlines():
            assert time.monotonic() < deadline, f"nothing hung at {call}"
            time.sleep(0.01)


def wait_for_records(notebook, limit=60):
    """Until the history holds the end of each body that the ledger knows of: what was under way at
    a kill may be asked again, and this is about what was finished."""
    ended = "SELECT count(*) FROM attempts WHERE status IN ('completed', 'failed')"
    deadline = time.monotonic() + limit
    while notebook.rows(ended) != [(len(notebook.ledger.calls()),)]:
        assert time.monotonic() < deadline, "what ended was not recorded"
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["ids", "no ids"])
def steps(request, tmp_path_factory):
    """The notebook of steps, killed in five places, then run to its end."""
    notebook = Notebook(tmp_path_factory.mktemp("steps"))
    (notebook.folder / "helper.py").write_text(STEPS.helper)
    notebook.ledger = Ledger(notebook)
    notebook.cells = cells(*STEPS.sources, ids=request.param == "ids")
    kills = STEPS.kills if request.param == "ids" else STEPS.kills[1:2]
    for index, call in kills:
        notebook.ledger.hang_at(call)
        with notebook.kernel() as k:
            for answer in run_all(k, notebook.cells[:index]):
                assert answer.reply["status"] == "ok", answer
            cell = notebook.cells[index]
            k.send(cell.source, None if cell.id is None else {"cellId": cell.id})
            notebook.ledger.wait_for_hang(call)
            wait_for_records(notebook)
        notebook.ledger.go_on()
    with notebook.kernel() as k:
        notebook.answers = run_all(k, notebook.cells)
        notebook.once_more = run_all(k, [notebook.cells[STEPS.failing]])[0]
    notebook.asked = notebook.ledger.calls()
    return notebook


def test_no_finished_step_ran_twice(steps):
    repeated = {call: n for call, n in Counter(steps.asked).items() if n > 1}
    # Two equal calls, three attempts, one failure that its user tried again.
    assert repeated == {("ask", "same"): 2, ("flaky", "1"): 3, ("fail", "2"): 2}


def test_interrupted_cells_end_as_undisturbed_ones(steps):
    shown_values = [
        a.messages[-1][1]["data"]["text/plain"]
        for a in steps.answers
        if a.messages and a.messages[-1][0] == "execute_result"
    ]
    assert shown_values == list(STEPS.results)
    assert error_text(steps.answers[STEPS.failing]) == "LookupError: ('no', '2')"
    assert error_text(steps.once_more) == "LookupError: ('no', '2')"


def test_restored_steps_are_not_asked_again(steps):
    with steps.kernel() as k:
        again = run_all(k, steps.cells)
    assert [shown(a) for a in again] == [shown(a) for a in steps.answers]
    # The failed cell is run by its user, and its step is tried again.
    assert steps.ledger.calls()[len(steps.asked) :] == [("fail", "2")]


def test_edited_helper_module_asks_its_step_again_and_no_other(steps):
    before = steps.ledger.calls()
    helper = steps.folder / "helper.py"
    helper.write_text(helper.read_text().replace("return 1", "return 2"))
    try:
        with steps.kernel() as k:
            answers = run_all(k, steps.cells[: STEPS.failing])
    finally:
        helper.write_text(helper.read_text().replace("return 2", "return 1"))
    assert answers[STEPS.helped].messages[-1][1]["data"]["text/plain"] == "7"
    assert steps.ledger.calls()[len(before) :] == [("helper", "5")]


# -- runs -----------------------------------------------------------------------------------------


def test_second_kernel_is_refused_and_can_begin_a_run_of_its_own(tmp_path):
    notebook = Notebook(tmp_path)
    source = (
        "from evercell import step\n"
        "@step\n"
        "def ask():\n"
        "    print('asked', file=open('ledger.txt', 'a'))\n"
        "    return 1\n"
        "ask()"
    )
    with notebook.kernel() as first, notebook.kernel() as second:
        assert first.run(source).reply["status"] == "ok"
        refused = second.run(source)
        assert refused.reply["ename"] == "RunInUseError"
        assert "%evercell new-run" in refused.reply["evalue"]
        assert second.run("%evercell new-run").reply["status"] == "ok"
        assert second.run(source).reply["status"] == "ok"
        assert (tmp_path / "ledger.txt").read_text() == "asked\n" * 2


def test_unusable_history_folder_says_so_and_runs_nothing(tmp_path):
    notebook = Notebook(tmp_path)
    notebook.home.write_text("a file, where the folder should be")
    with notebook.kernel() as k:
        answer = k.run("ran = True")
        assert answer.reply["ename"].startswith("History")
        assert str(notebook.home) in answer.reply["evalue"]
        assert k.value("'ran' in globals()") is False


def test_fault_of_ours_costs_no_result(tmp_path):
    notebook = Notebook(tmp_path)
    broken = (
        "import evercell.cell.namespace as n\n"
        "def after(*a, **k): raise ZeroDivisionError('a fault')\n"
        "n.Namespace.after = after\n"
        "'result'"
    )
    with notebook.kernel() as k:
        k.run("x = 1")
        answer = k.run(broken)
        assert answer.reply["status"] == "ok"
        assert answer.messages[0] == (
            "execute_result",
            {"data": {"text/plain": "'result'"}, "metadata": {}, "execution_count": 2},
        )
        assert "please report" in answer.text("stderr")
        assert k.run("x + 1").messages[-1][1]["data"]["text/plain"] == "2"
    assert [(d.status, d.restorable) for d in notebook.decisions()] == [
        ("completed", True),
        ("completed", False),
        ("completed", False),
    ]


def test_loaded_extension_restores_as_the_kernel_does(tmp_path):
    notebook = Notebook(tmp_path)
    found = []
    for _ in range(2):
        with notebook.plain() as k:
            k.run("%load_ext evercell")
            found.append([shown(a) for a in run_all(k, cells("x = [1]", "x.append(2); x"))])
    assert found[0] == found[1]
    assert [d.decision for d in notebook.decisions()] == ["restored", "restored"]


CUT_OFF = """
import os, pathlib, signal
pathlib.Path("table.csv").write_text("half")
if os.path.exists("die"):
    import evercell
    evercell.sql("SELECT 1")  # so that it is durable that the cell began
    os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path("table.csv").write_text("whole")
"""


def test_a_finished_cell_that_was_cut_off_when_it_ran_once_more_runs_again(tmp_path):
    notebook = Notebook(tmp_path)
    (cell,) = cells(CUT_OFF)
    with notebook.kernel() as k:
        run_all(k, [cell])
        (tmp_path / "die").touch()
        k.send(cell.source, metadata={"cellId": cell.id})
        k.manager.provisioner.process.wait(timeout=60)
    (tmp_path / "die").unlink()
    assert (tmp_path / "table.csv").read_text() == "half"
    with notebook.kernel() as k:
        run_all(k, [cell])
    (again,) = notebook.decisions()
    assert (again.decision, again.reason) == ("executed", "it was cut off before it finished")
    assert (tmp_path / "table.csv").read_text() == "whole"


SHOWN = (
    "_ = str.upper",
    "# evercell: volatile\nupper = _('a')",
    "for _ in range(3): pass",
    "'while it is bound'",
    "# evercell: volatile\nlast = _",
    "del _",
    "'once it is not'",
    "# evercell: volatile\nshown = _",
)


def test_the_names_of_what_was_shown_are_the_users_once_he_binds_them(tmp_path):
    notebook = Notebook(tmp_path)
    for _ in range(2):
        with notebook.kernel() as k:
            run_all(k, cells(*SHOWN))
            assert k.value("(upper, last, shown)") == ("A", 2, "once it is not")
    decided = [d.decision for d in notebook.decisions()]
    assert decided == ["restored" if "volatile" not in it else "volatile" for it in SHOWN]
