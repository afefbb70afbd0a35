"""Weighted equals repeated: a sample of weight w, and w copies of it."""

import numpy as np
import pytest
from fits import SHORT, assert_maps_close, assert_same_bits, both_methods, fit
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import sparse
from scipy.special import rel_entr, xlogy

from fasttsne import TSNE, _kernels, affinity
from fasttsne.affinity.weights import counts_of_all_pairs, weighted_joint, with_own_copies
from fasttsne.initialization.start import initial_embedding
from fasttsne.neighbors.search import squared_neighbors

# One for each sample of the fixture X.
W = np.random.default_rng(3).integers(1, 4, size=120)


def summed(P, counts):
    """A P of repeated points, added up over the copies of each."""
    first = np.cumsum(counts) - counts
    P = P.toarray() if sparse.issparse(P) else P
    return np.add.reduceat(np.add.reduceat(P, first, axis=0), first, axis=1)


def repeated_p(X, counts, perplexity):
    """P of the repeated points by the oracle, added up, over the usual number of neighbours."""
    X = np.repeat(X, counts, axis=0)
    k = min(len(X) - 1, int(3 * perplexity + 1))
    indices, squared = reference.nearest_neighbors(X, k)
    conditional, _ = reference.conditional_probabilities(squared, perplexity)
    return summed(reference.joint_probabilities(indices, conditional), counts)


def weighted_p(X, counts, perplexity):
    n_copies = min(counts.sum() - 1, int(3 * perplexity + 1))
    counts = counts.astype(float)
    found = squared_neighbors(X, min(len(X) - 1, n_copies))
    indices, squared, copies = with_own_copies(*found, counts, n_copies)
    conditional, _ = affinity.conditional_probabilities(squared, perplexity, counts=copies)
    return weighted_joint(indices, conditional, counts)


# P -----------------------------------------------------------------------------------


# 40 copies more than fill the 16 neighbours of perplexity 5.
@pytest.mark.parametrize(
    ("counts", "perplexity"),
    [(W, 2.5), (W, 10.0), (W, 40.0), (np.where(np.arange(120) % 10 == 0, 40, 1), 5.0)],
)
def test_p_equals_that_of_repeated_points(X, counts, perplexity):
    joint = weighted_p(X, counts, perplexity).joint()
    expected = repeated_p(X, counts, perplexity)
    assert_allclose(joint.toarray(), expected, atol=min(2e-5 * expected.max(), 1e-6))
    assert_allclose(joint.sum(), 1.0, rtol=1e-6)


def test_p_over_all_pairs_equals_that_of_repeated_points(X):
    squared = reference.squared_distances(X)
    repeated = np.repeat(np.repeat(squared, W, axis=0), W, axis=1)
    expected = summed(reference.joint_probabilities_dense(repeated, 10.0), W)
    counts = W.astype(float)
    conditional, _ = affinity.conditional_probabilities(
        squared, 10.0, counts=counts_of_all_pairs(counts)
    )
    joint = weighted_joint(None, conditional, counts).joint()
    assert_allclose(joint.toarray(), expected, atol=2e-5 * expected.max())


def test_the_negative_entropy_is_that_over_all_copies(X):
    joint = weighted_p(X, W, 70.0)  # all copies of a neighbour are neighbours
    pairs = np.outer(W, W) - np.diag(W)
    expected = rel_entr(repeated_p(X, W, 70.0), pairs).sum()
    assert_allclose(joint.negative_entropy, expected, rtol=1e-4)


# Forces ------------------------------------------------------------------------------


def some_map(n, dim, seed=0):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(n, dim)).astype(np.float32)
    Y[n // 2 :] *= 30.0
    Y[:40] = Y[0]  # a leaf of points that coincide
    return np.ascontiguousarray(Y)


def forces_of(method, n, dim, nu, counts, angle=0.0, n_threads=1):
    rng = np.random.default_rng(1)
    values = rng.uniform(0.1, 1.0, size=(n, n)) * (rng.uniform(size=(n, n)) < 0.3)
    np.fill_diagonal(values, 0.0)
    values = ((values + values.T) / (2 * values.sum())).astype(np.float32)
    if method == "exact":
        return _kernels.ExactForces(values, dim, nu, n_threads, counts, 0.0), values
    graph = sparse.csr_matrix(values)
    arrays = graph.indptr.astype(np.int64), graph.indices.astype(np.int32), graph.data
    return _kernels.BarnesHutForces(*arrays, dim, nu, angle, n_threads, counts, 0.0), values


def forces_on(Y, counts, method="barnes_hut", **params):
    forces, _ = forces_of(method, *Y.shape, 1.0, counts, **params)
    forces.evaluate(Y, True)
    return forces


@pytest.mark.usefixtures("isa")
@both_methods
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_forces_equal_those_on_one_of_the_copies(method, dim, nu):
    n = 600
    counts = np.random.default_rng(2).integers(1, 5, size=n)
    Y = some_map(n, dim)
    forces, P = forces_of(method, n, dim, nu, counts.astype(np.float32))
    forces.evaluate(Y, True)
    many = np.repeat(Y.astype(float), counts, axis=0)
    first = np.cumsum(counts) - counts
    sum_q = reference.sum_q(many, nu)
    assert_allclose(forces.sum_q, sum_q, rtol=1e-5)
    expected = reference.repulsive(many, nu)[first]
    magnitude = reference.pair_magnitude(reference.repulsive_weights(many, nu), many)[first]
    assert np.all(np.abs(forces.repulsive - expected) <= 3e-5 * magnitude + 1e-6)
    assert_allclose(forces.attractive, reference.attractive(P, Y, nu), rtol=1e-3, atol=1e-7)
    cross = -np.sum(counts[:, None] * xlogy(P, reference.student_kernel(Y, nu)))
    assert_allclose(forces.kl_divergence, cross + np.log(sum_q), rtol=1e-5)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_cells_of_counts_act_about_as_exactly_as_others(dim):
    n = 3000
    rng = np.random.default_rng(5)
    Y = np.ascontiguousarray(20.0 * rng.normal(size=(n, dim)), dtype=np.float32)
    counts = rng.uniform(0.0, 4.0, size=n).astype(np.float32)
    counts[:50] = 0.0
    errors = []
    for each in (np.ones(n, dtype=np.float32), counts):
        forces, exact = (forces_on(Y, each, angle=angle) for angle in (0.5, 0.0))
        difference = np.linalg.norm(forces.repulsive - exact.repulsive)
        errors.append(difference / np.linalg.norm(exact.repulsive))
        assert_allclose(forces.sum_q, exact.sum_q, rtol=1e-3)
    assert errors[1] < 3 * errors[0]


def test_counts_of_one_give_the_forces_of_points():
    Y = some_map(2000, 2)
    plain, ones = (forces_on(Y, each, angle=0.5) for each in (None, np.ones(2000, np.float32)))
    assert_array_equal(ones.repulsive, plain.repulsive)
    assert_allclose(ones.sum_q, plain.sum_q, rtol=1e-12)


@both_methods
def test_points_of_count_zero_act_on_none(method):
    Y = some_map(700, 2)
    counts = np.ones(700, dtype=np.float32)
    counts[::3] = 0.0
    counts[:40] = 0.0  # a whole leaf
    forces = forces_on(Y, counts, method)
    rest = counts > 0
    assert_allclose(forces.sum_q, reference.sum_q(Y[rest], 1.0), rtol=1e-4)
    expected = reference.repulsive(Y[rest], 1.0)
    assert_allclose(forces.repulsive[rest], expected, atol=1e-4 * np.abs(expected).max())
    assert np.isfinite(forces.repulsive).all()


@pytest.mark.parametrize("n_threads", [2, 3])
def test_weighted_forces_do_not_depend_on_threads_nor_on_the_order_in_memory(n_threads):
    counts = np.random.default_rng(0).uniform(0, 3, size=3000).astype(np.float32)
    Y = some_map(3000, 2)
    one = forces_on(Y, counts, angle=0.5)
    some = forces_on(Y, counts, angle=0.5, n_threads=n_threads)
    assert one.repulsive.tobytes() == some.repulsive.tobytes()
    assert (one.sum_q, one.kl_divergence) == (some.sum_q, some.kl_divergence)
    one.reorder(Y)
    one.evaluate(Y, True)
    assert_allclose(one.repulsive, some.repulsive[one.order], rtol=1e-3, atol=1e-2)
    assert_allclose(one.kl_divergence, some.kl_divergence, rtol=1e-6)


@pytest.mark.parametrize(("method", "n_counts"), [("exact", 49), ("barnes_hut", 51)])
def test_counts_are_one_a_point(method, n_counts):
    with pytest.raises(ValueError, match="masses"):
        forces_of(method, 50, 2, 1.0, np.ones(n_counts, np.float32))


# Maps --------------------------------------------------------------------------------


def weighted_fit(X, counts, **params):
    return TSNE(**{**SHORT, **params}).fit(X, sample_weight=counts)


def calm(X, init, counts=None, **params):
    """See fits.calm_map; here from a given start."""
    calm = {"early_exaggeration": 1.0, "learning_rate": 2.0, "max_iter": 250, "init": init}
    return weighted_fit(X, counts, **{**calm, **params})


# Pairs and fours of copies fill neighbourhoods of 31 and 61; all others are complete only where
# everyone is a neighbour. Where the last copies are cut off, copies of one sample differ.
WHOLE = [
    ({}, np.full(120, 2)),
    ({}, np.full(120, 4)),
    ({"perplexity": 80}, W),
    ({"perplexity": [10, 80]}, W),
    ({"sigma": 3.0, "n_neighbors": 61}, np.full(120, 2)),
    ({"degrees_of_freedom": 0.5}, np.full(120, 2)),
    ({"n_components": 1, "perplexity": 80}, W),
]


def assert_maps_agree(a, b):
    """Nearly all points to rounding. The sign of a coordinate's gradient decides its next gain
    (Jacobs 1988): where it is zero but for rounding, a point may take another way, which it does
    for some instruction sets."""
    difference = np.abs(a - b).max(axis=1) / np.ptp(b)
    assert np.quantile(difference, 0.95) < 2e-5
    assert difference.max() < 0.02


@both_methods
@pytest.mark.parametrize(("params", "counts"), WHOLE)
def test_weighted_and_repeated_samples_have_the_same_map(X, method, params, counts):
    start = np.random.default_rng(0).normal(size=(120, params.get("n_components", 2)))
    params = {"method": method, "angle": 0.0, "learning_rate": 0.2, **params}
    # Or they would be found to be copies, and weighted as well.
    noise = 1e-9 * np.random.default_rng(1).normal(size=(counts.sum(), 5))
    many = np.repeat(X, counts, axis=0) + noise
    weighted = calm(X, start, counts, **params)
    repeated = calm(many, np.repeat(start, counts, axis=0), **params)
    assert_maps_agree(np.repeat(weighted.embedding_, counts, axis=0), repeated.embedding_)
    assert weighted.n_iter_ == repeated.n_iter_
    assert_allclose(weighted.kl_divergence_, repeated.kl_divergence_, rtol=1e-3)


@both_methods
def test_the_whole_descent_is_as_good(X, method):
    start = initial_embedding(X, "pca", 2, np.random.RandomState(0))
    params = {"method": method, "perplexity": 30}
    weighted = weighted_fit(X, W, init=start, **params)
    repeated = fit(np.repeat(X, W, axis=0), init=np.repeat(start, W, axis=0), **params)
    assert weighted.learning_rate_ == repeated.learning_rate_ == W.sum()
    assert_allclose(weighted.kl_divergence_, repeated.kl_divergence_, rtol=0.1)


@both_methods
@pytest.mark.parametrize("init", ["pca", "spectral"])
def test_weights_of_one_are_none_and_weighted_fits_do_not_depend_on_threads(X, method, init):
    params = {"method": method, "init": init}
    assert_same_bits(weighted_fit(X, np.ones(120), **params), fit(X, **params))
    one = weighted_fit(X, W / 2 + 0.3, **params)
    assert_same_bits(one, weighted_fit(X, W / 2 + 0.3, n_jobs=2, **params))
    assert np.isfinite(one.embedding_).all()


def test_the_start_is_that_of_repeated_samples(X):
    weighted = initial_embedding(X, "pca", 2, np.random.RandomState(0), counts=W.astype(float))
    repeated = initial_embedding(np.repeat(X, W, axis=0), "pca", 2, np.random.RandomState(0))
    first = np.cumsum(W) - W
    assert_allclose(weighted, repeated[first], atol=5e-6)  # coincident ones are moved apart


@both_methods
def test_a_sample_of_weight_zero_is_placed_and_acts_on_none(X, method):
    weights = np.where(np.arange(120) < 100, 1.0, 0.0)
    start = np.random.default_rng(0).normal(size=(120, 2))
    given = calm(X, start, weights, method=method, angle=0.0)
    without = calm(X[:100], start[:100], method=method, angle=0.0)
    assert_maps_close(given.embedding_[:100], without.embedding_)
    assert np.isfinite(given.embedding_).all()
    placed = weighted_fit(X, weights, method=method).embedding_
    for i in range(100, 120):
        near = np.argsort(np.linalg.norm(X[:100] - X[i], axis=1))[:5]
        distance = np.linalg.norm(placed[near] - placed[i], axis=1).min()
        assert distance < 0.3 * np.linalg.norm(placed[:100] - placed[i], axis=1).mean()


@both_methods
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.uniform(0.3, 1.0, size=120),
        lambda rng: rng.uniform(0.0, 5.0, size=120),
        lambda rng: 10.0 ** rng.uniform(-9, 6, size=120),
    ],
    ids=["shares", "fractions", "far apart"],
)
def test_weights_need_not_be_whole(X, method, draw):
    weights = draw(np.random.default_rng(0))
    tsne = weighted_fit(X, weights, method=method)
    assert np.isfinite(tsne.embedding_).all()
    assert np.isfinite(tsne.kl_divergence_)
    assert_allclose(tsne.learning_rate_, weights.sum())


@both_methods
def test_given_distances_neighbors_and_affinities_take_weights(X, method):
    start = np.random.default_rng(0).normal(size=(120, 2))
    distances = np.sqrt(reference.squared_distances(X))
    expected = calm(X, start, W, method=method, angle=0.0).embedding_
    given = calm(distances, start, W, method=method, metric="precomputed", angle=0.0)
    assert_maps_close(given.embedding_, expected)
    if method == "barnes_hut":
        indices, squared = squared_neighbors(X, 31)
        graph = (indices, np.sqrt(squared))
        assert_maps_close(calm(X, start, W, neighbors=graph, angle=0.0).embedding_, expected)
        with pytest.raises(ValueError, match="31 copies"):
            weighted_fit(X, W / 3, neighbors=(indices[:, :15], graph[1][:, :15]), perplexity=10)
    P = affinity.joint_probabilities_dense(reference.squared_distances(X), 10.0)
    params = {"affinity": "precomputed", "method": method, "angle": 0.0, "learning_rate": 0.2}
    weighted = calm(P, start, W, **params)
    many = np.repeat(np.repeat(P, W, axis=0), W, axis=1)
    repeated = calm(many, np.repeat(start, W, axis=0), **params)
    assert_maps_agree(np.repeat(weighted.embedding_, W, axis=0), repeated.embedding_)


@both_methods
def test_uniform_affinities_and_labels_take_weights(X, method):
    tsne = TSNE(**SHORT, method=method, affinity="uniform", label_weight=0.5)
    tsne.fit(X, np.arange(120) % 3, sample_weight=W)
    assert np.isfinite(tsne.embedding_).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(120), "negative"),
        (np.r_[np.nan, np.ones(119)], "NaN"),
        (np.r_[np.inf, np.ones(119)], "infinity"),
        (np.ones(119), r"\(119,\)"),
        (np.ones((120, 1)), r"\(120, 1\)"),
        (3.0, "shape"),
        (["a"] * 120, "numbers"),
        (np.full(120, 1 + 1j), "complex"),
        (np.zeros(120), "zero for all"),
        (np.r_[5.0, np.zeros(119)], "positive"),
        (np.full(120, 1 / 120), "copies, not shares"),
        (np.full(120, 1e9), r"2\*\*31"),
        (np.full(120, 0.05), "the sum of sample_weight"),
    ],
)
def test_weights_that_are_none_are_refused(X, weights, message):
    with pytest.raises(ValueError, match=message):
        weighted_fit(X, weights)


def test_weights_are_not_modified_and_may_be_a_list(X):
    weights = W.astype(float)
    a = weighted_fit(X, weights)
    assert_array_equal(weights, W)
    assert_same_bits(weighted_fit(X, W.tolist()), a)


# Duplicates, which are collapsed ------------------------------------------------------


@both_methods
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_many_duplicates_are_the_weighted_map(X, method, form):
    many = np.repeat(X, W, axis=0)
    shuffle = np.random.default_rng(0).permutation(len(many))
    collapsed = fit(form(many[shuffle]), method=method, perplexity=20)
    rows = np.repeat(np.arange(120), W)[shuffle]
    _, first = np.unique(rows, return_index=True)
    order = rows[np.sort(first)]  # in order of their first occurrence
    expected = weighted_fit(form(X[order]), W[order], method=method, perplexity=20)
    place = np.empty(120, dtype=int)
    place[order] = np.arange(120)
    assert_array_equal(collapsed.embedding_, expected.embedding_[place[rows]])
    assert collapsed.kl_divergence_ == expected.kl_divergence_
    assert collapsed.n_features_in_ == 5


def test_few_duplicates_are_drawn_as_they_are(X):
    few = np.r_[X, X[:5]]
    embedding = fit(few).embedding_
    assert not np.array_equal(embedding[:5], embedding[120:])


@pytest.mark.parametrize(
    ("params", "y"),
    [
        ({"init": 1e-4 * np.random.default_rng(0).normal(size=(240, 2))}, None),
        ({"label_weight": 0.5}, np.repeat([0, 1], 120)),
        ({"metric": lambda a, b: np.abs(a - b).sum(), "method": "exact"}, None),
    ],
    ids=["init", "labels", "callable"],
)
@pytest.mark.filterwarnings("ignore:init has a standard deviation")
def test_rows_that_something_tells_apart_are_not_collapsed(X, params, y):
    embedding = TSNE(**SHORT, **params).fit_transform(np.r_[X, X], y)
    assert not np.array_equal(embedding[:120], embedding[120:])


@pytest.mark.filterwarnings("ignore:init has a standard deviation")
def test_copies_that_start_together_with_the_same_label_are_collapsed(X):
    start, y = 1e-4 * np.random.default_rng(0).normal(size=(120, 2)), np.arange(120) % 3
    params = {**SHORT, "label_weight": 0.5}
    twice = TSNE(**params, init=np.r_[start, start]).fit_transform(np.r_[X, X], np.r_[y, y])
    weighted = TSNE(**params, init=start).fit(X, y, sample_weight=np.full(120, 2.0)).embedding_
    assert_array_equal(twice, np.r_[weighted, weighted])


def test_weights_of_duplicates_add_up(X):
    collapsed = weighted_fit(np.r_[X, X], np.r_[W, 2 * W]).embedding_
    expected = weighted_fit(X, 3 * W).embedding_
    assert_array_equal(collapsed, np.r_[expected, expected])


@both_methods
@pytest.mark.parametrize("metric", ["cosine", "manhattan"])
def test_other_metrics_collapse_too(X, method, metric):
    embedding = fit(np.r_[X, X], method=method, metric=metric).embedding_
    assert_array_equal(embedding[:120], embedding[120:])


@both_methods
@pytest.mark.filterwarnings("error")
def test_two_different_rows_many_times_over(method):
    embedding = fit(np.repeat(np.eye(2), 50, axis=0), method=method).embedding_
    assert np.isfinite(embedding).all()
    assert len(np.unique(embedding, axis=0)) == 2


def test_calm_maps_tell_weights_apart(X):
    start = np.random.default_rng(0).normal(size=(120, 2))
    other = np.where(np.arange(120) == 7, W + 1, W)
    a, b = (calm(X, start, w).embedding_ for w in (W, other))
    assert np.abs(a - b).max() > 2e-3 * np.ptp(b)
