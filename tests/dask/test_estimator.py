"""fasttsne.dask on the schedulers of one machine: landmarks, blocks, and what is refused."""

import gc
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from probes import counting_unpicklings, processes_noted
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fasttsne
from fasttsne import ContrastiveTSNE
from fasttsne import transform as placement
from fasttsne.quality import report

dask = pytest.importorskip("dask")
pytest.importorskip("cloudpickle")

import dask.array as da  # noqa: E402

from fasttsne.dask import TSNE, landmarks, quality, shares, transform  # noqa: E402
from fasttsne.dask import workers as sharing  # noqa: E402
from fasttsne.dask.blocks import as_rows  # noqa: E402

SHORT = {"max_iter": 250, "random_state": 0, "perplexity": 10.0}
CHUNKINGS = [1797, 500, (1, 796, 1000), (0, 900, 0, 897, 0)]


@pytest.fixture(autouse=True)
def _synchronous():
    """One block after the other, unless a test says otherwise."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def fitted(digits):
    return fasttsne.TSNE(**SHORT).fit(digits[:400])


@pytest.fixture(scope="module")
def placed(digits, fitted):
    return fitted.transform(digits)


def blocks(X, rows=500, columns=None):
    return da.from_array(X, chunks=(rows, columns or X.shape[1]))


def delayed_blocks(X, rows, seen=None):
    """Blocks that note when they are read."""

    def read(start):
        if seen is not None:
            seen.append(start)
        return X[start : start + rows]

    starts = range(0, X.shape[0], rows)
    return [dask.delayed(read, pure=False)(start) for start in starts]


def array_of(X, rows, seen, dtype=None, width=None):
    """The same as an array of announced shape and type."""
    width = X.shape[1] if width is None else width
    parts = [
        da.from_delayed(block, (min(rows, len(X) - i * rows), width), dtype=dtype or X.dtype)
        for i, block in enumerate(delayed_blocks(X, rows, seen))
    ]
    return da.concatenate(parts)


# ---- Placing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("rows", CHUNKINGS)
def test_blocks_are_placed_where_the_batch_is(digits, fitted, placed, rows, scheduler):
    with dask.config.set(scheduler=scheduler):
        found = transform(fitted, blocks(digits, rows))
        assert found.chunks == (da.core.normalize_chunks((rows, 2), (1797, 2)))
        assert found.dtype == np.float32
        assert_array_equal(found.compute(), placed)


def test_chunks_along_columns_are_joined(digits, fitted, placed):
    assert_array_equal(transform(fitted, blocks(digits, 700, 20)).compute(), placed)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_other_types(digits, fitted, placed, dtype):
    assert_array_equal(transform(fitted, blocks(digits.astype(dtype))).compute(), placed)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_sparse_blocks(digits, metric):
    X = sparse.csr_matrix(digits[:300])
    tsne = fasttsne.TSNE(metric=metric, **SHORT).fit(X[:200])
    x = blocks(digits[:300], 110).map_blocks(sparse.csr_matrix)
    assert_array_equal(transform(tsne, x).compute(), tsne.transform(X))
    model = TSNE(landmarks=200, metric=metric, **SHORT)
    found = model.fit_transform(x.rechunk((110, 30)))
    plain = fasttsne.TSNE(metric=metric, **SHORT).fit(X[model.landmark_rows_])
    assert_array_equal(found.compute()[model.landmark_rows_], plain.embedding_)


def test_a_metric_of_the_user_and_a_perplexity(digits):
    def manhattan(a, b):
        return np.abs(a - b).sum()

    tsne = fasttsne.TSNE(metric=manhattan, callback=lambda _: None, **SHORT).fit(digits[:60])
    expected = tsne.transform(digits[60:100], perplexity=4.0)
    x = blocks(digits[60:100], 15)
    assert_array_equal(transform(tsne, x, perplexity=4.0).compute(), expected)
    assert tsne.callback is not None


def test_the_search_is_prepared_once_and_stays(digits, fitted, placed, monkeypatch):
    lazy = transform(fitted, blocks(digits))
    fitted.transform(digits[:5], perplexity=3.0)  # whose index the estimator now keeps

    def refuse(*_, **__):
        raise AssertionError("made again")

    monkeypatch.setattr(placement, "neighbor_index", refuse)
    monkeypatch.setattr(placement, "FrozenMap", refuse)
    assert_array_equal(lazy.compute(), placed)


def test_delayed_blocks(digits, fitted, placed):
    assert_array_equal(transform(fitted, delayed_blocks(digits, 600)).compute(), placed)
    one = dask.delayed(lambda: digits)()
    assert_array_equal(transform(fitted, one).compute(), placed)


def test_processes_read_the_model_once(digits, fitted, placed, tmp_path):
    lazy = transform(counting_unpicklings(fitted, tmp_path / "seen"), blocks(digits[:600], 50))
    found = lazy.compute(scheduler="processes", num_workers=2)
    assert_array_equal(found, placed[:600])
    readers = processes_noted(tmp_path / "seen")
    assert 1 <= len(readers) <= 2
    assert len(set(readers)) == len(readers)


def test_the_file_for_processes_goes_with_the_graph():
    node = sharing.share(np.arange(5))
    local = node.compute()
    assert pickle.loads(pickle.dumps(local)).value.tolist() == [0, 1, 2, 3, 4]
    path = local.path
    assert os.path.exists(path)
    del node, local
    gc.collect()  # a delayed object may know itself
    assert not os.path.exists(path)


# ---- Landmarks -----------------------------------------------------------------------------------


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


def test_fit_reads_every_block_once_and_the_map_once_more(digits):
    seen = []
    x = array_of(digits, 300, seen)
    model = TSNE(landmarks=200, **SHORT)
    lazy = model.fit_transform(x)
    assert sorted(seen) == list(range(0, 1797, 300))
    lazy[:10].compute()
    assert seen[6:] == [0]


@pytest.mark.parametrize("selection", ["uniform", "density"])
def test_the_draw_goes_by_seed_and_not_by_chunks(digits, selection):
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
    drawn = [landmarks.uniform_rows(50, 10, seed) for seed in range(2000)]
    counts = np.bincount(np.concatenate(drawn), minlength=50)
    assert all(len(set(rows)) == 10 for rows in drawn)
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400 * 0.8)
    # The same seed draws other rows where it is used for something else.
    judged = np.random.RandomState(0).choice(50, 10, replace=False)
    assert not np.isin(judged, landmarks.uniform_rows(50, 25, 0)).all()
    huge = landmarks.uniform_rows(10**12, 1000, 0)
    assert huge.dtype == np.int64
    assert 0.9e12 < huge.max() < 1e12


def test_by_density_rare_groups_keep_enough():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 5))
    rare = np.sort(rng.choice(20_000, 60, replace=False))
    X[rare] += 40.0
    found = landmarks.landmarks_by_density(as_rows(blocks(X, 3000)), 2000, 0)
    assert len(np.unique(found.numbers)) == 2000
    assert_array_equal(found.samples, X[found.numbers])
    of_rare = np.isin(rare, found.numbers).sum()
    assert of_rare >= 16  # 20 are a cell's share; 6 if every row were as likely as any other
    uniform = landmarks.uniform_rows(20_000, 2000, 0)
    assert of_rare > 2 * np.isin(rare, uniform).sum()
    # And no part of the rest is left out.
    assert np.bincount(found.numbers * 10 // 20_000).min() > 140


def test_by_density_there_are_as_many_as_wanted_even_of_an_unlucky_sample(monkeypatch):
    X = np.random.default_rng(0).normal(size=(3000, 4))
    expected = landmarks.landmarks_by_density(as_rows(blocks(X)), 1000, 0).numbers
    monkeypatch.setattr(landmarks, "_limit", lambda *_: 0.1)
    found = landmarks.landmarks_by_density(as_rows(blocks(X)), 1000, 0).numbers
    assert_array_equal(found, expected)


@pytest.mark.parametrize("n_landmarks", [300, 100_000])
def test_no_fewer_landmarks_than_rows_is_a_plain_fit_and_said_so(small_digits, n_landmarks):
    model = TSNE(landmarks=n_landmarks, **SHORT)
    with pytest.warns(UserWarning, match="no less than the number of rows, 300"):
        found = model.fit_transform(blocks(small_digits, 100))
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
    with pytest.raises(ValueError, match="y has 299 labels, but X has 300 rows"):
        model.fit(blocks(small_digits), y[:-1])


def test_verbose_says_what_is_drawn(small_digits, capsys):
    TSNE(landmarks=200, verbose=1, **SHORT).fit(blocks(small_digits))
    assert "Drawing 200 landmarks from 300 rows" in capsys.readouterr().out


# ---- The estimator among estimators --------------------------------------------------------------


def test_parameters_are_those_of_the_estimator_and_two_more():
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
    with pytest.raises(ValueError, match="Invalid parameter 'max_iters'"):
        model.set_params(max_iters=3)


def test_a_fitted_model_can_be_pickled_and_asked_for_its_names(digits):
    model = TSNE(landmarks=100, **SHORT).fit(blocks(digits))
    again = pickle.loads(pickle.dumps(model))
    x = blocks(digits[:200])
    expected = model.estimator_.transform(digits[:200])
    assert_array_equal(again.transform(x).compute(), expected)
    assert_array_equal(transform(model, x).compute(), expected)
    assert list(model.get_feature_names_out()) == ["tsne0", "tsne1"]
    assert model.n_features_in_ == 64


# ---- Frames --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frame(digits):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("dask.dataframe")
    names = [f"pixel {i}" for i in range(64)]
    return pandas.DataFrame(digits[:400], columns=names)


def as_parts(frame, n_parts=3):
    import dask.dataframe as dd

    return dd.from_pandas(frame, npartitions=n_parts)


def test_frames(frame, fitted, placed):
    assert_array_equal(transform(fitted, as_parts(frame)).compute(), placed[:400])
    ints = as_parts(frame.astype({"pixel 3": np.int64, "pixel 9": np.uint8}))
    assert_array_equal(transform(fitted, ints).compute(), placed[:400])


def test_names_of_columns(frame, digits):
    model = TSNE(landmarks=150, **SHORT)
    found = model.fit_transform(as_parts(frame))
    assert list(model.feature_names_in_) == list(frame.columns)
    assert_array_equal(
        found.compute(), clone(model).fit_transform(blocks(digits[:400], 90)).compute()
    )
    with pytest.raises(ValueError, match="pixel 63 for pixel 0"):
        model.transform(as_parts(frame[frame.columns[::-1]]))
    plain = fasttsne.TSNE(**SHORT).fit(frame)
    with pytest.raises(ValueError, match="pixel 63 for pixel 0"):
        transform(plain, as_parts(frame[frame.columns[::-1]]))
    assert_array_equal(
        transform(plain, as_parts(frame)).compute(), plain.transform(frame)
    )  # and no warning of names
    model.fit(blocks(digits[:400]))
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # in what Dask asks of pandas
def test_columns_of_files_whose_parts_are_joined(frame, tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    pytest.importorskip("pyarrow")
    as_parts(frame, 8).to_parquet(tmp_path)
    columns = list(frame.columns[:2])  # so few that Dask reads several parts at a time
    rows = as_rows(dd.read_parquet(tmp_path)[columns])
    assert sum(rows.lengths) == 400
    assert_array_equal(rows.array.compute(), frame[columns])
    assert rows.array.dtype == frame.dtypes.iloc[0]


def test_complex_columns_are_refused_like_complex_arrays(frame, fitted):
    with pytest.raises(TypeError, match="X must hold real numbers; column 'pixel 2' is complex128"):
        transform(fitted, as_parts(frame.astype({"pixel 2": complex})))


def test_columns_that_are_no_numbers(frame, fitted):
    with pytest.raises(TypeError, match="no numbers: name"):
        transform(fitted, as_parts(frame.assign(name="a")))


# ---- What is refused -----------------------------------------------------------------------------


def refusals(digits):
    unknown = blocks(digits)[da.from_array(digits[:, 20] > 3, chunks=500)]
    return {
        "rows": (da.zeros((0, 64), chunks=(1, 64)), ValueError, "X has no rows"),
        "columns": (da.zeros((10, 0), chunks=(5, 1)), ValueError, "X has no columns"),
        "unknown": (unknown, ValueError, r"call X\.compute_chunk_sizes\(\)"),
        "flat": (da.zeros(10, chunks=5), ValueError, "must be a matrix"),
        "complex": (blocks(digits.astype(complex)), TypeError, "complex128"),
        "memory": (digits, TypeError, "there is fasttsne.TSNE"),
        "list": (list(digits), TypeError, "must be a dask array"),
        "widths": (
            [dask.delayed(digits[:5]), dask.delayed(digits[5:9, :7])],
            ValueError,
            "rows 5 to 8 with 7 columns",
        ),
        "types": (
            [dask.delayed(digits[:5]), dask.delayed(digits[5:9].astype(int))],
            ValueError,
            "rows 5 to 8 with 64 columns of int64",
        ),
        "things": ([dask.delayed("a")], ValueError, "block that is no matrix, number 0"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "rows",
        "columns",
        "unknown",
        "flat",
        "complex",
        "memory",
        "list",
        "widths",
        "types",
        "things",
    ],
)
def test_what_is_no_data(digits, fitted, case):
    X, error, message = refusals(digits)[case]
    with pytest.raises(error, match=message):
        transform(fitted, X)
    with pytest.raises(error, match=message):
        TSNE(landmarks=50, **SHORT).fit(X)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_in_a_far_block_is_named_by_its_rows(digits, fitted, bad, kind):
    X = digits.copy()
    X[1432, 5] = bad
    X[1450, 6] = bad
    x = blocks(X, 400)
    message = "NaN or infinity in 2 of rows 1200 to 1599, first in row 1432"
    if kind == "sparse":
        x = x.map_blocks(sparse.csr_matrix)
    else:
        with pytest.raises(ValueError, match=message):
            transform(fitted, x).compute()
    for selection in ("uniform", "density"):
        with pytest.raises(ValueError, match=message):
            TSNE(landmarks=50, landmark_selection=selection, **SHORT).fit(x)


def test_values_whose_sum_overflows_are_finite(fitted):
    X = np.full((20, 64), 1e308)
    X[::2] *= -1
    assert np.isfinite(as_rows(blocks(X)).map(lambda b, _: b, lengths=(20,), like=X[:0])).all()


def test_blocks_that_are_not_what_was_announced(digits, fitted):
    x = array_of(digits, 500, [], dtype=np.float32)
    with pytest.raises(ValueError, match="rows 1500 to 1796 of X come as float64, not float32"):
        transform(fitted, x).compute()
    with pytest.raises(ValueError, match="come as float64, not float32"):
        TSNE(landmarks=50, **SHORT).fit(x)
    x = array_of(digits[:, :60], 500, [], width=64)
    with pytest.raises(
        ValueError, match=r"rows 1500 to 1796 of X come as a block of shape \(297, 60\)"
    ):
        transform(fitted, x).compute()
    pandas = pytest.importorskip("pandas")
    x = da.from_delayed(dask.delayed(pandas.DataFrame)(digits), digits.shape, dtype=float)
    with pytest.raises(TypeError, match="rows 0 to 1796 of X come as DataFrame"):
        transform(fitted, x).compute()


def test_models_that_place_nothing(digits):
    x = blocks(digits)
    with pytest.raises(NotFittedError):
        transform(fasttsne.TSNE(), x)
    with pytest.raises(NotFittedError):
        TSNE().transform(x)
    with pytest.raises(TypeError, match="got ContrastiveTSNE"):
        transform(ContrastiveTSNE(), x)
    distances = np.abs(np.subtract.outer(np.arange(50.0), np.arange(50.0)))
    tsne = fasttsne.TSNE(metric="precomputed", init="random", **SHORT).fit(distances)
    with pytest.raises(ValueError, match="blocks of rows need a metric of samples"):
        transform(tsne, x)


def test_other_features_than_those_of_the_fit(digits, fitted):
    with pytest.raises(ValueError, match="X has 60 features, but model was fitted with 64"):
        transform(fitted, blocks(digits[:, :60]))


@pytest.mark.parametrize("perplexity", [0.0, 400.0, "3"])
def test_a_perplexity_that_makes_no_sense(digits, fitted, perplexity):
    with pytest.raises((ValueError, TypeError)):
        transform(fitted, blocks(digits), perplexity=perplexity)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"landmarks": 1}, "landmarks"),
        ({"landmarks": 2.5}, "landmarks"),
        ({"landmark_selection": "random"}, "landmark_selection must be"),
        ({"perplexity": 200.0, "landmarks": 100}, "perplexity"),
        ({"angle": 2.0}, "angle"),
        ({"metric": "precomputed"}, "needs a row of all samples"),
        ({"affinity": "precomputed"}, "needs a row of all samples"),
    ],
)
def test_parameters_are_refused_before_anything_is_read(digits, params, message):
    seen = []
    model = TSNE(**{"landmarks": 100, "random_state": 0} | params)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(array_of(digits, 300, seen))
    assert not seen


def test_without_dask_the_extra_is_named():
    code = (
        "import sys; sys.modules['dask'] = None\n"
        "try:\n    import fasttsne.dask\n"
        "except ImportError as error:\n    print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "python -m pip install 'fasttsne[dask]'" in found.stdout


# ---- Threads -------------------------------------------------------------------------------------


def test_blocks_share_the_threads_of_a_process(monkeypatch):
    monkeypatch.setattr(shares, "effective_n_threads", lambda n_jobs: n_jobs or 8)
    with shares.share_of_threads(None) as first, shares.share_of_threads(None) as second:
        assert (first, second) == (8, 4)
        with shares.share_of_threads(None) as third, shares.share_of_threads(3) as fourth:
            assert (third, fourth) == (2, 1)
    with shares.share_of_threads(None) as alone:
        assert alone == 8
    with pytest.raises(ZeroDivisionError), shares.share_of_threads(None):
        raise ZeroDivisionError
    with shares.share_of_threads(None) as alone:
        assert alone == 8


# ---- Quality -------------------------------------------------------------------------------------


def crowded(n_samples, seed=0):
    """Data on a small grid, full of ties, a map of them, and classes, some unknown."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 4, size=(n_samples, 4)).astype(float)
    Y = (X[:, :2] + rng.integers(0, 2, size=(n_samples, 2))).astype(np.float32)
    labels = X[:, 0].copy()
    labels[rng.random(n_samples) < 0.2] = np.nan
    return X, Y, labels


def assert_same(found, expected):
    assert found.to_dict() == expected.to_dict()
    assert found.per_sample.keys() == expected.per_sample.keys()
    for name, values in expected.per_sample.items():
        assert_array_equal(found.per_sample[name], values)
    assert_array_equal(found.r_nx, expected.r_nx)
    assert_array_equal(found.sizes, expected.sizes)
    assert_array_equal(found.rows, expected.rows)


@pytest.mark.parametrize("rows", [700, 137, (0, 3, 690, 0, 7), 11])
def test_quality_is_that_of_the_report(rows):
    X, Y, labels = crowded(700)
    found = quality(
        blocks(X, rows), Y, labels, sample=40, n_neighbors=7, curve=True, random_state=3
    )
    expected = report(X, Y, labels, sample=found.rows, n_neighbors=7, random_state=3)
    assert found.n_judged == 40
    assert_same(found, expected)


@pytest.mark.parametrize("kind", ["cosine", "manhattan", "sparse", "float32", "uint8"])
def test_quality_of_other_data(kind):
    X, Y, _ = crowded(300)
    X += 1.0
    metric = kind if kind in ("cosine", "manhattan") else "euclidean"
    X = X.astype(kind) if kind in ("float32", "uint8") else X
    x = blocks(X, 90)
    if kind == "sparse":
        x, X = x.map_blocks(sparse.csr_matrix), sparse.csr_matrix(X)
    found = quality(x, blocks(Y, 200), sample=0.1, metric=metric, curve=True, random_state=0)
    assert found.n_judged == 30
    assert_same(found, report(X, Y, sample=found.rows, metric=metric, random_state=0))


def test_quality_without_the_curve():
    X, Y, labels = crowded(500)
    rows = np.array([400, 3, 77])
    found = quality(blocks(X, 99), Y, blocks(labels[:, None], 50)[:, 0], sample=rows)
    expected = report(X, Y, labels, sample=rows)
    assert_array_equal(found.rows, rows)
    assert found.r_nx_auc is None
    assert len(found.r_nx) == len(found.sizes) == 0
    assert "R_NX" not in str(found)
    for name, values in expected.per_sample.items():
        assert_array_equal(found.per_sample[name], values)


def test_quality_of_a_constant_map():
    X, Y, _ = crowded(300)
    found = quality(blocks(X, 90), np.zeros_like(Y), sample=20, curve=True, random_state=0)
    assert found.distance_correlation is None
    assert_same(found, report(X, np.zeros_like(Y), sample=found.rows, random_state=0))


def test_quality_takes_pairs_and_anchors_in_parts(monkeypatch):
    from fasttsne.dask import quality as judging
    from fasttsne.dask import ranking

    X, Y, _ = crowded(600)
    monkeypatch.setattr(judging, "_PAIRS_BYTES", 1 << 19)
    monkeypatch.setattr(ranking, "_WHOLE_BYTES", 1 << 16)
    monkeypatch.setattr(ranking, "_MERGED", 2)
    found = quality(blocks(X, 50), Y, sample=20, curve=True, random_state=0)
    assert_same(found, report(X, Y, sample=found.rows, random_state=0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Y": np.zeros((10, 2))}, "inconsistent numbers of samples: 100 and 10"),
        ({"n_neighbors": 50}, "n_neighbors"),
        ({"sample": 0}, "sample"),
        ({"sample": [3, 3]}, "twice"),
        ({"sample": 1.5}, "at most 1"),
        ({"metric": "precomputed"}, "no metric of samples"),
        ({"metric": "seuclidean"}, "would be another one for each block"),
        ({"metric": "cosine"}, "zero in row"),
        ({"labels": np.zeros(9)}, "inconsistent"),
    ],
)
def test_quality_refuses(change, message):
    X, Y, _ = crowded(100)
    X[70] = 0.0
    arguments = {"X": blocks(X, 30), "Y": Y, "sample": 10, "random_state": 0} | change
    with pytest.raises(ValueError, match=message):
        quality(**arguments)


def test_quality_refuses_a_map_with_nan():
    X, Y, _ = crowded(100)
    Y[61] = np.nan
    with pytest.raises(ValueError, match="Y has NaN or infinity in 1 of rows 60 to 89, first in"):
        quality(blocks(X, 30), Y, sample=10)
    with pytest.raises(TypeError, match="float32 or float64"):
        quality(blocks(X, 30), np.zeros((100, 2), dtype=int))
