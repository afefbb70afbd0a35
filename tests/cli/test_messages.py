"""cli/messages.py: notes, the bar on a terminal, and the lines of a log."""

import sys

import pytest
from commands import mapped, run

from fasttsne.cli import messages


def on_terminal(monkeypatch):
    """Make standard error a terminal; not a fixture, as capsys replaces the stream after those."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def bars(capsys):
    """The states of the bar, in order."""
    parts = capsys.readouterr().err.replace("\n", "\r").split("\r")
    return [part.rstrip() for part in parts if part.startswith("[")]


def test_a_log_has_few_lines_and_quiet_has_none(flowers, capsys):
    mapped("flowers.csv", "-o", "map.csv")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "columns of text, left out: species, name"
    assert len(lines) < 6 and not any("\r" in line or "\x1b" in line for line in lines)
    mapped("flowers.csv", "-o", "map.csv", "--force", "--quiet")
    assert capsys.readouterr().err == ""


def test_a_log_has_a_line_now_and_then(array, capsys, monkeypatch):
    monkeypatch.setattr(messages, "_SECONDS_IN_LOG", 0.0)
    mapped("x.npy", "-o", "map.npy")
    lines = [n for n in capsys.readouterr().err.splitlines() if n.startswith("iteration ")]
    assert len(lines) >= 25 and ", KL divergence " in lines[-1]


def test_a_terminal_has_a_bar(array, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    on_terminal(monkeypatch)
    mapped("x.npy", "-o", "map.npy")
    shown = bars(capsys)
    assert len(shown) >= 25
    assert "[########################] iteration 250" in shown[-1]


def test_the_bar_of_a_descent_that_converges_is_filled(array, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    on_terminal(monkeypatch)
    quick = ["--perplexity", "5", "--random-state", "0", "--max-iter", "5000"]
    assert run("map", "x.npy", "-o", "map.npy", *quick) == 0
    bar = bars(capsys)[-1]
    n_iter = int(bar.split(" after ")[1].split()[0].replace(",", ""))
    assert 100 < n_iter < 5000
    assert bar == f"[########################] converged after {n_iter:,} of 5,000 iterations"


def test_a_terminal_without_tqdm_has_lines(array, capsys, monkeypatch):
    on_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert mapped("x.npy", "-o", "map.npy") == 0
    printed = capsys.readouterr().err
    assert "mapping 40 rows" in printed and "\r" not in printed


@pytest.mark.parametrize(
    ("name", "ending"),
    [("clas", "did you mean 'class'?"), ("KIND", "did you mean 'kind'?"), ("zz", "7, …")],
)
def test_the_nearest_name_is_suggested(name, ending):
    names = ["kind", "class", *map(str, range(2, 10))]
    said = str(messages.unknown_name("column", name, names, "x.csv"))
    assert said.startswith(f"there is no column '{name}' in x.csv; ") and said.endswith(ending)
