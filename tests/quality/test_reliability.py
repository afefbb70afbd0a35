"""reliability() against its equations in tests/reference, and on maps with a planted island."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference import reliability as reference
from reference import tsne
from scipy import sparse
from sklearn.datasets import make_swiss_roll
from sklearn.metrics import roc_auc_score

from fasttsne import TSNE, _kernels
from fasttsne.affinity import joint_probabilities
from fasttsne.neighbors import nearest_neighbors
from fasttsne.quality import reliability, report
from fasttsne.quality.leave_one_out import (
    LeaveOneOut,
    across_gaps,
    better_scale,
    farthest_places,
    hessians,
)

PERPLEXITY = 29.9  # at which all 89 others are neighbours, as in the reference


@pytest.fixture(scope="module", params=["digits", "Swiss roll"])
def fitted(request, digits):
    """Data, their map, and the result."""
    X = digits[:90] if request.param == "digits" else make_swiss_roll(90, random_state=0)[0]
    Y = TSNE(perplexity=PERPLEXITY, random_state=0, n_jobs=2).fit_transform(X)
    return X, Y, reliability(X, Y, perplexity=PERPLEXITY)


def neighbors_and_p(X, perplexity):
    indices, squares = tsne.nearest_neighbors(X, min(len(X) - 1, int(3 * perplexity + 1)))
    conditional, _ = tsne.conditional_probabilities(squares, perplexity)
    P = tsne.joint_probabilities(indices, conditional)
    return (indices.astype(np.int32), squares), P.toarray() if sparse.issparse(P) else P


# ---- Against the equations -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:embedding has a lower KL")  # the fit's perplexity is not 8
@pytest.mark.parametrize("perplexity", [PERPLEXITY, 8.0])
def test_singularity_scores_are_those_of_the_equation(fitted, perplexity):
    X, Y, _ = fitted
    _, P = neighbors_and_p(X, perplexity)
    expected = reference.singularity(P, Y.astype(float), 1.0)
    # Second differences have an error of about 1e-5, single precision one of 1e-6.
    assert_allclose(reliability(X, Y, perplexity=perplexity).singularity, expected, rtol=1e-3)


@pytest.mark.parametrize("n_components", [1, 2, 3, 4])
@pytest.mark.parametrize("nu", [0.5, 1.0, 2.0])
def test_hessians_are_second_differences(isa, digits, n_components, nu):
    X = digits[:60]
    Y = np.random.default_rng(0).normal(scale=2.0, size=(60, n_components)).astype(np.float32)
    neighbors, P = neighbors_and_p(X, 5.0)
    found = hessians(LeaveOneOut.of(Y, neighbors, 5.0, nu, 2))
    for i in range(0, 60, 7):
        expected = reference.hessian(i, P, Y.astype(float), nu)
        assert_allclose(found[i], expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


@pytest.mark.nosan
def test_perturbation_scores_are_those_of_the_equation(fitted):
    X, Y, found = fitted
    rows = np.arange(0, 90, 6)
    expected = np.array(
        [reference.perturbation(i, X, Y.astype(float), 1.0, PERPLEXITY, found.step) for i in rows]
    )
    error = np.abs(found.perturbation[rows] - expected)
    # Steps end at 1e-3. Two descents may also take a flat valley to different minima.
    assert np.sort(error)[-2] < 0.02
    assert np.median(error) < 2e-3


def test_moved_affinities_are_those_of_the_equation(digits, monkeypatch):
    """Of mutual neighbours, and of pairs of which only one lists the other."""
    calls = []

    class Recorded(_kernels.FrozenMap):
        def place_again(self, own, others, weights, *more):
            calls.append((own, others, weights))
            return super().place_again(own, others, weights, *more)

    monkeypatch.setattr(_kernels, "FrozenMap", Recorded)
    X, perplexity, step = digits[:120], 5.0, 3.0
    Y = np.ascontiguousarray(X[:, [20, 21]], dtype=np.float32)
    neighbors, _ = neighbors_and_p(X, perplexity)
    found = LeaveOneOut.of(Y, neighbors, perplexity, 1.0, 1)
    axes = reference.directions(X)
    rows = np.arange(0, 120, 4, dtype=np.int32)
    farthest_places(found, X @ axes.T, step, rows, 1)
    moves = [sign * step * axis for axis in axes for sign in (1, -1)]
    n_seen = one_sided = 0
    for at, (own, others, weights) in enumerate(calls):
        for i, js, p in zip(own, others, weights, strict=True):
            expected = reference.moved_p(i, moves[at % 6], X, found.beta, perplexity, neighbors[0])
            assert_allclose(p, 120 * expected[js], rtol=1e-5, atol=1e-9)
            one_sided += sum(i not in neighbors[0][j] for j in js)
            n_seen += 1
    assert n_seen == 6 * len(rows) and one_sided > 100


def test_correlations_are_those_of_the_equation(fitted):
    X, Y, found = fitted
    assert_allclose(found.correlation, reference.correlation(X, Y.astype(float)), atol=1e-6)


@pytest.mark.parametrize("factor", [2.0**400, 2.0**-400])
def test_correlations_do_not_depend_on_the_unit(digits, factor):
    X = digits[:60]
    Y = TSNE(perplexity=10.0, metric="cityblock", random_state=0).fit_transform(X)
    params = {"perplexity": 10.0, "metric": "cityblock"}
    expected = reliability(X, Y, **params).correlation
    assert_array_equal(reliability(factor * X, Y, **params).correlation, expected)


def test_placing_again_minimises_the_loss_of_the_point(isa, digits):
    X = digits[:80]
    Y = TSNE(perplexity=10.0, random_state=0, n_jobs=1).fit_transform(X)
    _, P = neighbors_and_p(X, 10.0)
    frozen = _kernels.FrozenMap(Y, 1.0, 0.0)
    own = np.arange(80, dtype=np.int32)
    others = np.array([np.delete(own, i) for i in own], dtype=np.int32)
    weights = np.take_along_axis(80 * P, others, axis=1).astype(np.float32)
    sum_q = tsne.sum_q(Y.astype(float), 1.0)
    placed = frozen.place_again(own, others, weights, sum_q, 200, 1e-4, 1)
    assert_array_equal(frozen.place_again(own, others, weights, sum_q, 200, 1e-4, 2), placed)
    for i in range(0, 80, 9):
        best = reference.best_place(i, P[i], Y.astype(float), 1.0)
        assert_allclose(placed[i], best, atol=5e-3)
    with pytest.raises(ValueError, match="point's index"):
        frozen.place_again(own + 80, others, weights, sum_q, 200, 1e-4, 1)


# ---- What the scores find ------------------------------------------------------------------------


def clusters(seed, n_features):
    """Eight separate Gaussian clusters of 150 points, and their map."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(8), 150)
    centers = rng.normal(size=(8, n_features)) * 12.0 / np.sqrt(2.0 * n_features)
    X = centers[y] + rng.normal(size=(1200, n_features))
    return X, y, TSNE(random_state=0, n_jobs=2).fit_transform(X)


def torn(X, y, Y, by):
    """The map with one half of the first cluster beside all else."""
    Y, members = Y.copy(), np.flatnonzero(y == 0)
    half = np.random.default_rng(1).random(len(members)) < 0.5
    if by == "plane":
        centred = X[members] - X[members].mean(axis=0)
        half = centred @ np.linalg.svd(centred, full_matrices=False)[2][0] > 0
    moved = members[half]
    low, high = Y.min(axis=0), Y.max(axis=0)
    Y[moved] += high + 0.1 * (high - low) - Y[moved].mean(axis=0)
    return Y


@pytest.mark.nosan
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n_features", [20, 50])
def test_true_clusters_are_not_accused(seed, n_features):
    X, _, Y = clusters(seed, n_features)
    found = reliability(X, Y, n_jobs=2)
    assert found.jumps.mean() < 0.05
    assert found.dubious.mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("by", ["chance", "plane"])
def test_a_false_island_is_found(seed, by):
    X, y, Y = clusters(seed, 50)
    found = reliability(X, torn(X, y, Y, by), n_jobs=2)
    island = y == 0
    areas = [roc_auc_score(island, found.perturbation), roc_auc_score(island, -found.correlation)]
    assert areas[1] > 0.9
    if by == "chance":  # neighbours of every point are in both halves
        assert areas[0] > 0.9
    # Points jump between the halves, and to no other island.
    assert found.jumps[island].mean() > 0.1
    assert found.jumps[~island].mean() < 0.05
    assert found.dubious[~island].mean() < 0.05


def test_a_jump_ends_in_the_other_half():
    X, y, Y = clusters(0, 50)
    map_ = torn(X, y, Y, "chance")
    found = reliability(X, map_, n_jobs=2)
    jumping = np.flatnonzero(found.jumps & (y == 0))
    gaps = np.linalg.norm(map_[np.newaxis] - found.best_place[jumping, np.newaxis], axis=2)
    assert (y[gaps.argmin(axis=1)] == 0).mean() > 0.9


def test_a_small_perplexity_has_large_singularity_scores(digits):
    X = digits[:600]
    top = []
    for perplexity in (4.0, 40.0):
        Y = TSNE(perplexity=perplexity, random_state=0, n_jobs=2).fit_transform(X)
        top.append(reliability(X, Y, perplexity=perplexity, n_jobs=2).to_dict()["singularity"])
    assert top[1] is not None
    assert top[0] is None or top[0] > 3.0 * top[1]  # None is infinite


def test_a_way_crosses_a_gap_between_islands_and_not_within():
    grid = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), axis=-1).reshape(-1, 2)
    Y = np.concatenate([grid, grid + [30.0, 0.0]]).astype(np.float32)
    rows = np.array([0, 0, 0, 150], dtype=np.int32)
    # Across its island, to the other one, to its nearest neighbour, and back to the first.
    places = Y[[99, 100, 1, 50]]
    assert_array_equal(across_gaps(Y, rows, places, 2), [False, True, False, True])


@pytest.mark.nosan
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"perplexity": 8.0},
        {"perplexity": 80.0},
        {"max_iter": 250},
        {"degrees_of_freedom": 0.5},
        {"degrees_of_freedom": 3.0},
        {"density": 0.5},
        {"n_components": 1},
        {"n_components": 3},
    ],
    ids=str,
)
def test_a_map_that_was_scaled_has_a_lower_divergence_at_another_scale(digits, parameters):
    X = digits[:1000]
    Y = TSNE(**parameters, random_state=0, n_jobs=2).fit_transform(X)
    perplexity = parameters.get("perplexity", 30.0)
    nu = parameters.get("degrees_of_freedom", max(Y.shape[1] - 1.0, 1.0))
    neighbors = nearest_neighbors(X, int(3 * perplexity + 1))
    neighbors = neighbors[0], neighbors[1] ** 2

    def better(scale):
        places = np.ascontiguousarray(scale * (Y - np.median(Y, axis=0)), dtype=np.float32)
        return better_scale(LeaveOneOut.of(places, neighbors, perplexity, nu, 2), 2)

    assert better(1.0) == 1.0
    assert better(1 / 3) == 3.0
    if perplexity > 10.0:  # else the divergence hardly changes with a larger scale
        assert better(3.0) == pytest.approx(1 / 3)


def test_a_map_that_was_scaled_is_warned_of(digits):
    X = digits[:400]
    Y = TSNE(random_state=0, n_jobs=2).fit_transform(X)
    reliability(X, Y)
    with pytest.warns(UserWarning, match=r"at a third of its scale.*perplexity \(now 30\)"):
        reliability(X, 3 * Y)
    with pytest.warns(UserWarning, match="at 3 times its scale"):
        reliability(X, Y / 3)
    with pytest.warns(UserWarning, match="scale"):
        reliability(X, Y, perplexity=3.0)
    reliability(X, np.full((400, 2), 3e12) * np.sign(Y), degrees_of_freedom=20.0)


# ---- The record ----------------------------------------------------------------------------------


def test_threads_samples_and_dtypes_change_nothing(digits):
    X = digits[:400]
    Y = TSNE(random_state=0, n_jobs=2).fit_transform(X)
    one, two = reliability(X, Y, n_jobs=1), reliability(X, Y.astype(float), n_jobs=2)
    for name, values in one.per_sample.items():
        assert_array_equal(two.per_sample[name], values)
    assert_array_equal(one.best_place, two.best_place)
    some = reliability(X, Y, sample=[7, 300, 12], n_jobs=2)
    for name in ("perturbation", "singularity", "correlation"):
        assert_array_equal(getattr(some, name), getattr(one, name)[[7, 300, 12]])
    assert not any(np.isnan(values).any() for values in one.per_sample.values())


def test_the_table_and_json(fitted):
    _, _, found = fitted
    lines = repr(found).splitlines()
    assert lines[0] == "90 points; perplexity 29.9"
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "perturbation score",
        "jumping points",
        "singularity score",
        "dubious points",
        "trustworthy points",
    ]
    figures = json.loads(json.dumps(found.to_dict()))
    assert figures["n_judged"] == 90
    assert found._repr_html_().count("<tr>") == 5
    assert found.trustworthy.shape == found.dubious.shape == (90,)


@pytest.mark.parametrize("metric", ["cosine", "manhattan", "precomputed"])
def test_scores_that_a_metric_does_not_have_are_none(digits, metric):
    X = digits[:100]
    Y = TSNE(perplexity=10.0, random_state=0).fit_transform(X)
    data = np.sqrt(tsne.squared_distances(X)) if metric == "precomputed" else X
    found = reliability(data, Y, perplexity=10.0, metric=metric)
    assert found.perturbation is None and found.best_place is None and found.jumps is None
    assert (found.correlation is None) == (metric == "precomputed")
    assert found.singularity.shape == (100,)
    assert "perturbation score  -" in repr(found)
    assert repr(found).count("requires dense X") == 2
    assert repr(found).count("requires X, not distances") == 2 * (metric == "precomputed")
    assert found.dubious.dtype == bool


def test_a_map_that_is_no_minimum_is_said_to_be_none(digits):
    X = digits[:100]
    found = reliability(np.random.default_rng(0).normal(size=(100, 2)), X, perplexity=10.0)
    assert "singularity score   -" in repr(found) and "no minimum" in repr(found)


def test_sparse_data(digits):
    X = digits[:150]
    Y = TSNE(perplexity=10.0, random_state=0).fit_transform(X)
    found = reliability(sparse.csr_matrix(X), Y, perplexity=10.0)
    dense = reliability(X, Y, perplexity=10.0)
    assert found.perturbation is None
    assert_allclose(found.singularity, dense.singularity, rtol=1e-4)
    assert_allclose(found.correlation, dense.correlation, atol=1e-6)


def test_data_in_any_unit_and_with_duplicates(digits):
    X = digits[:150].copy()
    X[100:] = X[:50]
    Y = TSNE(perplexity=10.0, random_state=0).fit_transform(X)
    found = reliability(X, Y, perplexity=10.0)
    assert all(not np.isnan(values).any() for values in found.per_sample.values())
    large = reliability(X * 2.0**450, Y, perplexity=10.0)
    assert_allclose(large.step, found.step * 2.0**450)
    assert_allclose(large.perturbation, found.perturbation, atol=0.05)
    with pytest.warns(UserWarning, match="scale"):  # a map of other data
        equal = reliability(np.ones((20, 3)), Y[:20], perplexity=5.0)
    assert all(not np.isnan(values).any() for values in equal.per_sample.values())
    coincident = reliability(X, np.zeros((150, 2)), perplexity=10.0)
    assert all(not np.isnan(values).any() for values in coincident.per_sample.values())


def test_blocks_change_nothing(isa, digits, monkeypatch):
    X = digits[:600]
    neighbors, _ = neighbors_and_p(X, 20.0)
    Y = np.random.default_rng(0).normal(scale=5.0, size=(600, 2)).astype(np.float32)
    found = LeaveOneOut.of(Y, neighbors, 20.0, 1.0, 2)
    along, rows = X[:, [20, 21, 22]], np.arange(600, dtype=np.int32)
    expected = farthest_places(found, along, 1.0, rows, 2)
    for edges in (1, 1000, 1 << 20):
        monkeypatch.setattr("fasttsne.quality.leave_one_out._BLOCK_EDGES", edges)
        assert_array_equal(farthest_places(found, along, 1.0, rows, 1), expected)
    some = rows[::-7].copy()
    assert_array_equal(farthest_places(found, along, 1.0, some, 1), expected[some])


def test_points_are_placed_in_small_blocks(digits, monkeypatch):
    """Ctrl-C waits for the end of a block."""
    edges = []

    class Recorded(_kernels.FrozenMap):
        def place_again(self, own, others, *more):
            edges.append(others.size)
            return super().place_again(own, others, *more)

    monkeypatch.setattr(_kernels, "FrozenMap", Recorded)
    X = digits[:400]
    with pytest.warns(UserWarning, match="scale"):  # two columns are no map
        reliability(X, X[:, [20, 21]], perplexity=30)
    assert max(edges) <= 1 << 14


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_are_no_neighbours_for_the_step(dtype):
    X = np.random.default_rng(0).normal(size=(60, 5)).astype(dtype)
    Y = TSNE(perplexity=10.0, random_state=0, n_jobs=2).fit_transform(X)
    alone = reliability(X, Y, perplexity=10.0)
    # The null is drawn from other permutations, and the map is none of each sample twice.
    with pytest.warns(UserWarning, match="scale"):
        twice = reliability(np.repeat(X, 2, axis=0), np.repeat(Y, 2, axis=0), perplexity=10.0)
        equal = reliability(np.ones_like(X), Y, perplexity=10.0)
    assert_allclose(twice.step, alone.step, rtol=1e-6)
    assert alone.step > 0.1 and equal.step == 0.0


@pytest.mark.filterwarnings("ignore:embedding has a lower KL")  # two columns are no map
def test_bad_arguments_are_named(digits):
    X = digits[:30]
    Y = X[:, 10:12]
    with pytest.raises(ValueError, match=r"perplexity \(30\.0\) must be less than n_samples"):
        reliability(X, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        reliability(X, Y[:20], perplexity=5)
    with pytest.raises(ValueError, match="at the scale of its fit"):
        reliability(X, 1e14 * Y, perplexity=5)
    with pytest.raises((TypeError, ValueError), match="step"):
        reliability(X, Y, perplexity=5, step=-1.0)
    with pytest.raises(ValueError, match=r"step=1e\+300 is too large for X"):
        reliability(X, Y, perplexity=5, step=1e300)
    with pytest.raises(ValueError, match=r"step=1e\+30 is too large for X"):
        reliability(1e-300 * X, Y, perplexity=5, step=1e30)
    with pytest.raises(ValueError, match="at least 4 samples"):
        reliability(X[:3], Y[:3], perplexity=1)


def test_a_report_has_the_scores(digits):
    X, y = digits[:300], np.arange(300) % 5
    Y = TSNE(perplexity=10.0, random_state=0, n_jobs=2).fit_transform(X)
    options = {"sample": 60, "random_state": 3, "n_jobs": 2}
    fit = {"perplexity": 10.0, "degrees_of_freedom": 0.7}
    found = report(X, Y, y, reliability=True, **fit, **options)
    alone = reliability(X, Y, **fit, sample=found.rows, random_state=3)
    assert_array_equal(found.per_sample["perturbation"], alone.perturbation)
    assert_array_equal(found.reliability.correlation, alone.correlation)
    assert "jumping points" in repr(found)
    assert found.to_dict()["reliability"] == alone.to_dict()
    plain = report(X, Y, y, **options)
    assert plain.reliability is None and "perturbation" not in plain.per_sample
    assert plain.standard_errors == found.standard_errors


def test_curvature_sums_need_a_graph_of_the_map():
    joint = joint_probabilities(np.array([[1], [0]], np.int32), np.ones((2, 1), np.float32))
    Y = np.zeros((3, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="same points"):
        _kernels.curvature_sums(joint.indptr, joint.indices, joint.data, Y, 1.0, 1)
