"""The command line's streams: closed, full, or read by nobody; and what is said when it ends."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fasttsne import cli
from fasttsne.cli import messages, write

QUICK = ["--perplexity", "5", "--max-iter", "250", "--random-state", "0"]
MAP = ["map", "x.npy", "-o", "map.npy", *QUICK]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with an array in it."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).normal(size=(40, 3)))
    return tmp_path


def shell(command):
    """Run a line of the shell, in which "$ft" is the command."""
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env={**os.environ, "PYTHONUNBUFFERED": "", "ft": f"{sys.executable} -m fasttsne"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


needs_devices = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@needs_devices
@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("info > /dev/full", 2, "standard output: No space left on device; free space"),
        ("--help > /dev/full", 2, "standard output: No space left on device; free space"),
        ("map --help > /dev/full", 2, "standard output: No space left on device; free space"),
        ("info >&-", 0, ""),
    ],
)
def test_standard_output_that_takes_nothing(here, command, status, said):
    ended = shell(f"$ft {command}")
    assert ended.returncode == status
    assert "Exception ignored" not in ended.stderr and "Traceback" not in ended.stderr
    assert said in ended.stderr and ended.stderr.count("\n") == (status != 0)


def test_nobody_reads(here):
    ended = shell("(sleep 0.2; $ft info; echo $? > status) | true")
    assert Path("status").read_text() == "141\n"
    assert ended.stderr == ""


@needs_devices
@pytest.mark.parametrize("log", ["2>&-", "2>/dev/full"])
def test_a_log_that_cannot_be_written_costs_no_map(here, log):
    ended = shell(f"$ft {' '.join(MAP)} {log}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert np.load("map.npy").shape == (40, 2)


def test_a_process_without_streams_gets_some(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["info"]) == 0
    with sys.stdout, sys.stderr:
        assert sys.stdout.name == sys.stderr.name == os.devnull
        messages.say("nothing")


# ---- endings ------------------------------------------------------------------------------------


def test_ctrl_c_in_the_imports(here):
    program = """
import builtins, sys
from fasttsne.cli import main

def interrupt(name, *args, imported=builtins.__import__, **options):
    if name.startswith("sklearn"):
        raise KeyboardInterrupt
    return imported(name, *args, **options)

builtins.__import__ = interrupt
sys.exit(main())
"""
    command = [sys.executable, "-c", program, *MAP]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "\ninterrupted\n")


def test_ctrl_c_while_the_map_is_written_writes_it_first(here, capsys, monkeypatch):
    write_map, calls = write.write_map, []

    def interrupted_once(*args):
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        write_map(*args)

    monkeypatch.setattr(write, "write_map", interrupted_once)
    assert cli.main([*MAP, "--report", "a.txt"]) == 130
    said = capsys.readouterr().err
    assert "writing the map before exiting" in said
    assert "interrupted after the fit; complete and written: map.npy" in said
    assert sorted(os.listdir()) == ["map.npy", "x.npy"]


def test_ctrl_c_after_the_map_tells_what_is_there(here, capsys, monkeypatch):
    def report(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "judge", report)
    assert cli.main([*MAP, "--report", "a.txt"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "interrupted after the fit; complete and written: map.npy"
    assert sorted(os.listdir()) == ["map.npy", "x.npy"]


@pytest.mark.parametrize("change", ["version", "attribute", "none", "descent"])
def test_a_checkpoint_of_another_version_is_refused(here, capsys, monkeypatch, change):
    def press(self, state):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(messages.Progress, "__call__", press)
        assert cli.main(MAP) == 130
    content = pickle.loads(Path("map.npy.checkpoint").read_bytes())
    if change == "version":
        content["fasttsne"] = "0.0.1"
    elif change == "attribute":
        del content["tsne"].degrees_of_freedom
    elif change == "descent":
        del content["tsne"].embedding_
    else:
        content["tsne"] = None
    Path("map.npy.checkpoint").write_bytes(pickle.dumps(content))
    capsys.readouterr()
    assert cli.main([*MAP, "--resume"]) == 2
    said = capsys.readouterr().err
    assert "no checkpoint of this version of fasttsne; start without --resume" in said


def test_the_bar_of_a_descent_that_converges_is_filled(here, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cli.main([*MAP[:-4], "--max-iter", "5000"]) == 0
    bar = capsys.readouterr().err.split("\r")[-1].splitlines()[0]
    n_iter = int(bar.split(" after ")[1].split()[0].replace(",", ""))
    assert 100 < n_iter < 5000
    assert bar.endswith(
        f"[########################] converged after {n_iter:,} of 5,000 iterations"
    )


def test_dollars_in_the_name_of_a_file_begin_no_formula(here, monkeypatch):
    pytest.importorskip("matplotlib")
    Path("x.npy").rename("$x_{$.npy")
    command = ["map", "$x_{$.npy", "-o", "map.npy", *QUICK, "--plot", "a.png"]
    assert cli.main(command) == 0
    assert Path("a.png").exists()
