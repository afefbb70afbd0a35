"""Which rows are landmarks: by the seed, whatever the blocks, uniformly or by density."""

import numpy as np
import pytest
from dask_support import CHUNKINGS, SHORT, blocks
from numpy.testing import assert_array_equal
from scipy import sparse

from fasttsne.dask import TSNE, landmarks
from fasttsne.dask.blocks import as_rows
from fasttsne.dask.landmarks import draw_landmarks, uniform_rows

pytestmark = pytest.mark.usefixtures("synchronous")


@pytest.mark.parametrize("selection", ["uniform", "density"])
def test_the_draw_depends_on_the_seed_and_not_on_chunks(digits, selection):
    def drawn(seed, x):
        model = TSNE(landmarks=90, landmark_selection=selection, **SHORT | {"random_state": seed})
        return model.fit(x).landmark_rows_

    rows = drawn(0, blocks(digits))
    assert len(np.unique(rows)) == 90
    assert (np.diff(rows) > 0).all()
    for chunks in CHUNKINGS:
        assert_array_equal(drawn(0, blocks(digits, chunks)), rows)
    assert_array_equal(drawn(0, blocks(digits).map_blocks(sparse.csr_matrix)), rows)
    assert not np.array_equal(drawn(1, blocks(digits)), rows)


def test_uniform_rows_are_uniform():
    drawn = [uniform_rows(50, 10, seed) for seed in range(2000)]
    counts = np.bincount(np.concatenate(drawn), minlength=50)
    assert all(len(set(rows)) == 10 for rows in drawn)
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400 * 0.8)
    # The same seed draws other rows when it is used for something else.
    judged = np.random.RandomState(0).choice(50, 10, replace=False)
    assert not np.isin(judged, uniform_rows(50, 25, 0)).all()
    huge = uniform_rows(10**12, 1000, 0)
    assert huge.dtype == np.int64
    assert 0.9e12 < huge.max() < 1e12


def test_by_density_rare_groups_keep_enough():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 5))
    rare = np.sort(rng.choice(20_000, 60, replace=False))
    X[rare] += 40.0
    found = draw_landmarks(as_rows(blocks(X, 3000)), 2000, "density", 0)
    assert len(np.unique(found.numbers)) == 2000
    assert_array_equal(found.samples, X[found.numbers])
    of_rare = np.isin(rare, found.numbers).sum()
    assert of_rare >= 16  # 20 are a cell's share; 6 if every row were equally likely
    assert of_rare > 2 * np.isin(rare, uniform_rows(20_000, 2000, 0)).sum()
    # All parts of the rest have landmarks.
    assert np.bincount(found.numbers * 10 // 20_000).min() > 140


def test_by_density_an_unlucky_sample_gives_as_many(monkeypatch):
    rows = as_rows(blocks(np.random.default_rng(0).normal(size=(3000, 4))))
    expected = draw_landmarks(rows, 1000, "density", 0).numbers
    monkeypatch.setattr(landmarks, "_limit", lambda *_: 0.1)
    assert_array_equal(draw_landmarks(rows, 1000, "density", 0).numbers, expected)
