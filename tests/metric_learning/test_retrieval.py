"""metric_learning.retrieval_report: retrieval of samples of the same class."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from points import KINDS, points
from scipy.spatial.distance import cdist

from fasttsne import _kernels
from fasttsne.metric_learning import hit_rate, map_at_r, r_precision, retrieval_report

every_isa = pytest.mark.usefixtures("isa")


def by_measures(distances, labels, ks):
    """The slow twin: measures of full rankings, one row per sample; NaN where it is no query.

    Samples of class -1 have no label. Distances are those of all samples.
    """
    known = np.flatnonzero(labels >= 0)
    others = ~np.eye(len(known), dtype=bool)
    shape = len(known), len(known) - 1
    relevant = (labels[known, np.newaxis] == labels[known])[others].reshape(shape)
    scores = -distances[np.ix_(known, known)][others].reshape(shape)
    params = {"per_query": True, "undefined": np.nan}
    values = np.full((len(labels), 2 + len(ks)), np.nan)
    values[known, 0] = map_at_r(relevant, scores, **params)
    values[known, 1] = r_precision(relevant, scores, **params)
    for column, k in enumerate(ks, 2):
        values[known, column] = hit_rate(relevant, scores, k=k, **params)
    return values


def exact_distances(E):
    """Squared distances with the bits that the kernel has."""
    E = np.ascontiguousarray(E)
    return _kernels.distances_to_all(E, np.arange(len(E), dtype=np.int32), 1)


def assert_as_slow(E, labels, ks=(1, 2, 7), distances=exact_distances, **params):
    found = retrieval_report(E, np.where(labels < 0, np.nan, labels), ks=ks, **params)
    expected = by_measures(distances(E), labels, ks)
    assert_allclose(np.column_stack([*found.per_sample.values()]), expected, rtol=1e-12)
    assert found.n_queries == np.sum(~np.isnan(expected[:, 0]))
    means = found.map_at_r, found.r_precision, *found.recall_at_k.values()
    assert_allclose(means, np.nanmean(expected, axis=0), rtol=1e-12)
    return found


def blobs(n=120, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, size=n, p=[0.4, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03])
    return rng.normal(size=(7, 5))[labels] + rng.normal(size=(n, 5)), labels


@every_isa
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(3, 120),
    d=st.integers(1, 40),
    n_classes=st.integers(1, 60),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 10_000),
)
def test_values_are_those_of_the_measures(kind, n, d, n_classes, dtype, seed):
    """With ties, copies, outliers, samples alone in their class, and samples without a label."""
    labels = np.random.default_rng(seed).integers(-1, n_classes, size=n)
    labels[:3] = 0
    assert_as_slow(points(kind, n, d, seed).astype(dtype), labels, ks=(1, 3, 500))


@pytest.mark.parametrize("kind", ["normal", "grid", "duplicates"])
@pytest.mark.parametrize("sizes", [[1000, 200], [2] * 600, [700, 3, 1, 40, 456]])
def test_many_samples_of_small_and_large_classes(kind, sizes):
    """More than the kernel sorts by insertion, and more than its sample."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    assert_as_slow(points(kind, len(labels), 3, seed=1), labels)


@pytest.mark.parametrize("far", [1e-3, 1e3])
def test_small_differences_of_distances_count(far):
    """Samples in tight clusters: single precision cannot tell their distances apart."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 5, size=1300)
    E = far * rng.integers(0, 2, size=(1300, 6)) + 1e-7 * far * rng.normal(size=(1300, 6))
    assert_as_slow(E, labels)


@pytest.mark.parametrize("scale", [1e-150, 1e-40, 1e60])
def test_any_scale(scale):
    E, labels = blobs(60)
    expected = retrieval_report(E, labels).per_sample["map_at_r"]
    assert_allclose(retrieval_report(scale * E, labels).per_sample["map_at_r"], expected)


def test_cosine():
    E, labels = blobs()
    labels[5] = 99  # alone in its class
    assert_as_slow(E, labels, distances=lambda E: cdist(E, E, "cosine"), metric="cosine")


def test_values_do_not_depend_on_threads():
    rng = np.random.default_rng(4)
    E, labels = rng.normal(size=(2000, 5)), rng.integers(0, 4, size=2000)
    expected, *others = (retrieval_report(E, labels, n_jobs=n).per_sample for n in (1, 2, 5))
    for found in others:
        for name, values in expected.items():
            assert_array_equal(found[name], values)


def test_equal_distances_have_no_order():
    """The order of the samples does not matter."""
    rng = np.random.default_rng(1)
    E, labels = rng.integers(0, 3, size=(90, 2)).astype(float), rng.integers(0, 9, size=90)
    found = assert_as_slow(E, labels)
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
