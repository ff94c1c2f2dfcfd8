"""What compiled code may touch: the global names that it reads, binds and deletes, the attributes
that it sets, and the constructs that no bytecode tells the truth about.

Everything is a superset: a name counts as read if any code object inside mentions it.
"""

from __future__ import annotations

import dis
import re
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from evercell.cell.database import DEFAULT_CONNECTION
from evercell.cell.paths import uses_in
from evercell.cell.quiet import is_quiet
from evercell.cell.setups import setups_among

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.cell.paths import Path

__all__ = [
    "NO_FACTS",
    "QUERIES",
    "RESTORABLE",
    "SHOWS",
    "CodeFacts",
    "code_facts",
    "merge",
    "own_paths",
    "own_reads",
    "touches_anything",
]

SHOWS = ("IPython.display", "IPython.lib.display")  # the parts of IPython that only show things

_READ = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORE = frozenset({"STORE_NAME", "STORE_GLOBAL"})
_DELETE = frozenset({"DELETE_NAME", "DELETE_GLOBAL"})
_SET_ATTRIBUTE = frozenset({"STORE_ATTR", "DELETE_ATTR"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})
# From CPython 3.14 on, code with annotated variables begins by binding it.
_OF_ANNOTATIONS = "__conditional_annotations__"

# Names whose use means that names can be reached that stand nowhere in the code.
_ESCAPES = {
    "exec": "exec can touch any name",
    "eval": "eval can touch any name",
    "compile": "compile makes code that can touch any name",
    "globals": "globals() can touch any name",
    "locals": "locals() can touch any name",
    "vars": "vars() can touch any name",
    "dir": "dir() reads which names exist",
    "__import__": "__import__ can reach the notebook's own module",
    "get_ipython": "get_ipython() can touch any name",
    "In": "In depends on every cell before",
    "Out": "Out depends on every cell before",
    "_": "_ depends on the cell that ran before",
    "__": "__ depends on the cells that ran before",
    "___": "___ depends on the cells that ran before",
    "_i": "_i depends on the cell that ran before",
    "_ii": "_ii depends on the cells that ran before",
    "_iii": "_iii depends on the cells that ran before",
    "_ih": "_ih depends on every cell before",
    "_oh": "_oh depends on every cell before",
    "_dh": "_dh depends on every cell before",
    "__builtins__": "__builtins__ changes what every cell sees",
    "builtins": "builtins changes what every cell sees",
}
_ESCAPE_MODULES = {
    "__main__": "__main__ is the namespace itself",
    "builtins": "builtins changes what every cell sees",
    "inspect": "inspect can look into frames",
    "gc": "gc can reach any object",
    "ctypes": "ctypes can change any memory",
    "importlib": "importlib can reach and replace any module",
    "code": "code runs code of its own",
    "codeop": "codeop compiles code of its own",
    "runpy": "runpy runs code of its own",
    "IPython": "IPython gives access to the shell",
}
_ESCAPE_ATTRIBUTES = {
    "_getframe": "sys._getframe can reach any name",
    "_current_frames": "sys._current_frames can reach any name",
    "f_globals": "a frame's globals can touch any name",
    "f_locals": "a frame's locals can touch any name",
    "f_back": "a frame can reach any name",
    "tb_frame": "a frame can reach any name",
    "gi_frame": "a frame can reach any name",
    "cr_frame": "a frame can reach any name",
    "__globals__": "a function's globals can touch any name",
    "__builtins__": "__builtins__ changes what every cell sees",
    "modules": "sys.modules can reach the notebook's own module",
    "user_ns": "the shell's namespace can touch any name",
    "settrace": "a trace function sees everything",
    "setprofile": "a profile function sees everything",
    "get_objects": "gc can reach any object",
    "get_referrers": "gc can reach any object",
}


class CodeFacts(msgspec.Struct, frozen=True):
    """Of a code object and all that are nested in it."""

    reads: frozenset[str]
    stores: frozenset[str]
    deletes: frozenset[str]
    attributes_set: frozenset[str]
    imports: frozenset[str]
    escapes: tuple[str, ...]
    indirect_sets: bool  # setattr, monkeypatching: any attribute may be set
    seeds: bool = False  # it may set a random state, perhaps to what it was
    anywhere: bool = False  # it may touch names that stand nowhere in it
    shell: bool = False  # it may change the shell
    quiet: bool = True  # it changes no array and no table, see quiet.py
    looks_up: bool = False  # it may look up names that stand in texts, see `_LOOKUPS`
    setups: frozenset[Path] = frozenset()  # what may set up a library, see setups.py
    databases: frozenset[Path] = frozenset()  # what may use duckdb's default connection


_NONE: frozenset[str] = frozenset()
_NONE_OF_THEM: frozenset[Path] = frozenset()
NO_FACTS = CodeFacts(_NONE, _NONE, _NONE, _NONE, _NONE, (), indirect_sets=False)


def merge(one: CodeFacts, *others: CodeFacts) -> CodeFacts:
    """What holds for code that consists of all of them."""
    if not others:
        return one
    every = (one, *others)
    return CodeFacts(
        reads=_NONE.union(*(facts.reads for facts in every)),
        stores=_NONE.union(*(facts.stores for facts in every)),
        deletes=_NONE.union(*(facts.deletes for facts in every)),
        attributes_set=_NONE.union(*(facts.attributes_set for facts in every)),
        imports=_NONE.union(*(facts.imports for facts in every)),
        escapes=tuple(dict.fromkeys(e for facts in every for e in facts.escapes)),
        indirect_sets=any(facts.indirect_sets for facts in every),
        seeds=any(facts.seeds for facts in every),
        anywhere=any(facts.anywhere for facts in every),
        shell=any(facts.shell for facts in every),
        quiet=all(facts.quiet for facts in every),
        looks_up=any(facts.looks_up for facts in every),
        setups=_NONE_OF_THEM.union(*(facts.setups for facts in every)),
        databases=_NONE_OF_THEM.union(*(facts.databases for facts in every)),
    )


_SEEDS = re.compile(r"seed|set_?state", re.IGNORECASE)
_INDIRECT = frozenset({"setattr", "delattr", "__setattr__", "__delattr__", "__dict__", "patch"})


# What looks up the names in its texts among the caller's variables: queries of duckdb, polars and
# chdb over tables, of pandas with "@limit", numexpr, formulas of patsy and formulaic.
_LOOKUPS = frozenset({
    "query", "sql", "eval", "execute", "executemany", "from_query", "query_df", "evaluate", "sqldf",
    "register_globals", "from_formula", "dmatrix", "dmatrices", "model_matrix", "ols", "wls", "gls",
    "glsar", "glm", "gee", "logit", "probit", "poisson", "mnlogit", "negativebinomial", "quantreg",
    "rlm", "mixedlm", "phreg", "feols", "fepois", "feglm", "anova", "rm_anova",
})  # fmt: skip
QUERIES = frozenset({"duckdb", "chdb", "pandasql"})  # so does anything that these do


# Magics whose effects are outputs, variables and captured process state. Any other may change the
# shell or an extension's own state, of which nothing is recorded.
RESTORABLE = frozenset({
    "!", "HTML", "SVG", "bash", "capture", "cat", "cd", "conda", "dhist", "env", "file", "hist",
    "history", "html", "javascript", "js", "latex", "ls", "lsmagic", "macro", "magic", "mamba",
    "markdown", "perl", "pfile", "pinfo", "pinfo2", "pip", "prun", "psearch", "psource", "pwd",
    "pycat", "python", "python3", "quickref", "ruby", "run", "script", "set_env", "sh", "store",
    "svg", "sx", "system", "time", "timeit", "uv", "who", "who_ls", "whos", "writefile",
})  # fmt: skip
_STAR = "import * binds names that stand nowhere in the code"
# Reasons why code depends on all that came before, though it touches no variable's content: what
# it binds is seen, and what it reads are names and texts.
_LOOKS = frozenset({
    _STAR, *(_ESCAPES[n] for n in ("dir", "In", "_i", "_ii", "_iii", "_ih", "_dh")),
})  # fmt: skip


@lru_cache(maxsize=4096)
def code_facts(code: CodeType) -> CodeFacts:
    """Analyse `code` and all that is nested in it."""
    nested = [code_facts(c) for c in code.co_consts if isinstance(c, CodeType)]
    own = _own_facts(code)
    facts = merge(own, *nested)
    if _OF_ANNOTATIONS in own.stores:
        facts = replace(facts, reads=facts.reads - {_OF_ANNOTATIONS})
    reads, imports = facts.reads, facts.imports
    escapes = dict.fromkeys(facts.escapes)
    escapes.update(dict.fromkeys(_ESCAPES[n] for n in sorted(reads & _ESCAPES.keys())))
    escapes.update(dict.fromkeys(_numbered(n) for n in sorted(reads) if _is_numbered(n)))
    shows = "IPython" not in facts.stores  # `import IPython.display` binds all of it
    roots = {n.partition(".")[0] for n in imports if not (shows and n.startswith(SHOWS))}
    escapes.update(
        dict.fromkeys(_ESCAPE_MODULES[n] for n in sorted(roots & _ESCAPE_MODULES.keys()))
    )
    return replace(
        facts,
        escapes=tuple(escapes),
        anywhere=touches_anything(escapes),
        shell=facts.shell or "IPython" in roots,
    )


def touches_anything(escapes: Iterable[str]) -> bool:
    """Whether code with these reasons to escape may touch names that stand nowhere in it."""
    return not _LOOKS.issuperset(escapes)


@lru_cache(maxsize=1024)
def _own_facts(code: CodeType) -> CodeFacts:
    """Of the instructions of `code` itself; its reasons to escape are not complete."""
    names: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    escapes: dict[str, None] = {}
    instructions = list(dis.get_instructions(code))
    for instruction in instructions:
        operation, argument = instruction.opname, instruction.argval
        for kind, operations in _KINDS.items():
            if operation in operations:
                names[kind].add(argument)
        if operation == "IMPORT_STAR" or instruction.argrepr == "INTRINSIC_IMPORT_STAR":
            escapes[_STAR] = None
    # getattr(sys, "_getframe") says it in a string.
    attributes = names["attribute"] | {
        c for c in code.co_consts if type(c) is str and c in _ESCAPE_ATTRIBUTES
    }
    uses = list(uses_in(instructions))
    sets = names["set"]
    indirect = bool(_INDIRECT & (names["read"] | attributes))
    if indirect:  # setattr(module, "name", ...)
        sets.update(c for c in code.co_consts if type(c) is str and c.isidentifier())
    escapes.update(
        dict.fromkeys(_ESCAPE_ATTRIBUTES[n] for n in sorted(attributes & _ESCAPE_ATTRIBUTES.keys()))
    )
    return CodeFacts(
        reads=frozenset(names["read"]),
        stores=frozenset(names["store"]),
        deletes=frozenset(names["delete"]),
        attributes_set=frozenset(sets),
        imports=frozenset(names["import"]),
        escapes=tuple(escapes),
        indirect_sets=indirect,
        seeds=any(map(_SEEDS.search, code.co_names)),
        shell=_uses_shell(instructions),
        # Annotations are evaluated, from CPython 3.14 on, for who asks, which is not quiet.
        quiet=code.co_name == "__annotate__" or is_quiet(code, instructions),
        looks_up=not (
            _LOOKUPS.isdisjoint(code.co_names)
            and QUERIES.isdisjoint(name.partition(".")[0] for name in names["import"])
        ),
        setups=frozenset(setups_among(uses)),
        databases=frozenset(use.path for use in uses if use.path[-1] in DEFAULT_CONNECTION),
    )


_KINDS = {
    "read": _READ,
    "store": _STORE,
    "delete": _DELETE,
    "set": _SET_ATTRIBUTE,
    "attribute": _ATTRIBUTE | {"IMPORT_FROM"},
    "import": {"IMPORT_NAME"},
}


def _uses_shell(instructions: list[dis.Instruction]) -> bool:
    """Whether `get_ipython()` is used for anything but a magic that leaves the shell alone."""
    for index, instruction in enumerate(instructions):
        if instruction.opname not in _READ or instruction.argval != "get_ipython":
            continue
        after = instructions[index + 1 :]
        method = next((i.argval for i in after if i.opname in _ATTRIBUTE), None)
        magic = next((i.argval for i in after if i.opname == "LOAD_CONST"), None)
        runs = method in ("run_line_magic", "run_cell_magic") and magic in RESTORABLE
        if not runs and method not in ("system", "getoutput"):
            return True
    return False


def own_paths(code: CodeType) -> tuple[frozenset[Path], frozenset[Path]]:
    """(setups, uses of duckdb's default connection) of `code` itself, without the functions that
    it defines."""
    inner = [c for c in code.co_consts if isinstance(c, CodeType) and c.co_name.startswith("<")]
    own = [_own_facts(code), *map(code_facts, inner)]
    setups = _NONE_OF_THEM.union(*(facts.setups for facts in own))
    return setups, _NONE_OF_THEM.union(*(facts.databases for facts in own))


def own_reads(code: CodeType) -> frozenset[str]:
    """Names that `code` itself reads or deletes, without what is nested in it."""
    facts = _own_facts(code)
    return facts.reads | facts.deletes


def _is_numbered(name: str) -> bool:
    """_5 and _i5: results and inputs of numbered cells."""
    return name.startswith("_") and name[1:].removeprefix("i").isdigit()


def _numbered(name: str) -> str:
    return f"{name} depends on the cell that had this number"
