"""cli/large_parts.py: parts on disk, interrupted runs and their folders."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import error_of
from large_files import (
    LABELLED,
    SETTINGS,
    SHAPING,
    begun,
    interrupt,
    pd,
    run,
    same_map,
    zarr,
)
from numpy.testing import assert_array_equal

import fasttsne
from fasttsne.cli import large
from fasttsne.cli.large_inputs import Source
from fasttsne.cli.large_parts import Unfinished
from fasttsne.cli.messages import Progress
from fasttsne.runtime import archive

# ---- interruptions ------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["map.parquet", "map/"])
@pytest.mark.parametrize(
    ("owner", "name", "after", "kept"),
    [
        (Source, "read", 3, None),
        (Unfinished, "save", 0, None),  # the landmarks
        (fasttsne.TSNE, "fit", 0, ["landmarks"]),
        (Unfinished, "save", 1, ["landmarks"]),  # the model
        (Unfinished, "save_part", 0, ["model"]),
        (Unfinished, "save_part", 4, ["part-000003.parquet", "model"]),
        (Unfinished, "part", 5, ["part-000008.parquet", "model"]),
    ],
)
def test_resumed_is_uninterrupted(
    whole, inputs, capsys, monkeypatch, output, owner, name, after, kept
):
    wanted = [*LABELLED, "-o", output, "--plot", "a.png"]
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, after)
        assert run(*wanted) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    if kept is None:
        assert said == "interrupted before the landmarks were drawn; nothing was written"
        assert [name for name in os.listdir() if "map" in name] == []
        assert run(*wanted) == 0
    else:
        assert said == "interrupted; the same command with --resume continues from here"
        state = "map.parquet.checkpoint" if output == "map.parquet" else "map/.fasttsne"
        there = [*os.listdir(state), *os.listdir("map" if output == "map/" else ".")]
        assert all(any(name.startswith(start) for name in there) for start in kept)
        assert "map.parquet" not in there
        # The run that continues knows all that shapes the map.
        assert run("x.parquet", "-o", output, "--resume") == 0
    if output == "map/":
        assert same_map(whole, "map")
        assert len(os.listdir("map")) == 9
    else:
        assert Path("map.parquet").read_bytes() == whole
    assert not Path("map.parquet.checkpoint").exists()


def test_a_descent_continues_where_it_was(whole, inputs, monkeypatch):
    seen = []

    def show(self, state):
        seen.append(state.iteration)
        if seen[-1] == 120:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", show)
    assert run(*LABELLED, "-o", "map.parquet") == 130
    assert run(*LABELLED, "-o", "map.parquet", "--resume", "map.parquet.checkpoint") == 0
    assert seen.count(10) == 1 and seen[-1] == 250
    assert Path("map.parquet").read_bytes() == whole


@pytest.mark.nosan
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("output", "number"),
    [("map.parquet", signal.SIGKILL), ("map/", signal.SIGKILL), ("map/", signal.SIGINT)],
)
def test_a_process_that_a_signal_ends_among_its_blocks(whole, inputs, output, number):
    wanted = [*LABELLED, "-o", output, "--quiet"]
    # A block takes so long that the signal comes between two of them.
    slow = (
        "import sys, time; from fasttsne.cli.large_parts import Unfinished as U\n"
        "keep = U.save_part\n"
        "U.save_part = lambda *a: (keep(*a), time.sleep(0.5 if a[1] > 1 else 0))\n"
        "from fasttsne import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    parts = Path("map" if output == "map/" else "map.parquet.checkpoint")
    command = [sys.executable, "-c", slow, "map", *map(str, wanted)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(1200):
        if (parts / "part-000002.parquet").exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in said
    assert not Path("map.parquet").exists()
    assert 3 <= len(list(parts.glob("part-*"))) < 9
    assert run("x.parquet", "-o", output, "--resume", "--quiet") == 0
    if output == "map/":
        assert same_map(whole, "map")
    else:
        assert Path("map.parquet").read_bytes() == whole


def test_what_is_done_is_not_done_again(inputs, capsys, monkeypatch, reads):
    begun(monkeypatch)
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: 1 / 0)
    reads.clear()
    assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    assert "placing 500 rows" in capsys.readouterr().err
    assert reads == [400, 500, 600, 700, 800]


def test_a_resumed_run_knows_the_label(inputs, monkeypatch):
    begun(monkeypatch)
    assert run("x.parquet", "-o", "map.parquet", "--resume", "--html", "a.html") == 0
    page = Path("a.html").read_text(encoding="utf-8")
    assert '"color":"class"' in page.replace(" ", "")
    assert "coloured by" not in page  # the reader chooses


def test_parts_that_are_cut_off_or_of_another_map_are_written_again(whole, inputs, monkeypatch):
    other = [*SETTINGS[:-4], "--random-state", 4, *SETTINGS[-2:]]
    assert run("x.parquet", "-o", "other/", *other, "--label", "class") == 0
    begun(monkeypatch)
    folder = Path("map.parquet.checkpoint")
    part = folder / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:200])
    (folder / "part-000002.parquet").write_bytes(b"")
    shutil.copy("other/part-000003.parquet", folder)
    assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    assert Path("map.parquet").read_bytes() == whole


def test_what_is_not_the_run_that_was_begun_is_refused(inputs, capsys, monkeypatch):
    begun(monkeypatch)
    again = ["x.parquet", "-o", "map.parquet"]
    assert "was stopped; --resume continues it" in error_of(capsys, *again, *SETTINGS)
    for option, value, before in [
        ("--perplexity", 9, "with 8.0"),
        ("--landmarks", 151, "with 150"),
        ("--standardize", None, "without it"),
        ("--keep", "name", "without it"),
    ]:
        given = [option] if value is None else [option, value]
        said = error_of(capsys, *again, "--resume", *given)
        assert said.startswith(f"{option} ") and f"was started {before}; leave it out" in said
    same = ["--perplexity", "8", "--label", "class", "--n-jobs", "1"]
    manifest = Path("map.parquet.checkpoint/manifest.json")
    text = manifest.read_text()
    manifest.write_text(text.replace(f'"fasttsne": "{fasttsne.__version__}"', '"fasttsne": "0.0"'))
    assert "is of fasttsne 0.0, and this is" in error_of(capsys, *again, "--resume", *same)
    for key, value in [("evil", 1), ("landmarks", "150"), ("keep", 5), ("block_rows", -1)]:
        content = json.loads(text)
        content["settings"][key] = value
        manifest.write_text(json.dumps(content))
        said = error_of(capsys, *again, "--resume")
        assert said == "map.parquet.checkpoint is damaged; start again with --force"
    manifest.write_text(text[:-20])
    assert "manifest.json is damaged; start" in error_of(capsys, *again, "--resume", *same)
    for key in ("settings", "input"):
        manifest.write_text(json.dumps({**json.loads(text), key: 3}))
        said = error_of(capsys, *again, "--resume")
        assert said == f"{manifest} is damaged; start again with --force"
    manifest.write_text(text)
    for kind, name, damage in [
        ("model", "placement.embedding", lambda array: array * np.float32(np.nan)),
        ("landmarks", "rows", lambda array: array[::-1]),
        ("landmarks", "X", lambda array: array[:-1]),
    ]:
        model = next(manifest.parent.glob(f"{kind}-*"))
        facts, arrays = archive.read(model, kind, 99)
        with open(model, "wb") as file:
            archive.write(file, kind, 2, facts, {**arrays, name: damage(arrays[name])})
        assert "cannot read" in error_of(capsys, *again, "--resume")
    model.write_bytes(pickle.dumps((1, 2, 3)))
    assert ".npz; start again with --force" in error_of(capsys, *again, "--resume")
    os.utime("x.parquet", ns=(0, os.stat("x.parquet").st_mtime_ns + 1))
    said = error_of(capsys, *again, "--resume")
    assert "x.parquet is another INPUT than that of the run in map.parquet.checkpoint, or" in said
    assert run(*again, *SETTINGS, "--force", "--quiet") == 0


def test_only_what_a_run_has_written_is_removed(inputs, monkeypatch):
    begun(monkeypatch)
    folder = Path("map.parquet.checkpoint")
    for name in ("mine.txt", "part-2.parquet", "model-2.pickle", "manifest.json.bak"):
        (folder / name).write_text("dear")
    assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--force") == 0
    assert len(os.listdir(folder)) == 4
    shutil.rmtree(folder)
    # A run killed before it had a manifest leaves this file alone.
    folder.mkdir()
    (folder / ".manifest-abc_1234.json").touch()
    assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--force", "--quiet") == 0
    assert not folder.exists()


@pytest.mark.parametrize("output", ["map.parquet", "map/"])
@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_force_starts_again_where_the_manifest_is_damaged(
    inputs, capsys, monkeypatch, output, text
):
    with monkeypatch.context() as patch:
        interrupt(patch, Unfinished, "save_part", 2)
        assert run(*LABELLED, "-o", output) == 130
    next(Path().glob("map*/**/manifest.json")).write_text(text)
    wanted = [*LABELLED, "-o", output]
    assert "--force starts again" in error_of(capsys, *wanted)
    assert run(*wanted, "--force") == 0


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("folder/part-party.txt", "dear"),
        ("folder/model.pickle", "dear"),
        ("folder/manifest.json", '{"format": "another"}'),
        ("folder/manifest.json", "[1]"),
        ("folder", "dear"),
        ("folder", "fasttsne checkpoint 1"),
    ],
)
def test_what_is_none_of_a_run_is_left_alone(inputs, capsys, unread, name, text, force):
    if "/" in name:
        os.mkdir("folder")
    Path(name).write_text(text)
    wanted = ["x.npy", *SETTINGS, *force]
    said = error_of(capsys, *wanted, "-o", "map.npy", "--checkpoint", "folder")
    if text.startswith("fasttsne"):
        assert "folder is left from an earlier run without --landmarks" in said
    else:
        assert said == "--checkpoint folder: it exists, and is no checkpoint; choose another name"
    said = error_of(capsys, *wanted, "-o", "folder/")
    assert ("holds " if "/" in name else "it is a file; choose a folder") in said
    assert Path(name).read_text() == text


@pytest.mark.parametrize("more", [["--resume"], ["--force", "--random-state", 4]])
def test_two_runs_in_one_folder_do_not_mix(whole, inputs, capsys, monkeypatch, more):
    """The same run twice writes the same parts; other parts are noticed before they are joined."""
    save, wanted = Unfinished.save_part, [*LABELLED, "-o", "map.parquet"]

    def meanwhile(self, number, part):
        save(self, number, part)
        if number == 2:
            monkeypatch.setattr(Unfinished, "save_part", save)
            with monkeypatch.context() as patch:
                interrupt(patch, large._Run, "write")
                assert run(*wanted, *more) == 130

    monkeypatch.setattr(Unfinished, "save_part", meanwhile)
    status = run(*wanted)
    if "--force" in more:
        assert status == 2 and "another run has changed map" in capsys.readouterr().err
        assert not os.path.exists("map.parquet")
    else:
        assert status == 0 and Path("map.parquet").read_bytes() == whole


def test_a_map_that_another_run_has_written_meanwhile_stays(inputs, capsys, monkeypatch):
    fit = large._Run.fit

    def late(self):
        Path("map.npy").write_text("dear")
        return fit(self)

    monkeypatch.setattr(large._Run, "fit", late)
    assert run("x.npy", "-o", "map.npy", *SETTINGS) == 2
    assert "--output map.npy: it exists; --force replaces it" in capsys.readouterr().err
    assert Path("map.npy").read_text() == "dear"
    assert run("x.npy", "-o", "map.npy", "--resume", "--force") == 0


def test_a_failure_leaves_what_is_done(inputs, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", "map.npy")

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "save_part", full)
        assert run("x.npy", "-o", "map.npy", *SETTINGS) == 2
    *_, note, line = capsys.readouterr().err.splitlines()
    assert note == "finished work is kept in map.npy.checkpoint; --resume continues it"
    assert "map.npy: No space left on device" in line
    assert run("x.npy", "-o", "map.npy", "--resume") == 0


def test_files_are_on_disk_before_they_get_their_names(inputs, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: events.append("sync") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda a, b: events.append(Path(b).name) or replace(a, b))
    assert run("x.npy", "-o", "map/", *SETTINGS, "--quiet") == 0
    parts = [name for k in range(9) for name in ("sync", f"part-{k:06d}.parquet")]
    names = ["sync", "manifest", "sync", "landmarks", "sync", "model"]
    assert [event.partition("-")[0].removesuffix(".json") for event in events[:6]] == names
    assert events[6:] == parts


def test_force_replaces_a_store_a_file_and_parts(inputs, capsys):
    Path("map.npy").write_text("old")
    shutil.copytree("x.zarr", "map.zarr")
    os.mkdir("map.zarr/stale")
    assert run("x.npy", "-o", "map/", *SHAPING, "--block-rows", 20) == 0
    assert len(os.listdir("map")) == 45
    said = error_of(capsys, "x.npy", "-o", "map", *SETTINGS)  # without the slash, as it exists
    assert said == "--output map/: it holds a map; --force replaces it"
    for target in ("map.npy", "map.zarr", "map/"):
        assert run("x.npy", "-o", target, *SETTINGS, "--force", "--quiet") == 0
    Y = np.load("map.npy")
    assert_array_equal(zarr.open("map.zarr", mode="r")["embedding"][:], Y)
    assert "X" not in zarr.open("map.zarr", mode="r")
    assert_array_equal(pd.read_parquet("map").to_numpy(), Y)
    assert [name for name in os.listdir() if name.startswith(".")] == []


def test_force_that_is_refused_keeps_the_map_and_folders_of_the_user(inputs, capsys):
    assert run("x.npy", "-o", "map/", *SETTINGS) == 0
    before = pd.read_parquet("map")
    for wrong in (["--perplexity", 100], ["--metric", "mahalanobis"]):
        shaping = [*SETTINGS, *wrong, "--landmarks", 60, "--force"]
        assert run("x.npy", "-o", "map/", *shaping) == 2
        pd.testing.assert_frame_equal(pd.read_parquet("map"), before)
    os.mkdir("mine")
    assert run("x.npy", "-o", "y.npy", *SETTINGS, "--checkpoint", "mine") == 0
    assert os.listdir("mine") == []
