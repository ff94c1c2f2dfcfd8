"""Large arrays: stored without copies, restored over their files, ordinary ever after."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sessions import Notebook

from evercell.codec.buffers import PrivateMapping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
