"""Files as inputs of cells: an edited file makes stale what read it, and nothing else."""

from notebooks import Notebook, cells, run_all, shown

READS = 'text = open("data.txt").read()'
WRITES = 'with open("made.txt", "w") as made:\n    made.write("{}")'


def decisions(notebook):
    return [decision.decision for decision in notebook.decisions()]


def test_an_edited_data_file_makes_stale_what_read_it(tmp_path):
    notebook = Notebook(tmp_path)
    data = tmp_path / "data.txt"
    data.write_text("v1")
    sources = cells("x = 1", READS, "print(text)", "print(x)")
    with notebook.kernel() as k:
        run_all(k, sources)
    with notebook.kernel() as k:
        run_all(k, sources)
    assert decisions(notebook) == ["restored"] * 4
    data.write_text("v2")
    with notebook.kernel() as k:
        answers = run_all(k, sources)
    assert decisions(notebook) == ["restored", "executed", "executed", "restored"]
    assert "data.txt" in notebook.decisions()[1].reason
    assert "v2" in str(shown(answers[2]))


def test_a_file_between_two_cells_carries_an_edit(tmp_path):
    notebook = Notebook(tmp_path)
    reads = "print(open('made.txt').read())"
    with notebook.kernel() as k:
        run_all(k, cells(WRITES.format("v1"), reads))
    with notebook.kernel() as k:
        answers = run_all(k, cells(WRITES.format("v2"), reads))
    assert "v2" in str(shown(answers[1]))
    assert decisions(notebook) == ["executed", "executed"]
