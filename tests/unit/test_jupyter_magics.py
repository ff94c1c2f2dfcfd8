import inspect

import pytest

from evercell.errors import UsageError
from evercell.jupyter.magics import COMMANDS, open_volatile
from evercell.jupyter.options import parse_fork


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
    ("line", "run", "overrides"),
    [
        ("", None, {}),
        ("abc", "abc", {}),
        ("abc --override plan=3", "abc", {"plan": 3}),
        (
            """--override plan='"a = b"' --override=ask#1=null""",
            None,
            {"plan": "a = b", "ask#1": None},
        ),
    ],
)
def test_a_fork_is_told_its_run_and_its_results(
    line: str, run: str | None, overrides: dict[str, object]
) -> None:
    assert parse_fork(line) == (run, overrides)


@pytest.mark.parametrize(
    "line", ["a b", "--at x", "--override", "--override plan", "--override plan={", "'a"]
)
def test_a_fork_that_is_told_something_else_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="Such as: %evercell fork"):
        parse_fork(line)
