"""ranks.c against matrices of all ranks, for every instruction set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from points import KINDS, points
from reference import quality as oracle_quality
from reference import tsne as reference

from fasttsne import _kernels

SHAPES = [(2, 1), (3, 2), (33, 3), (130, 70), (600, 5)]


def anchors_of(n, count=7):
    return np.unique(np.linspace(0, n - 1, min(n, count)).astype(np.int32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_are_exact_differences(isa, kind, n, d, dtype):
    X = points(kind, n, d, seed=n).astype(dtype)
    anchors = anchors_of(n)
    actual = _kernels.distances_to_all(X, anchors, 2)
    expected = reference.squared_distances(X)[anchors]
    np.testing.assert_allclose(actual, expected, rtol=1e-13)
    assert (actual[np.arange(len(anchors)), anchors] == 0.0).all()
    if kind in ("grid", "collinear"):
        np.testing.assert_array_equal(actual, expected)
    queries = np.stack([np.random.default_rng(0).permutation(n) for _ in anchors]).astype(np.int32)
    some = _kernels.distances_to_some(X, anchors, queries, 2)
    np.testing.assert_array_equal(some, np.take_along_axis(actual, queries, axis=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_ranks_and_the_nearest(isa, kind, n, d):
    anchors = anchors_of(n)
    distances = reference.squared_distances(points(kind, n, d, seed=d))
    expected = oracle_quality.ranks_of(distances)[anchors]
    rows = np.ascontiguousarray(distances[anchors])
    np.testing.assert_array_equal(_kernels.all_ranks_in_rows(rows, anchors, 2), expected)
    k = min(n - 1, 40)
    nearest = _kernels.nearest_in_rows(rows, anchors, k, 2)
    np.testing.assert_array_equal(nearest, np.argsort(expected, axis=1)[:, 1 : k + 1])
    queries = np.argsort(expected, axis=1)[:, 1:].astype(np.int32)[:, ::-1].copy()
    ranks = _kernels.ranks_in_rows(rows, anchors, queries, 2)
    np.testing.assert_array_equal(ranks, np.take_along_axis(expected, queries, axis=1))


# Distances that are hard to sort by their leading bits.
ROWS = {
    "equal": lambda n, rng: np.full(n, 0.3),
    "equal to the last bits": lambda n, rng: 1.0 + np.spacing(1.0) * rng.permutation(n),
    "outlier": lambda n, rng: np.append(rng.uniform(size=n - 1), 1e300),
    "infinite in single precision": lambda n, rng: 1e200 + 1e190 * rng.permutation(n),
    "zero in single precision": lambda n, rng: 1e-200 * rng.permutation(n),
    "wide": lambda n, rng: 10.0 ** rng.uniform(-300, 300, size=n),
    "zeros of both signs": lambda n, rng: np.where(rng.uniform(size=n) < 0.5, 0.0, -0.0),
}


@pytest.mark.parametrize("n", [2, 5000])
@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_are_hard_to_sort(isa, kind, n):
    row = ROWS[kind](n, np.random.default_rng(0))
    anchors = np.array([n // 2], dtype=np.int32)
    others = np.argsort(row, kind="stable")
    expected = np.zeros(n, dtype=int)
    expected[others[others != anchors[0]]] = np.arange(1, n)
    np.testing.assert_array_equal(_kernels.all_ranks_in_rows(row[None], anchors, 1)[0], expected)
    nearest = _kernels.nearest_in_rows(row[None], anchors, n - 1, 1)
    np.testing.assert_array_equal(nearest[0], others[others != anchors[0]])
    ranks = _kernels.ranks_in_rows(row[None], anchors, nearest, 1)
    np.testing.assert_array_equal(ranks[0], np.arange(1, n))


@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 99))
def test_larger_ranks_are_counted(n, m, seed):
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(0, n, size=(m, n)).astype(np.int32) for _ in range(2))
    counts = np.arange(n, dtype=np.int64)
    _kernels.count_larger_ranks(first, second, counts, 2)
    expected = np.arange(n) + np.bincount(np.maximum(first, second).ravel(), minlength=n)
    np.testing.assert_array_equal(counts, expected)


def test_what_would_be_read_out_of_bounds_is_refused():
    rows, anchors = np.zeros((2, 5)), np.array([0, 4], dtype=np.int32)
    for bad in np.array([0, 5], dtype=np.int32), np.array([-1, 0], dtype=np.int32):
        with pytest.raises(ValueError, match="an anchor's index is out of range"):
            _kernels.all_ranks_in_rows(rows, bad, 1)
        with pytest.raises(ValueError, match="an anchor's index is out of range"):
            _kernels.distances_to_all(np.zeros((5, 2)), bad, 1)
        with pytest.raises(ValueError, match="a query's index is out of range"):
            _kernels.ranks_in_rows(rows, anchors, np.stack([bad, bad]), 1)
        with pytest.raises(ValueError, match="a query's index is out of range"):
            _kernels.distances_to_some(np.zeros((5, 2)), anchors, np.stack([bad, bad]), 1)
    with pytest.raises(ValueError, match="a row of distances for every anchor"):
        _kernels.all_ranks_in_rows(rows[:1], anchors, 1)
    with pytest.raises(ValueError, match=r"n_neighbors must be in 1 \.\. n - 1"):
        _kernels.nearest_in_rows(rows, anchors, 5, 1)
    with pytest.raises(ValueError, match="a rank is out of range"):
        ranks = np.full((1, 3), 3, dtype=np.int32)
        _kernels.count_larger_ranks(ranks, ranks, np.zeros(3, dtype=np.int64), 1)
