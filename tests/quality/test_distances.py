"""Neighbours on a map by a tree against those by all distances."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from points import KINDS, points
from reference import tsne as reference

from fasttsne.quality import checks, distances


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_neighbours_by_a_tree_are_those_by_all_distances(monkeypatch, kind, d):
    Y = points(kind, 400, d, seed=1)
    expected, _ = reference.nearest_neighbors(Y, 12)
    monkeypatch.setattr(distances, "_MANY_PAIRS", 0)
    anchors = np.arange(400, dtype=np.int32)
    assert_array_equal(distances.Points(Y).nearest(anchors, 12, 2), expected)
    assert_array_equal(distances.Points(Y).nearest(anchors[::-7].copy(), 12, 2), expected[::-7])
    everyone = distances.Points(Y[:50]).nearest(anchors[:50], 49, 2)
    assert_array_equal(everyone, reference.nearest_neighbors(Y[:50], 49)[0])


@pytest.mark.parametrize("metric", ["manhattan", "correlation", lambda a, b: abs(a - b).max()])
@pytest.mark.parametrize("block_values", [1 << 22, 1000])
def test_pairs_are_those_of_rows(monkeypatch, metric, block_values):
    monkeypatch.setattr(checks, "_BLOCK_VALUES", block_values)
    rng = np.random.default_rng(0)
    X = distances.as_distances(rng.normal(size=(90, 7)), metric)
    first, second = rng.integers(90, size=(2, 8200)).astype(np.int32)
    expected = X.rows(np.arange(90, dtype=np.int32), 2)[first, second]
    # Of many pairs all distances are computed first, of few only their own.
    assert_allclose(X.pairs(first, second, 2), expected, rtol=1e-12, atol=1e-15)
    assert_allclose(X.pairs(first[:50], second[:50], 2), expected[:50], rtol=1e-12, atol=1e-15)
