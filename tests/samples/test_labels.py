"""Labels of many kinds as codes, and which of them are missing."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fasttsne.samples.labels import class_codes

NAN = float("nan")
LABELS = [
    ["a", None, "b", "a", NAN],
    np.array(["a", None, "b", "a", np.nan], dtype=object),
    pd.Series(["a", None, "b", "a", pd.NA], dtype="string"),
    pd.Series(["a", None, "b", "a", None], dtype="category", index=list("edcba")),
    pl.Series(["a", None, "b", "a", None]),
    [1, np.nan, 2.0, 1, None],
    np.array([-1.0, np.nan, 9.0, -1.0, np.nan]),
    [False, None, True, False, np.nan],
    pd.Series([1, None, 2, 1, None], dtype="Int64"),
    pl.Series([1, None, 2, 1, None]),
    np.ma.masked_equal([1, 0, 2, 1, 0], 0),
    np.ma.array(["a", "", "b", "a", ""], mask=[0, 1, 0, 0, 1]),
    [1, np.ma.masked, 2, 1, np.ma.masked],
    np.array(["2001", "NaT", "2002", "2001", "NaT"], "datetime64[Y]"),
    [Decimal(1), Decimal("nan"), Decimal(2), Decimal(1), Decimal("snan")],
    np.array([1, "NaT", 2, 1, "NaT"], "timedelta64[h]"),
    pd.Series(pd.to_datetime(["2001", None, "2002", "2001", None])).dt.tz_localize("UTC"),
    pa.array(["a", None, "b", "a", None]),
    pa.array(["a", None, "b", "a", None]).dictionary_encode(),
    pa.array([2**60, None, 2**60 + 1, 2**60, None]),
    pl.Series([2**60, None, 2**60 + 1, 2**60, None]),
    pl.Series(["a", None, "b", "a", None], dtype=pl.Categorical),
    [["a"], [None], ["b"], ["a"], [NAN]],
    pd.DataFrame({"label": ["a", None, "b", "a", NAN]}),
    # Integers that floats would merge.
    [2**60, None, 2**60 + 1, 2**60, np.nan],
    [-1, None, 2**64, -1, np.nan],
    pd.Series([2**60, None, 2**60 + 1, 2**60, None], dtype="Int64"),
    pd.array([2**60, None, 2**60 + 1, 2**60, None], dtype="Int64"),
    pd.Index(pd.array([2**60, None, 2**60 + 1, 2**60, None], dtype="Int64")),
    pd.Series([2**60, None, 2**60 + 1, 2**60, None], dtype="category"),
    ["a", None, 1, "a", NAN],  # mixed types have no order
]
if hasattr(getattr(np, "dtypes", None), "StringDType"):
    _STRINGS = np.dtypes.StringDType(na_object=np.nan)
    LABELS.append(np.array(["a", np.nan, "b", "a", np.nan], dtype=_STRINGS))


@pytest.mark.parametrize("labels", LABELS, ids=range(len(LABELS)))
def test_labels_of_many_kinds(labels):
    assert class_codes(labels, 5).tolist() == [0, -1, 1, 0, -1]


@pytest.mark.parametrize(
    "labels",
    [
        [3, -1, 5, 3],
        [3.0, -1.0, 5.0, 3.0],
        [np.int64(3), np.int64(-1), 2**60, np.float32(3)],
        np.array([[3], [-1], [5], [3]]),
        ["a", None, "b", "a"],
    ],
    ids=["integers", "floats", "mixed", "column", "words"],
)
def test_minus_one_may_be_missing(labels):
    assert class_codes(labels, 4, minus_one_is_missing=True).tolist() == [0, -1, 1, 0]


def test_bad_labels():
    with pytest.raises(ValueError, match=r"y has shape \(3,\), but must be one label per sample"):
        class_codes([1, 2, 3], 4, name="y")
    with pytest.raises(ValueError, match="labels contains infinity; use None or NaN"):
        class_codes([0.0, np.inf, 1.0], 3)


def test_labels_without_a_whole_order():
    """Sets are ordered by inclusion: sorting them does not bring equal ones together."""
    a, b, c = (frozenset([i]) for i in range(3))
    assert class_codes([b, a, c, b, a, c], 6).tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"a": 1}, {"a": 2}], "labels has objects without a hash; use numbers or text"),
        (pa.array([{"a": 1}, {"a": 2}]), "labels has objects without a hash"),
        (pd.Series([(1, 2), (3, 4)]), "entries are lists or tuples; convert each to text"),
        (pd.MultiIndex.from_arrays([[1, 2], [3, 4]]), "entries are lists or tuples"),
    ],
)
def test_objects_that_are_no_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        class_codes(labels, 2)
