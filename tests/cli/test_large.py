"""cli/large.py: maps of more rows than fit in memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import error_of
from large_files import (
    INPUTS,
    LABELLED,
    N_ROWS,
    SETTINGS,
    SHAPING,
    dask,
    distributed,
    h5py,
    pa,
    pd,
    pq,
    run,
    table,
    zarr,
)
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

import fasttsne
from fasttsne.cli import large

# ---- the map ------------------------------------------------------------------------------------


def expected_map(X, **options):
    from fasttsne.dask import TSNE

    shaping = {"landmarks": 150, "perplexity": 8, "max_iter": 250, "random_state": 3}
    model = TSNE(**{**shaping, **options})
    with dask.config.set(scheduler="synchronous"):
        return model.fit_transform(dask.array.from_array(X, chunks=(400, -1))).compute()


@pytest.mark.parametrize(("name", "settings"), INPUTS)
def test_the_map_is_that_of_the_library_for_any_blocks(inputs, data, name, settings):
    label = ["--label", "class"] if settings else []
    expected = expected_map(data[0])
    for block_rows in [100, 400]:
        wanted = [*SHAPING, "--block-rows", block_rows, *label, "--force"]
        assert run(name, "-o", "map.npy", *wanted) == 0
        assert_array_equal(np.load("map.npy"), expected)
    assert not Path("map.npy.checkpoint").exists()


def test_landmarks_by_density_of_standardized_columns(inputs, data):
    wanted = ["--landmark-selection", "density", "--standardize", "--block-rows", 100]
    assert run("x.npy", "-o", "map.npy", *SHAPING, *wanted) == 0
    X = StandardScaler().fit_transform(data[0])
    expected = expected_map(X, landmark_selection="density")
    # Means of blocks round otherwise than those of all rows, which iterations amplify.
    assert np.median(np.abs(np.load("map.npy") - expected)) < 0.05 * np.ptp(expected)
    other = expected_map(data[0], landmark_selection="density")
    assert np.median(np.abs(other - expected)) > 0.1 * np.ptp(expected)


def test_no_more_rows_than_landmarks_is_a_plain_fit(inputs, capsys):
    options = ["--perplexity", 8, "--max-iter", 250, "--random-state", 3]
    assert run("x.npy", "-o", "map.npy", "--landmarks", 5000, *options) == 0
    assert "all 900 rows are landmarks: there are no more" in capsys.readouterr().err
    assert run("x.npy", "-o", "plain.npy", *options) == 0
    assert Path("map.npy").read_bytes() == Path("plain.npy").read_bytes()


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        *(("x.parquet", kind) for kind in ("parquet", "npy", "zarr", "h5", "csv", "tsv", "d/")),
        *(("x.h5", kind) for kind in ("parquet", "zarr", "h5", "csv", "d/")),
    ],
)
def test_every_kind_is_written_with_its_columns(inputs, data, source, kind):
    X, classes, names = data
    target = f"map.{kind}"
    # Parquet's label is a column of integers with nothing missing, and its names have gaps.
    assert run(source, "-o", target, *SETTINGS, "--label", "class", "--keep", "name") == 0
    expected = expected_map(X)
    if kind == "npy":
        assert_array_equal(np.load(target), expected)
        return
    if kind in ("zarr", "h5"):
        file = zarr.open(target, mode="r") if kind == "zarr" else h5py.File(target)
        assert_array_equal(file["embedding"][:], expected)
        assert file["class"].dtype.kind == "i"
        frame = pd.DataFrame({name: file[name][:] for name in ("class", "name")})
        frame["name"] = [n.decode() if isinstance(n, bytes) else n for n in frame["name"]]
    else:
        if kind == "parquet":
            assert pq.ParquetFile(target).num_row_groups == 9
        if kind == "d/":
            assert sorted(os.listdir(target)) == [f"part-{k:06d}.parquet" for k in range(9)]
        separator = "\t" if kind == "tsv" else ","
        is_text = kind in ("csv", "tsv")
        frame = pd.read_csv(target, sep=separator) if is_text else pd.read_parquet(target)
        assert frame.columns.tolist() == ["tsne0", "tsne1", "class", "name"]
        np.testing.assert_allclose(frame.iloc[:, :2], expected, rtol=1e-5, atol=1e-5)
    assert frame["class"].tolist() == classes.tolist()
    assert frame["name"].fillna("").tolist() == [n or "" for n in names]


def test_gaps_in_numbers_are_nan_in_arrays_and_empty_in_text(here, data):
    numbers = pa.array([None if i == 850 else i for i in range(N_ROWS)], pa.int32())
    flags = pa.array([None if i == 3 else i > 9 for i in range(N_ROWS)])
    ids = pa.array(123456780.5 + np.arange(N_ROWS))
    more = {"n": numbers, "flag": flags, "all": pa.array(range(N_ROWS)), "id": ids}
    whole = table(data)
    for name, values in more.items():
        whole = whole.append_column(name, values)
    pq.write_table(whole, "x.parquet")
    wanted = [*SETTINGS, "--keep", "n,flag,all,id", "--drop", "class"]
    assert run("x.parquet", "-o", "map.h5", *wanted) == 0
    with h5py.File("map.h5") as file:
        assert file["all"].dtype.kind == "i"
        assert np.flatnonzero(np.isnan(file["n"][:])).tolist() == [850]
        assert file["n"][849] == 849
        assert np.isnan(file["flag"][3]) and file["flag"][10] == 1
    assert run("x.parquet", "-o", "map.csv", *wanted) == 0
    lines = Path("map.csv").read_text().splitlines()  # all digits of what goes along
    assert lines[850].endswith(",849,True,849,123457629.5")
    assert lines[851].endswith(",,True,850,123457630.5")


def test_picture_page_of_some_rows_and_report(inputs, data, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    shown, html = [], fasttsne.plot.html
    monkeypatch.setattr(large, "_ON_PAGE", 200)
    monkeypatch.setattr(
        "fasttsne.plot.html", lambda *args, **kwargs: shown.append(args) or html(*args, **kwargs)
    )
    wanted = ["--keep", "name", "--plot", "a.png", "--html", "a.html", "--report", "a.json"]
    assert run(*LABELLED, "-o", "map.npy", *wanted) == 0
    assert Path("a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "page of 200 rows: a.html" in capsys.readouterr().err
    assert "zeile" in Path("a.html").read_text(encoding="utf-8")
    (Y, labels, _), all_places = shown[0], np.load("map.npy")
    rows = [int(np.flatnonzero((all_places == y).all(axis=1))[0]) for y in Y]
    assert rows == sorted(rows) and len(set(rows)) == 200 and max(rows) > 700
    assert_array_equal(labels, data[1][rows])
    report = json.loads(Path("a.json").read_text())
    theirs = fasttsne.quality.report(data[0], all_places, data[1])
    for name in ("trustworthiness", "neighbor_recall", "knn_accuracy"):
        assert report[name] == pytest.approx(getattr(theirs, name))


def test_a_terminal_has_a_bar_and_quiet_prints_nothing(inputs, capsys, monkeypatch):
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--quiet") == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("x.npy", "-o", "map.npy", *SETTINGS, "--force") == 0
    bars = [part for part in capsys.readouterr().err.split("\r") if "[" in part]
    assert any("drawing landmarks" in bar for bar in bars)
    assert any("100 of 900 rows, " in bar and " left" in bar for bar in bars)
    assert any("[########################] 900 of 900 rows" in bar for bar in bars)


# ---- a cluster ----------------------------------------------------------------------------------


@pytest.mark.nosan
def test_workers_of_a_cluster_place_the_same(whole, inputs, capsys):
    wanted = [*LABELLED, "-o", "map.parquet"]
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
            patch.setattr("fasttsne.cli.large.__version__", "0.0")
            said = error_of(capsys, *wanted, "--dask", address, "--force")
        assert "must have fasttsne 0.0 and see " in said and "; it answers (" in said
        cluster.scale(0)
        while cluster.scheduler.workers:
            time.sleep(0.05)
        said = error_of(capsys, *wanted, "--dask", address, "--force")
        assert "it has no workers; 'dask worker" in said


@pytest.mark.nosan
def test_a_worker_of_too_little_memory_is_refused_before_work(inputs, capsys, unread):
    options = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(memory_limit="100MiB", **options) as cluster:
        address = cluster.scheduler_address
        said = error_of(capsys, "x.npy", "-o", "map.npy", *SETTINGS, "--dask", address)
    assert "has a memory limit of 100 MiB, but needs about" in said
    assert "shorter blocks (--block-rows)" in said


# ---- memory -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.nosan
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_memory_does_not_grow_with_the_file(here, kind):
    peak = (
        "import sys; from fasttsne import cli; status = cli.main(sys.argv[1:])\n"
        "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))\n"
        "sys.exit(status)"
    )
    peaks = []
    for n_rows in (100_000, 400_000):  # 40 and 160 MB
        X = np.random.default_rng(0).normal(size=(n_rows, 100)).astype(np.float32)
        if kind == "npy":
            np.save("x.npy", X)
        else:
            columns = {f"x{i}": np.ascontiguousarray(X[:, i]) for i in range(100)}
            # One row group; a page of each column is in memory at a time, however long.
            pages = {"data_page_size": 1 << 16, "use_dictionary": False}
            pq.write_table(pa.table(columns), "x.parquet", row_group_size=n_rows, **pages)
            del columns
        del X
        options = ["--landmarks", "1000", "--max-iter", "250", "--block-rows", "20000"]
        wanted = ["map", f"x.{kind}", "-o", "map.npy", *options, "--force", "--quiet"]
        out = subprocess.run([sys.executable, "-c", peak, *wanted], stdout=-1, check=True)
        peaks.append(int(out.stdout) / 1e3)  # MB
    assert peaks[1] - peaks[0] < 30
