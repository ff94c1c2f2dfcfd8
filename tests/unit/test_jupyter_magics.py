import inspect

import pytest

from evercell.errors import UsageError
from evercell.jupyter.magics import COMMANDS, _parse_sql, _Use, open_volatile


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_documents_its_use(name):
    first, *rest = inspect.getdoc(COMMANDS[name]).splitlines()
    assert first.lstrip("%").startswith(f"evercell {name}")
    assert rest


@pytest.mark.parametrize(
    ("lines", "opened"),
    [
        (["%%evercell volatile\n", "x\n"], ["# %%evercell volatile\n", "x\n"]),
        (["%%evercell   volatile\n"], ["# %%evercell   volatile\n"]),
        (["%%evercell volatile\n", "%%bash\n", "ls\n"], ["%%bash\n", "ls\n"]),
        (["%%evercell sql\n", "SELECT\n"], ["%%evercell sql\n", "SELECT\n"]),
        (["x\n", "%%evercell volatile\n"], ["x\n", "%%evercell volatile\n"]),
        ([], []),
    ],
)
def test_volatile_line_leaves_an_ordinary_cell(lines, opened):
    assert open_volatile(lines) == opened


@pytest.mark.parametrize(
    ("arguments", "body", "parsed"),
    [
        ("SELECT 'it''s' FROM t", None, (None, "SELECT 'it''s' FROM t")),
        ("-o df SELECT 1", None, ("df", "SELECT 1")),
        ("-o df SELECT 'a  b' -- {x} $y", None, ("df", "SELECT 'a  b' -- {x} $y")),
        ("", "SELECT 1\n", (None, "SELECT 1\n")),
        ("-o df", "SELECT 1", ("df", "SELECT 1")),
        ("--output df", "SELECT 1", ("df", "SELECT 1")),
    ],
)
def test_sql_arguments(arguments, body, parsed):
    assert _parse_sql(_Use(None, None, arguments, body)) == parsed


@pytest.mark.parametrize(
    ("arguments", "body"),
    [("", None), ("-o", "SELECT 1"), ("-o 1x", "SELECT 1"), ("-x df", "SELECT 1"), ("", "  ")],
)
def test_sql_misuse_says_how_to_write_it(arguments, body):
    with pytest.raises(UsageError, match="Write `%evercell sql"):
        _parse_sql(_Use(None, None, arguments, body))
