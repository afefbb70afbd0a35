"""Bad and odd input: a right answer, or an error that names the parameter; never a crash or NaN.

Everything runs in this process, so that a crash shows. Warnings are errors.
"""

import sys
import tempfile

import numpy as np
import pytest
from fits import both_inits, both_methods, run_python
from numpy.testing import assert_array_equal
from points import unaligned
from scipy import sparse
from sklearn.datasets import make_blobs
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.utils._param_validation import InvalidParameterError

from fasttsne import TSNE
from fasttsne.quality import report

N = 40


@pytest.fixture
def X():
    """Three clusters of integers: 40 x 4, float64. Integers, so that every dtype can hold them."""
    return np.round(make_blobs(N, n_features=4, centers=3, random_state=0)[0] + 20)


@pytest.fixture
def init():
    return np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)


def embed(X, **params):
    short = {"perplexity": 5, "max_iter": 250, "random_state": 0, "n_jobs": 1}
    return TSNE(**{**short, **params}).fit_transform(X)


def assert_a_map(embedding, n, n_components=2):
    assert embedding.shape == (n, n_components)
    assert np.isfinite(embedding).all()


# Errors, by both methods -------------------------------------------------------------


def changed(array, place, value):
    array[place] = value
    return array


def distances(X, **params):
    return pairwise_distances(X), {"metric": "precomputed", "init": "random", **params}


# Dense X is checked by scikit-learn's estimator checks, init in tests/initialization.
@both_methods
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, v: (sparse.csr_array(changed(X, (3, 1), v)), {}), "X.*(NaN|infinit|finite)"),
        (lambda X, v: (changed(distances(X)[0], (2, 4), v), distances(X)[1]), "NaN|infinity"),
        (lambda X, v: (X, {"metric": lambda a, b: v if a[0] > b[0] else 1.0}), "metric|distances"),
    ],
    ids=["sparse X", "distances", "metric"],
)
def test_values_must_be_finite(X, method, value, make, message):
    data, params = make(X, value)
    with pytest.raises(ValueError, match=message):
        embed(data, method=method, **params)


# Data and parameters of X, and what the message says.
ERRORS = {
    "negative metric": (
        lambda X: (X, {"metric": lambda a, b: -1.0}),
        "All distances should be positive, the metric",
    ),
    "correlation with a constant row is 0/0": (
        lambda X: (changed(X, 3, 1.0), {"metric": "correlation"}),
        "metric|distances",
    ),
    "a scalar": (lambda X: (X[0, 0], {}), r"2D|dim|scalar|singleton"),
    "three dimensions": (lambda X: (X.reshape(N, 2, 2), {}), r"2D|dim|scalar|singleton"),
    "perplexity n": (
        lambda X: (X, {"perplexity": N}),
        r"perplexity .* must be less than n_samples \(40\)",
    ),
    "complex, sparse": (lambda X: (sparse.csr_array(X + 1j), {}), r"[Cc]omplex"),
    "n_jobs 0": (lambda X: (X, {"n_jobs": 0}), "n_jobs"),
    "distances not square": (lambda X: (np.ones((N, N - 1)), distances(X)[1]), "square"),
    "distances without a row": (lambda X: (np.ones((N - 1, N)), distances(X)[1]), "square"),
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


@pytest.mark.parametrize(
    "x", [None, "abc", 3.0, {"a": 1}, object()], ids=lambda x: type(x).__name__
)
def test_x_must_be_an_array(x):
    with pytest.raises((ValueError, TypeError)):
        embed(x)


# Odd data that have a map ------------------------------------------------------------

# Of few distinct samples. scikit-learn crashes on constant X.
CROWDED = {
    **{
        f"constant {value}": lambda X, value=value: np.full((N, 4), value)
        for value in (0.0, 1.0, -3.7, 1e30)
    },
    "sparse zeros": lambda X: sparse.csr_array((N, 4)),
    **{f"{k} distinct samples": lambda X, k=k: X[np.arange(N) % k] for k in (2, 3, 10)},
    "one apart from duplicates": lambda X: changed(np.tile(X[0], (N, 1)), -1, X[0] + 1),
}


@both_methods
@both_inits
@pytest.mark.parametrize("kind", CROWDED)
def test_few_distinct_samples_are_a_map(X, method, init, kind):
    assert_a_map(embed(CROWDED[kind](X), method=method, init=init), N)


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
}


@both_methods
@pytest.mark.parametrize("kind", ODD)
def test_odd_data_are_a_map(X, method, kind):
    data, params = ODD[kind](X)
    assert_a_map(embed(data, method=method, **params), N)


@both_inits
@pytest.mark.parametrize(
    ("method", "n_components"),
    [*(("barnes_hut", c) for c in (1, 2, 3)), *(("exact", c) for c in (1, 2, 3, 7))],
)
@pytest.mark.parametrize("n", [2, 3])
def test_two_and_three_points_are_a_map(X, method, init, n_components, n):
    embedding = embed(X[:n], method=method, init=init, n_components=n_components, perplexity=1)
    assert_a_map(embedding, n, n_components)
    assert len(np.unique(embedding, axis=0)) == n


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


def memory_mapped(X):
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, X.dtype, "w+", shape=X.shape)
    mapped[:] = X
    return mapped


KINDS = {
    "memory-mapped": memory_mapped,
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


def entries_twice(container):
    """Makes X with every entry stored as two halves."""

    def make(X):
        once = container(X)
        halves = np.repeat(once.data / 2, 2)
        if container is sparse.coo_array:
            rows_and_columns = (np.repeat(once.row, 2), np.repeat(once.col, 2))
            return container((halves, rows_and_columns), shape=X.shape)
        return container((halves, np.repeat(once.indices, 2), 2 * once.indptr), shape=X.shape)

    return make


# Two forms of the same numbers. float32 would not tell large integers apart.
SAME = {
    "booleans": (lambda X: X > 20, lambda X: (X > 20).astype(float)),
    "large integers": (lambda X: X.astype(np.int64) + 10**12, lambda X: X.astype(np.int64)),
    **{
        f"integers, {form.__name__}": (lambda X, form=form: form(X.astype(np.int64)), form)
        for form in (sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.lil_array)
    },
    **{
        f"entries twice, {form.__name__}": (entries_twice(form), form)
        for form in (sparse.csr_array, sparse.csc_array, sparse.coo_array)
    },
}


@both_methods
@pytest.mark.parametrize("kind", SAME)
def test_the_same_numbers_give_the_same_map(X, method, kind):
    given, plain = (make(X) for make in SAME[kind])
    before = given.copy()
    assert_array_equal(embed(given, method=method), embed(plain, method=method))
    if sparse.issparse(given):
        assert given.nnz == before.nnz  # the user's stays as it was


def without_a_value(X):
    polars = pytest.importorskip("polars")
    return from_polars(X).with_columns(polars.lit(None).cast(polars.Float64).alias("a"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X: changed(X.astype(object), (3, 1), "abc"), "abc"),
        (lambda X: changed(X.astype(str), (3, 1), "abc"), "abc"),
        (
            lambda X: from_pandas(X).assign(name="abc"),
            "no real numbers in column 'name' \\((object|str)",
        ),
        (lambda X: from_pandas_nullable(X).replace(X[3, 1], None), "NaN|NA"),
        (without_a_value, "NaN"),
    ],
    ids=["object", "strings", "pandas, words", "pandas, missing", "polars, missing"],
)
def test_words_and_missing_values_are_an_error(X, spoil, message):
    with pytest.raises(ValueError, match=message):
        embed(spoil(X))


# Initialisation ----------------------------------------------------------------------


@both_methods
@pytest.mark.parametrize("scale", [1e-45, 1e-30, 1e6, 1e12])
@pytest.mark.filterwarnings("ignore:init has a standard deviation")
def test_init_may_have_any_scale(X, init, method, scale):
    assert_a_map(embed(X, method=method, init=init * np.float32(scale)), N)


@both_methods
@pytest.mark.parametrize("scale", [1e18, 1e20, 1e30, 1e37])
@pytest.mark.filterwarnings("ignore:init has a standard deviation")
def test_a_huge_init_is_a_map_or_an_error(X, init, method, scale):
    init = init * np.float32(scale)
    assert_a_map_or_an_error_about(["init"], X, method=method, init=init)


# Parameters --------------------------------------------------------------------------


OUT_OF_BOUNDS = {
    "n_components": [0, 2.0, "2"],
    "perplexity": [0, -5, np.nan, "30"],
    "early_exaggeration": [0.5, np.nan, 10**400],
    "learning_rate": [0, -1, "fast", np.nan, 10**400],
    "max_iter": [249, 300.0],
    "n_iter_without_progress": [-2],
    "min_grad_norm": [-1e-9],
    "metric": ["unheard of", 3],
    "metric_params": [[("p", 1)]],
    "init": ["unheard of", None, 3],
    "verbose": [-1],
    "random_state": [-1, 2**32, "seed"],
    "method": ["fft", None],
    "angle": [-0.1, 1.1, np.nan],
    "n_jobs": ["all", 1.5],
    "degrees_of_freedom": [0, -1, np.inf, np.nan, "learned", [1.0]],
    "early_exaggeration_iter": [-1, 10.0],
    "exaggeration": [0, -1.0, np.nan, 10**400, "4"],
    "density": [-0.1, np.nan, 10**4, "0.5"],
    "warm_start": ["yes"],
    "callback": [3],
    "callback_every": [0],
    "progress": [2],
    "kl_per_sample": [None],
}


@pytest.mark.parametrize("name", OUT_OF_BOUNDS)
def test_a_parameter_out_of_bounds_is_named(X, name):
    for value in OUT_OF_BOUNDS[name]:
        with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of TSNE"):
            embed(X, **{name: value})


@both_methods
@pytest.mark.parametrize("metric", ["matching", "wminkowski"])
def test_a_metric_that_is_gone_is_named(X, method, metric):
    # scikit-learn's list of names still has them.
    assert_a_map_or_an_error_about(["metric", "Metric"], X > 20, method=method, metric=metric)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"metric": "mahalanobis"}, "VI"),
        ({"metric": "mahalanobis", "metric_params": {"V": np.zeros((2, 2))}}, "takes V of shape"),
        ({"metric": "manhattan", "metric_params": {"unheard": 3}}, "unheard"),
    ],
)
def test_missing_and_unknown_metric_params_are_an_error(X, params, message):
    with pytest.raises((TypeError, ValueError), match=message):
        embed(X, **params)


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


# Precomputed distances; graphs are in tests/neighbors/test_given.py ----------------------


@both_methods
@pytest.mark.parametrize("kind", ["integers", "list", "diagonal"])
def test_distances_of_other_types_or_with_a_diagonal_give_the_same_map(X, method, kind):
    D, params = distances(X + np.random.default_rng(0).normal(size=X.shape), method=method)
    D = np.round(10 * D) if kind == "integers" else D
    expected = embed(D, **params)
    np.fill_diagonal(D, 1e3 if kind == "diagonal" else 0.0)
    changed_type = {"integers": D.astype(int), "list": D.tolist(), "diagonal": D}[kind]
    assert_array_equal(embed(changed_type, **params), expected)


@both_methods
def test_columns_of_sparse_x_must_exist(X, method):
    for column in (4, 2**31 - 1, -1):
        compressed = sparse.csr_array(X)
        compressed.indices[3] = column
        with pytest.raises(ValueError, match=r"ind(ex|ices)|column"):
            embed(compressed, method=method)
    lists = sparse.lil_array(X)
    lists.rows[0], lists.data[0] = [10**8], [1.0]
    with pytest.raises(ValueError, match="malformed"):
        embed(lists, method=method)


# Too much ----------------------------------------------------------------------------


@pytest.mark.nosan
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
@pytest.mark.parametrize(
    ("params", "named"),
    [
        ("perplexity=30_000", "perplexity"),  # 18 billion edges: 216 GB
        ("method='exact'", "exact"),  # 40 billion pairs: 160 GB
    ],
)
def test_more_than_memory_holds_is_a_clear_memory_error_at_once(params, named):
    code = f"""
import resource
import numpy as np
from fasttsne import TSNE
from fasttsne.quality import report

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
    assert named in run_python(code, timeout=60, OPENBLAS_NUM_THREADS="1")


# What a user's code does -------------------------------------------------------------


@both_methods
def test_a_metric_that_writes_into_its_arguments_changes_neither_x_nor_the_map(X, method):
    def metric(a, b, scratch=True):
        difference = a - b
        if scratch:
            a -= b
            b[:] = 0.0
        return np.abs(difference).sum()

    before, given = X.copy(), {"method": method, "metric": metric}
    tsne = TSNE(perplexity=5, max_iter=250, random_state=0, **given).fit(X)
    tsne.transform(X[:3] + 0.5)
    assert report(X, tsne.embedding_, metric=metric).trustworthiness > 0.9
    assert_array_equal(X, before)
    expected = embed(X, **given, metric_params={"scratch": False})
    assert_array_equal(tsne.embedding_, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("prepared", [False, True])
def test_nothing_is_placed_on_a_map_without_places(X, value, prepared):
    tsne = TSNE(perplexity=5, max_iter=250).fit(X)
    if prepared:
        tsne.transform(X)
    tsne.embedding_[3] = value
    with pytest.raises(ValueError, match="embedding_ has NaN or values up to"):
        tsne.transform(X)


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "datetime64[ns, UTC]", "timedelta64[ns]"])
def test_a_column_of_dates_is_named(X, dtype):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd")).assign(when=pd.Series(range(N)).astype(dtype))
    tsne = TSNE(perplexity=5, max_iter=250)
    with pytest.raises(ValueError, match="no real numbers in column 'when'"):
        tsne.fit(frame)
    with pytest.raises(ValueError, match="no real numbers in column 'when'"):
        report(frame, X[:, :2])
