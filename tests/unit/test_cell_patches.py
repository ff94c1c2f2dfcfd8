# ruff: noqa: E501 - a case per line
"""What a cell changes outside of the namespace is put back, or makes the cell run again."""

from __future__ import annotations

import gc
import locale
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.mark.parametrize(
    ("change", "probe", "undo"),
    [
        ("import numpy as np\nnp.seterr(all='raise')", "np.geterr()", "np.seterr(all='warn', under='ignore')"),
        ("import locale\nlocale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')", "locale.setlocale(locale.LC_ALL)", "locale.setlocale(locale.LC_NUMERIC, 'C')"),
        ("import gc\ngc.set_threshold(900, 11, 12)", "gc.get_threshold()", "gc.set_threshold(700, 10, 10)"),
        ("import socket\nsocket.setdefaulttimeout(7)", "socket.getdefaulttimeout()", "socket.setdefaulttimeout(None)"),
        ("import sklearn\nsklearn.set_config(display='text')", "sklearn.get_config()", "sklearn.set_config(display='diagram')"),
    ],
    ids=["numpy errors", "locale", "collector", "socket timeout", "sklearn"],
)  # fmt: skip
def test_settings_are_put_back(change: str, probe: str, undo: str) -> None:
    module = change.partition("\n")[0]
    first = Bench()
    first.run(module)
    try:
        first.run(change)
        wanted = eval(probe, first.ns)
        exec(undo, first.ns)
        assert eval(probe, first.ns) != wanted
        second = Bench()
        assert second.replay([module, change], first) == ["restored", "restored"]
        assert eval(probe, second.ns) == wanted
    finally:
        exec(undo, first.ns)


def test_a_signal_handler_makes_its_cell_run_again() -> None:
    cell = "import signal\n_old = signal.signal(signal.SIGUSR1, lambda *_: None)"
    before = signal.getsignal(signal.SIGUSR1)
    try:
        first, second = Bench(), Bench()
        reason = first.run(cell).reason
        assert reason is not None
        assert "signals can't be put back" in reason
        signal.signal(signal.SIGUSR1, before)
        assert second.replay([cell], first) == ["recomputed"]
    finally:
        signal.signal(signal.SIGUSR1, before)


_ACCESSOR = (
    "@pd.api.extensions.register_dataframe_accessor('evercell_zoo')\n"
    "class Zoo:\n    def __init__(self, df): self.n = len(df)"
)


@pytest.mark.parametrize(
    ("setup", "patch", "name", "undo"),
    [
        (
            "import pandas as pd",
            _ACCESSOR,
            "pandas.DataFrame.evercell_zoo",
            "del pd.DataFrame.evercell_zoo",
        ),
        (
            "import pandas as pd",
            "import tqdm; tqdm.tqdm.pandas()",
            "pandas.DataFrame.progress_apply",
            "for c in (pd.DataFrame, pd.Series, pd.core.groupby.DataFrameGroupBy,"
            " pd.core.groupby.SeriesGroupBy, pd.core.groupby.GroupBy):\n"
            "    for n in [n for n in vars(c) if n.startswith('progress_')]: delattr(c, n)",
        ),
        (
            "import pandas as pd, helper_that_patches",
            "helper_that_patches.patch()",
            "pandas.DataFrame",
            "pd.DataFrame._repr_html_ = helper_that_patches.before",
        ),
    ],
    ids=["accessor", "tqdm", "replaced"],
)
def test_a_librarys_own_call_that_patches(
    setup: str, patch: str, name: str, undo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "helper_that_patches", _helper())
    bench = Bench()
    bench.run(setup)
    try:
        assert name in str(bench.run(patch).reason)
        assert bench.run("x = 1").reason is None
    finally:
        exec(undo, bench.ns)


def test_a_patch_between_two_cells_counts_as_the_next_cells() -> None:
    bench = Bench()
    bench.run("import fractions, pandas as pd")
    bench.run("x = 0")  # what recording itself loads is there
    fraction = bench.ns["fractions"].Fraction
    try:
        fraction.evercell_zoo = 1
        assert "fractions.Fraction.evercell_zoo" in str(bench.run("x = 1").reason)
        assert bench.run("x = 2").reason is None
        bench.space.watch.forget()
        fraction.evercell_other = 1
        assert bench.run("x = 3").reason is None
    finally:
        for name in [n for n in vars(fraction) if n.startswith("evercell_")]:
            delattr(fraction, name)


def test_using_libraries_is_no_patch() -> None:
    bench = Bench()
    bench.run("import pandas as pd, numpy as np, dataclasses, enum, copy")
    for cell in (
        "df = pd.DataFrame({'a': [1]}); s = df.describe().to_html()",
        "g = copy.deepcopy(df.groupby('a').sum()); h = df.style",
        "import collections.abc, typing\nclass T(typing.NamedTuple):\n    x: int",
    ):
        assert bench.run(cell).reason in (
            None,
            "h: pandas.io.formats.style.Styler comes back from its pickle as something else",
        )


def _helper() -> object:
    import types

    import pandas as pd

    helper = types.ModuleType("helper_that_patches")
    helper.before = pd.DataFrame._repr_html_  # type: ignore[attr-defined]

    def patch() -> None:
        setattr(pd.DataFrame, "_repr_html_", lambda self: "patched")  # noqa: B010 - as a library

    helper.patch = patch  # type: ignore[attr-defined]
    return helper


def test_the_defaults_of_this_process_are_plain() -> None:
    """What the tests above change is as they expect it."""
    assert locale.setlocale(locale.LC_NUMERIC) == "C"
    assert socket.getdefaulttimeout() is None
    assert gc.isenabled()
