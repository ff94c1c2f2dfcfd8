"""Large arrays and bytes: stored without copies, arrays restored over their files, ordinary ever
after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sessions import Notebook

from evercell.codec.buffers import PrivateMapping

if TYPE_CHECKING:
    from collections.abc import Iterator

CELLS = [
    "import numpy as np",
    """noise = np.random.default_rng(0).random(3_000_000)
view = noise[10:20]""",
    "noise[12] = 42.0",
    "total = float(noise.sum())",
]


@pytest.fixture(autouse=True)
def _main() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def owner(array: np.ndarray) -> object:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def test_a_restored_array_is_its_file_and_can_be_changed(tmp_path: Path) -> None:
    first = Notebook(tmp_path / ".evercell")
    for source in CELLS:
        first.cell(source)
    expected = first.live["noise"].copy()
    first.close()

    second = Notebook(tmp_path / ".evercell")
    assert not any(second.cell(source).ran for source in CELLS)
    assert "noise" not in second.live  # nobody has needed it
    second.session.provide("noise")
    noise, view = second.live["noise"], second.live["view"]
    assert isinstance(owner(noise), PrivateMapping)
    assert noise.flags.writeable
    assert view[2] == 42.0
    assert np.array_equal(noise, expected)
    changed = second.cell("noise[13] = -1.0")
    assert changed.ran
    assert view[3] == -1.0
    second.close()

    third = Notebook(tmp_path / ".evercell")
    shells = [third.cell(source) for source in [*CELLS, "noise[13] = -1.0"]]
    assert not any(shell.ran for shell in shells)
    third.session.provide("view")
    assert third.live["noise"][13] == -1.0
    assert third.live["view"][3] == -1.0
    third.close()


# -- results of steps ------------------------------------------------------------------------------

STEP = f"""import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from sessions import Notebook, peak

notebook = Notebook(Path(sys.argv[1]))
notebook.session.history.query("SELECT 1")  # DuckDB is there, whoever else asks for it
before = peak()
notebook.cell('''
import os
import numpy as np
from evercell import step

@step
def make(count):
    return {{"content": os.urandom(count)}}

@step(schedule_to_close_timeout="1h")
async def limited(count):
    return np.random.default_rng(0).integers(0, 256, count, np.uint8)
''')
notebook.cell("total = int((await limited(128 << 20)).sum())" + sys.argv[2])
notebook.cell("total += make(128 << 20)['content'].count(0)" + sys.argv[2])
print(notebook.live["total"], (peak() - before) / (128 << 20))
notebook.stop()
"""


def test_a_large_result_of_a_step_is_bounded_in_memory(tmp_path: Path) -> None:
    """It is held once: as what the body returned while it is written, then as its file."""

    def run(end: str) -> tuple[int, float]:
        done = subprocess.run(
            [sys.executable, "-c", STEP, str(tmp_path), end],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        total, times = done.stdout.split()
        return int(total), float(times)

    total, first = run("")
    again, replay = run(" + 0")  # the cell was edited, so that it asks for its step
    assert total == again
    assert first < 1.5
    assert replay < 1.6


def test_a_large_result_is_the_callers_own(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    notebook.cell("""
import numpy as np
from evercell import step

@step
def make(count):
    return np.random.default_rng(0).random(count)
""")
    notebook.cell("first = make(3_000_000)\nfirst[0] = 2")
    assert isinstance(owner(notebook.live["first"]), PrivateMapping)
    notebook.cell("second = make(3_000_000)")
    assert notebook.live["second"][0] < 1
    notebook.close()
