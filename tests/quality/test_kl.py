"""kl_divergence against the definition with whole matrices."""

import numpy as np
import pytest
from reference import tsne as reference
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from fasttsne.affinity import JointProbabilities
from fasttsne.quality import kl_divergence, neighbor_recall


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0, None])
def test_divergence_is_its_definition(small_digits, n_components, nu):
    X, Y = small_digits[:120], np.random.default_rng(0).normal(size=(120, n_components)) * 5
    joint = reference.joint_probabilities_dense(reference.squared_distances(X), 20.0)
    default = max(n_components - 1, 1)
    expected = reference.kl_shares(joint, Y, default if nu is None else nu)
    options = {"perplexity": 20.0, "degrees_of_freedom": nu}
    actual = kl_divergence(X, Y, **options)
    assert actual == pytest.approx(expected.sum(), rel=1e-5)
    np.testing.assert_allclose(kl_divergence(X, Y, per_sample=True, **options), expected, rtol=1e-7)


@pytest.mark.parametrize("metric", ["cosine", "sqeuclidean", "manhattan", "precomputed"])
def test_other_metrics(small_digits, metric):
    X, Y = small_digits[:100] + 1.0, np.random.default_rng(0).normal(size=(100, 2)) * 5
    distances = pairwise_distances(X, metric="cosine" if metric == "precomputed" else metric)
    if metric == "precomputed":  # need not be symmetric: p_j|i is from row i
        distances = np.abs(distances + 0.1 * np.random.default_rng(1).uniform(size=(100, 100)))
        np.fill_diagonal(distances, 0)
        X = distances
    P = reference.joint_probabilities_dense(distances**2, 20.0)
    expected = reference.kl_divergence(P, Y, 1.0)
    assert kl_divergence(X, Y, perplexity=20.0, metric=metric) == pytest.approx(expected, rel=1e-6)


def test_duplicates_and_extreme_perplexities():
    X = np.repeat(np.random.default_rng(0).normal(size=(8, 3)), 5, axis=0)
    Y = np.random.default_rng(1).normal(size=(40, 2))
    for perplexity in 0.5, 2.0, 39.0:  # the nearest four are tied: no perplexity below four
        P = reference.joint_probabilities_dense(reference.squared_distances(X), perplexity)
        expected = reference.kl_divergence(P, Y, 1.0)
        assert kl_divergence(X, Y, perplexity=perplexity) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("form", ["dense", "csr", "joint"])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_given_probabilities(small_digits, form, nu):
    Y = np.random.default_rng(0).normal(size=(300, 2)) * 5
    squared = reference.squared_distances(small_digits)
    indices, squares = reference.nearest_of(squared, 30)
    conditional, _ = reference.conditional_probabilities(squares, 10.0)
    P = reference.joint_probabilities(indices, conditional)
    expected = reference.kl_shares(P.toarray(), Y, nu)
    if form == "dense":
        P = P.toarray()
    elif form == "joint":
        P = JointProbabilities(
            P.indptr.astype(np.int64), P.indices.astype(np.int32), P.data.astype(np.float32)
        )
    shares = kl_divergence(P, Y, perplexity=None, degrees_of_freedom=nu, per_sample=True)
    np.testing.assert_allclose(shares, expected, rtol=1e-6, atol=1e-9)
    divergence = kl_divergence(P, Y, perplexity=None, degrees_of_freedom=nu)
    assert divergence == pytest.approx(expected.sum(), rel=1e-6 if form == "joint" else 1e-12)


P, Y = (np.ones((5, 5)) - np.eye(5)) / 20, np.zeros((5, 2))


def test_a_map_of_equal_points_fits_equal_probabilities():
    assert kl_divergence(P, Y, perplexity=None) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "parameters", "error", "message"),
    [
        ((np.full((5, 5), 1 / 20), Y), {"perplexity": None}, ValueError, "X must be 0 on its diag"),
        ((20 * P, Y), {"perplexity": None}, ValueError, r"X must sum to 1 .* sums to 20"),
        ((-P, Y), {"perplexity": None}, ValueError, "negative"),
        ((P[:, :4], Y), {"perplexity": None}, ValueError, "square"),
        ((P, Y + 1e200), {"perplexity": None}, ValueError, "embedding has values of magnitude"),
        ((P, Y), {"perplexity": 0}, ValueError, "perplexity=0"),
        (
            (P, Y),
            {"perplexity": 5},
            ValueError,
            r"perplexity \(5\) must be less than n_samples \(5",
        ),
        ((P, Y), {"perplexity": "30"}, TypeError, "perplexity='30' must be a finite number"),
        ((P, Y), {"degrees_of_freedom": 0}, ValueError, "degrees_of_freedom=0"),
        ((P, Y), {"degrees_of_freedom": "a"}, TypeError, "degrees_of_freedom='a' must be"),
        (
            (P, Y),
            {"degrees_of_freedom": np.inf},
            ValueError,
            "degrees_of_freedom=.* must be a finite",
        ),
        (
            (P, Y),
            {"degrees_of_freedom": np.nan},
            ValueError,
            "degrees_of_freedom=.* must be a finite",
        ),
        ((P, Y), {"perplexity": np.nan}, ValueError, r"perplexity=nan must be a finite number"),
    ],
)
def test_bad_arguments(arguments, parameters, error, message):
    with pytest.raises(error, match=message):
        kl_divergence(*arguments, **parameters)


@pytest.mark.parametrize("exponent", [-1000, -500, 500, 1000])
def test_the_unit_does_not_matter(exponent):
    X = np.random.default_rng(0).normal(size=(200, 10))
    Y = X[:, :2]
    assert kl_divergence(np.ldexp(X, exponent), Y) == kl_divergence(X, Y)


def test_one_huge_outlier():
    X = np.random.default_rng(0).normal(size=(200, 10))
    Y = X[:, :2]
    far, far_on_map = np.vstack([X, X[:1] + 1e30]), np.vstack([Y, Y[:1]])
    assert kl_divergence(far, far_on_map) == pytest.approx(kl_divergence(X, Y), rel=0.1)


def test_divergences_of_zero():
    # Q has a single pair, at any distance.
    far = [[0.0], [100.0]]
    assert kl_divergence([[0.0], [1.0]], far, perplexity=1, degrees_of_freedom=1000.0) == 0.0
    assert kl_divergence(np.eye(4), np.zeros((4, 2)), perplexity=3) == 0.0  # not below, by rounding


def test_sparse_data_with_entries_given_twice(small_digits):
    X = sparse.csr_array(small_digits)
    twice = sparse.csr_array((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr))
    Y = small_digits[:, 18:20]
    for measure in kl_divergence, neighbor_recall:
        assert measure(twice, Y) == measure(X, Y)


def least_divergence(P, Y, nu, scales):
    """The divergence of `Y` at the best of some scales."""
    return min(reference.kl_divergence(P, scale * Y, nu) for scale in scales)


@pytest.fixture(scope="module", params=[1.0, 3.0])
def scaled(request, small_digits):
    """Data, P of perplexity 20, a map, degrees of freedom, and the divergence at the best scale."""
    Y = np.random.default_rng(0).normal(size=(300, 2))
    P = reference.joint_probabilities_dense(reference.squared_distances(small_digits), 20.0)
    expected = least_divergence(P, Y, request.param, np.geomspace(0.01, 1e4, 400))
    return small_digits, P, Y, request.param, expected


@pytest.mark.parametrize("form", ["data", "P", "sparse"])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_best_scale_is_where_the_divergence_is_least(scaled, form, size):
    data, P, Y, nu, expected = scaled
    Y = size * Y
    X = {"data": data, "P": P, "sparse": sparse.csr_array(P)}[form]
    options = {"perplexity": 20.0 if form == "data" else None, "degrees_of_freedom": nu}
    best = kl_divergence(X, Y, scale="best", **options)
    assert best == pytest.approx(expected, rel=1e-5)
    assert best == pytest.approx(
        kl_divergence(X, 7.0 * Y + size, scale="best", **options), rel=1e-5
    )
    shares = kl_divergence(X, Y, scale="best", per_sample=True, **options)
    assert shares.sum() == pytest.approx(best, rel=1e-9)


def test_best_scale_does_not_depend_on_the_unit_of_a_map_of_two_scales():
    rng = np.random.default_rng(0)
    X = np.concatenate([0.01 * rng.normal(size=(300, 4)), 5.0 * rng.normal(size=(600, 4))])
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 30.0)
    expected = least_divergence(P, X[:, :2], 1.0, np.geomspace(0.01, 1e4, 150))
    for unit in (1.0, np.float32(1e-30), 1e-200, np.float32(1e25)):
        best = kl_divergence(X, X[:, :2] * unit, scale="best")
        assert best == pytest.approx(expected, rel=2e-3)


@pytest.mark.nosan
def test_best_scale_by_some_rows_loses_little(digits):
    Y = PCA(2).fit_transform(digits)
    P = reference.joint_probabilities_dense(reference.squared_distances(digits), 30.0)
    expected = least_divergence(P, Y, 1.0, np.geomspace(0.1, 10.0, 40))
    best = kl_divergence(digits, Y, scale="best")
    assert best == pytest.approx(expected, rel=2e-3)
    assert best == kl_divergence(digits, Y, scale="best", n_jobs=2)


def test_factor_on_the_map(small_digits):
    Y = np.random.default_rng(0).normal(size=(300, 2))
    assert kl_divergence(small_digits, Y, scale=2) == kl_divergence(small_digits, 2 * Y)
    assert kl_divergence(P, np.zeros((5, 2)), perplexity=None, scale="best") < 1e-12


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf, "worst", 1e300, None])
def test_scale_must_be_a_number_above_0(small_digits, scale):
    Y = np.random.default_rng(0).normal(size=(300, 2))
    with pytest.raises((TypeError, ValueError), match=r"^scale="):
        kl_divergence(small_digits, Y, scale=scale)
