"""End to end against scikit-learn: seconds beside quality, both at their defaults.

Each run is a process of its own: it imports, warms up on 200 points, and then times one
``fit_transform``. The systems take turns, and each repeat has its own seed. Every map is judged by
judge.py, by one P for both.

``python benchmarks/vs_sklearn.py`` runs all data sets of the default list, three times each.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import report
from data import load
from judge import Judge

SYSTEMS = ("scikit-learn", "fasttsne")


def child(system, data, out, seed, n_jobs, max_iter):
    """One timed run, in a process of its own; writes the map, prints figures as JSON."""
    if system == "fasttsne":
        from fasttsne import TSNE
    else:
        from sklearn.manifold import TSNE
    X = np.load(data)
    parameters = {"random_state": seed}
    if n_jobs is not None:
        parameters["n_jobs"] = n_jobs
    TSNE(max_iter=250, **parameters).fit_transform(X[:200])
    if max_iter is not None:
        parameters["max_iter"] = max_iter
    tsne = TSNE(**parameters)
    start = time.perf_counter()
    embedding = tsne.fit_transform(X)
    seconds = time.perf_counter() - start
    np.save(out, embedding)
    print(json.dumps({"seconds": seconds, "n_iter": int(tsne.n_iter_)}))


def run(system, data, directory, seed, args):
    """Start such a process; returns its figures and its map."""
    out = directory / "map.npy"
    spec = json.dumps([system, str(data), str(out), seed, args.n_jobs, args.max_iter])
    environment = dict(os.environ)
    if args.n_jobs is not None:
        # scikit-learn's gradient does not obey n_jobs, only this.
        environment["OMP_NUM_THREADS"] = str(args.n_jobs)
    command = [sys.executable, __file__, "--child", spec]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
    return json.loads(printed), np.load(out)


def compare(name, directory, args):
    """All runs of both systems on one data set."""
    data = load(name)
    path = directory / "data.npy"
    np.save(path, data.X)
    judge = Judge(data.X, data.y)
    runs = {system: [] for system in SYSTEMS}
    for repeat in range(args.repeats):
        for system in SYSTEMS if repeat % 2 == 0 else reversed(SYSTEMS):
            figures, embedding = run(system, path, directory, repeat, args)
            runs[system].append(figures | judge(embedding))
            print(f"{name:12} {system:13} {figures['seconds']:8.2f} s", file=sys.stderr)
    return {"data": name, "shape": data.X.shape, "runs": runs}


def summary(result):
    """The medians of one data set, as a row of the table."""
    theirs, ours = (result["runs"][system] for system in SYSTEMS)

    def values(runs, key):
        return [run[key] for run in runs if run[key] is not None]

    def both(key):
        medians = [median(values(runs, key)) for runs in (theirs, ours) if values(runs, key)]
        return " / ".join(f"{value:.3f}" for value in medians) or "-"

    def seconds(runs):
        times = values(runs, "seconds")
        spread = f" ({min(times):.2f}-{max(times):.2f})" if len(times) > 1 else ""
        return f"{median(times):.2f}{spread}"

    ratio = median(values(theirs, "seconds")) / median(values(ours, "seconds"))
    shape = "{:,} x {}".format(*result["shape"])
    return [
        f"{result['data']}, {shape}",
        seconds(theirs),
        seconds(ours),
        f"{ratio:.1f}",
        both("kl_divergence"),
        both("recall"),
        both("accuracy"),
    ]


HEADER = (
    "data",
    "scikit-learn, s",
    "fasttsne, s",
    "times faster",
    "KL divergence",
    "recall@10",
    "kNN accuracy@10",
)


def main():
    parser = report.parser(__doc__)
    parser.add_argument(
        "--data",
        default="digits,swiss_roll,noise,blobs,mnist10k",
        help="names that data.py knows, separated by commas (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--n-jobs", type=int, help="threads of both; default: what each takes")
    parser.add_argument("--max-iter", type=int, help="iterations of both; default: each its own")
    parser.add_argument("--output", help="JSON file (default: benchmarks/results/vs_sklearn.json)")
    parser.add_argument("--child", help="for internal use")
    args = parser.parse_args()
    if args.child:
        return child(*json.loads(args.child))

    with tempfile.TemporaryDirectory() as directory:
        results = [compare(name, Path(directory), args) for name in args.data.split(",")]
    rows = [summary(result) for result in results]
    print(report.table(HEADER, rows))
    print("Medians; seconds with (least-most), quality as scikit-learn / fasttsne by one judge.")
    print("Kept in", report.save("vs_sklearn", results, args.output))


if __name__ == "__main__":
    main()
