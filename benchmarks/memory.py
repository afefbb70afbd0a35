"""Peak memory of a fit, and whether fits in a row grow.

Each measurement is a process of its own. Peak: the most resident memory of one ``fit_transform``
with defaults, above what the process holds once everything is imported; the data count. Growth:
resident memory after each of ten fits of 5,000 points.

``python benchmarks/memory.py`` takes MNIST's 70,000 x 50; ``--data blobs70000`` needs no download.
"""

import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import report
from data import load
from systems import resident

LIMIT = 500  # MB above the imports, for 70,000 x 50 at perplexity 30
ALLOWED_GROWTH = 5  # MB between the third fit and the last
N_FITS = 10


def child(what, path):
    """Measure in a fresh process; prints figures as JSON."""
    from fasttsne import TSNE

    baseline = resident(peak=False)
    X = np.load(path)
    if what == "peak":
        with_data = resident(peak=False)
        TSNE(random_state=0).fit(X)
        figures = {"baseline": baseline, "data": with_data - baseline}
        figures["peak"] = resident(peak=True) - baseline
    else:
        figures = {"after_each_fit": []}
        for seed in range(N_FITS):
            TSNE(random_state=seed, max_iter=250).fit(X)
            gc.collect()
            figures["after_each_fit"].append(resident(peak=False) - baseline)
    print(json.dumps(figures))


def measure(what, X):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "X.npy"
        np.save(path, X)
        command = [sys.executable, __file__, "--child", what, str(path)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--data", default="mnist", help="(default: %(default)s)")
    parser.add_argument("--output", help="JSON file (default: benchmarks/results/memory.json)")
    parser.add_argument("--child", nargs=2, help="for internal use")
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return 0

    data = load(args.data)
    # float32 is what MNIST comes as; other data are cast, to be comparable.
    X = np.ascontiguousarray(data.X, dtype=np.float32)
    peak, growth = measure("peak", X), measure("growth", X[:5_000])
    after = growth["after_each_fit"]
    grown = after[-1] - after[2]
    rows = [
        ["imports", f"{peak['baseline']:.0f}"],
        [f"data, {X.shape[0]:,} x {X.shape[1]}", f"{peak['data']:.0f}"],
        ["peak of one fit, above imports", f"{peak['peak']:.0f}"],
        [f"growth from fit 3 to fit {N_FITS}", f"{grown:.1f}"],
    ]
    print(report.table(["memory", "MB"], rows))
    results = {"data": data.name, "shape": X.shape, "peak": peak, "growth": growth}
    print("Kept in", report.save("memory", results, args.output))
    too_much = peak["peak"] > LIMIT or grown > ALLOWED_GROWTH
    if too_much:
        print(f"TOO MUCH: the limits are {LIMIT} MB and {ALLOWED_GROWTH} MB")
    return 1 if too_much else 0


if __name__ == "__main__":
    raise SystemExit(main())
