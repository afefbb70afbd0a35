"""What the command line writes, where it may not write and where a write fails half way."""

import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import fasttsne
from fasttsne import cli
from fasttsne.cli import write

resource = pytest.importorskip("resource", reason="permissions and limits are POSIX")
if not hasattr(os, "setresuid"):
    pytest.skip("the superuser cannot step down here", allow_module_level=True)

NOBODY = 65_534
LIMIT = 48  # bytes: less than anything that is written


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A directory with data in it, which anybody may enter."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    np.save("x.npy", np.random.default_rng(0).normal(size=(60, 4)))
    return tmp_path


@contextmanager
def nobody():
    """Step down, if this is the superuser, who may read and write anything."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def digits_are_loaded(monkeypatch):
    """The demo's data, which nobody may read where the package is the superuser's own."""
    digits = load_digits()
    monkeypatch.setattr(cli.demo, "_load_digits", lambda: digits)


@contextmanager
def full_disk_on_call():
    """Hand out a function after whose call every write beyond a few bytes of a file fails.

    The limit is lifted at the end of the block: pytest's own output may be a file, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refusal(capsys, *args):
    capsys.readouterr()
    assert cli.main(list(map(str, args))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("command", ["map", "judge", "demo"])
def test_a_place_without_permission_is_refused_before_any_work(
    digits_are_loaded, here, capsys, monkeypatch, command
):
    def work(self, *args, **options):
        raise AssertionError("must not compute")

    monkeypatch.setattr(fasttsne.TSNE, "fit", work)
    monkeypatch.setattr(fasttsne.TSNE, "fit_transform", work)
    (here / "closed").mkdir(mode=0o555)
    args = {
        "map": ["x.npy", "-o", "closed/a.npy"],
        "judge": ["x.npy", "map.npy", "--report", "closed/a.txt"],
    }
    with nobody():
        if command == "demo":
            with pytest.raises(SystemExit) as finished:
                cli.main(["demo", "--output", "closed/a.png"])
            assert finished.value.code == 2
            assert "cannot write closed/a.png: permission denied" in capsys.readouterr().err
        else:
            said = refusal(capsys, command, *args[command])
            assert "no permission to write there; choose another place" in said
    assert os.listdir("closed") == []


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "parquet", "h5ad"])
def test_a_file_without_permission_is_named(here, capsys, kind):
    pytest.importorskip("pandas")
    here.chmod(0o777)
    source = here / f"x.{kind}"
    source.write_text("1,2\n3,4\n")
    source.chmod(0o000)
    with nobody():
        said = refusal(capsys, "map", source.name, "-o", "a.npy")
    assert said.endswith(f"cannot read x.{kind}: Permission denied")


@pytest.mark.parametrize(
    ("option", "name", "needs"),
    [
        ("-o", "map.npy", "numpy"),
        ("-o", "map.npz", "numpy"),
        ("-o", "map.csv", "numpy"),
        ("-o", "map.parquet", "pyarrow"),
        ("--plot", "map.png", "matplotlib"),
        ("--plot", "map.pdf", "matplotlib"),
        ("--html", "map.html", "plotly"),
        ("--report", "map.json", "numpy"),
    ],
)
def test_a_full_disk_leaves_what_was_there(here, capsys, monkeypatch, option, name, needs):
    pytest.importorskip(needs)
    output = [] if option == "-o" else ["-o", "first.npy"]
    args = ["map", "x.npy", *output, option, name, "--force", "--perplexity", "5", "--quiet"]
    assert cli.main(args) == 0  # all is loaded, and caches are written
    (here / name).write_text("mine")
    before = sorted(os.listdir())
    fit, write_map = fasttsne.TSNE.fit, write.write_map
    with full_disk_on_call() as fill:

        def fit_and_fill(self, X):
            fitted = fit(self, X)
            if option == "-o":
                fill()
            return fitted

        def write_and_fill(*args):
            write_map(*args)
            fill()

        monkeypatch.setattr(fasttsne.TSNE, "fit", fit_and_fill)
        monkeypatch.setattr(write, "write_map", write_and_fill)
        said = refusal(capsys, *args)
    assert f"{name}: File too large; free space or choose another place" in said
    assert Path(name).read_text() == "mine"
    assert sorted(os.listdir()) == before
