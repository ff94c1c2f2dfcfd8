"""The code cells of a document, in the forms in which packages write tutorials.

.ipynb                        notebooks
.md    ```{code-cell}         MyST, as executed by myst-nb
.rst   .. jupyter-execute::   as executed by jupyter-sphinx
.rst   >>>                    doctest; a cell per example
.py    # %%, ########         scripts, as cut into cells by sphinx-gallery
"""

from __future__ import annotations

import ast
import doctest
import json
import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["code_cells"]

_MYST = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r":[\w-]+:[^\n]*")
_EXECUTE = re.compile(  # what is indented more than the directive itself
    r"^([ \t]*)\.\. jupyter-execute::[^\n]*\n((?:\1[ \t]+[^\n]*\n|[ \t]*\n)+)", re.MULTILINE
)
_CUT = re.compile(r"^(?:# ?%%|#{20,})[^\n]*\n(?:#[^\n]*\n)*", re.MULTILINE)


def code_cells(document: Path) -> list[str]:
    """The sources of its code cells, in order; those without any code are left out."""
    text = document.read_text(encoding="utf-8")
    match document.suffix:
        case ".ipynb":
            cells = [c["source"] for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
            found = ["".join(source) for source in cells]
        case ".md":
            found = [_without_options(block) for block in _MYST.findall(text)]
        case ".rst":
            blocks = _EXECUTE.findall(text)
            found = [_without_options(textwrap.dedent(block)) for _, block in blocks] or _tried(
                text
            )
        case ".py":
            found = _CUT.split(text[_end_of_docstring(text) :])
        case other:
            raise ValueError(f"{document}: no reader for {other}")
    return [source.strip() for source in found if _has_code(source)]


def _has_code(source: str) -> bool:
    lines = map(str.strip, source.split("\n"))
    return any(line and not line.startswith("#") for line in lines)


def _without_options(block: str) -> str:
    lines = block.strip("\n").split("\n")
    while lines and (_OPTION.fullmatch(lines[0].strip()) or not lines[0].strip()):
        del lines[0]
    return "\n".join(lines)


def _tried(text: str) -> list[str]:
    return [
        example.source
        for example in doctest.DocTestParser().get_examples(text)
        if doctest.SKIP not in example.options
    ]


def _end_of_docstring(script: str) -> int:
    first = ast.parse(script).body[0]
    assert isinstance(first, ast.Expr)
    return sum(len(line) + 1 for line in script.split("\n")[: first.end_lineno])
