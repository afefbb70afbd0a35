"""Points and their colours: nothing is hidden, and every colour can be told apart."""

import sys
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.markers import MarkerStyle  # noqa: E402
from pictures import axes, colors_at, colors_of, rings  # noqa: E402

from fasttsne.plot import PALETTE, quality_map, scatter  # noqa: E402
from fasttsne.plot.colors import MARKERS, class_looks  # noqa: E402
from fasttsne.plot.groups import read_labels  # noqa: E402
from fasttsne.quality import kl_divergence, neighbor_recall  # noqa: E402

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
# fmt: off
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
          [0.0193339, 0.1191920, 0.9503041]]
# fmt: on


def cielab(linear_rgb):
    """CIE L*a*b* of linear sRGB, white D65."""
    xyz = np.clip(linear_rgb, 0, 1) @ np.transpose(TO_XYZ) / [0.95047, 1, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def linear(colors=PALETTE):
    srgb = np.array([to_rgb(color) for color in colors])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


# ---- Colours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vision", VISIONS)
def test_all_pairs_of_colours_differ(vision):
    colors = cielab(linear() @ np.transpose(VISIONS[vision]))
    distance = np.linalg.norm(colors[:, None] - colors, axis=2)[np.triu_indices(10, 1)]
    assert distance.min() > 15  # matplotlib's default ten come to 4.6


def test_colours_differ_in_lightness_and_from_white():
    lightness = np.sort(cielab(linear())[:, 0])
    assert np.diff(lightness).min() > 4
    assert lightness[-1] < 81


def test_every_point_is_drawn_in_the_colour_of_its_class():
    Y, labels = rings(12)
    drawn = colors_of(scatter(Y, labels, ax=axes()))
    assert len(drawn) == len(Y)
    by_class = [{drawn[tuple(y)] for y in Y[labels == label]} for label in range(12)]
    assert all(len(colors) == 1 for colors in by_class)
    assert len(set().union(*by_class)) == 12
    Y, labels = rings(10)  # ten classes have the colours in order
    expected = colors_at(Y, [to_rgb(PALETTE[label]) for label in labels])
    assert colors_of(scatter(Y, labels, ax=axes())) == expected


@pytest.mark.parametrize("n_classes", [12, 20, 40, 60, 200, 280])
def test_no_two_classes_look_alike(n_classes):
    medians = np.random.default_rng(n_classes).uniform(size=(n_classes, 2))
    colors, marks = class_looks(medians, np.arange(n_classes))
    assert len(set(zip(colors, marks, strict=True))) == n_classes
    assert len(set(colors)) == min(n_classes, 40)
    lab = cielab(linear(sorted(set(colors))))
    distance = np.linalg.norm(lab[:, None] - lab, axis=2)[np.triu_indices(len(lab), 1)]
    assert distance.min() > 12
    assert lab[:, 0].max() < 85


@pytest.mark.parametrize("n_classes", [80, 200])
def test_classes_of_one_colour_lie_far_apart(n_classes):
    medians = np.random.default_rng(n_classes).uniform(size=(n_classes, 2))
    colors = np.array(class_looks(medians, np.arange(n_classes))[0])
    distance = np.linalg.norm(medians[:, None] - medians, axis=2) + 9 * np.eye(n_classes)
    same = np.where(colors[:, None] == colors, distance, 9).min()
    in_order = np.arange(n_classes) % 40
    assert same > 1.5 * np.where(in_order[:, None] == in_order, distance, 9).min()


def test_no_class_covers_the_others():
    Y, labels = rings(2, n_each=500, radius=0.0)
    (marks,) = scatter(Y, labels, ax=axes()).collections
    first = np.all(marks.get_facecolors()[:, :3] == to_rgb(PALETTE[0]), axis=1)
    assert 200 < first[:500].sum() < 300


@pytest.mark.parametrize(
    "labels",
    [
        ["a", None, "b", "a", float("nan")],
        pd.Series(["a", None, "b", "a", None], dtype="category"),
        np.array([1.0, np.nan, 2.0, 1.0, np.nan]),
        [0.5, np.nan, 0.25, 0.5, np.nan],
        np.ma.masked_equal([1, 0, 2, 1, 0], 0),
        [Decimal("1.5"), Decimal("nan"), Decimal(2), Decimal("1.5"), Decimal("snan")],
    ],
    ids=["strings", "category", "integers", "quantity", "masked", "decimals"],
)
def test_missing_labels_are_grey_and_below(labels):
    Y = np.array([[0, 0], [5, 0], [0, 5], [5, 5], [3, 3]])
    ax = scatter(Y, labels, ax=axes())
    (marks,) = ax.collections
    assert {tuple(y) for y in marks.get_offsets()[:2]} == {(5, 0), (3, 3)}
    grey = np.all(np.ptp(marks.get_facecolors()[:, :3], axis=1, keepdims=True) == 0, axis=1)
    assert grey.tolist() == [True, True, False, False, False]
    assert ax.get_xlabel() == "grey: 2 missing"
    assert "nan" not in [text.get_text().lower() for text in ax.texts]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array(["2020", "2021", "NaT"], "M8[Y]"), ["2020", "2021"]),
        (np.array(["2020-01", "2021-11", "NaT"], "M8[M]"), ["2020-01", "2021-11"]),
        *[
            (
                np.array(["2020-01-01", "2021-11-30", "NaT"], f"M8[{unit}]"),
                ["2020-01-01", "2021-11-30"],
            )
            for unit in ("D", "h", "s", "ms", "us", "ns")
        ],
        (
            np.array(["2020-01-01T07", "2020-01-02", "NaT"], "M8[ns]"),
            ["2020-01-01T07:00", "2020-01-02"],
        ),
        *[
            (np.array([7, 14, "NaT"], "m8[D]").astype(f"m8[{unit}]"), ["7 days", "14 days"])
            for unit in ("D", "h", "m", "s", "ms", "us", "ns")
        ],
        (np.array([36, 12, "NaT"], "m8[h]").astype("m8[ns]"), ["12 hours", "36 hours"]),
        (np.array([1, 3, "NaT"], "m8[Y]"), ["1 years", "3 years"]),
        (np.array([1, 10**16, "NaT"], "m8[s]"), ["1 seconds", "10000000000000000 seconds"]),
        (np.array([1, 3, "NaT"], "m8[ps]"), ["1 picoseconds", "3 picoseconds"]),
        (pd.Series(pd.to_timedelta([1, 2, None], "D")), ["1 days", "2 days"]),
        (pl.Series([date(2020, 1, 1), date(2021, 1, 1), None]), ["2020-01-01", "2021-01-01"]),
        ([date(2020, 1, 1), date(2021, 1, 1), None], ["2020-01-01", "2021-01-01"]),
    ],
)
def test_dates_and_durations_keep_their_names(labels, names):
    classes = read_labels(labels, 3)
    assert classes.names == names
    assert sorted(classes.codes) == [-1, 0, 1]


@pytest.mark.parametrize("labels", [[None] * 3, [np.nan] * 3, np.full(3, np.nan)])
def test_no_label_at_all(labels):
    ax = scatter(np.eye(3, 2), labels, ax=axes())
    ax.figure.draw_without_rendering()
    assert ax.get_xlabel() == "grey: 3 missing"


@pytest.mark.parametrize(
    "labels",
    [np.linspace(0, 1, 60), np.arange(60), list(range(60))],
    ids=["fractions", "many", "list"],
)
def test_a_quantity_has_a_colour_scale(labels):
    Y = np.random.default_rng(0).normal(size=(60, 2))
    ax = scatter(Y, labels, ax=axes())
    assert len(ax.texts) == 0
    assert len(ax.figure.axes) == 2
    scale = matplotlib.colormaps["viridis"](np.asarray(labels) / np.max(labels))
    assert colors_of(ax) == colors_at(Y, scale)
    assert ax.figure.axes[1].get_ylim() == (0, np.max(labels))


def test_a_quantity_is_named_beside_its_scale():
    Y, values = np.random.default_rng(0).normal(size=(60, 2)), np.linspace(0, 1, 60)
    for labels, name, expected in [
        (pd.Series(values, name="petal $ length"), None, r"petal \$ length"),
        (pd.Series(values, name="petal"), "width", "width"),
        (values, "_width", "_width"),
        (pd.Series(values), None, ""),
        (pd.Series(values, name=7), None, ""),
        (pl.Series(values), None, ""),
    ]:
        ax = scatter(Y, labels, ax=axes(), label_name=name)
        assert ax.figure.axes[1].get_ylabel() == expected


# ---- Quality -------------------------------------------------------------------------------------


def test_a_quality_map_has_the_colours_of_each_points_quality():
    X = load_iris().data
    Y = X[:, :2] + np.random.default_rng(0).normal(size=(150, 2)) / 100
    ax = quality_map(X, Y, n_neighbors=7, ax=axes())
    recall = neighbor_recall(X, Y, n_neighbors=7, per_sample=True)
    assert colors_of(ax) == colors_at(Y, matplotlib.colormaps["cividis"](recall))
    assert ax.get_title(loc="left") == f"neighbour recall@7: mean {recall.mean():.3f}"
    ax = quality_map(X, Y, measure="kl_divergence", perplexity=20, ax=axes())
    shares = kl_divergence(X, Y, perplexity=20, per_sample=True)
    low, high = np.quantile(shares, [0.02, 0.98])
    assert ax.figure.axes[1].get_ylim() == pytest.approx((low, high))
    scale = np.clip((shares - low) / (high - low), 0, 1)
    assert colors_of(ax) == colors_at(Y, matplotlib.colormaps["cividis"](scale))
    with pytest.raises(ValueError, match='measure must be "neighbor_recall" or'):
        quality_map(X, Y, measure="beauty")


# ---- Marks, axes, legends ------------------------------------------------------------------------


def test_same_scale_no_ticks_all_points_inside():
    Y = np.random.default_rng(0).uniform(size=(1000, 2)) * [50, 10] + 1_000
    ax = scatter(Y, ax=axes(8, 4), title="A title")
    ax.figure.draw_without_rendering()
    window, view = ax.get_window_extent(), ax.viewLim
    assert window.width / view.width == pytest.approx(window.height / view.height)
    assert [view.width, view.height] == pytest.approx([53, 13], rel=0.02)
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    assert np.all((view.min < Y) & (view.max > Y))
    assert ax.get_title(loc="left") == "A title"


@pytest.mark.parametrize(
    ("shape", "size"), [((50, 10), (6, 2)), ((1, 2), (3, 6)), ((0, 1), (3, 6))]
)
def test_a_new_figure_has_the_shape_of_the_map(shape, size):
    Y = np.array([[0, 0], [1, 1]]) * shape
    ax = scatter(Y)
    assert ax.figure.get_size_inches() == pytest.approx(size, rel=0.06)
    pyplot.close(ax.figure)


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e16, -1e20, 1e100])
def test_a_constant_map_has_a_window_of_some_size(value):
    Y = np.full((5, 2), value)
    ax = scatter(Y, ["a", "a", "b", "b", "b"], ax=axes())
    ax.figure.draw_without_rendering()
    assert np.all((ax.viewLim.min < Y) & (ax.viewLim.max > Y))
    ax = scatter(Y - np.arange(10).reshape(5, 2) * np.spacing(value), ax=axes())
    assert np.all((ax.viewLim.min < Y) & (ax.viewLim.max > Y))


def test_many_marks_are_small_and_rasterized():
    def marks_of(n, size=None):
        Y = np.random.default_rng(0).normal(size=(n, 2))
        return scatter(Y, ax=axes(), size=size).collections[0]

    few, some, many = map(marks_of, (20, 2_000, 20_000))
    assert few.get_sizes()[0] > some.get_sizes()[0] > many.get_sizes()[0] > 0
    assert many.get_rasterized() and not some.get_rasterized()
    assert marks_of(3, size=7).get_sizes() == [7]


def test_a_legend_names_all_classes_and_the_missing():
    Y, labels = rings(3)
    named = np.array(["_first", "$cash", "third " * 30], dtype=object)[labels]
    named[:4] = None
    ax = scatter(Y, named, ax=axes(8, 6), names="legend")
    ax.figure.draw_without_rendering()
    entries = [text.get_text().replace(r"\$", "$") for text in ax.get_legend().get_texts()]
    assert entries[:2] == ["$cash", "_first"]
    assert entries[2].startswith("third third") and len(entries[2]) <= 40
    assert entries[3:] == ["missing"]
    assert len(ax.texts) == 0
    handles = [line.get_color() for line in ax.get_legend().get_lines()]
    assert handles[:3] == list(PALETTE[:3])


def test_classes_of_one_colour_have_different_marks_in_a_legend_and_on_the_map():
    Y, labels = rings(30)
    codes = np.where(np.arange(len(Y)) % 7 == 0, -1, labels)
    ax = scatter(Y, np.where(codes < 0, None, codes), ax=axes(8, 6), names="legend")
    *entries, missing = ax.get_legend().get_lines()
    looks = [(to_rgb(line.get_color()), line.get_marker()) for line in entries]
    assert len(set(looks)) == 30
    assert {marker for _, marker in looks} == set(MARKERS[:3])
    assert missing.get_marker() == "o"
    (marks,) = ax.collections
    drawn = {tuple(y): i for i, y in enumerate(marks.get_offsets())}
    paths, colors = marks.get_paths(), marks.get_facecolors()
    for y, code in zip(Y, codes, strict=True):
        color, marker = looks[code] if code >= 0 else (None, "o")
        style = MarkerStyle(marker)
        expected = style.get_path().transformed(style.get_transform())
        at = drawn[tuple(y)]
        np.testing.assert_array_equal(paths[at].vertices, expected.vertices)
        assert color is None or tuple(colors[at, :3]) == color
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize("where", ["map", "legend"])
def test_ten_thousand_classes(where):
    labels = np.array([f"class {i}" for i in range(10_000)])
    Y = np.random.default_rng(0).normal(size=(20_000, 2))
    ax = scatter(Y, np.tile(labels, 2), ax=axes(), names=where)
    ax.figure.draw_without_rendering()
    assert len(ax.texts) <= 100
    if where == "legend":
        assert ax.get_legend().get_texts()[-1].get_text() == "and 9,960 more"


def test_more_points_than_there_is_room_for_are_an_image():
    labels = np.repeat([0, 1], 60_000)
    Y = np.random.default_rng(0).normal(size=(120_000, 2)) + 10 * labels[:, np.newaxis]
    ax = scatter(Y, labels, ax=axes())
    assert len(ax.collections) == 0
    (image,) = ax.images
    pixels = image.get_array()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert image.get_extent() == pytest.approx([left, right, bottom, top])
    for label in range(2):
        at = (np.full(2, 10.0 * label) - [left, bottom]) / [right - left, top - bottom]
        column, row = (at * pixels.shape[1::-1]).astype(int)
        near = pixels[row - 3 : row + 3, column - 3 : column + 3]
        np.testing.assert_allclose(near[..., :3], [[to_rgb(PALETTE[label])] * 6] * 6, atol=1e-6)
        assert near[..., 3].min() > 0.5
    assert pixels[0, -1, 3] == 0
    assert len(ax.texts) == 2


def test_an_image_has_no_marks_in_its_legend():
    Y, labels = rings(11, n_each=9_100)
    ax = scatter(Y, labels, ax=axes(8, 6), names="legend")
    assert {line.get_marker() for line in ax.get_legend().get_lines()} == {"o"}


# ---- Manners -------------------------------------------------------------------------------------


def test_bad_input_is_named():
    Y = np.zeros((5, 2))
    for given, labels, options, message in [
        (np.zeros((5, 1)), None, {}, "Y must have 2 columns.*got 1"),
        (np.zeros((5, 3)), None, {}, "Y must have 2 columns.*got 3"),
        (np.full((5, 2), np.nan), None, {}, "Input Y contains NaN"),
        (Y, [0.0, 1.5, np.inf, 1.0, 0.0], {}, "labels contains infinity"),
        (Y, Y, {}, r"labels has shape \(5, 2\), but must be one label per sample"),
        (Y, "abcde", {}, "labels must be one-dimensional; got str"),
        (Y, None, {"size": 0}, "size must be above 0"),
        (Y, None, {"size": np.nan}, "size must be above 0"),
        (Y, None, {"alpha": 1.5}, "alpha must be"),
        (Y, None, {"alpha": 0}, "alpha must be"),
        (Y, None, {"names": "all"}, "names must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            scatter(given, labels, **options)
    with pytest.raises(ValueError, match="Y must have 2 columns"):
        quality_map(np.zeros((5, 4)), np.zeros((5, 3)))


def test_inputs_and_the_global_style_are_left_alone():
    Y, labels = rings(3)
    before = Y.copy(), labels.copy(), dict(matplotlib.rcParams)
    ax = scatter(Y, labels)
    assert ax.figure.get_size_inches().max() == pytest.approx(6)
    pyplot.close(ax.figure)
    np.testing.assert_array_equal(Y, before[0])
    np.testing.assert_array_equal(labels, before[1])
    assert dict(matplotlib.rcParams) == before[2]


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[plot\]'"):
        scatter(np.zeros((3, 2)))


@pytest.mark.parametrize("values", [["a", "b"], [0.5, 0.25]])
@pytest.mark.parametrize("n_missing", [2, 30])
def test_few_missing_labels_are_on_top_and_many_below(values, n_missing):
    labels = np.resize(np.array(values, dtype=object), 100)
    labels[:n_missing] = None
    ax = scatter(np.random.default_rng(0).normal(size=(100, 2)), labels, ax=axes())
    (marks,) = ax.collections
    grey = np.ptp(marks.get_facecolors()[:, :3], axis=1) == 0
    there = slice(-n_missing, None) if n_missing == 2 else slice(n_missing)
    assert grey.sum() == n_missing and grey[there].all()


def test_a_title_is_no_formula():
    ax = scatter(np.eye(3, 2), title="$cost 5$", ax=axes())
    assert ax.get_title(loc="left") == r"\$cost 5\$"  # as matplotlib writes dollars
