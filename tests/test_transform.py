"""TSNE.transform: new samples on a map that stays as it is, each for itself."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from points import points
from reference import tsne as reference
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsTransformer

from fasttsne import TSNE, _kernels
from fasttsne import transform as placement
from fasttsne.affinity import conditional_probabilities
from fasttsne.neighbors.index import neighbor_index
from fasttsne.neighbors.search import squared_neighbors
from fasttsne.transform import Placement

every_isa = pytest.mark.usefixtures("isa")

SHORT = {"max_iter": 250, "random_state": 0, "perplexity": 10.0}


def split(X, n=400, n_new=60):
    return X[:n].copy(), X[n : n + n_new].copy()


@pytest.fixture(scope="module")
def parts(digits):
    return split(digits)


@pytest.fixture(scope="module")
def fitted(parts):
    return TSNE(**SHORT).fit(parts[0])


def one_by_one(tsne, X, **params):
    return np.vstack([tsne.transform(X[row : row + 1], **params) for row in range(X.shape[0])])


def random_map(n, dim, seed, extent=8.0):
    return np.random.default_rng(seed).normal(scale=extent, size=(n, dim)).astype(np.float32)


def random_neighbors(n, n_new, k, seed):
    rng = np.random.default_rng(seed)
    indices = np.array([rng.choice(n, k, replace=False) for _ in range(n_new)], dtype=np.int32)
    conditional = rng.dirichlet(np.ones(k), size=n_new).astype(np.float32)
    return indices, conditional


def full(indices, conditional, n):
    """p over all points of the map, one row for a new point."""
    p = np.zeros((len(indices), n))
    np.put_along_axis(p, indices.astype(np.int64), conditional.astype(np.float64), axis=1)
    return p


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_the_reference_gradient_is_the_slope_of_the_divergence(dim, nu):
    Y = random_map(40, dim, seed=1, extent=2.0)
    p = full(*random_neighbors(40, 1, 12, seed=2), 40)[0]
    y = np.random.default_rng(3).normal(size=dim)
    step = 1e-6 * np.eye(dim)
    slope = [
        (
            reference.placement_divergence(p, Y, y + s, nu)
            - reference.placement_divergence(p, Y, y - s, nu)
        )
        / 2e-6
        for s in step
    ]
    p64 = p / p.sum()
    assert_allclose(reference.placement_gradient(p64, Y, y, nu), slope, atol=1e-6)


@every_isa
@pytest.mark.parametrize("exaggeration", [1.0, 4.0])
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_gradient_without_approximation(dim, nu, exaggeration):
    n, n_new = 700, 20
    Y = random_map(n, dim, seed=4)
    indices, conditional = random_neighbors(n, n_new, 33, seed=5)
    at = random_map(n_new, dim, seed=6)
    frozen = _kernels.FrozenMap(Y, nu, 0.0)
    gradient, divergence = frozen.evaluate(indices, conditional, at, exaggeration)
    for row, p in enumerate(full(indices, conditional, n)):
        expected = reference.placement_gradient(p, Y, at[row], nu, exaggeration)
        assert_allclose(gradient[row], expected, rtol=2e-5, atol=1e-6 * exaggeration)
        if exaggeration == 1.0:
            assert_allclose(
                divergence[row], reference.placement_divergence(p, Y, at[row], nu), atol=3e-6
            )


@every_isa
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_gradient_by_the_tree_is_close(dim, nu):
    n, n_new = 3000, 40
    Y = random_map(n, dim, seed=7, extent=15.0)
    indices, conditional = random_neighbors(n, n_new, 30, seed=8)
    at = random_map(n_new, dim, seed=9, extent=15.0)
    frozen = _kernels.FrozenMap(Y, nu, 0.5)
    gradient, divergence = frozen.evaluate(indices, conditional, at)
    exact, exact_divergence = _kernels.FrozenMap(Y, nu, 0.0).evaluate(indices, conditional, at)
    assert np.linalg.norm(gradient - exact) < 0.02 * np.linalg.norm(exact)
    assert np.abs(divergence - exact_divergence).max() < 0.03
    assert not np.array_equal(divergence, exact_divergence)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_the_start_is_the_weighted_median(dim):
    Y = random_map(200, dim, seed=10)
    indices, conditional = random_neighbors(200, 15, 21, seed=11)
    starts = _kernels.FrozenMap(Y, 1.0, 0.5).place(indices, conditional, 1.0, 0, 1e-3, 1)
    for start, columns, weights in zip(starts, indices, conditional, strict=True):
        expected = [reference.weighted_median(Y[columns, axis], weights) for axis in range(dim)]
        assert_array_equal(start, np.float32(expected))


@every_isa
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_a_point_ends_where_its_divergence_is_least_around(dim, nu):
    n, n_new = 1000, 30
    X = points("normal", n + n_new, 6, seed=12)
    Y = np.ascontiguousarray(3 * X[:n, :dim], dtype=np.float32)
    indices, squared = neighbor_index(X[:n], 31).squares(X[n:])
    conditional, _ = conditional_probabilities(squared, 10.0)
    frozen = _kernels.FrozenMap(Y, nu, 0.5)
    start = frozen.place(indices, conditional, 1.0, 0, 1e-4, 1)
    end = frozen.place(indices, conditional, 1.0, 500, 1e-4, 1)
    before = frozen.evaluate(indices, conditional, start)
    after = frozen.evaluate(indices, conditional, end)
    assert np.all(after[1] <= before[1] + 2e-3)
    assert np.mean(after[1]) < np.mean(before[1])
    assert np.quantile(np.linalg.norm(after[0], axis=1), 0.9) < 2e-3
    assert np.median(np.linalg.norm(before[0], axis=1)) > 1e-2


def test_new_digits_come_to_lie_among_their_like(digits):
    labels = load_digits().target
    rest = np.arange(len(digits)) % 3 == 0
    tsne = TSNE(**SHORT).fit(digits[~rest])
    placed = tsne.transform(digits[rest])
    assert placed.dtype == np.float32
    nearest = pairwise_distances(placed, tsne.embedding_).argmin(axis=1)
    assert np.mean(labels[~rest][nearest] == labels[rest]) > 0.95


@every_isa
def test_one_by_one_equals_the_batch_in_any_order_and_in_blocks(fitted, parts, monkeypatch):
    before = fitted.embedding_.copy()
    placed = fitted.transform(parts[1])
    assert_array_equal(one_by_one(fitted, parts[1]), placed)
    order = np.random.default_rng(0).permutation(len(parts[1]))
    assert_array_equal(fitted.transform(parts[1][order]), placed[order])
    monkeypatch.setattr(placement, "_BLOCK_ROWS", 7)
    assert_array_equal(fitted.transform(parts[1]), placed)
    assert_array_equal(fitted.embedding_, before)


@every_isa
@pytest.mark.parametrize("d", [5, 150])
def test_one_by_one_equals_the_batch_with_approximate_neighbors(d):
    X, new = split(points("normal", 640, d, seed=13) * 0.97 ** np.arange(d), 600, 40)
    tsne = TSNE(**SHORT, neighbors="approximate").fit(X)
    placed = tsne.transform(new)
    assert tsne.placement_._index[1].lists is not None
    assert_array_equal(one_by_one(tsne, new), placed)
    assert_array_equal(clone(tsne).set_params(n_jobs=1).fit(X).transform(new[::-1])[::-1], placed)


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("method", ["exact", "approximate"])
def test_the_number_of_threads_changes_nothing(method, n_threads):
    X, new = split(points("normal", 2400, 8, seed=14), 2000, 400)
    Y = random_map(2000, 2, seed=15)
    expected = Placement(X, Y, perplexity=8.0, method=method).place(new)
    placed = Placement(X, Y, perplexity=8.0, method=method).place(new, n_threads=n_threads)
    assert placed.tobytes() == expected.tobytes()


METRICS = {
    "cosine": {},
    "manhattan": {},
    "chebyshev": {},
    "sqeuclidean": {},
    "correlation": {},
    "canberra": {},
    "braycurtis": {},
    "l2": {},
    "minkowski": {"metric_params": {"p": 3}},
    "seuclidean": {"metric_params": {"V": np.full(12, 2.0)}},
    "mahalanobis": {"metric_params": {"V": np.diag(np.arange(1.0, 13.0))}},
    "nan_euclidean": {},
}


@pytest.mark.filterwarnings("ignore:Parameter p is found in metric_params")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric(metric, dtype):
    X, new = split(np.abs(points("normal", 170, 12, seed=16)).astype(dtype), 150, 20)
    tsne = TSNE(metric=metric, **METRICS[metric], **SHORT).fit(X)
    placed = tsne.transform(new)
    assert np.isfinite(placed).all()
    assert_array_equal(one_by_one(tsne, new), placed)
    # Distances of some metrics are not exactly 0 between equal samples, which then are placed like
    # new ones; in noise, one in a hundred may find a better place far away.
    moved = np.abs(tsne.transform(X) - tsne.embedding_).max(axis=1)
    assert np.quantile(moved, 0.98) < 1.5


@pytest.mark.parametrize("method", ["barnes_hut", "exact"])
def test_a_function_as_metric_is_the_metric_of_that_name(method):
    X, new = split(points("normal", 90, 4, seed=17), 80, 10)
    named = TSNE(metric="manhattan", method=method, **SHORT).fit(X)
    own = TSNE(metric=lambda a, b: np.abs(a - b).sum(), method=method, **SHORT).fit(X)
    assert_allclose(own.transform(new), named.transform(new), atol=1e-3)
    assert_array_equal(one_by_one(own, new), own.transform(new))


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, sparse.csc_array])
def test_precomputed_distances_are_those_to_the_samples_of_the_fit(parts, container):
    X, new = parts
    graphs = KNeighborsTransformer(n_neighbors=40).fit(X)
    sparse_fit = container is not np.asarray
    distances = graphs.transform(X) if sparse_fit else pairwise_distances(X)
    tsne = TSNE(metric="precomputed", init="random", **SHORT).fit(distances)
    D = pairwise_distances(new, X)
    placed = tsne.transform(container(D))
    samples = Placement(X, tsne.embedding_, perplexity=10.0)
    assert_allclose(placed, samples.place(new), atol=1e-3)
    assert_array_equal(one_by_one(tsne, D), placed)
    assert_allclose(tsne.transform(graphs.transform(new)), placed, atol=1e-3)
    few = KNeighborsTransformer(n_neighbors=5).fit(X)
    with pytest.raises(ValueError, match="31 are required"):
        tsne.transform(few.transform(new))


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_sparse_samples(metric):
    X = points("normal", 170, 12, seed=18)
    X[np.abs(X) < 1.0] = 0.0
    X[:, 0] = 1.0
    X, new = split(X, 150, 20)
    start = random_map(150, 2, seed=19, extent=1e-4)
    fit = {"metric": metric, "init": start, **SHORT}
    tsne = TSNE(**fit).fit(sparse.csr_array(X))
    placed = tsne.transform(sparse.csr_array(new))
    assert_array_equal(one_by_one(tsne, sparse.csr_matrix(new)), placed)
    assert_array_equal(tsne.transform(new), placed)
    dense = Placement(X, tsne.embedding_, perplexity=10.0, metric=metric)
    assert_allclose(placed, dense.place(new), atol=1e-2)
    assert_array_equal(TSNE(**fit).fit(X).transform(sparse.coo_array(new)).shape, (20, 2))


@pytest.mark.parametrize("nu", [0.5, "auto"])
@pytest.mark.parametrize(
    ("n_components", "method"),
    [(1, "barnes_hut"), (3, "barnes_hut"), (2, "exact"), (4, "exact")],
)
def test_any_number_of_components(n_components, method, nu):
    X, new = split(points("normal", 230, 8, seed=20), 200, 30)
    tsne = TSNE(n_components, method=method, degrees_of_freedom=nu, **SHORT).fit(X)
    placed = tsne.transform(new)
    assert placed.shape == (30, n_components)
    assert_array_equal(one_by_one(tsne, new), placed)


@pytest.mark.parametrize("choice", ["exact", "approximate"])
def test_a_sample_of_the_fit_is_where_it_is(digits, choice):
    tsne = TSNE(**SHORT, neighbors=choice).fit(digits)
    assert_array_equal(tsne.transform(digits), tsne.embedding_)


def test_of_several_equal_samples_the_first_and_in_the_batch_all(digits):
    X = np.vstack([digits[:200], digits[:50]])
    tsne = TSNE(**SHORT).fit(X)
    assert_array_equal(tsne.transform(X), tsne.embedding_[np.r_[:200, :50]])
    placed = tsne.transform(np.repeat(digits[300:303], 4, axis=0))
    assert_array_equal(placed, np.repeat(placed[::4], 4, axis=0))


def test_a_sample_moved_by_a_hair_lands_nearby(digits):
    tsne = TSNE(random_state=0).fit(digits)
    placed = tsne.transform(digits + 1e-6)
    distances = np.linalg.norm(placed - tsne.embedding_, axis=1)
    extent = np.linalg.norm(tsne.embedding_.std(axis=0))
    # Its place is found anew, and may be that of the sample itself by chance.
    assert np.mean(distances > 0) > 0.99
    assert np.median(distances) < 0.01 * extent
    assert np.quantile(distances, 0.99) < 0.05 * extent


@pytest.mark.parametrize("choice", ["exact", "approximate"])
@pytest.mark.parametrize("far", [1e3, 1e8, 1e30, 1e140])
def test_a_far_outlier_has_a_place(parts, choice, far):
    X, new = parts
    tsne = TSNE(**SHORT, neighbors=choice).fit(X)
    batch = np.vstack([new, new[:1] + far])
    placed = tsne.transform(batch)
    assert np.abs(placed).max() < 3 * np.abs(tsne.embedding_).max()
    assert_array_equal(placed[:-1], tsne.transform(new))
    assert_array_equal(placed[-1:], tsne.transform(batch[-1:]))


def test_two_samples_and_a_map_without_extent_are_enough():
    X = np.array([[0.0, 0.0], [1.0, 1.0]])
    tsne = TSNE(perplexity=1.0, init="random", random_state=0).fit(X)
    assert np.isfinite(tsne.transform([[0.5, 0.5], [9.0, 9.0]])).all()
    X = np.vstack([np.zeros((40, 3)), np.ones((1, 3))])
    tsne = TSNE(**SHORT, init="random").fit(X)
    assert np.isfinite(tsne.transform(X + 0.25)).all()
    flat = Placement(X, np.zeros((41, 2), np.float32), perplexity=5.0)
    assert_array_equal(flat.place(X + 0.25), np.zeros((41, 2)))


def test_values_of_extreme_magnitude(parts):
    X, new = parts
    expected = TSNE(**SHORT).fit(X).transform(new)
    assert_array_equal(TSNE(**SHORT).fit(X * 2.0**600).transform(new * 2.0**600), expected)
    with pytest.raises(ValueError, match="magnitude"):
        TSNE(**SHORT).fit(X * 2.0**-600).transform(new * 2.0**600)


@every_isa
@pytest.mark.parametrize("kind", ["normal", "grid", "outlier", "offset"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_neighbors_of_others_are_those_of_the_reference(kind, dtype):
    X = points(kind, 500, 7, seed=21).astype(dtype)
    indices, squared = neighbor_index(X[:400], 12, method="exact").squares(X[400:])
    distances = reference.squared_distances(X)[400:, :400]
    expected = np.argsort(distances, axis=1, kind="stable")[:, :12]
    assert_array_equal(indices, expected)
    assert_allclose(squared, np.take_along_axis(distances, expected, axis=1), rtol=1e-12)


def with_an_outlier(seed):
    X = points("normal", 3000, 6, seed=seed)
    X[7] = 1e30
    new = points("normal", 100, 6, seed=seed + 1)
    return X, np.vstack([new, np.full((1, 6), 1e29), np.full((1, 6), 1e5)])


def of_many_scales(d):
    X = points("normal", 3300, d, seed=22) * 0.97 ** np.arange(d)
    return split(X.astype(np.float32), 3000, 300)


@every_isa
@pytest.mark.parametrize(
    ("make", "argument"),
    [*((of_many_scales, d) for d in (1, 10, 150)), (with_an_outlier, 23)],
)
def test_most_neighbors_of_others_are_found_in_the_lists(make, argument):
    X, new = make(argument)
    index = neighbor_index(X, 30, method="approximate")
    assert index.lists is not None
    indices, squared = index.squares(new)
    _, expected = neighbor_index(X, 30, method="exact").squares(new)
    assert np.all(np.diff(np.sort(indices, axis=1), axis=1) > 0)
    assert np.all(np.diff(squared, axis=1) >= 0)
    assert np.mean(squared <= expected[:, -1:] * (1 + 1e-9)) > 0.97


def test_all_samples_may_be_neighbors_and_a_zero_vector_has_no_direction():
    X = points("normal", 30, 3, seed=24)
    indices, _ = neighbor_index(X, 30, method="approximate").squares(X + 0.1)
    assert_array_equal(np.sort(indices, axis=1), np.tile(np.arange(30), (30, 1)))
    _, squared = neighbor_index(X, 5, metric="cosine").squares(np.zeros((2, 3)))
    assert_array_equal(squared, 1.0)


@pytest.mark.parametrize("scale", [2.0**-1060, 2.0**-500, 2.0**500, 2.0**1000])
def test_lengths_whose_squares_overflow_have_a_direction(scale):
    X, new = split(points("normal", 60, 4, seed=25), 50, 10)
    index = neighbor_index(X, 5, metric="cosine")
    indices, squared = index.squares(new)
    scaled = new * scale
    some = neighbor_index(X * scale, 5, metric="cosine")
    # Where only subnormal numbers are left, digits are lost.
    tolerance = {"rtol": 1e-3, "atol": 1e-6} if scale == 2.0**-1060 else {"rtol": 1e-12}
    for found, distances in (index.squares(scaled), some.squares(new), some.squares(scaled)):
        assert_array_equal(found, indices)
        assert_allclose(distances, squared, **tolerance)
    indices, squared = squared_neighbors(X * scale, 5, metric="cosine", method="approximate")
    expected, distances = squared_neighbors(X, 5, metric="cosine", method="approximate")
    assert_array_equal(indices, expected)
    assert_allclose(squared, distances, **tolerance)


def test_metrics_of_booleans_convert_without_a_word():
    X, new = split(points("normal", 170, 12, seed=16), 150, 20)
    tsne = TSNE(metric="jaccard", **SHORT).fit(X > 0)
    placed = tsne.transform(new > 0)  # warnings are errors
    assert_array_equal(placed, tsne.transform((new > 0).astype(float)))
    assert_array_equal(one_by_one(tsne, new > 0), placed)


def test_the_search_of_the_fit_and_the_index_agree(small_digits):
    for metric in ("euclidean", "cosine", "manhattan"):
        _, squared = neighbor_index(small_digits, 11, metric=metric).squares(small_digits)
        _, expected = squared_neighbors(small_digits, 10, metric=metric)
        assert_allclose(squared[:, 1:], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("choice", ["exact", "approximate"])
def test_a_pickled_estimator_places_alike(parts, used, choice):
    X, new = parts
    tsne = TSNE(**SHORT, neighbors=choice).fit(X)
    expected = TSNE(**SHORT, neighbors=choice).fit(X).transform(new)
    if used:
        tsne.transform(new)
    again = pickle.loads(pickle.dumps(tsne))
    assert_array_equal(again.transform(new), expected)
    assert_array_equal(again.embedding_, tsne.embedding_)


def test_fit_copies_no_sample_and_the_index_is_made_once_by_transform(parts, monkeypatch):
    calls = []
    monkeypatch.setattr(
        placement, "neighbor_index", lambda *a, **k: calls.append(1) or neighbor_index(*a, **k)
    )
    X = np.ascontiguousarray(parts[0])
    tsne = TSNE(**SHORT).fit(X)
    assert np.shares_memory(tsne.placement_.X, X)
    assert not calls
    tsne.transform(parts[1])
    tsne.transform(parts[1])
    assert len(calls) == 1


def test_perplexity_of_the_call(fitted, parts):
    assert_array_equal(fitted.transform(parts[1], perplexity=10), fitted.transform(parts[1]))
    assert not np.array_equal(fitted.transform(parts[1], perplexity=3), fitted.transform(parts[1]))
    for wrong in (0, -1.0, 400, np.nan):
        with pytest.raises(ValueError, match="perplexity"):
            fitted.transform(parts[1], perplexity=wrong)


def test_pandas_output_has_the_names_of_the_components(fitted, parts):
    pytest.importorskip("pandas")
    placed = clone(fitted).set_output(transform="pandas").fit(parts[0]).transform(parts[1])
    assert list(placed.columns) == ["tsne0", "tsne1"]
    assert_array_equal(placed.to_numpy(), fitted.transform(parts[1]))


def test_values_beyond_the_type_of_the_fit_are_refused(fitted, parts):
    with pytest.raises(ValueError, match="magnitude"):
        fitted.transform(np.full((1, 64), 1e200))
    tsne = TSNE(**SHORT).fit(np.float32(parts[0]))
    with pytest.raises(ValueError, match="fit it in float64"):
        tsne.transform(parts[1] + 1e100)
    assert_allclose(tsne.transform(parts[1]), tsne.transform(np.float32(parts[1])))


def test_transform_needs_a_map_and_a_sample(fitted, parts):
    with pytest.raises(NotFittedError):
        TSNE().transform(parts[1])
    with pytest.raises(ValueError, match="0 sample"):
        fitted.transform(parts[1][:0])


def test_bad_distances_are_refused(parts):
    X, new = parts
    tsne = TSNE(metric="precomputed", init="random", **SHORT).fit(pairwise_distances(X))
    D = pairwise_distances(new, X)
    negative, malformed = D.copy(), sparse.csr_array(D)
    negative[0, 0] = -1.0
    malformed.indices[3] = 10_000
    for wrong, message in [
        (negative, "Negative"),
        (D[:, :-1], "features"),
        (malformed, "malformed"),
    ]:
        with pytest.raises(ValueError, match=message):
            tsne.transform(wrong)


def test_n_neighbors_of_an_index_must_be_possible():
    X = points("normal", 20, 3, seed=26)
    for k in (0, 21):
        with pytest.raises(ValueError, match="n_neighbors"):
            neighbor_index(X, k)
    with pytest.raises(ValueError, match="needs dense X"):
        neighbor_index(X, 5, metric="manhattan", method="approximate")


FAR = {
    "negative": lambda X: -X[:20],
    "far": lambda X: X[:20] * 1e8,
    "farther": lambda X: X[:20] * 1e60,
    "zeros": lambda X: np.zeros((2, X.shape[1])),
    "noise": lambda X: np.random.default_rng(0).uniform(0, 16, (20, X.shape[1])),
}


@pytest.mark.parametrize("kind", FAR)
@pytest.mark.parametrize(
    "params", [{}, {"metric": "manhattan"}, {"method": "exact"}, {"n_components": 3}]
)
def test_samples_unlike_all_others_stay_within_reach_and_have_large_scores(digits, params, kind):
    X = digits[:400]
    tsne = TSNE(max_iter=250, random_state=0, **params).fit(X)
    low, high = tsne.embedding_.min(axis=0), tsne.embedding_.max(axis=0)
    margin = 0.25 * (high - low) + 1e-4
    placed, scores = tsne.transform(FAR[kind](X), return_scores=True)
    assert np.all((placed >= low - margin) & (placed <= high + margin))
    assert scores.min() > 1.0
    assert_array_equal(placed, tsne.transform(FAR[kind](X)))


def test_scores_are_distances_in_units_of_usual_ones(digits):
    X, new = digits[:400], digits[400:500]
    tsne = TSNE(max_iter=250, random_state=0).fit(X)
    _, scores = tsne.transform(np.vstack([X[:5], new]), return_scores=True)
    usual = np.quantile(reference.nearest_neighbors(X, 1)[1] ** 0.5, 0.99)
    assert_array_equal(scores[:5], 0.0)
    assert_allclose(scores[5:], pairwise_distances(new, X).min(axis=1) / usual, rtol=1e-9)
    assert np.median(scores[5:]) < 1.0
    precomputed = TSNE(max_iter=250, metric="precomputed", init="random", random_state=0)
    D = pairwise_distances(X)
    with pytest.raises(ValueError, match="return_scores=True is not possible"):
        precomputed.fit(D).transform(D, return_scores=True)


@pytest.mark.parametrize("perplexity", ["3", [3], 0, np.nan])
def test_a_perplexity_that_is_none_is_named(digits, perplexity):
    tsne = TSNE(max_iter=250, random_state=0).fit(digits[:100])
    kind = TypeError if isinstance(perplexity, str) else ValueError
    with pytest.raises(kind, match="perplexity"):
        tsne.transform(digits[:2], perplexity=perplexity)
