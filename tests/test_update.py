"""Maps that grow: `TSNE.update`."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

from fasttsne import TSNE, load, quality
from fasttsne.neighbors import NeighborsTransformer, nearest_neighbors


@pytest.fixture(scope="module")
def digits():
    X, _ = load_digits(return_X_y=True)
    return X[np.random.default_rng(0).permutation(len(X))]


@pytest.fixture(scope="module")
def third(digits):
    return pickle.dumps(TSNE(random_state=0).fit(digits[:600]))


def recall(X, embedding):
    return quality.neighbor_recall(X, embedding, n_neighbors=10)


@pytest.mark.parametrize("anchor", [0.0, 0.5])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_earlier_points_keep_their_center_and_radius(digits, third, anchor, scale):
    def center_and_radius(Y):
        return *Y.mean(axis=0), np.sqrt(Y.var(axis=0).sum())

    tsne, seen = pickle.loads(third), []
    tsne.placement_.embedding = tsne.embedding_ = 5.0 + scale * tsne.embedding_
    expected = center_and_radius(tsne.embedding_)
    tsne.set_params(callback=seen.append, callback_every=100, max_iter=300, method="exact")
    tsne.update(digits[600:900], anchor=anchor)
    close = {"rtol": 1e-4, "atol": 1e-4 * expected[-1]}
    assert [snapshot.iteration for snapshot in seen] == [100, 200, 300]
    for Y in (tsne.embedding_, *(snapshot.embedding for snapshot in seen)):
        assert_allclose(center_and_radius(Y[:600].astype(np.float64)), expected, **close)
    # KL divergence is that of the map at its own scale, not at that of the descent.
    assert tsne.history_["kl_divergence"][-1] == tsne.kl_divergence_
    exactly = quality.kl_divergence(digits[:900], tsne.embedding_, perplexity=30.0)
    assert_allclose(tsne.kl_divergence_, exactly, rtol=1e-4)


def test_new_points_start_where_transform_places_them(digits, third):
    tsne, seen = pickle.loads(third), []
    places = tsne.transform(digits[600:700])
    tsne.set_params(callback=seen.append, callback_every=1).update(digits[600:700], anchor=1.0)
    steps = np.linalg.norm(seen[0].embedding[600:] - places, axis=1)
    assert steps.max() < 1.5  # the longest step is 1.41
    assert np.linalg.norm(places, axis=1).max() > 10.0


def test_a_warm_start_begins_again_after_an_update(digits, third):
    expected = pickle.loads(third).update(digits[600:700]).embedding_
    tsne = TSNE(random_state=0, warm_start=True).fit(digits[:600]).update(digits[600:700])
    assert_array_equal(tsne.embedding_, expected)
    again = TSNE(random_state=0).fit_transform(digits[:600])
    assert_array_equal(tsne.fit_transform(digits[:600]), again)


def test_a_later_fit_forgets_the_displacement(digits, third):
    tsne = pickle.loads(third).update(digits[600:700])
    assert tsne.displacement_.shape == (600,)
    assert not hasattr(tsne.fit(digits[:100]), "displacement_")


def test_a_map_grown_by_thirds_is_as_good_as_a_whole_one(digits, third):
    tsne = pickle.loads(third)
    for start, stop in ((600, 1200), (1200, len(digits))):
        before = tsne.embedding_
        assert tsne.update(digits[start:stop]) is tsne
        moved = np.linalg.norm(tsne.embedding_[:start] - before, axis=1)
        assert_allclose(tsne.displacement_, moved, rtol=1e-5)
        radius = np.linalg.norm(before - before.mean(axis=0), axis=1).max()
        assert moved.mean() < 0.05 * radius
        assert moved.min() > 0.0
    whole = TSNE(random_state=0).fit_transform(digits)
    assert recall(digits, tsne.embedding_) > recall(digits, whole) - 0.01


def test_earlier_points_move_less_the_firmer_they_are_held(digits, third):
    moved = {}
    for anchor in (0.0, 0.5, 0.999, 1.0):
        tsne = pickle.loads(third).update(digits[600:900], anchor=anchor)
        moved[anchor] = tsne.displacement_.mean()
    assert moved[0.0] > moved[0.5] > moved[0.999] > moved[1.0] == 0.0


def test_the_result_is_that_of_a_fitted_estimator(digits, third):
    tsne = pickle.loads(third)
    parameters = tsne.get_params()
    tsne.update(digits[600:900])
    assert tsne.get_params() == parameters
    assert tsne.n_features_in_ == 64
    again = pickle.loads(pickle.dumps(tsne))
    assert_array_equal(again.transform(digits[:900]), tsne.embedding_)
    assert_array_equal(tsne.transform(digits[900:950]), again.transform(digits[900:950]))
    assert tsne.history_["kl_divergence"][-1] == tsne.kl_divergence_


def test_the_same_bits_for_any_number_of_threads_and_from_a_file(digits, third, tmp_path):
    maps = []
    for n_jobs in (1, 3):
        tsne = pickle.loads(third).set_params(n_jobs=n_jobs)
        maps.append(tsne.update(digits[600:700]).embedding_)
    pickle.loads(third).save(tmp_path / "map.npz")
    maps.append(load(tmp_path / "map.npz").update(digits[600:700]).embedding_)
    for other in maps[1:]:
        assert_array_equal(other, maps[0])


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.float32, list, "frame"])
def test_other_kinds_of_samples(digits, kind):
    X = digits[:300]
    if kind == "frame":
        pd = pytest.importorskip("pandas")
        X = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
        first, last = X[:200], X[200:]
    else:
        first, last = (kind(part) for part in (X[:200].tolist(), X[200:].tolist()))
    tsne = TSNE(perplexity=10, random_state=0).fit(first)
    assert tsne.update(last).embedding_.shape == (300, 2)
    assert np.isfinite(tsne.embedding_).all()


def test_a_fitted_transformer_is_fitted_again(digits):
    transformer = NeighborsTransformer(n_neighbors=40).fit(digits[:200])
    given = {"perplexity": 10, "random_state": 0}
    tsne = TSNE(neighbors=transformer, **given).fit(digits[:200]).update(digits[200:300])
    other = TSNE(neighbors=clone(transformer), **given).fit(digits[:200]).update(digits[200:300])
    assert_array_equal(tsne.embedding_, other.embedding_)
    assert tsne.neighbors is transformer and transformer.n_samples_fit_ == 200


def test_subclasses_whose_parameters_are_others(digits):
    class Mine(TSNE):
        def __init__(self, level=10):
            super().__init__(perplexity=level, random_state=0)
            self.level = level

    mine = Mine().fit(digits[:200]).update(digits[200:300])
    plain = TSNE(perplexity=10, random_state=0).fit(digits[:200]).update(digits[200:300])
    assert type(mine) is Mine
    assert_array_equal(mine.embedding_, plain.embedding_)


def test_values_that_are_too_large_to_square(digits):
    large = digits[:300] * 1e300
    tsne = TSNE(perplexity=10, random_state=0).fit(large[:200]).update(large[200:])
    plain = TSNE(perplexity=10, random_state=0).fit(large[:200])
    assert_array_equal(tsne.transform(large[:5]), tsne.embedding_[:5])
    assert tsne.displacement_.mean() < 0.1 * np.abs(plain.embedding_).max()


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"metric": "precomputed", "init": "random"}, "update needs a map of samples alone"),
        ({"affinity": "precomputed", "init": "random"}, "update needs a map of samples alone"),
        ({"label_weight": 0.5}, "the fit had label_weight=0.5"),
        ({"neighbors": "arrays"}, "the fit had neighbors="),
    ],
)
def test_maps_that_cannot_grow(digits, params, match):
    X, y = digits[:100], np.arange(100) % 4
    if "neighbors" in params:
        params = {"neighbors": nearest_neighbors(X, 31)}
    if "init" in params:
        X = np.abs(X @ X.T)
        X = (X + X.T) / 2 * (1 - np.eye(100))
    tsne = TSNE(perplexity=10, random_state=0, **params).fit(X, y)
    with pytest.raises(ValueError, match=match):
        tsne.update(X[:5])


def test_bad_input_changes_nothing(digits, third):
    tsne = pickle.loads(third)
    before = vars(tsne).copy()
    for bad, match in (
        (digits[600:700, :60], "60 features"),
        (digits[600:600], "0 sample"),
        (np.full((2, 64), np.nan), "NaN"),
    ):
        with pytest.raises(ValueError, match=match):
            tsne.update(bad)
    for anchor in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="anchor"):
            tsne.update(digits[600:700], anchor=anchor)
    with pytest.raises(TypeError, match="anchor"):
        tsne.update(digits[600:700], anchor="firm")

    def fail(snapshot):
        raise RuntimeError("the callback failed")

    with pytest.raises(RuntimeError, match="the callback failed"):
        tsne.set_params(callback=fail).update(digits[600:700])
    tsne.set_params(callback=None)
    after = vars(tsne)
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before if name != "callback")
    with pytest.raises(NotFittedError):
        TSNE().update(digits)
