"""Agreement of several maps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference.tsne import squared_distances
from scipy.spatial import procrustes

from fasttsne import TSNE
from fasttsne.quality import stability


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(60, 2)) for _ in range(3)]


def test_overlap_counts_shared_neighbours(maps):
    near = []
    for one in maps:
        d = squared_distances(one)
        np.fill_diagonal(d, np.inf)
        near.append(np.argsort(d, axis=1)[:, :5])
    shares = [
        np.mean([len({*near[a][i]} & {*near[b][i]}) / 5 for a, b in ((0, 1), (0, 2), (1, 2))])
        for i in range(60)
    ]
    assert_allclose(stability(maps, n_neighbors=5).overlap, shares)


def test_two_maps_are_aligned_as_by_procrustes(maps):
    found = stability(maps[:2])
    # SciPy scales the second map too, so only the rotation is the same.
    ours = found.aligned[0].T @ found.aligned[1]
    assert_allclose(ours, ours.T, atol=1e-8)
    _, _, disparity = procrustes(*maps[:2])
    correlation = np.trace(ours) / 60
    assert_allclose(1.0 - correlation**2, disparity, rtol=1e-6)


def test_turned_and_scaled_maps_agree(maps):
    one, turn = maps[0], np.array([[0.6, 0.8], [0.8, -0.6]])
    found = stability([one, 7.0 * one @ turn + 3.0, -one])
    assert_allclose(found.overlap, 1.0)
    assert_allclose(found.displacement, 0.0, atol=1e-7)
    assert "60 points on 3 maps" in repr(found)


def test_a_point_that_moves_is_found(maps):
    other = maps[0].copy()
    other[5] += 3.0
    found = stability([maps[0], other])
    assert found.displacement.argmax() == 5
    assert found.overlap.argmin() == 5


def test_maps_are_fitted_to_data(digits):
    tsne = TSNE(perplexity=10.0)
    found = stability(X=digits[:150], n_maps=3, tsne=tsne, n_neighbors=5)
    assert found.aligned.shape == (3, 150, 2)
    assert 0.3 < found.overlap.mean() < 1.0
    assert tsne.init == "pca" and tsne.random_state is None


def test_bad_arguments_are_named(maps, digits):
    with pytest.raises(ValueError, match="either maps or X"):
        stability(maps, X=digits)
    with pytest.raises(ValueError, match="at least two maps; got 1"):
        stability(maps[:1])
    with pytest.raises(ValueError, match="same shape"):
        stability([maps[0], maps[1][:50]])
    with pytest.raises(ValueError, match="all points in one place"):
        stability([maps[0], np.zeros((60, 2))])
    with pytest.raises(ValueError, match="n_maps=1"):
        stability(X=digits, n_maps=1)
    with pytest.raises(ValueError, match="Input maps contains NaN"):
        stability([maps[0], np.full((60, 2), np.nan)])
    for wrong in ("ab", 3, {"a": maps[0]}):
        with pytest.raises(TypeError, match="maps must be a sequence of maps; got"):
            stability(wrong)
    for wrong in ("a", TSNE):
        with pytest.raises(TypeError, match="tsne must be an estimator"):
            stability(X=digits, tsne=wrong)


@pytest.mark.parametrize("exponent", [1000, -1050])
def test_the_scale_of_a_map_does_not_matter(maps, exponent):
    far = [np.round(one * 64) for one in maps]  # so that no digit is lost where numbers are tiny
    found = [stability(some) for some in (far, [far[0], *(np.ldexp(far[1:], exponent))])]
    for name in ("overlap", "displacement", "aligned"):
        assert_allclose(getattr(found[1], name), getattr(found[0], name), rtol=1e-12, atol=1e-12)
