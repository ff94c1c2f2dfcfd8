"""Parameters of a notebook, as papermill has them.

    read_parameters   the cell tagged `parameters` -> names with their defaults' types
    parse_values      `name=value` texts -> typed values, checked against those names
    inject            a cell tagged `injected-parameters` after it, which assigns the values

A value is read by the type of its default: text for a text, a number for a number, true or false,
JSON for a list or dict. Without a default, or with None, it is a JSON literal (Python's True,
False and None, too) and else a text.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evercell.errors import UnknownParameterError, UsageError
from evercell.jupyter.headless.document import Notebook, settle_ids, tags_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Declared", "inject", "parse_values", "read_parameters"]

_TAG = "parameters"
_INJECTED = "injected-parameters"
_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None}


@dataclass(frozen=True, slots=True)
class Declared:
    """A name that the parameters cell assigns."""

    name: str
    kind: type | None  # bool, int, float, str, list or dict; None where any literal will do
    optional: bool  # None is a value of it
    shown: str  # its source, for messages: "n: int = 3"


def read_parameters(notebook: Notebook) -> dict[str, Declared] | None:
    """The declared parameters by name, in order, or None when no cell is tagged `parameters`.

    Raises UsageError when that cell is not Python.
    """
    cell = next((cell for cell in notebook["cells"] if _TAG in tags_of(cell)), None)
    if cell is None:
        return None
    declared: dict[str, Declared] = {}
    for statement in _statements(_parsed(cell["source"]).body):
        for item in _assigned(statement):
            declared[item.name] = item
    return declared


def parse_values(texts: Iterable[str], declared: Mapping[str, Declared] | None) -> dict[str, Any]:
    """The values of `name=value` texts, in the order of their declaration.

    Raises UsageError for a text that is not of this form or a value that does not fit its
    declaration, UnknownParameterError for a name that the notebook does not declare.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise UsageError(f"-p {text!r} is not of the form name=value, such as -p n=5.")
        if name in given:
            raise UsageError(f"The parameter {name} is given twice. Give it once.")
        given[name] = value
    check_names(given, declared)
    known = declared or {}
    return {name: _value(given[name], item) for name, item in known.items() if name in given}


def check_names(given: Iterable[str], declared: Mapping[str, Declared] | None) -> None:
    """Raise UnknownParameterError for the first name that is not declared."""
    for name in given:
        if declared is None:
            raise UnknownParameterError(
                f"The parameter {name} is unknown: the notebook declares none. Assign the defaults "
                "in one cell and give that cell the tag `parameters`."
            )
        if name not in declared:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            known = ", ".join(declared) or "none"
            raise UnknownParameterError(
                f"The parameter {name} is unknown: the cell tagged `parameters` does not assign "
                f"it. It assigns: {known}.{hint}"
            )


def inject(notebook: Notebook, values: Mapping[str, Any]) -> None:
    """Add the cell that assigns `values`, or replace the one that an earlier run added.

    Its id is always the same, so that a resumed run finds it in its place.
    """
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": _INJECTED,
        "metadata": {"tags": [_INJECTED]},
        "outputs": [],
        "source": "\n".join(["# Parameters", *lines]),
    }
    cells = notebook["cells"]
    places = {
        tag: index for index, cell in reversed(list(enumerate(cells))) for tag in tags_of(cell)
    }
    if _INJECTED in places:
        cells[places[_INJECTED]] = cell
    else:
        cells.insert(places[_TAG] + 1 if _TAG in places else 0, cell)
    settle_ids(notebook)


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError:
        pass  # a magic, perhaps
    from IPython.core.inputtransformer2 import TransformerManager  # noqa: PLC0415 - for magics

    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError as error:
        raise UsageError(
            f"The cell tagged `parameters` is not Python: {error.msg}, line {error.lineno}."
        ) from None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run in the cell's own scope."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.With | ast.Try):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, part, []))


def _assigned(statement: ast.stmt) -> Iterator[Declared]:
    shown = ast.unparse(statement)
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
            words = ast.unparse(annotation)
            kind = _annotated(words) or _kind(value)
            yield Declared(name, kind, "None" in words or "Optional" in words, shown)
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Name):
                    yield Declared(target.id, _kind(value), False, shown)
                elif isinstance(target, ast.Tuple | ast.List):
                    for element in target.elts:
                        if isinstance(element, ast.Name):
                            yield Declared(element.id, None, True, shown)


def _kind(value: ast.expr | None) -> type | None:
    if isinstance(value, ast.UnaryOp):  # -1
        value = value.operand
    match value:
        case ast.Constant(value=bool() | int() | float() | str() as constant):
            return type(constant)
        case ast.JoinedStr():
            return str
        case ast.List() | ast.ListComp():
            return list
        case ast.Dict() | ast.DictComp():
            return dict
        case _:
            return None


def _annotated(words: str) -> type | None:
    plain = words.strip("'\"").replace("Optional[", "").replace("| None", "").replace("None |", "")
    head = plain.split("[")[0].strip(" ]").lower()
    kinds: dict[str, type] = {k.__name__: k for k in (bool, int, float, str, list, dict)}
    return kinds.get(head)


def _value(text: str, declared: Declared) -> Any:
    kind = declared.kind
    if declared.optional and text in {"None", "null"}:
        return None
    if kind is str:
        return text
    try:
        value = _number(text) if kind in {int, float} else _literal(text)
    except ValueError:
        value = text
    if kind is None or (isinstance(value, int | float) and kind in {int, float}):
        return float(value) if kind is float else value
    if isinstance(value, kind):
        return value
    raise UsageError(
        f"The value {text!r} of the parameter {declared.name} does not fit its default "
        f"`{declared.shown}`: give {_EXPECTED[kind]}."
    )


_EXPECTED: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: 'a JSON list such as ["a", "b"]',
    dict: 'a JSON object such as {"a": 1}',
}


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return _finite(text)


def _literal(text: str) -> Any:
    word = text.strip()
    if word in _WORDS:
        return _WORDS[word]
    return json.loads(word, parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    """NaN and the infinities are not JSON, and a run is known by its parameters as JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
