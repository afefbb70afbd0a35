"""fasttsne.samples.principal_axes: against scikit-learn's PCA, and on any number of threads."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg
from sklearn.decomposition import PCA

from fasttsne.samples import principal_axes as module
from fasttsne.samples.principal_axes import principal_axes


def elongated(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * 2.0 ** -np.arange(d) + rng.normal(size=d)
    return X.astype(np.float32)


@pytest.fixture(params=["double", "single"])
def precision(request, monkeypatch):
    if request.param == "single":
        monkeypatch.setattr(module, "_DOUBLE_WORK", 0)
    return request.param


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize(("n", "d"), [(5000, 7), (200, 8), (5, 8), (30, 1)])
def test_axes_equal_those_of_scikit_learn_with_their_signs(n, d):
    X = elongated(n, d)
    n_axes = min(3, n, d)
    axes = principal_axes(X, n_axes)
    pca = PCA(n_components=n_axes, svd_solver="full").fit(X.astype(np.float64))
    assert_allclose(axes.mean, pca.mean_, rtol=1e-6)
    assert_allclose(axes.components, pca.components_, atol=1e-4)
    assert_allclose(axes.variances, pca.explained_variance_ * (n - 1) / n, rtol=1e-4)
    assert_allclose(axes.total_variance, X.var(axis=0, dtype=np.float64).sum(), rtol=1e-4)
    assert_allclose(axes.project(X, n_axes), pca.transform(X), atol=1e-4)


def test_axes_and_the_rest_make_up_the_squared_length():
    X = elongated(3000, 10)
    axes = principal_axes(X, 4)
    coordinates = axes.project(X, 2)
    rest = axes.squared_rest(X, coordinates)
    whole = np.sum((X - axes.mean) ** 2, axis=1)
    assert coordinates.dtype == rest.dtype == np.float32
    assert_allclose(rest + np.sum(coordinates.astype(float) ** 2, axis=1), whole, rtol=1e-4)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_same_bits_with_any_number_of_threads(n_threads):
    X = elongated(40_000, 9)
    one, many = principal_axes(X, 5), principal_axes(X, 5, n_threads=n_threads)
    coordinates = one.project(X, 5)
    rest = one.squared_rest(X, coordinates)
    assert_array_equal(many.components, one.components)
    assert_array_equal(many.variances, one.variances)
    assert_array_equal(one.project(X, 5, n_threads=n_threads), coordinates)
    assert_array_equal(one.squared_rest(X, coordinates, n_threads=n_threads), rest)


def test_all_axes_are_not_asked_for_by_number(monkeypatch):
    """Then SciPy before 1.10 writes beyond an array."""
    subsets = []

    def eigh(*args, **kwargs):
        subsets.append(kwargs["subset_by_index"])
        return linalg.eigh(*args, **kwargs)

    monkeypatch.setattr(module, "eigh", eigh)
    for n_axes in (1, 4, 5):
        principal_axes(elongated(100, 5), n_axes)
    assert subsets == [(4, 4), (1, 4), None]


def test_constant_data_have_no_variance():
    axes = principal_axes(np.full((100, 4), 0.25, dtype=np.float32), 2)
    assert_array_equal(axes.variances, 0.0)
    assert_array_equal(axes.project(np.full((3, 4), 0.25, dtype=np.float32), 2), 0.0)
