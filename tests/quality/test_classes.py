"""knn_accuracy against its definition, and points without a label."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import tsne as reference

from fasttsne.quality import knn_accuracy, report

# Small integers, so that distances are exact and many are tied.
GRIDS = hnp.arrays(
    np.float64, st.tuples(st.just(12), st.integers(1, 3)), elements=st.integers(-3, 3)
)


def accuracy_by_definition(Y, labels, k):
    hits = []
    for own, voters in zip(labels, reference.nearest_neighbors(Y, k)[0], strict=True):
        ballots = [labels[j] for j in voters]
        most = max(ballots.count(c) for c in ballots)
        hits.append(own == next(c for c in ballots if ballots.count(c) == most))
    return np.mean(hits)


@given(GRIDS, hnp.arrays(np.int64, 12, elements=st.integers(0, 3)), st.integers(1, 11))
def test_accuracy_is_its_definition(Y, labels, k):
    assert knn_accuracy(Y, labels, n_neighbors=k) == accuracy_by_definition(Y, labels, k)


@pytest.mark.parametrize(
    "labels",
    [
        [1, 1, np.nan, 1, "b", "b", "b", None],
        np.ma.masked_equal([1, 1, 0, 1, 2, 2, 2, 0], 0),
        pd.Series(["a", "a", None, "a", "b", "b", "b", None], dtype="category"),
    ],
    ids=["mixed", "masked", "category"],
)
def test_points_without_a_label_are_left_out(labels):
    # They would be the nearest neighbours of some points, and take a vote from the others.
    embedding = np.array([0.0, 1.0, 10.9, 2.0, 10.0, 11.0, 12.0, 1.1])[:, np.newaxis]
    assert knn_accuracy(embedding, labels, n_neighbors=2) == 1.0
    hits = knn_accuracy(embedding, labels, n_neighbors=2, per_sample=True)
    np.testing.assert_array_equal(hits, [1, 1, np.nan, 1, 1, 1, 1, np.nan])
    rows = [7, 4, 2]
    hits = knn_accuracy(embedding, labels, n_neighbors=2, per_sample=True, sample=rows)
    np.testing.assert_array_equal(hits, [np.nan, 1, np.nan])
    with pytest.raises(ValueError, match=r"n_neighbors \(6\) .* label \(6 of 8\)"):
        knn_accuracy(embedding, labels, n_neighbors=6)
    with pytest.raises(ValueError, match="labels are missing for all points in sample"):
        knn_accuracy(embedding, labels, n_neighbors=2, sample=[2, 7])


def test_one_class_and_thousands_of_classes():
    Y = np.random.default_rng(0).normal(size=(20_000, 2))
    assert knn_accuracy(Y[:500], np.zeros(500)) == 1.0
    pairs = np.arange(20_000) // 2
    Y[1::2] = Y[::2] + 1e-9  # partners in classes of two are side by side
    assert knn_accuracy(Y, pairs, n_neighbors=1) == 1.0
    assert knn_accuracy(Y, np.arange(20_000) % 10_000, n_neighbors=1) < 0.01


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((20, 2)), r"labels has shape \(20, 2\)"),
        (np.zeros(19), r"labels has shape \(19,\), but must be one label per sample: \(20,\)"),
        (np.append(np.zeros(19), np.inf), "labels contains infinity"),
        ([None] * 20, "labels are all missing"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        knn_accuracy(np.arange(40.0).reshape(20, 2), labels)
    with pytest.raises(ValueError, match=message):
        report(np.eye(20), np.eye(20, 2), labels, n_neighbors=5)
