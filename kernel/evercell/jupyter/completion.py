"""Completion in `%%evercell sql` (views, columns, keywords, `$parameters`) and of `%evercell`'s
commands.

    code, cursor -> suggest: command? option? inside a text or comment? `$`? `view.`? word
                 -> Suggestions -> IPython's matcher

The views and columns come from the package, not from the history: completing never waits for a
lock and never loads DuckDB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from evercell.loading import importing

from .options import FORMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from evercell.history.catalogue import View

__all__ = ["MATCHER", "WAITING", "Suggestions", "make_matcher", "make_name_matcher", "suggest"]

MATCHER = "evercell.sql"
WAITING = "evercell.waiting"

_HEAD = re.compile(r"\s*(%%?)evercell\b[ \t]*(\S*)")
# All of a query up to the cursor, unless the cursor is inside a text or a comment.
_OUTSIDE = re.compile(
    r"""(?:[^'"/-]|'[^']*'|"[^"]*"|--[^\n]*\n|/\*.*?\*/|-(?!-)|/(?!\*))*+""", re.DOTALL
)
_WORD = re.compile(r"[\w$]*\Z")
_OPTION = re.compile(r"(?<=\s)-[\w-]*\Z")
_OWNER = re.compile(r"(\w+)\.(\w*)\Z")
_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)
_LISTED = re.compile(r",\s*(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)
_NAMED = re.compile(r"(?:\bWITH|,)\s+(?:RECURSIVE\s+)?(\w+)\s+AS\s*\(", re.IGNORECASE)
_WANTS_VIEW = re.compile(r"\b(?:FROM|JOIN|DESCRIBE|SUMMARIZE)\s+\w*\Z", re.IGNORECASE)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_KEYWORDS = _words(
    "SELECT FROM WHERE GROUP BY ALL ORDER LIMIT OFFSET JOIN LEFT RIGHT FULL ANTI SEMI USING ON AS "
    "AND OR NOT IN IS NULL LIKE ILIKE BETWEEN CASE WHEN THEN ELSE END CAST DISTINCT HAVING QUALIFY "
    "FILTER OVER PARTITION WITH RECURSIVE UNION EXCEPT INTERSECT EXCLUDE REPLACE ASC DESC NULLS "
    "FIRST LAST EXISTS VALUES DESCRIBE SUMMARIZE PIVOT UNPIVOT INTERVAL TRUE FALSE"
)
_FUNCTIONS = _words(
    "count sum avg min max median quantile_cont arg_max arg_min any_value bool_or list "
    "string_agg first last coalesce greatest least round length lower upper replace "
    "regexp_matches regexp_extract contains starts_with epoch epoch_ms date_trunc date_part now "
    "strftime to_seconds row_number rank lag lead unnest json_extract json_keys histogram"
)


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What may stand in the place of `fragment`, which ends at the cursor: (text, kind), the
    likeliest first."""

    fragment: str
    items: tuple[tuple[str, str], ...]


def make_matcher(shell: Any, commands: Iterable[str]) -> Any:
    """A matcher for `shell.Completer.custom_matchers`."""
    names = tuple(commands)

    @context_matcher(identifier=MATCHER)  # type: ignore[untyped-decorator,unused-ignore]
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[: context.cursor_line])
        cursor += context.cursor_position
        found = suggest(context.full_text, cursor, shell.user_ns, names)
        if found is None:
            return {"completions": []}
        # A word of which nothing is known stands for itself: with no answer at all, Jedi would
        # read the SQL as Python, which takes seconds.
        items = found.items or ((found.fragment, "text"),)
        return {
            "completions": [SimpleCompletion(text, type=kind) for text, kind in items if text],
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    return complete


def make_name_matcher(names: Callable[[], Iterable[str]]) -> Any:
    """A matcher for variables that were restored and are not loaded yet."""

    @context_matcher(identifier=WAITING)  # type: ignore[untyped-decorator,unused-ignore]
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        token = context.token
        found = [name for name in names() if name.startswith(token)] if token else []
        return {"completions": [SimpleCompletion(name, type="instance") for name in found]}

    return complete


def suggest(
    code: str, cursor: int, namespace: Mapping[str, Any], commands: tuple[str, ...]
) -> Suggestions | None:
    """Completions at `cursor`; None where the cell (or the line) is not `evercell`'s."""
    begin = 0 if code.lstrip().startswith("%%") else code.rfind("\n", 0, cursor) + 1
    head = _HEAD.match(code, begin, cursor)
    if head is None:
        return None
    if head.end() == cursor:
        return _matching(head[2], [(name, "command") for name in commands])
    if head[2] != "sql":
        return None
    whole = head[1] == "%%"
    before = code[head.end() : cursor]
    option = _OPTION.search(before)
    if option and "\n" not in before:
        options = [("-o", "option"), *((f"--{form}", "option") for form in FORMS)]
        return _matching(option[0], options)
    if whole:
        return _in_query(before, code[head.end() :], namespace) if "\n" in before else None
    return _in_query(before, code[head.end() :].partition("\n")[0], namespace)


def _in_query(before: str, query: str, namespace: Mapping[str, Any]) -> Suggestions:
    word = _WORD.search(before)
    fragment = word[0] if word else ""
    if not _OUTSIDE.fullmatch(before):
        return Suggestions(fragment, ())
    if fragment.startswith("$"):
        return _matching(fragment, [(f"${name}", "parameter") for name in _variables(namespace)])
    sources = _sources(query)
    if owner := _OWNER.search(before):
        view = sources.get(owner[1].lower(), owner[1].lower())
        return _matching(owner[2], _columns([view] if view in views() else []))
    named = [(name, "view") for name in [*_NAMED.findall(query), *views()]]
    if _WANTS_VIEW.search(before):
        return _matching(fragment, named)
    used = [view for view in dict.fromkeys(sources.values()) if view in views()]
    return _matching(
        fragment,
        [
            *_columns(used),
            *named,
            *((alias, "alias") for alias in sources if alias not in views()),
            *((word, "keyword") for word in _in_case(fragment, _KEYWORDS)),
            *((name, "function") for name in _FUNCTIONS),
        ],
    )


def _columns(used: list[str]) -> list[tuple[str, str]]:
    """The columns of the views in `used`; of all, while the query names none."""
    names = dict.fromkeys(name for view in used or views() for name in views()[view].columns)
    return [(name, "column") for name in names]


def views() -> dict[str, View]:
    """The catalogue, loaded when first asked for: a kernel starts without the history."""
    with importing:
        from evercell.history import catalogue  # noqa: PLC0415 - see above

    return catalogue.views()


def _sources(query: str) -> dict[str, str]:
    """The tables in the query: alias, or name without one, to name; in lower case."""
    found: dict[str, str] = {}
    reserved = {word.lower() for word in _KEYWORDS}
    listed = [it for it in _LISTED.findall(query) if it[0].lower() in views()]
    for name, alias in [*_SOURCE.findall(query), *listed]:
        free = alias and alias.lower() not in reserved
        found[(alias if free else name).lower()] = name.lower()
    return found


def _variables(namespace: Mapping[str, Any]) -> list[str]:
    """Names in the notebook that could be a parameter."""
    code = (ModuleType, FunctionType, type)
    return [
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and not isinstance(value, code) and name not in _IPYTHON
    ]


_IPYTHON = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


def _in_case(fragment: str, words: tuple[str, ...]) -> Iterable[str]:
    return [word.lower() for word in words] if fragment.islower() else words


def _matching(fragment: str, items: Iterable[tuple[str, str]]) -> Suggestions:
    start = fragment.lower()
    found = dict.fromkeys(it for it in items if it[0].lower().startswith(start))
    return Suggestions(fragment, tuple(found))
