"""What judging a map costs: seconds and memory of fasttsne.quality, and of scikit-learn's
trustworthiness where it can be had.

Each measurement is a process of its own, on the same map, which is drawn first and does not count.
Memory is the most resident during the call, above what the process holds with everything imported
and data and map loaded; a small call before has set up what is set up once.

``python benchmarks/quality.py`` takes MNIST's 70,000 x 50; ``--data blobs70000`` needs no download.
Fails if the report takes longer or more memory than it may.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import report
from data import load
from systems import resident

SAMPLE = 5_000
SECONDS, MEGABYTES = 10.0, 1_000.0  # what report(sample=5000) of 70,000 points may take

# What is measured, and on which share of the points.
CALLS = {
    "report, 5,000 points judged": ("report", 1),
    "trustworthiness of all": ("trustworthiness", 1),
    "trustworthiness of half of them": ("trustworthiness", 2),
    "trustworthiness of a quarter": ("trustworthiness", 4),
    "continuity of all": ("continuity", 1),
    "neighbour recall of all": ("neighbor_recall", 1),
    "kNN accuracy of all": ("knn_accuracy", 1),
    "KL divergence of a quarter": ("kl_divergence", 4),
    "trustworthiness of an eighth": ("trustworthiness", 8),
    "scikit-learn's, of an eighth": ("scikit-learn", 8),
}


def child(call, path, n_samples):
    """Measure in a fresh process; prints figures as JSON."""
    from sklearn import manifold

    from fasttsne import quality

    measures = {
        "report": lambda X, Y, y: quality.report(
            X, Y, y, sample=min(SAMPLE, len(X)), random_state=0
        ).to_dict(),
        "trustworthiness": lambda X, Y, y: quality.trustworthiness(X, Y, n_neighbors=10),
        "continuity": lambda X, Y, y: quality.continuity(X, Y, n_neighbors=10),
        "neighbor_recall": lambda X, Y, y: quality.neighbor_recall(X, Y, n_neighbors=10),
        "knn_accuracy": lambda X, Y, y: quality.knn_accuracy(Y, y, n_neighbors=10),
        "kl_divergence": lambda X, Y, y: quality.kl_divergence(X, Y),
        "scikit-learn": lambda X, Y, y: manifold.trustworthiness(X, Y, n_neighbors=10),
    }
    with np.load(path) as file:
        X, Y, y = (file[name][:n_samples] for name in ("X", "Y", "y"))
    measures[call](X[:500], Y[:500], y[:500])
    before = resident(peak=False)
    start = time.perf_counter()
    value = measures[call](X, Y, y)
    seconds = time.perf_counter() - start
    memory = resident(peak=True) - before
    print(json.dumps({"seconds": seconds, "megabytes": memory, "value": value}))


def measure(call, path, n_samples):
    command = [sys.executable, __file__, "--child", call, str(path), str(n_samples)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--data", default="mnist", help="(default: %(default)s)")
    parser.add_argument("--output", help="JSON file (default: benchmarks/results/quality.json)")
    parser.add_argument("--child", nargs=3, help="for internal use")
    args = parser.parse_args()
    if args.child:
        child(args.child[0], args.child[1], int(args.child[2]))
        return 0

    from fasttsne import TSNE

    data = load(args.data)
    X = np.ascontiguousarray(data.X, dtype=np.float32)
    shuffled = np.random.default_rng(0).permutation(len(X))
    y = np.zeros(len(X), dtype=int) if data.y is None else data.y
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "map.npz"
        Y = TSNE(random_state=0).fit_transform(X)
        np.savez(path, X=X[shuffled], Y=Y[shuffled], y=y[shuffled])
        found = {}
        for name, (call, divisor) in CALLS.items():
            n_samples = len(X) // divisor
            found[name] = measure(call, path, n_samples) | {"n_samples": n_samples}
            print(f"{name:32} {found[name]['seconds']:8.2f} s", file=sys.stderr)

    rows = [
        [
            name,
            f"{figures['n_samples']:,}",
            report.number(figures["seconds"], 3),
            f"{figures['megabytes']:.0f}",
            "" if isinstance(figures["value"], dict) else f"{figures['value']:.4f}",
        ]
        for name, figures in found.items()
    ]
    results = {"data": data.name, "shape": X.shape, "calls": found}
    kept = report.save("quality", results, args.output)
    text = [
        "# What judging a map costs",
        f"`python benchmarks/quality.py`. {data.name}, {X.shape[0]:,} x {X.shape[1]}, "
        f"{report.machine_name(report.machine())}. MB are above data and map; 10 neighbours.",
        report.table(["", "points", "seconds", "MB", "value"], rows),
    ]
    report.publish(kept.parent, kept.stem, "\n\n".join(text))
    first = found["report, 5,000 points judged"]
    too_much = first["seconds"] > SECONDS or first["megabytes"] > MEGABYTES
    if too_much:
        print(f"TOO MUCH: the limits are {SECONDS:g} s and {MEGABYTES:g} MB")
    return 1 if too_much else 0


if __name__ == "__main__":
    raise SystemExit(main())
