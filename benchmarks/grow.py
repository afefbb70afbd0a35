"""Maps that grow: a map of a third of the samples, updated by the second and by the last third.

Samples are in random order. After each update: seconds, recall of the nearest 10 of 5,000 samples
on the grown map and on a map of the same samples drawn whole, and how far earlier points moved, on
average, in per cent of the earlier map's radius, the largest and the root mean square distance of a
point from the mean. Fails where the grown map lacks more than 0.01 of the recall or earlier points
moved by more than 5 per cent of the largest distance.

``python benchmarks/grow.py`` takes a minute on MNIST's 70,000 x 50.
"""

import numpy as np
from data import load
from runner import Benchmark, grouped, main, number, table, timed
from systems import versions

LACK, MOVED = 0.01, 5.0
SAMPLE = 5_000


def recall(X, embedding):
    from fasttsne.quality import neighbor_recall

    sample = SAMPLE if len(X) > SAMPLE else None
    return neighbor_recall(X, embedding, n_neighbors=10, sample=sample, random_state=0)


def measure(store, args):
    from fasttsne import TSNE

    found = versions("fasttsne")
    for name in args.data.split(","):
        X = load(name).X
        X = X[np.random.default_rng(0).permutation(len(X))]
        ends = [len(X) * part // 3 for part in (1, 2, 3)]
        slots = [{"data": name, "samples": end, "anchor": args.anchor} for end in ends[1:]]
        if not any(store.needs(slot, found) for slot in slots):
            continue
        tsne = TSNE(random_state=0).fit(X[: ends[0]])
        for begin, end, slot in zip(ends, ends[1:], slots, strict=False):
            before = tsne.embedding_.astype(np.float64)
            _, seconds = timed(tsne.update, X[begin:end], anchor=args.anchor)
            distances = np.linalg.norm(before - before.mean(axis=0), axis=1)
            moved = 100.0 * tsne.displacement_.mean()
            whole, seconds_whole = timed(TSNE(random_state=0).fit_transform, X[:end])
            figures = {
                "seconds": seconds,
                "recall": recall(X[:end], tsne.embedding_),
                "moved": moved / distances.max(),
                "moved_rms": moved / np.sqrt(np.square(distances).mean()),
                "seconds_whole": seconds_whole,
                "recall_whole": recall(X[:end], whole),
            }
            store.add(slot, found, figures)


def write(runs, args):
    parts = ["# Maps that grow"]
    for data, group in grouped(runs, "data").items():
        rows = [
            [f"{run['slot']['samples']:,}", f"{run['slot']['anchor']}"]
            + [number(run["seconds"]), f"{run['recall']:.3f}", f"{run['moved']:.1f}"]
            + [f"{run['moved_rms']:.1f}", number(run["seconds_whole"])]
            + [f"{run['recall_whole']:.3f}"]
            for run in group
        ]
        header = [data, "anchor", "seconds", "recall@10", "moved, %", "of the rms radius, %"]
        parts.append(table([*header, "s of a whole fit", "its recall@10"], rows))
    return parts


def failures(runs):
    """Return a line for every update at the default anchor that misses a bar."""
    for run in runs:
        where = f"{run['slot']['data']}, {run['slot']['samples']:,} samples"
        if run["slot"]["anchor"] == 0.5 and run["recall"] < run["recall_whole"] - LACK:
            yield f"{where}: recall {run['recall']:.3f} of {run['recall_whole']:.3f}"
        if run["slot"]["anchor"] == 0.5 and run["moved"] > MOVED:
            yield f"{where}: earlier points moved by {run['moved']:.1f} per cent"


BENCHMARKS = {
    "grow": Benchmark(
        measure,
        write,
        {"data": "digits,mnist", "anchor": 0.5},
        {"data": "digits"},
        failures,
    )
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
