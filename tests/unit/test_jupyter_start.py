"""What a kernel loads before its first cell."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import evercell.jupyter.app, evercell.jupyter.kernel
print(*sys.modules)
"""


def test_a_kernel_starts_without_the_engine() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    loaded = answer.stdout.split()
    below = ("engine", "cell", "codec", "history", "events", "settings")
    assert "evercell.jupyter.executor" in loaded
    assert not [name for name in loaded if name.startswith(tuple(f"evercell.{it}" for it in below))]
    assert not {"duckdb", "msgspec", "cloudpickle", "sqlite3"}.intersection(loaded)


AHEAD = """
import sys
from evercell.jupyter.ahead import LoadAhead

ahead = LoadAhead()
ahead.begin()
ahead.begin()
if sys.argv[1:]:
    ahead.finish()
    print(*sys.modules)
"""


def test_what_the_first_cell_needs_is_loaded_ahead() -> None:
    command = [sys.executable, "-c", AHEAD, "finish"]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    needed = {"evercell.engine.session", "evercell.engine.step", "evercell.jupyter.hosting"}
    assert needed | {"duckdb"} <= set(loaded)


def test_a_process_ends_in_order_while_it_loads() -> None:
    done = subprocess.run([sys.executable, "-c", AHEAD], check=True, capture_output=True, text=True)
    assert not done.stderr
