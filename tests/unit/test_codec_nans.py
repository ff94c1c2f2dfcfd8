"""A NaN is the same object again, wherever its identity can be felt."""

import cmath
import json
import math
import struct

import numpy as np
import pandas as pd
import pytest

from evercell.cell.covariables import connect, observe
from evercell.codec import nans
from evercell.codec.pickling import dump, load
from evercell.codec.values import decode, encode


def back(value):
    return load(dump(value, {}).stream, (), {})


@pytest.mark.parametrize("nan", [math.nan, cmath.nan, np.nan, json.loads("NaN")])
def test_a_nan_that_everybody_shares_is_that_object(nan):
    again = back({nan: [nan]})
    assert again[nan][0] is nan


def test_another_nan_stays_one_object():
    nan = float("nan")
    one, other, by_key, number = back([nan, float("nan"), {nan: 1}, 1.5])
    assert one is not other
    assert next(iter(by_key)) is one
    assert number == 1.5


@pytest.mark.parametrize("bits", ["7ff8000000000000", "fff8000000000000", "7ff800000000beef"])
def test_its_bits_stay(bits):
    (nan,) = struct.unpack(">d", bytes.fromhex(bits))
    assert struct.pack(">d", back([nan])[0]).hex() == bits


def test_nan_in_an_array_of_objects_is_the_same():
    again = back({"column": pd.Series(["a", np.nan], dtype=object), "missing": np.nan})
    assert again["column"].array[1] is again["missing"] is np.nan  # noqa: PLW0177 - the object


def test_infinity_takes_the_quick_way():
    assert not nans.holds_nan(dump([math.inf, -math.inf, 1.0], {}).main)
    assert nans.holds_nan(struct.pack(">cd", b"G", math.nan))


def test_variables_that_share_a_nan_belong_together():
    nan = float("nan")
    seen = {"a": nan, "b": [nan], "c": [float("nan")], "d": [np.nan], "e": np.nan}
    groups = connect({name: observe({name: value}, {}) for name, value in seen.items()})
    assert sorted(map(sorted, groups)) == [["a", "b"], ["c"], ["d"], ["e"]]


def test_result_of_a_step_is_the_shared_nan():
    encoded = encode([np.nan, 1.0], {})
    assert decode(encoded.codec, encoded.data, {})[0] is np.nan  # noqa: PLW0177 - the object
