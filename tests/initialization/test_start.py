"""fasttsne.initialization.start: where the points start."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from points import unaligned
from reference import tsne as reference
from scipy import sparse
from sklearn.base import clone

from fasttsne import TSNE, ContrastiveTSNE
from fasttsne.initialization import start as initialization


def initial_embedding(X, init, n_components, seed):
    random_state = np.random.RandomState(seed)
    return initialization.initial_embedding(X, init, n_components, random_state)


def elongated(n=200, d=8, seed=0):
    """Points whose principal components are well apart."""
    return np.random.default_rng(seed).normal(size=(n, d)) * 2.0 ** -np.arange(d) + 3.0


def assert_equal_up_to_sign(actual, expected, **tolerance):
    signs = np.sign(np.sum(actual * expected, axis=0))
    assert_allclose(actual * signs, expected, **tolerance)


def assert_points_can_move(embedding):
    """Nowhere a column of equal values: no force would act along it."""
    assert embedding.dtype == np.float32
    assert np.isfinite(embedding).all()
    assert np.all(np.ptp(embedding, axis=0) > 0)
    assert np.abs(embedding).max() < 1e-2


@pytest.fixture(params=["dense", "made dense", "kept sparse"])
def form(request, monkeypatch):
    """Brings X into one of three forms, of which the last takes scikit-learn's PCA."""
    if request.param == "kept sparse":
        monkeypatch.setattr(initialization, "_SMALL_SPARSE", 0)
    return np.asarray if request.param == "dense" else sparse.csr_array


@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pca_equals_the_reference_up_to_sign(n_components, dtype):
    X = elongated(50).astype(dtype)  # so few that no two start at the same place
    embedding = initial_embedding(X, "pca", n_components, 0)
    assert embedding.dtype == np.float32
    assert embedding.flags.c_contiguous
    assert embedding.shape == (50, n_components)
    assert_equal_up_to_sign(embedding, reference.pca_start(X, n_components), atol=1e-8)


def wide():
    return np.random.default_rng(0).normal(size=(60, 1100)) * np.r_[9.0, 5.0, np.full(1098, 0.01)]


@pytest.mark.parametrize(
    ("make", "atol"),
    [(lambda digits: digits, 1e-8), (lambda _: wide(), 1e-7), (lambda _: elongated() + 1e6, 1e-8)],
    ids=["digits", "wide", "large offset"],
)
def test_pca_of_other_data_equals_the_reference(digits, make, atol):
    X = make(digits)
    X.flags.writeable = False  # Writing to the data would raise.
    embedding = initial_embedding(X, "pca", 2, 0)
    assert_equal_up_to_sign(embedding, reference.pca_start(X, 2), atol=atol)
    assert_allclose(embedding[:, 0].std(dtype=np.float64), 1e-4, rtol=1e-5)
    assert_array_equal(initial_embedding(X, "pca", 2, 0), embedding)


def test_pca_of_sparse_data_is_that_of_the_dense(form):
    X = (elongated(50) - 3.0) * (np.random.default_rng(1).uniform(size=(50, 8)) < 0.7)
    embedding = initial_embedding(form(X), "pca", 2, 0)
    assert embedding.dtype == np.float32
    assert_equal_up_to_sign(embedding, reference.pca_start(X, 2), atol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(50, 1), (50, 2), (2, 5), (3, 1), (2, 1)])
def test_pca_of_too_few_features_or_samples_fills_every_column(form, n, d):
    X = elongated(n, d)
    embedding = initial_embedding(form(X), "pca", 3, 0)
    assert embedding.shape == (n, 3)
    assert_points_can_move(embedding)
    assert_equal_up_to_sign(embedding[:, :1], reference.pca_start(X, 1), atol=1e-8)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 7e5, 1e30])
def test_pca_of_constant_data(form, value):
    assert_points_can_move(initial_embedding(form(np.full((40, 3), value)), "pca", 2, 0))


def test_pca_parts_duplicates_by_little_and_always_alike():
    X = np.repeat(elongated(20), 3, axis=0)
    embedding = initial_embedding(X, "pca", 2, 0)
    assert len(np.unique(embedding, axis=0)) == 60
    assert_equal_up_to_sign(embedding, reference.pca_start(X, 2), atol=1e-5)
    assert_array_equal(initial_embedding(X, "pca", 2, 0), embedding)


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        *((scale, np.float64) for scale in (1e-300, 1e-150, 1e-40, 1e-30, 1e30, 1e140)),
        *((scale, np.float32) for scale in (1e-30, 1e30)),
    ],
)
def test_pca_does_not_depend_on_the_scale_of_the_data(dtype, scale):
    X = elongated()
    embedding = initial_embedding((X * scale).astype(dtype), "pca", 2, 0)
    assert_equal_up_to_sign(embedding, reference.pca_start(X, 2), atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pca_with_one_point_1e30_away_is_finite(dtype):
    X = elongated().astype(dtype)
    X[7] = 1e30
    assert np.isfinite(initial_embedding(X, "pca", 2, 0)).all()


def test_random_equals_scikit_learn_for_the_same_seed():
    expected = 1e-4 * np.random.RandomState(5).standard_normal(size=(30, 2)).astype(np.float32)
    assert_array_equal(initial_embedding(np.zeros((30, 3)), "random", 2, 5), expected)


def test_random_depends_on_the_random_state_only_which_is_drawn_from():
    X, random_state = elongated(30), np.random.RandomState(1)
    first = initial_embedding(X, "random", 2, 1)
    assert first.dtype == np.float32
    assert_array_equal(initial_embedding(X + 1, "random", 2, 1), first)
    for expected in (True, False):
        again = initialization.initial_embedding(X, "random", 2, random_state)
        assert np.array_equal(again, first) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8])
@pytest.mark.parametrize(
    "form",
    [np.asarray, np.asfortranarray, unaligned, lambda init: np.repeat(init, 2, axis=1)[:, ::2]],
    ids=["C", "F", "unaligned", "strided"],
)
def test_array_is_copied_as_it_is(dtype, form):
    init = form(np.arange(40, dtype=dtype).reshape(20, 2))
    init.flags.writeable = False
    embedding = initial_embedding(np.zeros((20, 3)), init, 2, 0)
    assert embedding.dtype == np.float32
    assert embedding.flags.c_contiguous
    assert embedding.flags.writeable
    assert_array_equal(embedding, init)
    assert not np.shares_memory(embedding, init)


@pytest.mark.parametrize(
    "shape",
    [(19, 2), (21, 2), (20, 1), (20, 3), (2, 20), (20,), (40,), (20, 2, 1), (0, 2)],
)
def test_array_of_another_shape_is_refused_by_name(shape):
    with pytest.raises(ValueError, match="init has shape"):
        initial_embedding(np.zeros((20, 3)), np.zeros(shape), 2, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39, 1e300])
def test_array_that_is_not_finite_in_single_precision_is_refused_by_name(bad, dtype):
    # scikit-learn crashes on these.
    init = np.zeros((20, 2), dtype=dtype)
    with np.errstate(over="ignore"):
        init[3, 1] = bad
    with pytest.raises(ValueError, match=r"init contains NaN, infinity or a value too large"):
        initial_embedding(np.zeros((20, 3)), init, 2, 0)


def test_array_of_no_numbers_is_refused_by_name():
    with pytest.raises(ValueError, match="init must have a float or integer dtype"):
        initial_embedding(np.zeros((20, 3)), np.full((20, 2), "a"), 2, 0)


@pytest.mark.parametrize("model", [TSNE(perplexity=5, max_iter=250), ContrastiveTSNE(n_epochs=5)])
def test_a_wide_array_is_told(model):
    X = elongated(60)
    wide = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.warns(UserWarning, match=r"init has a standard deviation of .*scale it to"):
        clone(model).set_params(init=wide).fit(X)
    clone(model).set_params(init=1e-3 * wide).fit(X)


def test_a_wide_array_that_goes_on_is_welcome():
    X, wide = elongated(60), np.random.default_rng(0).normal(size=(60, 2))
    tsne = TSNE(perplexity=5, max_iter=250, init=wide)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clone(tsne).fit(X, fixed=np.arange(60) < 9)
        clone(tsne).set_params(early_exaggeration_iter=0).fit(X)
    assert caught == []


@pytest.mark.parametrize("estimator", [TSNE, ContrastiveTSNE])
@pytest.mark.parametrize("init", [np.zeros((50, 2)), np.tile([3.0, 1.0], (50, 1))])
def test_an_array_of_one_place_is_refused(estimator, init):
    with pytest.raises(ValueError, match="init puts all points in one place"):
        estimator(init=init).fit(elongated(50))


def test_all_points_pinned_in_one_place_are_refused_too():
    pinned = np.ones(50, dtype=bool)
    with pytest.raises(ValueError, match="in one place"):
        TSNE(init=np.zeros((50, 2))).fit(elongated(50), fixed=pinned)


@pytest.mark.parametrize("estimator", [TSNE, ContrastiveTSNE])
def test_first_coordinates_may_be_a_list_or_a_frame(estimator):
    pandas = pytest.importorskip("pandas")
    X = elongated(50)
    init = initial_embedding(X, "random", 2, 0)
    maps = [
        estimator(init=given, random_state=0).fit_transform(X)
        for given in (init, init.tolist(), pandas.DataFrame(init))
    ]
    assert_array_equal(maps[0], maps[1])
    assert_array_equal(maps[0], maps[2])
