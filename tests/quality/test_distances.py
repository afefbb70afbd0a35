"""Neighbours on a map by a tree against those by all distances."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from points import KINDS, points
from reference import tsne as reference

from fasttsne.quality import distances


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
