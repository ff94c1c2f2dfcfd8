"""The extension's files hang together: what JupyterLab reads of them is in the wheel, and true."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import evercell

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "widgets" / "labextension"
STATIC = EXTENSION / "static"
PACKAGE = json.loads((EXTENSION / "package.json").read_text())


def test_the_version_is_that_of_the_package() -> None:
    assert PACKAGE["version"] == evercell.__version__


def test_the_wheel_puts_it_where_jupyterlab_looks() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    shared = wheel["targets"]["wheel"]["shared-data"]
    assert shared["widgets/labextension"] == f"share/jupyter/labextensions/{PACKAGE['name']}"


def test_the_entry_and_every_import_exist() -> None:
    assert (EXTENSION / PACKAGE["jupyterlab"]["_build"]["load"]).is_file()
    imported = {
        (path.name, name)
        for path in STATIC.glob("*.js")
        for name in re.findall(r"(?:from|import\() ?\"(\./[\w.]+)\"", path.read_text())
        if not name.endswith("types")
    }
    assert len(imported) > 5
    assert [it for it in imported if not (STATIC / it[1]).is_file()] == []


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        urls = set(re.findall(r"https?://[\w./]+", path.read_text()))
        assert urls <= {"http://www.w3.org/2000/svg"}, path.name


def test_each_toolbar_item_of_the_schema_has_a_factory() -> None:
    schema = json.loads((EXTENSION / "schemas" / "evercell" / "plugin.json").read_text())
    items = {item["name"] for item in schema["jupyter.lab.toolbars"]["Notebook"]}
    made = set(re.findall(r'"Notebook", "([\w-]+)"', (STATIC / "extension.js").read_text()))
    assert items == made


def test_text_from_a_run_never_becomes_html() -> None:
    for path in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML", path.read_text()), path.name
