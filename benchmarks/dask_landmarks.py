"""Landmarks and blocks on Dask: how many landmarks are enough, and what they cost.

Three parts, each by itself with ``--part``:

- ``quality``: MNIST's 70,000 x 50 with 2,000 to 70,000 landmarks, drawn either way. Accuracy is the
  share of all points whose 10 nearest on the map vote for their class; recall and trustworthiness
  are those of 2,000 rows against all. Fails if 20,000 landmarks, drawn by density, lose more than
  0.01 of the whole fit's accuracy.
- ``disk``: 5,000,000 x 50 of a mixture, 1 GB generated on disk, with 200,000 landmarks on a cluster
  of two worker processes of one thread each, their memory limited. Fails beyond 15 minutes, or if
  a process takes 2.5 GB at its peak.
- ``workers``: blocks placed by one worker process and by two. Fails if two are not 1.8 times
  faster.

``python benchmarks/dask_landmarks.py`` takes about 7 minutes on two cores.
"""

import json
import re
import sys
import tempfile
import time
import warnings
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import median

import dask
import dask.array as da
import numpy as np
import plots
import report
from data import drawn, load, planes
from distributed import Client, LocalCluster
from runner import output_directory

import fasttsne
from fasttsne.dask import TSNE, quality, transform
from fasttsne.quality import knn_accuracy
from fasttsne.quality import report as judged

PARTS = "quality", "disk", "workers"
SIZES = 2_000, 5_000, 10_000, 20_000, 40_000, 70_000
SELECTIONS = "uniform", "density"
COLORS = {"uniform": ("#0072b2", "o"), "density": ("#d55e00", "s")}

ENOUGH, LOSS = 20_000, 0.01
MINUTES, GIGABYTES = 15, 2.5
TIMES = 1.8
BLOCK_ROWS = 50_000
MEMORY_LIMIT = "2GiB"


# ---- How many are enough -------------------------------------------------------------------------


def measure_quality(args):
    data = load("mnist7000" if args.quick else "mnist")
    X, y = data.X, data.y
    sizes = [size // 10 for size in SIZES] if args.quick else SIZES
    blocks = da.from_array(X, chunks=(2_500, X.shape[1]))
    runs = []
    fasttsne.TSNE(max_iter=250).fit(X[:1000])
    with dask.config.set(scheduler="threads"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "landmarks=.* is no less")
        for selection in SELECTIONS:
            for size in sizes:
                if size == len(X) and selection != "uniform":
                    continue
                model = TSNE(landmarks=size, landmark_selection=selection, random_state=0)
                start = time.perf_counter()
                lazy = model.fit_transform(blocks)
                fitted = time.perf_counter()
                Y = lazy.compute()
                placed = time.perf_counter()
                figures = judged(X, Y, sample=2_000, random_state=0)
                runs.append(
                    {
                        "selection": selection,
                        "landmarks": size,
                        "seconds_of_fit": fitted - start,
                        "seconds_of_placing": placed - fitted,
                        "accuracy": knn_accuracy(Y, y),
                        "recall": figures.neighbor_recall,
                        "trustworthiness": figures.trustworthiness,
                    }
                )
                print(runs[-1], file=sys.stderr)
    return {"data": data.name, "n_samples": len(X), "runs": runs}


def loss_of_enough(found, selection):
    """What a fit of ENOUGH landmarks loses of the whole fit's accuracy."""
    runs = found["runs"]
    whole = next(r["accuracy"] for r in runs if r["landmarks"] == found["n_samples"])
    enough = ENOUGH * found["n_samples"] // 70_000
    of = {r["landmarks"]: r["accuracy"] for r in runs if r["selection"] == selection}
    return whole - of[enough]


def write_quality(found, directory):
    rows = [
        [
            f"{r['landmarks']:,}",
            r["selection"] if r["landmarks"] < found["n_samples"] else "all",
            f"{r['accuracy']:.4f}",
            f"{r['recall']:.4f}",
            f"{r['trustworthiness']:.4f}",
            report.number(r["seconds_of_fit"]),
            report.number(r["seconds_of_placing"]),
        ]
        for r in found["runs"]
    ]
    header = ["landmarks", "drawn", "accuracy", "recall", "trustworthiness", "s of fit", "placing"]
    draw(found, directory / "dask_landmarks.png")
    return [
        f"## Quality, {found['n_samples']:,} rows of {found['data']}",
        report.table(header, rows),
        f"With {ENOUGH:,} landmarks accuracy is below that of the whole fit by"
        f" {loss_of_enough(found, 'uniform'):.4f} where they are drawn uniformly, by"
        f" {loss_of_enough(found, 'density'):.4f} where by density.",
    ]


def draw(found, path):
    """Accuracy, recall and seconds against the number of landmarks."""
    runs, n_samples = found["runs"], found["n_samples"]
    whole = next(r for r in runs if r["landmarks"] == n_samples)
    figure, axes = plots.panels(
        2,
        "How many landmarks are enough",
        f"{n_samples:,} digits of MNIST, 50 principal components: some are fitted, all others"
        " placed among them. Dashed: all are fitted.",
        width=3.5,
        height=3.3,
        room=0.8,
        left=0.5,
    )
    panels = zip(
        axes,
        ("accuracy", "recall"),
        ("the 10 nearest tell the digit", "the 10 nearest are the same"),
        strict=True,
    )
    for ax, key, heading in panels:
        plots.heading(ax, heading)
        ax.axhline(whole[key], color="#777777", linestyle="--", linewidth=1)
        ends = {}
        for selection, (color, mark) in COLORS.items():
            curve = [r for r in runs if r["selection"] == selection and r is not whole]
            curve.append(whole)
            x, y = ([r[k] for r in curve] for k in ("landmarks", key))
            ax.plot(x, y, color=color, marker=mark, markersize=5, linewidth=1.6)
            ends[selection] = x[-2], y[-2], color
        low, high = min(r["landmarks"] for r in runs), n_samples
        plots.logarithmic(ax.xaxis, low * 0.85, high * 1.15)
        if key == "recall":
            ax.set_ylim(bottom=0)
        plots.name_lines(ax, ends)
        ax.set_xlabel("landmarks", size=9, color=plots.INK)
    plots.save(figure, path)


# ---- From disk -----------------------------------------------------------------------------------


def generate(path, n_samples, seed=0):
    """A mixture on disk, a part at a time; its classes are returned."""
    rng = np.random.RandomState(seed)
    shape = planes(rng)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (n_samples, 50))
    classes = np.empty(n_samples, dtype=np.int8)
    for start in range(0, n_samples, 250_000):
        rows = slice(start, min(start + 250_000, n_samples))
        out[rows], classes[rows] = drawn(rows.stop - start, rng, *shape)
    out.flush()
    return classes


def read(path, block_info=None):
    """One block of a file of NumPy's."""
    start, stop = block_info[None]["array-location"][0]
    return np.array(np.load(path, mmap_mode="r")[start:stop])


def on_disk(path, rows=BLOCK_ROWS):
    """The file as a lazy array."""
    shape, n_rows = np.load(path, mmap_mode="r").shape, rows
    chunks = da.core.normalize_chunks((n_rows, shape[1]), shape)
    return da.map_blocks(
        read, str(path), chunks=chunks, dtype=np.float32, meta=np.empty((0, 0), "f4")
    )


def cluster_of(n_workers):
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        memory_limit=MEMORY_LIMIT,
        dashboard_address=":0",
    )


def peak(pid="self"):
    """Most resident memory that a process has had, in GB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e9


def own_peak(dask_worker):
    return peak()


def measure_disk(args):
    n_samples = 200_000 if args.quick else args.rows
    n_landmarks = 20_000 if args.quick else args.landmarks
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        path = Path(scratch) / "X.npy"
        classes = generate(path, n_samples)
        with cluster_of(2) as cluster, Client(cluster) as client:
            client.wait_for_workers(2)
            X = on_disk(path)
            start = time.perf_counter()
            model = TSNE(landmarks=n_landmarks, random_state=0, verbose=1)
            lazy = model.fit_transform(X)
            fitted = time.perf_counter()
            Y = lazy.compute()
            placed = time.perf_counter()
            peaks = {"client": peak()}
            found = client.run(own_peak)
            peaks |= {f"worker {i}": value for i, value in enumerate(found.values())}
            del lazy
            begin = time.perf_counter()
            figures = quality(X, Y, classes, sample=args.sample, random_state=0)
            took = time.perf_counter() - begin
            later = {"client": peak()}
            found = client.run(own_peak)
            later |= {f"worker {i}": value for i, value in enumerate(found.values())}
    return {
        "n_samples": n_samples,
        "n_landmarks": n_landmarks,
        "bytes": n_samples * 200,
        "seconds_of_fit": fitted - start,
        "seconds_of_placing": placed - fitted,
        "peak_gb": peaks,
        "peak_gb_with_quality": later,
        "quality": figures.to_dict(),
        "seconds_of_quality": took,
    }


def write_disk(found, directory):
    total = found["seconds_of_fit"] + found["seconds_of_placing"]
    peaks = ", ".join(f"{name} {value:.2f}" for name, value in found["peak_gb"].items())
    later = ", ".join(
        f"{name} {value:.2f}" for name, value in found["peak_gb_with_quality"].items()
    )
    q = found["quality"]
    rows = [
        ["landmarks drawn and fitted, s", report.number(found["seconds_of_fit"])],
        ["the others placed, s", report.number(found["seconds_of_placing"])],
        ["together, minutes", f"{total / 60:.1f}"],
        ["peak memory, GB", peaks],
        [f"quality of {q['n_judged']:,} rows, s", report.number(found["seconds_of_quality"])],
        ["peak memory with that, GB", later],
        ["accuracy, recall", f"{q['knn_accuracy']:.4f}, {q['neighbor_recall']:.4f}"],
        [
            "trustworthiness, continuity",
            f"{q['trustworthiness']:.4f}, {q['continuity']:.4f}",
        ],
    ]
    title = (
        f"## {found['n_samples']:,} x 50 from disk, {found['n_landmarks']:,} landmarks, two workers"
    )
    return [title, report.table(["stage", "measured"], rows)]


# ---- One worker and two --------------------------------------------------------------------------


def measure_workers(args):
    n_samples, n_landmarks = (100_000, 10_000) if args.quick else (600_000, 50_000)
    rows = 5_000 if args.quick else 20_000
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        path = Path(scratch) / "X.npy"
        generate(path, n_samples)
        model = TSNE(landmarks=n_landmarks, random_state=0)
        with dask.config.set(scheduler="threads"):
            model.fit(on_disk(path, rows))
        seconds, same = {}, []
        for n_workers in (1, 2):
            with cluster_of(n_workers) as cluster, Client(cluster) as client:
                client.wait_for_workers(n_workers)
                lazy = transform(model, on_disk(path, rows))
                lazy[: 4 * rows].compute()  # imports, and the model is there
                seconds[n_workers] = []
                for _ in range(args.repeats):
                    start = time.perf_counter()
                    Y = lazy.compute()
                    seconds[n_workers].append(time.perf_counter() - start)
                same.append(Y)
    return {
        "n_samples": n_samples,
        "n_landmarks": n_landmarks,
        "block_rows": rows,
        "seconds": {str(n): values for n, values in seconds.items()},
        "same_bits": bool(np.array_equal(*same)),
    }


def gain(found):
    return median(found["seconds"]["1"]) / median(found["seconds"]["2"])


def write_workers(found, directory):
    rows = [[n, report.spread(values)] for n, values in found["seconds"].items()]
    return [
        f"## {found['n_samples']:,} x 50 placed among {found['n_landmarks']:,}, blocks of"
        f" {found['block_rows']:,} rows",
        report.table(["workers", "s"], rows),
        f"Two workers are {gain(found):.2f} times faster than one; their maps are"
        f" {'the same, bit for bit' if found['same_bits'] else 'NOT THE SAME'}.",
    ]


# ---- All parts -----------------------------------------------------------------------------------


def failures(results):
    """What did not come up to what it has to."""
    if "quality" in results and loss_of_enough(results["quality"], "density") > LOSS:
        yield f"{ENOUGH:,} landmarks lose more than {LOSS} of the accuracy"
    if "disk" in results:
        found = results["disk"]
        if found["seconds_of_fit"] + found["seconds_of_placing"] > 60 * MINUTES:
            yield f"from disk it took more than {MINUTES} minutes"
        if max(found["peak_gb"].values()) > GIGABYTES:
            yield f"a process took more than {GIGABYTES} GB"
    if "workers" in results:
        if gain(results["workers"]) < TIMES:
            yield f"two workers are not {TIMES} times faster than one"
        if not results["workers"]["same_bits"]:
            yield "one worker and two draw different maps"


def keep(path, part, found):
    """Put a part into the JSON, with how it came about."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    packages = {name: version(name) for name in ("dask", "distributed")}
    kept[part] = {
        "command": " ".join(["python", "benchmarks/dask_landmarks.py", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": report.machine(),
        "versions": report.versions() | packages,
        "results": found,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main():
    options = report.parser(__doc__)
    options.add_argument("--part", choices=PARTS, action="append", help="(default: all)")
    options.add_argument("--rows", type=int, default=5_000_000, help="of disk (%(default)s)")
    options.add_argument("--landmarks", type=int, default=200_000, help="of disk (%(default)s)")
    options.add_argument("--sample", type=int, default=200, help="rows judged (%(default)s)")
    options.add_argument("--repeats", type=int, default=3, help="of workers (%(default)s)")
    options.add_argument("--scratch", help="directory for 1 GB of data (default: the system's)")
    options.add_argument("--report", action="store_true", help="only the tables, no runs")
    options.add_argument("--quick", action="store_true", help="a minute's trial on small data")
    options.add_argument("--output", type=Path, help="directory (default: benchmarks/results)")
    args = options.parse_args()
    directory = output_directory(args)
    path = directory / "dask_landmarks.json"
    for part in [] if args.report else args.part or PARTS:
        keep(path, part, globals()[f"measure_{part}"](args))
    kept = json.loads(path.read_text(encoding="utf-8"))
    texts = ["# Landmarks and blocks on Dask"]
    for part in PARTS:
        if part in kept:
            texts += globals()[f"write_{part}"](kept[part]["results"], directory)
            packages = "; ".join(f"{n} {v}" for n, v in kept[part]["versions"].items() if v)
            texts.append(
                f"Machine: {report.machine_name(kept[part]['machine'])}. Versions: {packages}."
                f" Measured {kept[part]['date']} by `{kept[part]['command']}`."
            )
    report.publish(directory, "dask_landmarks", "\n\n".join(texts))
    if args.quick:
        return 0
    failed = list(failures({part: entry["results"] for part, entry in kept.items()}))
    for failure in failed:
        print("FAILED:", failure, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
