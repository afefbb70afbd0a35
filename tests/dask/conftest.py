"""A fitted model, the places of all digits on its map, and the synchronous scheduler."""

import pytest

import fasttsne


@pytest.fixture
def synchronous():
    """One block after the other, unless a test says otherwise."""
    dask = pytest.importorskip("dask")
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="session")
def fitted(digits):
    return fasttsne.TSNE(max_iter=250, random_state=0, perplexity=10.0).fit(digits[:400])


@pytest.fixture(scope="session")
def placed(digits, fitted):
    return fitted.transform(digits)
