"""The scripts are sent as one module; what can't be joined is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import evercell_widgets
from evercell_widgets.modules import joined

STATIC = Path(evercell_widgets.__file__).parent / "static"


def test_the_widgets_scripts_become_one_module_that_imports_nothing() -> None:
    text = joined(STATIC / "run.js")
    assert not re.search(r"^\s*import\b", text, re.MULTILINE)
    assert re.findall(r"^export .*", text, re.MULTILINE) == [
        "export default { initialize, render };"  # a named `render` would hide `initialize`
    ]
    for path in STATIC.glob("*.js"):
        if path.name != "types.js":
            first = path.read_text().splitlines()[0]
            assert text.count(first) == 1, path.name  # each is in it once


def test_nothing_is_asked_of_other_hosts() -> None:
    for path in STATIC.iterdir():
        assert not re.search(r"https?:|//[\w.]+\.\w+/|\bfetch\(|@import|url\(", path.read_text())


def test_nothing_from_a_run_is_read_as_html() -> None:
    for path in STATIC.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write", path.read_text()
        )


def test_a_module_stands_before_those_that_import_it(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b + 1;\n')
    (tmp_path / "b.js").write_text("export const b = 1;\n")
    assert joined(tmp_path / "a.js") == "const b = 1;\n\nexport const a = b + 1;\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("export const b = 1;\nconst a = 2;\n", "a is declared"),
        ('import c from "./c.js";\nexport const b = 1;\n', "import"),
        ('import "./c.js";\nexport const b = 1;\n', "import"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nconst a = b;\n')
    (tmp_path / "b.js").write_text(text)
    with pytest.raises(ValueError, match=why):
        joined(tmp_path / "a.js")
