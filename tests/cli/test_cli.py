"""cli.py: what is printed, what is written, and how it ends."""

import os
import re
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from reference import tsne as reference
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

import fasttsne
from fasttsne import cli
from fasttsne.cli import demo as cli_demo

N_SAMPLES = 150
FIGURES = ["seconds", "KL divergence", "neighbour recall@10", "kNN accuracy@10"]


@pytest.fixture
def few_digits(monkeypatch):
    """The demo's data cut to what is mapped in a moment."""
    all_digits = load_digits()
    names = ("data", "images", "target")
    few = Bunch(**{name: all_digits[name][:N_SAMPLES] for name in names})
    monkeypatch.setattr(cli_demo, "_load_digits", lambda: few)
    return few


@pytest.fixture
def untouched(monkeypatch):
    """Let any fit fail, to show that arguments are refused before anything is computed."""

    def fit_transform(self, X, y=None):
        raise AssertionError("must not compute")

    monkeypatch.setattr(fasttsne.TSNE, "fit_transform", fit_transform)


@pytest.fixture
def figures(monkeypatch):
    """Every figure that the demo draws."""
    pytest.importorskip("matplotlib")
    drawn = []
    draw = cli_demo._draw
    monkeypatch.setattr(cli_demo, "_draw", lambda *args: drawn.append(draw(*args)) or drawn[-1])
    return drawn


def demo(*args):
    return cli.main(["demo", "--perplexity", "10", *map(str, args)])


def table(printed):
    """The columns of the printed table: {"Exact": {"seconds": ...}, "Barnes-Hut": ...}."""
    rows = [re.fullmatch(r"(.*?) +([\d.]+) +([\d.]+)", line) for line in printed.splitlines()]
    rows = [row.groups() for row in rows if row]
    assert [name for name, *_ in rows] == FIGURES
    assert re.search(r"^ +Exact +Barnes-Hut$", printed, re.MULTILINE)
    return {
        column: {name: float(cells[i]) for name, *cells in rows}
        for i, column in enumerate(["Exact", "Barnes-Hut"])
    }


def status_of(*args):
    with pytest.raises(SystemExit) as finished:
        cli.main(list(map(str, args)))
    return finished.value.code


def test_demo_prints_figures_of_the_maps(few_digits, here, capsys):
    assert demo("--no-plot", "--random-state", 3) == 0
    columns = table(capsys.readouterr().out)
    X = few_digits.data
    joint = reference.joint_probabilities_dense(reference.squared_distances(X), 10.0)
    for column, method in [("Exact", "exact"), ("Barnes-Hut", "barnes_hut")]:
        Y = fasttsne.TSNE(method=method, perplexity=10, random_state=3).fit_transform(X)
        near, _ = reference.nearest_neighbors(X, 10)
        near_on_map, _ = reference.nearest_neighbors(Y, 10)
        recall = np.mean([np.isin(a, b).mean() for a, b in zip(near, near_on_map, strict=True)])
        printed = columns[column]
        assert printed["KL divergence"] == pytest.approx(
            reference.kl_divergence(joint, Y, 1.0), abs=6e-4
        )
        assert printed["neighbour recall@10"] == pytest.approx(recall, abs=6e-4)
        assert 0.5 < printed["kNN accuracy@10"] <= 1


def test_demo_repeats_itself(few_digits, here, capsys):
    outputs = []
    for _ in range(2):
        assert demo("--no-plot") == 0
        outputs.append(re.sub("seconds.*", "", capsys.readouterr().out))
    assert outputs[0] == outputs[1]


def test_demo_writes_a_picture(few_digits, here, capsys, figures):
    assert demo() == 0
    assert "Picture: fasttsne-demo.png" in capsys.readouterr().out
    assert os.listdir(here) == ["fasttsne-demo.png"]
    assert (here / "fasttsne-demo.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.pdf", b"%PDF"), ("a.SVG", b"<?xml"), ("plain", b"\x89PNG"), ("two.dots.png", b"\x89PNG")],
)
def test_demo_writes_the_kind_of_picture_asked_for(few_digits, here, figures, name, head):
    assert demo("--output", here / name) == 0
    assert (here / name).read_bytes().startswith(head)
    assert os.listdir(here) == [name]


def test_demo_replaces_its_own_picture_and_no_other(few_digits, here, figures, capsys):
    Path("fasttsne-demo.png").write_text("an earlier demo's")
    assert demo() == 0
    assert Path("fasttsne-demo.png").read_bytes()[:4] == b"\x89PNG"
    Path("mine.png").write_text("mine")
    assert status_of("demo", "--output", "mine.png") == 2
    assert "cannot write mine.png: it exists; --force replaces it" in capsys.readouterr().err
    assert Path("mine.png").read_text() == "mine"
    assert demo("--output", "mine.png", "--force") == 0
    assert Path("mine.png").read_bytes()[:4] == b"\x89PNG"


def test_no_text_of_the_picture_overlaps(few_digits, here, figures):
    demo()
    (figure,) = figures
    figure.draw_without_rendering()
    texts = list(figure.texts)
    for ax in figure.axes:
        texts += [*ax.texts, ax.xaxis.label, ax.title, ax._left_title]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]
    # The images of digits are shown above the maps, and are in nobody's way either.
    boxes += [("image", ax.get_window_extent()) for ax in figure.axes if ax.images]
    assert len(boxes) == 2 + 2 * (10 + 2) + 10
    left, right = (ax.get_window_extent() for ax in figure.axes if ax.collections)
    assert left.x1 < right.x0
    for i, (name, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, name
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, name
        for other, rival in boxes[i + 1 :]:
            beside = box.x1 <= rival.x0 or rival.x1 <= box.x0
            above = box.y1 <= rival.y0 or rival.y1 <= box.y0
            assert beside or above, (name, other)


def test_the_picture_shows_the_printed_figures(few_digits, here, figures, capsys):
    demo()
    columns = table(capsys.readouterr().out)
    (figure,) = figures
    maps = [ax for ax in figure.axes if ax.collections]
    assert [ax.get_title(loc="left") for ax in maps] == list(columns)
    for ax, values in zip(maps, columns.values(), strict=True):
        assert len(ax.collections[0].get_offsets()) == N_SAMPLES
        caption = re.findall(r"\d+\.\d+", ax.get_xlabel())
        assert list(map(float, caption)) == list(values.values())


def test_no_plot_writes_nothing(few_digits, here):
    assert demo("--no-plot") == 0
    assert os.listdir(here) == []


def test_without_matplotlib_the_figures_are_still_printed(few_digits, here, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert demo() == 0
    printed = capsys.readouterr()
    table(printed.out)
    assert "pip install 'fasttsne[plot]'" in printed.err

    assert demo("--output", "asked-for.png") == 1
    printed = capsys.readouterr()
    table(printed.out)
    assert "pip install 'fasttsne[plot]'" in printed.err

    assert demo("--no-plot") == 0
    assert capsys.readouterr().err == ""
    assert os.listdir(here) == []


def test_bad_output_is_refused_before_computing(untouched, here, capsys):
    pytest.importorskip("matplotlib")
    (here / "file").touch()
    for path, reason in [
        (here, "it is a directory"),
        (here / "missing" / "a.png", f"there is no directory {here / 'missing'}"),
        (here / "file" / "a.png", f"there is no directory {here / 'file'}"),
        (here / "a.docx", "unknown kind of picture; known are"),
    ]:
        assert status_of("demo", "--output", path) == 2
        assert f"argument --output: cannot write {path}: {reason}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--perplexity", "0"], "argument --perplexity: must be above 0 and below 1797; got 0"),
        (["--perplexity", "1797"], "below 1797; got 1797"),
        (["--perplexity", "nan"], "below 1797; got nan"),
        (["--perplexity", "many"], "argument --perplexity: invalid float value: 'many'"),
        (["--random-state", "-1"], "argument --random-state: must be from 0 to 4294967295; got -1"),
        (["--random-state", "4294967296"], "got 4294967296"),
        (["--n-jobs", "0"], "argument --n-jobs: must not be 0"),
        (["--n-jobs", "1.5"], "argument --n-jobs: invalid int value: '1.5'"),
        (["--output", "a.png", "--no-plot"], "not allowed with argument"),
        (["digits"], "unrecognized arguments: digits"),
    ],
)
def test_bad_arguments_are_refused_before_computing(untouched, here, capsys, args, message):
    assert status_of("demo", *args) == 2
    assert message in capsys.readouterr().err


def test_n_jobs_reaches_the_estimator(few_digits, here, monkeypatch):
    seen = []
    fit_transform = fasttsne.TSNE.fit_transform

    def spy(self, X, y=None):
        seen.append((self.n_jobs, self.method, self.random_state, self.perplexity))
        return fit_transform(self, X)

    monkeypatch.setattr(fasttsne.TSNE, "fit_transform", spy)
    assert demo("--no-plot", "--n-jobs", 1, "--random-state", 7) == 0
    assert demo("--no-plot") == 0
    methods = ["exact", "barnes_hut"]
    expected = [(1, method, 7, 10.0) for method in methods]
    assert seen == expected + [(None, method, 0, 10.0) for method in methods]


def test_ctrl_c_ends_without_traceback(few_digits, here, capsys, monkeypatch):
    def fit_transform(self, X, y=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(fasttsne.TSNE, "fit_transform", fit_transform)
    assert demo() == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
    assert os.listdir(here) == []


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_ctrl_c_ends_the_process(here):
    command = [sys.executable, "-m", "fasttsne", "demo", "--no-plot", "--n-jobs", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert "1,797 handwritten digits" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors == "\ninterrupted\n"
    assert "KL divergence" not in output


def test_info_prints_the_configuration(capsys):
    fasttsne.show_config()
    expected = capsys.readouterr().out
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(expected) and expected != ""
    assert all(f"extra {name}:" in printed for name in ("plot", "video", "progress", "dask"))


def test_version(capsys):
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"fasttsne {fasttsne.__version__}\n"


@pytest.mark.parametrize("args", [[], ["dance"], ["--dance"]])
def test_unknown_commands(args, capsys):
    assert status_of(*args) == 2
    assert "usage: fasttsne" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args",
    [["--help"], ["demo", "--help"], ["info", "--help"], ["map", "--help"], ["judge", "--help"]],
)
def test_help(args, capsys):
    assert status_of(*args) == 0
    assert "usage: fasttsne" in capsys.readouterr().out


def test_python_m_fasttsne_is_the_same(here):
    command = [sys.executable, "-m", "fasttsne", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == f"fasttsne {fasttsne.__version__}\n"
    run = subprocess.run(command[:-1], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "usage: python -m fasttsne" in run.stderr


def test_the_installed_command_is_main():
    (script,) = entry_points(group="console_scripts", name="fasttsne")
    assert script.load() is cli.main
