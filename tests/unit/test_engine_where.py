"""How a line of the user's code is named: by its cell, where it is one's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.compilerop import CachingCompiler

from evercell.engine.workflow import where
from evercell.jupyter.session import _cell_name

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
def calls():
    return called()

def fails():
    raise ValueError("no")

async def outer():
    await inner()

async def inner():
    await forever()
"""


@pytest.fixture
def compiler() -> Iterator[Any]:
    compiler = CachingCompiler()
    where.name_cells(partial(_cell_name, compiler))
    yield compiler
    where.name_cells(lambda _: None)


class Forever:
    def __await__(self) -> Any:
        yield


def define(name: str) -> dict[str, Any]:
    space = {"__name__": "__main__", "called": where.calling_line, "forever": Forever}
    exec(compile(SOURCE, name, "exec"), space)
    return space


def test_a_cells_line_is_named_as_in_a_traceback(compiler: Any) -> None:
    space = define(compiler.cache(SOURCE, 3))
    assert where.first_line(space["fails"].__code__) == "Cell In[3], line 5"
    assert space["calls"]() == "Cell In[3], line 3"
    with pytest.raises(ValueError, match="no") as raised:
        space["fails"]()
    assert where.raising_line(raised.value) == "Cell In[3], line 6"
    coroutine = space["outer"]()
    coroutine.send(None)
    assert where.waiting_line(coroutine) == "Cell In[3], line 12"
    coroutine.close()
    assert where.waiting_line(coroutine) is None


def test_another_files_line_is_named_by_its_file(compiler: Any) -> None:
    assert define("/work/agents.py")["calls"]() == "line 3 of /work/agents.py"
