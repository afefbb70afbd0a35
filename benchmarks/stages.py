"""Where the time goes: seconds of each stage of a fit, by number of threads.

``python benchmarks/stages.py`` takes MNIST-10k and digits, with one thread and with all cores.
Each figure is the least of the repeats, as noise only ever adds.
"""

import sys
import time

import numpy as np
import report
from data import load

from fasttsne import TSNE, _kernels
from fasttsne.affinity import conditional_probabilities, joint_probabilities
from fasttsne.initialization import initial_embedding
from fasttsne.neighbors import nearest_neighbors
from fasttsne.optimizer import Phase, optimize

STAGES = (
    "neighbours",
    "calibration",
    "symmetrisation",
    "PCA start",
    "early exaggeration",
    "the rest of the descent",
    "whole fit_transform",
)


def measure(X, n_threads):
    """Seconds of each stage, run one by one as TSNE runs them, and of TSNE itself."""
    tsne = TSNE(random_state=0, n_jobs=n_threads)
    n_neighbors = min(len(X) - 1, int(3 * tsne.perplexity + 1))
    seconds, iterations = {}, {}

    def timed(stage, function, *args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        seconds[stage] = time.perf_counter() - start
        return result

    indices, squared = timed("neighbours", nearest_neighbors, X, n_neighbors, n_threads=n_threads)
    conditional, _ = timed(
        "calibration", conditional_probabilities, squared, tsne.perplexity, n_threads=n_threads
    )
    joint = timed("symmetrisation", joint_probabilities, indices, conditional, n_threads=n_threads)
    embedding = timed("PCA start", initial_embedding, X, "pca", 2, np.random.RandomState(0))

    # The schedule of TSNE, in two parts that each start from rest, as its phases do.
    early, late = tsne._phases()
    parts = {
        "early exaggeration": early,
        "the rest of the descent": Phase(
            late.end - early.end, late.exaggeration, late.momentum, late.n_iter_without_progress
        ),
    }
    for stage, phase in parts.items():
        forces = _kernels.BarnesHutForces(*joint, 2, 1.0, tsne.angle, n_threads)
        embedding, last = timed(
            stage,
            optimize,
            forces,
            embedding,
            [phase],
            learning_rate=tsne._learning_rate(len(X)),
            min_grad_norm=tsne.min_grad_norm,
        )
        iterations[stage] = last + 1
    timed("whole fit_transform", tsne.fit_transform, X)
    return seconds, iterations


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--data", default="digits,mnist10k", help="(default: %(default)s)")
    parser.add_argument("--threads", help="numbers separated by commas (default: 1 and all cores)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--output", help="JSON file (default: benchmarks/results/stages.json)")
    args = parser.parse_args()
    threads = sorted({1, report.cores()})
    if args.threads:
        threads = [int(number) for number in args.threads.split(",")]

    results = []
    for name in args.data.split(","):
        X = load(name).X
        columns = []
        for n_threads in threads:
            runs = [measure(X, n_threads) for _ in range(args.repeats)]
            best = {stage: min(run[0][stage] for run in runs) for stage in STAGES}
            iterations = runs[0][1]
            per_iteration = {s: 1e3 * best[s] / iterations[s] for s in iterations}
            columns.append((best, per_iteration))
            results.append(
                {"data": name, "shape": X.shape, "threads": n_threads, "seconds": best}
                | {"iterations": iterations, "milliseconds_per_iteration": per_iteration}
            )
            print(f"{name}, {n_threads} threads: done", file=sys.stderr)
        rows = [[stage, *[f"{best[stage]:.3f}" for best, _ in columns]] for stage in STAGES]
        rows += [
            [f"ms an iteration, {stage}", *[f"{per[stage]:.3f}" for _, per in columns]]
            for stage in columns[0][1]
        ]
        heads = [f"s, {n} thread{'s' if n > 1 else ''}" for n in threads]
        print(report.table([f"{name}, {X.shape[0]:,} x {X.shape[1]}", *heads], rows), end="\n\n")
    print("Kept in", report.save("stages", results, args.output))


if __name__ == "__main__":
    main()
