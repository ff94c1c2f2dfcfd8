"""marimo's persistent cache: a notebook as a script, its large values from cached functions."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

APP = """
import marimo
app = marimo.App()

@app.cell
def _():
    import numpy as np
    import marimo as mo
    return mo, np

@app.cell
def _(mo, np):
    @mo.persistent_cache(save_path={path!r})
    def make(seed, length):
        return np.random.default_rng(seed).random(length)
    return (make,)
"""
ARRAY = """
@app.cell
def _(make):
    big{number} = make({number}, {length})
    return (big{number},)
"""
SMALL = """
@app.cell
def _():
    x{number} = {number}
    print(x{number})
    return (x{number},)
"""
LAST = """
@app.cell
def _({arguments}):
    print([float(b[0]) for b in ({arguments})])
    return
"""


class Contender:
    """A process that runs the app's script once; each round is another one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run_all(self, cache: str, arrays: int, cells: int, length: int) -> float:
        """Seconds for all cells, from the first to the end of the last; results are in `cache`."""
        names = "".join(f"big{number}, " for number in range(arrays))
        text = APP.format(path=cache)
        text += "".join(ARRAY.format(number=n, length=length) for n in range(arrays))
        text += "".join(SMALL.format(number=n) for n in range(cells - 2 - arrays))
        text += LAST.format(arguments=names)
        path = self._folder / "app.py"
        path.write_text(text)
        sys.path.insert(0, str(self._folder))
        try:
            app = __import__("app").app
        finally:
            sys.path.remove(str(self._folder))
        begin = perf_counter()
        app.run()
        return perf_counter() - begin

    def close(self) -> None:
        """Nothing is open."""
