"""fasttsne.neighbors.given: graphs that the user brings, in any form, and malformed ones."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsTransformer

from fasttsne import TSNE

N = 40


@pytest.fixture
def graph():
    """A graph as scikit-learn makes it, without ties, of more neighbours than the fits need."""
    X = make_blobs(N, n_features=4, centers=3, random_state=0)[0]
    return sparse.csr_array(KNeighborsTransformer(n_neighbors=25).fit_transform(X))


def embed_graph(graph):
    short = {"perplexity": 5, "max_iter": 250, "random_state": 0, "n_jobs": 1}
    return TSNE(metric="precomputed", init="random", **short).fit_transform(graph)


def fewer(graph, kept):
    """The graph with only the first entries of each row."""
    data, indices = (part.reshape(N, 26)[:, :kept].ravel() for part in (graph.data, graph.indices))
    return sparse.csr_array((data, indices, np.arange(N + 1) * kept), shape=(N, N))


def one_row_short(graph):
    graph.indptr[-1] -= 20
    return sparse.csr_array((graph.data[:-20], graph.indices[:-20], graph.indptr), shape=(N, N))


def shuffled(graph):
    """The same graph with the entries of each row in another order."""
    rng = np.random.default_rng(0)
    order = np.concatenate(
        [rng.permutation(np.arange(*graph.indptr[row : row + 2])) for row in range(N)]
    )
    return sparse.csr_array((graph.data[order], graph.indices[order], graph.indptr), shape=(N, N))


def wide(graph, dtype=np.int64):
    """The same graph with indices of another type."""
    graph = graph.copy()
    graph.indices, graph.indptr = graph.indices.astype(dtype), graph.indptr.astype(dtype)
    return graph


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EfficiencyWarning")
@pytest.mark.parametrize(
    "form",
    [
        shuffled,
        wide,
        sparse.csc_array,
        sparse.coo_array,
        sparse.lil_array,
        lambda graph: graph.astype(np.float32),
        lambda graph: graph.astype(np.int64),
    ],
    ids=["unsorted", "wide", "csc", "coo", "lil", "float32", "int64"],
)
def test_a_graph_may_have_any_form(graph, form):
    graph.data = np.round(1000 * graph.data)
    assert_array_equal(embed_graph(form(graph)), embed_graph(graph))


NO_COLUMN = r"ind(ex|ices)|column"


def with_a_column_twice(graph):
    graph.indices[1] = graph.indices[2]
    graph.has_canonical_format = False
    return graph


def with_value(graph, part, place, value, index_dtype=np.int32):
    """The graph with one value of data, indices or indptr changed."""
    graph = wide(graph, index_dtype)
    getattr(graph, part)[place] = value
    return graph


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        *((fewer, (kept,), "neighbors") for kept in (0, 1, 3)),
        (lambda graph: graph[:, :-1], (), "square"),
        (with_a_column_twice, (), r"duplicate|twice|more than once"),
        (with_value, ("data", 9, -1.0), "positive"),
        *(
            (with_value, ("indices", 3, column, np.int32), NO_COLUMN)
            for column in (N, N + 5, 2**31 - 1, -1, -(2**31))
        ),
        *((with_value, ("indices", 3, column, np.int64), NO_COLUMN) for column in (N, 2**40, -1)),
        *(
            (with_value, ("indptr", 5, pointer), r"ind(ex|ptr)|pointer")
            for pointer in (-1, 10, 10**9)
        ),
    ],
)
def test_a_bad_graph_is_a_clear_error(graph, spoil, arguments, message):
    with pytest.raises(ValueError, match=message):
        embed_graph(spoil(graph, *arguments))


@pytest.mark.parametrize(("spoil", "arguments"), [(fewer, (10,)), (one_row_short, ())])
def test_a_graph_of_too_few_neighbors_lowers_the_perplexity(graph, spoil, arguments):
    with pytest.warns(UserWarning, match="perplexity=5 is lowered to .* only . neighbors"):
        assert np.isfinite(embed_graph(spoil(graph, *arguments))).all()


def test_a_graph_of_zeros_is_a_map(graph):
    graph.data[:] = 0.0
    assert np.isfinite(embed_graph(graph)).all()
