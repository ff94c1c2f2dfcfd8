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
