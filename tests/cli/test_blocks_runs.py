"""cli/blocks/: runs that are interrupted, resumed or killed, or meet each other or a cluster."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blocks import (
    N_ROWS,
    SETTINGS,
    SHAPING,
    begun,
    data,
    error_of,
    every_kind,
    inputs,
    interrupt,
    left_alone,
    run,
    untouched,
    whole,
)

import fasttsne
from fasttsne.cli.blocks import run as blocks_run
from fasttsne.cli.blocks.opening import open_source
from fasttsne.cli.blocks.source import Source
from fasttsne.cli.blocks.unfinished import Unfinished

distributed = pytest.importorskip("distributed")

# ---- interruptions ------------------------------------------------------------------------------


def test_files_are_read_from_front_to_back(inputs, monkeypatch):
    seen, read = [], Source.read

    def noting(self, start, stop):
        seen.append(start)
        return read(self, start, stop)

    monkeypatch.setattr(Source, "read", noting)
    assert run("x.npy", "-o", "map.npy", *SHAPING, "--block-rows", 40) == 0
    assert seen == 2 * list(range(0, N_ROWS, 40))


@pytest.mark.parametrize(
    ("owner", "name", "after", "kept"),
    [
        (Source, "read", 3, None),
        (Unfinished, "save_landmarks", 0, None),
        (fasttsne.TSNE, "fit", 0, ["landmarks.npz"]),
        (Unfinished, "save_model", 0, ["landmarks.npz"]),
        (Unfinished, "save_block", 0, ["model.pickle"]),
        (Unfinished, "save_block", 4, ["block-000003.npy", "model.pickle"]),
        (Unfinished, "block", 5, ["block-000008.npy", "model.pickle"]),
    ],
)
def test_resumed_is_uninterrupted(whole, capsys, monkeypatch, owner, name, after, kept):
    wanted = ["x.parquet", "-o", "map.parquet", *SETTINGS, "--label", "class"]
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, after)
        assert run(*wanted) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert [file for file in os.listdir() if "map" in file and "checkpoint" not in file] == []
    if kept is None:
        assert said == "interrupted before the landmarks were drawn; nothing was written"
        assert not Path("map.parquet.checkpoint").exists()
        assert run(*wanted) == 0
    else:
        assert said == "interrupted; the same command with --resume goes on from here"
        assert set(kept) < set(os.listdir("map.parquet.checkpoint"))
        # All that shapes the map is known to the run that goes on.
        assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    assert Path("map.parquet").read_bytes() == whole
    assert not Path("map.parquet.checkpoint").exists()


def test_a_descent_goes_on_where_it_was(whole, monkeypatch):
    from fasttsne.cli.messages import Progress

    seen = []

    def show(self, state):
        seen.append(state.iteration)
        if seen[-1] == 120:
            raise KeyboardInterrupt

    wanted = ["x.parquet", "-o", "map.parquet", *SETTINGS, "--label", "class"]
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "__call__", show)
        assert run(*wanted) == 130
        assert run(*wanted, "--resume", "map.parquet.checkpoint") == 0
    assert seen.count(10) == 1 and seen[-1] == 250
    assert Path("map.parquet").read_bytes() == whole


@pytest.mark.nosan
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_a_signal_ends_among_its_blocks(whole, number):
    wanted = ["x.parquet", "-o", "map.parquet", *SETTINGS, "--label", "class", "--quiet"]
    # A block takes so long that the signal comes between two of them.
    slow = (
        "import sys, time; from fasttsne.cli.blocks.unfinished import Unfinished as U\n"
        "keep = U.save_block\n"
        "U.save_block = lambda *a: (keep(*a), time.sleep(0.5 if a[1] > 1 else 0))\n"
        "from fasttsne import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", slow, "map", *map(str, wanted)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(1200):
        if Path("map.parquet.checkpoint/block-000002.npy").exists():
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in said
    assert not Path("map.parquet").exists()
    assert 3 <= len(list(Path("map.parquet.checkpoint").glob("block-*"))) < 9
    assert run("x.parquet", "-o", "map.parquet", "--resume", "--quiet") == 0
    assert Path("map.parquet").read_bytes() == whole


def test_what_is_done_is_not_done_again(inputs, capsys, monkeypatch):
    begun(monkeypatch)
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: 1 / 0)
    seen, read = [], Source.read
    monkeypatch.setattr(Source, "read", lambda *args: seen.append(args[1]) or read(*args))
    assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    bounds = open_source(Path("x.parquet"), extra=["class"], block_rows=100).bounds
    assert f"placing {N_ROWS - bounds[4]} rows" in capsys.readouterr().err
    assert seen == bounds[4:-1].tolist()


def test_a_block_that_is_cut_off_is_placed_again(whole, monkeypatch):
    begun(monkeypatch)
    block = Path("map.parquet.checkpoint/block-000001.npy")
    block.write_bytes(block.read_bytes()[:200])
    Path("map.parquet.checkpoint/block-000002.npy").write_bytes(b"")
    assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    assert Path("map.parquet").read_bytes() == whole


def test_what_is_not_the_run_that_was_begun_is_refused(inputs, capsys, monkeypatch):
    begun(monkeypatch)
    again = ["x.parquet", "-o", "map.parquet"]
    assert "is left from an earlier run; --resume goes on" in error_of(capsys, *again, *SETTINGS)
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
    manifest.write_text(text[:-20])
    assert "is no unfinished run with --landmarks" in error_of(capsys, *again, "--resume", *same)
    manifest.write_text(text)
    assert run(*again, "--resume", *same) == 0


def test_an_input_that_has_changed_since_is_refused(inputs, capsys, monkeypatch):
    begun(monkeypatch)
    os.utime("x.parquet", ns=(0, os.stat("x.parquet").st_mtime_ns + 1))
    said = error_of(capsys, "x.parquet", "-o", "map.parquet", "--resume")
    assert "INPUT is not what the run in map.parquet.checkpoint began with" in said
    assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--force", "--quiet") == 0


def test_only_what_a_run_has_written_is_removed(inputs, capsys, monkeypatch):
    begun(monkeypatch)
    Path("map.parquet.checkpoint/mine.txt").write_text("dear")
    said = error_of(capsys, "x.parquet", "-o", "map.parquet", *SETTINGS, "--force")
    assert "holds mine.txt, which no run has put there" in said
    assert len(os.listdir("map.parquet.checkpoint")) > 5


def foreign_folders():
    """Folders that no run has made, though names in them are, or begin like, those of a run."""
    for number, (name, text) in enumerate(
        [
            ("block-party.txt", "dear"),
            ("model.pickle", "dear"),
            ("manifest.json", '{"format": "another"}'),
            ("manifest.json", "[1]"),
        ]
    ):
        folder = Path(f"folder{number}")
        folder.mkdir()
        (folder / name).write_text(text)
        yield folder, name


def test_a_folder_that_is_none_of_a_run_is_left_alone(inputs, capsys, untouched):
    for folder, name in foreign_folders():
        for force in [], ["--force"]:
            said = error_of(
                capsys, "x.npy", "-o", "map.npy", *SETTINGS, "--checkpoint", folder, *force
            )
            assert said == (
                f"--checkpoint {folder}: it exists, and is no checkpoint; choose another name"
            )
            assert os.listdir(folder) == [name]


@pytest.mark.parametrize("name", ["block-party.txt", "model-2.pickle", "manifest.json.bak"])
def test_names_that_begin_like_those_of_a_run(inputs, capsys, monkeypatch, name):
    begun(monkeypatch)
    Path("map.parquet.checkpoint", name).write_text("dear")
    said = error_of(capsys, "x.parquet", "-o", "map.parquet", *SETTINGS, "--force")
    assert f"holds {name}, which no run has put there" in said
    assert len(os.listdir("map.parquet.checkpoint")) > 5


def test_a_checkpoint_of_a_plain_map_is_left_alone(inputs, capsys):
    Path("old").write_bytes(b"fasttsne checkpoint 1")
    for force in [], ["--force"]:
        said = error_of(capsys, "x.npy", "-o", "map.npy", *SETTINGS, "--checkpoint", "old", *force)
        assert "old is left from an earlier run without --landmarks" in said


def test_a_run_killed_before_its_manifest_can_be_forced_over(inputs, capsys):
    os.mkdir("map.npy.checkpoint")
    for name in ("fasttsne.lock", ".manifest-abc_1234.json"):
        Path("map.npy.checkpoint", name).touch()
    assert "is left from an earlier run" in error_of(capsys, "x.npy", "-o", "map.npy", *SETTINGS)
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--force", "--quiet") == 0
    assert not os.path.exists("map.npy.checkpoint")


# ---- runs at the same time ----------------------------------------------------------------------


def test_of_two_runs_that_begin_together_one_has_the_folder(whole, capsys, monkeypatch):
    def late(*args, **options):
        with monkeypatch.context() as patch:
            patch.setattr(blocks_run, "open_source", open_source)
            begun(monkeypatch)  # the other: after this one looked, and before it has the folder
        return open_source(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(blocks_run, "open_source", late)
        assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--label", "name") == 2
    assert "is left from an earlier run; --resume goes on" in capsys.readouterr().err
    assert run("x.parquet", "-o", "map.parquet", "--resume") == 0
    assert Path("map.parquet").read_bytes() == whole


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_run_at_work_is_left_alone(whole, capsys, monkeypatch):
    save, said = Unfinished.save_block, []

    def meanwhile(self, number, Y):
        save(self, number, Y)
        if number == 2:
            for more in [*SETTINGS], [*SETTINGS, "--force"], ["--resume"], ["--resume", "--force"]:
                said.append(error_of(capsys, "x.parquet", "-o", "map.parquet", *more))

    monkeypatch.setattr(Unfinished, "save_block", meanwhile)
    assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--label", "class") == 0
    assert len(said) == 4
    assert all(line.startswith("another run is writing OUT, and at work in map") for line in said)
    assert Path("map.parquet").read_bytes() == whole
    assert not os.path.exists("map.parquet.checkpoint")


def test_runs_with_folders_of_their_own_share_no_unfinished_map(whole, monkeypatch):
    block, wanted = Unfinished.block, ["x.parquet", "-o", "map.parquet", *SETTINGS]

    def meanwhile(self, number):
        if number == 5 and self.path.name == "one":
            assert run(*wanted, "--checkpoint", "two", "--force") == 0
        return block(self, number)

    monkeypatch.setattr(Unfinished, "block", meanwhile)
    more = ["--label", "class", "--checkpoint", "one", "--force"]
    assert run(*wanted, *more) == 0
    assert Path("map.parquet").read_bytes() == whole


def test_a_map_that_another_run_has_written_meanwhile_stays(inputs, capsys, monkeypatch):
    def late(*args, **options):
        Path("map.npy").write_text("dear")
        return open_source(*args, **options)

    monkeypatch.setattr(blocks_run, "open_source", late)
    assert run("x.npy", "-o", "map.npy", *SETTINGS) == 2
    assert "--output map.npy: it exists; --force replaces it" in capsys.readouterr().err
    assert Path("map.npy").read_text() == "dear"
    assert not os.path.exists("map.npy.checkpoint")


@pytest.mark.parametrize("key", ["fasttsne", "settings", "input", "bounds"])
@pytest.mark.parametrize("damage", ["lost", "other"])
def test_a_damaged_manifest_is_refused(inputs, capsys, monkeypatch, key, damage):
    begun(monkeypatch)
    path = Path("map.parquet.checkpoint/manifest.json")
    manifest = json.loads(path.read_text())
    if damage == "lost":
        del manifest[key]
    else:
        manifest[key] = 3
    path.write_text(json.dumps(manifest))
    said = error_of(capsys, "x.parquet", "-o", "map.parquet", "--resume")
    assert said == f"{path} is damaged; start anew with --force"
    assert run("x.parquet", "-o", "map.parquet", *SETTINGS, "--force", "--quiet") == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folders")
def test_what_replaces_something_is_on_disk_before_that_goes(inputs, monkeypatch):
    """Each file, under its temporary name, and then the folder that has its name."""
    events, fsync, unlink = [], os.fsync, Path.unlink

    def synced(handle):
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def removed(self, **options):
        events.append(self.name)
        unlink(self, **options)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "unlink", removed)
    monkeypatch.setattr("fasttsne.cli.blocks.job.Job.place", lambda *args: 1 / 0)
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--quiet") != 0
    there = [event for event in events if event in ("file", "folder", "landmarks.npz")]
    assert there == ["file", "folder", "file", "folder", "landmarks.npz"]


def test_a_failure_leaves_what_is_done(inputs, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", "map.npy")

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "save_block", full)
        assert run("x.npy", "-o", "map.npy", *SETTINGS) == 2
    *_, note, line = capsys.readouterr().err.splitlines()
    assert note == "what has been done is in map.npy.checkpoint; --resume goes on from there"
    assert "map.npy: No space left on device" in line
    assert run("x.npy", "-o", "map.npy", "--resume") == 0


# ---- a cluster ----------------------------------------------------------------------------------


@pytest.mark.nosan
def test_workers_of_a_cluster_place_the_same(whole, capsys):
    wanted = ["x.parquet", "-o", "map.parquet", *SETTINGS, "--label", "class"]
    options = {"threads_per_worker": 1, "memory_limit": "1GiB", "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=2, **options) as cluster:
        address = cluster.scheduler_address
        assert run(*wanted, "--dask", address, "--report", "a.txt") == 0
        assert Path("map.parquet").read_bytes() == whole
        assert "trustworthiness" in Path("a.txt").read_text()
        for _ in range(100):
            if not cluster.scheduler.tasks:
                break
            time.sleep(0.05)
        assert not cluster.scheduler.tasks
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fasttsne.cli.blocks.cluster.__version__", "0.0")
            said = error_of(capsys, *wanted, "--dask", address, "--force")
        assert "has fasttsne" in said and "and this is 0.0; they must be the same" in said
        cluster.scale(0)
        while cluster.scheduler.workers:
            time.sleep(0.05)
        said = error_of(capsys, *wanted, "--dask", address, "--force")
        assert "it has no workers; 'dask worker" in said


@pytest.mark.nosan
def test_a_worker_of_too_little_memory_is_told_before_work(inputs, capsys, untouched):
    options = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(memory_limit="100MiB", **options) as cluster:
        address = cluster.scheduler_address
        said = error_of(capsys, "x.npy", "-o", "map.npy", *SETTINGS, "--dask", address)
    assert "has a memory limit of 100 MiB, but needs about" in said
    assert "shorter blocks (--block-rows)" in said
