"""Arguments in every container: the value of the plain array, or an error that names them."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from fasttsne import TSNE, plot, quality
from fasttsne.affinity import (
    conditional_probabilities,
    gaussian_probabilities,
    guided_by_labels,
    joint_probabilities,
    symmetrize_dense,
    uniform_probabilities,
)
from fasttsne.descent import optimize_embedding
from fasttsne.initialization import initial_embedding
from fasttsne.metric_learning import average_precision, ndcg_score
from fasttsne.metric_learning.learners import LinearMetricLearner, LinearRanker
from fasttsne.metric_learning.learning_to_rank import ranknet_loss
from fasttsne.metric_learning.losses import softmax_loss, triplet_loss
from fasttsne.metric_learning.sampling import NoiseDistribution
from fasttsne.neighbors import nearest_neighbors, neighbor_index
from fasttsne.quality import knn_accuracy, report
from fasttsne.samples.arrays import as_array

RNG = np.random.default_rng(0)
N = 40
X = RNG.normal(size=(N, 3)).round(2)
Y = RNG.permutation(N) % 4
SCORES = RNG.normal(size=N).round(2)
PARAMS = {"perplexity": 5, "max_iter": 250, "random_state": 0}


def tsne(X, y=None, **more):
    return TSNE(label_weight=0.0 if y is None else 0.5, **PARAMS).fit(X, y, **more).embedding_


# What gets the array, and the name in errors.
MATRICES = {
    "search": (lambda X_: nearest_neighbors(X_, 5)[1], "X"),
    "start": (lambda X_: initial_embedding(X_, "pca", 2, np.random.RandomState(0)), "X"),
    "TSNE": (tsne, "X"),
    "transform": (lambda X_: TSNE(**PARAMS).fit(X).transform(X_), "X"),
    "report": (lambda X_: report(X_, X[:, :2]).continuity, "X"),
    "map": (lambda Y_: report(X, Y_).continuity, "embedding"),
    "triplets": (lambda X_: triplet_loss(X_, Y)[0], "X"),
    "logits": (lambda X_: softmax_loss(X_, Y % 3)[0], "logits"),
    "learner": (
        lambda X_: LinearMetricLearner(max_epochs=1, random_state=0).fit(X_, Y).components_,
        "X",
    ),
    "ranker": (lambda X_: LinearRanker("ranknet").fit(X_, Y).coef_, "X"),
}
COLUMNS = {
    "weights": (lambda y: tsne(X, sample_weight=y), "sample_weight"),
    "target": (lambda y: softmax_loss(np.ones((N, 4)) * SCORES[:, None], y)[0], "target"),
    "relevance": (lambda y: ndcg_score(y, SCORES), "y_true"),
    "scores": (lambda y: average_precision(Y, y), "y_score"),
    "groups": (lambda y: ranknet_loss(np.arange(100.0), np.arange(100) % 3, y)[0], "groups"),
    "counts": (lambda y: NoiseDistribution(y).probabilities, "weights"),
    "grades": (lambda y: LinearRanker("ranknet").fit(X, y).coef_, "y"),
}
LABELS = {
    "TSNE": (lambda y: tsne(X, y), "y"),
    "kNN": (lambda y: knn_accuracy(X, y), "labels"),
    "triplets": (lambda y: triplet_loss(X, y)[0], "labels"),
    "learner": (
        lambda y: LinearMetricLearner(max_epochs=1, random_state=0).fit(X, y).components_,
        "y",
    ),
}


def frame(a):
    return pd.DataFrame(a) if np.ndim(a) == 2 else pd.Series(a)


def polars(a):
    return pl.DataFrame(a) if a.ndim == 2 else pl.Series(a)


def arrow(a):
    return (
        pa.table({str(i): column for i, column in enumerate(a.T)}) if a.ndim == 2 else pa.array(a)
    )


TAKEN = {
    "nullable": lambda a: frame(a).convert_dtypes(),
    "objects": lambda a: a.astype(object),
    "decimals": lambda a: np.vectorize(lambda v: Decimal(str(v)), otypes=[object])(a),
    "list": lambda a: a.tolist(),
    "polars": polars,
    "lazy": lambda a: polars(a).lazy() if a.ndim == 2 else polars(a),
    "pyarrow": arrow,
    "no mask": lambda a: np.ma.array(a, mask=np.zeros(a.shape, dtype=bool)),
}
if int(pd.__version__.split(".")[0]) >= 2:
    TAKEN["arrow"] = lambda a: frame(a).convert_dtypes(dtype_backend="pyarrow")


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("uses", [MATRICES, COLUMNS, LABELS], ids=["X", "columns", "labels"])
def test_every_container_gives_the_value_of_the_array(kind, uses):
    for use, (function, _) in uses.items():
        if kind == "decimals" and use in ("target", "groups"):
            continue  # these are integers
        if use in ("search", "start"):
            continue  # stages take arrays of NumPy only
        plain = X if uses is MATRICES else Y + (use == "groups")
        assert_allclose(function(TAKEN[kind](plain)), function(plain), rtol=1e-12, err_msg=use)


def hidden(a):
    mask = np.zeros(a.shape, dtype=bool)
    mask[3] = True
    return np.ma.array(a, mask=mask)


@pytest.mark.parametrize("masked", [hidden, lambda a: list(hidden(a))], ids=["array", "list"])
@pytest.mark.parametrize("use", [*MATRICES, *COLUMNS])
def test_masked_values_are_refused(masked, use):
    function, name = (MATRICES | COLUMNS)[use]
    plain = X if use in MATRICES else Y + 1
    with pytest.raises(ValueError, match=f"{name} has masked values; leave these samples out, or"):
        function(masked(plain))


def test_masked_arrays_between_stages_are_refused():
    indices, distances = nearest_neighbors(X, 5)
    conditional, _ = conditional_probabilities(distances**2, 2.0)
    for call in (
        lambda: conditional_probabilities(hidden(distances**2), 2.0),
        lambda: gaussian_probabilities(hidden(distances**2), 1.0),
        lambda: joint_probabilities(indices, hidden(conditional)),
        lambda: joint_probabilities(hidden(indices), conditional),
        lambda: neighbor_index(X, 5).query(hidden(X)),
        lambda: uniform_probabilities(hidden(np.ones((N, 5)))),
        lambda: symmetrize_dense(hidden(np.ones((N, N), dtype=np.float32))),
        lambda: guided_by_labels(hidden(conditional), np.zeros(N, int), 0.5, indices=indices),
        lambda: guided_by_labels(conditional, hidden(np.zeros(N, int)), 0.5, indices=indices),
        lambda: optimize_embedding(np.ones((N, N)), hidden(X[:, :2])),
        lambda: optimize_embedding(hidden(np.ones((N, N))), X[:, :2]),
    ):
        with pytest.raises(ValueError, match="has masked values"):
            call()


@pytest.mark.parametrize("use", [use for use in MATRICES if use not in ("search", "start")])
def test_columns_that_are_no_numbers_are_named(use):
    function, name = MATRICES[use]
    table, times = pd.DataFrame(X, columns=list("abc")), pd.Series(pd.date_range("2020", periods=N))
    for values in (
        ["x"] * N,
        pd.Categorical(["x"] * N),
        times,
        times.dt.date,
        times.dt.to_period("M"),
        np.ones(N, dtype=complex),
    ):
        with pytest.raises(ValueError, match=f"{name} has .* no real numbers in column 'd'"):
            function(table.assign(d=values))
    for library in (lambda f: pa.Table.from_pandas(f), pl.from_pandas):
        for values in (times, times.dt.date, ["x"] * N):
            with pytest.raises(ValueError, match=f"{name} has .* no real numbers in column 'd'"):
                function(library(table.assign(d=values)))


def test_a_column_of_a_frame_is_no_matrix():
    for function, _ in (MATRICES["TSNE"], MATRICES["report"]):
        with pytest.raises(ValueError, match=r"2D array|2-dimensional"):
            function(frame(X)[0])


@pytest.mark.parametrize("use", ["triplets", "learner"])
def test_masked_labels_are_missing(use):
    function, name = LABELS[use]
    with pytest.raises(ValueError, match=f"{name} contains missing values"):
        function(hidden(Y))
    assert knn_accuracy(X, hidden(Y)) == knn_accuracy(X, np.where(hidden(Y).mask, np.nan, Y))


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT, np.ma.masked])
@pytest.mark.parametrize("container", [list, tuple, pd.Index, lambda y: [[label] for label in y]])
def test_no_missing_label_is_a_class(missing, container):
    text = [missing if label == 3 else "abc"[label] for label in Y]
    labels = container(text)
    for function, name in (LABELS["triplets"], LABELS["learner"]):
        with pytest.raises(ValueError, match=f"{name} contains missing values"):
            function(labels)
    assert knn_accuracy(X, labels) == knn_accuracy(X, np.where(Y == 3, np.nan, Y))


@pytest.mark.parametrize("make", [list, np.array, pd.array, pa.array, pl.Series, pd.Categorical])
def test_a_learner_has_the_classes_of_every_container(make):
    learner = LinearMetricLearner(max_epochs=1)
    for classes in (["a", "b", "c", "d"], [1, 2, 4, 8]):
        found = learner.fit(X, make([classes[label] for label in Y])).classes_
        assert found.tolist() == classes
        assert found.dtype == np.asarray(classes).dtype


@pytest.mark.parametrize("use", LABELS)
def test_labels_that_are_no_classes_are_refused(use):
    function, name = LABELS[use]
    for wrong, message in [
        (SCORES, f"Unknown label type: .*{name}.* is continuous"),
        (frame(SCORES).convert_dtypes(), "Unknown label type"),
        ([Decimal("0.1") * i for i in range(N)], "Unknown label type"),
        (Y + 1j, "[cC]omplex"),
        (np.eye(4)[Y], "shape|1d array"),
        (Y[None, :], rf"pass {name}.ravel\(\)|1d array"),
        ([(1, 2)] * (N - 1) + [(1,)], f"{name} must be one label per sample"),
    ]:
        with pytest.raises(ValueError, match=message):
            function(wrong)
    with pytest.raises((ValueError, TypeError), match=r"[sS]parse"):
        function(sparse.csr_matrix(Y[:, None]))


@pytest.mark.parametrize("use", ["kNN", "triplets"])
def test_categories_with_fractions_are_classes(use):
    function, _ = LABELS[use]
    assert function(pd.Series(pd.Categorical(Y / 2))) == function(Y)


@pytest.mark.parametrize("use", [*COLUMNS, "map", "triplets", "logits", "learner", "ranker"])
def test_sparse_arrays_are_refused_where_dense_ones_are_required(use):
    function, name = (MATRICES | COLUMNS)[use]
    plain = X if use in MATRICES else Y[:, None]
    with pytest.raises(TypeError, match=rf"{name} is sparse|Sparse data was passed for {name}"):
        function(sparse.csr_matrix(plain))


@pytest.mark.parametrize("use", [quality.trustworthiness, plot.html])
def test_an_estimator_is_no_map(use):
    with pytest.raises(TypeError, match=r"must be an array, got the estimator TSNE; .*embedding_"):
        use(*[X] * (use is quality.trustworthiness), TSNE())


@pytest.mark.parametrize("use", ["weights", "relevance", "scores", "counts"])
def test_columns_are_refused_where_rows_are_meant(use):
    function, name = COLUMNS[use]
    with pytest.raises(ValueError, match=rf"{name}.*shape"):
        function(Y[:, None])


@pytest.mark.parametrize("column", [lambda a: a[:, None], lambda a: frame(a[:, None])])
def test_columns_are_not_queries_of_one_document(column):
    relevance, scores = column(Y), column(SCORES)
    for function in (ndcg_score, average_precision, ranknet_loss):
        with pytest.raises(ValueError, match="a query of one document per row: pass both"):
            function(relevance, scores)
    groups = np.ones(N, dtype=int)
    assert ndcg_score(Y, SCORES, groups=groups) == pytest.approx((Y > 0).mean())
    assert ndcg_score([[1]], [[0]]) == 1.0
    with pytest.raises(ValueError, match=r"must have one shape.*; pass both as \.ravel\(\)"):
        ndcg_score(Y, column(SCORES))


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        ([1, True, np.int8(3)], [1, 1, 3], "i"),
        (np.array([1, 2.5, np.True_, Decimal("0.5")], dtype=object), [1, 2.5, 1, 0.5], "f"),
        (np.array([1, None, pd.NA, np.nan], dtype=object), [1, np.nan, np.nan, np.nan], "f"),
        (np.array([2**70, 1], dtype=object), [2.0**70, 1], "f"),
        (np.array([True, np.False_], dtype=object), [1, 0], "b"),
    ],
)
def test_objects_that_are_numbers(values, expected, kind):
    array = as_array(values, "values")
    assert array.dtype.kind == kind
    assert_allclose(array, expected)
