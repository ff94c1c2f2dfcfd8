"""A recomputed cell: what it keeps from its record, and what must be fresh."""

from notebooks import Notebook, cells, run_all, shown

MAKES = """
import threading, uuid
port = uuid.uuid4().hex
server = (port, threading.Lock())
tag = uuid.uuid4().hex
"""


def test_what_is_tied_to_an_unstorable_value_is_fresh_and_the_rest_is_kept(tmp_path):
    notebook = Notebook(tmp_path)
    sources = cells(MAKES, "print(server[0] == port)", "print(tag)", "print(port)")
    with notebook.kernel() as k:
        first = [shown(answer) for answer in run_all(k, sources)]
    with notebook.kernel() as k:
        again = [shown(answer) for answer in run_all(k, sources)]
    assert next(d.decision for d in notebook.decisions()) == "recomputed"
    assert "True" in str(again[1])  # a port and its server belong together
    assert again[2] == first[2]  # the tag is the recorded one, so what used it stays valid
    assert again[3] != first[3]  # the port is a new one, and what used it ran again


CLIENT = """
import threading
from IPython.display import HTML, display
print("made", flush=True)
display(HTML("<b>made</b>"))
lock = threading.Lock()
lock
"""


def test_it_runs_when_it_is_needed_and_shows_nothing_then(tmp_path):
    notebook = Notebook(tmp_path)
    sources = cells(CLIENT, "n = 1\nprint(n)")
    with notebook.kernel() as k:
        first = run_all(k, sources)
    with notebook.kernel() as k:
        again = run_all(k, sources)
        assert [shown(answer) for answer in again] == [shown(answer) for answer in first]
        assert [d.decision for d in notebook.decisions()] == ["restored", "restored"]
        k.client.complete("lock.loc")  # who only looks makes nothing run
        k.client.get_shell_msg(timeout=30)
        assert "runs again" not in str(k.run("print(n)").messages)
        answer = k.run("print(lock.locked())")
        assert "lock: its cell runs again for this one" in answer.text("stderr")
        assert answer.text("stdout") == "False\n"
        assert "<b>made</b>" not in str(answer.messages)
        assert k.value("Out[1] is lock") is True
    ((reason,),) = notebook.rows("SELECT reason FROM cells WHERE decision = 'recomputed'")
    assert reason.startswith(
        "a cell needs what can't be stored: lock: cannot pickle '_thread.lock'"
    )
