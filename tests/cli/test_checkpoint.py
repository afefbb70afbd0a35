"""cli/checkpoint.py: interrupted maps continue to the same bits; other files are left alone."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import error_of, expected_map, interrupted, mapped, rows, run

import fasttsne
from fasttsne.cli import checkpoint
from fasttsne.runtime import archive

MAP = ["x.npy", "-o", "map.npy"]


def test_ctrl_c_leaves_a_checkpoint_that_leads_to_the_same_map(array, capsys, monkeypatch):
    interrupted(monkeypatch, *MAP, at=100)
    assert "--resume map.npy.checkpoint goes on from here" in capsys.readouterr().err
    assert sorted(os.listdir()) == ["map.npy.checkpoint", "x.npy"]
    said = error_of(capsys, *MAP)
    assert "--resume map.npy.checkpoint goes on, --force starts anew" in said
    assert run("map", *MAP, "--resume", "map.npy.checkpoint") == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(array))
    assert sorted(os.listdir()) == ["map.npy", "x.npy"]


def test_a_checkpoint_keeps_the_schedule_after_a_map_of_groups(array, monkeypatch):
    monkeypatch.setattr("fasttsne.pipeline.N_COARSE", 10)
    interrupted(monkeypatch, *MAP)
    assert checkpoint.load(Path("map.npy.checkpoint"), array)._descent.state.is_coarse
    assert run("map", *MAP, "--resume", "map.npy.checkpoint") == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(array))


def test_regular_checkpoints_change_nothing(array, monkeypatch):
    monkeypatch.setattr(checkpoint, "_EVERY", 0.0)
    written = []
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda *args: written.append(save(*args)))
    assert mapped(*MAP, "--checkpoint", "here.ckpt") == 0
    assert len(written) > 10
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(array))
    assert sorted(os.listdir()) == ["map.npy", "x.npy"]


def test_ctrl_c_before_the_descent(array, capsys, monkeypatch):
    def fit(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(fasttsne.TSNE, "fit", fit)
    assert mapped(*MAP) == 130
    assert "interrupted before the first iteration" in capsys.readouterr().err
    assert os.listdir() == ["x.npy"]


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.slow
def test_ctrl_c_ends_the_process_with_a_checkpoint(here):
    np.save("x.npy", np.random.default_rng(0).normal(size=(20_000, 10)))
    # Progress is printed from the first iterations on, however fast the machine is.
    program = "import sys; from fasttsne.cli import main, messages; messages._SECONDS_IN_LOG = 0; "
    command = [sys.executable, "-c", program + "sys.exit(main())", "map", *MAP, "--n-jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert "mapping 20,000 rows" in process.stderr.readline()
        assert process.stderr.readline().startswith("iteration ")
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on from here" in errors and "Traceback" not in errors
    assert time.monotonic() - start < 10
    assert sorted(os.listdir()) == ["map.npy.checkpoint", "x.npy"]


def test_options_that_come_too_late_are_noted(array, capsys, monkeypatch):
    interrupted(monkeypatch, *MAP)
    capsys.readouterr()
    assert mapped(*MAP, "--resume", "--init", "random") == 0
    said = capsys.readouterr().err
    assert "--init has no effect: the descent has begun with another" in said
    assert "--random-state has" not in said


@pytest.mark.parametrize("change", [["--drop", "sepal width"], ["--standardize"]])
def test_a_checkpoint_of_other_data(flowers, capsys, monkeypatch, change):
    interrupted(monkeypatch, "flowers.csv", "-o", "map.npy", "--checkpoint", "one")
    said = error_of(capsys, "flowers.csv", "-o", "map.npy", "--resume", "one", *change)
    assert said.startswith("one is a checkpoint of other data; give the same INPUT, columns and")


class _Evil:
    """Unpickling this makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("evil",)


def _add_zeros(facts, arrays):  # compressed to a thousandth
    arrays.update(more=np.zeros(10**6))


def _changed(change):
    """Change an array or a fact of the checkpoint."""
    facts, arrays = archive.read(Path("map.npy.checkpoint"), "checkpoint", 99)
    change(facts, arrays)
    return {**arrays, "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}


@pytest.mark.parametrize(
    "change",
    [
        lambda facts, arrays: facts.update(fasttsne="0.0.1"),
        lambda facts, arrays: facts.update(format="fasttsne map"),
        lambda facts, arrays: facts.update(version=99),
        _add_zeros,
        lambda facts, arrays: facts.update(parameters=None),
        lambda facts, arrays: facts["parameters"].pop("degrees_of_freedom"),
        lambda facts, arrays: facts["parameters"].update(other=1),
        lambda facts, arrays: facts["parameters"].update(angle="wide"),
        lambda facts, arrays: arrays.pop("gains"),
        lambda facts, arrays: arrays["order"].fill(0),
        lambda facts, arrays: arrays["order"].fill(10**6),
        lambda facts, arrays: arrays["copies"].fill(-1),
        lambda facts, arrays: arrays["velocity"].fill(np.nan),
        lambda facts, arrays: arrays["numbers"].fill(-1.0),
        lambda facts, arrays: arrays.update(numbers=np.zeros(3)),
        lambda facts, arrays: arrays.update(embedding=arrays["embedding"].astype(np.float64)),
        lambda facts, arrays: arrays.update(embedding=arrays["embedding"][:-1]),
        lambda facts, arrays: arrays.update(checks=np.zeros((1, 3))),
        lambda facts, arrays: arrays.update(gains=np.array([_Evil()], dtype=object)),
        "pickle",
        "cut",
        "bit",
        "array",
    ],
)
def test_damaged_and_crafted_checkpoints(array, capsys, monkeypatch, change):
    interrupted(monkeypatch, *MAP)
    path = Path("map.npy.checkpoint")
    whole = path.read_bytes()
    if change == "pickle":
        path.write_bytes(pickle.dumps(_Evil()))
    elif change == "cut":
        path.write_bytes(whole[:-100])
    elif change == "bit":
        path.write_bytes(whole[:1500] + bytes([whole[1500] ^ 1]) + whole[1501:])
    elif change == "array":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    else:
        content = _changed(change)
        with open(path, "wb") as file:
            (np.savez_compressed if change is _add_zeros else np.savez)(file, **content)
    said = error_of(capsys, *MAP, "--resume")
    assert said == (
        "map.npy.checkpoint is no checkpoint of this version of fasttsne; start without --resume"
    )


def test_duplicates_and_learned_degrees_of_freedom_continue(here, monkeypatch):
    X = rows()
    X[20:] = X[:20]
    np.save("x.npy", X)
    more = ["--degrees-of-freedom", "auto"]
    interrupted(monkeypatch, *MAP, *more, at=230)
    assert mapped(*MAP, "--resume", *more) == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(X, degrees_of_freedom="auto"))


@pytest.mark.parametrize("more", [[], ["--force"], ["--resume", "other"]])
def test_a_file_that_is_no_checkpoint_is_left_alone(array, capsys, untouched, more):
    Path("p.csv").write_text("precious\n")
    said = error_of(capsys, *MAP, "--checkpoint", "p.csv", *more)
    assert said == "--checkpoint p.csv: it exists, and is no checkpoint; choose another name"
    assert Path("p.csv").read_text() == "precious\n"


def test_only_force_replaces_another_checkpoint(array, capsys, monkeypatch):
    for name in ("one", "two"):
        interrupted(monkeypatch, *MAP, "--checkpoint", name)
    again = [*MAP, "--resume", "one", "--checkpoint", "two"]
    assert "two is left from an earlier run" in error_of(capsys, *again)
    assert checkpoint.is_one(Path("one")) and checkpoint.is_one(Path("two"))
    assert mapped(*again, "--force") == 0
    assert sorted(os.listdir()) == ["map.npy", "one", "x.npy"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--checkpoint", "no/c"], "--checkpoint no/c: there is no directory no; make it first"),
        (["--checkpoint", "folder"], "--checkpoint folder: it is a directory; name a file in it"),
        ([], "map.npy.checkpoint is left from an earlier run with --landmarks; --resume"),
        (["--resume", "gone"], "cannot read the checkpoint gone"),
        (["--resume", "text"], "text is no checkpoint of this version of fasttsne"),
    ],
)
def test_checkpoints_that_cannot_be_used(array, capsys, untouched, given, message):
    Path("folder").mkdir()
    Path("text").write_text("something")
    Path("map.npy.checkpoint").mkdir()
    Path("map.npy.checkpoint/manifest.json").write_text(json.dumps({}))
    assert error_of(capsys, *MAP, *given).startswith(message)
