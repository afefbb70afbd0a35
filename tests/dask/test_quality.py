"""Quality of a large map: the numbers of fasttsne.quality.report for the same rows."""

import dataclasses
import importlib

import numpy as np
import pytest
from dask_support import blocks
from numpy.testing import assert_array_equal
from scipy import sparse

from fasttsne.dask import quality
from fasttsne.quality import report

pytestmark = pytest.mark.usefixtures("synchronous")


def crowded(n_samples, seed=0):
    """Data on a small grid, full of ties, a map of them, and classes, some unknown."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 4, size=(n_samples, 4)).astype(float)
    Y = (X[:, :2] + rng.integers(0, 2, size=(n_samples, 2))).astype(np.float32)
    labels = X[:, 0].copy()
    labels[rng.random(n_samples) < 0.2] = np.nan
    return X, Y, labels


def assert_same(found, expected):
    # Not computed in blocks.
    only = ("triplet_accuracy", "scale_free_stress", "centroid_recall", "stress_error")
    assert all(getattr(found, name) is None for name in only)
    expected = dataclasses.replace(expected, **dict.fromkeys(only))
    assert found.to_dict() == expected.to_dict()
    assert found.per_sample.keys() == expected.per_sample.keys()
    for name, values in expected.per_sample.items():
        assert_array_equal(found.per_sample[name], values)
    for name in ("r_nx", "sizes", "rows"):
        assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("rows", [700, 137, (0, 3, 690, 0, 7), 11])
def test_numbers_are_those_of_the_report(rows):
    X, Y, labels = crowded(700)
    shared = {"n_neighbors": 7, "random_state": 3}
    found = quality(blocks(X, rows), Y, labels, sample=40, curve=True, **shared)
    assert found.n_judged == 40
    assert_same(found, report(X, Y, labels, sample=found.rows, **shared))


@pytest.mark.parametrize(
    "kind", ["cosine", "correlation", "jaccard", "manhattan", "sparse", "float32", "uint8"]
)
def test_other_data(kind):
    X, Y, _ = crowded(300)
    X += 1.0
    metric = "euclidean" if kind in ("sparse", "float32", "uint8") else kind
    X = X.astype(kind) if kind in ("float32", "uint8") else X
    X = X > 1.5 if kind == "jaccard" else X
    X = X + 0.1 * np.arange(X.shape[1]) if kind == "correlation" else X
    x = blocks(X, 90)
    if kind == "sparse":
        x, X = x.map_blocks(sparse.csr_matrix), sparse.csr_matrix(X)
    found = quality(x, blocks(Y, 200), sample=0.1, metric=metric, curve=True, random_state=0)
    assert found.n_judged == 30
    assert_same(found, report(X, Y, sample=found.rows, metric=metric, random_state=0))


def test_without_the_curve():
    X, Y, labels = crowded(500)
    rows = np.array([400, 3, 77])
    found = quality(blocks(X, 99), Y, blocks(labels[:, None], 50)[:, 0], sample=rows)
    expected = report(X, Y, labels, sample=rows)
    assert_array_equal(found.rows, rows)
    assert found.r_nx_auc is None
    assert len(found.r_nx) == len(found.sizes) == 0
    assert "R_NX" not in str(found)
    for name, values in expected.per_sample.items():
        assert_array_equal(found.per_sample[name], values)


def test_a_constant_map_and_a_sample_of_all():
    X, Y, _ = crowded(100)
    found = quality(blocks(X, 30), np.zeros_like(Y), sample=5000, curve=True, random_state=0)
    assert found.distance_correlation is None
    assert found.n_judged == 100
    assert_same(found, report(X, np.zeros_like(Y), sample=found.rows, random_state=0))


def test_pairs_and_anchors_in_parts(monkeypatch):
    module = importlib.import_module("fasttsne.dask.quality")  # the package has the function
    X, Y, _ = crowded(600)
    monkeypatch.setattr(module, "_PAIRS_BYTES", 1 << 19)
    monkeypatch.setattr(module, "_WHOLE_BYTES", 1 << 16)
    monkeypatch.setattr(module, "_MERGED", 2)
    found = quality(blocks(X, 50), Y, sample=20, curve=True, random_state=0)
    assert_same(found, report(X, Y, sample=found.rows, random_state=0))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"Y": np.zeros((10, 2))}, ValueError, "inconsistent numbers of samples: 100 and 10"),
        ({"Y": np.zeros((100, 2), dtype=int)}, TypeError, "float32 or float64"),
        (
            {"Y": np.where(np.arange(200).reshape(100, 2) == 122, np.nan, 0.0)},
            ValueError,
            "Y has NaN or infinity in 1 of rows 60 to 89, first in row 61",
        ),
        ({"n_neighbors": 50}, ValueError, "n_neighbors"),
        ({"sample": 0}, ValueError, "sample"),
        ({"sample": True}, ValueError, "sample"),
        ({"sample": [3, 3]}, ValueError, "twice"),
        ({"sample": 1.5}, ValueError, "at most 1"),
        ({"metric": "precomputed"}, ValueError, "require a metric of samples"),
        ({"metric": "seuclidean"}, ValueError, "would differ between blocks"),
        ({"metric": "cosine"}, ValueError, "zero in row"),
        ({"metric": "correlation"}, ValueError, "values are all equal"),
        ({"X": 1e200}, ValueError, "overflow or underflow"),
        ({"labels": np.zeros(9)}, ValueError, "inconsistent|shape"),
    ],
)
def test_what_is_refused(change, error, message):
    X, Y, _ = crowded(100)
    X[70] = 0.0
    X *= change.pop("X", 1.0)
    arguments = {"X": blocks(X, 30), "Y": Y, "sample": 10, "random_state": 0} | change
    with pytest.raises(error, match=message):
        quality(**arguments)
