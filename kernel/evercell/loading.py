"""One thread at a time imports Evercell's modules.

A kernel loads the engine at its first cell, and what a JupyterLab page needs when a page asks: on
a subshell, which is another thread, and often at the same moment. Python locks each module while
it is imported. Two threads that come to a package and its modules in different orders wait for
each other; Python notices, and hands one of them a module that is half there: an ImportError.
So whatever is imported later than at the start is imported `with importing:`.
"""

from __future__ import annotations

import threading

__all__ = ["importing"]

importing = threading.RLock()
"""Held while modules are imported, and never while a module's import waits for anything else."""
