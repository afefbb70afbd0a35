"""New samples on a fitted map: seconds and accuracy, beside openTSNE's transform.

Six in seven samples are fitted (of MNIST 60,000, on 50 principal components fitted on them), the
rest is placed. Accuracy is the share of new samples whose class has the majority among their 10
nearest training samples on the map; beside it stands the same in the data. `first` is the first
call, which prepares the search among the training samples, and `again` a later one. An unmoved
training sample gets its own place. So the distance from its place is measured on samples that
moved by a millionth of the data's extent, in per cent of the map's extent, which is the root mean
square distance from the centre.

Each system is a new process. ``python benchmarks/transform.py`` takes five minutes, most of it
openTSNE's fit.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from data import load
from runner import Benchmark, fresh, main, number, table, timed
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from systems import cores, load_average, resident, versions

PERPLEXITIES = 3.0, 5.0, 15.0, 30.0  # beside the default
NEAR = 5_000  # training samples that are placed again
SINGLES = 500  # new samples that are placed one by one


def save_parts(name, path):
    """Save training and new samples and their classes; return their numbers."""
    data = load("mnist_raw" if name == "mnist" else name)
    n_train = len(data.X) * 6 // 7
    train, new = data.X[:n_train].astype(np.float32), data.X[n_train:].astype(np.float32)
    if name == "mnist":
        axes = PCA(50, random_state=0).fit(train / 255)
        train, new = axes.transform(train / 255), axes.transform(new / 255)
    train, new = (np.ascontiguousarray(part, dtype=np.float32) for part in (train, new))
    np.savez(path, train=train, new=new, y=data.y[:n_train], expected=data.y[n_train:])
    return len(train), len(new)


def accuracy(points, classes, new, expected):
    """Return the share of new points whose 10 nearest vote for their class; ties: lesser label."""
    nearest = NearestNeighbors(n_neighbors=10).fit(points).kneighbors(new, return_distance=False)
    votes = np.stack([(classes[nearest] == c).sum(axis=1) for c in range(classes.max() + 1)])
    return float(np.mean(votes.argmax(axis=0) == expected))


def placed_by(system, path, n_threads, repeats):
    """Return all figures of one system."""
    with np.load(path) as file:
        train, new, classes, expected = (file[key] for key in ("train", "new", "y", "expected"))
    figures = {"load_at_start": load_average()}
    noise = np.random.RandomState(0).uniform(size=(300, 10)).astype(np.float32)
    ours = system == "fasttsne"
    if ours:
        from fasttsne import TSNE

        TSNE(max_iter=250).fit(noise).transform(noise + 1)
    else:
        from openTSNE import TSNE

        TSNE(n_iter=10, early_exaggeration_iter=10).fit(noise).transform(noise[:20])
    tsne, figures["fit"] = timed(TSNE(random_state=0, n_jobs=n_threads).fit, train)
    before = resident(peak=False)
    placed, figures["first"] = timed(tsne.transform, new)
    # openTSNE centres map and new samples together, and so moves the map.
    embedding, placed = np.array(tsne.embedding_ if ours else tsne), np.array(placed)
    figures["again"] = min(timed(tsne.transform, new)[1] for _ in range(repeats))
    figures["accuracy"] = accuracy(embedding, classes, placed, expected)
    figures["accuracy_in_data"] = accuracy(train, classes, new, expected)
    if not ours:
        return figures
    figures["kept_mb"] = resident(peak=False) - before
    some = new[:SINGLES]
    singles, seconds = timed(lambda: [tsne.transform(some[i : i + 1]) for i in range(len(some))])
    figures["milliseconds_of_one"] = 1e3 * seconds / len(some)
    figures["one_by_one_equals_batch"] = np.array_equal(np.vstack(singles), placed[:SINGLES])
    rows = np.linspace(0, len(train) - 1, min(NEAR, len(train)), dtype=int)
    moved = train[rows] + np.float32(1e-6 * np.ptp(train))
    gaps = np.linalg.norm(tsne.transform(moved) - embedding[rows], axis=1)
    extent = np.sqrt(np.square(embedding - embedding.mean(axis=0)).sum(axis=1).mean())
    figures["near"] = [100 * float(q / extent) for q in np.quantile(gaps, [0.5, 0.9, 0.99])]
    figures["by_perplexity"] = {
        str(p): accuracy(embedding, classes, tsne.transform(new, perplexity=p), expected)
        for p in PERPLEXITIES
    }
    return figures


def measure(store, args):
    for name in args.data.split(","):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "data.npz"
            n_train, n_new = save_parts(name, path)
            for system in args.systems.split(";"):
                slot = {"data": name, "system": system, "train": n_train, "new": n_new}
                slot |= {"threads": args.threads, "repeats": args.repeats}
                if store.needs(slot, versions(system)):
                    print(f"{name}, {system} ...", file=sys.stderr)
                    spec = (system, path, args.threads, args.repeats)
                    figures = fresh(placed_by, *spec, threads=args.threads)
                    store.add(slot, versions(system), figures)


def write(runs, args):
    rows = [
        [
            f"{run['slot']['data']}, {run['slot']['train']:,} + {run['slot']['new']:,}",
            run["slot"]["system"],
            *(number(run[key]) for key in ("fit", "first", "again")),
            f"{run['accuracy']:.4f}",
            f"{run['accuracy_in_data']:.4f}",
        ]
        for run in runs
    ]
    header = ["samples", "system", "s of fit", "first", "again", "accuracy", "in the data"]
    parts = ["# New points", table(header, rows)]
    for run in (run for run in runs if "near" in run):
        words = ("median", "nine in ten within", "99 in 100 within")
        near = (f"{word} {value:.2f} %" for word, value in zip(words, run["near"], strict=True))
        accuracies = ", ".join(f"{v:.4f} at {p}" for p, v in run["by_perplexity"].items())
        parts.append(
            f"{run['slot']['data']}, fasttsne: one by one "
            f"{'equals' if run['one_by_one_equals_batch'] else 'DIFFERS FROM'} the batch, "
            f"{number(run['milliseconds_of_one'])} ms each; memory kept {run['kept_mb']:.0f} MB. "
            f"Accuracy by perplexity: {accuracies}. Training samples moved by a millionth land "
            f"away from their own place by, of the map's extent: {', '.join(near)}."
        )
    return parts


BENCHMARKS = {
    "transform": Benchmark(
        measure,
        write,
        {"data": "mnist", "systems": "fasttsne;openTSNE", "threads": cores(), "repeats": 3},
        {"data": "digits", "systems": "fasttsne", "repeats": 1},
    )
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
