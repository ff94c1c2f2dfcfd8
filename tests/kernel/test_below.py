"""`configure(progress=True)`: the run's view below each cell with durable calls."""

from notebooks import Notebook, cells, run_all

CONFIGURE = """
evercell.configure(progress=True)
"""
DEFINE = """
import evercell
@evercell.step
def double(n):
    return 2 * n
"""
WORK = "doubled = [double(n) for n in range(3)]"
IN_A_THREAD = """
import threading
thread = threading.Thread(target=lambda: double(7))
thread.start()
thread.join()
del thread
"""


def views(answer):
    """The texts of the live views that the cell showed first."""
    return [
        content["data"]["text/plain"]
        for kind, content in answer.messages
        if kind == "display_data" and "evercell-view" in str(content["transient"])
    ]


def test_once_asked_for_each_cell_with_steps_shows_the_run_and_is_restored_without_it(tmp_path):
    notebook = Notebook(tmp_path)
    sources = cells(DEFINE, "double(9)", CONFIGURE, WORK, "print(doubled)", IN_A_THREAD)
    with notebook.kernel() as k:
        first = run_all(k, sources)
    assert [len(views(answer)) for answer in first] == [0, 0, 0, 1, 0, 1]
    assert "notebook.ipynb" in views(first[3])[0]
    with notebook.kernel() as k:
        again = run_all(k, sources)
    assert [d.decision for d in notebook.decisions()] == [
        "restored", "restored", "executed", "restored", "restored", "restored",
    ]  # fmt: skip
    assert not any(map(views, again))
    assert again[4].text() == "[0, 2, 4]\n"
