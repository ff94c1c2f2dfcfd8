"""The workflows that a file defines: a Python module, or a notebook, of which only definitions run.

Of a notebook's cells, imports, functions, classes and constants are executed; an assignment of
anything else only where a decorator needs its name. Nothing is called that the notebook would do.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import types
from typing import TYPE_CHECKING, Any

from evercell.engine.workflow.definition import Workflow
from evercell.errors import NotebookInvalidError, NotebookNotFoundError, UsageError
from evercell.loading import import_jsonschema

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["definitions_in"]

_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def definitions_in(path: Path) -> tuple[dict[str, Any], list[Workflow[..., Any]]]:
    """The namespace that the file's definitions make, and the workflows in it.

    Raises NotebookNotFoundError, NotebookInvalidError, UsageError.
    """
    if not path.is_file():
        raise NotebookNotFoundError(f"There is no file {path}. Check the path.")
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        namespace = _notebook(path) if path.suffix == ".ipynb" else _module(path)
    finally:
        sys.path.remove(str(path.parent.resolve()))
    found = [value for value in namespace.values() if isinstance(value, Workflow)]
    if not found:
        raise UsageError(f"{path} defines no @workflow function.")
    return namespace, found


def _module(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is neither a notebook nor a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return vars(module)


def _notebook(path: Path) -> dict[str, Any]:
    import_jsonschema()
    import nbformat  # noqa: PLC0415 - only a notebook needs it

    try:
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise NotebookInvalidError(f"{path} is no notebook that nbformat reads: {error}") from error
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    statements: list[ast.stmt] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            statements += _parsed(cell.source)
    loader = _Loader(vars(module), statements)
    for statement in statements:
        if isinstance(statement, _DEFINITIONS) or _is_constant(statement):
            loader.run(statement)
    return vars(module)


def _parsed(source: str) -> list[ast.stmt]:
    """A cell's statements, without its magics."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!", "?"))]
    try:
        return ast.parse("\n".join(lines)).body
    except SyntaxError:
        return []  # a cell of another language, or of IPython's syntax


def _is_constant(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or value is None:
        return False
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


class _Loader:
    """Executes definitions, and what their decorators turn out to need."""

    def __init__(self, namespace: dict[str, Any], statements: list[ast.stmt]) -> None:
        self._namespace = namespace
        self._assignments = {
            target.id: statement
            for statement in statements
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }

    def run(self, statement: ast.stmt) -> None:
        """Execute it, and before it the assignments that it asks for."""
        code = compile(ast.Module([statement], []), "<notebook>", "exec")
        for _ in range(100):
            try:
                exec(code, self._namespace)  # noqa: S102 - the user's own definitions
            except NameError as error:
                needed = self._assignments.pop(error.name or "", None)
                if needed is None:
                    raise UsageError(
                        f"line {statement.lineno} of a cell needs {error.name!r}, which no "
                        "definition or assignment in the notebook makes."
                    ) from error
                self.run(needed)
            else:
                return
