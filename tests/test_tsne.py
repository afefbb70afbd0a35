"""fasttsne.TSNE: the contract of scikit-learn's, and what goes beyond it."""

import copy
import pickle
import re

import numpy as np
import pytest
from fits import (
    SHORT,
    assert_maps_close,
    assert_same_bits,
    both_inits,
    both_methods,
    calm_map,
    fit,
    fit_theirs,
)
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import sparse
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import _VALID_METRICS, pairwise_distances
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fasttsne import TSNE
from fasttsne.quality import knn_accuracy, neighbor_recall


@both_methods
def test_fit_transform_returns_the_map_that_fit_stores_and_ignores_y(X, method):
    estimator = TSNE(**SHORT, method=method)
    returned = estimator.fit_transform(X, np.arange(len(X)))
    assert_array_equal(returned, estimator.embedding_)
    assert_same_bits(estimator, fit(X, method=method))
    assert type(returned) is np.ndarray
    assert returned.flags.c_contiguous and returned.flags.writeable


def test_a_second_fit_forgets_the_first(X):
    pandas = pytest.importorskip("pandas")
    estimator = fit(pandas.DataFrame(X, columns=list("abcde")))
    estimator.fit(X[:60, :3])
    assert estimator.embedding_.shape == (60, 2)
    assert estimator.n_features_in_ == 3
    assert not hasattr(estimator, "feature_names_in_")


def test_a_learning_rate_is_that_of_the_start_and_at_most_the_automatic_one(X):
    seen = []
    fitted = fit(X, learning_rate=2.0, callback=seen.append, callback_every=1)
    assert seen[0].learning_rate == pytest.approx(2.0)
    assert_allclose([state.learning_rate for state in seen[150:]], 24.0)
    assert fitted.learning_rate_ == 24.0
    automatic = fit(X)
    assert automatic.learning_rate_ == fit(X, early_exaggeration=1.0).learning_rate_ == len(X)
    for high in (len(X) / 12, 1000, 1e300):
        assert_same_bits(fit(X, learning_rate=high), automatic)


@pytest.mark.parametrize("learning_rate", [10.0, 50.0, 200.0, 1000.0, 18_000.0])
def test_no_learning_rate_makes_worse_maps_or_takes_longer(digits, learning_rate):
    params = {"perplexity": 30, "max_iter": 1000}
    given, automatic = fit(digits, learning_rate=learning_rate, **params), fit(digits, **params)
    assert given.kl_divergence_ < 1.02 * automatic.kl_divergence_
    assert given.n_iter_ <= 1.5 * automatic.n_iter_


def test_a_learning_rate_far_too_low_warns(X):
    with pytest.warns(UserWarning, match='learning_rate=2 is low .* learning_rate="auto"'):
        fit(X, learning_rate=2.0)


@both_methods
@pytest.mark.parametrize("max_iter", [250, 251, 333, 500])
def test_a_fit_that_does_not_converge_ends_where_scikit_learns_does(X, method, max_iter, endless):
    params = {"perplexity": 10, "init": "random", "random_state": 0, "method": method}
    params |= {"max_iter": max_iter}
    fitted = TSNE(**params).fit(X)
    assert fitted.n_iter_ == max_iter - 1
    assert 0 < fitted.kl_divergence_ < 5
    if max_iter > 250:  # scikit-learn reports an n_iter_ of 250 and the largest float as KL.
        assert fit_theirs(X, **params).n_iter_ == fitted.n_iter_


@both_methods
@pytest.mark.parametrize(
    ("params", "last"),
    [
        ({"min_grad_norm": 1e30}, 199),  # the first look
        ({"min_grad_norm": 1e30, "early_exaggeration_iter": 0}, 49),
        ({"min_grad_norm": 1e30, "exaggeration": [(200, 2.0), (100, 1.0)]}, 399),
        ({"n_iter_without_progress": 0, "learning_rate": 1e-12}, 249),
        ({"n_iter_without_progress": 120, "learning_rate": 1e-12}, 349),
    ],
    ids=str,
)
def test_rules_count_from_the_end_of_exaggeration(X, method, params, last, endless):
    # Early exaggeration ends after 150 iterations; the first look comes 50 later.
    assert fit(X, max_iter=1000, init="random", method=method, **params).n_iter_ == last


@both_methods
def test_the_descent_ends_when_there_is_little_to_gain(X, method):
    n_iter = fit(X, method=method, max_iter=1000).n_iter_
    assert 299 <= n_iter < 600
    assert n_iter % 50 == 49
    assert fit(X, method=method, max_iter=100_000).n_iter_ == n_iter


def test_the_map_has_no_strays_and_whole_clusters():
    # Points from dense clusters are what a high momentum throws out of the map.
    X, labels = make_blobs(2000, n_features=20, centers=10, random_state=0)
    Y = TSNE(random_state=0, n_jobs=1).fit_transform(X)
    radius = np.linalg.norm(Y - Y.mean(axis=0), axis=1)
    assert radius.max() < 1.5 * np.percentile(radius, 99)
    assert knn_accuracy(Y, labels) == 1.0


def test_noise_is_arranged_at_leisure():
    # Rounding is amplified into 0.01 of divergence, so the mean of four is looked at: 2.307. That
    # is 2.36 without a gradual end of exaggeration, and in scikit-learn.
    divergences = []
    for seed in range(4):
        X = np.random.default_rng(seed).uniform(size=(1000, 20))
        divergences.append(TSNE(random_state=0, n_jobs=1).fit(X).kl_divergence_)
    assert np.mean(divergences) < 2.33


def test_pandas_output_has_names_and_keeps_the_index(X):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, index=np.arange(len(X)) + 1000)
    estimator = TSNE(**SHORT).set_output(transform="pandas")
    out = estimator.fit_transform(frame.rename(columns=str))
    assert list(out.columns) == ["tsne0", "tsne1"]
    assert list(out.index) == list(frame.index)
    assert_array_equal(out.to_numpy(), fit(X).embedding_)


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(TSNE(perplexity=5, degrees_of_freedom=2)) == (
        "TSNE(degrees_of_freedom=2, perplexity=5)"
    )


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_of_a_fitted_estimator_is_fitted(X, copied):
    original = fit(X)
    twin = copied(original)
    assert_same_bits(twin, original)
    assert twin.get_params() == original.get_params()
    assert_same_bits(twin.fit(X), original)


def test_a_pipeline_maps_what_its_steps_give(X):
    pipeline = make_pipeline(StandardScaler(), PCA(3, random_state=0), TSNE(**SHORT))
    scaled = StandardScaler().fit_transform(X)
    by_hand = PCA(3, random_state=0).fit_transform(scaled)
    assert_array_equal(pipeline.fit_transform(X), fit(by_hand).embedding_)


@both_methods
@both_inits
def test_the_seed_decides(X, method, init):
    one, again, other = (fit(X, method=method, init=init, random_state=seed) for seed in (7, 7, 8))
    assert_same_bits(one, again)
    assert np.allclose(one.embedding_, other.embedding_) == (init == "pca")


def test_a_generator_goes_on_where_it_was_and_the_global_one_is_left_alone(X):
    state = np.random.mtrand._rand.get_state
    before = state()[1].copy()
    generator = np.random.RandomState(3)
    first, second = (fit(X, init="random", random_state=generator) for _ in range(2))
    assert not np.allclose(first.embedding_, second.embedding_)
    assert_same_bits(first, fit(X, init="random", random_state=np.random.RandomState(3)))
    fit(X, init="random")
    assert_array_equal(state()[1], before)


# In the list of valid names, but gone from the libraries that compute them.
GONE_METRICS = {"matching", "wminkowski"}
BOOLEAN_METRICS = {"dice", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule"}


def data_for(metric):
    """Small data, and metric_params, that suit the metric."""
    X = np.random.default_rng(5).uniform(0.1, 1.0, size=(40, 2 if metric == "haversine" else 6))
    if metric in BOOLEAN_METRICS | {"hamming"}:
        X = (X > 0.5).astype(float)
    params = {
        "mahalanobis": {"VI": np.linalg.inv(np.cov(X.T))},
        "seuclidean": {"V": X.var(axis=0)},
    }
    return X, params.get(metric)


@both_methods
@pytest.mark.parametrize("metric", sorted(set(_VALID_METRICS) - GONE_METRICS))
@pytest.mark.filterwarnings("ignore:Data was converted to boolean")
def test_every_metric_gives_the_map_of_its_distances(metric, method):
    # At this perplexity every point is a neighbour, so ties play no part.
    X, metric_params = data_for(metric)
    distances = pairwise_distances(X, metric=metric, **metric_params or {})
    assert_maps_close(
        calm_map(X, method=method, metric=metric, metric_params=metric_params, perplexity=13),
        calm_map(distances, method=method, metric="precomputed", perplexity=13),
    )


def test_calm_maps_tell_metrics_apart():
    X, _ = data_for("euclidean")
    with pytest.raises(AssertionError):
        assert_maps_close(calm_map(X), calm_map(X, metric="chebyshev"))


@both_methods
def test_a_callable_metric_is_called(X, method):
    def chebyshev(a, b, factor):
        return factor * np.abs(a - b).max()

    assert_maps_close(
        calm_map(X, method=method, metric=chebyshev, metric_params={"factor": 2.0}),
        calm_map(2 * X, method=method, metric="chebyshev"),
    )


# At perplexity 10 a fit needs 31 neighbours; more do not matter. scikit-learn takes the first
# neighbour for the point itself and drops it, so a graph without the points loses one there.
GRAPHS = {
    **{
        f"{k} neighbours": lambda X, k=k: KNeighborsTransformer(n_neighbors=k).fit_transform(X)
        for k in (31, 50, 119)
    },
    "without the points": lambda X: (
        NearestNeighbors(n_neighbors=40).fit(X).kneighbors_graph(mode="distance")
    ),
    "rows of unequal length": lambda X: (
        NearestNeighbors(radius=25.0)
        .fit(X)
        .radius_neighbors_graph(X, mode="distance", sort_results=True)
    ),
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_neighbors_graph_gives_the_map_of_the_points(X, kind):
    graph = GRAPHS[kind](X)
    assert (np.ptp(np.diff(graph.indptr)) > 0) == (kind == "rows of unequal length")
    assert_maps_close(calm_map(graph, metric="precomputed"), calm_map(X))


SPARSE_FORMATS = [sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array]


@both_methods
@pytest.mark.parametrize("container", SPARSE_FORMATS)
def test_sparse_x_gives_the_map_of_dense_x(X, method, container):
    X = np.where(X > 0, X, 0.0)
    assert_maps_close(calm_map(container(X), method=method), calm_map(X, method=method))


@both_methods
def test_sparse_x_may_start_from_principal_components(digits, method):
    dense, compressed = (
        fit(form(digits[:300]), method=method, max_iter=500)
        for form in (np.asarray, sparse.csr_array)
    )
    recalls = [neighbor_recall(digits[:300], map_.embedding_) for map_ in (compressed, dense)]
    assert min(recalls) > 0.6
    assert recalls[0] == pytest.approx(recalls[1], abs=0.05)


def test_wide_sparse_x_is_never_made_dense():
    # 300 rows of a million columns would be 2.4 GB.
    rng = np.random.default_rng(0)
    rows, columns = np.repeat(np.arange(300), 100), rng.integers(10**6, size=30_000)
    X = sparse.csr_matrix((rng.uniform(size=30_000), (rows, columns)), shape=(300, 10**6))
    embedding = fit(X, metric="cosine", init="random").embedding_
    assert np.isfinite(embedding).all()


@pytest.mark.parametrize(
    ("method", "n_components", "expected"),
    [("barnes_hut", 1, 1), ("barnes_hut", 2, 1), ("barnes_hut", 3, 2), ("exact", 5, 4)],
)
def test_degrees_of_freedom_are_one_less_than_components_by_default(
    X, method, n_components, expected
):
    params = {"method": method, "n_components": n_components}
    assert_same_bits(fit(X, **params), fit(X, degrees_of_freedom=expected, **params))


@both_methods
@pytest.mark.parametrize("degrees_of_freedom", [0.5, 1, 2.0])
def test_the_descent_goes_down_its_own_divergence(X, method, degrees_of_freedom):
    """Small steps along the gradient of one nu lower its KL more than those of another nu do."""
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 40)
    params = {"method": method, "perplexity": 40, "angle": 0.2, "learning_rate": 20.0}
    divergence = {
        nu: reference.kl_divergence(
            P, calm_map(X, degrees_of_freedom=nu, **params), degrees_of_freedom
        )
        for nu in (0.25, degrees_of_freedom, 8.0)
    }
    assert min(divergence, key=divergence.get) == degrees_of_freedom


def templates(text):
    """The lines, with # for every number."""
    return {re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "#", line) for line in text.splitlines()}


@both_methods
@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("params", [{"max_iter": 300}, {"min_grad_norm": 1e30}], ids=str)
def test_verbose_speaks_scikit_learns_words(X, method, verbose, params, capsys):
    params = {"method": method, "verbose": verbose, "perplexity": 10, **params}
    fit_theirs(X, **params)
    # There is no index whose construction could be reported.
    expected = templates(capsys.readouterr().out) - {"[t-SNE] Indexed # samples in #s..."}
    assert len(expected) >= 3
    TSNE(**params).fit(X)
    assert templates(capsys.readouterr().out) == expected


@both_methods
def test_the_default_is_silent_and_the_last_line_tells_the_final_divergence(X, method, capfd):
    fit(X, method=method)
    assert capfd.readouterr() == ("", "")
    fitted = fit(X, method=method, verbose=1)
    last = capfd.readouterr().out.splitlines()[-1]
    assert last == f"[t-SNE] KL divergence after 300 iterations: {fitted.kl_divergence_:f}"


@both_methods
@both_inits
@pytest.mark.parametrize("offset", [1e6, -(2.0**40)])
def test_an_offset_that_loses_nothing_changes_no_bit(digits, method, init, offset):
    # Sums of 256 integers, and their means, are exact in float64.
    X = digits[:256]
    assert_same_bits(fit(X + offset, method=method, init=init), fit(X, method=method, init=init))


@both_methods
def test_an_offset_of_a_million_loses_nothing_that_matters(X, method):
    X = X / 10
    assert_maps_close(calm_map(X + 1e6, method=method), calm_map(X, method=method))


@both_methods
@pytest.mark.parametrize("power", [-1000, -500, -100, -40, 40, 100, 400])
def test_the_unit_of_x_does_not_matter(X, method, power):
    # Powers of two round nothing; what remains is overflow and underflow.
    assert_maps_close(calm_map(np.ldexp(X, power), method=method), calm_map(X, method=method))
