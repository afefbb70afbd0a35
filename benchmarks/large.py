"""Data beyond memory: landmarks and blocks on Dask, and maps from file to file.

- ``dask_landmarks``: MNIST's 70,000 x 50 with 2,000 to 70,000 landmarks, drawn both ways, a
  minute. Accuracy is the share of all points whose class wins among their 10 nearest on the map;
  recall and trustworthiness are of 2,000 rows against all. Fails if 20,000 landmarks drawn by
  density lose more than 0.01 of the accuracy of the whole fit.
- ``dask_disk``: 5,000,000 x 50 of a mixture, 1 GB on disk, with 200,000 landmarks on two worker
  processes of one thread and limited memory, four minutes. Fails beyond 15 minutes, or if a process
  takes 2.5 GB at its peak.
- ``dask_workers``: blocks placed by one worker process and by two, two minutes. Fails if two are
  not 1.8 times faster, or if their maps differ.
- ``big_files``: ``fasttsne map --landmarks`` of 200 columns in single precision, from files of 200
  MB and of 800 MB, as Parquet and as ``.npy``, three minutes and 1 GB of disk. The peak is resident
  memory with imports. Fails if the larger file takes a tenth more memory, or if a run that is
  killed among its blocks and resumed writes other bytes than an uninterrupted run.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import dask
import dask.array as da
import numpy as np
from data import drawn, load, planes
from distributed import Client, LocalCluster
from runner import Benchmark, fresh, grouped, main, number, spread, table, timed
from systems import versions

import fasttsne
from fasttsne.dask import TSNE, quality, transform
from fasttsne.quality import knn_accuracy
from fasttsne.quality import report as judged

SELECTIONS = {"uniform": ("#0072b2", "o"), "density": ("#d55e00", "s")}
ENOUGH, LOSS = 20_000, 0.01
MINUTES, GIGABYTES = 15, 2.5
TIMES = 1.8
BLOCK_ROWS = 50_000
JUDGED = 200  # rows
N_FEATURES, N_CLASSES = 200, 20  # of the files
ALLOWED = 1.10  # peak of the largest file over that of the smallest


# ---- How many landmarks are enough ---------------------------------------------------------------


def measure_landmarks(store, args):
    data, found = load(args.data), dask_versions()
    blocks = da.from_array(data.X, chunks=(2_500, data.X.shape[1]))
    fasttsne.TSNE(max_iter=250).fit(data.X[:1000])
    for selection in SELECTIONS:
        for size in map(int, args.sizes.split(",")):
            slot = {"data": args.data, "selection": selection, "landmarks": size}
            whole = size == len(data.X)
            if not store.needs(slot, found) or (whole and selection != "uniform"):
                continue
            with dask.config.set(scheduler="threads"), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "landmarks=.* is no less")
                model = TSNE(landmarks=size, landmark_selection=selection, random_state=0)
                lazy, seconds_of_fit = timed(model.fit_transform, blocks)
                Y, seconds_of_placing = timed(lazy.compute)
            report = judged(data.X, Y, sample=2_000, random_state=0)
            figures = {
                "n_samples": len(data.X),
                "seconds_of_fit": seconds_of_fit,
                "seconds_of_placing": seconds_of_placing,
                "accuracy": knn_accuracy(Y, data.y),
                "recall": report.neighbor_recall,
                "trustworthiness": report.trustworthiness,
            }
            store.add(slot, found, figures)


def dask_versions():
    return versions("fasttsne", "dask", "distributed")


def whole_fit(runs):
    return next(run for run in runs if run["slot"]["landmarks"] == run["n_samples"])


def loss_of_enough(runs, selection):
    """Return what a fit of ENOUGH landmarks loses of the accuracy of the whole fit."""
    group = grouped(runs, "selection", "landmarks").get((selection, ENOUGH))
    return whole_fit(runs)["accuracy"] - group[0]["accuracy"] if group else np.nan


def write_landmarks(runs, args):
    rows, whole = [], whole_fit(runs)
    for run in runs:
        rows.append([f"{run['slot']['landmarks']:,}"])
        rows[-1].append("all" if run is whole else run["slot"]["selection"])
        rows[-1] += [f"{run[key]:.4f}" for key in ("accuracy", "recall", "trustworthiness")]
        rows[-1] += [number(run["seconds_of_fit"]), number(run["seconds_of_placing"])]
    header = ["landmarks", "drawn", "accuracy", "recall", "trustworthiness", "s of fit", "placing"]
    draw_landmarks(runs, whole, args.output / "dask_landmarks.png")
    return [
        f"# Landmarks of {whole['n_samples']:,} rows of {whole['slot']['data']}",
        table(header, rows),
        f"With {ENOUGH:,} landmarks accuracy is below that of the whole fit by"
        f" {loss_of_enough(runs, 'uniform'):.4f} where they are drawn uniformly, by"
        f" {loss_of_enough(runs, 'density'):.4f} where by density.",
    ]


def landmarks_failures(runs):
    if not loss_of_enough(runs, "density") <= LOSS:
        yield f"{ENOUGH:,} landmarks lose more than {LOSS} of the accuracy"


def draw_landmarks(runs, whole, path):
    """Draw accuracy and recall against the number of landmarks."""
    import plots

    figure, axes = plots.panels(
        2,
        "How many landmarks are enough",
        f"{whole['n_samples']:,} digits of MNIST, 50 principal components: some are fitted, all"
        " others placed among them. Dashed: all are fitted.",
        width=4.2,
        height=3.3,
    )
    for ax, key, words in (
        (axes[0], "accuracy", "majority of the 10 nearest is right"),
        (axes[1], "recall", "the 10 nearest are the same"),
    ):
        ax.axhline(whole[key], color="#777777", linestyle="--", linewidth=1)
        curves = []
        for selection, (color, marker) in SELECTIONS.items():
            curve = [r for r in runs if r["slot"]["selection"] == selection and r is not whole]
            x, y = [run["slot"]["landmarks"] for run in curve], [run[key] for run in curve]
            curves.append((selection, x, y, {"color": color, "marker": marker}))
        plots.lines(ax, words, curves, "landmarks", margins=(1.15, None))
    axes[1].set_ylim(bottom=0)
    plots.save(figure, path)


# ---- From disk -----------------------------------------------------------------------------------


def write_mixture(path, n_samples, n_features=50, n_classes=50):
    """Write a mixture to a .npy or Parquet file, a part at a time; return its classes."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    rng, path, writer = np.random.RandomState(0), Path(path), None
    shape = planes(rng, n_features, n_classes)
    classes = np.empty(n_samples, dtype=np.int8)
    if path.suffix == ".npy":
        target = np.lib.format.open_memmap(path, "w+", np.float32, (n_samples, n_features))
    height = 250_000 if path.suffix == ".npy" else 1 << 20  # row groups of pyarrow's default
    for start in range(0, n_samples, height):
        rows = slice(start, min(start + height, n_samples))
        X, classes[rows] = drawn(rows.stop - start, rng, *shape)
        if path.suffix == ".npy":
            target[rows] = X
            continue
        columns = {f"x{i}": np.ascontiguousarray(X[:, i]) for i in range(n_features)}
        part = pa.table({**columns, "class": classes[rows]})
        writer = writer or ParquetWriter(path, part.schema)
        writer.write_table(part, row_group_size=len(part))
    if writer:
        writer.close()
    return classes


def read(path, block_info=None):
    start, stop = block_info[None]["array-location"][0]
    return np.array(np.load(path, mmap_mode="r")[start:stop])


def on_disk(path, rows=BLOCK_ROWS):
    """Return a file as a lazy array."""
    shape = np.load(path, mmap_mode="r").shape
    chunks = da.core.normalize_chunks((rows, shape[1]), shape)
    meta = np.empty((0, 0), "f4")
    return da.map_blocks(read, str(path), chunks=chunks, dtype=np.float32, meta=meta)


def cluster_of(n_workers):
    return LocalCluster(
        n_workers=n_workers, threads_per_worker=1, memory_limit="2GiB", dashboard_address=":0"
    )


def peak():
    """Return the most resident memory that this process has had, in GB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9


def peaks(client):
    """Return the peaks of this process and of the workers."""
    workers = client.run(peak).values()
    return {"client": peak(), **{f"worker {i}": value for i, value in enumerate(workers)}}


def measure_disk(store, args):
    n_samples, n_landmarks = (200_000, 20_000) if args.quick else (5_000_000, 200_000)
    slot, found = {"n_samples": n_samples, "landmarks": n_landmarks}, dask_versions()
    if not store.needs(slot, found):
        return
    with tempfile.TemporaryDirectory(dir=args.scratch or None) as scratch:
        path = Path(scratch) / "X.npy"
        classes = write_mixture(path, n_samples)
        with cluster_of(2) as cluster, Client(cluster) as client:
            client.wait_for_workers(2)
            X, model = on_disk(path), TSNE(landmarks=n_landmarks, random_state=0, verbose=1)
            lazy, seconds_of_fit = timed(model.fit_transform, X)
            Y, seconds_of_placing = timed(lazy.compute)
            figures = {
                "bytes": n_samples * 200,
                "seconds_of_fit": seconds_of_fit,
                "seconds_of_placing": seconds_of_placing,
                "peak_gb": peaks(client),
            }
            del lazy
            report, seconds = timed(quality, X, Y, classes, sample=JUDGED, random_state=0)
            figures |= {"peak_gb_with_quality": peaks(client), "quality": report.to_dict()}
            store.add(slot, found, figures | {"seconds_of_quality": seconds})


def write_disk(runs, args):
    run = runs[-1]
    slot, q = run["slot"], run["quality"]
    minutes = (run["seconds_of_fit"] + run["seconds_of_placing"]) / 60
    peak_gb, later = (
        ", ".join(f"{name} {value:.2f}" for name, value in run[key].items())
        for key in ("peak_gb", "peak_gb_with_quality")
    )
    rows = [
        ["landmarks drawn and fitted, s", number(run["seconds_of_fit"])],
        ["the others placed, s", number(run["seconds_of_placing"])],
        ["together, minutes", f"{minutes:.1f}"],
        ["peak memory, GB", peak_gb],
        [f"quality of {q['n_judged']:,} rows, s", number(run["seconds_of_quality"])],
        ["peak memory with that, GB", later],
        ["accuracy, recall", f"{q['knn_accuracy']:.4f}, {q['neighbor_recall']:.4f}"],
        ["trustworthiness, continuity", f"{q['trustworthiness']:.4f}, {q['continuity']:.4f}"],
    ]
    what = f"{slot['n_samples']:,} x 50 from disk, {slot['landmarks']:,} landmarks, two workers"
    return [f"# {what}", table(["stage", "measured"], rows)]


def disk_failures(runs):
    run = runs[-1]
    if run["seconds_of_fit"] + run["seconds_of_placing"] > 60 * MINUTES:
        yield f"from disk it took more than {MINUTES} minutes"
    if max(run["peak_gb"].values()) > GIGABYTES:
        yield f"a process took more than {GIGABYTES} GB"


# ---- One worker and two --------------------------------------------------------------------------


def measure_workers(store, args):
    n_samples, n_landmarks, rows = (
        (100_000, 10_000, 5_000) if args.quick else (600_000, 50_000, 20_000)
    )
    slot = {"n_samples": n_samples, "landmarks": n_landmarks, "block_rows": rows}
    if not store.needs(slot | {"workers": 2}, dask_versions()):
        return
    with tempfile.TemporaryDirectory(dir=args.scratch or None) as scratch:
        path, maps = Path(scratch) / "X.npy", []
        write_mixture(path, n_samples)
        model = TSNE(landmarks=n_landmarks, random_state=0)
        with dask.config.set(scheduler="threads"):
            model.fit(on_disk(path, rows))
        for n_workers in (1, 2):
            with cluster_of(n_workers) as cluster, Client(cluster) as client:
                client.wait_for_workers(n_workers)
                lazy = transform(model, on_disk(path, rows))
                lazy[: 4 * rows].compute()  # imports, and the model is sent
                calls = [timed(lazy.compute) for _ in range(args.repeats)]
            maps.append(calls[-1][0])
            same = {} if n_workers == 1 else {"same_bits": bool(np.array_equal(*maps))}
            figures = {"seconds": [seconds for _, seconds in calls]} | same
            store.add(slot | {"workers": n_workers}, dask_versions(), figures)


def by_workers(runs):
    """Return the runs of one worker and of two, and how many times faster two are."""
    one, two = (group[-1] for group in grouped(runs, "workers").values())
    return one, two, median(one["seconds"]) / median(two["seconds"])


def write_workers(runs, args):
    one, two, gain = by_workers(runs)
    slot = two["slot"]
    what = f"{slot['n_samples']:,} x 50 placed among {slot['landmarks']:,}"
    same = "the same, bit for bit" if two["same_bits"] else "NOT THE SAME"
    return [
        f"# {what}, blocks of {slot['block_rows']:,} rows",
        table(["workers", "s"], [[1, spread(one["seconds"])], [2, spread(two["seconds"])]]),
        f"Two workers are {gain:.2f} times faster than one; their maps are {same}.",
    ]


def workers_failures(runs):
    _, two, gain = by_workers(runs)
    if gain < TIMES:
        yield f"two workers are not {TIMES} times faster than one"
    if not two["same_bits"]:
        yield "one worker and two draw different maps"


# ---- From file to file ---------------------------------------------------------------------------


def started(source, target, landmarks):
    """Start a run of the command line."""
    command = [sys.executable, "-m", "fasttsne", "map", str(source), "-o", str(target)]
    command += ["--label", "class"] if source.suffix == ".parquet" else []
    options = ["--landmarks", str(landmarks), "--random-state", "0", "--quiet", "--force"]
    return subprocess.Popen(command + options)


def seconds_and_peak(source, target, landmarks):
    """Return seconds and peak resident memory, in MB, of a run."""
    start = time.perf_counter()
    process = started(source, target, landmarks)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the run of {source} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - start, usage.ru_maxrss * unit / 1e6


def resumed_is_same(source, whole, landmarks):
    """Kill a run among its blocks, resume it, and compare its bytes with a whole run's."""
    target = whole.with_stem("resumed")
    kept = target.with_name(target.name + ".checkpoint")
    process = started(source, target, landmarks)
    while process.poll() is None and len(list(kept.glob("part-*"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise RuntimeError("the run ended before it was killed")
    resume = ["map", str(source), "-o", str(target), "--resume", "--quiet"]
    subprocess.run([sys.executable, "-m", "fasttsne", *resume], check=True)
    return target.read_bytes() == whole.read_bytes()


def measure_files(store, args):
    found = versions("fasttsne", "pyarrow")
    sizes = sorted(map(int, args.megabytes.split(",")))
    for kind in ("npy", "parquet"):
        for size in sizes:
            slot = {"kind": kind, "megabytes": size, "landmarks": args.landmarks}
            if not store.needs(slot, found):
                continue
            with tempfile.TemporaryDirectory(dir=args.scratch or None) as directory:
                n_rows = size * 10**6 // (4 * N_FEATURES)
                source = Path(directory) / f"{size}.{kind}"
                target = Path(directory) / f"map.{kind}"
                # In a new process: wait4 would count the memory for the runs.
                fresh(write_mixture, source, n_rows, N_FEATURES, N_CLASSES)
                seconds, peak_mb = seconds_and_peak(source, target, args.landmarks)
                figures = {"n_samples": n_rows, "seconds": seconds, "peak_mb": peak_mb}
                if size == sizes[0]:
                    same = resumed_is_same(source, target, args.landmarks)
                    figures["resumed_is_same"] = same
                store.add(slot, found, figures)


def write_files(runs, args):
    rows = [
        [
            run["slot"]["kind"],
            f"{run['slot']['megabytes']:,}",
            f"{run['n_samples']:,}",
            f"{run['seconds']:.1f}",
            f"{run['peak_mb']:.0f}",
        ]
        for run in runs
    ]
    same = all(run.get("resumed_is_same", True) for run in runs)
    return [
        "# Maps from file to file",
        table(["file", "MB", "rows", "s", "peak MB"], rows),
        "Killed and resumed: the same bytes." if same else "RESUMED: OTHER BYTES",
    ]


def files_failures(runs):
    for kind, mine in grouped(runs, "kind").items():
        peaks = {run["slot"]["megabytes"]: run["peak_mb"] for run in mine}
        if peaks[max(peaks)] > ALLOWED * peaks[min(peaks)]:
            yield f"{kind}: the larger file takes more than {ALLOWED} times the memory"
        if not all(run.get("resumed_is_same", True) for run in mine):
            yield f"{kind}: a resumed run writes other bytes"


DISK = {"scratch": ""}
BENCHMARKS = {
    "dask_landmarks": Benchmark(
        measure_landmarks,
        write_landmarks,
        {"data": "mnist", "sizes": "2000,5000,10000,20000,40000,70000"},
        {"data": "mixture7000", "sizes": "500,2000,7000"},
        landmarks_failures,
    ),
    "dask_disk": Benchmark(measure_disk, write_disk, DISK, {}, disk_failures),
    "dask_workers": Benchmark(
        measure_workers, write_workers, DISK | {"repeats": 3}, {"repeats": 1}, workers_failures
    ),
    "big_files": Benchmark(
        measure_files,
        write_files,
        DISK | {"megabytes": "200,800", "landmarks": 5_000},
        {"megabytes": "128,256", "landmarks": 1_000},
        files_failures,
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
