"""ContrastiveTSNE: its losses, estimates of their gradients, its maps, and new samples on them."""

import inspect
import pickle

import numpy as np
import pytest
import reference.contrastive as oracle
from numpy.testing import assert_allclose, assert_array_equal
from reference import tsne as reference
from scipy import optimize, sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier

from fasttsne import TSNE, ContrastiveTSNE, _kernels
from fasttsne.affinity import conditional_probabilities
from fasttsne.neighbors import nearest_neighbors
from fasttsne.neighbors.search import squared_neighbors
from fasttsne.quality import neighbor_recall

LOSSES = ["neg", "nce", "infonce"]
M = 3


def a_map(n, dim=2, seed=0, dtype=np.float32):
    """A map with float32 coordinates, and P over some pairs: full, symmetric, with sum 1."""
    rng = np.random.default_rng(seed)
    Y = rng.normal(scale=2.0, size=(n, dim)).astype(np.float32).astype(dtype)
    P = rng.uniform(size=(n, n)) * (rng.uniform(size=(n, n)) < 0.3)
    P = np.triu(P, 1) + np.eye(n, k=1)
    P = P + P.T
    return Y, P / P.sum()


def forces_of(P, dim, n_negatives=M, n_repeats=2, infonce=False, seed=7, n_threads=1):
    graph = sparse.csr_array(P.astype(np.float32))
    return _kernels.ContrastiveForces(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        graph.data,
        dim,
        n_negatives,
        n_repeats,
        seed,
        infonce,
        n_threads,
    )


def shifts_of(seed, epoch, n, count):
    return 1 + _kernels.draw_numbers(seed, 2 * epoch, n - 1, count)


def central_differences(loss, Y, step=1e-5):
    gradient = np.zeros_like(Y)
    for place in np.ndindex(Y.shape):
        ahead, behind = Y.copy(), Y.copy()
        ahead[place] += step
        behind[place] -= step
        gradient[place] = (loss(ahead) - loss(behind)) / (2 * step)
    return gradient


def test_oracles_gradients_against_central_differences():
    Y, P = a_map(9, dtype=np.float64)
    some = oracle.pairs_of_shifts(9, [2, 5])
    rows = oracle.pairs_of_rows(9, [2, 5, 8], [0, 3, 3])
    for function, *rest in (
        (oracle.binary_loss, P, some, 5, 0.3),
        (oracle.infonce_loss, P, rows),
        (oracle.infonce_against_all, P),
    ):
        expected = central_differences(lambda at: function(at, *rest)[0], Y)  # noqa: B023
        assert_allclose(function(Y, *rest)[1], expected, rtol=0, atol=1e-8)
    h = 1e-5
    up, down = (oracle.binary_loss(Y, P, some, 5, 0.3 * np.exp(d))[0] for d in (h, -h))
    assert oracle.binary_by_log_z(Y, P, some, 5, 0.3) == pytest.approx((up - down) / (2 * h))


def test_infonce_against_all_pairs_is_exact_tsne():
    """Loss: KL(P||Q) up to the entropy of P. Gradient: that of exact t-SNE."""
    Y, P = a_map(12, dtype=np.float64)
    loss, gradient = oracle.infonce_against_all(Y, P)
    edges = P > 0
    entropy = -np.sum(P[edges] * np.log(P[edges]))
    assert loss - entropy == pytest.approx(reference.kl_divergence(P, Y, 1.0))
    assert_allclose(gradient, reference.gradient(P, Y, 1.0), rtol=0, atol=1e-12)


def test_negative_sampling_at_the_z_of_nce_has_the_gradient_of_nce():
    Y, P = a_map(12, dtype=np.float64)
    negatives = oracle.all_pairs(12)
    found = optimize.brentq(lambda c: oracle.binary_by_log_z(Y, P, negatives, 5, c), 1e-6, 1e6)

    def nce_loss(at, log_c):
        return oracle.binary_loss(at, P, negatives, 5, np.exp(log_c))[0]

    # NCE minimises over Y and Z at once: with Z at its optimum, the loss as a function of Y alone.
    def profile(at):
        return optimize.minimize_scalar(
            lambda log_c: nce_loss(at, log_c),
            bounds=(np.log(found) - 1, np.log(found) + 1),
            method="bounded",
            options={"xatol": 1e-10},
        ).fun

    by_nce = central_differences(profile, Y, 1e-4)
    by_neg = oracle.binary_loss(Y, P, negatives, 5, found)[1]
    assert_allclose(by_neg, by_nce, rtol=0, atol=1e-6)
    other = oracle.binary_loss(Y, P, negatives, 5, 2 * found)[1]
    assert np.abs(other - by_nce).max() > 1e-3


def test_the_loop_of_nce_finds_the_best_z():
    Y, P = a_map(40)
    forces = forces_of(P, 2, n_repeats=400)
    model = ContrastiveTSNE(loss="nce", n_negatives=M)
    n_pairs, z = 40.0 * 39.0, 40.0 * 39.0
    for _ in range(30):
        forces.set_odds(model._odds(z, 40))
        forces.evaluate(Y, False)
        z = model._next_normalization(z, forces, Y, n_pairs)
    negatives = oracle.all_pairs(40)
    odds = optimize.brentq(lambda c: oracle.binary_by_log_z(Y, P, negatives, M, c), 1e-6, 1e6)
    assert z == pytest.approx(odds * n_pairs / M, rel=0.05)


def test_many_negatives_make_nce_tsne():
    Y, P = a_map(12, dtype=np.float64)
    mean_q = reference.sum_q(Y, 1.0) / (12 * 11)
    exact = reference.gradient(P, Y, 1.0)
    few, many = (
        np.abs(oracle.binary_loss(Y, P, oracle.all_pairs(12), m, m * mean_q)[1] - exact).max()
        for m in (10, 1000)
    )
    assert many < few / 50


@pytest.mark.parametrize(
    "n, dim", [(2, 2), (17, 1), (17, 2), (17, 3), (600, 2), (17, 4), (300, 5), (2, 64)]
)
@pytest.mark.parametrize("odds", [1e-3, 1.0, 30.0])
def test_gradient_of_negative_sampling(isa, n, dim, odds):
    Y, P = a_map(n, dim)
    forces = forces_of(P, dim)
    forces.set_odds(odds)
    for epoch in range(2):
        forces.evaluate(Y, False)
        negatives = oracle.pairs_of_shifts(n, shifts_of(7, epoch, n, 2 * M))
        _, expected = oracle.binary_loss(Y.astype(np.float64), P, negatives, M, odds)
        attraction = forces.attractive / (1 + 1 / odds)
        repulsion = forces.repulsive / (2 * n * 2)
        gradient = 4.0 * (attraction - repulsion)
        assert_allclose(gradient, expected, rtol=0, atol=2e-6 * np.abs(expected).max() + 1e-9)
        q = oracle.similarities(Y.astype(np.float64))
        mean_q, mean_h = forces.take_means()
        assert mean_q == pytest.approx(q[negatives].mean(), rel=1e-5)
        assert mean_h == pytest.approx((q / (q + odds))[negatives].mean(), rel=1e-5)
        assert forces.missed(Y) == pytest.approx(np.sum(P * odds / (q + odds)), rel=1e-5)


@pytest.mark.parametrize(
    "n, dim", [(2, 2), (17, 1), (17, 2), (17, 3), (600, 2), (17, 4), (300, 5), (2, 64)]
)
def test_gradient_of_infonce(isa, n, dim):
    Y, P = a_map(n, dim)
    forces = forces_of(P, dim, infonce=True)
    for epoch in range(2):
        forces.evaluate(Y, False)
        offsets = _kernels.draw_numbers(7, 2 * epoch + 1, n, M)
        negatives = oracle.pairs_of_rows(n, shifts_of(7, epoch, n, M), offsets)
        _, expected = oracle.infonce_loss(Y.astype(np.float64), P, negatives)
        gradient = 4.0 * (forces.attractive.astype(np.float64) - forces.repulsive)
        # Of two points in one pair, attraction and repulsion cancel.
        scale = np.abs(forces.attractive).max()
        assert_allclose(gradient, expected, rtol=0, atol=8e-6 * scale)


def test_a_step_goes_along_the_gradient(isa):
    Y, P = a_map(50)
    for infonce in (False, True):
        forces = forces_of(P, 2, infonce=infonce)
        forces.set_odds(0.5)
        forces.evaluate(Y, False)
        attraction = forces.attractive.copy()
        repulsion = forces.repulsive.copy()
        if not infonce:
            attraction /= 1 + 1 / 0.5
            repulsion /= 2 * 50 * 2
        moved = Y.copy()
        # A first step has no velocity, and gains of 0.8; three times the attraction.
        _kernels.descend(forces, moved, np.zeros_like(Y), np.ones_like(Y), 1, 0.1, 0.5, 3.0, False)
        expected = -0.1 * 0.8 * 4 * (3 * attraction - repulsion)
        assert_allclose(moved - Y, expected, rtol=0, atol=1e-6)


def test_estimates_are_right_on_average():
    n = 23
    Y, P = a_map(n)
    forces = forces_of(P, 2, n_repeats=1)
    forces.set_odds(0.4)
    mean = np.zeros_like(Y, dtype=np.float64)
    for _ in range(4000):
        forces.evaluate(Y, False)
        mean += forces.repulsive / (2 * n * 4000)
    only_noise = oracle.binary_loss(Y.astype(np.float64), 0 * P, oracle.all_pairs(n), M, 0.4)[1]
    assert_allclose(-4 * mean, only_noise, rtol=0, atol=0.03 * np.abs(only_noise).max())


def test_draws_are_uniform_and_a_function_of_their_key():
    draws = _kernels.draw_numbers(3, 8, 10, 100_000)
    assert_array_equal(draws, _kernels.draw_numbers(3, 8, 10, 100_000))
    counts = np.bincount(draws, minlength=10)
    assert counts.shape == (10,)
    assert np.sum((counts - 1e4) ** 2 / 1e4) < 30  # chi², 9 degrees of freedom: p = 4e-4
    for key in ((4, 8), (3, 9)):
        assert np.mean(_kernels.draw_numbers(*key, 10, 100_000) == draws) < 0.11
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.02


def fit(X, **params):
    return ContrastiveTSNE(**{"n_epochs": 100, "random_state": 0, **params}).fit(X)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
def test_the_number_of_threads_changes_no_bit(digits, loss, n_components):
    params = {"loss": loss, "n_components": n_components}
    alone = fit(digits, n_jobs=1, **params)
    for n_jobs in (2, 8):
        other = fit(digits, n_jobs=n_jobs, **params)
        assert_array_equal(other.embedding_.view(np.uint32), alone.embedding_.view(np.uint32))
        assert other.normalization_ == alone.normalization_
    assert np.isfinite(alone.embedding_).all()


def test_the_seed_decides_and_models_are_pickled(small_digits):
    models = [fit(small_digits, random_state=seed) for seed in (0, 0, 1)]
    first, again, other = (model.embedding_ for model in models)
    assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert_array_equal(pickle.loads(pickle.dumps(models[0])).embedding_, first)


@pytest.mark.nosan
@pytest.mark.parametrize("loss", LOSSES)
def test_maps_are_good(digits, loss):
    """Measured: 0.41 to 0.48 of the ten nearest neighbours; by chance 0.006."""
    model = fit(digits, loss=loss, n_epochs=300)
    assert neighbor_recall(digits, model.embedding_) > 0.37
    assert (model.normalization_ is None) == (loss == "infonce")


def test_more_negatives_come_nearer_to_tsne(digits):
    kl = [fit(digits, n_negatives=m, n_epochs=300).kl_divergence_ for m in (5, 50)]
    tsne = TSNE(random_state=0).fit(digits).kl_divergence_
    assert tsne < kl[1] < kl[0]


def test_kl_divergence_is_that_of_tsne(small_digits):
    model = fit(small_digits)
    indices, squared_distances = squared_neighbors(small_digits, 91)
    conditional, _ = conditional_probabilities(squared_distances, 30.0)
    P = reference.joint_probabilities(indices, conditional)
    assert model.kl_divergence_ == pytest.approx(
        reference.kl_divergence(P, model.embedding_, 1.0), rel=1e-3
    )


@pytest.mark.parametrize("n, dim", [(60, 4), (60, 64), (2500, 5)])
def test_kl_divergence_above_three_components(n, dim):
    """Measured with 2,048 shifts: a difference of 2e-5."""
    Y, P = a_map(n, dim)
    expected = reference.kl_divergence(P, Y.astype(np.float64), 1.0)
    found = forces_of(P, dim).evaluate_kl(Y)
    assert found == pytest.approx(expected, rel=1e-5 if n < 2049 else 1e-3)


@pytest.mark.nosan
@pytest.mark.parametrize("loss", LOSSES)
def test_more_components_keep_more_neighbors(digits, loss):
    recall = [
        neighbor_recall(digits, fit(digits, loss=loss, n_epochs=300, n_components=d).embedding_)
        for d in (2, 5)
    ]
    assert recall[0] + 0.05 < recall[1]


@pytest.mark.parametrize("n_components", [4, 64])
@pytest.mark.parametrize("init", ["pca", "random", "spectral"])
def test_more_components_than_the_data_have(n_components, init):
    X = np.random.default_rng(0).normal(size=(60, 3))
    embedding = fit(X, n_components=n_components, init=init, perplexity=5).embedding_
    assert embedding.shape == (60, n_components)
    assert np.isfinite(embedding).all()
    assert (embedding.std(axis=0) > 0).all()


def test_normalisation_slides_from_tsne_to_umap(digits):
    """The larger Z, the more attraction: smaller maps, whose clusters are more compact."""
    n = len(digits)
    tsne = fit(digits, n_epochs=300)
    ends = np.log(tsne.normalization_), np.log(n * (n - 1) / 5)
    sizes = [
        fit(digits, n_epochs=300, normalization=float(np.exp(z))).embedding_.std()
        for z in np.linspace(*ends, 4)
    ]
    assert (np.diff(sizes) < 0).all()
    umap = fit(digits, n_epochs=300, normalization="umap")
    assert umap.normalization_ == pytest.approx(np.exp(ends[1]))
    assert umap.embedding_.std() == pytest.approx(sizes[-1], rel=0.05)
    assert tsne.embedding_.std() > 2 * umap.embedding_.std()
    assert tsne.kl_divergence_ < umap.kl_divergence_


@pytest.mark.parametrize("loss", LOSSES)
def test_awkward_data(loss):
    rng = np.random.default_rng(0)
    for X in (
        np.array([[0.0], [1.0]]),
        np.zeros((50, 3)),
        np.repeat(rng.normal(size=(5, 3)), 10, axis=0),
        np.vstack([rng.normal(size=(50, 3)), [[1e6, 0, 0]]]),
    ):
        model = fit(X, loss=loss, perplexity=min(5, len(X) - 1))
        assert np.isfinite(model.embedding_).all()
        assert np.isfinite(model.kl_divergence_)


def test_sparse_and_precomputed(small_digits):
    distances = np.sqrt(reference.squared_distances(small_digits))
    for X, metric in (
        (sparse.csr_matrix(small_digits), "euclidean"),
        (distances, "precomputed"),
    ):
        embedding = fit(X, init="random", metric=metric).embedding_
        assert embedding.shape == (300, 2)
        assert np.isfinite(embedding).all()


@pytest.mark.parametrize(
    "params, message",
    [
        ({"loss": "hinge"}, "'loss'"),
        ({"n_negatives": 0}, "'n_negatives'"),
        ({"normalization": "largevis"}, "'normalization'"),
        ({"normalization": 0.0}, "'normalization'"),
        ({"normalization": np.nan}, "'normalization'"),
        ({"normalization": 1e-40}, "normalization=1e-40 is out of proportion"),
        ({"normalization": 1e300}, "normalization=1e.300 is out of proportion"),
        ({"normalization": "umap", "loss": "nce"}, "loss='nce' learns"),
        ({"normalization": 100.0, "loss": "infonce"}, "leave normalization='tsne'"),
        ({"n_components": 65}, "'n_components'"),
        ({"n_epochs": 0}, "'n_epochs'"),
        ({"early_exaggeration": 0.5}, "'early_exaggeration'"),
        ({"learning_rate": -1.0}, "'learning_rate'"),
        ({"perplexity": 400}, "perplexity"),
        ({"init": np.zeros((3, 2))}, "init has shape"),
        ({"early_exaggeration": 1e100}, r"diverged with .*early_exaggeration=1e.100"),
        ({"init": 1e20 * np.eye(300, 2)}, "init has values that are too large"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_parameters(small_digits, params, message):
    with pytest.raises(ValueError, match=message):
        fit(small_digits, **params)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "steps",
    [{"learning_rate": 1e30, "early_exaggeration": 1e6}, {"n_epochs": 1}, {"n_epochs": 7}],
    ids=str,
)
def test_wild_and_few_steps_stay_finite(small_digits, loss, steps):
    assert np.isfinite(fit(small_digits, loss=loss, **steps).embedding_).all()


def test_verbose(small_digits, capsys):
    fit(small_digits, verbose=2)
    printed = capsys.readouterr().out
    assert "Epoch 100: Z = " in printed
    assert "KL divergence after 100 epochs" in printed


def test_parameters_are_documented_with_their_defaults():
    section = inspect.getdoc(ContrastiveTSNE).split("Attributes\n")[0]
    for name, parameter in inspect.signature(ContrastiveTSNE).parameters.items():
        default = parameter.default
        written = f'"{default}"' if isinstance(default, str) else str(default)
        lines = [line for line in section.splitlines() if line.startswith(f"{name} : ")]
        assert len(lines) == 1, name
        assert lines[0].endswith(f"default={written}"), name


@pytest.mark.filterwarnings("ignore:init has a standard deviation")
@pytest.mark.parametrize("loss", ["neg", "nce", "infonce"])
def test_a_start_far_too_wide_is_a_map_or_a_clear_error(loss):
    X, init = np.random.default_rng(0).normal(size=(2, 60, 2))
    try:
        fitted = ContrastiveTSNE(loss=loss, init=1e12 * init, perplexity=5, n_epochs=50).fit(X)
    except ValueError as error:
        assert "init" in str(error)
    else:
        assert np.isfinite(fitted.embedding_).all()


# ---- New samples ---------------------------------------------------------------------------------


def frozen_map(n, dim, odds, k=12, n_new=20):
    """A map, its frozen form, and the neighbours and p of new points."""
    rng = np.random.default_rng(n + dim)
    Y = rng.normal(scale=2.0, size=(n, dim)).astype(np.float32)
    neighbors = np.sort(rng.permuted(np.tile(np.arange(n), (n_new, 1)), axis=1)[:, :k]).astype(
        np.int32
    )
    p = rng.uniform(size=(n_new, k)).astype(np.float32)
    p /= p.sum(axis=1, keepdims=True)
    return Y, _kernels.FrozenMap(Y, 1.0, 0.5, odds, M), neighbors, p


@pytest.mark.parametrize("n, dim", [(13, 1), (40, 2), (40, 3), (400, 2), (40, 5), (40, 64)])
@pytest.mark.parametrize("odds", [1e-4, 0.1, 1.0, 30.0])
def test_the_loss_of_a_new_point(isa, n, dim, odds):
    Y, frozen, neighbors, p = frozen_map(n, dim, odds)
    at = np.random.default_rng(0).normal(size=(len(p), dim)).astype(np.float32)
    gradients, losses = frozen.evaluate(neighbors, p, at)
    args = Y.astype(np.float64), neighbors, p.astype(np.float64)
    expected = [
        oracle.loss_of_new_point(
            at[row].astype(np.float64), args[0], args[1][row], args[2][row], M, odds
        )
        for row in range(len(p))
    ]
    of_loss, of_gradient = (np.array(part) for part in zip(*expected, strict=True))
    assert_allclose(gradients, of_gradient, rtol=0, atol=2e-5 * np.abs(of_gradient).max())
    # Up to the constant log(1 + odds).
    assert_allclose(losses + np.log1p(odds), of_loss, rtol=2e-5)


def test_the_oracle_of_a_new_point_against_central_differences():
    Y, _, neighbors, p = frozen_map(40, 3, 0.2)
    args = Y.astype(np.float64), neighbors[0], p[0].astype(np.float64), M, 0.2
    y = np.array([[0.3, -0.2, 0.9]])
    expected = central_differences(lambda at: oracle.loss_of_new_point(at[0], *args)[0], y)
    assert_allclose(oracle.loss_of_new_point(y[0], *args)[1], expected[0], atol=1e-8)


@pytest.mark.parametrize("dim", [2, 5])
def test_a_new_point_comes_to_rest_in_a_minimum(dim):
    Y, frozen, neighbors, p = frozen_map(400, dim, 0.2)
    placed = frozen.place(neighbors, p, 1.0, 200, 1e-3, 1)
    for row in range(5):
        args = Y.astype(np.float64), neighbors[row], p[row].astype(np.float64), M, 0.2
        found = optimize.minimize(
            lambda y, *args: oracle.loss_of_new_point(y, *args), placed[row], args=args, jac=True
        )
        assert_allclose(placed[row], found.x, atol=5e-3)


def test_4096_points_stand_for_all():
    """Measured: 1 per cent of the largest gradient."""
    Y, frozen, neighbors, p = frozen_map(6000, 2, 0.01)
    at = np.random.default_rng(0).normal(size=(len(p), 2)).astype(np.float32)
    gradients, _ = frozen.evaluate(neighbors, p, at)
    args = Y.astype(np.float64), neighbors, p.astype(np.float64)
    expected = np.array(
        [
            oracle.loss_of_new_point(
                at[row].astype(np.float64), args[0], args[1][row], args[2][row], M, 0.01
            )[1]
            for row in range(len(p))
        ]
    )
    assert_allclose(gradients, expected, atol=0.03 * np.abs(expected).max())


@pytest.fixture(scope="module")
def digits_and_classes():
    return load_digits(return_X_y=True)


def vote(model, classes, new, expected):
    """The share of new samples among whose 5 nearest points on the map their class is the mode."""
    nearest = KNeighborsClassifier(5).fit(model.embedding_, classes)
    return nearest.score(model.transform(new), expected)


@pytest.mark.nosan
@pytest.mark.parametrize(
    "params",
    [
        *({"loss": loss} for loss in LOSSES),
        {"normalization": "umap"},
        {"n_components": 5},
        {"n_components": 5, "normalization": "umap"},
        {"n_components": 20, "loss": "infonce"},
        {"n_components": 1},
    ],
    ids=str,
)
def test_new_digits_lie_among_their_like(digits_and_classes, params):
    X, y = digits_and_classes
    model = fit(X[:1400], n_epochs=300, **params)
    found = vote(model, y[:1400], X[1400:], y[1400:])
    assert found > (0.8 if params.get("n_components") == 1 else 0.92)


@pytest.mark.parametrize("n_components", [2, 5])
def test_each_new_sample_is_placed_by_itself(digits, n_components):
    model = fit(digits[:1000], n_components=n_components, n_jobs=1)
    new = digits[1000:1100]
    placed, scores = model.transform(new, return_scores=True)
    assert placed.shape == (100, n_components)
    assert placed.dtype == np.float32
    assert scores.shape == (100,)
    for rows in (slice(3, 4), slice(50, 90)):
        assert_array_equal(model.transform(new[rows]), placed[rows])
    model.set_params(n_jobs=3)
    assert_array_equal(model.transform(new), placed)
    assert_array_equal(pickle.loads(pickle.dumps(model)).transform(new), placed)
    assert_array_equal(model.transform(digits[:1000]), model.embedding_)


def test_new_samples_of_every_kind(small_digits):
    distances = np.sqrt(reference.squared_distances(small_digits))
    new = np.sqrt(((small_digits[:9, None] + 0.01 - small_digits) ** 2).sum(axis=2))
    model = fit(distances, init="random", metric="precomputed")
    assert_allclose(
        model.transform(new), model.embedding_[:9], atol=0.05 * np.ptp(model.embedding_)
    )
    graph = nearest_neighbors(small_digits, 91)
    by_graph = fit(small_digits, neighbors=graph)
    assert_array_equal(by_graph.embedding_, fit(small_digits).embedding_)
    sparse_model = fit(sparse.csr_matrix(small_digits), init="random")
    assert np.isfinite(sparse_model.transform(sparse.csr_matrix(small_digits[:5] + 0.5))).all()


def test_bad_new_samples(small_digits):
    with pytest.raises(NotFittedError):
        ContrastiveTSNE().transform(small_digits)
    model = fit(small_digits)
    with pytest.raises(ValueError, match="63 features"):
        model.transform(small_digits[:, :63])
    with pytest.raises(ValueError, match="NaN"):
        model.transform(np.full((2, 64), np.nan))
    with pytest.raises(ValueError, match="perplexity"):
        model.transform(small_digits, perplexity=300)


def test_what_topic_models_call(digits_and_classes):
    """BERTopic calls fit with y=, then transform, and takes five components."""
    X, y = digits_and_classes
    reducer = ContrastiveTSNE(n_components=5, metric="cosine", n_epochs=50, random_state=0)
    reducer.fit(X[:500], y=y[:500])
    assert_array_equal(reducer.transform(X[:500]), reducer.embedding_)
    assert reducer.transform(X[500:510]).shape == (10, 5)
