"""Several ES modules as one, because a widget's script is sent as one text.

The modules under `static/` are plain ESM, which a browser, Node and tsc take as they are. Joining
them needs no bundler as long as they keep to a small form, which `joined` checks: imports are
named, one per line, from "./file.js"; exports stand before declarations; only the entry has a
default export; and no two modules declare the same name at the top.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["joined"]

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
_DECLARED = re.compile(r"^(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)


def joined(entry: Path) -> str:
    """The module `entry` with all that it imports. Raises ValueError for what can't be joined."""
    texts: dict[str, str] = {}
    _collect(entry, texts, exports=True)
    owners: dict[str, str] = {}
    for file, text in texts.items():
        for name in _DECLARED.findall(_EXPORT.sub("", text)):
            if name in owners:
                raise ValueError(f"{name} is declared in {owners[name]} and in {file}.")
            owners[name] = file
        if re.search(r"^\s*import\b[^(]", text, re.MULTILINE):
            raise ValueError(f"{file} has an import that is not of the one form.")
    return "\n".join(texts.values())


def _collect(path: Path, texts: dict[str, str], *, exports: bool) -> None:
    """Add the file's text after those of its imports."""
    if path.name in texts:
        return
    text = path.read_text(encoding="utf-8")
    texts[path.name] = ""  # a cycle ends here; its functions are called later, when all are there
    for name in _IMPORT.findall(text):
        _collect(path.parent / name, texts, exports=False)
    del texts[path.name]
    text = _IMPORT.sub("", text)
    texts[path.name] = text if exports else _EXPORT.sub("", text)
