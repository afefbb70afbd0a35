"""fasttsne.affinity: perplexity calibration, p_j|i, and the joint P = (P + Pᵀ) / 2n."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference

from fasttsne import _kernels, affinity

pytestmark = pytest.mark.usefixtures("isa")


# Squared distances in no order, by a random generator and their shape.
ROWS = {
    "uniform": lambda rng, shape: rng.uniform(0.5, 2.0, size=shape),
    "gaussian": lambda rng, shape: rng.chisquare(10, size=shape),
    "spread": lambda rng, shape: 10.0 ** rng.uniform(-300, 300, size=shape),
    "ties": lambda rng, shape: rng.integers(0, 3, size=shape).astype(float),
    "narrow": lambda rng, shape: 1e9 + rng.uniform(size=shape),
    "two scales": lambda rng, shape: (
        np.where(rng.uniform(size=shape) < 0.5, 1e-300, 1e300) * rng.uniform(1, 2, shape)
    ),
    "equal": lambda rng, shape: np.full(shape, rng.uniform(0, 10)),
}


def distance_rows(kind, n, k, seed):
    return ROWS[kind](np.random.default_rng(seed), (n, k))


@given(
    kind=st.sampled_from([*ROWS]),
    k=st.integers(1, 120),
    perplexity=st.floats(1.0, 130.0),
    seed=st.integers(0, 10_000),
)
@example(kind="spread", k=91, perplexity=30.0, seed=0)
@example(kind="two scales", k=91, perplexity=30.0, seed=0)
@example(kind="two scales", k=91, perplexity=60.0, seed=0)
@example(kind="narrow", k=91, perplexity=30.0, seed=0)
@example(kind="gaussian", k=91, perplexity=90.9, seed=0)
@example(kind="gaussian", k=91, perplexity=1.001, seed=0)
@example(kind="ties", k=90, perplexity=31.0, seed=0)
def test_every_row_attains_the_perplexity_or_its_nearest_limit(kind, k, perplexity, seed):
    squared = distance_rows(kind, 4, k, seed)
    conditional, beta = affinity.conditional_probabilities(squared, perplexity)
    expected, _ = reference.conditional_probabilities(squared, perplexity)
    assert conditional.dtype == np.float32
    assert beta.dtype == np.float64
    assert not np.isnan(beta).any()
    assert np.all(beta >= 0)
    assert_allclose(conditional.sum(axis=1, dtype=np.float64), 1.0, rtol=1e-6)
    # p is rounded to single precision; scikit-learn stops at 1e-5 in the entropy
    attained = reference.perplexity_of(conditional)
    assert_allclose(attained, reference.perplexity_of(expected), rtol=1e-6)


@given(
    kind=st.sampled_from(["uniform", "gaussian", "spread", "narrow"]),
    k=st.integers(3, 120),
    part=st.floats(0.05, 0.9),
    seed=st.integers(0, 10_000),
)
def test_conditional_probabilities_equal_the_reference(kind, k, part, seed):
    # Away from perplexity 1 and k, where p depends on the perplexity like a square root.
    perplexity = 1 + part * (k - 1)
    squared = distance_rows(kind, 4, k, seed)
    conditional, beta = affinity.conditional_probabilities(squared, perplexity)
    expected, expected_beta = reference.conditional_probabilities(squared, perplexity)
    assert_allclose(conditional, expected, atol=2e-5)
    if kind == "gaussian":
        assert_allclose(beta, expected_beta, rtol=1e-4)


LIMITS = [
    *(([value] * 5, [0.5, 1.0, 3.0, 5.0, 8.0], [0.2] * 5) for value in (0.0, 1e-300, 1.0, 1e300)),
    ([0.0, 1.0, 2.0, 3.0, 1e12], [5.0, 5.5, 100.0], [0.2] * 5),  # k neighbours or more
    # Ties for nearest share a perplexity that they cannot go below.
    *(
        (
            [d, d + max(d, 1.0), d, d + 5 * max(d, 1.0), d],
            [0.3, 1.0, 2.9, 3.0],
            [1 / 3, 0, 1 / 3, 0, 1 / 3],
        )
        for d in (0.0, 1e-300, 2.0, 1e12)
    ),
    ([4.0, 1.0, 9.0], [0.25, 1.0], [0, 1, 0]),
    ([1e300, 2e300, 1.5e300], [0.25, 1.0], [1, 0, 0]),
    ([3.0, 2.0, 1e-300], [0.25, 1.0], [0, 0, 1]),
]


@pytest.mark.parametrize(("squared", "perplexities", "expected"), LIMITS)
def test_a_perplexity_out_of_reach_gives_the_nearest_limit(squared, perplexities, expected):
    for perplexity in perplexities:
        conditional, _ = affinity.conditional_probabilities(np.array([squared]), perplexity)
        assert_allclose(conditional[0], expected, rtol=1e-6, atol=1e-30)


def test_scaling_all_distances_changes_beta_and_not_the_probabilities():
    squared = distance_rows("gaussian", 6, 40, seed=0)
    conditional, beta = affinity.conditional_probabilities(squared, 10.0)
    for exponent in [-960, 960]:
        scaled, scaled_beta = affinity.conditional_probabilities(squared * 2.0**exponent, 10.0)
        assert_allclose(scaled, conditional, atol=1e-6)
        assert_allclose(scaled_beta * 2.0**exponent, beta, rtol=1e-5)


def test_nearer_neighbors_are_likelier_and_order_does_not_matter():
    squared = np.sort(distance_rows("gaussian", 20, 60, seed=1), axis=1)
    conditional, _ = affinity.conditional_probabilities(squared, 12.0)
    assert np.all(np.diff(conditional, axis=1) <= 0)
    shuffle = np.random.default_rng(0).permutation(60)
    shuffled, _ = affinity.conditional_probabilities(squared[:, shuffle].copy(), 12.0)
    assert_allclose(shuffled, conditional[:, shuffle], rtol=1e-5, atol=1e-30)


def test_a_row_depends_neither_on_other_rows_nor_on_threads():
    squared = distance_rows("gaussian", 1000, 31, seed=4)
    before = squared.copy()
    conditional, beta = affinity.conditional_probabilities(squared, 10.0)
    assert_array_equal(squared, before)
    alone, alone_beta = affinity.conditional_probabilities(squared[37:38].copy(), 10.0)
    assert_array_equal(alone[0], conditional[37])
    assert alone_beta[0] == beta[37]
    for n_threads in (2, 3, 8):
        threaded = affinity.conditional_probabilities(squared, 10.0, n_threads=n_threads)
        assert threaded[0].tobytes() == conditional.tobytes()
        assert threaded[1].tobytes() == beta.tobytes()


@pytest.mark.parametrize("skip_diagonal", [False, True])
@pytest.mark.parametrize("kind", ["uniform", "gaussian", "ties", "equal"])
def test_single_precision_distances_give_what_the_same_doubles_give(kind, skip_diagonal):
    single = distance_rows(kind, 50, 50, seed=12).astype(np.float32)
    found = _kernels.calibrate(single, 10.0, skip_diagonal, 1)
    expected = _kernels.calibrate(single.astype(float), 10.0, skip_diagonal, 1)
    assert_array_equal(found[0], expected[0])
    assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("row", "perplexities"),
    [
        (np.geomspace(1e-45, 3e38, 60, dtype=np.float32), [1.5, 10.0, 59.0]),
        (5e-324 * np.arange(1, 41), [10.0]),
        (1e-310 * np.arange(1, 41), [10.0]),
    ],
)
def test_denormal_distances_attain_the_perplexity(row, perplexities):
    for perplexity in perplexities:
        conditional, _ = affinity.conditional_probabilities(row[None], perplexity)
        assert_allclose(reference.perplexity_of(conditional), perplexity, rtol=1e-6)


def test_distances_of_another_type_are_refused():
    with pytest.raises(TypeError):
        affinity.conditional_probabilities(np.ones((2, 5), dtype=np.int64), 2.0)


def test_skip_diagonal_leaves_each_point_out_of_its_own_row():
    n = 40
    squared = reference.squared_distances(np.random.default_rng(6).normal(size=(n, 3)))
    np.fill_diagonal(squared, np.random.default_rng(7).uniform(size=n))  # must not be looked at
    conditional, beta = _kernels.calibrate(squared, 7.0, True, 1)
    expected, expected_beta = reference.conditional_probabilities_dense(squared, 7.0)
    assert_array_equal(np.diag(conditional), 0.0)
    assert_allclose(conditional, expected, atol=2e-5)
    assert_allclose(beta, expected_beta, rtol=1e-4)


def random_graph(n, k, seed, hubs=0):
    """k distinct neighbours of each of n points, and random p_j|i. Hubs are everyone's."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(size=(n, n))
    scores[:, :hubs] -= 2.0
    np.fill_diagonal(scores, np.inf)
    indices = np.argsort(scores, axis=1)[:, :k].astype(np.int32)
    conditional = rng.uniform(size=(n, k))
    conditional /= conditional.sum(axis=1, keepdims=True)
    return indices, conditional.astype(np.float32)


@given(n=st.integers(2, 80), part=st.floats(0, 1), hubs=st.integers(0, 3), seed=st.integers(0, 999))
@example(n=2, part=1.0, hubs=0, seed=0)
@example(n=80, part=0.0, hubs=1, seed=0)
@example(n=80, part=1.0, hubs=0, seed=0)
@example(n=400, part=0.75, hubs=1, seed=8)  # rows longer than a tile
def test_joint_probabilities_equal_the_reference(n, part, hubs, seed):
    k = 1 + int(part * (n - 2))
    indices, conditional = random_graph(n, k, seed, hubs)
    indices.flags.writeable = conditional.flags.writeable = False
    joint = affinity.joint_probabilities(indices, conditional)
    assert joint.indptr.dtype == np.int64
    assert joint.indices.dtype == np.int32
    assert joint.data.dtype == np.float32
    expected = reference.joint_probabilities(indices, conditional).toarray()
    assert_allclose(affinity.as_csr(joint).toarray(), expected, rtol=1e-6)


@pytest.mark.parametrize("n", [2, 150, 1200])
def test_joint_is_symmetric_and_sorted_and_does_not_depend_on_threads(n):
    indices, conditional = random_graph(n, min(20, n - 1), seed=3, hubs=1)
    before = indices.copy(), conditional.copy()
    joint = affinity.joint_probabilities(indices, conditional)
    assert_array_equal(indices, before[0])
    assert_array_equal(conditional, before[1])
    P = affinity.as_csr(joint)
    assert_array_equal(P.toarray(), P.T.toarray())
    assert_allclose(joint.data.sum(dtype=np.float64), 1.0, atol=1e-6)
    assert P.has_canonical_format  # columns ascend, each once
    assert joint.indptr[0] == 0
    n_edges = reference.joint_probabilities(indices, conditional).nnz
    assert joint.indptr[-1] == len(joint.indices) == len(joint.data) == n_edges
    for n_threads in (2, 3, 8):
        threaded = affinity.joint_probabilities(indices, conditional, n_threads=n_threads)
        for part, expected in zip(threaded, joint, strict=True):
            assert part.tobytes() == expected.tobytes()


@pytest.mark.parametrize("capacity", [1, 300, 5000])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_joint_does_not_depend_on_how_much_is_transposed_at_a_time(capacity, n_threads):
    graph = random_graph(300, 40, seed=9, hubs=1)  # 300 edges lead to the hub
    whole = _kernels.symmetrize(*graph, n_threads)
    for part, expected in zip(_kernels.symmetrize(*graph, n_threads, capacity), whole, strict=True):
        assert part.tobytes() == expected.tobytes()


def test_joint_of_a_neighbor_listed_twice_stays_in_bounds():
    indices = np.zeros((9000, 40), dtype=np.int32)  # not a graph: only the memory matters
    conditional = np.full(indices.shape, 1 / 40, dtype=np.float32)
    joint = affinity.joint_probabilities(indices, conditional)
    assert joint.indptr[-1] == len(joint.indices) == len(joint.data) == 2 * 9000 - 1
    with pytest.raises(MemoryError):
        _kernels.symmetrize(indices, conditional, 1, 1)


@pytest.mark.parametrize("index", [-1, 50])
def test_joint_refuses_an_index_out_of_range(index):
    indices, conditional = random_graph(50, 5, seed=10)
    indices[17, 3] = index
    with pytest.raises(ValueError, match="out of range"):
        affinity.joint_probabilities(indices, conditional)


@pytest.mark.parametrize("part", [0.05, 0.4, 0.9])
@pytest.mark.parametrize(("n", "scale"), [(2, 1), (3, 1), (10, 1), (40, 1), (301, 1), (20, 0)])
def test_dense_joint_equals_the_reference(n, scale, part):
    X = scale * np.random.default_rng(n).normal(size=(n, 4))
    squared = reference.squared_distances(X)
    perplexity = 1 + part * (n - 2)
    joint = affinity.joint_probabilities_dense(squared, perplexity)
    assert joint.dtype == np.float32
    expected = reference.joint_probabilities_dense(squared, perplexity)
    assert_allclose(joint, expected, atol=scale * 2e-5 / n)
    conditional = _kernels.calibrate(squared, perplexity, True, 1)[0].astype(float)
    assert_allclose(joint, (conditional + conditional.T) / (2 * n), rtol=1e-6)
    assert_array_equal(joint, joint.T)
    assert_allclose(joint.sum(dtype=np.float64), 1.0, atol=1e-6)
    assert_array_equal(np.diag(joint), 0.0)
    for n_threads in (2, 3, 8):
        threaded = affinity.joint_probabilities_dense(squared, perplexity, n_threads=n_threads)
        assert threaded.tobytes() == joint.tobytes()


def test_dense_joint_equals_the_sparse_with_all_neighbors():
    X = np.random.default_rng(9).normal(size=(80, 4))
    dense = affinity.joint_probabilities_dense(reference.squared_distances(X), 15.0)
    indices, squared = reference.nearest_neighbors(X, 79)
    conditional, _ = affinity.conditional_probabilities(squared, 15.0)
    joint = affinity.joint_probabilities(indices.astype(np.int32), conditional)
    assert_allclose(affinity.as_csr(joint).toarray(), dense, rtol=1e-5, atol=1e-12)
