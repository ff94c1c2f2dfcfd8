"""What compiled code may touch: the global names that it reads, binds and deletes, the attributes
that it sets, and the constructs that no bytecode tells the truth about.

Everything is a superset: a name counts as read if any code object inside mentions it.
"""

from __future__ import annotations

import dis
import re
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

__all__ = ["SHOWS", "CodeFacts", "code_facts", "own_reads"]

SHOWS = ("IPython.display", "IPython.lib.display")  # the parts of IPython that only show things

_READ = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORE = frozenset({"STORE_NAME", "STORE_GLOBAL"})
_DELETE = frozenset({"DELETE_NAME", "DELETE_GLOBAL"})
_SET_ATTRIBUTE = frozenset({"STORE_ATTR", "DELETE_ATTR"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})

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


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """Of a code object and all that are nested in it."""

    reads: frozenset[str]
    stores: frozenset[str]
    deletes: frozenset[str]
    attributes_set: frozenset[str]
    imports: frozenset[str]
    escapes: tuple[str, ...]
    indirect_sets: bool  # setattr, monkeypatching: any attribute may be set
    seeds: bool = False  # it may set a random state, perhaps to what it was


_SEEDS = re.compile(r"seed|set_?state", re.IGNORECASE)
_INDIRECT = frozenset({"setattr", "delattr", "__setattr__", "__delattr__", "__dict__", "patch"})


@lru_cache(maxsize=4096)
def code_facts(code: CodeType) -> CodeFacts:  # noqa: C901 - one branch per kind of operation
    """Analyse `code`."""
    reads: set[str] = set()
    stores: set[str] = set()
    deletes: set[str] = set()
    sets: set[str] = set()
    imports: set[str] = set()
    attributes: set[str] = set()
    escapes: dict[str, None] = {}
    for instruction in dis.get_instructions(code):
        operation, argument = instruction.opname, instruction.argval
        if operation in _READ:
            reads.add(argument)
        elif operation in _STORE:
            stores.add(argument)
        elif operation in _DELETE:
            deletes.add(argument)
        elif operation in _SET_ATTRIBUTE:
            sets.add(argument)
        elif operation in _ATTRIBUTE:
            attributes.add(argument)
        elif operation == "IMPORT_NAME":
            imports.add(argument)
        elif operation == "IMPORT_FROM":
            attributes.add(argument)
        elif operation == "IMPORT_STAR" or argument == "INTRINSIC_IMPORT_STAR":
            escapes["import * binds names that stand nowhere in the code"] = None
    # getattr(sys, "_getframe") says it in a string.
    attributes.update(c for c in code.co_consts if type(c) is str and c in _ESCAPE_ATTRIBUTES)
    indirect = bool(_INDIRECT & (reads | attributes))
    if indirect:  # setattr(module, "name", ...)
        sets.update(c for c in code.co_consts if type(c) is str and c.isidentifier())
    seeds = any(map(_SEEDS.search, code.co_names))
    for nested in (c for c in code.co_consts if isinstance(c, CodeType)):
        inner = code_facts(nested)
        reads |= inner.reads
        stores |= inner.stores
        deletes |= inner.deletes
        sets |= inner.attributes_set
        imports |= inner.imports
        escapes.update(dict.fromkeys(inner.escapes))
        indirect = indirect or inner.indirect_sets
        seeds = seeds or inner.seeds
    escapes.update(dict.fromkeys(_ESCAPES[n] for n in sorted(reads & _ESCAPES.keys())))
    escapes.update(dict.fromkeys(_numbered(n) for n in sorted(reads) if _is_numbered(n)))
    escapes.update(
        dict.fromkeys(_ESCAPE_ATTRIBUTES[n] for n in sorted(attributes & _ESCAPE_ATTRIBUTES.keys()))
    )
    shows = "IPython" not in stores  # `import IPython.display` binds all of it
    roots = {n.partition(".")[0] for n in imports if not (shows and n.startswith(SHOWS))}
    escapes.update(
        dict.fromkeys(_ESCAPE_MODULES[n] for n in sorted(roots & _ESCAPE_MODULES.keys()))
    )
    return CodeFacts(
        frozenset(reads),
        frozenset(stores),
        frozenset(deletes),
        frozenset(sets),
        frozenset(imports),
        tuple(escapes),
        indirect,
        seeds,
    )


def own_reads(code: CodeType) -> frozenset[str]:
    """Names that `code` itself reads or deletes, without what is nested in it."""
    operations = _READ | _DELETE
    return frozenset(i.argval for i in dis.get_instructions(code) if i.opname in operations)


def _is_numbered(name: str) -> bool:
    """_5 and _i5: results and inputs of numbered cells."""
    return name.startswith("_") and name[1:].removeprefix("i").isdigit()


def _numbered(name: str) -> str:
    return f"{name} depends on the cell that had this number"
