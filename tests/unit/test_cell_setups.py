"""What sets up a library makes its cell run again, and what is kept otherwise does not."""

from __future__ import annotations

import ast
import sys
import types
from typing import TYPE_CHECKING

import matplotlib
import numpy
import pytest
from cellbench import Bench

from evercell.cell.setups import setups, setups_in

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Renderers:
    active = "default"

    def enable(self, name: str) -> None:
        self.active = name


@pytest.fixture(autouse=True)
def _library() -> Iterator[types.ModuleType]:
    """A library as if it were installed."""
    main = sys.modules["__main__"]
    library = types.ModuleType("viewlib")
    library.__file__ = f"{sys.prefix}/lib/site-packages/viewlib.py"
    library.renderers = _Renderers()  # type: ignore[attr-defined]
    exec("def set_options(**o): pass\ndef load(): pass\nclass Config:\n  x = 1", vars(library))
    library.Config.__module__ = "viewlib"  # type: ignore[attr-defined]
    sys.modules["viewlib"] = library
    yield library
    del sys.modules["viewlib"]
    sys.modules["__main__"] = main


def _found(text: str) -> list[str]:
    library = sys.modules["viewlib"]

    class Callable:
        def set_title(self, _text: str) -> None:
            """Nothing."""

        def __call__(self) -> None:
            """Nothing."""

    Callable.__module__ = "viewlib"
    ns: dict[str, object] = {
        "v": library,
        "set_options": vars(library)["set_options"],
        "Config": vars(library)["Config"],
        "axes": Callable(),
        "np": numpy,
        "mpl": matplotlib,
        "plt": matplotlib,
        "own": lambda: None,
        "sys": sys,
    }
    return setups(setups_in(ast.parse(text).body), ns)


@pytest.mark.parametrize(
    "text",
    [
        "v.renderers.enable('x')",
        "v.set_options(a=1)",
        "set_options(a=1)",
        "await v.configure(a=1)",
        "v.config.update('a', 1)",
        "v.renderers.active = 'x'",
        "v.renderers.active, other = 'x', 1",
        "v.renderers.count += 1",
        "v.table['a'] = 1",
        "del v.table['a']",
        "Config.set_rows(3)",
        "if a:\n    try:\n        v.init_printing()\n    except E:\n        pass",
        "mpl.colormaps.register(c)",
    ],
)
def test_what_sets_up_a_library(text: str) -> None:
    (found,) = _found(text)
    assert found.startswith("the settings of ")


@pytest.mark.parametrize(
    "text",
    [
        "v.load()",
        "x = v.set_options(a=1)",
        "with v.set_options(a=1):\n    pass",
        "axes.set_title('t')",
        "own.set_x()",
        "np.set_printoptions(precision=3)",
        "mpl.rcParams['lines.linewidth'] = 2",
        "plt.style.use('ggplot')",
        "sys.setrecursionlimit(3000)",
        "undefined.set_x()",
        "def f():\n    v.set_options(a=1)",
        "x.set_index('a').reset_index()",
    ],
)
def test_what_does_not(text: str) -> None:
    assert _found(text) == []


def test_its_cell_runs_again_and_the_cells_behind_it_depend_on_it() -> None:
    bench = Bench()
    bench.run("import viewlib")
    first = bench.run("viewlib.renderers.enable('html')")
    assert first.restorable
    assert first.reason == "it changed the settings of viewlib (viewlib.renderers.enable)"
    shown = bench.run("1 + 1")
    bench.run("viewlib.renderers.enable('svg')")
    assert bench.run("1 + 1").key != shown.key
