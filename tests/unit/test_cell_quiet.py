"""A large table that a cell only reads is not read again; whatever may change it is noticed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

from evercell.codec import pickling

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.run("import numpy as np, pandas as pd")
    made.run("df = pd.DataFrame({'a': np.arange(400_000.), 'b': 1.0}); a = np.ones(400_000)")
    made.run("b = np.ones(400_000); n = 0; results = []; names = {'x': 1}")
    made.run("def look(): return df['a'].mean() + a.sum()")
    made.run("def mean(x: np.ndarray) -> np.double: return x.mean()")
    made.run("def change(): a[0] += 1")
    made.run("class Model:\n    def mean(self): change()")
    made.run("models = [Model()]")
    return made


def _reads(bench: Bench, cell: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the cell had the large ones read again."""
    sizes: list[int] = []
    hashed = pickling.Dumped.digest

    def digest(self: pickling.Dumped) -> bytes:
        sizes.append(sum(buffer.nbytes for buffer in self.buffers))
        return hashed(self)

    with monkeypatch.context() as patch:
        patch.setattr(pickling.Dumped, "digest", digest)
        capture = bench.run(cell)
    assert {"df", "a"} & capture.reads.keys()
    return max(sizes, default=0) > 1_000_000


@pytest.mark.parametrize(
    "cell",
    [
        "df.describe()",
        "print(df['a'].mean(), len(df), df.shape)",
        "n = float(df.groupby('b').sum()['a'].iloc[0])",
        "m = np.sqrt(a).mean()",
        "import numpy as np; m = np.sqrt(a, dtype=float).mean()",
        "m = df.mean(axis=1).max(axis=0)",
        "n = look()",
        "n = mean(a)",
        "for x in range(3): results.append(float(a.sum()))",
        "small = {k: float(df[k].max()) for k in df.columns}",
    ],
)
def test_a_cell_that_only_reads(bench: Bench, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _reads(bench, cell, monkeypatch)


@pytest.mark.parametrize(
    ("cell", "changed"),
    [
        ("a[0] = 5", "a"),
        ("a += 1", "a"),
        ("np.add(a, 1, a)", "a"),
        ("np.sqrt(a + 1, a)", "a"),
        ("import numpy as np; np.sqrt(a + 1, a)", "a"),
        ("np.add(a, 1, a, casting='same_kind')", "a"),
        ("np.add(a, 1, a, dtype=float)", "a"),
        ("np.add(a, np.sum(b, axis=0), a, dtype=float)", "a"),
        ("np.exp(a, out=a)", "a"),
        ("a.sort(); a[::-1].sort()", None),
        ("a.fill(7)", "a"),
        ("change()", "a"),
        ("models[0].mean()", "a"),
        ("df['c'] = 1", "df"),
        ("df.loc[0, 'a'] = 9", "df"),
        ("df.drop(columns='b', inplace=True)", "df"),
        ("df.insert(0, 'z', 1)", "df"),
        ("df.columns = ['u', 'v']", "df"),
        ("np.copyto(a, 3)", "a"),
        ("np.random.shuffle(a + 1); (lambda x: x.__setitem__(0, 8))(a)", "a"),
        ("exec('a[0] = 4')", "a"),
        ("list(map(a.itemset if hasattr(a, 'itemset') else a.fill, [3]))", "a"),
    ],
)
def test_a_cell_that_may_change(bench: Bench, cell: str, changed: str | None) -> None:
    before = dict(bench.space.versions)
    bench.run(cell)
    now = {n for n in ("df", "a") if bench.space.versions[n] != before[n]}
    assert now == ({changed} if changed else set())


def test_a_view_that_a_reading_cell_makes_is_one_of_the_array(bench: Bench) -> None:
    bench.run("df.describe(); part = a[1:3]")
    assert bench.space.groups["part"] == {"part", "a"}
    bench.run("v = df['a'].to_numpy()")
    assert bench.space.groups["v"] == {"v", "df"}
