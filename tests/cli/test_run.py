"""cli/run.py: scripts and modules run as `python` runs them, with the class replaced."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run, status_of
from sklearn import manifold

SCRIPT = """
import pickle, sys
from sklearn.datasets import load_iris
from sklearn.manifold import TSNE

class Kept:
    pass

if __name__ == "__main__":
    tsne = TSNE(learning_rate=3.0, max_iter=250, random_state=0).fit(load_iris().data)
    found = {"argv": sys.argv, "path": sys.path[0], "rate": tsne.learning_rate_, "tsne": tsne}
    assert type(pickle.loads(pickle.dumps(Kept()))) is Kept
    with open("found.pickle", "wb") as file:
        pickle.dump(found, file)
"""


@pytest.fixture
def script(here, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", sys.argv)
    (here / "scripts").mkdir()
    (here / "scripts" / "draw.py").write_text(SCRIPT)
    return here / "scripts" / "draw.py"


def found():
    return pickle.loads(Path("found.pickle").read_bytes())


@pytest.mark.parametrize(
    "given", [["a", "--debug", "-m", "--", "b"], ["--", "--help"], ["-mscripts.draw"], ["-mb"], []]
)
def test_a_script_is_run_under_the_patch(script, given):
    before = manifold.TSNE
    first = ["--"] if given in ([], ["-mb"]) else []
    assert run("run", *first, "scripts/draw.py", *given) == 0
    assert found()["argv"] == ["scripts/draw.py", *given]
    assert found()["path"] == str(script.parent)
    assert (type(found()["tsne"]).__module__, found()["rate"]) == ("fasttsne.patch", 150)
    assert manifold.TSNE is before


def test_numbers_for_the_learning_rate_are_kept_on_request(script):
    for option in (["--learning-rate", "keep"], ["--learning-rate=keep"]):
        assert run("run", *option, "scripts/draw.py", "-mb") == 0
        assert found()["rate"] == 36 and found()["argv"] == ["scripts/draw.py", "-mb"]


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        (["-m", "scripts.draw"], 150),
        (["-mscripts.draw"], 150),
        (["--learning-rate", "keep", "-mscripts.draw"], 36),
        (["--learning-rate=keep", "-mscripts.draw"], 36),
    ],
)
@pytest.mark.parametrize("given", [[], ["-x"], ["a", "--help", "-mb", "--", "-m"]])
def test_a_module_is_run_under_the_patch(script, here, options, rate, given):
    (here / "scripts" / "__init__.py").touch()
    sys.modules.pop("scripts", None)  # that of another folder
    assert run("run", *options, *given) == 0
    assert found()["argv"] == [str(script), *given] and found()["path"] == str(here)
    assert found()["rate"] == rate


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere.py"], "there is no file 'nowhere.py'"),
        ([], "the following arguments are required: SCRIPT"),
        (["-m", "nowhere"], "there is no module 'nowhere'"),
        (["-mnowhere.at.all", "-x"], "there is no module 'nowhere.at.all'"),
        (["-m"], "the following arguments are required: SCRIPT"),
        (["-m", "nowhere.at.all"], "there is no module 'nowhere.at.all'"),
        (["--learning-rate", "1", "x.py"], "argument --learning-rate: invalid choice: "),
    ],
)
def test_what_is_not_there_is_one_line(script, args, said, capsys):
    assert status_of("run", *args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fasttsne run: error: {said}")


def test_what_a_script_raises_is_not_changed(script, here):
    for code in (3, "stop", None):
        (here / "x.py").write_text(f"raise SystemExit({code!r})")
        with pytest.raises(SystemExit) as finished:
            run("run", "x.py")
        assert finished.value.code == code
    (here / "x.py").write_text("import warnings; warnings.warn('careful'); raise KeyError")
    with pytest.warns(UserWarning, match="careful"), pytest.raises(KeyError):
        run("run", "x.py")
    command = [sys.executable, "-m", "fasttsne", "run", "x.py"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and ended.stderr.endswith("\nKeyError\n")
