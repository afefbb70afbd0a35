"""cli/write.py: what is written, where nothing can be, and writes that fail half way."""

import errno
import os
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from commands import N_ROWS, error_of, expected_map, mapped, rows, table
from sklearn.datasets import load_digits

import fasttsne
from fasttsne import plot
from fasttsne.cli import checkpoint, write

NOBODY = 65_534
LIMIT = 48  # bytes: less than anything that is written

posix = pytest.mark.skipif(
    not hasattr(os, "setresuid"), reason="the superuser cannot step down here"
)


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


@contextmanager
def full_disk_on_call(limit=LIMIT):
    """Yield a function after whose call every write beyond a few bytes of a file fails.

    The limit is lifted at the end of the block: pytest's own output may be a file, too.
    """
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("option", "column", "output"),
    [
        ("--label", "tsne0", "map.csv"),
        ("--keep", "tsne1", "map.parquet"),
        ("--label", "embedding", "map.npz"),
    ],
)
def test_no_column_takes_the_place_of_the_map(here, capsys, untouched, option, column, output):
    pytest.importorskip("pyarrow")
    table(**{column: np.arange(N_ROWS)})
    said = error_of(capsys, "x.csv", "-o", output, option, column)
    assert f"and so is the column '{column}' that is to go along; rename it in INPUT" in said


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_kept_numbers_keep_their_digits(here, kind):
    kept = {"embedding": 123456780.5 + np.arange(N_ROWS), "tsne2": np.full(N_ROWS, 1 / 3)}
    frame = table(**kept)
    assert mapped("x.csv", "-o", f"map.{kind}", "--keep", ",".join(kept)) == 0
    pd = pytest.importorskip("pandas")
    written = pd.read_csv(f"map.{kind}", sep="\t" if kind == "tsv" else ",", dtype=str)
    for name in kept:
        assert written[name].astype(float).tolist() == frame[name].tolist()
    Y = expected_map(rows())
    assert written["tsne0"].tolist() == [f"{value:.9g}" for value in Y[:, 0]]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("category", [1, None, 3]),
        ("Int64", [1, None, 3]),
        ("float64", [0.5, None, 2.0]),
        ("datetime64[ns]", ["2020-01-01", None, "2020-01-03"]),
        ("boolean", [True, None, False]),
        (object, ["a", None, 3]),
    ],
)
def test_columns_of_every_type_print_as_they_are(dtype, values):
    pd = pytest.importorskip("pandas")
    columns = {"x": pd.Series(pd.array(values, dtype=object).astype(dtype))}
    write.write_text(file := StringIO(), np.zeros((3, 2)), columns, 0, ",")
    lines = file.getvalue().splitlines()
    texts = ["" if value is None else str(value) for value in values]
    assert [line.split(",")[2] for line in lines] == ["x", *texts]


def test_missing_labels_are_drawn_grey_and_kept_empty(here):
    pytest.importorskip("matplotlib")
    table(kind=[None, "a"] * (N_ROWS // 2))
    wanted = ["--label", "kind", "--plot", "a.png", "--report", "a.txt"]
    assert mapped("x.csv", "-o", "map.csv", *wanted) == 0
    lines = Path("map.csv").read_text().splitlines()
    assert sum(line.endswith(",") for line in lines) == N_ROWS // 2


def test_a_quantity_is_drawn_and_has_no_classes_in_the_report(here):
    pytest.importorskip("matplotlib")
    table(age=np.arange(N_ROWS) / 7)
    wanted = ["--label", "age", "--plot", "a.png", "--report", "a.txt"]
    assert mapped("x.csv", "-o", "map.csv", *wanted) == 0
    assert "kNN accuracy" not in Path("a.txt").read_text()


@pytest.mark.parametrize("legend", [False, True])
def test_a_picture_has_a_title_and_names_or_a_legend(here, monkeypatch, legend):
    pytest.importorskip("matplotlib")
    seen, scatter = [], plot.scatter
    monkeypatch.setattr(plot, "scatter", lambda *args, **rest: seen.append(scatter(*args, **rest)))
    kinds = ["T2 of many long words", "T10 of many long words"]
    table(kind=kinds * (N_ROWS // 2))
    wanted = ["--label", "kind", "--plot", "a.png", *["--legend"] * legend]
    assert mapped("x.csv", "-o", "map.csv", *wanted) == 0
    (ax,) = seen
    assert ax.get_title(loc="left") == "x: 40 points, coloured by kind"
    texts = ax.get_legend().get_texts() if legend else ax.texts
    assert [" ".join(text.get_text().split()) for text in texts] == kinds
    assert (ax.get_legend() is not None) == legend
    assert bool(ax.texts) != legend
    shape = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    assert max(shape.width, shape.height) > 7  # inches: a legend takes no room from the map


def test_a_kind_of_picture_that_matplotlib_cannot_write_here_is_refused(array, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("PATH", "")  # without TeX
    message = error_of(capsys, array, "-o", "map.csv", "--plot", "a.pgf")
    assert message.startswith("--plot a.pgf: matplotlib cannot write .pgf here: ")
    assert message.endswith("; choose .png, .pdf or .svg")
    message = error_of(capsys, array, "-o", "map.csv", "--legend")
    assert message == "--legend goes with --plot; give both"


def test_dollars_in_the_name_of_a_file_begin_no_formula(array):
    pytest.importorskip("matplotlib")
    Path("x.npy").rename("$x_{$.npy")
    assert mapped("$x_{$.npy", "-o", "map.npy", "--plot", "a.png") == 0
    assert Path("a.png").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_of_the_system(array, capsys, untouched):
    said = error_of(capsys, "x.npy", "-o", "/proc/x.npy")
    assert said.startswith("--output /proc/x.npy: ") and said.endswith("; choose another place")


@posix
@pytest.mark.parametrize("command", ["map", "judge", "demo"])
def test_a_folder_without_permission(array, here, capsys, monkeypatch, untouched, command):
    digits = load_digits()  # read before stepping down, as the package may be the superuser's own
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: digits)
    here.chmod(0o755)
    (here / "closed").mkdir(mode=0o555)
    args = {
        "map": ["x.npy", "-o", "closed/a.npy"],
        "judge": ["x.npy", "map.npy", "--report", "closed/a.txt"],
        "demo": ["--output", "closed/a.png"],
    }
    with nobody():
        said = error_of(capsys, *args[command], command=command)
        assert "no permission to write there; choose another place" in said


@posix
@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "parquet", "h5ad"])
def test_an_input_without_permission(here, capsys, kind):
    pytest.importorskip("pandas")
    here.chmod(0o777)
    source = here / f"x.{kind}"
    source.write_text("1,2\n3,4\n")
    source.chmod(0o000)
    with nobody():
        said = error_of(capsys, source.name, "-o", "a.npy")
    assert said == f"cannot read x.{kind}: Permission denied"


@posix
@pytest.mark.parametrize(
    ("option", "name", "needs"),
    [
        ("-o", "map.npy", "numpy"),
        ("-o", "map.npz", "numpy"),
        ("-o", "map.csv", "numpy"),
        ("-o", "map.parquet", "pyarrow"),
        ("--plot", "map.png", "matplotlib"),
        ("--plot", "map.pdf", "matplotlib"),
        ("--html", "map.html", "numpy"),
        ("--report", "map.json", "numpy"),
    ],
)
def test_a_full_disk_leaves_what_was_there(array, capsys, monkeypatch, option, name, needs):
    pytest.importorskip(needs)
    output = [] if option == "-o" else ["-o", "first.npy"]
    args = ["x.npy", *output, option, name, "--force", "--perplexity", "5", "--quiet"]
    assert mapped(*args) == 0  # all modules are loaded, and caches are written
    Path(name).write_text("mine")
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
        said = error_of(capsys, *args)
    assert f"{name}: File too large; free space or choose another place" in said
    assert Path(name).read_text() == "mine"


@posix
@pytest.mark.parametrize("limit", [LIMIT, 3_000, 100_000])
@pytest.mark.parametrize("kind", ["h5", "zarr", "npy", "csv", "parquet"])
def test_parts_are_joined_on_a_full_disk(here, kind, limit):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("dask")
    pytest.importorskip({"h5": "h5py"}.get(kind, "zarr"))
    from fasttsne.cli.large_parts import join

    Y = np.random.default_rng(0).normal(size=(2, 50_000)).astype(np.float32)
    part = pa.table({"tsne0": Y[0], "tsne1": Y[1], "name": list(map(str, range(50_000)))})
    path = Path(f"map.{kind}")
    with full_disk_on_call(limit) as fill:
        fill()
        with pytest.raises(OSError, match=f"File too large: '{path}'"):
            join(path, lambda: iter([part, part]), (100_000, 2))
    assert os.listdir() == []


@posix
@pytest.mark.parametrize("more", [-100, 100, 3_000])
def test_a_copy_of_anndata_on_a_full_disk(here, more):
    anndata = pytest.importorskip("anndata")
    n_rows = 10_000
    anndata.AnnData(np.ones((n_rows, 2), dtype=np.float32)).write_h5ad("x.h5ad")
    path = Path("map.h5ad")
    with full_disk_on_call(os.path.getsize("x.h5ad") + more) as fill:
        fill()
        with pytest.raises(OSError, match=f"File too large: '{path}'"):
            write.write_map(path, np.ones((n_rows, 2), dtype=np.float32), {}, Path("x.h5ad"))
    assert os.listdir() == ["x.h5ad"]


def test_a_checkpoint_on_a_full_disk_stops_nothing(array, capsys, monkeypatch):
    def save(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "_EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "save", save)
    assert mapped("x.npy", "-o", "map.npy", "--checkpoint", "c") == 0
    assert "no checkpoint written to c: No space left on device" in capsys.readouterr().err
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(array))


@pytest.mark.parametrize("name", ["file", "self", "allow_pickle", "a b", "ü/x", "-o", "Unnamed: 0"])
@pytest.mark.parametrize("kind", ["npz", "csv", "parquet"])
def test_columns_of_any_name_go_along(here, kind, name):
    pd = pytest.importorskip("pandas")
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    frame = table(**{name: [f"row {i}" for i in range(N_ROWS)]})
    assert mapped("x.csv", "-o", f"map.{kind}", f"--keep={name}") == 0
    if kind == "npz":
        with np.load("map.npz") as arrays:
            assert sorted(arrays) == sorted(["embedding", name])
            written = arrays[name].tolist()
    else:
        read = pd.read_csv if kind == "csv" else pd.read_parquet
        written = read(f"map.{kind}")[name].tolist()
    assert written == frame[name].tolist()


def test_a_map_that_cannot_be_written_is_kept_elsewhere(array, capsys, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device", "map.npz")

    monkeypatch.setattr(write, "write_map", fail)
    assert mapped("x.npy", "-o", "map.npz") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "map.npz: No space left on device; free space or choose another place; the coo" in said
    place = said.rpartition(" are in ")[2]
    np.testing.assert_array_equal(np.load(place), expected_map(rows()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "it is no regular file"),
        (lambda path: os.symlink("/dev/zero", path), "it is no regular file"),
        (lambda path: os.symlink(path, path), "Too many levels of symbolic links"),
        (lambda path: os.symlink("gone", path), "it is a link to a file that does not exist"),
    ],
)
def test_what_is_no_file_is_refused(array, capsys, untouched, make, reason):
    def refused(path, *args):
        make(path)
        said = error_of(capsys, *args, "--force")
        assert path in said and reason in said
        os.remove(path)

    for kind in ("csv", "npy", "npz", "parquet", "h5ad"):
        refused(f"odd.{kind}", f"odd.{kind}", "-o", "map.npy")
    to = ["x.npy", "-o", "map.npy"]
    for option, kind in [
        ("--plot", "png"),
        ("--html", "html"),
        ("--report", "json"),
        ("-o", "npy"),
    ]:
        refused(f"odd.{kind}", *to, option, f"odd.{kind}")
    for option in ("--resume", "--checkpoint"):
        refused("odd", *to, option, "odd")
    for module in ("dask", "distributed", "h5py", "zarr"):
        pytest.importorskip(module)
    for option in ("--resume", "--checkpoint"):
        refused("odd", *to, option, "odd", "--landmarks", 20)
    for kind in ("npy", "parquet", "h5", "zarr"):
        refused(f"odd.{kind}", f"odd.{kind}", "-o", "map.npy", "--landmarks", 20)
        refused(f"odd.{kind}", "x.npy", "-o", f"odd.{kind}", "--landmarks", 20)


@pytest.mark.parametrize("source", ["x.parquet", "x.csv"])
@pytest.mark.parametrize("landmarks", [[], ["--landmarks", "35", "--block-rows", "10"]])
def test_pandas_reads_large_integers_beside_gaps(array, source, landmarks):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    if landmarks:
        pytest.importorskip("dask")
        if source == "x.csv":
            pytest.skip("text is not read in blocks")
    ids = pd.array([2**60 + 1 + i for i in range(N_ROWS)], dtype="Int64")
    ids[N_ROWS - 1] = None  # in the last block
    frame = pd.DataFrame({"a": array[:, 0], "b": array[:, 1], "id": ids, "whole": range(N_ROWS)})
    frame.to_parquet("x.parquet")
    frame.to_csv("x.csv", index=False)
    assert mapped(source, "-o", "map.parquet", "--keep", "id,whole", *landmarks) == 0
    written = pd.read_parquet("map.parquet")
    assert written["id"].tolist() == ids.tolist()
    assert written["whole"].dtype == np.int64
