"""What a magic in a cell may touch, as far as its text tells.

    %time, %%time, %timeit, %%timeit, %%capture, %prun   run Python: their text is code of the cell
    !cmd, %%bash, %cd, %env, %%html, %pip, ...           happen outside: they read the names that
                                                         stand in {braces} or after a $, no others
    all others                                           can touch any name

IPython's input transformer has made calls of `get_ipython()` of them.
"""

from __future__ import annotations

import ast
import re

import msgspec

__all__ = ["Magic", "read_magic", "without_magics"]

_OUTSIDE = frozenset({
    "!", "HTML", "SVG", "bash", "cat", "cd", "conda", "dhist", "env", "file", "html", "javascript",
    "js", "latex", "ls", "lsmagic", "mamba", "markdown", "perl", "pip", "pwd", "pycat", "python",
    "python3", "quickref", "ruby", "script", "set_env", "sh", "svg", "sx", "system", "uv",
    "writefile",
})  # fmt: skip
_NAME = re.compile(r"[^\W\d]\w*")
_IN_TEXT = re.compile(r"\$\{?([^\W\d]\w*)|\{([^{}]*)\}")
_STORED = re.compile(r"--(?:out|err|proc)[ =]+([^\W\d]\w*)")  # of %%bash and its like
_TIMEIT = re.compile(r"(?:-[tcqo]+\s+|-[nrp]\s*\d+\s+)*")
_CAPTURE = re.compile(r"(?:--no-(?:stderr|stdout|display)\s*)*([^\W\d]\w*)?\s*\Z")


class Magic(msgspec.Struct, frozen=True):
    """One magic, as it stands in the cell."""

    name: str
    code: tuple[ast.Module, ...] | None = None  # the Python that it runs
    reads: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    is_known: bool = False  # it touches nothing but what its text tells


def read_magic(node: ast.AST) -> Magic | None:
    """The magic that a `get_ipython().run_line_magic("name", ...)` runs; "!" for the shell."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    target = node.func.value
    if not (
        isinstance(target, ast.Call)
        and isinstance(target.func, ast.Name)
        and target.func.id == "get_ipython"
    ):
        return None
    words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
    texts = [word for word in words if isinstance(word, str)]
    constant = len(texts) == len(node.args) > 0
    match node.func.attr:
        case "system" | "getoutput":
            return _outside("!", texts) if constant else Magic("!")
        case "run_line_magic" | "run_cell_magic" if constant:
            magic, *rest = texts
            return _outside(magic, rest) if magic in _OUTSIDE else _running(magic, *rest)
        case "run_line_magic" | "run_cell_magic":
            return Magic(texts[0] if texts else "get_ipython()")
        case other:
            return Magic(f"get_ipython().{other}()")


def without_magics(tree: ast.Module) -> list[ast.stmt]:
    """The statements at the top, with the code that a magic runs in place of the magic."""
    found: list[ast.stmt] = []
    for statement in tree.body:
        magics = [read_magic(node) for node in ast.walk(statement)]
        code = [part for magic in magics if magic is not None for part in magic.code or ()]
        found += [inner for part in code for inner in part.body] or [statement]
    return found


def _outside(name: str, words: list[str]) -> Magic:
    text = " ".join(words)
    found = [one or other for one, other in _IN_TEXT.findall(text)]
    reads = frozenset(n for part in found for n in _NAME.findall(part))
    stores = frozenset(_STORED.findall(words[0] if words else ""))
    return Magic(name, None, reads, stores, is_known=True)


def _running(name: str, line: str = "", body: str | None = None) -> Magic:
    stores: frozenset[str] = frozenset()
    parts: list[str] = []
    if name in ("time", "prun") and not (line.strip() and body is not None):
        parts = [line if body is None else body]
    elif name == "timeit":
        match = _TIMEIT.match(line.strip() + " ")
        rest = (line.strip() + " ")[match.end() if match else 0 :].strip()
        parts = [rest] if body is None else [rest, body]
    elif name == "capture" and body is not None and (match := _CAPTURE.match(line.strip())):
        parts = [body]
        stores = frozenset(filter(None, match.groups()))
    if not parts:
        return Magic(name)
    try:
        trees = tuple(map(ast.parse, parts))
        for tree in trees:
            compile(tree, "<magic>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Magic(name)  # options, or magics inside of it
    return Magic(name, trees, stores=stores, is_known=True)
