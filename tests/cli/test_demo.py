"""cli/demo.py: what is printed and drawn, and how it ends."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import error_of, run, status_of
from reference import tsne as reference
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

import fasttsne
from fasttsne.cli import demo as cli_demo

N_SAMPLES = 150
MEASURES = ["seconds", "KL divergence", "neighbour recall@10", "kNN accuracy@10"]
METHODS = {"Exact": "exact", "Barnes-Hut": "barnes_hut"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def digits(here, monkeypatch):
    """The first 150 of the demo's digits, in an empty folder."""
    data, images, target = (load_digits()[name] for name in ("data", "images", "target"))
    n = N_SAMPLES
    few = Bunch(data=data[:n], images=images[:n], target=target[:n])
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: few)
    return few.data


@pytest.fixture
def figures(monkeypatch):
    """Every figure that the demo draws."""
    pytest.importorskip("matplotlib")
    drawn = []
    draw = cli_demo._draw
    monkeypatch.setattr(cli_demo, "_draw", lambda *args: drawn.append(draw(*args)) or drawn[-1])
    return drawn


def demo(*args):
    return run("demo", "--perplexity", 10, *args)


def table(printed):
    """The columns of the printed table: {"Exact": {"seconds": ...}, "Barnes-Hut": ...}."""
    rows = [re.fullmatch(r"(.*?) +([\d.]+) +([\d.]+)", line) for line in printed.splitlines()]
    rows = [row.groups() for row in rows if row]
    assert [name for name, *_ in rows] == MEASURES
    assert re.search(r"^ +Exact +Barnes-Hut$", printed, re.MULTILINE)
    return {
        column: {name: float(cells[i]) for name, *cells in rows} for i, column in enumerate(METHODS)
    }


def test_printed_measures_are_of_the_maps(digits, capsys, monkeypatch):
    n_jobs, fit_transform = [], fasttsne.TSNE.fit_transform

    def spy(self, X, y=None):
        n_jobs.append(self.n_jobs)
        return fit_transform(self, X)

    with monkeypatch.context() as patched:
        patched.setattr(fasttsne.TSNE, "fit_transform", spy)
        assert demo("--no-plot", "--random-state", 3, "--n-jobs", 1) == 0
    assert n_jobs == [1, 1]
    assert os.listdir() == []
    columns = table(capsys.readouterr().out)
    joint = reference.joint_probabilities_dense(reference.squared_distances(digits), 10.0)
    for column, method in METHODS.items():
        Y = fasttsne.TSNE(method=method, perplexity=10, random_state=3).fit_transform(digits)
        near, _ = reference.nearest_neighbors(digits, 10)
        near_on_map, _ = reference.nearest_neighbors(Y, 10)
        recall = np.mean([np.isin(a, b).mean() for a, b in zip(near, near_on_map, strict=True)])
        divergence = reference.kl_divergence(joint, Y, 1.0)
        printed = columns[column]
        assert printed["KL divergence"] == pytest.approx(divergence, abs=6e-4)
        assert printed["neighbour recall@10"] == pytest.approx(recall, abs=6e-4)
        assert 0.5 < printed["kNN accuracy@10"] <= 1


def test_ctrl_c(digits, capsys, monkeypatch):
    def fit_transform(self, X, y=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(fasttsne.TSNE, "fit_transform", fit_transform)
    assert demo() == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.pdf", b"%PDF"), ("a.SVG", b"<?xml"), ("two.dots.png", PNG)],
)
def test_the_ending_gives_the_kind_of_picture(digits, figures, name, head):
    assert demo("--output", name) == 0
    assert Path(name).read_bytes().startswith(head)
    assert os.listdir() == [name]


def test_only_the_default_picture_is_replaced_without_force(digits, figures, capsys):
    Path("fasttsne-demo.png").write_text("of an earlier demo")
    assert demo() == 0
    assert "Picture: fasttsne-demo.png" in capsys.readouterr().out
    assert Path("fasttsne-demo.png").read_bytes().startswith(PNG)
    Path("mine.png").write_text("mine")
    said = error_of(capsys, "--output", "mine.png", command="demo")
    assert said == "--output mine.png: it exists; --force replaces it"
    assert Path("mine.png").read_text() == "mine"
    assert demo("--output", "mine.png", "--force") == 0
    assert Path("mine.png").read_bytes().startswith(PNG)


def test_the_picture_shows_the_printed_measures_and_no_text_overlaps(digits, figures, capsys):
    demo()
    columns = table(capsys.readouterr().out)
    (figure,) = figures
    maps = [ax for ax in figure.axes if ax.collections]
    assert [ax.get_title(loc="left") for ax in maps] == list(columns)
    for ax, values in zip(maps, columns.values(), strict=True):
        assert len(ax.collections[0].get_offsets()) == N_SAMPLES
        caption = re.findall(r"\d+\.\d+", ax.get_xlabel())
        assert list(map(float, caption)) == list(values.values())
    figure.draw_without_rendering()
    texts = list(figure.texts)
    for ax in figure.axes:
        texts += [*ax.texts, ax.xaxis.label, ax.title, ax._left_title]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]
    # The images of digits above the maps take space, too.
    boxes += [("image", ax.get_window_extent()) for ax in figure.axes if ax.images]
    assert len(boxes) == 2 + 2 * (10 + 2) + 10
    left, right = (ax.get_window_extent() for ax in maps)
    assert left.x1 < right.x0
    for i, (name, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, name
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, name
        for other, rival in boxes[i + 1 :]:
            beside = box.x1 <= rival.x0 or rival.x1 <= box.x0
            above = box.y1 <= rival.y0 or rival.y1 <= box.y0
            assert beside or above, (name, other)


def test_without_matplotlib_the_measures_are_printed(digits, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for args, status in [([], 0), (["--output", "asked-for.png"], 1)]:
        assert demo(*args) == status
        printed = capsys.readouterr()
        table(printed.out)
        assert "pip install 'fasttsne[plot]'" in printed.err
    assert demo("--no-plot") == 0
    assert capsys.readouterr().err == ""
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "the ending must be one of "),
        ("no/a.png", "there is no directory no; make it first"),
        ("file/a.png", "there is no directory file; make it first"),
        ("/dev/null", "the ending must be one of "),
        ("a.docx", "the ending must be one of "),
    ],
)
def test_a_picture_that_cannot_be_written(untouched, here, capsys, output, message):
    pytest.importorskip("matplotlib")
    Path("file").touch()
    said = error_of(capsys, "--output", output, "--force", command="demo")
    assert said.startswith(f"--output {output}: {message}")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--output", "a.png", "--no-plot"], "not allowed with argument"),
        (["--perplexity", "many"], "argument --perplexity: invalid float value: 'many'"),
        (["--n-jobs", "1.5"], "argument --n-jobs: invalid int value: '1.5'"),
        (["digits"], "unrecognized arguments: digits"),
    ],
)
def test_bad_arguments(untouched, here, capsys, args, message):
    assert status_of("demo", *args) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--perplexity", "0"], "--perplexity must be a float in the range (0.0, inf)"),
        (["--perplexity", "1797"], "perplexity (1797.0) must be less than n_samples (1797); lower"),
        (["--perplexity", "nan"], "--perplexity must be"),
        (["--random-state", "-1"], "--random-state must be"),
        (["--random-state", "4294967296"], "Got 4294967296 instead"),
        (["--n-jobs", "0"], "--n-jobs 0"),
    ],
)
def test_bad_parameters(here, capsys, args, message):
    assert message in error_of(capsys, *args, command="demo")
