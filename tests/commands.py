"""What tests of the command line share: running it, its input, errors and interruptions."""

import os

import numpy as np
import pytest

import fasttsne
from fasttsne import cli
from fasttsne.cli import messages

OPTIONS = ["--perplexity", "10", "--max-iter", "250", "--random-state", "0"]
N_ROWS = 40


def run(*args):
    return cli.main(list(map(str, args)))


def mapped(*args):
    return run("map", *args, *OPTIONS)


def status_of(*args):
    """The status of a command that argparse ends."""
    with pytest.raises(SystemExit) as finished:
        run(*args)
    return finished.value.code


def expected_map(X, **options):
    return fasttsne.TSNE(perplexity=10, max_iter=250, random_state=0, **options).fit_transform(X)


def rows():
    return np.random.default_rng(0).normal(size=(N_ROWS, 3))


def table(**columns):
    """Write x.csv: the columns a, b and c of numbers to map, and those given."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({**dict(zip("abc", rows().T, strict=True)), **columns})
    frame.to_csv("x.csv", index=False)
    return frame


def error_of(capsys, *args, command="map"):
    """The one line of a user error, after which status is 2 and no file is new."""
    capsys.readouterr()
    before = sorted(os.listdir())
    assert run(command, *args) == 2
    *notes, line = capsys.readouterr().err.splitlines()
    assert not [note for note in notes if "Traceback" in note]
    assert sorted(os.listdir()) == before
    prefix = f"fasttsne {command}: error: "
    assert line.startswith(prefix)
    return line.removeprefix(prefix)


def interrupted(monkeypatch, *args, at=50):
    """Map, and press Ctrl-C at an iteration."""

    def press(self, state):
        if state.iteration == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(messages.Progress, "__call__", press)
        assert mapped(*args) == 130
