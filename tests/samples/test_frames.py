"""Frames in and out: pandas (NumPy's, nullable, by Arrow), polars and pyarrow, with their names."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _get_feature_names

from fasttsne import TSNE, ContrastiveTSNE
from fasttsne.metric_learning.learners import LinearMetricLearner, LinearRanker
from fasttsne.neighbors import NeighborsTransformer

NAMES = ["length", "width (cm)", "größe"]
X = np.random.default_rng(0).normal(size=(60, 3)).round(2)
NEW = X[:7] + 0.25
SHORT = {"perplexity": 5, "max_iter": 250, "random_state": 0}


def pandas(values):
    return pd.DataFrame(values, columns=NAMES)


FRAMES = {
    "pandas": pandas,
    "nullable": lambda values: pandas(values).convert_dtypes(),
    "Float64": lambda values: pandas(values).astype("Float64"),
    "polars": lambda values: pl.DataFrame(values, schema=NAMES),
    "lazy": lambda values: pl.DataFrame(values, schema=NAMES).lazy(),
    "pyarrow": lambda values: pa.table(dict(zip(NAMES, values.T, strict=True))),
    "record batch": lambda values: pa.RecordBatch.from_arrays(list(map(pa.array, values.T)), NAMES),
}
if int(pd.__version__.split(".")[0]) >= 2:
    FRAMES["pandas by Arrow"] = lambda values: pandas(values).convert_dtypes(
        dtype_backend="pyarrow"
    )

# scikit-learn 1.6 finds no names in frames of polars 2, which has no interchange protocol.
HAS_NAMES = _get_feature_names(FRAMES["polars"](X)) is not None
NAMED = [name for name in FRAMES if HAS_NAMES or name not in ("polars", "lazy")]
OUTPUTS = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
each_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
each_output = pytest.mark.parametrize("output", OUTPUTS)


@pytest.fixture(scope="module")
def plain():
    return TSNE(**SHORT).fit(X)


@each_frame
def test_a_frame_gives_the_map_of_its_numbers_and_names(frame, plain):
    before = frame(X)
    tsne = TSNE(**SHORT).fit(before)
    assert_array_equal(tsne.embedding_, plain.embedding_)
    assert_array_equal(tsne.transform(frame(NEW)), plain.transform(NEW))
    assert not HAS_NAMES or list(tsne.feature_names_in_) == NAMES
    if isinstance(before, pd.DataFrame):
        pd.testing.assert_frame_equal(before, frame(X))


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("order", [[2, 1, 0], [0, 1]])
def test_new_samples_need_the_columns_of_the_fit(kind, order):
    tsne = TSNE(**SHORT).fit(FRAMES[kind](X))
    others = FRAMES["pandas"](NEW).iloc[:, order]
    for new in (others, pl.DataFrame(others.to_numpy(), schema=list(others)))[: 1 + HAS_NAMES]:
        with pytest.raises(ValueError, match="feature names should match"):
            tsne.transform(new)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        tsne.transform(NEW)


@each_frame
@each_output
def test_output_is_a_frame_whose_columns_have_names(frame, output, plain):
    tsne = TSNE(**SHORT).set_output(transform=output)
    fitted = tsne.fit_transform(frame(X))
    placed, scores = tsne.transform(frame(NEW), return_scores=True)
    for found, expected in ((fitted, plain.embedding_), (placed, plain.transform(NEW))):
        assert isinstance(found, OUTPUTS[output])
        assert list(found.columns) == ["tsne0", "tsne1"] == list(tsne.get_feature_names_out())
        assert_array_equal(found.to_numpy(), expected)
        assert found.to_numpy().dtype == np.float32
    assert isinstance(scores, np.ndarray) and isinstance(tsne.embedding_, np.ndarray)
    assert isinstance(tsne.set_output(transform="default").transform(frame(NEW)), np.ndarray)


@each_output
def test_every_transformer_has_such_output(output):
    y = np.arange(60) % 3
    for estimator, name in [
        (TSNE(**SHORT, n_components=3), "tsne"),
        (ContrastiveTSNE(n_epochs=2, random_state=0), "contrastivetsne"),
        (LinearMetricLearner(max_epochs=1, random_state=0), "linearmetriclearner"),
    ]:
        found = estimator.set_output(transform=output).fit_transform(FRAMES["polars"](X), y)
        assert isinstance(found, OUTPUTS[output])
        assert list(found.columns) == [f"{name}{i}" for i in range(found.shape[1])]


@each_output
def test_the_global_setting_and_pipelines(output, plain):
    with sklearn.config_context(transform_output=output):
        found = make_pipeline(StandardScaler(with_mean=False, with_std=False), TSNE(**SHORT))
        placed = found.fit_transform(FRAMES[output](X))
    assert isinstance(placed, OUTPUTS[output])
    assert_array_equal(placed.to_numpy(), plain.embedding_)


def test_pandas_output_keeps_the_index_of_every_kind_of_pandas():
    for kind in ("pandas", "nullable"):
        frame = FRAMES[kind](X).set_index(pd.Index([f"cell {i}" for i in range(60)], name="cell"))
        found = TSNE(**SHORT).set_output(transform="pandas").fit_transform(frame)
        assert found.index.equals(frame.index)


def test_other_estimators_take_frames():
    y = np.arange(60) % 3
    for kind in FRAMES.values():
        frame = kind(X)
        graph = NeighborsTransformer(n_neighbors=4).fit(frame).transform(kind(NEW))
        expected = NeighborsTransformer(n_neighbors=4).fit(X).transform(NEW)
        assert_array_equal(graph.toarray(), expected.toarray())
        for estimator in (
            NeighborsTransformer(n_neighbors=4).fit(frame),
            ContrastiveTSNE(n_epochs=2, random_state=0).fit(frame),
            LinearMetricLearner(max_epochs=1, random_state=0).fit(frame, y),
            LinearRanker("ranknet").fit(frame, y),
        ):
            assert not HAS_NAMES or list(estimator.feature_names_in_) == NAMES


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"vector": X.tolist()}),
        pl.DataFrame({"vector": pl.Series(X.tolist(), dtype=pl.Array(pl.Float64, 3))}),
        pd.DataFrame({"vector": list(X)}),
        pa.table({"vector": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 3)}),
    ],
    ids=["polars lists", "polars arrays", "pandas", "pyarrow"],
)
def test_a_column_of_vectors_is_refused_with_a_remedy(frame, plain):
    with pytest.raises(ValueError, match=r"vectors in column 'vector' .*np.stack\(X\['vector'\]\)"):
        TSNE(**SHORT).fit(frame)
    if not isinstance(frame, pa.Table):
        assert_array_equal(
            TSNE(**SHORT).fit(np.stack(frame["vector"])).embedding_, plain.embedding_
        )


@pytest.mark.parametrize("kind", ["nullable", "polars", "pyarrow"])
def test_missing_values_are_refused(kind):
    values = X.copy()
    values[3, 1] = np.nan
    frame = FRAMES[kind](values)
    if kind == "polars":
        frame = frame.with_columns(pl.col(NAMES[1]).fill_nan(None))
        assert frame[NAMES[1]].null_count() == 1
    with pytest.raises(ValueError, match="contains NaN"):
        TSNE(**SHORT).fit(frame)
