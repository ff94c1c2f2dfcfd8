"""A cell's source: its normal form, what it may read and bind, and what its author asked for.

    source, transformed -> parse -> digest of the tree    (comments and layout don't count)
                                 -> code -> bytecode facts (names, escapes)
                                 -> directives             ("# evercell: volatile")

The transformed source is what IPython's input transformer made of it: magics are calls of
`get_ipython()` there. Each kind of magic has one of four behaviours:

    %evercell ..., %%evercell ...   volatile: always run, never recorded as a hit
    %time, %%capture, ...           their text is code of the cell
    %%bash, %cd, !cmd, ...          untrackable: the cell depends on all that came before
    all others, get_ipython().x     they may change the shell: the cell is recomputed

docs/magics.md has the list.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from itertools import chain
from types import CodeType
from typing import TYPE_CHECKING, Literal

import msgspec
from blake3 import blake3
from msgspec.structs import replace

from evercell.cell.bytecode import (
    NO_FACTS,
    RESTORABLE,
    SHOWS,
    CodeFacts,
    code_facts,
    merge,
    own_paths,
    own_reads,
    touches_anything,
)
from evercell.cell.magics import Magic, read_magic, without_magics
from evercell.cell.named_files import argument_texts
from evercell.cell.setups import is_hidden_setup, setups_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evercell.cell.paths import Path

__all__ = ["Directive", "Source", "linked_names", "parse_source"]

Directive = Literal["volatile", "recompute"]
_DIRECTIVES: tuple[Directive, ...] = ("volatile", "recompute")
_TAG = "evercell:"
_COMMENT = re.compile(r"^[ \t]*#[ \t]*evercell:[ \t]*([a-z, -]+?)[ \t]*$", re.MULTILINE)
_CELL_MAGIC = re.compile(r"\A\s*%%evercell[ \t]+volatile[ \t]*(?:\n|\Z)")
# Magics that set something up and touch no variable.
_SETTINGS = frozenset({
    "matplotlib", "config", "load_ext", "reload_ext", "unload_ext", "autoreload", "precision",
    "xmode", "colors", "alias", "alias_magic", "automagic", "autocall", "pylab", "aimport",
})  # fmt: skip
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Source(msgspec.Struct, frozen=True):
    """A parsed cell."""

    digest: bytes  # 16 bytes over the normal form
    code: CodeType | None  # None for a syntax error
    syntax_error: SyntaxError | None
    facts: CodeFacts
    directives: frozenset[Directive]
    escapes: tuple[str, ...]  # why static tracking is unsound, in words; empty: it is sound
    shell: tuple[str, ...]  # magics that change the shell itself: their effect can't be restored
    definite: frozenset[str] = frozenset()  # names that it binds whatever happens
    direct: frozenset[str] = frozenset()  # of `reads`: used while the cell runs
    # Decorated functions that it only defines -> what their bodies read: not used by the cell if
    # the decorator made a step of them.
    decorated: tuple[tuple[str, frozenset[str]], ...] = ()
    submodules: tuple[str, ...] = ()  # what it imports itself; "a.b" sets an attribute of a
    setups: tuple[Path, ...] = ()  # dotted paths that may set up a library
    databases: frozenset[Path] = frozenset()  # those that may use duckdb's default connection
    texts: frozenset[str] = frozenset()  # among the arguments of its calls

    @property
    def reads(self) -> frozenset[str]:
        """Names whose value the cell may use; deleting a name needs it, too."""
        return self.facts.reads | self.facts.deletes

    @property
    def anywhere(self) -> bool:
        """Whether it may touch names that stand nowhere in its code."""
        return self.facts.anywhere or (bool(self.escapes) and self.code is None)

    @property
    def stores(self) -> frozenset[str]:
        """Names that it may bind."""
        return self.facts.stores

    @property
    def volatile(self) -> bool:
        """Always run, never a hit."""
        return "volatile" in self.directives

    def marks(self, tags: Iterable[str]) -> frozenset[str]:
        """What its author asked for, in the source or by the cell's tags."""
        return self.directives | {tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)}


def parse_source(source: str, transformed: str) -> Source:
    """Parse a cell as its user wrote it and as IPython transformed it. Never raises."""
    directives = set(_directives(source))
    volatile = _CELL_MAGIC.match(source)
    if volatile is not None:
        directives.add("volatile")
        transformed = source[volatile.end() :]
    try:
        tree = ast.parse(transformed)
        code = compile(tree, "<cell>", "exec", _FLAGS, dont_inherit=True)
    except (SyntaxError, ValueError) as error:  # ValueError: null characters
        raised = error if isinstance(error, SyntaxError) else SyntaxError(str(error))
        digest = blake3(b"text" + source.encode(errors="surrogatepass")).digest(16)
        # The body of a volatile cell may hold magics, which only IPython understands.
        hidden = ("its body could not be analysed",) if volatile is not None else ()
        error_of = None if volatile is not None else raised
        return Source(digest, None, error_of, NO_FACTS, frozenset(directives), hidden, ())
    except (RecursionError, MemoryError) as error:
        digest = blake3(b"text" + source.encode(errors="surrogatepass")).digest(16)
        raised = SyntaxError(f"too deeply nested: {error}")
        return Source(digest, None, raised, NO_FACTS, frozenset(directives), (), ())
    facts = code_facts(code)
    nodes = list(ast.walk(tree))
    magics = [magic for node in nodes if (magic := read_magic(node)) is not None]
    names = [magic.name for magic in magics]
    if names.count("evercell") == len(tree.body) > 0:
        directives.add("volatile")
    variables = [node for node in nodes if isinstance(node, ast.Name)]
    otherwise = sum(name.id == "get_ipython" for name in variables) != len(magics)
    loaded = {name.id for name in variables if isinstance(name.ctx, ast.Load)}
    direct, decorated = _direct(tree, code, facts, loaded)
    facts, extra = _with_magics(facts, magics, otherwise=otherwise)
    shell = [name for name in names if name not in RESTORABLE and name != "evercell"]
    shell += ["get_ipython()"] if otherwise else []
    shell += [f"import {name}" for name in sorted(facts.imports) if _reaches_shell(name)]
    unseen, databases = _own_paths(code, magics)
    trees = [tree, *(part for magic in magics for part in magic.code or ())]
    return Source(
        _normal_digest(tree, transformed),
        code,
        None,
        facts,
        frozenset(directives),
        facts.escapes,
        tuple(shell),
        _definite(tree),
        direct | extra,
        decorated,
        _submodules(trees) if facts.imports else (),
        setups_in([statement for each in trees for statement in each.body]) + unseen,
        databases,
        argument_texts(tree),
    )


def _with_magics(
    facts: CodeFacts, magics: list[Magic], *, otherwise: bool
) -> tuple[CodeFacts, frozenset[str]]:
    """The facts with what the magics do, and the names that the magics use."""
    if not magics and not otherwise:
        return facts, frozenset()
    inside = [
        code_facts(compile(part, "<magic>", "exec", _FLAGS, dont_inherit=True))
        for magic in magics
        for part in magic.code or ()
    ]
    quiet = [m for m in magics if m.name in _SETTINGS or m.name == "evercell" or m.code is not None]
    loud = [magic for magic in magics if magic not in quiet]
    rest = tuple(e for e in facts.escapes if otherwise or not e.startswith("get_ipython"))
    outside = tuple(f"%{m.name} depends on what is outside" for m in loud if m.is_known)
    unknown = tuple(f"%{m.name} can touch any name" for m in loud if not m.is_known)
    own = replace(
        facts,
        reads=facts.reads.union(*(magic.reads for magic in magics)),
        stores=facts.stores.union(*(magic.stores for magic in magics)),
        escapes=(*rest, *outside, *unknown),
        anywhere=touches_anything(rest) or bool(unknown),
    )
    names = frozenset().union(*(f.reads | f.deletes for f in inside), *(m.reads for m in magics))
    return merge(own, *inside), names


def _own_paths(code: CodeType, magics: list[Magic]) -> tuple[tuple[Path, ...], frozenset[Path]]:
    """Of the cell and what its magics run: what works unseen, and uses of duckdb."""
    texts = [part for magic in magics for part in magic.code or ()]
    codes = [code, *(compile(part, "<magic>", "exec", _FLAGS, dont_inherit=True) for part in texts)]
    found = [own_paths(each) for each in codes]
    hidden = {path for setups, _ in found for path in setups if is_hidden_setup(path)}
    return tuple(sorted(hidden)), frozenset().union(*(databases for _, databases in found))


def _submodules(trees: list[ast.Module]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for tree in trees for n in _imported(tree)))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Modules that statements at the top import, also in their blocks."""
    pending: list[ast.AST] = list(tree.body)
    for node in pending:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += ast.iter_child_nodes(node)


def _definite(tree: ast.Module) -> frozenset[str]:
    """Names bound by statements at the top: a cell that finishes has run each of them."""
    bound: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound.update((a.asname or a.name.partition(".")[0]) for a in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (n for target in targets for n in ast.walk(target))
            bound.update(
                n.id for n in names if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )
    return frozenset(bound - {"*"})


def _direct(
    tree: ast.Module, code: CodeType, facts: CodeFacts, loaded: set[str]
) -> tuple[frozenset[str], tuple[tuple[str, frozenset[str]], ...]]:
    """What the cell uses while it runs, without the bodies of functions that it only defines.
    `loaded` are the names whose value stands anywhere in its text."""
    defined: dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef]] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            defined.setdefault(node.name, []).append(node)
    bodies: dict[str, frozenset[str]] = {}
    direct = set(own_reads(code))
    for nested in (c for c in code.co_consts if isinstance(c, CodeType)):
        inner = code_facts(nested)
        names = inner.reads | inner.deletes
        only_defined = len(defined.get(nested.co_name, ())) == 1 and nested.co_name not in loaded
        if only_defined and not inner.escapes:
            bodies[nested.co_name] = names
        else:
            direct |= names
    decorated = tuple((n, b) for n, b in bodies.items() if defined[n][0].decorator_list)
    return frozenset(direct & (facts.reads | facts.deletes)), decorated


def _normal_digest(tree: ast.Module, transformed: str) -> bytes:
    # A closing semicolon hides the result, but the tree does not know it.
    hidden = b";" if _ends_with_semicolon(transformed) else b""
    return blake3(b"tree" + hidden + ast.dump(tree).encode(errors="surrogatepass")).digest(16)


def _ends_with_semicolon(text: str) -> bool:
    if ";" not in text:
        return False
    last = ""
    ignored = (
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT
    )  # fmt: skip
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in ignored:
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return text.rstrip().endswith(";")
    return last == ";"


def _directives(source: str) -> list[Directive]:
    """Those in comment lines: "# evercell: volatile"."""
    words = {w.strip() for m in _COMMENT.finditer(source) for w in m.group(1).split(",")}
    return [directive for directive in _DIRECTIVES if directive in words]


def _reaches_shell(module: str) -> bool:
    """Whether importing `module` is a way to the shell: to register magics, for example."""
    return module.partition(".")[0] == "IPython" and not module.startswith(SHOWS)


def linked_names(
    transformed: str, names: Iterable[str], *, loose: Iterable[str] = (), headers: bool = False
) -> frozenset[str]:
    """`names` and all that a cell's top-level statements tie to them: names that stand in one
    statement, and so on from statement to statement.

    In `port = free(); server = start(port); tag = new()` the server is tied to the port, the tag is
    not. `loose` names, such as modules, tie nothing. `headers`: of the bodies of functions no name
    counts, for they don't run where they are defined.
    """
    untied = set(loose)
    parts = without_magics(ast.parse(transformed))
    statements = [_names_in(each, headers=headers) - untied for each in parts]
    found = set(names)
    while more := [each for each in statements if each & found and not each <= found]:
        found.update(*more)
    return frozenset(found)


def _names_in(statement: ast.stmt, *, headers: bool) -> set[str]:
    found: set[str] = set()
    nodes = ast.walk(statement)
    if headers and isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        found.add(statement.name)
        header = [*statement.decorator_list, statement.args]
        nodes = chain.from_iterable(map(ast.walk, header))
    for node in nodes:
        match node:
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name):
                found.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                found.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found.update(alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.Global(names=names):
                found.update(names)
            case _:
                pass
    return found
