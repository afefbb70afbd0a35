"""fasttsne.samples.checks: malformed sparse matrices, which C code would follow out of bounds."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from fasttsne import TSNE
from fasttsne.affinity.given import checked_affinities
from fasttsne.descent import optimize_embedding
from fasttsne.initialization import laplacian_eigenmap
from fasttsne.neighbors import nearest_neighbors, pairwise_squared_distances
from fasttsne.quality import kl_divergence, trustworthiness
from fasttsne.samples.checks import check_readable

X = sparse.random(60, 12, 0.5, format="csr", random_state=0)
MAP = np.random.default_rng(0).normal(size=(60, 2))


def cut(part, by=2):
    return lambda matrix: setattr(matrix, part, getattr(matrix, part)[:-by])


def put(part, place, value):
    return lambda matrix: getattr(matrix, part).__setitem__(place, value)


def put_beside(matrix):
    dict.__setitem__(getattr(matrix, "_dict", matrix), (99, 3), 1.0)


FORMS = "csr", "csc", "bsr"
DAMAGE = [
    *((form, cut(part)) for form in FORMS for part in ("indptr", "indices", "data")),
    *((form, put("indptr", 3, 10**6)) for form in FORMS),
    *((form, put("indices", 3, value)) for form in FORMS for value in (-1, 60)),
    *(("coo", cut(part)) for part in ("row", "col", "data")),
    *(("dia", cut(part)) for part in ("offsets", "data")),
    *(("lil", cut(part)) for part in ("rows", "data")),
    ("lil", put("rows", 3, [1, 2, 3])),
    ("lil", put("rows", 3, [99] * 6)),
    ("dok", put_beside),
    *((form, lambda matrix: setattr(matrix, "data", None)) for form in (*FORMS, "coo")),
    *((form, lambda matrix: setattr(matrix, "data", matrix.data * 1j)) for form in FORMS),
]


def damaged(form, damage):
    matrix = X.tobsr((2, 2)) if form == "bsr" else X.asformat(form)
    matrix = matrix.copy()
    damage(matrix)
    return matrix


@pytest.mark.parametrize(("form", "damage"), DAMAGE)
def test_a_malformed_matrix_of_any_format_is_refused(form, damage):
    with pytest.raises(ValueError, match="X is a malformed sparse matrix"):
        check_readable(damaged(form, damage))


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"])
def test_a_whole_matrix_of_any_format_stays_what_it_is(form):
    matrix = X.asformat(form)
    assert_array_equal(check_readable(matrix).toarray(), X.toarray())


def test_flags_that_were_true_before_the_arrays_changed_are_not_believed():
    matrix = X.copy()
    assert matrix.has_sorted_indices
    matrix.indices[:2] = matrix.indices[:2][::-1]
    assert not check_readable(matrix).has_sorted_indices


P = (lambda square: square / square.sum())(X @ X.T)


@pytest.mark.parametrize(
    ("use", "whole"),
    [
        (lambda A: TSNE(perplexity=5).fit(A), X),
        (lambda A: nearest_neighbors(A, 5), X),
        (lambda A: pairwise_squared_distances(A), X),
        (lambda A: trustworthiness(A, MAP), X),
        (lambda A: kl_divergence(A, MAP, perplexity=None), P),
        (lambda A: checked_affinities(A), P),
        (lambda A: laplacian_eigenmap(A, 2, np.random.RandomState(0)), P),
        (lambda A: optimize_embedding(A, MAP), P),
    ],
)
def test_functions_that_take_sparse_matrices_refuse_malformed_ones(use, whole):
    matrix = whole.tocsc()
    matrix.indptr = matrix.indptr[:-2]
    with pytest.raises(ValueError, match="malformed"):
        use(matrix)


@pytest.mark.parametrize("shape", [(30,), (30, 3, 2)])
def test_sparse_arrays_must_be_two_dimensional(shape):
    try:
        array = sparse.coo_array(np.ones(shape))
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim == 2:
        pytest.skip("this SciPy has two-dimensional arrays only")
    with pytest.raises(ValueError, match="X must be two-dimensional"):
        TSNE().fit(array)


def test_billions_of_columns_are_refused_before_memory_is_taken():
    places = np.repeat(np.arange(60), 2), np.arange(120) * 10_000_000
    with pytest.raises(ValueError, match="2,000,000,000 columns"):
        TSNE(perplexity=5).fit(sparse.csr_matrix((np.ones(120), places), (60, 2_000_000_000)))
