"""The search for neighbours by metrics other than dense Euclidean, beside scikit-learn's.

90 neighbours of each of 20,000 samples. scikit-learn searches for every tenth sample only, in the
way that it chooses itself, and its seconds are those times ten: it spends the same time on each.
Recall is the share of our neighbours of these samples that are as near as scikit-learn's.

Each search is a new process. ``python benchmarks/metrics.py`` takes two minutes, nearly all of it
scikit-learn's.
"""

import sys

import numpy as np
from data import load
from runner import Benchmark, fresh, least, main, number, table, timed
from systems import cores, load_average, versions

SEARCHES = (
    ("cosine", "mnist"),
    ("correlation", "mnist"),
    ("euclidean", "words"),
    ("cosine", "words"),
    ("jaccard", "fingerprints"),
    ("hamming", "fingerprints"),
)
N_NEIGHBORS = 90
EVERY = 10  # one in so many samples is searched for by scikit-learn
TARGETS = 5.0, 0.99  # times as fast, recall


def ours(name, metric, n_threads, repeats):
    """Return the figures of our search, and the distances of every tenth sample."""
    from fasttsne.neighbors import nearest_neighbors

    X, how = load(name).X, {"metric": metric, "n_threads": n_threads}
    nearest_neighbors(X[:500], N_NEIGHBORS, **how)
    figures = {"load_at_start": load_average()}
    figures["seconds"] = least(lambda: nearest_neighbors(X, N_NEIGHBORS, **how), repeats)
    return figures, nearest_neighbors(X, N_NEIGHBORS, **how)[1][::EVERY]


def theirs(name, metric, n_threads):
    """Return the seconds of scikit-learn's search of all samples, and some of its distances."""
    from sklearn.neighbors import NearestNeighbors

    X = load(name).X
    # The nearest is the sample itself; one of its copies has the same distance.
    search = NearestNeighbors(n_neighbors=N_NEIGHBORS + 1, metric=metric, n_jobs=n_threads)
    search.fit(X[:500]).kneighbors(X[:10])
    _, preparation = timed(search.fit, X)
    some = X[::EVERY]
    (distances, _), seconds = timed(search.kneighbors, some)
    return preparation + seconds * X.shape[0] / some.shape[0], distances[:, 1:]


def measure(store, args):
    for metric, data in SEARCHES:
        if metric not in args.metrics.split(","):
            continue
        name = f"{data}{args.samples}"
        slot = {"metric": metric, "data": name, "threads": args.threads, "repeats": args.repeats}
        if store.needs(slot, versions("fasttsne")):
            print(f"{metric}, {name} ...", file=sys.stderr)
            how = {"threads": args.threads}
            figures, found = fresh(ours, name, metric, args.threads, args.repeats, **how)
            figures["seconds_of_theirs"], expected = fresh(
                theirs, name, metric, args.threads, **how
            )
            near = found <= expected[:, -1:] * (1 + 1e-6) + 1e-7
            X = load(name).X
            figures |= {"recall": float(np.mean(near)), "shape": X.shape}
            figures["entries"] = float((X != 0).sum() / X.shape[0])
            store.add(slot, versions("fasttsne"), figures)


def factor(run):
    """Return how many times as fast ours is."""
    return run["seconds_of_theirs"] / run["seconds"]


def write(runs, args):
    rows = [
        [
            f"{run['slot']['metric']}, {run['slot']['data']}",
            f"{run['shape'][1]:,}",
            number(run["entries"], fixed=0),
            number(run["seconds"]),
            number(run["seconds_of_theirs"]),
            number(factor(run), 2),
            f"{run['recall']:.4f}",
        ]
        for run in runs
    ]
    header = ["metric, data", "features", "not zero", "s", "scikit-learn, s", "factor", "recall"]
    title = f"# {N_NEIGHBORS} neighbours of {runs[0]['shape'][0]:,} samples, by metric"
    text = (
        "`not zero` is the mean number of such values of a sample. scikit-learn searched for every "
        "tenth sample; its seconds are ten times as long."
    )
    return [title, table(header, rows), text]


def failures(runs):
    return [
        f"{run['slot']['metric']} of {run['slot']['data']} is {factor(run):.1f} times as fast as "
        f"scikit-learn with recall {run['recall']:.4f}"
        for run in runs
        if factor(run) < TARGETS[0] or run["recall"] < TARGETS[1]
    ]


BENCHMARKS = {
    "metrics": Benchmark(
        measure,
        write,
        {
            "metrics": ",".join(dict.fromkeys(metric for metric, _ in SEARCHES)),
            "samples": "20k",
            "threads": cores(),
            "repeats": 3,
        },
        {"samples": "1k", "repeats": 1},
        failures,
    )
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
