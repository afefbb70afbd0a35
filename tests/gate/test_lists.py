"""Inverted lists for queries: what they refuse, and that a pickle changes no bit."""

import pickle

import numpy as np
import pytest
from points import points

from fasttsne import _kernels


def parts_of(n=40, m=3, n_lists=4):
    """Arguments of `InvertedLists`: equal lists of consecutive points, and a budget of all."""
    X = points("normal", n, m, seed=0).astype(np.float32)
    start = np.linspace(0, n, n_lists + 1).astype(np.int64)
    centroids = X.reshape(n_lists, n // n_lists, m).mean(axis=1)
    return [start, np.arange(n, dtype=np.int32), centroids, n, X, None]


@pytest.mark.parametrize("tails", [None, np.linspace(0, 1, 40, dtype=np.float32)])
def test_pickled_lists_find_the_same_bits(isa, tails):
    *parts, X, _ = parts_of()
    lists = _kernels.InvertedLists(*parts, X, tails)
    again = pickle.loads(pickle.dumps(lists))
    for copy, array in zip(again.__reduce__()[1], lists.__reduce__()[1], strict=True):
        np.testing.assert_array_equal(copy, array)
    np.testing.assert_array_equal(again.__reduce__()[1][4], X)
    found, expected = (some.find(X[:9], X[:9], X, 5, 12, 2) for some in (again, lists))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0][:, 0], np.arange(9))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, np.array([0, 10, 5, 30, 40]), "start must ascend"),
        (0, np.array([0, 10, 20, 30, 41]), "start must ascend"),
        (1, np.full(40, 40, dtype=np.int32), "order must have the n points"),
        (1, np.arange(39, dtype=np.int32), "order must have the n points"),
        (2, np.zeros((4, 2), dtype=np.float32), "centroids differ"),
        (3, 41, r"budget must be in 1 \.\. n"),
        (5, np.zeros(39, dtype=np.float32), "tails and coordinates differ"),
    ],
)
def test_lists_that_would_be_read_out_of_bounds_are_refused(place, value, message):
    parts = parts_of()
    parts[place] = value
    with pytest.raises(ValueError, match=message):
        _kernels.InvertedLists(*parts)


def test_queries_that_do_not_fit_are_refused():
    parts = parts_of()
    lists, X = _kernels.InvertedLists(*parts), parts[4]
    for arguments in (
        (X[:, :2].copy(), X, X, 5, 12),
        (X[:9], X, X, 5, 12),
        (X, X, X[:39], 5, 12),
        (X, X.astype(float), X, 5, 12),
        (X, X, X, 5, 41),
        (X, X, X, 13, 12),
    ):
        with pytest.raises(ValueError, match=r"differ|need 0 < n_neighbors"):
            lists.find(*arguments, 1)
