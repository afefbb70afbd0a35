"""cli/__init__.py and info.py: commands, help, closed or full streams, and the status."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from commands import OPTIONS, error_of, run, status_of

import fasttsne
from fasttsne import cli
from fasttsne.cli import messages

MAP = ["map", "x.npy", "-o", "map.npy", *OPTIONS]

needs_devices = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def process(*command, env=None):
    options = {"capture_output": True, "text": True, "check": False, "timeout": 60}
    return subprocess.run(command, env=env, **options)


def python(*args):
    return process(sys.executable, *args)


def shell(command):
    """Run a line of the shell, in which "$ft" is the command."""
    env = {**os.environ, "PYTHONUNBUFFERED": "", "ft": f"{sys.executable} -m fasttsne"}
    return process("/bin/sh", "-c", command, env=env)


def test_info_prints_the_configuration(capsys):
    fasttsne.show_config()
    expected = capsys.readouterr().out
    assert run("info") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(expected) and expected != ""
    assert all(f"extra {name}:" in printed for name in ("plot", "tables", "progress", "dask"))


@pytest.mark.parametrize(
    "args",
    [
        *([], ["dance"], ["--dance"], ["map"], ["map", "x.npy"]),
        *(["map", "x", "-o", "y", "--angle", "a"], ["map", "x", "-o", "y", "--perplexity", "3,x"]),
    ],
)
def test_a_wrong_option_is_one_line(args, capsys):
    assert status_of(*args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fasttsne") and line.endswith(" --help' lists the options")


def test_every_extra_is_listed_and_every_hint_names_one(capsys):
    package, project = Path(fasttsne.__file__).parent, Path(__file__).parents[2]
    facts = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    extras = facts["project"]["optional-dependencies"].keys() - {"test"}
    assert run("info") == 0
    assert set(re.findall(r"^extra (\w+):", capsys.readouterr().out, re.MULTILINE)) == extras
    sources = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    named = re.findall(r"fasttsne\[(\w+)\]|check_package\([^)]+\"(\w+)\"\)", sources)
    assert {hint or checked for hint, checked in named} == extras
    page = (project / "docs/quick-start.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` +\|", page, re.MULTILINE)) == extras


@pytest.mark.parametrize("command", [[], ["demo"], ["info"], ["map"], ["judge"], ["run"]])
def test_help_fits_a_line_of_100_columns(command, capsys):
    assert status_of(*command, "--help") == 0
    printed = capsys.readouterr().out
    assert "usage: fasttsne" in printed
    assert max(map(len, printed.splitlines())) <= 100
    assert command == ["map"] or "OUT" not in printed


def test_help_of_an_option_is_one_sentence():
    parser = cli._parser("fasttsne")
    (commands,) = [action for action in parser._actions if action.choices]
    for command in commands.choices.values():
        for action in command._actions:
            assert action.help and not re.search(r"[;.] ", action.help.replace("... ", ""))


def test_python_m_fasttsne_is_the_same(here):
    assert python("-m", "fasttsne", "--version").stdout == f"fasttsne {fasttsne.__version__}\n"
    ended = python("-m", "fasttsne")
    assert ended.returncode == 2 and ended.stderr.startswith("python -m fasttsne: error: ")


def test_the_installed_command_is_main():
    (script,) = entry_points(group="console_scripts", name="fasttsne")
    assert script.load() is cli.main


def test_an_unexpected_error_is_one_line_or_a_traceback(array, capsys, monkeypatch):
    monkeypatch.setattr(fasttsne.TSNE, "fit", lambda self, X: {}["gone"])
    said = error_of(capsys, "x.npy", "-o", "map.npy", "--quiet")
    assert said == "unexpected KeyError: 'gone'; run again with --debug, and report it"
    assert run(*MAP, "--debug") == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_ctrl_c_during_imports(array):
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
    ended = python("-c", program, *MAP)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "\ninterrupted\n")


@needs_devices
@pytest.mark.parametrize("command", ["info", "--help", "map --help"])
def test_standard_output_is_full(here, command):
    ended = shell(f"$ft {command} > /dev/full")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "standard output: No space left on device; free space" in ended.stderr


def test_standard_output_is_closed(here):
    ended = shell("$ft info >&-")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_reader_of_standard_output_is_gone(here):
    ended = shell("(sleep 0.2; $ft info; echo $? > status) | true")
    assert Path("status").read_text() == "141\n"
    assert ended.stderr == ""


@needs_devices
@pytest.mark.parametrize("log", ["2>&-", "2>/dev/full"])
def test_a_log_that_cannot_be_written_does_not_end_the_run(array, log):
    ended = shell(f"$ft {' '.join(MAP)} {log}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert np.load("map.npy").shape == (40, 2)


def test_a_process_without_streams_gets_some(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert run("info") == 0
    with sys.stdout, sys.stderr:
        assert sys.stdout.name == sys.stderr.name == os.devnull
        messages.say("nothing")


@pytest.mark.parametrize("command", ["map", "judge"])
def test_an_unknown_option_names_the_help_of_its_command(command, capsys):
    output = ["-o", "map.csv"] if command == "map" else []
    assert status_of(command, "x.csv", *output, "--lable", "kind") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"fasttsne {command}: error: unrecognized arguments: --lable")
    assert said.endswith(f"'fasttsne {command} --help' lists the options\n")


@pytest.mark.filterwarnings("default:learning_rate")
def test_warnings_are_a_line_without_python(array, capsys):
    assert run("map", "x.npy", "-o", "map.npy", "--perplexity", "10", "--learning-rate", ".5") == 0
    said = capsys.readouterr().err
    line = "warning: --learning-rate 0.5 is low for 40 samples; --learning-rate auto gives a map of"
    assert next(part for part in said.splitlines() if "learning" in part).startswith(line)
    assert ".py" not in said
