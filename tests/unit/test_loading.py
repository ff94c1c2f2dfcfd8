"""A page may ask while the first cell runs: what both load is loaded by one thread at a time."""

import os
import subprocess
import sys

# The first cell's thread is in the middle of a package when the page's thread comes to one of its
# modules, and goes on when it is there, or can't come there.
RACE = """
import sys, threading
from importlib.abc import MetaPathFinder
from types import SimpleNamespace

import evercell.jupyter.kernel
from evercell.jupyter import comms, session

cell_inside, page_inside = threading.Event(), threading.Event()

class Pauses(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        by_page = threading.current_thread().name == "page"
        if name == "evercell.history.costs" and not by_page:
            cell_inside.set()
            page_inside.wait(1)
        if name == "evercell.history.disk" and by_page:
            page_inside.set()
        return None

sys.meta_path.insert(0, Pauses())
faults = []

def cell():
    try:
        session.open_session(None, None, None)
    except ImportError as fault:
        faults.append(fault)
    except AttributeError:
        pass  # it came to open the session of nothing

def page():
    targets = {}
    manager = SimpleNamespace(register_target=targets.__setitem__)
    comms.answer_lab(SimpleNamespace(comm_manager=manager), None)
    cell_inside.wait()
    try:
        targets[comms.LAB_TARGET](SimpleNamespace(on_close=lambda _: None), None)
    except ImportError as fault:
        faults.append(fault)
    except AttributeError:
        pass

threads = [threading.Thread(target=cell), threading.Thread(target=page, name="page")]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert cell_inside.is_set()
assert "evercell.jupyter.lab" in sys.modules and "evercell.engine.session" in sys.modules, faults
assert not faults, faults
"""


def test_a_page_that_comes_while_the_first_cell_loads_the_engine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACE],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
