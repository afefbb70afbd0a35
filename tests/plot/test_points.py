"""Pictures: nothing overlaps, nothing is hidden, everybody can tell the colours apart."""

import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttsne.plot import PALETTE, names, scatter
from fasttsne.plot.colors import class_colors

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.markers import MarkerStyle  # noqa: E402

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def cielab(linear_rgb):
    """CIE L*a*b* of linear sRGB, white D65."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
              [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip
    xyz = np.clip(linear_rgb, 0, 1) @ np.transpose(to_xyz) / [0.95047, 1, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def palette():
    srgb = np.array([to_rgb(color) for color in PALETTE])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("vision", VISIONS)
def test_all_pairs_of_colours_differ(vision):
    colors = cielab(palette() @ np.transpose(VISIONS[vision]))
    distance = np.linalg.norm(colors[:, None] - colors, axis=2)[np.triu_indices(10, 1)]
    assert distance.min() > 15  # matplotlib's default ten come to 4.6


def test_colours_differ_in_lightness_and_from_white():
    lightness = np.sort(cielab(palette())[:, 0])
    assert np.diff(lightness).min() > 4
    assert lightness[-1] < 81


def boxes_of(texts):
    """Corners of what each text covers, in pixels."""
    for text in texts:
        extent = text.get_window_extent()
        yield text.get_text(), np.array(extent.min), np.array(extent.max)


def overlapping(texts):
    boxes = list(boxes_of(texts))
    return [
        (one, other)
        for i, (one, low, high) in enumerate(boxes)
        for other, low2, high2 in boxes[i + 1 :]
        if np.all(low < high2) and np.all(low2 < high)
    ]


def outside(ax):
    window = ax.get_window_extent()
    return [
        name
        for name, low, high in boxes_of(ax.texts)
        if np.any(low < np.array(window.min) - 1) or np.any(high > np.array(window.max) + 1)
    ]


def axes(width=6.0, height=6.0):
    return Figure(figsize=(width, height)).add_subplot()


def rings(n_classes, n_each=20, radius=10.0, seed=0):
    """Classes in a ring: a small radius puts them all on top of each other."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), n_each)
    angle = 2 * np.pi * labels / n_classes
    centers = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return centers + rng.normal(size=(len(labels), 2)), labels


def test_names_stand_at_the_medians():
    Y, labels = rings(4)
    ax = scatter(Y, labels, ax=axes())
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "3"]
    assert len(ax.lines) == 0
    ax.figure.draw_without_rendering()
    for label, (_, low, high) in enumerate(boxes_of(ax.texts)):
        median = ax.transData.transform(np.median(Y[labels == label], axis=0))
        np.testing.assert_allclose((low + high) / 2, median, atol=1)


def two_groups(shares=(30, 20)):
    heaps = np.repeat([[-20.0, 0.0], [20.0, 0.0]], shares, axis=0)
    Y = heaps + np.random.default_rng(0).normal(size=heaps.shape)
    return np.vstack([Y, Y * 0.1 + [0.0, 30.0]])


def ring():
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    round_ = 20 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.vstack([round_, round_ * 0.1 + [0.0, 30.0]])


@pytest.mark.parametrize("Y", [two_groups(), two_groups((25, 25)), ring()])
def test_a_name_stands_where_points_of_its_class_are(Y):
    labels = np.repeat(["scattered", "together"], 50)
    ax = scatter(Y, labels, ax=axes())
    ax.figure.draw_without_rendering()
    (_, low, high), _ = boxes_of(ax.texts)
    points = ax.transData.transform(Y[:50])
    assert np.linalg.norm(points - (low + high) / 2, axis=1).min() < (high[1] - low[1]) / 2


@pytest.mark.parametrize("radius", [0.0, 2.0, 30.0])
@pytest.mark.parametrize("n_classes", [2, 10, 30])
@pytest.mark.parametrize("length", [1, 12])
def test_names_never_overlap(radius, n_classes, length):
    Y, labels = rings(n_classes, radius=radius)
    names = np.array([f"{label:0{length}}" for label in labels])
    ax = scatter(Y, names, ax=axes())
    ax.figure.draw_without_rendering()
    assert overlapping(ax.texts) == []
    assert outside(ax) == []
    # Thirty classes in one place find not quite enough room near it.
    assert len(ax.texts) >= (n_classes if radius or n_classes < 30 else 0.8 * n_classes)


def test_names_at_the_border_stay_inside():
    Y = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    ax = scatter(Y, ["a rather long name " + c for c in "abcd"], ax=axes(4, 4))
    ax.figure.draw_without_rendering()
    assert outside(ax) == []
    assert overlapping(ax.texts) == []


def test_the_smallest_classes_give_way_where_there_is_no_room():
    Y, labels = rings(40, n_each=5)
    Y, labels = np.vstack([Y, Y[:20]]), np.append(labels, np.full(20, 7))
    names = np.array([f"class number {label:02}" for label in labels])
    ax = scatter(Y, names, ax=axes(2, 2))
    ax.figure.draw_without_rendering()
    shown = [text.get_text() for text in ax.texts]
    assert 0 < len(shown) < 40
    assert "class number 07" in shown
    assert overlapping(ax.texts) == []


def test_names_fit_the_figure_that_subplots_are_laid_out_in():
    figure = Figure(figsize=(9, 4), layout="constrained")
    Y, labels = rings(12, radius=1.0)
    for ax in figure.subplots(1, 2):
        scatter(Y, labels, ax=ax, title="a map")
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert overlapping(ax.texts) == []
        assert outside(ax) == []


@given(
    st.lists(st.tuples(*[st.floats(-50, 150)] * 2), min_size=1, max_size=12),
    st.tuples(st.floats(1, 20), st.floats(1, 20)),
)
def test_placed_boxes(anchors, size):
    anchors, sizes = np.array(anchors), np.tile(size, (len(anchors), 1))
    low, high = np.zeros(2), np.full(2, 100.0)
    centers = names.place_boxes(anchors, sizes, low, high, 30.0)
    placed = ~np.isnan(centers).any(axis=1)
    assert placed[0]
    centers = centers[placed]
    assert np.all(
        (centers - sizes[placed] / 2 > -1e-9) & (centers + sizes[placed] / 2 < 100 + 1e-9)
    )
    inside = np.clip(anchors[placed], sizes[placed] / 2, 100 - sizes[placed] / 2)
    assert np.linalg.norm(centers - inside, axis=1).max() < 30 + 1e-9
    apart = np.abs(centers[:, None] - centers) >= np.array(size) - 1e-9
    assert np.all(apart.any(axis=2) | np.eye(len(centers), dtype=bool))


def test_boxes_that_are_apart_stay_where_they_want_to_be():
    anchors = np.array([[10.0, 10.0], [50.0, 50.0], [90.0, 20.0]])
    placed = names.place_boxes(anchors, np.full((3, 2), 8.0), np.zeros(2), np.full(2, 100.0), 30.0)
    np.testing.assert_array_equal(placed, anchors)


def test_boxes_without_room_are_not_placed():
    anchors, sizes = np.full((3, 2), 5.0), np.array([[8.0, 8.0], [8.0, 8.0], [20.0, 1.0]])
    placed = names.place_boxes(anchors, sizes, np.zeros(2), np.full(2, 10.0), 5.0)
    assert np.isnan(placed).all(axis=1).tolist() == [False, True, True]


def test_many_long_names_in_small_axes_stay_with_their_classes():
    Y, labels = rings(24, radius=40.0)
    long = np.array([f"a very long name of the class number {label}" for label in labels])
    ax = scatter(Y, long, ax=axes(3, 3))
    ax.figure.draw_without_rendering()
    assert overlapping(ax.texts) == outside(ax) == []
    assert len(ax.texts) > 8
    window = ax.get_window_extent()
    for name, low, high in boxes_of(ax.texts):
        label = int(name.split()[-1])
        median = ax.transData.transform(np.median(Y[labels == label], axis=0))
        gap = np.maximum(np.maximum(low - median, median - high), 0)
        assert np.linalg.norm(gap) < 0.2 * window.width, name


def test_a_name_that_made_way_is_tied_to_its_class():
    Y, labels = rings(12, radius=0.5)
    ax = scatter(Y, labels, ax=axes())
    ends = [line.get_xydata()[0] for line in ax.lines]
    medians = [np.median(Y[labels == label], axis=0) for label in range(12)]
    assert 0 < len(ends) < 12
    for end in ends:
        assert np.linalg.norm(np.array(medians) - end, axis=1).min() < 1e-6


def test_a_name_does_not_hide_a_small_class():
    Y = np.random.default_rng(0).normal(size=(400, 2)) * 10
    Y[:20] = [30.0, 0.0] + Y[:20] / 50
    labels = np.repeat(["a tiny class with a name", "large"], [20, 380])
    ax = scatter(Y, labels, ax=axes())
    ax.figure.draw_without_rendering()
    ((_, low, high),) = [box for box in boxes_of(ax.texts) if "tiny" in box[0]]
    pixels = ax.transData.transform(Y[:20])
    hidden = np.all((low < pixels) & (pixels < high), axis=1)
    assert hidden.mean() < 0.3


def test_every_point_is_drawn_in_the_colour_of_its_class():
    Y, labels = rings(12)
    ax = scatter(Y, labels, ax=axes())
    (marks,) = ax.collections
    colors = map(tuple, marks.get_facecolors()[:, :3])
    drawn = dict(zip(map(tuple, marks.get_offsets()), colors, strict=True))
    assert len(drawn) == len(Y)
    by_class = [{drawn[tuple(y)] for y in Y[labels == label]} for label in range(12)]
    assert all(len(colors) == 1 for colors in by_class)
    assert set().union(*by_class) == {to_rgb(color) for color in PALETTE}


def test_ten_classes_have_the_colours_in_order():
    Y, labels = rings(10)
    (marks,) = scatter(Y, labels, ax=axes()).collections
    colors = map(tuple, marks.get_facecolors()[:, :3])
    drawn = dict(zip(map(tuple, marks.get_offsets()), colors, strict=True))
    assert drawn == {tuple(y): to_rgb(PALETTE[c]) for y, c in zip(Y, labels, strict=True)}


@pytest.mark.parametrize("n_classes", [20, 30, 200])
def test_classes_of_one_colour_lie_far_apart(n_classes):
    medians = np.random.default_rng(n_classes).uniform(size=(n_classes, 2))
    colors = np.array(class_colors(medians, np.arange(n_classes)))
    assert set(colors) == set(PALETTE)
    distance = np.linalg.norm(medians[:, None] - medians, axis=2) + 9 * np.eye(n_classes)
    same = np.where(colors[:, None] == colors, distance, 9).min()
    in_order = np.arange(n_classes) % 10
    assert same > 1.5 * np.where(in_order[:, None] == in_order, distance, 9).min()


def test_no_class_covers_the_others():
    Y, labels = rings(2, n_each=500, radius=0.0)
    (marks,) = scatter(Y, labels, ax=axes()).collections
    first = np.all(marks.get_facecolors()[:, :3] == to_rgb(PALETTE[0]), axis=1)
    assert 200 < first[:500].sum() < 300


def test_same_scale_no_ticks_all_points_inside():
    Y = np.random.default_rng(0).normal(size=(100, 2)) * [50, 1] + 1_000
    ax = scatter(Y, ax=axes(8, 4), title="A title")
    ax.figure.draw_without_rendering()
    window, view = ax.get_window_extent(), ax.viewLim
    assert window.width / view.width == pytest.approx(window.height / view.height)
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    assert np.all((view.min < Y) & (view.max > Y))
    assert ax.get_title(loc="left") == "A title"


def test_marks_shrink_with_their_number():
    def size(n):
        Y = np.random.default_rng(0).normal(size=(n, 2))
        return scatter(Y, ax=axes()).collections[0].get_sizes()[0]

    assert size(20) > size(2_000) > size(20_000) > 0
    (marks,) = scatter(np.zeros((3, 2)), size=7, ax=axes()).collections
    assert marks.get_sizes() == [7]


def test_many_marks_are_rasterized():
    (marks,) = scatter(np.zeros((6_000, 2)), ax=axes()).collections
    assert marks.get_rasterized()


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
    (marks,) = ax.collections
    colors = map(tuple, np.round(marks.get_facecolors()[:, :3], 6))
    drawn = dict(zip(map(tuple, marks.get_offsets()), colors, strict=True))
    scale = matplotlib.colormaps["viridis"](np.asarray(labels) / np.max(labels))
    expected = map(tuple, np.round(scale[:, :3], 6))
    assert drawn == dict(zip(map(tuple, Y), expected, strict=True))
    low, high = ax.figure.axes[1].get_ylim()
    assert (low, high) == (0, np.max(labels))


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


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1.0, 2.0, 2.0, 30.0], ["1", "2", "30"]),
        ([True, False, True, False], ["False", "True"]),
        (["b", "a", "ä", "a"], ["a", "b", "ä"]),
        (np.array(["b", 1, "b", "a"], dtype=object), ["1", "a", "b"]),
        (pd.Series(["x", "y", "x", "y"], dtype="category"), ["x", "y"]),
        (["100 %", "$x$", "a$b", "\\$"], ["$x$", "100 %", "\\$", "a$b"]),
        (
            ["日本語", "العربية", "<b>bold</b>", "_hidden"],
            ["<b>bold</b>", "_hidden", "العربية", "日本語"],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_of_many_kinds(labels, names):
    ax = scatter([[0, 0], [5, 0], [0, 5], [5, 5]], labels, ax=axes())
    assert sorted(text.get_text().replace(r"\$", "$") for text in ax.texts) == sorted(names)
    ax.figure.draw_without_rendering()


def test_names_can_be_turned_off():
    Y, labels = rings(3)
    assert len(scatter(Y, labels, ax=axes(), names=None).texts) == 0


@pytest.mark.parametrize("Y", [np.zeros((1, 2)), np.full((5, 2), 3.0), [[0, 0], [1, 1]]])
def test_degenerate_maps(Y):
    ax = scatter(Y, ["same"] * len(Y), ax=axes())
    ax.figure.draw_without_rendering()
    assert [text.get_text() for text in ax.texts] == ["same"]
    assert outside(ax) == []


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e16, -1e20, 1e100])
def test_a_constant_map_has_a_window_of_some_size(value):
    Y = np.full((5, 2), value)
    ax = scatter(Y, ["a", "a", "b", "b", "b"], ax=axes())
    ax.figure.draw_without_rendering()
    assert np.all((ax.viewLim.min < Y) & (ax.viewLim.max > Y))
    ax = scatter(Y - np.arange(10).reshape(5, 2) * np.spacing(value), ax=axes())
    assert np.all((ax.viewLim.min < Y) & (ax.viewLim.max > Y))


@pytest.mark.parametrize("n_components", [1, 3])
def test_other_than_two_components(n_components):
    with pytest.raises(ValueError, match=f"Y must have 2 columns.*got {n_components}"):
        scatter(np.zeros((5, n_components)))


def test_bad_input_is_named():
    Y = np.zeros((5, 2))
    with pytest.raises(ValueError, match="Input Y contains NaN"):
        scatter(np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match="labels must not hold infinity"):
        scatter(Y, [0.0, 1.5, np.inf, 1.0, 0.0])
    with pytest.raises(ValueError, match=r"labels must be one-dimensional.*\(5, 2\)"):
        scatter(Y, Y)
    with pytest.raises(ValueError, match="got 3 labels for 5 points"):
        scatter(Y, [1, 2, 3])
    with pytest.raises(ValueError, match="labels must be one-dimensional; got str"):
        scatter(Y, "abcde")
    for bad in ({"size": 0}, {"size": np.nan}, {"alpha": 1.5}, {"alpha": 0}, {"names": "all"}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
            scatter(Y, **bad)


def test_inputs_are_left_alone():
    Y, labels = rings(3)
    before = Y.copy(), labels.copy()
    scatter(Y, labels, ax=axes())
    np.testing.assert_array_equal(Y, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_a_new_figure_without_axes():
    ax = scatter(np.zeros((3, 2)))
    try:
        assert ax.figure.get_size_inches().tolist() == [6, 6]
    finally:
        pyplot.close(ax.figure)


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[plot\]'"):
        scatter(np.zeros((3, 2)))


MISSING = [
    ["a", None, "b", "a", float("nan")],
    np.array(["a", None, "b", "a", np.nan], dtype=object),
    pd.Series(["a", None, "b", "a", pd.NA], dtype="string"),
    pd.Series(["a", None, "b", "a", None], dtype="category"),
    [1.0, np.nan, 2.0, 1.0, None],
    np.array([1.0, np.nan, 2.0, 1.0, np.nan]),
    pd.Series([1, None, 2, 1, None], dtype="Int64"),
    [0.5, np.nan, 0.25, 0.5, np.nan],
    np.ma.masked_equal([1, 0, 2, 1, 0], 0),
    np.array(["2001", "NaT", "2002", "2001", "NaT"], "datetime64[Y]"),
    [Decimal("1.5"), Decimal("nan"), Decimal(2), Decimal("1.5"), Decimal("snan")],
]


@pytest.mark.parametrize("labels", MISSING, ids=lambda labels: type(labels).__name__)
def test_missing_labels_are_grey_and_below(labels):
    Y = np.array([[0, 0], [5, 0], [0, 5], [5, 5], [3, 3]])
    ax = scatter(Y, labels, ax=axes())
    (marks,) = ax.collections
    assert {tuple(y) for y in marks.get_offsets()[:2]} == {(5, 0), (3, 3)}
    grey = np.all(np.ptp(marks.get_facecolors()[:, :3], axis=1, keepdims=True) == 0, axis=1)
    assert grey.tolist() == [True, True, False, False, False]
    assert ax.get_xlabel() == "grey: 2 missing"
    assert "nan" not in [text.get_text().lower() for text in ax.texts]


@pytest.mark.parametrize("labels", [[], [None], [np.nan], [2**64, None, -1]])
def test_large_integers_stay_apart(labels):
    labels = [*labels, 2**60 + 1, 2**60, 2**60 + 2, 2**60]
    ax = scatter(rings(len(labels), 1)[0], labels, ax=axes())
    expected = sorted({str(label) for label in labels if isinstance(label, int)})
    assert sorted(text.get_text().replace("\n", "") for text in ax.texts) == expected


@pytest.mark.parametrize("labels", [[None] * 3, [np.nan] * 3, np.full(3, np.nan)])
def test_no_label_at_all(labels):
    ax = scatter(np.eye(3, 2), labels, ax=axes())
    ax.figure.draw_without_rendering()
    assert ax.get_xlabel() == "grey: 3 missing"


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
    assert {marker for _, marker in looks} > {"o"}
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


def test_an_image_has_no_marks_in_its_legend():
    Y, labels = rings(11, n_each=9_100)
    ax = scatter(Y, labels, ax=axes(8, 6), names="legend")
    assert {line.get_marker() for line in ax.get_legend().get_lines()} == {"o"}


@pytest.mark.parametrize("where", ["map", "legend"])
def test_ten_thousand_classes(where):
    rng = np.random.default_rng(0)
    labels = np.array([f"class {i}" for i in range(10_000)])
    ax = scatter(rng.normal(size=(20_000, 2)), np.tile(labels, 2), ax=axes(), names=where)
    ax.figure.draw_without_rendering()
    assert len(ax.texts) <= 100
    if where == "legend":
        assert ax.get_legend().get_texts()[-1].get_text() == "and 9,960 more"


def test_more_points_than_there_is_room_for_are_an_image():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60_000)
    Y = rng.normal(size=(120_000, 2)) + 10 * labels[:, np.newaxis]
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


def test_global_style_is_left_alone():
    before = dict(matplotlib.rcParams)
    Y, labels = rings(3)
    pyplot.close(scatter(Y, labels).figure)
    assert dict(matplotlib.rcParams) == before
