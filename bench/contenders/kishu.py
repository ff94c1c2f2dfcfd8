"""Kishu: commits a kernel's variables after each cell; a later kernel checks the last commit out.

It lives in an environment of its own (`make bench` makes it), for it wants packages that shadow
the standard library's. Its frontend is not waited for: that is what its test mode leaves out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_client.kernelspec import KernelSpec

from bench.lanes import LaneError

if TYPE_CHECKING:
    from bench.kernels import Kernel

__all__ = ["SPEC", "attach", "check_installed", "check_out", "keep_commit"]

PYTHON = Path(sys.prefix, "kishu", "bin", "python")
SPEC = KernelSpec(
    argv=[str(PYTHON), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    display_name="Python 3 with Kishu",
    language="python",
)
# In a function, for it replaces the namespace under the cell that attaches it.
_ATTACH = """
def _attach():
    import os, pathlib
    os.environ["ENV_KISHU_TEST_MODE"] = "1"
    from kishu.jupyterint import KishuForJupyter
    from kishu.notebook_id import NotebookId
    notebook = NotebookId("bench", pathlib.Path({notebook!r}), "bench")
    kishu = KishuForJupyter(notebook, ip=get_ipython())
    kishu.set_session_id(1)
    kishu.install_kishu_hooks()
_attach()
"""
_NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def attach(kernel: Kernel, folder: Path) -> None:
    """Have the kernel's cells committed to, or restored from, what is in `folder`. Raises LaneError
    with what Kishu says where it can't."""
    notebook = folder / "notebook.ipynb"
    if not notebook.exists():
        notebook.write_text(json.dumps(_NOTEBOOK))
    kernel.execute(_ATTACH.format(notebook=str(notebook)))


def keep_commit(kernel: Kernel, folder: Path) -> None:
    """Note what is to be checked out later: all up to now."""
    path = str(folder / "commit")
    kernel.execute(f"open({path!r}, 'w').write(_kishu._kishu_graph.head()); None")


def check_out(kernel: Kernel, folder: Path) -> None:
    """Restore the variables of that commit."""
    kernel.execute(f"_kishu.checkout({(folder / 'commit').read_text()!r}, skip_notebook=True)")


def check_installed() -> None:
    """Raise LaneError unless there is such an environment."""
    if not PYTHON.exists():
        raise LaneError(
            "not installed: make bench makes .venv/kishu, if PyPI has it for this Python"
        )
