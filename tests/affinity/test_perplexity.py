"""Several perplexities, one sigma, uniform affinities: oracles, openTSNE, the estimator."""

import numpy as np
import pytest
from fits import assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference

from fasttsne import TSNE, _kernels, affinity
from fasttsne.affinity.perplexity import counts_of_nearest, neighborhood_of
from fasttsne.neighbors.search import squared_neighbors


@pytest.fixture(scope="module")
def digits_neighbors(digits):
    """300 exact neighbours of each of the digits."""
    return squared_neighbors(digits, 300, method="exact", n_threads=2)


def gaps(n=50, k=40, seed=0):
    return np.random.default_rng(seed).chisquare(10, size=(n, k))


# Functions ---------------------------------------------------------------------------


def test_several_perplexities_give_the_mean_of_their_rows():
    perplexities = [3.0, 8.0, 20.0]
    conditional, betas = affinity.conditional_probabilities(gaps(), perplexities)
    assert conditional.dtype == np.float32
    rows = [reference.conditional_probabilities(gaps(), each)[0] for each in perplexities]
    assert_allclose(conditional, np.mean(rows, axis=0), atol=2e-5)
    for perplexity, beta in zip(perplexities, betas, strict=True):
        assert_array_equal(beta, affinity.conditional_probabilities(gaps(), perplexity)[1])


def test_a_list_of_one_perplexity_is_that_perplexity():
    conditional, _ = affinity.conditional_probabilities(gaps(), [8.0])
    assert_array_equal(conditional, affinity.conditional_probabilities(gaps(), 8.0)[0])


@pytest.mark.parametrize(
    ("name", "function", "values"),
    [
        ("perplexity", affinity.conditional_probabilities, [0.0, -3.0, np.nan, [5.0, 0.0], []]),
        ("sigma", affinity.gaussian_probabilities, [0.0, -1.0, np.nan, np.inf]),
    ],
)
def test_perplexity_and_sigma_are_positive_numbers(name, function, values):
    for value in values:
        with pytest.raises(ValueError, match=name):
            function(gaps(), value)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 100.0])
def test_one_sigma_gives_the_gaussian_rows(sigma):
    conditional = affinity.gaussian_probabilities(gaps(3000), sigma)
    expected = [reference.gaussian_row(row, 0.5 / sigma**2) for row in gaps(3000)]
    assert_allclose(conditional, expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("sigma", [1e-300, 1e300])
def test_any_sigma_gives_rows_of_sum_one(sigma):
    conditional = affinity.gaussian_probabilities(gaps(), sigma)
    assert_allclose(conditional.sum(axis=1), 1.0, rtol=1e-6)


def test_one_sigma_over_all_pairs_leaves_out_the_diagonal():
    squared = reference.squared_distances(np.random.default_rng(0).normal(size=(60, 3)))
    np.fill_diagonal(squared, 7.0)  # must not be looked at
    conditional = affinity.gaussian_probabilities(squared, 1.5, skip_diagonal=True)
    for i, row in enumerate(conditional):
        others = np.arange(60) != i
        assert row[i] == 0.0
        assert_allclose(
            row[others], reference.gaussian_row(squared[i, others], 0.5 / 2.25), rtol=1e-6
        )


# Counts: a neighbour that counts m times is like m neighbours there -------------------


@pytest.mark.parametrize("perplexity", [0.7, 4.0, 25.0, 500.0, [3.0, 25.0]])
def test_counts_are_like_repetitions(isa, perplexity):
    rng = np.random.default_rng(1)
    squared = rng.chisquare(10, size=(30, 40))
    squared[:10] = rng.integers(0, 3, size=(10, 40))
    counts = rng.integers(0, 5, size=squared.shape)
    conditional, beta = affinity.conditional_probabilities(
        squared, perplexity, counts=counts.astype(np.float32)
    )
    for i, count in enumerate(counts):
        repeated = np.repeat(squared[i], count)[None]
        expected, its_beta = affinity.conditional_probabilities(repeated, perplexity)
        each = np.repeat(conditional[i] / np.maximum(count, 1), count)
        assert_allclose(each, expected[0], rtol=2e-3, atol=1e-6)
        assert_allclose(beta[..., i], its_beta[..., 0], rtol=1e-4)
        assert_array_equal(conditional[i][count == 0], 0.0)


def test_counts_of_one_change_nothing(isa):
    ones = np.ones((50, 40), dtype=np.float32)
    conditional, beta = affinity.conditional_probabilities(gaps(), 8.0, counts=ones)
    expected, expected_beta = affinity.conditional_probabilities(gaps(), 8.0)
    assert_allclose(conditional, expected, atol=1e-6)
    assert_allclose(beta, expected_beta, rtol=1e-6)


def test_counts_are_like_repetitions_under_one_sigma():
    counts = np.random.default_rng(2).integers(0, 4, size=(50, 40)).astype(np.float32)
    conditional = affinity.gaussian_probabilities(gaps(), 2.0, counts=counts)
    expected = counts * np.exp(-gaps() / 8.0)
    assert_allclose(conditional, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(
    ("skip_diagonal", "shape", "message"),
    [(False, (40, 39), "shape"), (True, (40, 40), "diagonal")],
)
def test_calibration_refuses_counts_of_another_shape_or_with_a_diagonal(
    skip_diagonal, shape, message
):
    with pytest.raises(ValueError, match=message):
        _kernels.calibrate(gaps(40, 40), 5.0, skip_diagonal, 1, np.ones(shape, dtype=np.float32))


def test_counts_of_the_nearest_add_up_to_the_number():
    squared = np.array([[3.0, 1.0, 2.0, 0.5]])
    counts = np.array([[5.0, 2.0, 1.5, 0.0]], dtype=np.float32)
    for number, expected in [(1.0, [0, 1, 0, 0]), (3.0, [0, 2, 1, 0]), (4.0, [0.5, 2, 1.5, 0])]:
        assert_array_equal(counts_of_nearest(squared, counts, number), [expected])


# Agreement with openTSNE, on the same exact neighbours --------------------------------


def uniform(squared):
    return affinity.uniform_probabilities(np.ones_like(squared))


OPENTSNE = {
    "Multiscale": (
        300,
        lambda squared: affinity.conditional_probabilities(squared, [10.0, 100.0], n_threads=2)[0],
        {"perplexities": [10, 100]},
    ),
    "FixedSigmaNN": (
        60,
        lambda squared: affinity.gaussian_probabilities(squared, 5.0),
        {"sigma": 5.0},
    ),
    "FixedSigmaNN, wide": (
        60,
        lambda squared: affinity.gaussian_probabilities(squared, 20.0),
        {"sigma": 20.0},
    ),
    "Uniform": (15, uniform, {"symmetrize": "mean"}),
    "Uniform, max": (15, uniform, {"symmetrize": "max"}),
}


@pytest.mark.parametrize("name", OPENTSNE)
def test_p_agrees_with_opentsne(digits_neighbors, name):
    theirs = pytest.importorskip("openTSNE.affinity")
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    k, conditional_of, params = OPENTSNE[name]
    indices, squared = (np.ascontiguousarray(part[:, :k]) for part in digits_neighbors)
    joint = affinity.joint_probabilities(
        indices,
        conditional_of(squared),
        symmetrization=params.get("symmetrize", "mean"),
        n_threads=2,
    )
    index = PrecomputedNeighbors(indices.astype(int), np.sqrt(squared))
    sizes = {"FixedSigmaNN": {"k": k}, "Uniform": {"k_neighbors": k}, "Multiscale": {}}
    kind = name.split(",")[0]
    expected = getattr(theirs, kind)(**params, **sizes[kind], knn_index=index).P
    assert abs(affinity.as_csr(joint) - expected).max() <= 1e-6 * expected.max()


# What the parameters mean ------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_samples", "perplexity"), [(2, 1.0), (4, 1.0), (10, 3.0), (61, 20.0), (91, 30.0), (9e5, 30)]
)
def test_automatic_perplexity_fits_the_data(n_samples, perplexity):
    assert neighborhood_of(n_samples, perplexity="auto").perplexities == (perplexity,)


def test_automatic_perplexity_draws_two_points():
    assert np.isfinite(TSNE(perplexity="auto", max_iter=250).fit_transform(np.eye(2))).all()


@pytest.mark.parametrize(
    ("params", "n_neighbors"),
    [
        ({}, 91),
        ({"perplexity": [5, 20]}, 61),
        ({"perplexity": 200}, 499),
        ({"affinity": "uniform"}, 30),
        ({"affinity": "uniform", "perplexity": "auto"}, 30),
        ({"affinity": "uniform", "n_neighbors": 15, "perplexity": 1e9}, 15),
        ({"sigma": 2.0}, 91),
        ({"sigma": 2.0, "n_neighbors": 15, "perplexity": 1e9}, 15),
        ({"n_neighbors": 40}, 40),
    ],
)
def test_how_many_neighbors_count(params, n_neighbors):
    assert neighborhood_of(500, **params).n_neighbors == n_neighbors


@both_methods
@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"perplexity": [5, 120]},
            r"perplexity \(120\) must be less than n_samples \(120\); lower it, or give \"auto\", "
            "which is 30 here",
        ),
        ({"perplexity": []}, "perplexity"),
        ({"perplexity": [5, -1]}, "perplexity"),
        ({"perplexity": [5, np.nan]}, "perplexity"),
        ({"perplexity": ["a"]}, "perplexity"),
        ({"perplexity": "all"}, "perplexity"),
        ({"n_neighbors": 120}, r"n_neighbors \(120\) must be less than n_samples \(120\)"),
        ({"n_neighbors": 0}, "n_neighbors"),
        ({"sigma": 0.0}, "sigma"),
        ({"sigma": -1.0}, "sigma"),
        ({"sigma": np.nan}, "sigma"),
        ({"affinity": "uniform", "sigma": 1.0}, "sigma"),
        ({"affinity": "uniform", "perplexity": [3, 5]}, "n_neighbors"),
        ({"affinity": "cauchy"}, "affinity"),
    ],
)
def test_bad_parameters_are_refused(X, method, params, message):
    with pytest.raises(ValueError, match=message):
        fit(X, method=method, **params)


def dense_p(X, affinity="gaussian", n_neighbors=None, sigma=None, perplexity=None):
    """P of a fit, by the oracle's equations."""
    squared = reference.squared_distances(X)
    if affinity == "uniform":
        conditional = np.zeros(squared.shape)
        nearest, _ = reference.nearest_of(squared, n_neighbors)
        np.put_along_axis(conditional, nearest, 1.0, axis=1)
        joint = np.maximum(conditional, conditional.T)
        return joint / joint.sum()
    if sigma is None:
        return np.mean(
            [reference.joint_probabilities_dense(squared, p) for p in perplexity], axis=0
        )
    conditional = np.exp(-squared / (2 * sigma**2)) * (1 - np.eye(len(X)))
    conditional /= conditional.sum(axis=1, keepdims=True)
    return (conditional + conditional.T) / (2 * len(X))


@both_methods
@pytest.mark.parametrize(
    "params",
    [
        {"perplexity": [5, 39.6]},
        {"sigma": 2.0, "n_neighbors": 119},
        {"affinity": "uniform", "n_neighbors": 12},
    ],
)
def test_the_map_is_that_of_the_oracles_p_with_any_number_of_threads(X, method, params):
    tsne = fit(X, method=method, **params)
    expected = reference.kl_divergence(dense_p(X, **params), tsne.embedding_, 1.0)
    assert_allclose(tsne.kl_divergence_, expected, rtol=1e-4)
    assert_same_bits(fit(X, method=method, n_jobs=2, **params), tsne)


def test_verbose_fits_tell_a_sigma_where_there_is_one(X, capsys):
    fit(X, sigma=2.0, verbose=1)
    assert "Mean sigma: 2.000000" in capsys.readouterr().out
    fit(X, affinity="uniform", verbose=1)
    assert "sigma" not in capsys.readouterr().out
