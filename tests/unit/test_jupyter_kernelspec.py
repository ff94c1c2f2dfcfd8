import json
import sys

import pytest

from evercell.errors import KernelNotFoundError
from evercell.jupyter.kernelspec import RESOURCES, find, install


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Jupyter looks into empty folders only."""
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [])
    monkeypatch.setattr("jupyter_core.paths.SYSTEM_JUPYTER_PATH", [])
    return tmp_path


def test_installed_spec_starts_this_interpreter(nowhere):
    with pytest.raises(KernelNotFoundError, match="install-kernel"):
        find()
    folder = install(user=True)
    assert find() == folder
    spec = json.loads((folder / "kernel.json").read_text())
    assert spec["argv"] == [sys.executable, "-m", "evercell.jupyter", "-f", "{connection_file}"]
    assert spec["display_name"] == "Evercell (Python 3)"
    assert {p.name for p in folder.iterdir()} == {p.name for p in RESOURCES.iterdir()}


def test_prefix(tmp_path):
    folder = install(prefix=str(tmp_path))
    assert folder == tmp_path / "share/jupyter/kernels/evercell"


def test_packaged_spec_leaves_the_interpreter_to_jupyter():
    assert json.loads((RESOURCES / "kernel.json").read_text())["argv"][0] == "python"
