"""fasttsne.neighbors.search: the approximate search, sound always and right nearly always."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from points import KINDS, points
from scipy import sparse
from scipy.spatial.distance import canberra
from sklearn.base import clone
from sklearn.metrics import pairwise_distances

from fasttsne import TSNE, _kernels
from fasttsne.affinity import build as similarities
from fasttsne.initialization import start as initialization
from fasttsne.neighbors import screen
from fasttsne.neighbors import search as neighbors
from fasttsne.neighbors.screen import n_axes_for_search
from fasttsne.neighbors.transformer import NeighborsTransformer
from fasttsne.samples.principal_axes import principal_axes
from fasttsne.samples.scaling import center_and_scale

every_isa = pytest.mark.usefixtures("isa")

# Both sides sum at most 100 squares in double: 100 ulp and a margin.
RTOL = 1e-12


def clumps(n, d, seed):
    """A hundred clumps of very different widths."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 100, size=n)
    widths = 10.0 ** rng.uniform(-2, 0, size=(100, 1))
    return rng.normal(size=(100, d))[place] + widths[place] * rng.normal(size=(n, d))


def low_rank(n, d, seed):
    """Data whose variance lies along a few of many axes."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 20)) @ rng.normal(size=(20, d)) + 0.3 * rng.normal(size=(n, d))


def roll(n, seed):
    rng = np.random.default_rng(seed)
    t = 1.5 * np.pi * (1 + 2 * rng.uniform(size=n))
    return np.column_stack([t * np.cos(t), 21 * rng.uniform(size=n), t * np.sin(t)])


APPROXIMATED = {
    "normal": points("normal", 5000, 10, seed=20),
    "noise": np.random.default_rng(21).uniform(size=(5000, 20)),
    "clumps": clumps(5000, 30, seed=22),
    "roll": roll(5000, seed=23),
    "grid": points("grid", 5000, 6, seed=24),
    "low rank": low_rank(4000, 150, seed=25),
    "wide noise": points("normal", 3000, 150, seed=26),
    "outlier": points("outlier", 4000, 10, seed=27),
    "extreme outlier": np.vstack([points("normal", 4000, 10, seed=27), np.full((1, 10), 1e30)]),
    "wide outlier": np.vstack([points("normal", 1000, 150, seed=26), np.full((1, 150), 1e4)]),
    "many scales": points("normal", 2000, 20, seed=29)
    * 10.0 ** np.random.default_rng(29).uniform(-30, 30, size=(2000, 1)),
    "offset": points("offset", 4000, 10, seed=28),
}


def approximate(X, n_neighbors, **params):
    return neighbors.squared_neighbors(X, n_neighbors, method="approximate", **params)


def assert_sound(X, indices, squared):
    """k distinct others a row, in ascending order of their exact distances, ties by index."""
    n = len(indices)
    assert indices.min() >= 0
    assert indices.max() < n
    assert not np.any(indices == np.arange(n)[:, None])
    assert np.all(np.diff(np.sort(indices, axis=1), axis=1) > 0)
    ties = squared[:, 1:] == squared[:, :-1]
    assert np.all((squared[:, 1:] > squared[:, :-1]) | (ties & (np.diff(indices, axis=1) > 0)))
    for i in range(0, n, max(1, n // 50)):
        expected = np.sum((X[i].astype(float) - X[indices[i]].astype(float)) ** 2, axis=1)
        assert_allclose(squared[i], expected, rtol=RTOL)


def recall(X, squared, metric="euclidean"):
    """The share of neighbours found that are as near as the true ones."""
    n_neighbors = squared.shape[1]
    expected = neighbors.squared_neighbors(X, n_neighbors, method="exact", metric=metric)[1]
    return np.mean(squared <= expected[:, -1:] * (1 + 1e-9))


def assert_good(X, indices, squared):
    assert_sound(X, indices, squared)
    assert recall(X, squared) > 0.97


@pytest.mark.parametrize("n_neighbors", [5, 91])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", APPROXIMATED)
def test_approximate_neighbors_are_sound_and_nearly_all_there(name, dtype, n_neighbors):
    X = APPROXIMATED[name].astype(dtype)
    assert_good(X, *approximate(X, n_neighbors))


@every_isa
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(2, 150),
    d=st.integers(1, 120),
    part=st.floats(0, 1),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 10_000),
)
@example(kind="normal", n=2, d=1, part=1.0, dtype=np.float32, seed=0)
@example(kind="grid", n=150, d=1, part=1.0, dtype=np.float64, seed=0)
def test_approximate_neighbors_of_few_points_are_sound(kind, n, d, part, dtype, seed):
    X = points(kind, n, d, seed).astype(dtype)
    assert_sound(X, *approximate(X, 1 + int(part * (n - 2))))


@every_isa
@pytest.mark.parametrize("n_neighbors", [1, 91, 2999])
@pytest.mark.parametrize("others", [0, 1, 500])
def test_approximate_search_among_equal_points(others, n_neighbors):
    rng = np.random.default_rng(29)
    X = np.vstack([np.full((3000, 7), 0.1), rng.normal(size=(others, 7))])
    indices, squared = approximate(X, n_neighbors)
    assert_sound(X, indices, squared)
    assert_array_equal(squared[:3000], 0.0)


def hard_points(kind, size):
    if kind == "constant columns":
        return np.insert(points("normal", 4000, 4, seed=30), [0, 0, 0, 4, 4], size, axis=1)
    if kind == "far clusters":
        X = points("normal", 2000, 5, seed=31)
        X[::2] += size
        return X
    X = points("normal", 4000, 10, seed=27)  # in single precision and scaled, all others are 0
    X[7, 3] = size
    return X


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("constant columns", 7.0),
        *(("far clusters", size) for size in (1e3, 1e7, 1e12)),
        *(("one value", size) for size in (1e41, 1e45, 1e60, 1e140)),
    ],
)
def test_approximate_search_of_hard_points(kind, size):
    X = hard_points(kind, size)
    assert_good(X, *approximate(X, 30))


@pytest.mark.parametrize("exponent", [-490, -90, 90, 490])
def test_approximate_search_does_not_depend_on_the_scale(exponent):
    X = points("normal", 2000, 7, seed=32)
    indices, _ = approximate(X, 20)
    scaled_indices, _ = approximate(X * 2.0**exponent, 20)
    assert_array_equal(scaled_indices, indices)


@every_isa
@pytest.mark.parametrize("name", ["clumps", "grid", "low rank"])
def test_approximate_search_has_the_same_bits_with_any_number_of_threads(name):
    X = APPROXIMATED[name]
    indices, squared = approximate(X, 40, n_threads=1)
    assert_good(X, indices, squared)
    for n_threads in (2, 3, 8):
        threaded_indices, threaded_squared = approximate(X, 40, n_threads=n_threads)
        assert_array_equal(threaded_indices, indices)
        assert threaded_squared.tobytes() == squared.tobytes()


def test_approximate_cosine_search():
    X = clumps(4000, 20, seed=33)
    indices, squared = approximate(X, 30, metric="cosine")
    assert np.all(np.diff(squared, axis=1) >= 0)
    expected = pairwise_distances(X[:1], X[indices[0]], metric="cosine")[0] ** 2
    assert_allclose(squared[0], expected, rtol=1e-9, atol=1e-15)
    assert recall(X, squared, "cosine") > 0.97


def test_known_axes_change_nothing():
    X = APPROXIMATED["low rank"].astype(np.float32)
    axes = principal_axes(center_and_scale(X), n_axes_for_search(X.shape[1]))
    for found, expected in zip(approximate(X, 30, axes=axes), approximate(X, 30), strict=True):
        assert_array_equal(found, expected)


def test_auto_is_exact_for_few_points_and_approximate_for_many(monkeypatch):
    calls = []
    find = _kernels.find_neighbors_approximately
    monkeypatch.setattr(
        neighbors._kernels,
        "find_neighbors_approximately",
        lambda *args: calls.append(1) or find(*args),
    )
    few, many = points("normal", 1000, 5, seed=34), points("normal", 40_000, 2, seed=35)
    for X, method, n_calls in [
        (few, "exact", 0),
        (few, "auto", 0),
        (few, "approximate", 1),
        (many, "auto", 2),
    ]:
        neighbors.squared_neighbors(X, 10, method=method)
        assert len(calls) == n_calls


def test_neighbors_that_are_the_result_are_more_often_right_than_those_of_a_map(monkeypatch):
    wanted = []
    for name in ("find_neighbors_approximately", "prepare_lists"):
        kernel = getattr(_kernels, name)
        monkeypatch.setattr(
            _kernels, name, lambda *args, kernel=kernel: wanted.append(args[6]) or kernel(*args)
        )
    X = APPROXIMATED["clumps"]
    search = NeighborsTransformer(n_neighbors=10, method="approximate").fit(X)
    for find in (
        lambda: neighbors.nearest_neighbors(X, 10, method="approximate"),
        lambda: search.kneighbors(),
        lambda: search.kneighbors(X[:5]),
        lambda: search.set_params(metric="cosine").fit(X).kneighbors(X[:5]),
    ):
        find()
    assert wanted == [screen.RECALL_OF_GRAPHS] * 4
    TSNE(neighbors="approximate", max_iter=250, random_state=0).fit(X[:1000]).transform(X[:5])
    assert wanted[4:] == [screen.RECALL] * 2


@pytest.mark.parametrize("recall", [0.9, 0.99])
def test_the_recall_wanted_is_found(recall):
    X = points("normal", 5000, 10, seed=20)
    truth = neighbors.squared_neighbors(X, 10, method="exact")[0]
    found = neighbors.squared_neighbors(X, 10, method="approximate", recall=recall)[0]
    hits = [len(np.intersect1d(*rows)) for rows in zip(found, truth, strict=True)]
    # By chance 512 pilots miss more or fewer: 0.82 to 1.34 times as many, on two sets of data.
    assert 0.6 < (1.0 - sum(hits) / truth.size) / (1.0 - recall) < 1.5


@pytest.mark.parametrize("method", ["fast", None, 1])
def test_an_unknown_method_is_refused(method):
    X = points("normal", 50, 3, seed=0)
    with pytest.raises(ValueError, match="'auto', 'exact', 'approximate'"):
        neighbors.nearest_neighbors(X, 5, method=method)
    with pytest.raises(ValueError, match="neighbors"):
        TSNE(neighbors=method, perplexity=5).fit(X)


@pytest.mark.parametrize(
    ("metric", "metric_params", "container"),
    [
        ("manhattan", None, np.asarray),
        ("precomputed", None, np.asarray),
        ("euclidean", None, sparse.csr_array),
        ("seuclidean", {"V": np.ones(50)}, np.asarray),
        (canberra, None, np.asarray),
    ],
)
def test_where_there_is_no_approximate_search_it_is_refused(metric, metric_params, container):
    X = container(pairwise_distances(points("normal", 50, 3, seed=0)) + 1)
    params = {"metric": metric, "metric_params": metric_params}
    with pytest.raises(ValueError, match="use neighbors='auto' or 'exact'"):
        approximate(X, 5, **params)
    neighbors.squared_neighbors(X, 5, method="auto", **params)


@pytest.mark.nosan
@pytest.mark.parametrize("choice", ["auto", "exact", "approximate"])
def test_tsne_takes_the_choice_of_search(choice, digits):
    estimator = TSNE(neighbors=choice, max_iter=250, random_state=0)
    assert clone(estimator).neighbors == choice
    embedding = estimator.fit_transform(digits)
    assert np.isfinite(embedding).all()
    exact = TSNE(neighbors="exact", max_iter=250, random_state=0).fit_transform(digits)
    assert np.array_equal(embedding, exact) == (choice != "approximate")


def test_tsne_of_many_features_finds_its_axes_once(monkeypatch):
    X = low_rank(1500, 150, seed=36)
    expected = TSNE(neighbors="approximate", max_iter=250).fit_transform(X)
    calls = []
    for module in (similarities, screen, initialization):
        monkeypatch.setattr(
            module, "principal_axes", lambda *a, **k: calls.append(1) or principal_axes(*a, **k)
        )
    embedding = TSNE(neighbors="approximate", max_iter=250).fit_transform(X)
    assert len(calls) == 1
    assert_array_equal(embedding, expected)
