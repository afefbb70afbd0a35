"""Bad and odd input: a right answer, or an error that names the parameter; never a crash or NaN.

Everything runs in this process, so that a crash shows. Warnings are errors.
"""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.datasets import make_blobs
from sklearn.exceptions import EfficiencyWarning
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors
from sklearn.utils._param_validation import InvalidParameterError

from fasttsne import TSNE

both_methods = pytest.mark.parametrize("method", ["barnes_hut", "exact"])
both_inits = pytest.mark.parametrize("init", ["pca", "random"])
not_finite = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)

N = 40
PERPLEXITY = r"perplexity .* must be less than n_samples \(40\)"


@pytest.fixture
def X():
    """Three clusters of integers: 40 x 4, float64. Integers, so that every dtype can hold them."""
    return np.round(make_blobs(N, n_features=4, centers=3, random_state=0)[0] + 20)


@pytest.fixture
def init():
    return np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)


@pytest.fixture
def graph(X):
    """A graph as scikit-learn makes it, without ties, of more neighbours than the fits need."""
    noise = np.random.default_rng(0).normal(size=X.shape)
    graph = KNeighborsTransformer(n_neighbors=25).fit_transform(X + noise)
    return sparse.csr_array(graph)


def embed(X, **params):
    short = {"perplexity": 5, "max_iter": 250, "random_state": 0, "n_jobs": 1}
    return TSNE(**{**short, **params}).fit_transform(X)


def embed_graph(graph, **params):
    return embed(graph, metric="precomputed", init="random", **params)


def assert_a_map(embedding, n, n_components=2):
    assert embedding.shape == (n, n_components)
    assert np.isfinite(embedding).all()


# Errors, by both methods -------------------------------------------------------------


def changed(array, place, value):
    array[place] = value
    return array


def distances(X, **params):
    return pairwise_distances(X), {"metric": "precomputed", "init": "random", **params}


# Each makes data and parameters of X, a start and a value that is not finite.
NOT_FINITE = {
    "X, float32": lambda X, init, v: (changed(X.astype(np.float32), (3, 1), v), {}),
    "X, float64": lambda X, init, v: (changed(X, (3, 1), v), {}),
    "sparse X": lambda X, init, v: (sparse.csr_array(changed(X, (3, 1), v)), {}),
    # scikit-learn crashes on these two.
    "init, float32": lambda X, init, v: (X, {"init": changed(init, (5, 1), v)}),
    "init, float64": lambda X, init, v: (X, {"init": changed(init.astype(float), (5, 1), v)}),
    "distances": lambda X, init, v: (
        changed(pairwise_distances(X), (2, 4), v),
        {"metric": "precomputed", "init": "random"},
    ),
    "metric": lambda X, init, v: (X, {"metric": lambda a, b: v if a[0] > b[0] else 1.0}),
}


@both_methods
@not_finite
@pytest.mark.parametrize("kind", NOT_FINITE)
def test_values_must_be_finite(X, init, method, value, kind):
    data, params = NOT_FINITE[kind](X, init, value)
    name = kind.partition(",")[0].split()[-1]
    match = {"metric": "metric|distances", "distances": "NaN|infinity"}
    with pytest.raises(ValueError, match=match.get(name, f"{name}.*(NaN|infinit|finite)")):
        embed(data, method=method, **params)


# Data and parameters of X, and what the message says.
ERRORS = {
    "init too large for float32": (
        lambda X: (X, {"init": changed(np.zeros((N, 2)), (5, 1), 1e39)}),
        r"init.*(infinit|finite|large|float32)",
    ),
    "negative metric": (
        lambda X: (X, {"metric": lambda a, b: -1.0}),
        "All distances should be positive, the metric",
    ),
    "correlation with a constant row is 0/0": (
        lambda X: (changed(X, 3, 1.0), {"metric": "correlation"}),
        "metric|distances",
    ),
    "no samples": (lambda X: (X[:0], {}), r"0 sample|n_samples"),
    "no features": (lambda X: (X[:, :0], {}), r"0 feature"),
    "one sample": (lambda X: (X[:1], {"perplexity": 0.5}), r"1 sample"),
    "a scalar": (lambda X: (X[0, 0], {}), r"2D|dim|scalar|singleton"),
    "one dimension": (lambda X: (X[:, 0], {}), r"2D|dim|scalar|singleton"),
    "three dimensions": (lambda X: (X.reshape(N, 2, 2), {}), r"2D|dim|scalar|singleton"),
    "perplexity n": (lambda X: (X, {"perplexity": N}), PERPLEXITY),
    "perplexity n + 1": (lambda X: (X, {"perplexity": N + 1}), PERPLEXITY),
    "perplexity 1e6": (lambda X: (X, {"perplexity": 1e6}), PERPLEXITY),
    "complex": (lambda X: (X + 1j, {}), r"[Cc]omplex"),
    "complex, sparse": (lambda X: (sparse.csr_array(X + 1j), {}), r"[Cc]omplex"),
    "n_jobs 0": (lambda X: (X, {"n_jobs": 0}), "n_jobs"),
    "distances not square": (lambda X: (np.ones((N, N - 1)), distances(X)[1]), "square"),
    "one column of distances": (lambda X: (np.ones((N, 1)), distances(X)[1]), "square"),
    "distances without a row": (lambda X: (np.ones((N - 1, N)), distances(X)[1]), "square"),
    "negative distance": (
        lambda X: (changed(distances(X)[0], (2, 4), -1e-3), distances(X)[1]),
        "positive",
    ),
    "principal components of distances": (
        lambda X: distances(X, init="pca"),
        'init="pca" cannot be used with metric="precomputed"',
    ),
}


@both_methods
@pytest.mark.parametrize("kind", ERRORS)
def test_bad_input_is_a_clear_error(X, method, kind):
    make, message = ERRORS[kind]
    data, params = make(X)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        embed(data, method=method, **params)


@pytest.mark.parametrize("x", [None, "abc", 3.0, {"a": 1}, object()], ids=repr)
def test_x_must_be_an_array(x):
    with pytest.raises((ValueError, TypeError)):
        embed(x)


# Odd data that have a map ------------------------------------------------------------

CONSTANT = {str(value): np.full((N, 4), value) for value in (0.0, 1.0, -3.7, 1e30)}  # crash there
CONSTANT["sparse"] = sparse.csr_array((N, 4))


@both_methods
@both_inits
@pytest.mark.parametrize("value", CONSTANT)
def test_constant_x_is_a_map(method, init, value):
    assert_a_map(embed(CONSTANT[value], method=method, init=init), N)


# Data and parameters of X.
ODD = {
    "cosine of a zero row": lambda X: (changed(X, 3, 0.0), {"metric": "cosine"}),
    "sparse with one feature": lambda X: (sparse.csr_array(X[:, :1]), {}),
    "constant distances": lambda X: (np.zeros((N, N)), distances(X)[1]),
    "asymmetric distances": lambda X: (
        distances(X)[0] * np.random.default_rng(0).uniform(0.5, 1.0, size=(N, N)),
        distances(X)[1],
    ),
    **{
        f"perplexity {value}": lambda X, value=value: (X, {"perplexity": value})
        for value in (1e-6, 0.5, 1, N - 1, N - 1e-6)
    },
    **{
        f"{init}, {distinct} distinct samples": lambda X, init=init, distinct=distinct: (
            X[np.arange(N) % distinct],
            {"init": init},
        )
        for distinct in (2, 3, 10)
        for init in ("pca", "random")
    },
    **{
        f"{init}, one sample apart from duplicates": lambda X, init=init: (
            changed(np.tile(X[0], (N, 1)), -1, X[0] + 1),
            {"init": init},
        )
        for init in ("pca", "random")
    },
}


@both_methods
@pytest.mark.parametrize("kind", ODD)
def test_odd_data_are_a_map(X, method, kind):
    data, params = ODD[kind](X)
    assert_a_map(embed(data, method=method, **params), N)


@both_methods
@both_inits
@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("n", [2, 3])
def test_two_and_three_points_are_a_map(X, method, init, n_components, n):
    embedding = embed(X[:n], method=method, init=init, n_components=n_components, perplexity=1)
    assert_a_map(embedding, n, n_components)
    assert len(np.unique(embedding, axis=0)) == n


@both_methods
@pytest.mark.parametrize("n_features", [1, 2])
def test_fewer_features_than_components_are_a_map(X, method, n_features):
    embedding = embed(X[:, :n_features], method=method, n_components=3, max_iter=500)
    assert_a_map(embedding, N, 3)
    assert trustworthiness(X[:, :n_features], embedding) > 0.9


@both_methods
def test_duplicates_lie_together(X, method):
    X = X[np.arange(N) % 10]
    embedding = embed(X, method=method, perplexity=3, max_iter=1000)
    apart = np.unique(X, axis=0, return_inverse=True)[1].ravel()
    nearest = NearestNeighbors(n_neighbors=3).fit(embedding).kneighbors(return_distance=False)
    assert np.mean(apart[nearest] == apart[:, None]) > 0.9


@both_methods
@both_inits
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_point_very_far_away_leaves_the_others_in_order(X, method, init, dtype):
    X = changed(X.astype(dtype), (17, 2), 1e30)
    embedding = embed(X, method=method, init=init, max_iter=750)
    assert_a_map(embedding, N)
    others = np.arange(N) != 17
    assert trustworthiness(X[others], embedding[others]) > 0.9


def assert_a_map_or_an_error_about(names, X, **params):
    try:
        embedding = embed(X, **params)
    except (ValueError, FloatingPointError) as error:
        assert any(name in str(error) for name in names)
    else:
        assert_a_map(embedding, N)


@both_methods
@both_inits
@pytest.mark.parametrize("value", [1e150, 1e151, 1e200, np.finfo(np.float64).max])
def test_values_whose_squares_overflow_are_a_map_or_an_error(X, method, init, value):
    X = changed(X, (17, 2), value)
    assert_a_map_or_an_error_about(["X"], X, method=method, init=init)


@both_methods
@both_inits
@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-40, 1e-30, 1e30, 1e140])
def test_any_unit_of_measure_gives_as_good_a_map(X, method, init, scale):
    embedding = embed(X * scale, method=method, init=init, max_iter=750)
    assert_a_map(embedding, N)
    assert trustworthiness(X, embedding) > 0.9


# Kinds of X --------------------------------------------------------------------------


def from_pandas(X):
    return pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))


def from_pandas_nullable(X):
    return from_pandas(X).astype("Float64")


def from_polars(X):
    return pytest.importorskip("polars").DataFrame(X, schema=list("abcd"))


def read_only(X):
    X.flags.writeable = False
    return X


def unaligned(X):
    raw = np.empty(X.nbytes + 1, dtype=np.uint8)
    view = np.ndarray(X.shape, X.dtype, raw.data, offset=1)
    view[...] = X
    return view


KINDS = {
    "int8": lambda X: X.astype(np.int8),
    "uint8": lambda X: X.astype(np.uint8),
    "int32": lambda X: X.astype(np.int32),
    "int64": lambda X: X.astype(np.int64),
    "float16": lambda X: X.astype(np.float16),
    "float32": lambda X: X.astype(np.float32),
    "longdouble": lambda X: X.astype(np.longdouble),
    "big-endian": lambda X: X.astype(">f8"),
    "object": lambda X: X.astype(object),
    "numeric strings": lambda X: X.astype(str),
    "Fortran-ordered": np.asfortranarray,
    "read-only": read_only,
    "strided rows": lambda X: np.repeat(X, 2, axis=0)[::2],
    "strided columns": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "unaligned": unaligned,
    "list of lists": lambda X: X.tolist(),
    "list of arrays": list,
    "tuple": lambda X: tuple(map(tuple, X)),
    "pandas": from_pandas,
    "pandas nullable": from_pandas_nullable,
    "polars": from_polars,
    "polars integers": lambda X: from_polars(X.astype(np.int16)),
}


@both_methods
@both_inits
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_numbers_gives_the_map_of_the_floats(X, method, init, kind):
    expected = embed(X, method=method, init=init)
    assert_array_equal(embed(KINDS[kind](X.copy()), method=method, init=init), expected)


@both_methods
@both_inits
def test_booleans_count_as_zero_and_one(X, method, init):
    X = X > 20
    assert_array_equal(
        embed(X, method=method, init=init), embed(X.astype(float), method=method, init=init)
    )


@both_methods
def test_a_memory_mapped_file_gives_the_map_of_its_array(X, method, tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_array_equal(embed(mapped, method=method), embed(X, method=method))


@both_methods
def test_large_integers_keep_their_digits(X, method):
    # float32 would not tell them apart.
    X = X.astype(np.int64)
    assert_array_equal(embed(X + 10**12, method=method), embed(X, method=method))


@both_methods
@pytest.mark.parametrize(
    "container", [sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.lil_array]
)
def test_sparse_integers_give_the_map_of_sparse_floats(X, method, container):
    assert_array_equal(
        embed(container(X.astype(np.int64)), method=method),
        embed(container(X), method=method),
    )


@both_methods
def test_sparse_entries_given_twice_are_added(X, method):
    rows, columns = np.nonzero(X)
    twice = sparse.coo_array(
        (np.tile(X[rows, columns] / 2, 2), (np.tile(rows, 2), np.tile(columns, 2))), shape=X.shape
    )
    assert_array_equal(embed(twice, method=method), embed(sparse.coo_array(X), method=method))


@both_methods
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array])
def test_compressed_entries_given_twice_are_added(X, method, container):
    once = container(X)
    twice = container(
        (np.repeat(once.data / 2, 2), np.repeat(once.indices, 2), 2 * once.indptr), shape=X.shape
    )
    assert_array_equal(embed(twice, method=method), embed(once, method=method))
    assert twice.nnz == 2 * once.nnz  # the user's stays as it was


@pytest.mark.parametrize("dtype", [str, object])
def test_words_are_an_error(X, dtype):
    words = X.astype(dtype)
    words[3, 1] = "abc"
    with pytest.raises(ValueError, match="abc"):
        embed(words)


def test_missing_values_of_pandas_are_an_error(X):
    frame = from_pandas_nullable(X)
    frame.iloc[3, 1] = None
    with pytest.raises(ValueError, match=r"NaN|NA"):
        embed(frame)


def test_missing_values_of_polars_are_an_error(X):
    polars = pytest.importorskip("polars")
    frame = from_polars(X).with_columns(polars.lit(None).cast(polars.Float64).alias("a"))
    with pytest.raises(ValueError, match="NaN"):
        embed(frame)


def test_words_in_a_data_frame_are_an_error(X):
    with pytest.raises(ValueError, match="could not convert string"):
        embed(from_pandas(X).assign(name="abc"))


# Initialisation ----------------------------------------------------------------------


@both_methods
@pytest.mark.parametrize(
    "shape", [(N - 1, 2), (N + 1, 2), (N, 1), (N, 3), (2, N), (N,), (2 * N,), (N, 2, 1), (0, 2)]
)
def test_init_must_have_a_row_for_every_sample_and_a_column_for_every_component(X, method, shape):
    with pytest.raises(ValueError, match="init"):
        embed(X, method=method, init=np.zeros(shape))


INIT_KINDS = {
    "float16": lambda init: init.astype(np.float16),
    "float64": lambda init: init.astype(np.float64),
    "int8": lambda init: init.astype(np.int8),
    "int64": lambda init: init.astype(np.int64),
    "Fortran-ordered": np.asfortranarray,
    "read-only": read_only,
    "strided": lambda init: np.repeat(init, 2, axis=1)[:, ::2],
    "unaligned": unaligned,
}


@both_methods
@pytest.mark.parametrize("kind", INIT_KINDS)
def test_every_kind_of_init_gives_the_map_of_the_floats(X, init, method, kind):
    init = np.round(init * 3)
    expected = embed(X, method=method, init=init)
    assert_array_equal(embed(X, method=method, init=INIT_KINDS[kind](init.copy())), expected)


@pytest.mark.parametrize("dtype", [complex, str, object, "datetime64[s]"])
def test_init_must_be_numbers(X, dtype):
    with pytest.raises((ValueError, TypeError), match="init"):
        embed(X, init=np.zeros((N, 2)).astype(dtype))


@pytest.mark.parametrize("value", ["isomap", None, 3, [[0.0, 0.0]]], ids=repr)
def test_an_unknown_init_is_an_error(X, value):
    with pytest.raises(InvalidParameterError, match="init"):
        embed(X, init=value)


@both_methods
@pytest.mark.parametrize("scale", [0.0, 1e-45, 1e-30, 1e6, 1e12])
def test_init_may_have_any_scale(X, init, method, scale):
    assert_a_map(embed(X, method=method, init=init * np.float32(scale)), N)


@both_methods
@pytest.mark.parametrize("scale", [1e18, 1e20, 1e30, 1e37])
def test_a_huge_init_is_a_map_or_an_error(X, init, method, scale):
    init = init * np.float32(scale)
    assert_a_map_or_an_error_about(["init"], X, method=method, init=init)


# Parameters --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", 0),
        ("n_components", 2.0),
        ("n_components", "2"),
        ("perplexity", 0),
        ("perplexity", -5),
        ("perplexity", np.nan),
        ("perplexity", "30"),
        ("early_exaggeration", 0.5),
        ("early_exaggeration", np.nan),
        ("learning_rate", 0),
        ("learning_rate", -1),
        ("learning_rate", "fast"),
        ("learning_rate", np.nan),
        ("learning_rate", 10**400),
        ("early_exaggeration", 10**400),
        ("max_iter", 249),
        ("max_iter", 300.0),
        ("n_iter_without_progress", -2),
        ("min_grad_norm", -1e-9),
        ("metric", "unheard of"),
        ("metric", 3),
        ("metric_params", [("p", 1)]),
        ("init", "unheard of"),
        ("verbose", -1),
        ("random_state", -1),
        ("random_state", 2**32),
        ("random_state", "seed"),
        ("method", "fft"),
        ("method", None),
        ("angle", -0.1),
        ("angle", 1.1),
        ("angle", np.nan),
        ("n_jobs", "all"),
        ("n_jobs", 1.5),
        ("degrees_of_freedom", 0),
        ("degrees_of_freedom", -1),
        ("degrees_of_freedom", np.inf),
        ("degrees_of_freedom", np.nan),
        ("degrees_of_freedom", "learned"),
        ("degrees_of_freedom", [1.0]),
        ("early_exaggeration_iter", -1),
        ("early_exaggeration_iter", 10.0),
        ("exaggeration", 0),
        ("exaggeration", -1.0),
        ("exaggeration", np.nan),
        ("exaggeration", 10**400),
        ("exaggeration", "4"),
        ("warm_start", "yes"),
        ("callback", 3),
        ("callback_every", 0),
        ("progress", 2),
        ("kl_per_sample", None),
    ],
)
def test_a_parameter_out_of_bounds_is_named(X, name, value):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of TSNE"):
        embed(X, **{name: value})


@both_methods
@pytest.mark.parametrize("metric", ["matching", "wminkowski"])
def test_a_metric_that_is_gone_is_named(X, method, metric):
    # scikit-learn's list of names still has them.
    assert_a_map_or_an_error_about(["metric", "Metric"], X > 20, method=method, metric=metric)


def test_a_metric_that_needs_parameters_says_so(X):
    with pytest.raises(ValueError, match="VI"):
        embed(X, metric="mahalanobis")


def test_unknown_metric_params_are_an_error(X):
    with pytest.raises((TypeError, ValueError), match="unheard"):
        embed(X, metric="manhattan", metric_params={"unheard": 3})


def test_unknown_parameters_are_an_error():
    with pytest.raises(TypeError, match="unheard"):
        TSNE(unheard=3)


@both_methods
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
@pytest.mark.parametrize("n_jobs", [-1, -2, -10_000, 10_000])
def test_any_other_n_jobs_gives_the_same_map(X, method, metric, n_jobs):
    params = {"method": method, "metric": metric}
    assert_array_equal(embed(X, n_jobs=n_jobs, **params), embed(X, n_jobs=1, **params))


@both_methods
@pytest.mark.parametrize(
    "steps",
    [
        {"learning_rate": 1e8},
        {"learning_rate": 1e30},
        {"learning_rate": 1e300},
        {"early_exaggeration": 1e30},
        {"early_exaggeration": 1e30, "learning_rate": 1e30},
        {"learning_rate": 1e-300},
    ],
    ids=str,
)
@pytest.mark.parametrize("degrees_of_freedom", [1.0, 1e-3, 1e3])
def test_steps_of_any_size_are_a_map_or_an_error(X, method, steps, degrees_of_freedom):
    params = {"method": method, "degrees_of_freedom": degrees_of_freedom, **steps}
    assert_a_map_or_an_error_about(steps, X, **params)


@both_methods
@pytest.mark.parametrize("degrees_of_freedom", [1e-300, 1e-6, 1e-2, 1e2, 1e6, 1e300])
def test_any_degrees_of_freedom_are_a_map_or_an_error(X, method, degrees_of_freedom):
    params = {"method": method, "degrees_of_freedom": degrees_of_freedom}
    assert_a_map_or_an_error_about(params, X, **params)


def test_barnes_hut_has_at_most_three_components(X):
    with pytest.raises(ValueError, match=r"'n_components' should be .* 4"):
        embed(X, n_components=4)


@both_methods
def test_more_components_than_samples_are_a_map_or_an_error(X, method):
    n_components = 3 if method == "barnes_hut" else 7
    assert_a_map(
        embed(X[:3], method=method, n_components=n_components, perplexity=1), 3, n_components
    )


# Precomputed distances and graphs ----------------------------------------------------


@both_methods
@pytest.mark.parametrize("kind", ["integers", "list", "diagonal"])
def test_distances_of_other_types_or_with_a_diagonal_give_the_same_map(X, method, kind):
    D, params = distances(X + np.random.default_rng(0).normal(size=X.shape), method=method)
    D = np.round(10 * D) if kind == "integers" else D
    expected = embed(D, **params)
    np.fill_diagonal(D, 1e3 if kind == "diagonal" else 0.0)
    changed_type = {"integers": D.astype(int), "list": D.tolist(), "diagonal": D}[kind]
    assert_array_equal(embed(changed_type, **params), expected)


@pytest.mark.parametrize("kept", [0, 1, 10])
def test_a_graph_with_too_few_neighbours_says_how_many_it_needs(graph, kept):
    data, indices = (part.reshape(N, 26)[:, :kept].ravel() for part in (graph.data, graph.indices))
    few = sparse.csr_array((data, indices, np.arange(N + 1) * kept), shape=(N, N))
    with pytest.raises(ValueError, match=r"neighbors per samples are required"):
        embed_graph(few)


def test_one_row_with_too_few_neighbours_is_enough_to_fail(graph):
    graph.indptr[-1] -= 20
    short = sparse.csr_array((graph.data[:-20], graph.indices[:-20], graph.indptr), shape=(N, N))
    with pytest.raises(ValueError, match=r"neighbors per samples are required"):
        embed_graph(short)


def shuffled(graph):
    """The same graph with the entries of each row in another order."""
    rng = np.random.default_rng(0)
    order = np.concatenate(
        [rng.permutation(np.arange(*graph.indptr[row : row + 2])) for row in range(N)]
    )
    return sparse.csr_array((graph.data[order], graph.indices[order], graph.indptr), shape=(N, N))


def test_a_graph_may_be_unsorted(graph):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EfficiencyWarning)
        assert_array_equal(embed_graph(shuffled(graph)), embed_graph(graph))


@pytest.mark.parametrize("container", [sparse.csc_array, sparse.coo_array, sparse.lil_array])
def test_a_graph_may_have_any_format(graph, container):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EfficiencyWarning)
        assert_array_equal(embed_graph(container(graph)), embed_graph(graph))


def test_a_graph_may_have_wide_indices(graph):
    wide = graph.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert_array_equal(embed_graph(wide), embed_graph(graph))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_graph_may_have_any_kind_of_numbers(graph, dtype):
    graph.data = np.round(1000 * graph.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EfficiencyWarning)  # astype sorts the columns
        assert_array_equal(embed_graph(graph.astype(dtype)), embed_graph(graph))


def test_a_graph_must_not_be_negative(graph):
    graph.data[9] = -1.0
    with pytest.raises(ValueError, match="positive"):
        embed_graph(graph)


def test_a_graph_must_be_square(graph):
    with pytest.raises(ValueError, match="square"):
        embed_graph(graph[:, :-1])


def test_a_graph_must_not_name_a_column_twice(graph):
    graph.indices[1] = graph.indices[2]
    graph.has_canonical_format = False
    with pytest.raises(ValueError, match=r"duplicate|twice|more than once"):
        embed_graph(graph)


@pytest.mark.parametrize(
    ("dtype", "column"),
    [(np.int32, column) for column in (N, N + 5, 2**31 - 1, -1, -(2**31))]
    + [(np.int64, column) for column in (N, 2**40, -1)],
)
def test_columns_of_a_graph_must_exist(graph, dtype, column):
    graph.indices, graph.indptr = graph.indices.astype(dtype), graph.indptr.astype(dtype)
    graph.indices[3] = column
    with pytest.raises(ValueError, match=r"ind(ex|ices)|column"):
        embed_graph(graph)


@both_methods
@pytest.mark.parametrize("column", [4, 2**31 - 1, -1])
def test_columns_of_sparse_x_must_exist(X, method, column):
    X = sparse.csr_array(X)
    X.indices[3] = column
    with pytest.raises(ValueError, match=r"ind(ex|ices)|column"):
        embed(X, method=method)


@both_methods
def test_columns_of_sparse_x_in_lists_must_exist(X, method):
    X = sparse.lil_array(X)
    X.rows[0], X.data[0] = [10**8], [1.0]
    with pytest.raises(ValueError, match="indices must lie"):
        embed(X, method=method)


@pytest.mark.parametrize("pointer", [-1, 10, 10**9])
def test_row_pointers_of_a_graph_must_not_descend(graph, pointer):
    graph.indptr[5] = pointer
    with pytest.raises(ValueError, match=r"ind(ex|ptr)|pointer"):
        embed_graph(graph)


def test_a_graph_of_zeros_is_a_map(graph):
    graph.data[:] = 0.0
    assert_a_map(embed_graph(graph), N)


def test_the_exact_method_takes_no_graph(graph):
    with pytest.raises(TypeError, match="sparse"):
        embed_graph(graph, method="exact")


# Too much ----------------------------------------------------------------------------


@pytest.mark.nosan
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
@pytest.mark.parametrize(
    ("params", "named"),
    [
        # 18 billion edges: 216 GB.
        ("perplexity=30_000", "perplexity"),
        # 40 billion pairs: 160 GB.
        ("method='exact'", "exact"),
    ],
)
def test_more_than_memory_holds_is_a_clear_memory_error_at_once(params, named):
    code = f"""
import resource
import numpy as np
from fasttsne import TSNE

X = np.random.default_rng(0).normal(size=(200_000, 2))
with open("/proc/self/statm") as statm:
    size = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**31, resource.RLIM_INFINITY))
try:
    TSNE({params}, init="random").fit(X)
except MemoryError as error:
    print(error)
"""
    # Any long computation before the error runs into the limit of time.
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert named in done.stdout
