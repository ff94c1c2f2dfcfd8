import inspect

import pytest

from evercell.jupyter.magics import COMMANDS, open_volatile


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
