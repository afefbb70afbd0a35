"""Places of blocks of rows: the bits of fasttsne.TSNE.transform, and what is refused."""

import numpy as np
import pytest
from dask_support import (
    CHUNKINGS,
    SHORT,
    blocks,
    counting_unpicklings,
    da,
    dask,
    delayed_blocks,
    processes_noted,
)
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError

import fasttsne
from fasttsne import ContrastiveTSNE
from fasttsne import transform as placement
from fasttsne.dask import TSNE, transform

pytestmark = pytest.mark.usefixtures("synchronous")


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("rows", CHUNKINGS)
def test_blocks_are_placed_where_the_batch_is(digits, fitted, placed, rows, scheduler):
    with dask.config.set(scheduler=scheduler):
        found = transform(fitted, blocks(digits, rows))
        assert found.chunks == (da.core.normalize_chunks((rows, 2), (1797, 2)))
        assert found.dtype == np.float32
        assert_array_equal(found.compute(), placed)


@pytest.mark.parametrize(
    "form",
    [
        lambda X: blocks(X, 700, columns=20),
        lambda X: blocks(X.astype(np.float32)),
        lambda X: blocks(X.astype(np.uint8)),
        lambda X: delayed_blocks(X, 600),
        lambda X: dask.delayed(lambda: X)(),
    ],
    ids=["chunks of columns", "float32", "uint8", "delayed", "one delayed"],
)
def test_other_forms(digits, fitted, placed, form):
    assert_array_equal(transform(fitted, form(digits)).compute(), placed)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_sparse_blocks(digits, metric):
    X = sparse.csr_matrix(digits[:300])
    tsne = fasttsne.TSNE(metric=metric, **SHORT).fit(X[:200])
    x = blocks(digits[:300], 110).map_blocks(sparse.csr_matrix)
    expected = tsne.transform(X)
    assert_array_equal(transform(tsne, x).compute(), expected)
    assert_array_equal(transform(tsne, delayed_blocks(X, 110)).compute(), expected)
    model = TSNE(landmarks=200, metric=metric, **SHORT)
    found = model.fit_transform(x.rechunk((110, 30)))
    plain = fasttsne.TSNE(metric=metric, **SHORT).fit(X[model.landmark_rows_])
    assert_array_equal(found.compute()[model.landmark_rows_], plain.embedding_)


@pytest.mark.parametrize("metric", ["correlation", "jaccard", "hamming"])
def test_metrics_with_kernels(digits, metric):
    X = digits[:300] if metric == "correlation" else (digits[:300] > 7).astype(float)
    tsne = fasttsne.TSNE(metric=metric, **SHORT).fit(X[:200])
    assert_array_equal(transform(tsne, blocks(X, 110)).compute(), tsne.transform(X))
    model = TSNE(landmarks=200, metric=metric, **SHORT)
    found = model.fit_transform(blocks(X, 110)).compute()
    plain = fasttsne.TSNE(metric=metric, **SHORT).fit(X[model.landmark_rows_])
    expected = plain.transform(X)
    expected[model.landmark_rows_] = plain.embedding_  # equal landmarks have places of their own
    assert_array_equal(found, expected)


def test_a_metric_of_the_user_and_a_perplexity(digits):
    def manhattan(a, b):
        return np.abs(a - b).sum()

    tsne = fasttsne.TSNE(metric=manhattan, callback=lambda _: None, **SHORT).fit(digits[:60])
    expected = tsne.transform(digits[60:100], perplexity=4.0)
    x = blocks(digits[60:100], 15)
    assert_array_equal(transform(tsne, x, perplexity=4.0).compute(), expected)
    assert tsne.callback is not None


def test_the_search_is_prepared_once_and_stays(digits, fitted, placed, monkeypatch):
    lazy = transform(fitted, blocks(digits))
    fitted.transform(digits[:5], perplexity=3.0)  # the estimator now keeps another index

    def refuse(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(placement, "neighbor_index", refuse)
    monkeypatch.setattr(placement, "FrozenMap", refuse)
    assert_array_equal(lazy.compute(), placed)


def test_processes_read_the_model_once(digits, fitted, placed, tmp_path):
    lazy = transform(counting_unpicklings(fitted, tmp_path / "seen"), blocks(digits[:600], 50))
    found = lazy.compute(scheduler="processes", num_workers=2)
    assert_array_equal(found, placed[:600])
    readers = processes_noted(tmp_path / "seen")
    assert 1 <= len(readers) <= 2
    assert len(set(readers)) == len(readers)


@pytest.mark.parametrize(
    ("model", "n_features", "perplexity", "error", "message"),
    [
        (fasttsne.TSNE(), 64, None, NotFittedError, "not fitted"),
        (TSNE(), 64, None, NotFittedError, "not fitted"),
        (ContrastiveTSNE(), 64, None, TypeError, "got ContrastiveTSNE"),
        ("of distances", 50, None, ValueError, "model was fitted on distances"),
        (None, 60, None, ValueError, "X has 60 features, but model was fitted with 64"),
        (None, 64, 0.0, ValueError, "perplexity"),
        (None, 64, 400.0, ValueError, "perplexity"),
        (None, 64, "3", TypeError, None),
    ],
)
def test_what_is_refused(digits, fitted, model, n_features, perplexity, error, message):
    if model == "of distances":
        distances = np.abs(np.subtract.outer(np.arange(50.0), np.arange(50.0)))
        model = fasttsne.TSNE(metric="precomputed", init="random", **SHORT).fit(distances)
    x = blocks(digits[:, :n_features])
    with pytest.raises(error, match=message):
        transform(fitted if model is None else model, x, perplexity=perplexity)
