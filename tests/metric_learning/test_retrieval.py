"""metric_learning.retrieval_report: retrieval of samples of the same class."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from fasttsne.metric_learning import hit_rate, map_at_r, r_precision, retrieval_report
from fasttsne.metric_learning.ranking import retrieval


def by_measures(E, labels, metric, k):
    """The measures of full rankings, one sample after the other; NaN for those alone in a class."""
    distances = cdist(E, E, metric)
    values = np.full((3, len(E)), np.nan)
    for i in range(len(E)):
        others = np.arange(len(E)) != i
        relevant, scores = (labels == labels[i])[others], -distances[i][others]
        if relevant.any():
            values[:, i] = [m(relevant, scores) for m in (map_at_r, r_precision)] + [
                hit_rate(relevant, scores, k=k)
            ]
    return values


def blobs(n=120, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, size=n, p=[0.4, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03])
    return rng.normal(size=(7, 5))[labels] + rng.normal(size=(n, 5)), labels


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("block", [1 << 20, 100])
def test_values_are_those_of_the_measures(metric, block, monkeypatch):
    E, labels = blobs()
    labels[5] = 99  # alone in its class
    monkeypatch.setattr(retrieval, "_BLOCK", block)
    found = retrieval_report(E, labels, ks=(3,), metric=metric)
    expected = by_measures(E, labels, metric, 3)
    assert_allclose(list(found.per_sample.values()), expected, rtol=1e-12)
    assert found.n_queries == 119
    assert_allclose(
        [found.map_at_r, found.r_precision, found.recall_at_k[3]], np.nanmean(expected, axis=1)
    )


def test_equal_distances_have_no_order():
    """Also where a tie goes on beyond the neighbours that are searched."""
    rng = np.random.default_rng(1)
    E, labels = rng.integers(0, 3, size=(90, 2)).astype(float), rng.integers(0, 9, size=90)
    found = retrieval_report(E, labels, ks=(1, 2))
    exact = np.sum((E[:, np.newaxis] - E) ** 2, axis=2)
    for i in range(90):
        others = np.arange(90) != i
        expected = map_at_r((labels == labels[i])[others], -exact[i][others])
        assert found.per_sample["map_at_r"][i] == pytest.approx(expected, rel=1e-12)
    order = rng.permutation(90)
    shuffled = retrieval_report(E[order], labels[order], ks=(1, 2))
    assert_allclose(shuffled.per_sample["map_at_r"], found.per_sample["map_at_r"][order])


def test_a_constant_embedding_gains_nothing_from_the_order_of_rows():
    labels = np.repeat([0, 1, 2, 3], 25)
    found = retrieval_report(np.ones((100, 3)), labels)
    assert found.r_precision == pytest.approx(24 / 99)
    assert found.recall_at_k[1] == pytest.approx(24 / 99)
    assert found.map_at_r < 0.2


def test_samples_without_a_label_are_left_out():
    E, labels = blobs(60)
    missing = pd.Series(labels, dtype="Int64")
    missing[[2, 11, 30]] = pd.NA
    found = retrieval_report(E, missing)
    kept = np.setdiff1d(np.arange(60), [2, 11, 30])
    expected = retrieval_report(E[kept], labels[kept])
    for name, values in found.per_sample.items():
        assert_array_equal(values[kept], expected.per_sample[name])
        assert np.isnan(values[[2, 11, 30]]).all()


def test_blocks_need_little_memory():
    rng = np.random.default_rng(2)
    E, labels = rng.normal(size=(4000, 8)).astype(np.float32), np.arange(4000) % 2
    tracemalloc.start()
    try:
        retrieval_report(E[:300], labels[:300])
        tracemalloc.reset_peak()
        rows = retrieval_report(E, np.where(np.arange(4000) < 3600, np.arange(4000), -1))
        assert rows.n_queries == 400
        # All distances take 128 megabytes.
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()


def test_it_prints_a_table():
    text = repr(retrieval_report(*blobs(), ks=(1, 10)))
    assert text.startswith("120 queries\n\nMAP@R        0.")
    assert "recall@10    " in text


@pytest.mark.parametrize(
    ("labels", "params", "message"),
    [
        ([0, 1, 2], {}, "labels must have a class of two samples"),
        ([0, 0], {}, "labels has shape"),
        ([0, 0, None], {"ks": (0,)}, "ks=.* must hold integers of at least 1"),
        ([0, 0, 1], {"ks": ()}, "ks="),
        ([0, 0, 1], {"metric": "cityblock"}, "metric='cityblock' must be"),
    ],
)
def test_mistakes_are_named(labels, params, message):
    with pytest.raises(ValueError, match=message):
        retrieval_report(np.eye(3), labels, **params)
    with pytest.raises(ValueError, match="E contains NaN"):
        retrieval_report([[np.nan], [1.0]], [0, 0])
