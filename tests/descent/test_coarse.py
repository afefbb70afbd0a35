"""Groups of points, P between them, and the first map that comes from theirs."""

import re

import numpy as np
import pytest
from fits import assert_same_bits
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import make_blobs

from fasttsne import TSNE, _kernels, affinity, neighbors
from fasttsne.affinity.joint import JointProbabilities, as_csr
from fasttsne.descent import coarse, optimize_embedding
from fasttsne.descent.schedule import COARSE, LARGE, N_COARSE, USUAL
from fasttsne.pipeline import checked_samples, may_start_coarse, schedule_of
from fasttsne.samples.checks import Samples


def as_joint(graph):
    graph = sparse.csr_matrix(graph, dtype=np.float32)
    graph.sort_indices()
    return JointProbabilities(graph.indptr.astype(np.int64), graph.indices, graph.data)


def of_pairs(n, pairs, p=None):
    """P of undirected pairs of points, with sum 1."""
    rows, columns = np.array(pairs).T
    p = np.ones(len(pairs)) if p is None else np.asarray(p, dtype=float)
    graph = sparse.coo_matrix((p, (rows, columns)), shape=(n, n))
    return as_joint((graph + graph.T) / (2 * p.sum()))


def of_blobs(n=3_000, seed=0):
    X, _ = make_blobs(n, 6, centers=5, random_state=seed)
    indices, distances = neighbors.nearest_neighbors(X, 91)
    conditional, _ = affinity.conditional_probabilities(distances**2, 30.0)
    return affinity.joint_probabilities(indices, conditional)


MANY = 10**9  # edges that joint_of_groups may return

STAR = of_pairs(50, [(0, leaf) for leaf in range(1, 50)])
LINE = of_pairs(64, [(i, i + 1) for i in range(63)])
# Two cliques that nothing joins.
APART = of_pairs(
    32, [(i + at, j + at) for at in (0, 16) for i in range(16) for j in range(i + 1, 16)]
)
LONELY = of_pairs(
    20, [(i, j) for i in range(16) for j in range(i + 1, 16)]
)  # 16 .. 19 have no edge
PAIR = of_pairs(2, [(0, 1)])
GRAPHS = {"star": STAR, "line": LINE, "apart": APART, "lonely": LONELY, "pair": PAIR}


@pytest.fixture(scope="module")
def blobs_joint():
    return of_blobs()


@pytest.mark.parametrize("name", [*GRAPHS, "blobs"])
def test_joint_of_groups_is_the_dense_product(name, blobs_joint):
    joint = GRAPHS.get(name, blobs_joint)
    n = len(joint.indptr) - 1
    groups, n_groups = _kernels.find_groups(*joint, 2)
    assert_array_equal(np.unique(groups), np.arange(n_groups))
    C = np.zeros((n, n_groups))
    C[np.arange(n), groups] = 1
    expected = C.T @ as_csr(joint).astype(np.float64).toarray() @ C
    np.fill_diagonal(expected, 0.0)
    n_edges = np.count_nonzero(expected)
    found = _kernels.joint_of_groups(*joint, groups, n_groups, n_edges, 2)
    dense = as_csr(JointProbabilities(*found)).toarray()
    assert_allclose(dense, expected, rtol=1e-5, atol=0)
    assert found[0][-1] == n_edges
    assert _kernels.joint_of_groups(*joint, groups, n_groups, n_edges - 1, 2) is None


def test_groups_are_small_and_joined(blobs_joint):
    groups, n_groups = _kernels.find_groups(*blobs_joint, 2)
    sizes = np.bincount(groups)
    assert 3_000 / 9 < n_groups <= 3_000 / 7
    assert sizes.max() <= 30
    inside = as_csr(blobs_joint).tocoo()
    share = inside.data[groups[inside.row] == groups[inside.col]].sum()
    assert share > 0.2  # a random grouping has 8 / 3000


def test_strong_pairs_become_groups_and_weak_edges_join_none():
    joint = of_pairs(16, [(i, i + 1) for i in range(15)], [9, 1] * 7 + [9])
    groups, n_groups = _kernels.find_groups(*joint, 1)
    assert n_groups == 8
    assert_array_equal(groups, np.repeat(np.arange(8), 2))


def test_equal_strengths_make_groups_of_like_sizes():
    # By the order of numbers, all points of a clique would join the first.
    clique = of_pairs(512, [(i, j) for i in range(512) for j in range(i)])
    sizes = np.bincount(_kernels.find_groups(*clique, 1)[0])
    assert 40 <= len(sizes) <= 64
    assert sizes.max() <= 24


def test_parts_without_an_edge_between_them_stay_apart():
    groups, _ = _kernels.find_groups(*APART, 2)
    assert not set(groups[:16]) & set(groups[16:])
    groups, n_groups = _kernels.find_groups(*LONELY, 2)
    assert_array_equal(np.bincount(groups)[groups[16:]], 1)
    assert n_groups == len(set(groups[:16])) + 4


def test_leaves_of_a_star_join_its_middle():
    assert _kernels.find_groups(*STAR, 2)[1] == 1


@pytest.mark.parametrize("n_threads", [2, 3, 7])
def test_threads_change_nothing(blobs_joint, n_threads):
    results = []
    for threads in (1, n_threads):
        groups, n_groups = _kernels.find_groups(*blobs_joint, threads)
        joint = _kernels.joint_of_groups(*blobs_joint, groups, n_groups, MANY, threads)
        places = np.random.default_rng(0).normal(size=(n_groups, 2)).astype(np.float32)
        prolonged = _kernels.prolong(*blobs_joint, groups, places, threads)
        results.append((groups, *joint, prolonged))
    for one, many in zip(*results, strict=True):
        assert_array_equal(one, many)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_points_start_at_the_mean_of_their_neighbours_groups(dim):
    groups, n_groups = _kernels.find_groups(*LONELY, 2)
    places = np.random.default_rng(0).normal(size=(n_groups, dim)).astype(np.float32)
    P = as_csr(LONELY).toarray().astype(np.float64)
    expected = places[groups].astype(np.float64)
    expected[:16] = (P @ expected)[:16] / P.sum(axis=1)[:16, None]
    assert_allclose(_kernels.prolong(*LONELY, groups, places, 2), expected, rtol=1e-6)


def test_weights_of_groups_are_a_probability_without_own_pairs(blobs_joint):
    groups, n_groups = _kernels.find_groups(*blobs_joint, 2)
    graph = JointProbabilities(*_kernels.joint_of_groups(*blobs_joint, groups, n_groups, MANY, 2))
    sizes = np.bincount(groups)
    weighted = coarse.of_groups(graph, sizes)
    P = weighted.joint().toarray()
    assert_allclose(P.sum(), 1.0, rtol=1e-5)
    assert_allclose(P, P.T, rtol=1e-5)
    assert (P.diagonal() == 0).all()
    assert_allclose(weighted.counts, sizes / sizes.max(), rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (lambda j: (j.indptr, j.indices[:-1], j.data), "CSR"),
        (lambda j: (j.indptr, np.full_like(j.indices, 99), j.data), "column"),
    ],
    ids=["short", "column"],
)
def test_the_gate_checks_the_graph(arrays, message):
    with pytest.raises(ValueError, match=message):
        _kernels.find_groups(*arrays(LINE), 1)


def test_the_gate_checks_groups():
    groups, n_groups = _kernels.find_groups(*LINE, 1)
    with pytest.raises(ValueError, match="group"):
        _kernels.joint_of_groups(*LINE, groups, n_groups - 1, MANY, 1)
    with pytest.raises(ValueError, match="group"):
        _kernels.prolong(*LINE, groups, np.zeros((n_groups - 1, 2), dtype=np.float32), 1)
    with pytest.raises(ValueError, match="groups"):
        _kernels.prolong(*LINE, groups[1:], np.zeros((n_groups, 2), dtype=np.float32), 1)


def test_the_start_is_a_map_of_its_width(blobs_joint):
    start = np.random.default_rng(0).normal(scale=1e-4, size=(3_000, 2)).astype(np.float32)
    before = start.copy()
    first = coarse.coarse_start(blobs_joint, start, 12.0, n_threads=2)
    assert_array_equal(start, before)
    assert first.dtype == np.float32
    assert_allclose(np.sqrt(np.mean(first**2)), 0.16 * 3_000**0.5, rtol=1e-3)
    # Neighbours are near: their distance is a small share of that of any two points.
    graph = as_csr(blobs_joint).tocoo()
    near = np.linalg.norm(first[graph.row] - first[graph.col], axis=1).mean()
    assert near < 0.3 * np.linalg.norm(first - first[::-1], axis=1).mean()


def test_points_with_the_same_neighbours_start_apart():
    line = [(i, i + 1) for i in range(63)]
    joint = of_pairs(66, line + [(twin, i) for twin in (64, 65) for i in (30, 31)])
    start = np.random.default_rng(0).normal(scale=1e-4, size=(66, 2)).astype(np.float32)
    first = coarse.coarse_start(joint, start, 12.0)
    distance = np.linalg.norm(first[64] - first[65])
    assert 0 < distance < 0.01 * first.std()


def test_a_star_has_no_coarse_start():
    assert coarse.coarse_start(STAR, np.zeros((50, 2), dtype=np.float32), 12.0) is None


def test_noise_has_no_coarse_start():
    X = np.random.default_rng(0).uniform(size=(8_000, 20))
    indices, distances = neighbors.nearest_neighbors(X, 91)
    conditional, _ = affinity.conditional_probabilities(distances**2, 30.0)
    joint = affinity.joint_probabilities(indices, conditional)
    assert coarse.coarse_start(joint, X[:, :2].astype(np.float32), 12.0) is None


# ---- TSNE ------------------------------------------------------------------------------------


@pytest.fixture
def early_coarse(monkeypatch):
    """Maps of groups for more than 1,000 samples."""
    monkeypatch.setattr("fasttsne.pipeline.N_COARSE", 1_000)


@pytest.fixture(scope="module")
def X():
    return make_blobs(1_500, 8, centers=6, random_state=0)[0]


def may(X, fit_params=None, **params):
    return may_start_coarse(TSNE(**params), checked_samples(TSNE(**params), X, **fit_params or {}))


def test_what_has_a_coarse_start(X, early_coarse):
    assert may(X)
    assert may(X, init="random")
    assert may(X, degrees_of_freedom=1.0)
    assert may(X, warm_start=True)
    assert not may(X[:1_000])
    assert not may(X, init=X[:, :2])
    assert not may(X, {"sample_weight": np.arange(1, 1_501)})
    others = [
        {"method": "exact"},
        {"n_components": 3},
        {"degrees_of_freedom": 2.0},
        {"degrees_of_freedom": "auto"},
        {"early_exaggeration": 3.0},
        {"early_exaggeration": 1e30},
        {"early_exaggeration_iter": 100},
        {"exaggeration": 2.0},
        {"exaggeration": [(100, 1.0), (10, 2.0)]},
        {"learning_rate": 200.0},
    ]
    assert not any(may(X, **params) for params in others)
    given = TSNE(affinity="precomputed", init="random")
    assert not may_start_coarse(given, checked_samples(TSNE(), X))


def test_the_coarse_start_is_for_more_than_200_000_samples():
    point = np.zeros((1, 3))
    few, many = (Samples(np.broadcast_to(point, (n, 3))) for n in (200_000, 200_001))
    assert not may_start_coarse(TSNE(), few)
    assert may_start_coarse(TSNE(), many)


def test_its_schedule():
    usual, large, coarse_ = (
        schedule_of(TSNE(), n, 150, is_coarse=n > N_COARSE) for n in (1e4, 6e4, 3e5)
    )
    early = [pace.n_iter_early for pace in (USUAL, LARGE, COARSE)]
    assert [s.n_iter_early for s in (usual, large, coarse_)] == early == [150, 100, 40]
    assert coarse_.phases[0].first.exaggeration == 4.0
    assert usual.phases[0].first.exaggeration == 12.0


def test_early_exaggeration_acts_on_the_map_of_groups(X, early_coarse, monkeypatch):
    schedules = []

    def optimize(joint, init, schedule, **params):
        schedules.append(schedule)
        return optimize_embedding(joint, init, schedule, **params)

    monkeypatch.setattr(coarse, "optimize_embedding", optimize)
    TSNE(early_exaggeration=8.0, max_iter=250).fit(X)
    (schedule,) = schedules
    early, late = schedule.phases[0].first, schedule.phases[0].last
    assert (early.exaggeration, late.exaggeration) == (8.0, 1.0)
    assert late.learning_rate == pytest.approx(8.0 * early.learning_rate)


def test_verbose_names_the_map_of_groups(X, early_coarse, capsys):
    TSNE(max_iter=250).fit(X)
    assert capsys.readouterr().out == ""
    TSNE(max_iter=250, verbose=1).fit(X)
    line = r"\[t-SNE\] Computed the map of \d+ groups in \d+\.\d{3}s\.\.\."
    assert len(re.findall(line, capsys.readouterr().out)) == 1


def test_runs_add_up_and_threads_change_nothing(X, early_coarse, endless):
    params = {"random_state": 0, "perplexity": 10, "warm_start": True}
    whole = TSNE(max_iter=500, n_jobs=2, **params).fit(X)
    halves = TSNE(max_iter=250, n_jobs=1, **params).fit(X)
    assert halves.n_iter_ == 249
    assert halves._descent.state.is_coarse
    assert_same_bits(halves.fit(X), whole)
    assert whole.n_iter_ == 499


def test_callbacks_see_the_descent_alone(X, early_coarse):
    seen = []
    params = {"random_state": 0, "callback": lambda s: seen.append(s), "callback_every": 10}
    fitted = TSNE(**params).fit(X)
    assert [s.iteration for s in seen][:9] == [*range(10, 100, 10)]
    assert seen[-1].iteration == fitted.n_iter_ + 1
    assert seen[0].exaggeration == 4.0
    assert seen[0].embedding.std() > 1  # the coarse map has spread it


def test_the_map_is_as_good(X, early_coarse, monkeypatch):
    coarse_ = TSNE(random_state=0).fit(X)
    monkeypatch.undo()
    usual = TSNE(random_state=0).fit(X)
    assert coarse_.n_iter_ < usual.n_iter_
    assert coarse_.kl_divergence_ < 1.1 * usual.kl_divergence_
