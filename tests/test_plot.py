"""plot.py: nothing overlaps, nothing is hidden, everybody can tell the colours apart."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttsne import plot
from fasttsne.plot import PALETTE, plot_embedding

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

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
    ax = plot_embedding(Y, labels, ax=axes())
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "3"]
    ax.figure.draw_without_rendering()
    for label, (_, low, high) in enumerate(boxes_of(ax.texts)):
        median = ax.transData.transform(np.median(Y[labels == label], axis=0))
        np.testing.assert_allclose((low + high) / 2, median, atol=1)


@pytest.mark.parametrize("radius", [0.0, 2.0, 30.0])
@pytest.mark.parametrize("n_classes", [2, 10, 30])
@pytest.mark.parametrize("length", [1, 12])
def test_names_never_overlap(radius, n_classes, length):
    Y, labels = rings(n_classes, radius=radius)
    names = np.array([f"{label:0{length}}" for label in labels])
    ax = plot_embedding(Y, names, ax=axes())
    ax.figure.draw_without_rendering()
    assert overlapping(ax.texts) == []
    assert outside(ax) == []
    assert len(ax.texts) == n_classes


def test_names_at_the_border_stay_inside():
    Y = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    ax = plot_embedding(Y, ["a rather long name " + c for c in "abcd"], ax=axes(4, 4))
    ax.figure.draw_without_rendering()
    assert outside(ax) == []
    assert overlapping(ax.texts) == []


def test_the_smallest_classes_give_way_where_there_is_no_room():
    Y, labels = rings(40, n_each=5)
    Y, labels = np.vstack([Y, Y[:20]]), np.append(labels, np.full(20, 7))
    names = np.array([f"class number {label:02}" for label in labels])
    ax = plot_embedding(Y, names, ax=axes(2, 2))
    ax.figure.draw_without_rendering()
    shown = [text.get_text() for text in ax.texts]
    assert 0 < len(shown) < 40
    assert "class number 07" in shown
    assert overlapping(ax.texts) == []


def test_names_fit_the_figure_that_subplots_are_laid_out_in():
    figure = Figure(figsize=(9, 4), layout="constrained")
    Y, labels = rings(12, radius=1.0)
    for ax in figure.subplots(1, 2):
        plot_embedding(Y, labels, ax=ax, title="a map")
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert overlapping(ax.texts) == []
        assert outside(ax) == []


@given(
    st.lists(st.tuples(*[st.floats(-50, 150)] * 2), min_size=1, max_size=12),
    st.tuples(st.floats(1, 20), st.floats(1, 20)),
)
def test_separate_boxes(centers, size):
    centers, sizes = np.array(centers), np.tile(size, (len(centers), 1))
    moved = plot._separate(centers, sizes, (0, 0), (100, 100))
    # Twelve boxes of 20 x 20 fill less than half of 100 x 100.
    assert not plot._overlaps(moved, sizes, np.zeros(2), np.full(2, 100.0)).any()


def test_separate_leaves_alone_what_is_apart():
    centers = np.array([[10.0, 10.0], [50.0, 50.0], [90.0, 20.0]])
    moved = plot._separate(centers, np.full((3, 2), 8.0), (0, 0), (100, 100))
    np.testing.assert_array_equal(moved, centers)


def test_overlaps_finds_them():
    centers = np.array([[10.0, 10.0], [14.0, 14.0], [50.0, 50.0], [99.0, 50.0]])
    hidden = plot._overlaps(centers, np.full((4, 2), 8.0), np.zeros(2), np.full(2, 100.0))
    assert hidden.tolist() == [True, True, False, True]


def test_every_point_is_drawn_in_the_colour_of_its_class():
    Y, labels = rings(12)
    ax = plot_embedding(Y, labels, ax=axes())
    (marks,) = ax.collections
    colors = map(tuple, marks.get_facecolors()[:, :3])
    drawn = dict(zip(map(tuple, marks.get_offsets()), colors, strict=True))
    assert drawn == {tuple(y): to_rgb(PALETTE[c % 10]) for y, c in zip(Y, labels, strict=True)}


def test_no_class_covers_the_others():
    Y, labels = rings(2, n_each=500, radius=0.0)
    (marks,) = plot_embedding(Y, labels, ax=axes()).collections
    first = np.all(marks.get_facecolors()[:, :3] == to_rgb(PALETTE[0]), axis=1)
    assert 200 < first[:500].sum() < 300


def test_same_scale_no_ticks_all_points_inside():
    Y = np.random.default_rng(0).normal(size=(100, 2)) * [50, 1] + 1_000
    ax = plot_embedding(Y, ax=axes(8, 4), title="A title")
    ax.figure.draw_without_rendering()
    window, view = ax.get_window_extent(), ax.viewLim
    assert window.width / view.width == pytest.approx(window.height / view.height)
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0
    assert np.all((view.min < Y) & (view.max > Y))
    assert ax.get_title(loc="left") == "A title"


def test_marks_shrink_with_their_number():
    def size(n):
        Y = np.random.default_rng(0).normal(size=(n, 2))
        return plot_embedding(Y, ax=axes()).collections[0].get_sizes()[0]

    assert size(20) > size(2_000) > size(20_000) > 0
    (marks,) = plot_embedding(np.zeros((3, 2)), size=7, ax=axes()).collections
    assert marks.get_sizes() == [7]


def test_many_marks_are_rasterized():
    (marks,) = plot_embedding(np.zeros((6_000, 2)), ax=axes()).collections
    assert marks.get_rasterized()


@pytest.mark.parametrize(
    "labels",
    [np.linspace(0, 1, 60), np.arange(60), list(range(60))],
    ids=["fractions", "many", "list"],
)
def test_a_quantity_has_a_colour_scale(labels):
    Y = np.random.default_rng(0).normal(size=(60, 2))
    ax = plot_embedding(Y, labels, ax=axes())
    assert len(ax.texts) == 0
    assert len(ax.figure.axes) == 2
    (marks,) = ax.collections
    drawn = dict(zip(map(tuple, marks.get_offsets()), marks.get_array(), strict=True))
    assert drawn == dict(zip(map(tuple, Y), labels, strict=True))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1.0, 2.0, 2.0, 30.0], ["1", "2", "30"]),
        ([True, False, True, False], ["False", "True"]),
        (["b", "a", "ä", "a"], ["a", "b", "ä"]),
        (np.array(["b", 1, None, "a"], dtype=object), ["1", "None", "a", "b"]),
        (pd.Series(["x", "y", "x", "y"], dtype="category"), ["x", "y"]),
    ],
)
def test_names_of_many_kinds(labels, names):
    ax = plot_embedding([[0, 0], [5, 0], [0, 5], [5, 5]], labels, ax=axes())
    assert [text.get_text() for text in ax.texts] == names


def test_annotate_can_be_turned_off():
    Y, labels = rings(3)
    assert len(plot_embedding(Y, labels, ax=axes(), annotate=False).texts) == 0


@pytest.mark.parametrize("Y", [np.zeros((1, 2)), np.full((5, 2), 3.0), [[0, 0], [1, 1]]])
def test_degenerate_maps(Y):
    ax = plot_embedding(Y, ["same"] * len(Y), ax=axes())
    ax.figure.draw_without_rendering()
    assert [text.get_text() for text in ax.texts] == ["same"]
    assert outside(ax) == []


@pytest.mark.parametrize("n_components", [1, 3])
def test_other_than_two_components(n_components):
    with pytest.raises(ValueError, match=f"embedding must have 2 columns.*got {n_components}"):
        plot_embedding(np.zeros((5, n_components)))


def test_bad_input_is_named():
    Y = np.zeros((5, 2))
    with pytest.raises(ValueError, match="Input embedding contains NaN"):
        plot_embedding(np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match="Input labels contains NaN"):
        plot_embedding(Y, [0.0, 1.0, np.nan, 1.0, 0.0])
    with pytest.raises(ValueError, match=r"labels must be one-dimensional.*\(5, 2\)"):
        plot_embedding(Y, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        plot_embedding(Y, [1, 2, 3])


def test_inputs_are_left_alone():
    Y, labels = rings(3)
    before = Y.copy(), labels.copy()
    plot_embedding(Y, labels, ax=axes())
    np.testing.assert_array_equal(Y, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_a_new_figure_without_axes():
    ax = plot_embedding(np.zeros((3, 2)))
    try:
        assert ax.figure.get_size_inches().tolist() == [6, 6]
    finally:
        pyplot.close(ax.figure)


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[plot\]'"):
        plot_embedding(np.zeros((3, 2)))
