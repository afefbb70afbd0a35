"""density_correlation, against the equations in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference import density as reference
from scipy import sparse
from sklearn.metrics import pairwise_distances

from fasttsne.affinity import conditional_probabilities, joint_probabilities
from fasttsne.neighbors import nearest_neighbors
from fasttsne.quality import density_correlation


@pytest.fixture(scope="module")
def Y(X):
    return X[:, :2] + np.random.default_rng(0).normal(size=(len(X), 2))


def expected_radii(X, Y, perplexity):
    k = min(len(X) - 1, int(3 * perplexity + 1))
    indices, distances = nearest_neighbors(X, k)
    conditional, _ = conditional_probabilities(distances**2, perplexity)
    P = joint_probabilities(indices, conditional)
    edges = sparse.csr_matrix((np.ones(len(P.data)), P.indices, P.indptr)).toarray() > 0
    in_data = reference.data_log_radii(indices, distances**2, conditional)
    return np.exp(in_data / 2), np.exp(reference.map_log_radii(edges, Y) / 2)


@pytest.mark.parametrize("perplexity", [5, 30.0, 100])
def test_equals_the_equations(X, Y, perplexity):
    found = density_correlation(X, Y, perplexity=perplexity, return_radii=True)
    radii, on_map = expected_radii(X, Y, perplexity)
    assert_allclose(found[1], radii, rtol=1e-5)
    assert_allclose(found[2], on_map, rtol=1e-5)
    assert found[0] == pytest.approx(np.corrcoef(np.log(radii), np.log(on_map))[0, 1], abs=1e-5)
    assert found[0] == density_correlation(X, Y, perplexity=perplexity)


def test_data_that_are_their_own_map_correlate(X):
    # The weights differ: those of the data and those of the map.
    assert density_correlation(X[:, :2], X[:, :2], perplexity=10) > 0.8


@pytest.mark.parametrize("factor", [1e-200, 1e-3, 1e3, 1e200])
def test_the_unit_of_the_data_does_not_matter(X, Y, factor):
    correlation, radii, _ = density_correlation(X, Y, return_radii=True)
    scaled, radii_scaled, _ = density_correlation(factor * X, Y, return_radii=True)
    assert scaled == pytest.approx(correlation, abs=1e-6)
    assert_allclose(radii_scaled, factor * radii, rtol=1e-6)


def test_an_offset_of_the_map_does_not_matter(X, Y):
    assert density_correlation(X, Y + 1e6) == pytest.approx(density_correlation(X, Y), abs=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_metrics_and_precomputed_distances_agree(X, Y, metric):
    expected, radii, _ = density_correlation(X, Y, metric=metric, return_radii=True)
    distances = pairwise_distances(X, metric=metric)
    found, given, _ = density_correlation(distances, Y, metric="precomputed", return_radii=True)
    assert found == pytest.approx(expected, abs=1e-6)
    assert_allclose(given, radii, rtol=1e-5)
    assert density_correlation(sparse.csr_matrix(X), Y, metric=metric) == pytest.approx(
        expected, abs=1e-6
    )


def test_threads_and_inputs(X, Y):
    before = X.copy(), Y.copy()
    one = density_correlation(X, Y, return_radii=True, n_jobs=1)
    two = density_correlation(X, Y, return_radii=True, n_jobs=3)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((120, 5))}, "radii of X are equal"),
        ({"embedding": np.zeros((120, 2))}, "radii of embedding are equal"),
        ({"embedding": np.zeros((119, 2))}, "119"),
        ({"embedding": np.full((120, 2), np.nan)}, "embedding"),
        ({"embedding": np.full((120, 2), 1e14)}, "divide it by a constant"),
        ({"X": np.full((120, 5), np.nan)}, "X"),
        ({"perplexity": 120}, "perplexity"),
        ({"perplexity": 0}, "perplexity"),
        ({"metric": "unheard of"}, "metric"),
    ],
    ids=str,
)
def test_bad_input_is_named(X, Y, change, message):
    with pytest.raises(ValueError, match=message):
        density_correlation(**{"X": X, "embedding": Y, **change})
