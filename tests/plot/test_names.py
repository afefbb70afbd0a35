"""Names on a map: inside it, near their classes, and without overlaps."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib").use("Agg")

from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from pictures import axes, boxes_of, colors_of, misplaced, rings  # noqa: E402

from fasttsne.plot import scatter  # noqa: E402
from fasttsne.plot.names import distinct, place_boxes  # noqa: E402


def listed(ax):
    """Names in the legend."""
    return [text.get_text() for text in ax.get_legend().get_texts()] if ax.get_legend() else []


def test_names_stand_at_the_medians():
    Y, labels = rings(4)
    ax = scatter(Y, labels, ax=axes())
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "3"]
    assert len(ax.lines) == 0
    ax.figure.draw_without_rendering()
    for label, (_, low, high) in enumerate(boxes_of(ax.texts)):
        median = ax.transData.transform(np.median(Y[labels == label], axis=0))
        np.testing.assert_allclose((low + high) / 2, median, atol=1)
    assert len(scatter(Y, labels, ax=axes(), names=None).texts) == 0


def two_groups(shares=(30, 20)):
    heaps = np.repeat([[-20.0, 0.0], [20.0, 0.0]], shares, axis=0)
    return heaps + np.random.default_rng(0).normal(size=heaps.shape)


def ring():
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    return 20 * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("Y", [two_groups(), two_groups((25, 25)), ring()])
def test_a_name_stands_where_points_of_its_class_are(Y):
    labels = np.repeat(["scattered", "together"], 50)
    ax = scatter(np.vstack([Y, Y * 0.1 + [0.0, 30.0]]), labels, ax=axes())
    ax.figure.draw_without_rendering()
    (_, low, high), _ = boxes_of(ax.texts)
    points = ax.transData.transform(Y)
    assert np.any(np.all((low < points) & (points < high), axis=1))


@pytest.mark.parametrize("radius", [0.0, 2.0, 30.0])
@pytest.mark.parametrize("n_classes", [2, 10, 30])
@pytest.mark.parametrize("length", [1, 12])
def test_names_never_overlap(radius, n_classes, length):
    Y, labels = rings(n_classes, radius=radius)
    ax = scatter(Y, np.array([f"{label:0{length}}" for label in labels]), ax=axes())
    assert misplaced(ax) == []
    named = [text.get_text() for text in ax.texts] + listed(ax)
    assert sorted(named, key=int) == [f"{label:0{length}}" for label in range(n_classes)]
    assert len(ax.texts) >= min(n_classes, 12)  # thirty long names in one place find no room


@pytest.mark.parametrize(
    "Y",
    [np.zeros((1, 2)), np.full((5, 2), 3.0), [[0, 0], [1, 1]], [[0, 0], [1, 0], [1, 1]]],
)
def test_names_of_few_points_stay_inside(Y):
    ax = scatter(Y, ["same"] * len(Y), ax=axes())
    assert misplaced(ax) == []
    assert [text.get_text() for text in ax.texts] == ["same"]
    ax = scatter(Y, [f"a rather long name {i}" for i in range(len(Y))], ax=axes(4, 4))
    assert misplaced(ax) == []


def test_the_smallest_classes_are_in_a_legend_where_there_is_no_room():
    Y, labels = rings(40, n_each=5)
    Y, labels = np.vstack([Y, Y[:20]]), np.append(labels, np.full(20, 7))
    ax = scatter(Y, np.array([f"class number {label:02}" for label in labels]), ax=axes(2, 2))
    assert misplaced(ax) == []
    shown = [text.get_text() for text in ax.texts]
    assert 0 < len(shown) < 40
    assert "class number 07" in shown
    assert sorted(shown + listed(ax)) == [f"class number {label:02}" for label in range(40)]


def test_names_stay_readable_and_leave_room_for_the_points():
    Y, labels = rings(40)
    names = np.array([f"{k}th alpha-beta memory T cell of type {k}" for k in range(40)])
    ax = scatter(Y, names[labels], ax=Figure(figsize=(8, 8), layout="constrained").add_subplot())
    assert misplaced(ax) == []
    assert min(text.get_fontsize() for text in ax.texts) >= 8
    window = ax.get_window_extent()
    covered = sum(np.prod(high - low) for _, low, high in boxes_of(ax.texts))
    assert 0 < covered < 0.21 * window.width * window.height
    ends = [name.split()[-1] for name in [text.get_text() for text in ax.texts] + listed(ax)]
    assert sorted(ends, key=int) == [str(k) for k in range(40)]
    box = ax.get_legend().get_window_extent()
    assert box.x0 >= window.x1 and box.x1 <= 800


def test_a_name_is_outlined_in_the_colour_of_its_class():
    Y, labels = rings(12)
    ax = scatter(Y, labels, ax=axes())
    drawn = colors_of(ax)
    for text in ax.texts:
        (color,) = {drawn[tuple(y)] for y in Y[labels == int(text.get_text())]}
        outline = text.get_path_effects()[0]._gc["foreground"]
        assert tuple(np.round(to_rgb(outline), 6)) == color


def test_names_fit_the_figure_that_subplots_are_laid_out_in():
    figure = Figure(figsize=(9, 4), layout="constrained")
    Y, labels = rings(12, radius=1.0)
    for ax in figure.subplots(1, 2):
        scatter(Y, labels, ax=ax, title="a map")
    assert [misplaced(ax) for ax in figure.axes] == [[], []]


def test_many_long_names_in_small_axes_stay_with_their_classes():
    Y, labels = rings(24, radius=40.0)
    long = np.array([f"a very long name of the class number {label}" for label in labels])
    ax = scatter(Y, long, ax=axes(3, 3))
    assert misplaced(ax) == []
    assert len(ax.texts) + len(listed(ax)) == 24
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
    ax = scatter(Y, np.repeat(["a tiny class with a name", "large"], [20, 380]), ax=axes())
    ax.figure.draw_without_rendering()
    ((_, low, high),) = [box for box in boxes_of(ax.texts) if "tiny" in box[0]]
    pixels = ax.transData.transform(Y[:20])
    assert np.all((low < pixels) & (pixels < high), axis=1).mean() < 0.3


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1.0, 2.0, 2.0, 30.0], ["1", "2", "30"]),
        ([True, False, True, False], ["False", "True"]),
        (["b", "a", "ä", "a"], ["a", "b", "ä"]),
        (np.array(["b", 1, "1", "a"], dtype=object), ["1", "a", "b"]),
        (
            pd.Series(["y", "x", "y", "x"], dtype="category").cat.reorder_categories(["y", "x"]),
            "yx",
        ),
        (
            np.array(["2001", "2002", "2001", "2002"], "datetime64[ns]"),
            ["2001-01-01", "2002-01-01"],
        ),
        ([2**60 + 1, 2**60, 2**60 + 2, 2**60], [str(2**60), str(2**60 + 1), str(2**60 + 2)]),
        ([2**60 + 1, None, -1, 2**64], ["-1", str(2**60 + 1), str(2**64)]),
        (["100 %", "$x$", "a$b", "\\$"], ["$x$", "100 %", "\\$", "a$b"]),
        (["10", "9", None, "2"], ["2", "9", "10"]),
        (["-2", "-10", "1.5", "1e2"], ["-10", "-2", "1.5", "1e2"]),
        (["T10", "T9 b", "T9 a", "T010"], ["T9 a", "T9 b", "T010", "T10"]),
        (["pDC", "Treg", "B cell", "NK"], ["B cell", "NK", "pDC", "Treg"]),
        (pd.Series(["c10", "c9", "c10", "c2"], dtype="category"), ["c2", "c9", "c10"]),
        (
            ["1.12.2023", "2.1.2023", "31.1.2022", "2.1.2023"],
            ["31.1.2022", "2.1.2023", "1.12.2023"],
        ),
        (
            ["12/1/2023", "1/12/2023", "5/2/2022", "5/2/2022"],
            ["5/2/2022", "1/12/2023", "12/1/2023"],
        ),
        (["Feb 2020", "Jan 2020", "Dec 2019", "Feb 2020"], ["Dec 2019", "Jan 2020", "Feb 2020"]),
        (["3-Feb-20", "20-Jan-20", "Dec 1, 2020", None], ["20-Jan-20", "3-Feb-20", "Dec 1, 2020"]),
        (["March", "April", "January", None], ["January", "March", "April"]),
        (["Jan-21", "Feb-19", "Mar-20", None], ["Feb-19", "Mar-20", "Jan-21"]),
        (["03/2021", "12/2020", "01/2021", None], ["12/2020", "01/2021", "03/2021"]),
        (["may", "june", "ann", None], ["ann", "june", "may"]),
        ([b"b", b"a", b"\xc3\xa4", None], ["a", "b", "ä"]),
        (pd.Series([10, 9, None, 10], dtype="category"), ["9", "10"]),
        ([date(2024, 2, 1), date(999, 5, 1), date(2023, 3, 1), None], None),
        (["日本語", "العربية", "<b>", "_hidden"], ["<b>", "_hidden", "العربية", "日本語"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_of_many_kinds(labels, names):
    ax = scatter([[0, 0], [5, 0], [0, 5], [5, 5]], labels, ax=axes(8, 6), names="legend")
    entries = [text.get_text().replace(r"\$", "$") for text in ax.get_legend().get_texts()]
    names = sorted(filter(None, labels)) if names is None else names
    names = [str(name) for name in names]
    assert [entry for entry in entries if entry != "missing"] == names
    assert entries.count("missing") == (entries[-1] == "missing")
    ax = scatter([[0, 0], [5, 0], [0, 5], [5, 5]], labels, ax=axes())
    written = [text.get_text().replace("\n", "").replace(r"\$", "$") for text in ax.texts]
    assert sorted(written) == sorted(names)
    ax.figure.draw_without_rendering()


@given(
    st.lists(st.tuples(*[st.floats(-50, 150)] * 2), min_size=1, max_size=12),
    st.tuples(st.floats(1, 20), st.floats(1, 20)),
)
def test_placed_boxes(anchors, size):
    anchors, sizes = np.array(anchors), np.tile(size, (len(anchors), 1))
    centers = place_boxes(anchors, sizes, np.zeros(2), np.full(2, 100.0), 30.0)
    placed = ~np.isnan(centers).any(axis=1)
    assert placed[0]
    centers, half = centers[placed], sizes[placed] / 2
    assert np.all((centers - half > -1e-9) & (centers + half < 100 + 1e-9))
    inside = np.clip(anchors[placed], half, 100 - half)
    assert np.linalg.norm(centers - inside, axis=1).max() < 30 + 1e-9
    apart = np.abs(centers[:, None] - centers) >= np.array(size) - 1e-9
    assert np.all(apart.any(axis=2) | np.eye(len(centers), dtype=bool))


def test_boxes_with_and_without_room():
    anchors = np.array([[10.0, 10.0], [50.0, 50.0], [90.0, 20.0]])
    placed = place_boxes(anchors, np.full((3, 2), 8.0), np.zeros(2), np.full(2, 100.0), 30.0)
    np.testing.assert_array_equal(placed, anchors)
    anchors, sizes = np.full((3, 2), 5.0), np.array([[8.0, 8.0], [8.0, 8.0], [20.0, 1.0]])
    placed = place_boxes(anchors, sizes, np.zeros(2), np.full(2, 10.0), 5.0)
    assert np.isnan(placed).all(axis=1).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (
            ["name of the 05th class", "name of the 17th class"],
            ["…the 05th class", "…the 17th class"],
        ),
        (["gene ontology group 1", "gene ontology group 12"], ["…group 1", "…group 12"]),
        (["alpha-beta T cells, CD4", "alpha-beta T cells, CD8"], ["…cells, CD4", "…cells, CD8"]),
        (["a group 1", "a group 2"], None),
        (["a very long name of a class", "B"], None),
        (["abcdefghijklmnopqrstuvwx", "abcdefghijklmnopqrstuvwy"], None),
        (["the only class that there is"], None),
        ([], None),
    ],
)
def test_long_names_are_shown_from_where_they_differ(names, shown):
    assert distinct(names) == (shown or names)
