"""NeighborsTransformer, beside scikit-learn's KNeighborsTransformer and in what takes one."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.manifold import Isomap
from sklearn.metrics import adjusted_rand_score, pairwise_distances
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fasttsne import TSNE, ContrastiveTSNE
from fasttsne.neighbors import NeighborsTransformer, nearest_neighbors

K = 7

estimator_checks = parametrize_with_checks(
    [
        NeighborsTransformer(),
        NeighborsTransformer(mode="connectivity", metric="cosine"),
        NeighborsTransformer(method="approximate"),
        NeighborsTransformer(metric="precomputed"),
    ]
)
names, cases = estimator_checks.args


# A list, because scikit-learn 1.6 gives a generator, which pytest 9 warns of.
@pytest.mark.parametrize(names, list(cases), **estimator_checks.kwargs)
def test_estimator_check(estimator, check):
    check(estimator)


@pytest.fixture
def X():
    return make_blobs(200, n_features=6, centers=4, random_state=0)[0]


@pytest.fixture
def new():
    return make_blobs(30, n_features=6, centers=4, random_state=1)[0]


def parts(graph, n_entries):
    """The columns and values of a graph in the order stored, one row each."""
    assert graph.format == "csr"
    assert_array_equal(np.diff(graph.indptr), n_entries)
    shape = graph.shape[0], n_entries
    return graph.indices.reshape(shape), graph.data.reshape(shape)


def assert_same_graph(graph, expected, rtol=1e-6):
    assert graph.shape == expected.shape
    assert graph.dtype == expected.dtype
    n_entries = expected.nnz // expected.shape[0]
    for ours, theirs, atol in zip(
        parts(graph, n_entries), parts(expected, n_entries), (0, 1e-6), strict=True
    ):
        assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize("n_neighbors", [1, K, 199])
def test_the_graph_is_that_of_scikit_learn(X, new, mode, n_neighbors):
    params = {"n_neighbors": n_neighbors, "mode": mode}
    ours, theirs = NeighborsTransformer(**params), KNeighborsTransformer(**params)
    assert_same_graph(ours.fit_transform(X), theirs.fit_transform(X))
    assert_same_graph(ours.transform(X), theirs.transform(X))
    assert_same_graph(ours.transform(new), theirs.transform(new))
    assert_array_equal(
        ours.get_feature_names_out()[:2], ["neighborstransformer0", "neighborstransformer1"]
    )
    assert len(ours.get_feature_names_out()) == ours.n_samples_fit_ == 200


@pytest.mark.parametrize(
    "metric, metric_params",
    [
        ("cosine", None),
        ("manhattan", None),
        ("minkowski", {"p": 3}),
        ("seuclidean", None),
        (lambda a, b: abs(a - b).max(), None),
    ],
    ids=["cosine", "manhattan", "minkowski", "seuclidean", "callable"],
)
def test_metrics(X, new, metric, metric_params):
    ours = NeighborsTransformer(n_neighbors=K, metric=metric, metric_params=metric_params)
    params = dict(metric_params or {})
    if metric == "seuclidean":
        params = {"V": np.var(X, axis=0, ddof=1)}
    p = params.pop("p", 2)
    theirs = KNeighborsTransformer(n_neighbors=K, metric=metric, p=p, metric_params=params or None)
    assert_same_graph(ours.fit_transform(X), theirs.fit_transform(X))
    assert_same_graph(ours.transform(new), theirs.transform(new))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_distances_as_input(X, new, form):
    D = np.linalg.norm(X[:, None] - X, axis=2)
    D_new = np.linalg.norm(new[:, None] - X, axis=2)
    ours = NeighborsTransformer(n_neighbors=K, metric="precomputed")
    expected = KNeighborsTransformer(n_neighbors=K).fit(X)
    # Sparse distances leave out the diagonal, which is 0.
    assert_same_graph(ours.fit_transform(form(D)), expected.transform(X))
    assert_same_graph(ours.transform(form(D_new)), expected.transform(new))


def test_sparse_samples(X, new):
    ours = NeighborsTransformer(n_neighbors=K)
    expected = KNeighborsTransformer(n_neighbors=K).fit(X)
    assert_same_graph(ours.fit_transform(sparse.csr_matrix(X)), expected.transform(X))
    assert_same_graph(ours.transform(sparse.csr_matrix(new)), expected.transform(new))


def test_kneighbors_is_that_of_scikit_learn(X, new):
    ours = NeighborsTransformer(n_neighbors=K).fit(X)
    theirs = KNeighborsTransformer(n_neighbors=K).fit(X)
    for arguments in ((), (new,), (new, 3), (None, 199)):
        for found, expected in zip(
            ours.kneighbors(*arguments), theirs.kneighbors(*arguments), strict=True
        ):
            assert_allclose(found, expected, rtol=1e-6)
        for mode in ("connectivity", "distance"):
            graphs = (knn.kneighbors_graph(*arguments, mode=mode) for knn in (ours, theirs))
            if len(arguments) < 2:
                assert_same_graph(*graphs)
    assert_array_equal(ours.kneighbors(new, return_distance=False), ours.kneighbors(new)[1])


def test_a_row_begins_with_its_sample_where_many_coincide(X):
    X = np.vstack([np.repeat(X[:3], 20, axis=0), X])
    indices, distances = parts(NeighborsTransformer(n_neighbors=K).fit_transform(X), K + 1)
    assert_array_equal(indices[:, 0], np.arange(len(X)))
    assert all(len(set(row)) == K + 1 for row in indices)
    assert not distances[:60].any()


@pytest.mark.parametrize("scale", [2.0**600, 2.0**-600])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances_of_values_too_large_to_square(X, new, scale, metric):
    plain = NeighborsTransformer(n_neighbors=K, metric=metric)
    scaled = clone(plain)
    factor = scale if metric == "euclidean" else 1.0
    expected = plain.fit_transform(X), plain.transform(new)
    for graph, usual in zip(
        (scaled.fit_transform(scale * X), scaled.transform(scale * new)), expected, strict=True
    ):
        assert_array_equal(graph.indices, usual.indices)
        assert_allclose(graph.data, factor * usual.data, rtol=1e-12)


@pytest.fixture(scope="module")
def many():
    X = make_blobs(6000, n_features=12, centers=5, random_state=0)[0]
    return X[:5000], X[5000:]


def test_the_approximate_search_finds_nearly_all(many):
    X, new = many
    ours = NeighborsTransformer(n_neighbors=15, method="approximate")
    theirs = KNeighborsTransformer(n_neighbors=15).fit(X)
    for graph, expected in (
        (ours.fit_transform(X), theirs.transform(X)),
        (ours.transform(new), theirs.transform(new)),
    ):
        indices, distances = parts(graph, 16)
        both = (indices, parts(expected, 16)[0])
        hits = sum(len(np.intersect1d(*rows)) for rows in zip(*both, strict=True))
        assert hits > 0.98 * expected.nnz
        assert (np.diff(distances, axis=1) >= 0).all()
        row = np.linalg.norm((X if graph.shape[0] == 5000 else new)[7] - X[indices[7]], axis=1)
        assert_allclose(distances[7], row, rtol=1e-12)


def test_threads_and_the_batch_change_no_bit(many):
    X, new = many
    alone, others = (
        NeighborsTransformer(n_neighbors=15, method="approximate", n_jobs=n) for n in (1, 3)
    )
    for first, second in (
        (alone.fit_transform(X), others.fit_transform(X)),
        (alone.transform(new), others.transform(new)),
        (alone.transform(new)[5:6], alone.transform(new[5:6])),
        (alone.transform(new), pickle.loads(pickle.dumps(alone)).transform(new)),
    ):
        assert_array_equal(first.indices, second.indices)
        assert_array_equal(first.data, second.data)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_neighbors": 0}, "'n_neighbors'"),
        ({"n_neighbors": 200}, "n_neighbors=200 must be at least 1 and less than n_samples=200"),
        ({"mode": "weights"}, "'mode'"),
        ({"method": "fast"}, "'method'"),
        ({"metric": "cosines"}, "'metric'"),
        ({"metric": "manhattan", "method": "approximate"}, "approximate"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_parameters(X, params, message):
    with pytest.raises(ValueError, match=message):
        NeighborsTransformer(**params).fit_transform(X)


def test_negative_distances_are_refused(X):
    distances = pairwise_distances(X)
    known = NeighborsTransformer(metric="precomputed").fit(distances)
    with pytest.raises(ValueError, match=r"passed to NeighborsTransformer\.fit\(\)"):
        clone(known).fit(-distances)
    with pytest.raises(ValueError, match=r"passed to NeighborsTransformer\.transform\(\)"):
        known.transform(-distances)


def test_bad_queries(X, new):
    with pytest.raises(NotFittedError):
        NeighborsTransformer().transform(new)
    fitted = NeighborsTransformer(n_neighbors=200).fit(X)
    with pytest.raises(ValueError, match=r"n_neighbors=200 must be an integer in 1 \.\. 199"):
        fitted.transform(new)
    with pytest.raises(ValueError, match=r"n_neighbors=200 must be an integer in 1 \.\. 199"):
        fitted.kneighbors()
    assert fitted.set_params(mode="connectivity").transform(new).nnz == 200 * len(new)
    with pytest.raises(ValueError, match=r"n_neighbors='2' must be an integer"):
        fitted.set_params(mode="distance", n_neighbors="2").transform(new)
    with pytest.raises(ValueError, match=r"n_neighbors=2\.5"):
        fitted.kneighbors(new, 2.5)
    with pytest.raises(ValueError, match="mode='weight'"):
        fitted.kneighbors_graph(new, 3, mode="weight")
    with pytest.raises(ValueError, match="5 features"):
        fitted.set_params(n_neighbors=5).transform(new[:, :5])


# ---- What takes a graph --------------------------------------------------------------------------


def test_isomap_classifiers_and_outliers_by_the_graph(X, new):
    y = make_blobs(200, n_features=6, centers=4, random_state=0)[1]
    for make in (
        lambda: Isomap(n_neighbors=K, metric="precomputed"),
        lambda: KNeighborsClassifier(n_neighbors=K, metric="precomputed"),
        lambda: LocalOutlierFactor(n_neighbors=K, metric="precomputed", novelty=True),
    ):
        n = 80  # Isomap needs a connected graph
        ours = make_pipeline(NeighborsTransformer(n_neighbors=n), make().set_params(n_neighbors=n))
        theirs = make_pipeline(
            KNeighborsTransformer(n_neighbors=n), make().set_params(n_neighbors=n)
        )
        method = "transform" if hasattr(make(), "transform") else "predict"
        results = []
        for pipeline in (ours, theirs):
            results.append(getattr(pipeline.fit(X, y), method)(new))
        assert_allclose(*results, rtol=1e-4, atol=1e-6)


def test_hdbscan_of_the_graph(X):
    HDBSCAN = pytest.importorskip("sklearn.cluster").HDBSCAN
    graph = NeighborsTransformer(n_neighbors=60).fit_transform(X)
    labels = HDBSCAN(metric="precomputed", copy=True).fit_predict(graph.maximum(graph.T))
    expected = HDBSCAN(copy=True).fit_predict(X)
    assert adjusted_rand_score(labels, expected) == 1.0  # the numbers may differ
    assert labels.max() > 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_umap_of_the_neighbors():
    umap = pytest.importorskip("umap")
    X = make_blobs(500, n_features=10, centers=3, random_state=0)[0]
    distances, indices = NeighborsTransformer().fit(X).kneighbors(X, 15)
    options = {
        "n_neighbors": 15,
        "random_state": 0,
        "n_epochs": 50,
        "force_approximation_algorithm": True,
    }
    exact = KNeighborsTransformer().fit(X).kneighbors(X, 15)[::-1]
    ours = umap.UMAP(precomputed_knn=(indices, distances), **options).fit(X)
    theirs = umap.UMAP(precomputed_knn=exact, **options).fit(X)
    assert_allclose(ours.graph_.toarray(), theirs.graph_.toarray(), atol=1e-5)
    assert ours.embedding_.shape == (500, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scanpy_takes_it():
    sc = pytest.importorskip("scanpy")
    X = make_blobs(500, n_features=10, centers=3, random_state=0)[0]
    graphs = []
    for transformer in (NeighborsTransformer, KNeighborsTransformer):
        adata = sc.AnnData(X.astype(np.float32))
        sc.pp.neighbors(adata, transformer=transformer(n_neighbors=15), use_rep="X")
        assert adata.uns["neighbors"]["params"]["n_neighbors"] == 15
        graphs += [(adata.obsp["distances"].toarray(), adata.obsp["connectivities"].toarray())]
    (distances, connectivities), expected = graphs
    assert_allclose(distances, expected[0], rtol=1e-4)
    assert_allclose(connectivities, expected[1], atol=1e-4)


# ---- TSNE(neighbors=transformer) -----------------------------------------------------------------


def fit(X, neighbors, model=TSNE, **params):
    short = {"max_iter": 250} if model is TSNE else {"n_epochs": 30}
    return model(
        neighbors=neighbors, **{"perplexity": 5, "random_state": 0, **short, **params}
    ).fit(X)


@pytest.mark.parametrize("model", [TSNE, ContrastiveTSNE])
def test_a_transformer_gives_the_map_of_its_neighbors(X, new, model):
    expected = fit(X, nearest_neighbors(X, 16), model)
    unfitted = NeighborsTransformer(n_neighbors=16)
    fitted = clone(unfitted).fit(X)
    for neighbors in (unfitted, fitted):
        found = fit(X, neighbors, model)
        assert_array_equal(found.embedding_, expected.embedding_)
        assert_array_equal(found.transform(new), expected.transform(new))
        copy = pickle.loads(pickle.dumps(found))
        assert_array_equal(copy.transform(new), found.transform(new))
        assert clone(found).neighbors is not neighbors
    assert not hasattr(unfitted, "n_samples_fit_")


def test_the_metric_of_the_transformer_counts(X, new):
    by_metric = TSNE(perplexity=5, metric="cosine", max_iter=250, random_state=0).fit(X)
    by_transformer = fit(X, NeighborsTransformer(n_neighbors=16, metric="cosine"))
    assert_allclose(by_transformer.embedding_, by_metric.embedding_, atol=1e-3)
    assert_allclose(by_transformer.transform(new), by_metric.transform(new), atol=1e-2)


def test_pipelines_and_nested_parameters(X, new):
    Z = StandardScaler().fit_transform(X)
    pipeline = make_pipeline(StandardScaler(), KNeighborsTransformer(n_neighbors=16))
    init = 1e-4 * Z[:, :2]
    expected = fit(Z, KNeighborsTransformer(n_neighbors=16), init=init)
    found = fit(X, pipeline, init=init)
    assert_array_equal(found.embedding_, expected.embedding_)
    assert found.transform(new).shape == (30, 2)
    model = TSNE(neighbors=NeighborsTransformer()).set_params(neighbors__n_neighbors=9)
    assert model.neighbors.n_neighbors == 9


def test_few_neighbors_lower_the_perplexity_of_fit_and_transform(X, new):
    with pytest.warns(UserWarning, match=r"perplexity=30.0 is lowered to 4.667"):
        model = fit(X, NeighborsTransformer(n_neighbors=15), perplexity=30.0)
    assert model.transform(new).shape == (30, 2)
    with pytest.raises(ValueError, match="only 16 neighbors in row"):
        model.transform(new, perplexity=20)


def test_scores_are_in_the_unit_of_the_transformer(X, new):
    with_metric = TSNE(perplexity=5, max_iter=250, random_state=0).fit(X)
    with_transformer = fit(X, NeighborsTransformer(n_neighbors=91))
    scores = [
        model.transform(new, return_scores=True)[1] for model in (with_metric, with_transformer)
    ]
    assert_allclose(*scores)


class Dense(TransformerMixin, BaseEstimator):
    def fit_transform(self, X, y=None):
        return np.linalg.norm(X[:, None] - X, axis=2)

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda X: NeighborsTransformer(n_neighbors=16).fit(X[:100]), r"fitted on other samples"),
        (lambda X: NeighborsTransformer(n_neighbors=16).fit(X + 100), r"fitted on other samples"),
        (lambda X: KNeighborsTransformer(mode="connectivity"), "mode='connectivity'"),
        (lambda X: NeighborsTransformer(n_neighbors=2), "some samples have only 3 neighbors"),
        (lambda X: StandardScaler(), "StandardScaler returned ndarray"),
        (lambda X: "annoy", "'neighbors'"),
        (lambda X: object(), "'neighbors'"),
    ],
)
def test_transformers_that_do_not_fit(X, make, message):
    with pytest.raises(ValueError, match=message):
        fit(X, make(X))


def test_a_transformer_is_for_barnes_hut(X):
    with pytest.raises(ValueError, match="by a transformer"):
        fit(X, NeighborsTransformer(), method="exact")
