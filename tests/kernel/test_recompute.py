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
