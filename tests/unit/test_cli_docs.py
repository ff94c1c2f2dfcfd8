"""Every command and option is documented in docs/cli.md, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer.main

from evercell.cli.app import app

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
ROOT: Any = typer.main.get_command(app)


def flattened(group: Any, prefix: str = "") -> dict[str, Any]:
    """Every command by its name; one within a group has two words."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= flattened(command, f"{prefix}{name} ")
        else:
            found[prefix + name] = command
    return found


COMMANDS = flattened(ROOT)


def section(command: str) -> str:
    found = re.search(rf"^## evercell {command}\n(.*?)(?=^## |\Z)", DOCS, re.DOTALL | re.MULTILINE)
    assert found, f"docs/cli.md has no section for `evercell {command}`"
    return found[1]


def options(command: Any) -> set[str]:
    found = {flag for param in command.params for flag in param.opts if flag.startswith("-")}
    return found - {"--help", "-h"}


def test_every_command_has_a_section_and_a_row() -> None:
    for name in COMMANDS:
        assert section(name)
        assert re.search(rf"^\| \[`evercell {name}[ `]", DOCS, re.MULTILINE)


def test_every_section_is_a_command() -> None:
    assert set(re.findall(r"^## evercell (.+)$", DOCS, re.MULTILINE)) == set(COMMANDS)


def test_every_option_stands_in_its_commands_table_and_no_other() -> None:
    for name, command in COMMANDS.items():
        rows = re.findall(r"^\| (`-.*?) \|", section(name), re.MULTILINE)
        documented = {flag for row in rows for flag in re.findall(r"`(-[\w-]+)", row)}
        assert documented == options(command), name


def test_every_argument_stands_in_its_synopsis() -> None:
    for name, command in COMMANDS.items():
        synopsis = re.search(r"^    evercell .*$", section(name), re.MULTILINE)
        assert synopsis
        for param in command.params:
            if not param.opts[0].startswith("-"):
                assert str(param.metavar).strip("{}") in synopsis[0]


def test_the_options_of_the_root_are_documented() -> None:
    for flag in options(ROOT):
        assert f"`evercell {flag}`" in DOCS


def test_the_exit_codes_stand_in_the_help_and_in_the_table() -> None:
    for command in COMMANDS.values():
        for code in ("0", "1", "2", "130", "143"):
            assert re.search(rf"\b{code}\b", command.epilog)
            assert f"\n| {code} |" in DOCS
