"""The project's own modules, as inputs by content.

A module counts as the project's when its file lies below the project's folder and outside of
installed packages. As soon as a cell can reach one of them, all that are loaded count, for they
import each other. A module whose file changed after it was imported runs code that is nowhere on
disk any more: nothing recorded with it can be a hit.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from evercell.cell.contents import fingerprints
from evercell.cell.files import file_version, folder_version
from evercell.cell.imports import watch_imports

if TYPE_CHECKING:
    import types
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

__all__ = ["PREFIX", "Project"]

PREFIX = "@file:"


class Project:
    """Module files below `root`; None: there is no project."""

    def __init__(self, root: Path | None) -> None:
        self._root = None if root is None else f"{root.resolve()}{os.sep}"
        self._seen: dict[str, tuple[int, bytes]] = {}  # file -> (id of the module, its digest)
        self._known: tuple[int, dict[str, types.ModuleType]] = (0, {})
        self._imports = watch_imports()

    def reached(self, modules: Iterable[str]) -> dict[str, types.ModuleType]:
        """All loaded project modules by file, if any of `modules` is one of them."""
        loaded = self._loaded()
        if not loaded:
            return {}
        names = {module.__name__ for module in loaded.values()}
        roots = {name.partition(".")[0] for name in names}
        hit = any(name in names or name.partition(".")[0] in roots for name in modules)
        return loaded if hit else {}

    def reads(self, files: Iterable[str]) -> dict[str, bytes]:
        """What a cell that ran the code of these files has read."""
        return {self._name(file): self._executed(file) for file in files}

    def version(self, name: str, without: Collection[str] = ()) -> bytes:
        """Digest of the file that the pseudo-name stands for, now; b"" if it is not there. Of a
        folder those `without` don't count."""
        path = os.path.join(self._root or "", name.removeprefix(PREFIX))  # noqa: PTH118
        return folder_version(path, without) if without else file_version(path)

    def data(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Files that a cell read or wrote as data, with their versions, by pseudo-name."""
        return {self._name(file): version for file, version in files.items()}

    def fingerprint(self, modules: Iterable[types.ModuleType]) -> dict[str, bytes]:
        """What the modules' variables hold, as far as it can be told."""
        return fingerprints(modules)

    def begin(self) -> None:
        """A cell is about to run."""
        self._imports.begin()

    def imported(self) -> dict[str, bytes]:
        """The fingerprint of what it imported, as it was then."""
        return dict(self._imports.fresh)

    def _name(self, file: str) -> str:
        return PREFIX + file.removeprefix(self._root or "")

    def _executed(self, file: str) -> bytes:
        module = self._loaded().get(file)
        now = file_version(file)
        known = self._seen.setdefault(file, (id(module), now))
        return now if known[1] == now else os.urandom(16)

    def _loaded(self) -> dict[str, types.ModuleType]:
        if self._root is None:
            return {}
        if self._known[0] != len(sys.modules):
            found: dict[str, types.ModuleType] = {}
            for module in list(sys.modules.values()):
                file = getattr(module, "__file__", None)
                if isinstance(file, str) and self._is_project(file):
                    found[file] = module
                    self._seen.setdefault(file, (id(module), file_version(file)))
            self._known = (len(sys.modules), found)
        return self._known[1]

    def _is_project(self, file: str) -> bool:
        if self._root is None or not file.startswith(self._root):
            return False
        inside = file[len(self._root) :]
        return "site-packages" not in inside and not file.startswith(
            (f"{sys.prefix}{os.sep}", f"{sys.base_prefix}{os.sep}")
        )
