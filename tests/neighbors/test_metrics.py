"""fasttsne.neighbors.metrics: one value of a metric in every search, or a refusal by name."""

import numpy as np
import pytest
from fits import fit
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.metrics import pairwise_distances

from fasttsne import TSNE
from fasttsne.neighbors import (
    NeighborsTransformer,
    nearest_neighbors,
    neighbor_index,
    pairwise_squared_distances,
)
from fasttsne.neighbors.metrics import METRICS, complete_metric
from fasttsne.quality import report
from fasttsne.quality.distances import as_distances

WEIGHTS = np.linspace(0.5, 2.0, 6)
PARAMS = [
    *((metric, None) for metric in sorted(METRICS - {"precomputed", "mahalanobis"})),
    *(("minkowski", {"p": p}) for p in (0.5, 1, 2.0, 3, np.inf)),
    *(("minkowski", {"p": p, "w": WEIGHTS}) for p in (1, 2, 3.5)),
    ("seuclidean", {"V": WEIGHTS}),
    ("mahalanobis", {"V": np.diag(WEIGHTS)}),
    ("mahalanobis", {"VI": np.diag(1 / WEIGHTS)}),
]


# Metrics of sparse samples.
SPARSE = [("euclidean", None), ("cosine", None), ("manhattan", None)]


def samples(metric, kind):
    rng = np.random.default_rng(1)
    if kind == "sparse":
        X = rng.uniform(0.1, 1.0, size=(70, 6)) * (rng.uniform(size=(70, 6)) < 0.5)
        X[[3, 30, 60]] = 0.0
        return X
    if metric == "haversine":
        return rng.uniform(-1, 1, size=(70, 2))
    if kind == "numbers":
        return rng.uniform(0.1, 1.0, size=(70, 6))
    return np.c_[np.ones(70), rng.uniform(size=(70, 4)) < 0.4, np.zeros(70)].astype(kind)


def theirs(X, metric, params, fitted):
    """Distances of `X` to `fitted` by scikit-learn and SciPy, with what they need."""
    name = {"p": "euclidean", "infinity": "chebyshev", "sokalmichener": "rogerstanimoto"}
    params = dict(params or {})
    if metric == "mahalanobis" and "VI" not in params:
        params = {"VI": np.linalg.inv(params["V"])}
    if metric == "seuclidean" and not params:
        V = fitted.var(axis=0, ddof=1)
        params["V"] = np.where(V > 0, V, 1.0)
    boolean = {"dice", "jaccard", "russellrao", "sokalsneath", "yule", "rogerstanimoto"}
    metric = name.get(metric, metric)
    X, fitted = (A.astype(bool if metric in boolean else float) for A in (X, fitted))
    return pairwise_distances(X, fitted, metric=metric, **params)


@pytest.mark.parametrize(
    ("metric", "params", "kind"),
    [
        *((*metric, kind) for metric in PARAMS for kind in ("numbers", "bool")),
        *((*metric, "sparse") for metric in SPARSE),
    ],
)
def test_a_metric_has_one_value_in_every_search(metric, params, kind):
    dense = samples(metric, kind)
    how = {"metric": metric, "metric_params": params}
    D = theirs(dense, metric, params, dense.copy())
    X = sparse.csr_array(dense) if kind == "sparse" else dense
    close = {"rtol": 1e-6, "atol": 1e-7}
    rows, apart = np.arange(70, dtype=np.int32), ~np.eye(70, dtype=bool)
    assert_allclose(np.sqrt(pairwise_squared_distances(X, **how))[apart], D[apart], **close)
    assert_allclose(np.sqrt(as_distances(X, **how).squares(rows, 2))[apart], D[apart], **close)
    others = np.sort(np.where(apart, D, np.inf))[:, :20]
    indices, distances = nearest_neighbors(X, 20, **how)
    assert_allclose(distances, others, **close)
    assert_allclose(distances, np.take_along_axis(D, indices, axis=1), **close)
    new, fitted = X[40:], X[:40]
    expected = np.sort(theirs(dense[40:], metric, params, dense[:40]))[:, :10]
    assert_allclose(neighbor_index(fitted, 10, **how).query(new)[1], expected, **close)
    transformer = NeighborsTransformer(n_neighbors=9, **how)
    graph = transformer.fit_transform(X).data.reshape(70, 10)
    assert_allclose(graph[:, 1:], others[:, :9], **close)
    assert_allclose(transformer.fit(fitted).transform(new).data.reshape(30, 10), expected, **close)
    for method in ("barnes_hut", "exact"):
        tsne = fit(fitted, method=method, perplexity=5, init="random", **how)
        _, scores = tsne.transform(new, return_scores=True)
        nearest = np.sort(theirs(dense[:40], metric, params, dense[:40].copy()))[:, 1]
        assert_allclose(scores * max(np.quantile(nearest, 0.99), 1e-300), expected[:, 0], **close)
    Y = dense[:, :2].astype(float)
    ours = report(X, Y, **how).trustworthiness
    assert ours == pytest.approx(report(D, Y, metric="precomputed").trustworthiness, abs=0.02)


def test_variances_count_copies():
    X = samples("seuclidean", "numbers")
    counts = 1 + np.arange(70) % 3
    _, ours = complete_metric("seuclidean", None, X, counts.astype(float))
    _, expected = complete_metric("seuclidean", None, np.repeat(X, counts, axis=0))
    assert_allclose(ours["V"], expected["V"], rtol=1e-9)


ZEROS = np.vstack([np.zeros((2, 4)), np.eye(4), np.ones((3, 4))])


@pytest.mark.parametrize(
    ("X", "metric", "params", "message"),
    [
        (np.eye(9), "mahalanobis", None, "Must provide either V or VI"),
        (np.eye(9), "mahalanobis", {"V": np.eye(9) * (np.arange(9) > 0)}, "V .* with an inverse"),
        (np.eye(9), "mahalanobis", {"V": np.eye(4)}, r"'mahalanobis' takes V of shape \(9, 9\)"),
        (np.eye(9), "mahalanobis", {"VI": np.eye(4)}, "'mahalanobis' takes VI of shape"),
        (np.eye(9), "mahalanobis", {"VI": 2}, "'mahalanobis' takes VI of shape"),
        (np.eye(9), "mahalanobis", {"VI": np.full((9, 9), np.nan)}, "VI .*, finite numbers"),
        (np.eye(9), "haversine", None, "'haversine'"),
        (np.eye(9), "minkowski", {"p": -1}, "'minkowski' takes p greater than 0"),
        (np.eye(9), "manhattan", {"w": np.ones(9)}, "'manhattan' takes metric_params of .*'w'"),
        (np.eye(9), "minkowski", {"p": np.inf, "w": np.ones(9)}, "finite beside w"),
        (np.eye(9), "minkowski", {"p": 3, "w": np.full(9, np.nan)}, "takes w .*, finite numbers"),
        (np.eye(9), "minkowski", {"p": 3, "w": -np.ones(9)}, "takes w .* of at least 0"),
        (np.eye(9), "seuclidean", {"V": np.ones(3)}, "'seuclidean' takes V of shape"),
        (np.eye(9), "seuclidean", {"V": -np.ones(9)}, "'seuclidean' takes V .* above 0"),
        (np.eye(9), "seuclidean", {"V": np.zeros(9)}, "'seuclidean' takes V .* above 0"),
        (-np.eye(9), "braycurtis", None, "'braycurtis' takes no negative values"),
        (sparse.eye(9, format="csr"), "canberra", None, "'canberra' takes no sparse X"),
        (ZEROS, "dice", None, "'dice' is undefined between rows of zeros"),
        (ZEROS, "braycurtis", None, "'braycurtis' is undefined between rows of zeros"),
        (
            np.eye(9) * (np.arange(9) > 2),
            "correlation",
            None,
            "'correlation' is undefined .* row 0",
        ),
        (np.eye(9), "manhatan", None, "'manhatan' must be one of"),
        (np.eye(9), "precomputed_affinity", None, "affinity='precomputed'"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_in_every_search(X, metric, params, message):
    how = {"metric": metric, "metric_params": params}
    searches = [
        lambda: nearest_neighbors(X, 3, **how),
        lambda: neighbor_index(X, 3, **how),
        lambda: pairwise_squared_distances(X, **how),
        lambda: report(X, np.eye(9, 2), n_neighbors=2, **how),
    ]
    if metric in METRICS:
        for method in ("barnes_hut", "exact"):
            tsne = TSNE(perplexity=2, init="random", method=method, **how)
            searches.append(lambda tsne=tsne: tsne.fit(X))
    for search in searches:
        with pytest.raises(ValueError, match=message):
            search()


def test_missing_values_take_no_precision_from_others():
    X = np.array([[0.0, 1.0], [3.0, 1.0], [7.0, 2.0]]) + 1e8
    for metric in ("euclidean", "nan_euclidean"):
        assert_array_equal(nearest_neighbors(X, 1, metric=metric)[1][:, 0], [3, 3, np.sqrt(17)])


def test_a_correlation_with_a_constant_row_is_refused_wherever_it_comes_in():
    X = np.random.default_rng(2).normal(size=(40, 5))
    new = np.vstack([X[:3], np.full((1, 5), 0.1)])  # SciPy's distances from it are 0 to 2
    tsne = fit(X, perplexity=5, init="random", metric="correlation")
    for search in (neighbor_index(X, 3, metric="correlation").query, tsne.transform):
        with pytest.raises(ValueError, match=r"'correlation' is undefined .* row 3"):
            search(new)


@pytest.mark.parametrize("metric", ["braycurtis", "dice", "sokalsneath"])
def test_one_row_of_zeros_is_no_error(metric):
    assert nearest_neighbors(ZEROS[1:], 2, metric=metric)[1].max() <= 1.0
    found = report(ZEROS[1:], np.arange(16.0).reshape(8, 2), n_neighbors=2, metric=metric)
    assert 0.0 <= found.trustworthiness <= 1.0


def test_a_sparse_matrix_of_all_distances_is_refused():
    with pytest.raises(TypeError, match="X is sparse"):
        pairwise_squared_distances(sparse.eye(4, format="csr"), metric="precomputed")


def test_the_stages_take_lists():
    X = [[0], [1], [3], [7]]
    _, distances = nearest_neighbors(X, 2)
    assert_array_equal(distances[3], [4, 6])
    assert_array_equal(neighbor_index(X, 2).query([[9]])[1], [[2, 6]])
    assert_array_equal(pairwise_squared_distances(X)[0], [0, 1, 9, 49])
    assert_array_equal(
        nearest_neighbors([[1e200], [3e200], [6e200]], 1)[1], [[2e200]] * 2 + [[3e200]]
    )
