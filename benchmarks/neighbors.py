"""The graph of nearest neighbours: seconds and recall beside scikit-learn, pynndescent and hnswlib.

Each system makes the graph of the k nearest neighbours of every sample, k = 15 as in UMAP and
scanpy, in a new process; a graph of 5,000 samples comes first, which compiles what is compiled at
the first use. Systems that search approximately run with several settings: the more work, the
higher the recall, the share of the true neighbours that are found. hnswlib adds all samples to an
index and queries it with them. Among settings of recall 0.99, the fastest counts.

True neighbours come from `judge.py`, which computes them in double precision by scikit-learn.

``python benchmarks/neighbors.py`` takes ten minutes, most of it the others'.
"""

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from data import load
from judge import nearest_neighbors
from runner import Benchmark, fresh, main, number, table, timed
from systems import cores, load_average, resident, versions

K = 15
WANTED = 0.99  # recall
WARM_UP = 5_000  # samples; pynndescent compares few by brute force


def fasttsne(X, threads, **params):
    from fasttsne.neighbors import NeighborsTransformer

    return NeighborsTransformer(n_neighbors=K, n_jobs=threads, **params).fit_transform(X)


def scikit_learn(X, threads):
    from sklearn.neighbors import KNeighborsTransformer

    return KNeighborsTransformer(n_neighbors=K, n_jobs=threads).fit_transform(X)


def pynndescent(X, threads, **params):
    from pynndescent import NNDescent

    index = NNDescent(X, n_neighbors=K + 1, n_jobs=threads, random_state=0, **params)
    return index.neighbor_graph[0]


def hnswlib(X, threads, M, ef_construction, ef):
    from hnswlib import Index

    index = Index("l2", X.shape[1])
    index.init_index(len(X), M=M, ef_construction=ef_construction, random_seed=0)
    index.set_num_threads(threads)
    index.add_items(X)
    index.set_ef(ef)
    return index.knn_query(X, K + 1)[0]


def hnsw(M, ef_construction, ef):
    return {"M": M, "ef_construction": ef_construction, "ef": ef}


# System: adapter, package, settings.
SYSTEMS = {
    "fasttsne": (fasttsne, "fasttsne", [{}, {"method": "exact"}]),
    "scikit-learn": (scikit_learn, "scikit-learn", [{}]),
    "pynndescent": (
        pynndescent,
        "pynndescent",
        [{}, {"max_candidates": 30}, {"max_candidates": 60}],
    ),
    "hnswlib": (
        hnswlib,
        "hnswlib",
        [hnsw(8, 30, 40), hnsw(12, 40, 30), hnsw(16, 60, 30), hnsw(16, 100, 50), hnsw(16, 200, 50)],
    ),
}
MODULES = {"scikit-learn": "sklearn"}


def timed_graph(system, params, path, threads):
    """Return the figures of one graph, and the neighbours of every sample."""
    adapter, X = SYSTEMS[system][0], np.load(path)
    adapter(X[:WARM_UP], threads, **params)
    figures = {"load_at_start": load_average()}
    before = resident(peak=False)
    graph, figures["seconds"] = timed(adapter, X, threads, **params)
    figures["peak_mb"] = resident(peak=True) - before
    found = graph if isinstance(graph, np.ndarray) else graph.indices.reshape(len(X), -1)
    return figures, found


def recall_of(found, true):
    """Return the share of the true neighbours, none of them the sample itself, that are found."""
    hits = [len(np.intersect1d(*rows)) for rows in zip(found, true, strict=True)]
    return sum(hits) / true.size


def measure(store, args):
    for name in args.data.split(","):
        data, true = load(name), None
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "X.npy"
            np.save(path, data.X.astype(np.float32))
            for system in args.systems.split(";"):
                _, package, settings = SYSTEMS[system]
                if not find_spec(MODULES.get(system, system)):
                    print(f"{system}: skipped, {package} is missing", file=sys.stderr)
                    continue
                for params in settings:
                    slot = {"data": name, "system": system, "params": params, "k": K}
                    slot |= {"threads": args.threads}
                    if not store.needs(slot, versions(package)):
                        continue
                    spec = system, params, path, args.threads
                    figures, found = fresh(timed_graph, *spec, threads=args.threads)
                    true = nearest_neighbors(data.X, K)[0] if true is None else true
                    figures["recall"] = recall_of(found, true)
                    store.add(slot, versions(package), figures)
                    print(f"{name}, {described(slot)}: {figures['seconds']:.2f} s", file=sys.stderr)


def described(slot):
    """Return a system and its settings in words."""
    params = ", ".join(f"{key}={value}" for key, value in slot["params"].items())
    return f"{slot['system']}{', ' if params else ''}{params}"


def write(runs, args):
    parts = ["# Graphs of nearest neighbours"]
    for name in dict.fromkeys(run["slot"]["data"] for run in runs):
        chosen = [run for run in runs if run["slot"]["data"] == name]
        rows = [
            [described(run["slot"]), number(run["seconds"]), f"{run['recall']:.4f}"]
            + [number(run["peak_mb"], fixed=0)]
            for run in sorted(chosen, key=lambda run: run["seconds"])
        ]
        parts.append(table([f"{name}, k = {K}", "seconds", "recall", "MB"], rows))
    return parts


def failures(runs):
    """Return a line where fasttsne is not the fastest among graphs of the recall wanted."""
    for name in dict.fromkeys(run["slot"]["data"] for run in runs):
        good = [r for r in runs if r["slot"]["data"] == name and r["recall"] >= WANTED]
        first = min(good, key=lambda run: run["seconds"], default=None)
        if first is None or first["slot"]["system"] != "fasttsne":
            yield f"{name}: fasttsne is not the first at recall 0.99"


BENCHMARKS = {
    "neighbors": Benchmark(
        measure,
        write,
        {"data": "mnist", "systems": ";".join(SYSTEMS), "threads": cores()},
        {"data": "digits", "systems": "fasttsne;scikit-learn"},
        failures,
    )
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
