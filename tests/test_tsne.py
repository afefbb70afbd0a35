"""fasttsne.TSNE: the contract of scikit-learn's, and what goes beyond it."""

import copy
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import reference
import sklearn.manifold
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs, make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import _VALID_METRICS, pairwise_distances
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from fasttsne import TSNE
from fasttsne.initialization import initial_embedding
from fasttsne.quality import knn_accuracy, neighbor_recall

both_methods = pytest.mark.parametrize("method", ["barnes_hut", "exact"])
both_inits = pytest.mark.parametrize("init", ["pca", "random"])
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc"
)
needs_sigint = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")


@pytest.fixture(scope="module")
def X():
    """Four clusters: 120 x 5, float64, without ties."""
    return make_blobs(120, n_features=5, centers=4, random_state=0)[0]


SHORT = {"perplexity": 10, "max_iter": 300, "random_state": 0, "n_jobs": 1}


def fit(X, **params):
    """A short fit with a seed, on one thread unless threads matter."""
    return TSNE(**{**SHORT, **params}).fit(X)


def fit_theirs(X, **params):
    """scikit-learn's fit, on one thread: several would wait for each other, busily."""
    with threadpool_limits(1):
        return sklearn.manifold.TSNE(**params).fit(X)


def assert_same_bits(a, b):
    """The same map and the same KL divergence, to the last bit."""
    assert_array_equal(a.embedding_.view(np.uint32), b.embedding_.view(np.uint32))
    assert a.kl_divergence_ == b.kl_divergence_


def calm_map(X, n_components=2, **params):
    """The map after a descent too calm to blow up differences of rounding.

    The usual one amplifies them beyond any tolerance, so that maps of inputs which agree to
    rounding can only be compared by quality. This one starts from a given, wide map, has no
    exaggeration and takes small steps.
    """
    init = np.random.default_rng(0).normal(size=(X.shape[0], n_components))
    calm = {"early_exaggeration": 1.0, "learning_rate": 2.0, "max_iter": 250, "init": init}
    return fit(X, **{**calm, "n_components": n_components, **params}).embedding_


def assert_maps_close(a, b):
    """As close as rounding of the input leaves calm maps: see test_calm_maps_tell_..."""
    assert_allclose(a, b, rtol=0, atol=1e-3 * np.ptp(b))


def joint(X, perplexity):
    """P of the k nearest neighbours, by the reference."""
    k = min(len(X) - 1, int(3 * perplexity + 1))
    indices, squared = reference.nearest_neighbors(X, k)
    return reference.joint_probabilities(
        indices, reference.conditional_probabilities(squared, perplexity)[0]
    )


def run_python(code, *, timeout=120, **environment):
    """What `code` prints in a fresh interpreter, which, if it hangs, dies with all it forked."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode == 0, err
    return out


# Attributes --------------------------------------------------------------------------


@both_methods
def test_fit_returns_the_estimator(X, method):
    estimator = TSNE(method=method, max_iter=250)
    assert estimator.fit(X) is estimator


@both_methods
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_map_is_float32_whatever_the_input(X, method, dtype):
    assert fit(X.astype(dtype), method=method).embedding_.dtype == np.float32


@both_methods
def test_the_map_is_a_plain_writable_array_of_its_own(X, method):
    embedding = fit(X, method=method).embedding_
    assert type(embedding) is np.ndarray
    assert embedding.flags.c_contiguous and embedding.flags.writeable


@both_methods
def test_fit_transform_returns_the_map_that_fit_stores(X, method):
    estimator = TSNE(**SHORT, method=method)
    returned = estimator.fit_transform(X)
    assert_array_equal(returned, estimator.embedding_)
    assert_array_equal(returned, fit(X, method=method).embedding_)


@both_methods
def test_y_is_ignored(X, method):
    estimator = TSNE(**SHORT, method=method)
    assert_same_bits(estimator.fit(X, np.arange(len(X))), fit(X, method=method))


def test_n_features_in_is_the_number_of_columns(X):
    assert fit(X).n_features_in_ == 5


def test_feature_names_in_are_those_of_the_data_frame(X):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    assert list(fit(frame).feature_names_in_) == list("abcde")


def test_an_array_has_no_feature_names(X):
    assert not hasattr(fit(X), "feature_names_in_")


def test_a_second_fit_forgets_the_first(X):
    pandas = pytest.importorskip("pandas")
    estimator = fit(pandas.DataFrame(X, columns=list("abcde")))
    estimator.fit(X[:60, :3])
    assert estimator.embedding_.shape == (60, 2)
    assert estimator.n_features_in_ == 3
    assert not hasattr(estimator, "feature_names_in_")


def test_automatic_learning_rate_is_the_number_of_samples(X):
    assert fit(X).learning_rate_ == len(X)
    assert fit(X, early_exaggeration=1.0).learning_rate_ == len(X)


def test_given_learning_rate_is_used_as_is(X):
    estimator = fit(X, learning_rate=123.5)
    assert estimator.learning_rate_ == 123.5
    settings = [at for phase in estimator._phases() for at in (phase.first, phase.last)]
    assert {at.learning_rate for at in settings} == {123.5}


@both_methods
@pytest.mark.parametrize("max_iter", [251, 333, 500])
def test_a_given_learning_rate_stops_where_scikit_learns_does(X, method, max_iter):
    params = {"perplexity": 10, "init": "random", "random_state": 0, "method": method}
    params |= {"max_iter": max_iter, "learning_rate": 1.0}
    theirs = fit_theirs(X, **params)
    assert TSNE(**params).fit(X).n_iter_ == theirs.n_iter_ == max_iter - 1


@both_methods
@pytest.mark.parametrize(
    ("params", "last"),
    [
        ({"min_grad_norm": 1e30}, 199),  # the first look
        ({"n_iter_without_progress": 0, "learning_rate": 1e-12}, 249),
        ({"n_iter_without_progress": 120, "learning_rate": 1e-12}, 349),
    ],
    ids=str,
)
def test_rules_count_from_the_end_of_early_exaggeration(X, method, params, last):
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


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_is_arranged_at_leisure(seed):
    # Without a gradual end of exaggeration, and in scikit-learn, it comes to 2.35 or more.
    X = np.random.default_rng(seed).uniform(size=(1000, 20))
    assert TSNE(random_state=0, n_jobs=1).fit(X).kl_divergence_ < 2.32


@both_methods
def test_250_iterations_have_an_end_and_a_divergence(X, method):
    # scikit-learn reports an n_iter_ of 250 and the largest float as KL.
    estimator = fit(X, method=method, max_iter=250)
    assert estimator.n_iter_ == 249
    assert 0 < estimator.kl_divergence_ < 5


def test_feature_names_out_are_numbered_by_component(X):
    names = fit(X, n_components=3).get_feature_names_out()
    assert list(names) == ["tsne0", "tsne1", "tsne2"]


def test_feature_names_out_need_a_fit():
    with pytest.raises((NotFittedError, AttributeError)):
        TSNE().get_feature_names_out()


def test_pandas_output_has_names_and_keeps_the_index(X):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, index=np.arange(len(X)) + 1000)
    estimator = TSNE(**SHORT).set_output(transform="pandas")
    out = estimator.fit_transform(frame.rename(columns=str))
    assert list(out.columns) == ["tsne0", "tsne1"]
    assert list(out.index) == list(frame.index)
    assert_array_equal(out.to_numpy(), fit(X).embedding_)


def test_polars_output_has_names(X):
    polars = pytest.importorskip("polars")
    estimator = TSNE(**SHORT).set_output(transform="polars")
    out = estimator.fit_transform(X)
    assert isinstance(out, polars.DataFrame)
    assert out.columns == ["tsne0", "tsne1"]
    assert_array_equal(out.to_numpy(), fit(X).embedding_)


# A citizen of scikit-learn -----------------------------------------------------------


def test_clone_keeps_the_parameters_and_drops_the_fit(X):
    twin = clone(fit(X, degrees_of_freedom=0.5))
    assert (twin.perplexity, twin.degrees_of_freedom) == (10, 0.5)
    assert not hasattr(twin, "embedding_")


def test_fit_leaves_the_parameters_as_they_were(X):
    init = np.random.default_rng(0).normal(size=(len(X), 2))
    estimator = TSNE(init=init, learning_rate="auto", metric_params=None, max_iter=250)
    before = estimator.get_params()
    estimator.fit(X)
    after = estimator.get_params()
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before)


def test_set_params_takes_effect(X):
    estimator = fit(X).set_params(n_components=1)
    assert estimator.fit(X).embedding_.shape == (120, 1)


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


# Randomness --------------------------------------------------------------------------


@both_methods
@both_inits
def test_the_same_seed_gives_the_same_bits(X, method, init):
    assert_same_bits(*(fit(X, method=method, init=init, random_state=7) for _ in range(2)))


@both_methods
def test_another_seed_gives_another_map(X, method):
    a, b = (fit(X, method=method, init="random", random_state=seed) for seed in (1, 2))
    assert not np.allclose(a.embedding_, b.embedding_)


def test_a_generator_goes_on_where_it_was(X):
    generator = np.random.RandomState(3)
    first, second = (fit(X, init="random", random_state=generator) for _ in range(2))
    assert not np.allclose(first.embedding_, second.embedding_)
    assert_same_bits(first, fit(X, init="random", random_state=np.random.RandomState(3)))


def test_a_seeded_fit_leaves_the_global_generator_alone(X):
    state = np.random.mtrand._rand.get_state
    before = state()[1].copy()
    fit(X, init="random")
    assert_array_equal(state()[1], before)


# Metrics and precomputed distances ---------------------------------------------------

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
def test_metric_params_reach_the_metric(X, method):
    assert_maps_close(
        calm_map(X, method=method, metric="seuclidean", metric_params={"V": X.var(axis=0)}),
        calm_map(X / X.std(axis=0), method=method),
    )


@both_methods
def test_a_callable_metric_is_called(X, method):
    def chebyshev(a, b, factor):
        return factor * np.abs(a - b).max()

    assert_maps_close(
        calm_map(X, method=method, metric=chebyshev, metric_params={"factor": 2.0}),
        calm_map(2 * X, method=method, metric="chebyshev"),
    )


@both_methods
def test_precomputed_distances_give_the_map_of_the_points(X, method):
    distances = pairwise_distances(X)
    assert_maps_close(
        calm_map(distances, method=method, metric="precomputed"), calm_map(X, method=method)
    )


@pytest.mark.parametrize("n_neighbors", [31, 50, 119])
def test_a_neighbors_graph_gives_the_map_of_the_points(X, n_neighbors):
    # At perplexity 10 a fit needs 31 neighbours; more do not matter.
    graph = KNeighborsTransformer(n_neighbors=n_neighbors).fit_transform(X)
    assert_maps_close(calm_map(graph, metric="precomputed"), calm_map(X))


def test_a_graph_need_not_hold_the_points_themselves(X):
    # scikit-learn takes the first neighbour for the point itself, and drops it.
    graph = NearestNeighbors(n_neighbors=40).fit(X).kneighbors_graph(mode="distance")
    assert not graph.diagonal().any() and graph.nnz == 40 * len(X)
    assert_maps_close(calm_map(graph, metric="precomputed"), calm_map(X))


def test_a_radius_graph_gives_the_map_of_the_points(X):
    # Rows of unequal length.
    nearest = NearestNeighbors(radius=25.0).fit(X)
    graph = nearest.radius_neighbors_graph(X, mode="distance", sort_results=True)
    assert np.ptp(np.diff(graph.indptr)) > 0
    assert_maps_close(calm_map(graph, metric="precomputed"), calm_map(X))


def test_a_neighbors_transformer_feeds_a_pipeline(X):
    pipeline = make_pipeline(
        KNeighborsTransformer(n_neighbors=31),
        TSNE(perplexity=10, metric="precomputed", init="random", random_state=0),
    )
    embedding = pipeline.fit_transform(X)
    assert trustworthiness(X, embedding) > 0.95


# Sparse X ----------------------------------------------------------------------------

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


# Quality -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", [1, 2, 3])
@both_methods
def test_kl_divergence_is_that_of_the_map(X, method, n_components):
    # 13 or more: all points are neighbours, and both methods have the same P.
    fitted = fit(X, method=method, n_components=n_components, max_iter=1000, perplexity=40)
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 40)
    expected = reference.kl_divergence(P, fitted.embedding_, max(n_components - 1, 1))
    tolerance = {"barnes_hut": 2e-2, "exact": 1e-3}[method]
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=tolerance)


def test_kl_divergence_of_a_sparse_p_is_that_of_the_map(digits):
    fitted = fit(digits[:400], max_iter=1000)
    expected = reference.kl_divergence(joint(digits[:400], 10), fitted.embedding_, 1.0)
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("angle", [0.2, 0.8])
def test_a_smaller_angle_brings_the_divergence_nearer(digits, angle):
    tolerance = {0.2: 2e-3, 0.8: 5e-2}[angle]
    fitted = fit(digits[:400], max_iter=500, angle=angle)
    expected = reference.kl_divergence(joint(digits[:400], 10), fitted.embedding_, 1.0)
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("n_components", [1, 2, 3, 4, 5])
def test_the_exact_method_maps_to_any_number_of_components(X, n_components):
    fitted = fit(X, method="exact", n_components=n_components, max_iter=500)
    assert fitted.embedding_.shape == (len(X), n_components)
    assert trustworthiness(X, fitted.embedding_) > (0.9 if n_components == 1 else 0.95)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_barnes_hut_maps_to_up_to_three_components(X, n_components):
    fitted = fit(X, n_components=n_components, max_iter=500)
    assert fitted.embedding_.shape == (len(X), n_components)
    assert trustworthiness(X, fitted.embedding_) > (0.9 if n_components == 1 else 0.95)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_barnes_hut_at_angle_zero_is_the_exact_method(X, n_components):
    params = {"n_components": n_components, "perplexity": 40}
    assert_maps_close(calm_map(X, angle=0.0, **params), calm_map(X, method="exact", **params))


def sample(name, digits, seed, n=200):
    if name == "digits":
        return digits[n * seed : n * (seed + 1)]
    if name == "blobs":
        return make_blobs(n, n_features=10, centers=6, random_state=seed)[0]
    if name == "Swiss roll":
        return make_swiss_roll(n, random_state=seed)[0]
    assert name == "uniform noise"
    return np.random.default_rng(seed).uniform(size=(n, 10))


def recall(X, embedding, k=10):
    """The fraction of the k nearest neighbours in X that are among the k nearest in the map."""
    there, here = (
        NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
        for points in (X, embedding)
    )
    return np.mean([np.isin(a, b).mean() for a, b in zip(there, here, strict=True)])


@pytest.fixture(scope="module", params=["digits", "blobs", "Swiss roll", "uniform noise"])
def rivals(request, digits):
    """Four samples, each with our map of it and scikit-learn's, by all defaults."""
    samples = [sample(request.param, digits, seed) for seed in range(4)]
    return [
        (
            X,
            TSNE(random_state=0, n_jobs=1).fit(X).embedding_,
            fit_theirs(X, random_state=0).embedding_,
        )
        for X in samples
    ]


def worse_beyond_chance(scores):
    """How much the first of two scores exceeds the second, less two standard errors of that.

    Small data have many minima that are nearly as good: between two maps KL differs by 3 %.
    """
    excess = np.subtract(*np.transpose(scores))
    return excess.mean() - 2 * excess.std(ddof=1) / np.sqrt(len(excess))


@pytest.mark.slow
def test_our_divergence_is_no_worse_than_scikit_learns(rivals):
    scores = np.log(
        [
            [reference.kl_divergence(joint(X, 30), embedding, 1.0) for embedding in maps]
            for X, *maps in rivals
        ]
    )
    assert worse_beyond_chance(scores) <= 0.01


@pytest.mark.slow
def test_our_recall_is_no_worse_than_scikit_learns(rivals):
    scores = [[-recall(X, embedding) for embedding in maps] for X, *maps in rivals]
    assert worse_beyond_chance(scores) <= 0.005


# Degrees of freedom ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "n_components", "expected"),
    [("barnes_hut", 1, 1), ("barnes_hut", 2, 1), ("barnes_hut", 3, 2), ("exact", 5, 4)],
)
def test_auto_degrees_of_freedom_are_one_less_than_components(X, method, n_components, expected):
    params = {"method": method, "n_components": n_components}
    assert_same_bits(fit(X, **params), fit(X, degrees_of_freedom=expected, **params))


@both_methods
@pytest.mark.parametrize("degrees_of_freedom", [0.5, 1, 2.0, 5.5])
def test_kl_divergence_is_that_of_the_degrees_of_freedom(X, method, degrees_of_freedom):
    fitted = fit(
        X, method=method, degrees_of_freedom=degrees_of_freedom, perplexity=40, max_iter=1000
    )
    P = reference.joint_probabilities_dense(reference.squared_distances(X), 40)
    expected = reference.kl_divergence(P, fitted.embedding_, degrees_of_freedom)
    tolerance = {"barnes_hut": 2e-2, "exact": 1e-3}[method]
    assert fitted.kl_divergence_ == pytest.approx(expected, rel=tolerance)


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


@both_methods
def test_heavier_tails_set_clusters_further_apart(digits, method):
    X, labels = digits[:300], load_digits().target[:300]
    heavy, medium, light = (
        silhouette_score(
            fit(X, method=method, degrees_of_freedom=nu, max_iter=500).embedding_, labels
        )
        for nu in (1.0, 2.0, 5.0)
    )
    assert heavy > medium > light


@pytest.mark.parametrize("value", [0, -1, 0.0, np.inf, np.nan, "none", None, [1.0]])
def test_degrees_of_freedom_must_be_positive(X, value):
    with pytest.raises(InvalidParameterError, match="degrees_of_freedom"):
        fit(X, degrees_of_freedom=value)


# Verbosity ---------------------------------------------------------------------------


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
def test_the_default_is_silent(X, method, capfd):
    fit(X, method=method)
    assert capfd.readouterr() == ("", "")


def test_the_last_line_tells_the_final_divergence(X, capsys):
    fitted = fit(X, verbose=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"[t-SNE] KL divergence after 300 iterations: {fitted.kl_divergence_:f}"


# The same bits, however many threads -------------------------------------------------

CASES = {
    "barnes_hut": {},
    "barnes_hut-1": {"n_components": 1},
    "barnes_hut-3": {"n_components": 3},
    "random": {"init": "random"},
    "float32": {"dtype": np.float32},
    "cosine": {"metric": "cosine"},
    "cosine of many": {"metric": "cosine", "n": 2100},
    "manhattan": {"metric": "manhattan"},
    "chebyshev": {"metric": "chebyshev"},
    "sparse": {"form": sparse.csr_array},
    "sparse manhattan": {"form": sparse.csr_array, "metric": "manhattan"},
    "exact": {"method": "exact", "n": 500},
    "exact-4": {"method": "exact", "n_components": 4, "n": 200},
    "exact manhattan": {"method": "exact", "metric": "manhattan", "n": 300},
    "exact manhattan float32": {
        "method": "exact",
        "metric": "manhattan",
        "n": 300,
        "dtype": np.float32,
        "form": lambda X: X / 7,
    },
    "exact cosine": {"method": "exact", "metric": "cosine", "n": 500},
}


@pytest.mark.parametrize("case", CASES)
def test_the_number_of_threads_changes_no_bit(digits, case):
    # Digits are integers: distances are tied, and which neighbours win must not depend on chance.
    params = {"n": 1000, "form": np.asarray, "dtype": np.float64, **CASES[case]}
    X = np.tile(digits, (2, 1))[: params.pop("n")].astype(params.pop("dtype"))
    X = params.pop("form")(X)
    alone = fit(X, n_jobs=1, **params)
    for n_jobs in (2, 3, 8, None):
        assert_same_bits(fit(X, n_jobs=n_jobs, **params), alone)


def test_threads_do_not_share_the_metric():
    # scikit-learn's Mahalanobis distance has one buffer for all threads of a ball tree.
    X = np.random.default_rng(0).normal(size=(300, 10))
    params = {"metric": "mahalanobis", "metric_params": {"V": np.cov(X.T)}, "perplexity": 40}
    alone = fit(X, n_jobs=1, **params)
    for _ in range(10):
        assert_same_bits(fit(X, n_jobs=2, **params), alone)


@both_methods
def test_the_threads_of_blas_change_no_bit(digits, method):
    X = digits[:700]
    alone = fit(X, method=method)
    for limit in (1, 4, None):
        with threadpool_limits(limit):
            assert_same_bits(fit(X, method=method, n_jobs=None), alone)


def test_joblibs_context_changes_no_bit(digits):
    X = digits[:700]
    with joblib.parallel_config("threading", n_jobs=3):
        assert_same_bits(fit(X, n_jobs=None), fit(X, n_jobs=1))


DIGEST = """
import hashlib, json, sys
from sklearn.datasets import load_digits
from fasttsne import TSNE

def digest(estimator):
    map = hashlib.sha256(estimator.embedding_.tobytes()).hexdigest()
    return [map, float(estimator.kl_divergence_).hex()]

X = load_digits().data[:500]
estimators = [
    TSNE(perplexity=10, max_iter=300, random_state=0, method=method, n_jobs=n_jobs)
    for method in ("barnes_hut", "exact")
    for n_jobs in (None, -1, 8)
]
"""


@pytest.fixture(scope="module")
def digests():
    """What DIGEST has to print, computed in this process."""
    namespace = {}
    exec(DIGEST, namespace)
    return [namespace["digest"](e.fit(namespace["X"])) for e in namespace["estimators"]]


@pytest.mark.parametrize("threads", ["1", "3", "8"])
def test_another_process_with_other_threads_finds_the_same_bits(digests, threads):
    out = run_python(
        DIGEST + "print(json.dumps([digest(e.fit(X)) for e in estimators]))",
        OMP_NUM_THREADS=threads,
        OPENBLAS_NUM_THREADS=threads,
    )
    assert json.loads(out) == digests


def test_fits_in_several_python_threads_do_not_meet(digits):
    jobs = [
        (digits[start : start + 300], method)
        for start in range(0, 1500, 300)
        for method in ("barnes_hut", "exact")
    ]
    expected = [fit(X, method=method) for X, method in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        found = pool.map(lambda job: fit(job[0], method=job[1], n_jobs=None), jobs)
    for a, b in zip(found, expected, strict=True):
        assert_same_bits(a, b)


@pytest.mark.nosan
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_joblib_workers_find_the_same_bits(X, backend):
    estimator = TSNE(**{**SHORT, "n_jobs": None})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = joblib.Parallel(n_jobs=2, backend=backend)(
            joblib.delayed(estimator.fit)(X) for _ in range(3)
        )
    for each in fitted:
        assert_same_bits(each, fit(X))


@needs_fork
@pytest.mark.nosan
@pytest.mark.parametrize("method", ["barnes_hut", "exact"])
def test_a_forked_child_can_fit_after_its_parent_did(method):
    # libgomp, left to itself, hangs in the child.
    code = f"""
import os, warnings
warnings.simplefilter("ignore")
X = X[:300]
estimator = TSNE(perplexity=10, max_iter=300, random_state=0, method={method!r}, n_jobs=2)
here = digest(estimator.fit(X))
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, json.dumps(digest(estimator.fit(X))).encode())
    os._exit(0)
os.close(writer)
there = json.loads(os.fdopen(reader).read())
os.waitpid(child, 0)
assert there == here, (there, here)
assert digest(estimator.fit(X)) == here
print("done")
"""
    assert run_python(DIGEST + code, timeout=60, OMP_NUM_THREADS="2") == "done\n"


@needs_fork
@pytest.mark.nosan
def test_a_forked_pool_can_fit_after_its_parent_did():
    code = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
X = X[:300]
here = [digest(e.fit(X)) for e in estimators]

def work(estimator):
    return digest(estimator.fit(X))

with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, estimators) == here
print("done")
"""
    assert run_python(DIGEST + code, timeout=60, OMP_NUM_THREADS="2") == "done\n"


# Common offsets ----------------------------------------------------------------------


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


def test_an_offset_leaves_principal_components_as_they_were(X):
    shifted, centred = (
        initial_embedding(points, "pca", 2, np.random.RandomState(0)) for points in (X + 1e6, X)
    )
    assert_allclose(shifted, centred, rtol=0, atol=1e-8)


@both_methods
@pytest.mark.parametrize("power", [-1000, -500, -100, -40, 40, 100, 400])
def test_the_unit_of_x_does_not_matter(X, method, power):
    # Powers of two round nothing; what remains is overflow and underflow.
    assert_maps_close(calm_map(np.ldexp(X, power), method=method), calm_map(X, method=method))


# What a fit leaves alone -------------------------------------------------------------


@both_methods
@both_inits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_x_is_not_modified(X, method, init, dtype, metric):
    X = X.astype(dtype)
    before = X.copy()
    fit(X, method=method, init=init, metric=metric)
    assert_array_equal(X, before)


@both_methods
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precomputed_distances_are_not_modified(X, method, dtype):
    # scikit-learn squares them in place.
    distances = pairwise_distances(X).astype(dtype)
    before = distances.copy()
    fit(distances, method=method, metric="precomputed", init="random")
    assert_array_equal(distances, before)


@pytest.mark.parametrize("params", [{}, {"metric": "precomputed", "init": "random"}], ids=str)
@pytest.mark.filterwarnings("ignore:Precomputed sparse input was not sorted")
def test_a_sparse_matrix_is_not_modified(X, params):
    graph = KNeighborsTransformer(n_neighbors=40).fit_transform(X)
    for row in range(len(X)):  # unsorted, so that there is something to sort
        part = slice(*graph.indptr[row : row + 2])
        graph.indices[part] = graph.indices[part][::-1].copy()
        graph.data[part] = graph.data[part][::-1].copy()
    parts = (graph.data, graph.indices, graph.indptr)
    before = [part.copy() for part in parts]
    fit(graph, **params)
    for part, copied in zip(parts, before, strict=True):
        assert_array_equal(part, copied)


@both_methods
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_init_array_is_not_modified(X, method, dtype):
    init = np.random.default_rng(0).normal(size=(len(X), 2)).astype(dtype)
    before = init.copy()
    fit(X, method=method, init=init)
    assert_array_equal(init, before)


@needs_proc
@pytest.mark.nosan
@pytest.mark.parametrize("method", ["barnes_hut", "exact"])
def test_ten_fits_do_not_grow_memory(method):
    code = f"""
import os
from sklearn.datasets import load_digits
from fasttsne import TSNE

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

X = load_digits().data[:600]
sizes = []
for _ in range(15):
    TSNE(max_iter=250, random_state=0, method={method!r}).fit(X)
    sizes.append(resident())
print(sizes[-1] - sizes[4])
"""
    # One leaked P or list of neighbours is more than half a million bytes at each of ten fits.
    # What is freed goes back to the system at once, lest memory that glibc keeps for later,
    # several million bytes in some runs, look like a leak.
    at_once = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), "65536")
    assert int(run_python(code, MALLOC_ARENA_MAX="1", **at_once)) < 3e6


# Ctrl-C ------------------------------------------------------------------------------

# With a given learning rate no convergence ends the descent.
FOREVER = "max_iter=10**9, min_grad_norm=0, learning_rate=3000.0, n_iter_without_progress=10**9"

ENDLESS = """
import numpy as np
from fasttsne import TSNE

def points(n, d):
    return np.random.default_rng(0).normal(size=(n, d))

try:
    TSNE({params}, init="random", verbose=2).fit(points{shape})
except KeyboardInterrupt:
    print("interrupted")
TSNE(perplexity=5, max_iter=250).fit(points(50, 3))
print("fitted again")
"""


@needs_sigint
@pytest.mark.nosan
@pytest.mark.parametrize(
    ("params", "shape", "cue", "too_late"),
    [
        # 640 billion multiplications on one thread.
        ("n_jobs=1", (40_000, 200), "nearest neighbors...", "Computed neighbors"),
        (FOREVER, (3000, 3), "Iteration 200:", "Finished"),
        (f"{FOREVER}, angle=0.0", (3000, 3), "Iteration 200:", "Finished"),
        (f"{FOREVER}, method='exact'", (3000, 3), "Iteration 200:", "Finished"),
    ],
    ids=["neighbors", "barnes_hut", "angle 0", "exact"],
)
def test_ctrl_c_ends_a_fit(params, shape, cue, too_late):
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", ENDLESS.format(params=params, shape=shape)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        for line in process.stdout:
            if cue in line:
                break
        time.sleep(0.3)  # well into the stage that was announced
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("interrupted"):
                break
        waited = time.monotonic() - sent
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert lines[-1] == "interrupted"
    assert not any(too_late in line for line in lines)
    assert "fitted again" in rest
    assert waited < 2.0
