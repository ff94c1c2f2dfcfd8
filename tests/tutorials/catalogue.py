"""The tutorials: documents of other packages, as their source distributions ship them.

Nothing of them is in this repository. `python -m tests.tutorials.fetch` has pip download the source
distribution of the installed version and keeps the documents named here.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .reading import code_cells

__all__ = ["CACHE", "SAMPLE", "TUTORIALS", "Tutorial", "fetched", "versions"]

CACHE = Path(sys.prefix) / "tutorials"
"""Where the fetched documents are: beside the packages that they belong to."""

_SETUP = """\
import random
import numpy as np
random.seed(20)
np.random.seed(20)
"""
"""The first cell of each: most tutorials draw numbers without a seed, and two runs of those differ
in any kernel."""


@dataclass(frozen=True, slots=True)
class Tutorial:
    """One document and what it is called here."""

    package: str
    path: str  # in the source distribution

    @property
    def name(self) -> str:
        """As in docs/tutorials.md."""
        return f"{self.package}: {Path(self.path).stem}"

    @property
    def file(self) -> Path:
        """The fetched document."""
        return CACHE / self.package / self.path

    def cells(self) -> list[str]:
        """The sources of its code cells, behind one that seeds. Raises FileNotFoundError."""
        return [_SETUP, *code_cells(self.file)]


TUTORIALS = (
    Tutorial("lmfit", "examples/example_Model_interface.py"),
    Tutorial("networkx", "examples/algorithms/plot_subgraphs.py"),
    Tutorial("seaborn", "doc/_tutorial/aesthetics.ipynb"),
    Tutorial("sympy", "doc/src/tutorials/intro-tutorial/calculus.rst"),
    Tutorial("sympy", "doc/src/tutorials/intro-tutorial/matrices.rst"),
    Tutorial("sympy", "doc/src/tutorials/intro-tutorial/gotchas.rst"),
    Tutorial("xarray", "doc/getting-started-guide/quick-overview.md"),
    Tutorial("xarray", "doc/user-guide/combining.md"),
    Tutorial("xarray", "doc/user-guide/data-structures.md"),
    Tutorial("xarray", "doc/user-guide/groupby.md"),
    Tutorial("xarray", "doc/user-guide/pandas.md"),
    Tutorial("xarray", "doc/user-guide/time-series.md"),
)

SAMPLE = ("lmfit: example_Model_interface", "networkx: plot_subgraphs", "xarray: groupby")
"""Those that `make test` runs."""


def fetched() -> bool:
    """Whether the documents are there, of the versions that are installed."""
    stamp = CACHE / "versions.json"
    try:
        return bool(json.loads(stamp.read_text()) == versions())
    except (FileNotFoundError, PackageNotFoundError):
        return False


def versions() -> dict[str, str]:
    """The installed version of each package. Raises PackageNotFoundError."""
    return {package: version(package) for package in sorted({t.package for t in TUTORIALS})}
