"""Affinities guided by labels."""

import numpy as np
import pytest
from fits import SHORT, assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import sparse

from fasttsne import TSNE
from fasttsne.affinity import as_csr, conditional_probabilities, joint_probabilities
from fasttsne.affinity.supervised import guide_joint, guided_by_labels
from fasttsne.neighbors.search import squared_neighbors


@pytest.fixture(scope="module")
def neighbors(X):
    indices, squared = squared_neighbors(X, 31)
    return indices, conditional_probabilities(squared, 10.0)[0]


@pytest.fixture
def labels():
    """Three classes at random over 120 samples, a quarter missing."""
    return np.random.default_rng(0).integers(-1, 3, size=120)


@pytest.mark.parametrize("y", [[0, 1], np.zeros((120, 2)), 3], ids=["short", "two columns", "none"])
def test_labels_of_another_shape_are_refused(X, y):
    with pytest.raises(ValueError, match="y has shape"):
        fit_labels(X, y, 0.5)


@pytest.mark.parametrize("weight", [-0.1, 1.1, np.nan, "all"])
def test_a_weight_is_from_zero_to_one_and_has_labels(X, labels, weight):
    with pytest.raises(ValueError, match="label_weight"):
        fit_labels(X, labels, weight)
    with pytest.raises(ValueError, match="label_weight"):
        fit(X, label_weight=0.5)


EVERYONE = np.tile(np.arange(120), (120, 1))


@pytest.mark.parametrize("weight", [0.3, 1.0])
@pytest.mark.parametrize("all_pairs", [False, True])
def test_guided_rows_equal_the_reference(neighbors, labels, weight, all_pairs):
    indices, conditional = neighbors
    if all_pairs:
        indices = None
        conditional = np.random.default_rng(0).uniform(size=(120, 120)).astype(np.float32)
    before = conditional.copy()
    guided = guided_by_labels(conditional, labels, weight, indices=indices)
    expected = reference.guided_by_labels(
        conditional, EVERYONE if all_pairs else indices, labels, weight
    )
    assert guided.dtype == np.float32
    assert_allclose(guided, expected, rtol=1e-5, atol=1e-12)
    assert_array_equal(conditional, before)


def test_a_sample_among_strangers_keeps_its_row(neighbors):
    indices, conditional = neighbors
    lonely = (np.arange(120) == 7).astype(np.int64)
    guided = guided_by_labels(conditional, lonely, 1.0, indices=indices)
    assert_array_equal(guided[7], conditional[7])


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_a_given_p_is_guided_like_its_rows(neighbors, labels, weight):
    joint = joint_probabilities(*neighbors)
    guided = as_csr(guide_joint(joint, labels, weight)).toarray()
    rows = reference.guided_by_labels(as_csr(joint).toarray(), EVERYONE, labels, weight)
    assert_allclose(guided, (rows + rows.T) / 2, rtol=1e-5, atol=1e-12)
    assert_array_equal(guided, guided.T)
    assert_allclose(guided.sum(dtype=float), 1.0, rtol=1e-6)


def fit_labels(X, y, weight, **params):
    return TSNE(**{**SHORT, **params}, label_weight=weight).fit(X, y)


@both_methods
@pytest.mark.parametrize(
    ("y", "weight"),
    [(["no", "labels"], 0.0), *((np.full(120, missing), 0.8) for missing in (-1, np.nan, None))],
    ids=["no weight", "-1", "NaN", "None"],
)
def test_labels_without_weight_or_all_missing_change_nothing(X, method, y, weight):
    assert_same_bits(fit_labels(X, y, weight, method=method), fit(X, method=method))


@both_methods
@pytest.mark.parametrize("given", ["samples", "affinities"])
def test_labels_part_classes_that_the_data_mix(method, given):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 4)), rng.integers(0, 2, size=200)
    hidden = np.where(rng.uniform(size=200) < 0.3, -1, y)
    params = {"method": method, "init": "random"}
    if given == "affinities":
        indices, squared = squared_neighbors(X, 31)
        X = as_csr(joint_probabilities(indices, conditional_probabilities(squared, 10.0)[0]))
        params["affinity"] = "precomputed"
    purity = []
    for weight in (0.0, 0.9, 1.0):
        embedding = fit_labels(X, hidden, weight, **params).embedding_
        nearest, _ = reference.nearest_neighbors(embedding, 5)
        purity.append((y[nearest] == y[:, None])[hidden >= 0].mean())
    assert purity[0] < 0.55
    assert purity[1] > purity[0] + 0.1
    assert purity[2] > purity[1]


def test_labels_guide_sparse_data_and_any_class_names(X):
    X, even = sparse.csr_matrix(X), np.arange(120) % 2 == 0
    guided = fit_labels(X, np.where(even, "even", "odd"), 0.7, init="random")
    assert_same_bits(guided, fit_labels(X, even, 0.7, init="random"))
