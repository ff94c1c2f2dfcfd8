"""%load_ext makes a plain ipykernel what the Evercell kernel is; and back."""

import subprocess
import sys

import pytest
from kernel_client import PACKAGES, kernel


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    home = tmp_path_factory.mktemp("loaded")
    with kernel(home, module="ipykernel_launcher", fake=True) as running:
        before = running.run("x = 41")
        assert before.reply["status"] == "ok"
        answer = running.run("%load_ext evercell.jupyter.extension")
        assert answer.reply["status"] == "ok", answer
        yield running


def test_cells_are_recorded_and_replayed(loaded):
    metadata = {"cellId": "first"}
    first = loaded.run("print('ran'); x + 1", metadata=metadata)
    assert loaded.recorded() == first.messages
    assert '"first"' in loaded.value("__import__('fake_engine').request()")
    again = loaded.run("print('ran'); x + 1", metadata=metadata)
    assert again.messages[0] == first.messages[0]
    assert again.reply["execution_count"] == first.reply["execution_count"] + 1


def test_process_output_is_complete(loaded):
    for n in range(30):
        answer = loaded.run(f"import os\n_ = os.system('echo {n}')")
        assert answer.text() == f"{n}\n"
        assert loaded.recorded() == answer.messages


def test_loading_again_changes_nothing(loaded):
    for magic in ("load_ext", "reload_ext"):
        loaded.run(f"%{magic} evercell.jupyter.extension")
        bases = loaded.value("[c.__name__ for c in type(get_ipython().kernel).__mro__]")
        assert bases.count("DurableKernel") == 1
        answer = loaded.run(f"print('once after {magic}')")
        assert answer.text() == f"once after {magic}\n"
        assert loaded.recorded() == answer.messages


def test_unloading_makes_it_plain(loaded):
    loaded.run("%unload_ext evercell.jupyter.extension")
    assert loaded.value("type(get_ipython().kernel).__name__") == "IPythonKernel"
    assert loaded.run("print('plain')").text() == "plain\n"
    assert "not found" in loaded.run("%evercell help").text("stderr")


def test_terminal_ipython_is_refused(tmp_path):
    code = "get_ipython().run_line_magic('load_ext', 'evercell.jupyter.extension')"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "-c", code],
        env={"PYTHONPATH": f"{PACKAGES[0]}", "IPYTHONDIR": str(tmp_path), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "NotInKernelError" in done.stdout + done.stderr
    assert "EC105" in done.stdout + done.stderr
