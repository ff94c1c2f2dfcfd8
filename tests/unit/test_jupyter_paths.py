import json
from pathlib import Path

import pytest

from evercell.errors import UsageError
from evercell.jupyter.notebook_file import NotebookFile
from evercell.jupyter.paths import locate, run_parameters

CWD = Path("/work/here")
FILE = "/run/kernel-0b1c.json"


def place(environ=(), connection_file=FILE, namespace=()):
    return locate(dict(environ), connection_file, CWD, dict(namespace))


def test_headless_notebook_wins_over_the_session_name():
    found = place({"EVERCELL_NOTEBOOK": "/a/one.ipynb", "JPY_SESSION_NAME": "/b/two.ipynb"})
    assert found.notebook == "/a/one.ipynb"
    assert found.history == Path("/a/.evercell")


def test_relative_headless_notebook_is_made_absolute():
    assert place({"EVERCELL_NOTEBOOK": "one.ipynb"}).notebook == "/work/here/one.ipynb"


def test_session_name_is_taken_if_it_is_a_notebook_path():
    assert place({"JPY_SESSION_NAME": "/b/two.ipynb"}).file == Path("/b/two.ipynb")
    for name in ("console-1-abc", "two.ipynb", "/b/two.py", ""):
        assert place({"JPY_SESSION_NAME": name}).file is None


def test_vs_code_says_it_in_the_namespace():
    assert place(namespace={"__vsc_ipynb_file__": "/c/n.ipynb"}).notebook == "/c/n.ipynb"
    assert place(namespace={"__vsc_ipynb_file__": 3}).file is None


def test_without_a_path_the_connection_file_names_the_notebook():
    found = place()
    assert (found.notebook, found.kernel_id) == ("kernel:kernel-0b1c", "0b1c")
    assert found.history == CWD / ".evercell"


def test_home_overrides_the_folder_beside_the_notebook():
    environ = {"EVERCELL_HOME": "/h", "EVERCELL_NOTEBOOK": "/a/one.ipynb"}
    assert place(environ).history == Path("/h")
    assert place({"EVERCELL_HOME": "rel"}).history == CWD / "rel"


def test_parameters():
    assert run_parameters({}) == {}
    assert run_parameters({"EVERCELL_PARAMETERS": '{"n": 1}'}) == {"n": 1}
    for bad in ("[1]", "{", "3"):
        with pytest.raises(UsageError, match="EVERCELL_PARAMETERS"):
            run_parameters({"EVERCELL_PARAMETERS": bad})


def test_cell_index_follows_the_file(tmp_path):
    path = tmp_path / "n.ipynb"
    notebook = NotebookFile(path)
    assert notebook.index_of("b") is None
    path.write_text(json.dumps({"cells": [{"id": "a", "source": "x"}, {"id": "b"}], "nbformat": 4}))
    assert notebook.index_of("b") == 1
    assert notebook.index_of("zzz") is None
    path.write_text(json.dumps({"cells": [{"id": "b"}, {"cell_type": "code"}, {"id": "a"}]}))
    assert (notebook.index_of("b"), notebook.index_of("a")) == (0, 2)
    path.write_text('{"cells": [')  # in the middle of a save
    assert notebook.index_of("a") is None
    assert NotebookFile(None).index_of("a") is None
