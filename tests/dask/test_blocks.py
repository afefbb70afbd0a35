"""Users' data as checked blocks: forms that are accepted, and what is refused when."""

from functools import partial

import numpy as np
import pytest
from dask_support import SHORT, blocks, da, dask
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone

import fasttsne
from fasttsne.dask import TSNE, transform
from fasttsne.dask.blocks import as_rows

pytestmark = pytest.mark.usefixtures("synchronous")


@pytest.fixture(scope="module")
def frame(digits):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("dask.dataframe")
    return pandas.DataFrame(digits[:400], columns=[f"pixel {i}" for i in range(64)])


def as_parts(frame, n_parts=3):
    import dask.dataframe as dd

    return dd.from_pandas(frame, npartitions=n_parts)


def test_names_of_columns(frame, digits):
    model = TSNE(landmarks=150, **SHORT)
    found = model.fit_transform(as_parts(frame)).compute()
    assert list(model.feature_names_in_) == list(frame.columns)
    assert_array_equal(found, clone(model).fit_transform(blocks(digits[:400], 90)).compute())
    plain = fasttsne.TSNE(**SHORT).fit(frame)
    for fitted in (model, plain):
        with pytest.raises(ValueError, match="pixel 63 for pixel 0, pixel 62 for pixel 1"):
            transform(fitted, as_parts(frame[frame.columns[::-1]]))
    expected = plain.transform(frame)
    assert_array_equal(transform(plain, as_parts(frame)).compute(), expected)  # without a warning
    model.fit(blocks(digits[:400]))
    assert not hasattr(model, "feature_names_in_")


def test_columns_of_integers(frame, fitted, placed):
    ints = as_parts(frame.astype({"pixel 3": np.int64, "pixel 9": np.uint8}))
    assert_array_equal(transform(fitted, ints).compute(), placed[:400])


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask passes it to pandas
def test_columns_of_files_whose_parts_dask_joins(frame, tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    pytest.importorskip("pyarrow")
    as_parts(frame, 8).to_parquet(tmp_path)
    columns = list(frame.columns[:2])  # so few that Dask reads several parts at a time
    rows = as_rows(dd.read_parquet(tmp_path)[columns])
    assert sum(rows.lengths) == 400
    assert_array_equal(rows.array.compute(), frame[columns])
    assert rows.array.dtype == frame.dtypes.iloc[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.astype({"pixel 2": complex}), r"column 'pixel 2' \(complex128\)"),
        (lambda frame: frame.assign(name="a"), r"column 'name' \("),
    ],
)
def test_columns_that_are_not_real_numbers(frame, fitted, change, message):
    with pytest.raises(ValueError, match=message):
        transform(fitted, as_parts(change(frame)))


def delayed(*parts):
    return [dask.delayed(part) for part in parts]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (lambda X: da.zeros((0, 64), chunks=(1, 64)), ValueError, "X has no rows"),
        (lambda X: da.zeros((10, 0), chunks=(5, 1)), ValueError, "X has no columns"),
        (lambda X: blocks(X)[blocks(X)[:, 20] > 3], ValueError, r"call X\.compute_chunk_sizes\(\)"),
        (lambda X: da.zeros(10, chunks=5), ValueError, "must be a matrix"),
        (lambda X: blocks(X.astype(complex)), TypeError, "complex128"),
        (lambda X: X, TypeError, "use fasttsne.TSNE"),
        (list, TypeError, "must be a dask array"),
        (lambda X: delayed(X[:5], X[5:9, :7]), ValueError, "rows 5 to 8 with 7 columns"),
        (lambda X: delayed(X[:5], X[5:9] > 0), ValueError, "rows 5 to 8 with 64 columns of bool"),
        (lambda X: delayed("a"), ValueError, "block that is not a matrix, number 0"),
    ],
)
def test_what_is_not_data(digits, fitted, data, error, message):
    for function in (partial(transform, fitted), TSNE(landmarks=50, **SHORT).fit):
        with pytest.raises(error, match=message):
            function(data(digits))


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_in_a_far_block_is_named_by_its_rows(digits, fitted, bad, kind):
    X = digits.copy()
    X[1432, 5] = X[1450, 6] = bad
    x = blocks(X, 400)
    if kind == "sparse":
        x = x.map_blocks(sparse.csr_matrix)
    message = "NaN or infinity in 2 of rows 1200 to 1599, first in row 1432"
    with pytest.raises(ValueError, match=message):
        transform(fitted, x).compute()
    for selection in ("uniform", "density"):
        with pytest.raises(ValueError, match=message):
            TSNE(landmarks=50, landmark_selection=selection, **SHORT).fit(x)


def test_values_whose_sum_overflows_are_finite():
    X = np.full((20, 64), 1e308)
    X[::2] *= -1
    assert np.isfinite(as_rows(blocks(X)).map(lambda block, _: block, like=X[:0])).all()


@pytest.mark.parametrize(
    ("made", "dtype", "error", "message"),
    [
        (np.array, "float32", ValueError, "have the dtype float64, but X declares float32"),
        (lambda X: X[:, :60], float, ValueError, r", 60\), but X declares \(1797, 64\)"),
        (list, float, TypeError, "are a list, not an array"),
    ],
)
def test_blocks_that_are_not_what_was_declared(digits, fitted, made, dtype, error, message):
    x = da.from_delayed(dask.delayed(made)(digits), digits.shape, dtype=dtype)
    for function in (lambda X: transform(fitted, X).compute(), TSNE(landmarks=30, **SHORT).fit):
        with pytest.raises(error, match="rows 0 to 1796 of X .*" + message):
            function(x)
