"""What is public is documented."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import evercell
from evercell import errors, settings
from evercell.engine.retry import RetryPolicy
from evercell.engine.step import Step

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
TEXT = "\n".join([*DOCS.values(), (ROOT / "README.md").read_text()])


@pytest.mark.parametrize("name", sorted(set(evercell.__all__) - {"unload_ipython_extension"}))
def test_every_public_name_is_documented(name: str) -> None:
    shown = "%load_ext evercell" if name == "load_ipython_extension" else name
    assert re.search(rf"\b{re.escape(shown)}\b|{re.escape(shown)}", TEXT), name


def test_every_error_stands_in_the_table_with_its_code() -> None:
    for name in errors.__all__:
        assert f"| {getattr(errors, name).code} | `{name}` |" in DOCS["errors.md"]


def test_codes_are_unique_and_the_tree_is_drawn() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert re.search(rf"{kind.__name__} +{kind.code}", errors.__doc__ or "")


def test_every_option_of_a_step_is_documented() -> None:
    options = set(inspect.signature(Step.__init__).parameters) - {"self", "function"}
    for name in options:
        assert f"| `{name}` |" in DOCS["steps.md"], name
    for name in inspect.signature(RetryPolicy).parameters:
        assert name in DOCS["steps.md"], name


def test_every_option_of_configure_is_documented() -> None:
    for name in settings.OPTIONS:
        assert f"| `{name}` |" in DOCS["configuration.md"], name


def test_every_environment_variable_is_documented() -> None:
    sources = [*(ROOT / "kernel").rglob("*.py"), *(ROOT / "widgets").rglob("*.py")]
    used = {
        name for path in sources for name in re.findall(r"\"(EVERCELL_[A-Z_]+)\"", path.read_text())
    }
    assert used, "the pattern no longer fits the code"
    for name in used - {"EVERCELL_FAILPOINT"}:  # for tests of the journal only
        assert f"`{name}`" in TEXT, name


def test_every_command_of_the_magic_is_documented() -> None:
    from evercell.jupyter.magics import COMMANDS

    for name in COMMANDS:
        assert re.search(rf"^\| `%+evercell {name}\b", DOCS["magics.md"], re.MULTILINE), name
