"""Curves, maps of quality, and animations."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

from fasttsne.plot import animate, history, quality_map, r_nx_curve
from fasttsne.plot.points import scatter
from fasttsne.quality import kl_divergence, neighbor_recall, r_nx, r_nx_auc

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib.figure import Figure  # noqa: E402


@pytest.fixture(scope="module")
def X():
    return load_iris().data


def axes():
    return Figure(figsize=(6, 4)).add_subplot()


def colors_of(ax):
    (marks,) = ax.collections
    colors = map(tuple, np.round(marks.get_facecolors()[:, :3], 6))
    return dict(zip(map(tuple, marks.get_offsets()), colors, strict=True))


def test_a_quality_map_has_the_colours_of_each_points_recall(X):
    Y = X[:, :2] + np.random.default_rng(0).normal(size=(150, 2)) / 100
    ax = quality_map(X, Y, n_neighbors=7, ax=axes())
    recall = neighbor_recall(X, Y, n_neighbors=7, per_sample=True)
    expected = np.round(matplotlib.colormaps["cividis"](recall)[:, :3], 6)
    assert colors_of(ax) == dict(zip(map(tuple, Y), map(tuple, expected), strict=True))
    assert ax.get_title(loc="left") == f"neighbour recall@7: mean {recall.mean():.3f}"


def test_a_quality_map_of_the_divergence(X):
    Y = X[:, :2] + np.random.default_rng(0).normal(size=(150, 2)) / 100
    ax = quality_map(X, Y, measure="kl_divergence", perplexity=20, ax=axes())
    shares = kl_divergence(X, Y, perplexity=20, per_sample=True)
    low, high = np.quantile(shares, [0.02, 0.98])
    assert ax.figure.axes[1].get_ylim() == pytest.approx((low, high))
    brightness = {point: sum(color) for point, color in colors_of(ax).items()}
    least, most = np.argmin(shares), np.argmax(shares)
    assert brightness[tuple(Y[least])] < brightness[tuple(Y[most])]
    with pytest.raises(ValueError, match='measure must be "neighbor_recall" or'):
        quality_map(X, Y, measure="beauty")


def test_curves_are_those_of_the_measure(X):
    maps = {"one": X[:, :2], "two": X[:, 2:]}
    ax = r_nx_curve(X, maps, ax=axes())
    for line, Y in zip(ax.lines, maps.values(), strict=True):
        sizes, values = r_nx(X, Y)
        np.testing.assert_array_equal(line.get_xdata(), sizes)
        np.testing.assert_array_equal(line.get_ydata(), values)
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries == [f"{name} (area {r_nx_auc(X, Y):.3f})" for name, Y in maps.items()]
    assert len({line.get_linestyle() for line in ax.lines}) == 2
    ax = r_nx_curve(X, {"_mine": X[:, :2], "$x_": X[:, 2:], 0: X[:, 1:3]}, ax=axes())
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [entry.split(" (")[0] for entry in entries] == ["_mine", r"\$x_", "0"]
    with pytest.raises(ValueError, match="Y must be a map or a dict of at least one map"):
        r_nx_curve(X, {})


def test_the_history_of_a_descent():
    steps = {"iteration": np.array([50, 100]), "kl_divergence": np.array([2.5, 1.25])}
    ax = history(steps, ax=axes())
    assert ax.lines[0].get_xydata().tolist() == [[50, 2.5], [100, 1.25]]
    assert [text.get_text() for text in ax.texts] == ["1.250"]
    with pytest.raises(ValueError, match="call fit first"):
        history(object())


def test_an_animation_has_a_frame_for_each_snapshot(tmp_path):
    image = pytest.importorskip("PIL.Image")
    maps = [np.random.default_rng(i).normal(size=(20, 2)) * 10.0**i for i in range(4)]
    path = animate(maps, tmp_path / "a.gif", np.arange(20) % 2, fps=2, width=2, dpi=50)
    with image.open(path) as picture:
        assert picture.format == "GIF"
        assert picture.n_frames >= 4
    assert os.listdir(tmp_path) == ["a.gif"]


def test_animations_that_cannot_be(tmp_path, monkeypatch):
    Y = np.eye(3, 2)
    for snapshots, options, message in [
        ([], {}, "snapshots must hold at least one map"),
        ([Y, Y[:2]], {}, "snapshots must all have the same number"),
        ([Y], {"titles": ["a", "b"]}, "titles must be as many as snapshots, 1; got 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            animate(snapshots, tmp_path / "a.gif", **options)
    with pytest.raises(ValueError, match=r"path must end in \.gif or \.mp4"):
        animate([Y], tmp_path / "a.png")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(RuntimeError, match=r"pip install 'fasttsne\[video\]' .* write a \.gif"):
        animate([Y], tmp_path / "a.mp4")
    assert os.listdir(tmp_path) == []


def test_a_video_has_all_frames_and_shows_the_map(tmp_path, monkeypatch):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("PATH", "")
    before = dict(matplotlib.rcParams)
    heaps = np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0)
    maps = [heaps * scale for scale in (1.0, 5.0, 20.0)]
    # An odd number of pixels, which the codec has none of.
    path = animate(maps, tmp_path / "a.mp4", heaps[:, 0], fps=4, width=2.01, dpi=101)
    assert dict(matplotlib.rcParams) == before
    command = [ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    shown = np.frombuffer(pixels, np.uint8).reshape(-1, 202, 202, 3)
    assert len(shown) == 3 + 7
    for picture in shown:
        dark = picture.min(axis=2) < 128
        lower_left, upper_right = (
            dark[101:, :101],
            dark[:101, 101:],
        )
        assert min(lower_left.sum(), upper_right.sum()) > 10
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_a_video_that_fails_says_why(tmp_path, monkeypatch):
    pytest.importorskip("imageio_ffmpeg")
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'no such codec' >&2\ncat > /dev/null\nexit 3\n")
    program.chmod(0o755)
    with (
        matplotlib.rc_context({"animation.ffmpeg_path": str(program)}),
        pytest.raises(RuntimeError, match=r"ffmpeg could not write .*a\.mp4: no such codec"),
    ):
        animate([np.eye(3, 2)], tmp_path / "a.mp4", fps=2)
    assert os.listdir(tmp_path) == ["ffmpeg"]


def test_nothing_is_shown_of_maps_in_other_dimensions():
    for draw in (scatter, lambda Y: quality_map(np.zeros((5, 4)), Y)):
        with pytest.raises(ValueError, match="Y must have 2 columns"):
            draw(np.zeros((5, 3)))
