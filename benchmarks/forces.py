"""How accurate the repulsive force is at an angle, ours and scikit-learn's, on the same map.

The error is ||F/Z - F*/Z*|| / ||F*/Z*||, with F*, Z* over all pairs in float64. Beside it, the
milliseconds of one evaluation (tree included), the median of five.

``python benchmarks/forces.py`` takes the finished map of the digits, and 10,000 points drawn from
the finished map of MNIST.
"""

import time
from statistics import median

import numpy as np
import report
from data import load
from judge import exact_repulsion
from sklearn.manifold import _barnes_hut_tsne

from fasttsne import TSNE, _kernels

ANGLES = (0.2, 0.5, 0.8)
N_SAMPLE = 10_000
SYSTEMS = "scikit-learn", "fasttsne"


def scikit_learn(Y, angle, n_threads):
    """F/Z by scikit-learn: its gradient for a P without edges is -F/Z."""
    gradient = np.zeros_like(Y)
    _barnes_hut_tsne.gradient(
        np.empty(0, dtype=np.float32),
        Y,
        np.empty(0, dtype=np.int64),
        np.zeros(len(Y) + 1, dtype=np.int64),
        gradient,
        angle,
        2,
        0,
        dof=1,
        compute_error=False,
        num_threads=n_threads,
    )
    return -gradient


def two_edges(n_samples):
    """A P in which only the first two points attract each other, as CSR."""
    indptr = np.minimum(np.arange(n_samples + 1, dtype=np.int64), 2)
    return indptr, np.array([1, 0], dtype=np.int32), np.full(2, 0.5, dtype=np.float32)


class Ours:
    """F/Z by fasttsne, with a P of as few edges as it takes."""

    def __init__(self, Y, angle, n_threads):
        self.Y = Y
        self.forces = _kernels.BarnesHutForces(*two_edges(len(Y)), 2, 1.0, angle, n_threads)

    def __call__(self):
        self.forces.evaluate(self.Y, False)
        return self.forces.repulsive / self.forces.sum_q


def timed(function):
    """Result and median milliseconds of five calls after the first."""
    function()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        result = function()
        times.append(1e3 * (time.perf_counter() - start))
    return result, median(times)


def evaluation(system, Y, angle, n_threads):
    """A function that returns F/Z by that system."""
    if system == "fasttsne":
        return Ours(Y, angle, n_threads)
    return lambda: scikit_learn(Y, angle, n_threads)


def finished_map(name, limit=N_SAMPLE):
    """A finished map of a data set, or a sample of it, as float32."""
    Y = TSNE(random_state=0).fit_transform(load(name).X)
    if limit is not None and len(Y) > limit:
        Y = Y[np.random.RandomState(0).choice(len(Y), limit, replace=False)]
    return np.ascontiguousarray(Y, dtype=np.float32)


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--data", default="digits,mnist", help="(default: %(default)s)")
    parser.add_argument("--map", help="a map of your own instead, (n, 2), as .npy")
    parser.add_argument("--threads", type=int, default=report.cores(), help="default: all cores")
    parser.add_argument("--output", help="JSON file (default: benchmarks/results/forces.json)")
    args = parser.parse_args()

    if args.map:
        maps = {args.map: np.ascontiguousarray(np.load(args.map), dtype=np.float32)}
    else:
        maps = {name: finished_map(name) for name in args.data.split(",")}
    results = []
    for name, Y in maps.items():
        forces, sum_q = exact_repulsion(Y)
        exact = forces / sum_q
        for angle in ANGLES:
            result = {"map": name, "n_samples": len(Y), "angle": angle}
            for system in SYSTEMS:
                actual, milliseconds = timed(evaluation(system, Y, angle, args.threads))
                error = np.linalg.norm(actual - exact) / np.linalg.norm(exact)
                result[system] = {"error": float(error), "milliseconds": milliseconds}
            results.append(result)
    rows = [
        [
            f"{result['map']}, {result['n_samples']:,} points",
            result["angle"],
            *[f"{100 * result[system]['error']:.3f} %" for system in SYSTEMS],
            *[f"{result[system]['milliseconds']:.2f}" for system in SYSTEMS],
        ]
        for result in results
    ]
    header = ["map", "angle", "error, scikit-learn", "error, fasttsne"]
    print(report.table([*header, "ms, scikit-learn", "ms, fasttsne"], rows))
    print("Kept in", report.save("forces", {"threads": args.threads, "maps": results}, args.output))
    worse = [r for r in results if r["fasttsne"]["error"] > r["scikit-learn"]["error"]]
    if worse:
        print("LESS ACCURATE than scikit-learn:", [(r["map"], r["angle"]) for r in worse])
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
