"""pandas' tables: which come back without a trial, and that these do."""

from __future__ import annotations

import copyreg
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from evercell.codec.pickling import dump, load
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")


def _mixed() -> Any:
    return pd.DataFrame({
        "n": np.arange(5),
        "x": np.linspace(0, 1, 5),
        "yes": [True, False, True, True, False],
        "text": list("abcde"),
        "when": pd.to_datetime(["2020-01-01", "2021-02-03", None, "2022-01-01", "2023-01-01"]),
        "long": pd.to_timedelta([1, 2, 3, 4, 5], unit="s"),
        "small": np.arange(5, dtype="int8"),
        "z": np.arange(5) * 1j,
    })  # fmt: skip


def _flagged() -> Any:
    table = pd.DataFrame({"a": [1, 2]}).set_flags(allows_duplicate_labels=False)
    table.attrs["made"] = ["by", {"hand": 1}]
    return table


def _consolidated() -> Any:
    table = _mixed()
    table["m"] = 7
    del table["x"]
    return table[table.n > 1]


EXACT: dict[str, Callable[[], Any]] = {
    "mixed": _mixed,
    "flags and attrs": _flagged,
    "filtered": _consolidated,
    "empty": pd.DataFrame,
    "columns in Fortran order": lambda: pd.DataFrame(np.asfortranarray(np.eye(4))),
    "transposed": lambda: pd.DataFrame(np.arange(6.0).reshape(2, 3)).T,
    "reversed": lambda: pd.DataFrame({"a": np.arange(9)}).iloc[::-1],
    "every second": lambda: pd.DataFrame({"a": np.arange(9)}).iloc[::2],
    "series": lambda: pd.Series([1.5, None], name="q"),
    "series of lists": lambda: pd.Series([[1], {"a": [2]}, None], dtype=object),
    "index by text": lambda: pd.DataFrame({"a": [1, 2]}, index=pd.Index(["p", "q"], name="key")),
    "index by numbers": lambda: pd.Series([1, 2], index=[10, 20]),
    "masked": lambda: pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
    "many texts": lambda: pd.DataFrame({"a": [f"text {n}" for n in range(20_000)]}),
    "large": lambda: pd.DataFrame(np.random.default_rng(0).random((20_000, 3))),
}


@pytest.mark.parametrize("name", EXACT)
def test_what_needs_no_trial_comes_back(name: str) -> None:
    value = EXACT[name]()
    live: dict[str, Any] = {}
    stored = dump({"v": value}, live, out_of_band=True)
    assert stored.plain
    back = load(stored.stream, stored.buffers, live)["v"]
    compare = pd.testing.assert_frame_equal if hasattr(value, "columns") else _same_series
    compare(back, value, check_exact=True, check_freq=True)
    assert back.attrs == value.attrs
    assert back.flags == value.flags
    assert type(back.index) is type(value.index)
    assert vars(back).keys() == vars(value).keys() | {"_typ"}
    again = dump({"v": back}, live, out_of_band=True)
    assert again.digest() == stored.digest()
    back.iloc[:1] = back.iloc[:1]  # its memory can be written


def _same_series(one: Any, other: Any, **options: Any) -> None:
    pd.testing.assert_series_equal(one, other, **options)


class Odd(pd.DataFrame):  # type: ignore[misc]
    """A subclass with an attribute that pandas is told to keep."""

    _metadata = ("note",)


class Sly:
    """Says of its state what it likes."""

    def __init__(self) -> None:
        self.text = "kept"

    def __reduce__(self) -> Any:
        return Sly, ()


def _with_object(value: object) -> Any:
    table = pd.DataFrame({"a": [1, 2, 3]})
    table["o"] = [value, 1, "x"]
    return table


TRIED: dict[str, Callable[[], Any]] = {
    "subclass": lambda: Odd({"a": [1]}),
    "object with a reducer": lambda: _with_object(Sly()),
    "object in attrs": lambda: pd.DataFrame({"a": [1]}).pipe(_put, Sly()),
    "categories": lambda: pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    "no rows": lambda: _mixed().iloc[:0],
    "index by time": lambda: pd.Series([1, 2], index=pd.to_datetime(["2020-01-01", "2020-02-02"])),
    "periods": lambda: pd.DataFrame({"a": pd.period_range("2020", periods=2)}),
    "zones": lambda: pd.DataFrame({"a": pd.to_datetime(["2020-01-01"]).tz_localize("UTC")}),
    "frequency": lambda: pd.Series([1, 2], index=pd.date_range("2020", periods=2)),
    "levels": lambda: pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, 2), (3, 4)])
    ),
    "sparse": lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1])),
    "private attribute": lambda: _set(pd.DataFrame({"a": [1]}), "_cacher", 1),
}


def _put(table: Any, value: object) -> Any:
    table.attrs["o"] = value
    return table


def _set(value: Any, name: str, attribute: object) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        object.__setattr__(value, name, attribute)
    return value


@pytest.mark.parametrize("name", TRIED)
def test_all_else_is_tried(name: str) -> None:
    assert not dump({"v": TRIED[name]()}, {}, out_of_band=True).plain


@pytest.mark.parametrize(
    "make", [lambda: pd.DataFrame({"a": [1]}), lambda: pd.Series([1]), lambda: pd.Index([1])]
)
@pytest.mark.parametrize("name", ["note", "_note"])
def test_an_attribute_that_pandas_drops_is_refused(make: Callable[[], Any], name: str) -> None:
    with pytest.raises(NotStorableError, match=f"pandas does not store its attribute {name}"):
        dump({"v": _set(make(), name, [3])}, {}, out_of_band=True)


def test_a_cached_accessor_is_no_attribute_of_the_users() -> None:
    table = _set(pd.DataFrame({"a": [1]}), "plot", "a cache")
    stored = dump({"v": table}, {}, out_of_band=True)
    assert load(stored.stream, stored.buffers, {})["v"].equals(table)


@pytest.mark.parametrize("name", ["__getstate__", "__setstate__", "__reduce__", "__init__"])
def test_a_patched_class_is_tried(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    original = getattr(pd.DataFrame, name)

    def patched(self: Any, *arguments: Any, **options: Any) -> Any:
        return original(self, *arguments, **options)

    table = pd.DataFrame({"a": [1]})
    monkeypatch.setattr(pd.DataFrame, name, patched, raising=False)
    assert not dump({"v": table}, {}, out_of_band=True).plain


def test_a_registered_reducer_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def reduce(table: Any) -> Any:
        return pd.DataFrame, (table.to_dict("list"),)

    monkeypatch.setitem(copyreg.dispatch_table, pd.DataFrame, reduce)
    assert not dump({"v": pd.DataFrame({"a": [1]})}, {}, out_of_band=True).plain


def test_metadata_that_was_added_to_the_class_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd.DataFrame, "_metadata", ["note"])
    assert not dump({"v": pd.DataFrame({"a": [1]})}, {}, out_of_band=True).plain


def test_a_table_and_the_array_that_it_looks_into() -> None:
    array = np.arange(6.0).reshape(2, 3)
    table = pd.DataFrame(array, copy=False)
    stored = dump({"table": table, "array": array}, {}, out_of_band=True)
    owners = {span[2] for span in stored.arrays.spans}
    assert len(owners) == 2  # the sharing is seen, and refused by who looks at the memory


def test_a_read_only_array_of_objects_is_refused() -> None:
    array = np.array([[1], {}], dtype=object)
    array.flags.writeable = False
    with pytest.raises(NotStorableError, match="read-only"):
        dump({"v": array}, {}, out_of_band=True)


def test_storing_a_table_copies_none_of_it() -> None:
    table = pd.DataFrame({"a": np.zeros(1 << 16)})
    stored = dump({"v": table}, {}, out_of_band=True)
    (buffer,) = stored.buffers
    memory = np.frombuffer(buffer, "uint8")
    assert np.shares_memory(memory, table["a"].to_numpy())
