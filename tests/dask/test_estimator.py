"""fasttsne.dask.TSNE: landmarks keep the places of their fit, all others are placed."""

import pickle

import numpy as np
import pytest
from dask_support import SHORT, blocks, da, noting_reads
from fits import run_python
from numpy.testing import assert_array_equal
from sklearn.base import clone

import fasttsne
from fasttsne.dask import TSNE, transform

pytestmark = pytest.mark.usefixtures("synchronous")


@pytest.mark.parametrize("selection", ["uniform", "density"])
def test_landmarks_keep_their_places_and_others_are_placed(digits, selection):
    model = TSNE(landmarks=400, landmark_selection=selection, **SHORT)
    found = model.fit_transform(blocks(digits)).compute()
    rows = model.landmark_rows_
    plain = fasttsne.TSNE(**SHORT).fit(digits[rows])
    assert_array_equal(model.estimator_.embedding_, plain.embedding_)
    assert_array_equal(found[rows], plain.embedding_)
    others = np.setdiff1d(np.arange(len(digits)), rows)
    assert len(others) == len(digits) - 400
    assert_array_equal(found[others], plain.transform(digits[others]))
    for chunks in (1797, (1, 796, 1000)):
        again = clone(model).fit_transform(blocks(digits, chunks))
        assert_array_equal(again.compute(scheduler="threads"), found)


def test_landmarks_that_are_copies_keep_their_own_places(digits):
    X = np.vstack([digits[:150], digits[:3]])  # too few copies to be taken as one
    model = TSNE(landmarks=152, **SHORT)
    found = model.fit_transform(blocks(X, 40)).compute()
    embedding = model.estimator_.embedding_
    rows = model.landmark_rows_
    assert any(
        (embedding[rows == i] != embedding[rows == i + 150]).any()
        for i in range(3)
        if {i, i + 150} <= set(rows)
    )
    assert_array_equal(found[rows], embedding)


def test_fit_reads_every_block_once_and_the_map_once_more(digits, capsys):
    seen = []
    lazy = TSNE(landmarks=200, verbose=1, **SHORT).fit_transform(noting_reads(digits, 300, seen))
    assert "Drawing 200 landmarks from 1797 rows" in capsys.readouterr().out
    assert sorted(seen) == list(range(0, 1797, 300))
    lazy[:10].compute()
    assert seen[6:] == [0]


@pytest.mark.parametrize("n_landmarks", [300, 100_000])
def test_no_fewer_landmarks_than_rows_is_a_plain_fit(small_digits, n_landmarks):
    model = TSNE(landmarks=n_landmarks, **SHORT)
    with pytest.warns(UserWarning, match="no less than the number of rows, 300") as warned:
        found = model.fit_transform(blocks(small_digits, 100))
    assert warned[0].filename == __file__
    assert found.chunks == ((100, 100, 100), (2,))
    assert_array_equal(found.compute(), fasttsne.TSNE(**SHORT).fit_transform(small_digits))
    assert_array_equal(model.landmark_rows_, np.arange(300))


def test_labels_of_landmarks_count(small_digits):
    y = np.arange(300) % 3
    model = TSNE(landmarks=200, label_weight=0.9, **SHORT)
    model.fit(blocks(small_digits), y)
    rows = model.landmark_rows_
    plain = fasttsne.TSNE(label_weight=0.9, **SHORT).fit(small_digits[rows], y[rows])
    assert_array_equal(model.estimator_.embedding_, plain.embedding_)
    lazy = clone(model).fit(blocks(small_digits), da.from_array(y, chunks=70))
    assert_array_equal(lazy.estimator_.embedding_, plain.embedding_)
    text = [float("nan") if label == 0 else "abc"[label] for label in y]
    known = [-1 if label == 0 else label for label in y[rows]]
    model.fit(blocks(small_digits), text)
    plain = fasttsne.TSNE(label_weight=0.9, **SHORT).fit(small_digits[rows], known)
    assert_array_equal(model.estimator_.embedding_, plain.embedding_)
    with pytest.raises(ValueError, match="y has 299 labels, but X has 300 rows"):
        model.fit(blocks(small_digits), y[:-1])


def test_masked_blocks_are_refused(small_digits):
    X = np.ma.array(small_digits, mask=np.arange(small_digits.size).reshape(300, -1) == 900)
    with pytest.raises(ValueError, match=r"X, rows 0 to .* has masked values"):
        TSNE(landmarks=100, **SHORT).fit(blocks(X))


def test_parameters_are_those_of_tsne_and_two_more():
    model = TSNE(3, landmarks=50, perplexity=5.0)
    params = model.get_params()
    plain = fasttsne.TSNE(3, perplexity=5.0).get_params()
    assert params == plain | {"landmarks": 50, "landmark_selection": "uniform"}
    assert TSNE().landmarks == 200_000
    assert clone(model).get_params() == params
    assert model.set_params(angle=0.2).angle == 0.2
    assert repr(TSNE(landmarks=7)) == "TSNE(landmarks=7)"
    with pytest.raises(TypeError, match="max_iters"):
        TSNE(max_iters=3)


def test_a_fitted_model_can_be_pickled_and_names_its_features(digits):
    model = TSNE(landmarks=100, **SHORT).fit(blocks(digits))
    again = pickle.loads(pickle.dumps(model))
    x = blocks(digits[:200])
    expected = model.estimator_.transform(digits[:200])
    assert_array_equal(again.transform(x).compute(), expected)
    assert_array_equal(transform(model, x).compute(), expected)
    assert list(model.get_feature_names_out()) == ["tsne0", "tsne1"]
    assert model.n_features_in_ == 64


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"landmarks": 1}, "landmarks"),
        ({"landmarks": 2.5}, "landmarks"),
        ({"landmark_selection": "random"}, "'landmark_selection' parameter .* must be a str among"),
        ({"perplexity": 200.0, "landmarks": 100}, "perplexity"),
        ({"max_iter": 249}, "max_iter"),
        ({"angle": 2.0}, "angle"),
        ({"metric": "precomputed"}, "metric='precomputed' .* landmarks require samples"),
        ({"affinity": "precomputed"}, "landmarks require samples"),
    ],
)
def test_parameters_are_refused_before_anything_is_read(digits, params, message):
    seen = []
    model = TSNE(**{"landmarks": 100, "random_state": 0} | params)
    for function in (model.fit, model.check):
        with pytest.raises((ValueError, TypeError), match=message):
            function(noting_reads(digits, 300, seen))
    assert not seen


def test_without_dask_the_extra_is_named():
    code = (
        "import sys; sys.modules['dask'] = None\n"
        "try:\n    import fasttsne.dask\n"
        "except ImportError as error:\n    print(error)"
    )
    assert "python -m pip install 'fasttsne[dask]'" in run_python(code)
