"""A page may ask while the first cell runs: what both load is loaded by one thread at a time."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = Path(__file__).parents[2] / "kernel" / "evercell"
LOADED_LATE = [*KERNEL.glob("engine/**/*.py"), *KERNEL.glob("jupyter/*.py")]
ELSEWHERE = {
    "environment.py",  # workflows' tests, in which there is no kernel
    "extension.py",  # %load_ext loads the kernel, before it answers any page
}

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


def _late_imports(tree: ast.AST, *, guarded: bool = False) -> list[ast.ImportFrom]:
    """Imports of Evercell's modules inside functions, and not `with importing:`."""
    found: list[ast.ImportFrom] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            is_ours = node.level > 0 or (node.module or "").startswith("evercell")
            found += [node] if is_ours and not guarded else []
        else:
            is_guard = isinstance(node, ast.With) and ast.unparse(node.items[0]) == "importing"
            found += _late_imports(node, guarded=guarded or is_guard)
    return found


@pytest.mark.parametrize(
    "path",
    [it for it in LOADED_LATE if it.name not in ELSEWHERE],
    ids=lambda it: str(it.relative_to(KERNEL)),
)
def test_what_a_kernel_imports_late_is_imported_by_one_thread_at_a_time(path: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text("utf-8"))
    late = [it for f in ast.walk(tree) if isinstance(f, functions) for it in _late_imports(f)]
    assert [f"{path.name}:{it.lineno}" for it in late] == []


IRIS = """
import sys
from evercell.jupyter import headless
from evercell.loading import import_jsonschema

import_jsonschema()
import nbclient, nbformat
assert not {"rfc3987_syntax", "lark"} & set(sys.modules)
from jsonschema import FormatChecker

checks = FormatChecker()
assert checks.conforms("https://example.org/ä", "iri")
assert not checks.conforms("no iri", "iri")
assert checks.conforms("ä#b", "iri-reference")
assert "lark" in sys.modules
"""


def test_the_grammar_of_iris_is_built_when_one_is_checked() -> None:
    pytest.importorskip("rfc3987_syntax", reason="JupyterLab brings it")
    done = subprocess.run([sys.executable, "-c", IRIS], stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stderr
