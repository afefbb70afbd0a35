"""New points on a fitted map: seconds and accuracy, beside openTSNE's transform.

The first so many samples (of MNIST 60,000, on 50 principal components fitted on them) are fitted,
the rest is placed. Accuracy is the share of new points whose class is that of the majority of their
10 nearest training points on the map; beside it, that of the 10 nearest in the data. `first` is the
first call, which prepares the search among the training samples, and `again` one after it. How
near a training sample lands to its own place is measured on samples moved by a millionth of the
data's extent, as an unmoved one is there already; in per cent of the map's extent, the root mean
square distance from its centre.

Each run is a process of its own. ``python benchmarks/transform.py`` takes about 5 minutes, nearly
all of it openTSNE's fit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import report
from data import load
from runner import THREAD_VARIABLES, Store, output_directory
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from systems import resident, versions

SYSTEMS = "fasttsne", "openTSNE"
PERPLEXITIES = 3.0, 5.0, 15.0, 30.0  # beside the default
NEAR = 5_000  # training samples that are placed again
SINGLES = 500  # new points that are placed one by one


def split(name, n_train):
    """Training and new samples, and their classes; MNIST's axes are those of the former."""
    data = load("mnist_raw" if name == "mnist" else name)
    train, new = data.X[:n_train].astype(np.float32), data.X[n_train:].astype(np.float32)
    if name == "mnist":
        axes = PCA(50, random_state=0).fit(train / 255)
        train, new = axes.transform(train / 255), axes.transform(new / 255)
    as_given = [np.ascontiguousarray(part, dtype=np.float32) for part in (train, new)]
    return *as_given, np.asarray(data.y[:n_train], int), np.asarray(data.y[n_train:], int)


def accuracy(points, classes, new, expected):
    """Share of new points whose 10 nearest vote for their class, ties for the lesser label."""
    nearest = NearestNeighbors(n_neighbors=10).fit(points).kneighbors(new, return_distance=False)
    votes = np.stack([(classes[nearest] == c).sum(axis=1) for c in range(classes.max() + 1)])
    return float(np.mean(votes.argmax(axis=0) == expected))


def timed(function, *args, **kwargs):
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


def child(spec):
    """All figures of one system."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["threads"]])
    with np.load(spec["data"]) as file:
        train, new, classes, expected = (file[key] for key in ("train", "new", "y", "expected"))
    figures = {"load_at_start": os.getloadavg()[0]}
    noise = np.random.RandomState(0).uniform(size=(300, 10)).astype(np.float32)
    if spec["system"] == "fasttsne":
        from fasttsne import TSNE

        TSNE(max_iter=250).fit(noise).transform(noise + 1)
        tsne, figures["fit"] = timed(TSNE(random_state=0, n_jobs=spec["threads"]).fit, train)
        embedding, before = tsne.embedding_, resident(peak=False)
        placed, figures["first"] = timed(tsne.transform, new)
        again = [timed(tsne.transform, new) for _ in range(spec["repeats"])]
        figures["kept_mb"] = resident(peak=False) - before
        some = new[:SINGLES]
        singles, seconds = timed(
            lambda: [tsne.transform(some[i : i + 1]) for i in range(len(some))]
        )
        figures["milliseconds_of_one"] = 1e3 * seconds / len(some)
        figures["one_by_one_equals_batch"] = bool(
            np.array_equal(np.vstack(singles), placed[:SINGLES])
        )
        rows = np.linspace(0, len(train) - 1, min(NEAR, len(train)), dtype=int)
        moved = train[rows] + np.float32(1e-6 * np.ptp(train))
        gaps = np.linalg.norm(tsne.transform(moved) - embedding[rows], axis=1)
        extent = np.sqrt(np.square(embedding - embedding.mean(axis=0)).sum(axis=1).mean())
        figures["near"] = [100 * float(q / extent) for q in np.quantile(gaps, [0.5, 0.9, 0.99])]
        figures["by_perplexity"] = {
            str(p): accuracy(embedding, classes, tsne.transform(new, perplexity=p), expected)
            for p in PERPLEXITIES
        }
    else:
        from openTSNE import TSNE

        warm = TSNE(n_iter=10, early_exaggeration_iter=10).fit(noise)
        warm.transform(noise[:20])
        tsne = TSNE(random_state=0, n_jobs=spec["threads"])
        tsne, figures["fit"] = timed(tsne.fit, train)
        placed, figures["first"] = timed(tsne.transform, new)
        # Its transform centres map and new points together, and so moves the map.
        embedding, placed = np.array(tsne), np.array(placed)
        again = [timed(tsne.transform, new) for _ in range(spec["repeats"])]
    figures["again"] = min(seconds for _, seconds in again)
    figures["accuracy"] = accuracy(embedding, classes, np.asarray(placed), expected)
    figures["accuracy_in_data"] = accuracy(train, classes, new, expected)
    Path(spec["figures"]).write_text(json.dumps(figures), encoding="utf-8")


def run(store, slot, directory, data):
    figures = Path(directory) / "figures.json"
    spec = slot | {"data": str(data), "figures": str(figures)}
    print(f"{slot['data']}, {slot['system']} ...", file=sys.stderr)
    subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(spec)],
        check=True,
        env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(slot["threads"])),
    )
    store.add(slot, versions(slot["system"]), json.loads(figures.read_text(encoding="utf-8")))


def write(runs, directory):
    rows = [
        [
            f"{r['slot']['data']}, {r['slot']['train']:,} + {r['slot']['new']:,}",
            r["slot"]["system"],
            report.number(r["fit"]),
            report.number(r["first"]),
            report.number(r["again"]),
            f"{r['accuracy']:.4f}",
            f"{r['accuracy_in_data']:.4f}",
        ]
        for r in runs
    ]
    header = ["samples", "system", "s of fit", "first", "again", "accuracy", "in the data"]
    parts = ["# New points", report.circumstances(runs), report.table(header, rows)]
    for r in runs:
        if "near" not in r:
            continue
        near = ", ".join(f"{q} {value:.2f} %" for q, value in
                         zip(("median", "nine in ten within", "99 in 100 within"), r["near"],
                             strict=True))  # fmt: skip
        accuracies = ", ".join(f"{v:.4f} at {p}" for p, v in r["by_perplexity"].items())
        parts.append(
            f"{r['slot']['data']}, fasttsne: one by one "
            f"{'equals' if r['one_by_one_equals_batch'] else 'DIFFERS FROM'} the batch, "
            f"{report.number(r['milliseconds_of_one'])} ms each; memory kept "
            f"{r['kept_mb']:.0f} MB. Accuracy by perplexity: {accuracies}. Training samples moved "
            f"by a millionth land away from their own place by, of the map's extent: {near}."
        )
    report.publish(directory, "transform", "\n\n".join(parts))


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(json.loads(sys.argv[2]))
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", default="mnist", help="names that data.py knows, by commas")
    options.add_argument("--train", type=int, help="training samples (default: six in seven)")
    options.add_argument("--systems", default=",".join(SYSTEMS), help="(default: %(default)s)")
    options.add_argument("--threads", type=int, default=report.cores(), help="default: all cores")
    options.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    options.add_argument("--report", action="store_true", help="only the table, no runs")
    options.add_argument("--quick", action="store_true", help="a minute's trial on small data")
    options.add_argument("--output", type=Path, help="directory (default: benchmarks/results)")
    args = options.parse_args()
    if args.quick:
        args.data, args.repeats = "digits", 1
    directory = output_directory(args)
    store = Store(directory / "transform.json")
    with tempfile.TemporaryDirectory() as scratch:
        for name in [] if args.report else args.data.split(","):
            n_samples = len(load("mnist_raw" if name == "mnist" else name).X)
            n_train = args.train or n_samples * 6 // 7
            train, new, y, expected = split(name, n_train)
            data = Path(scratch) / "data.npz"
            np.savez(data, train=train, new=new, y=y, expected=expected)
            for system in args.systems.split(","):
                slot = {"data": name, "system": system, "train": len(train), "new": len(new),
                        "threads": args.threads, "repeats": args.repeats}  # fmt: skip
                run(store, slot, scratch, data)
    runs = store.reported()
    if not runs:
        print("nothing measured", file=sys.stderr)
        return 1
    write(runs, directory)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
