"""Curves and animations."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from pictures import axes  # noqa: E402

from fasttsne.plot import animate, history, perplexity_curve, r_nx_curve  # noqa: E402
from fasttsne.quality import choose_perplexity, r_nx, r_nx_auc  # noqa: E402


@pytest.fixture(scope="module")
def X():
    return load_iris().data


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
    with pytest.raises(ValueError, match="history of at least one value"):
        history({"iteration": [], "kl_divergence": []})


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
        ([], {}, "snapshots must contain at least one map"),
        ([Y, Y[:2]], {}, "snapshots must all have the same number"),
        ([Y], {"titles": ["a", "b"]}, "titles must be as many as snapshots, 1; got 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            animate(snapshots, tmp_path / "a.gif", **options)
    with pytest.raises(ValueError, match=r"path must end in \.gif or \.mp4"):
        animate([Y], tmp_path / "a.png")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(RuntimeError, match=r"pip install imageio-ffmpeg, or write a \.gif"):
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
        assert min(dark[101:, :101].sum(), dark[:101, 101:].sum()) > 10
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


def test_the_curve_of_perplexities(X):
    found = choose_perplexity(X, [5, 20], n_jobs=2)
    ax = found.plot(ax=axes(), title="iris")
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), found.figures["r_nx_auc"])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["5", "20"]
    assert len(ax.get_legend().get_texts()) == 6
    assert ax.get_legend().get_texts()[-1].get_text() == f"best: perplexity {found.best:g}"
    dots = perplexity_curve(found, ax=axes()).figure.axes[1].lines
    np.testing.assert_array_equal(dots[0].get_ydata(), 100.0 * found.figures["jumping"])
