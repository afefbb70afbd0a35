"""Scaling: seconds and peak memory from 10,000 to 1,000,000 points, and their slopes.

The data are one mixture of Gaussians, of which ever more points are drawn. A slope is the exponent
between two neighbouring sizes: 1 where twice the points take twice the time. Quality is judged as
well, above 100,000 points by a sample of rows.

``python benchmarks/scaling.py`` takes about two hours: a system's run is left out if it would
take more minutes than ``--limit`` (default: 30), going by its last size.
"""

import sys
from itertools import pairwise

import numpy as np
import plots
import report
from runner import Runner, output_directory, parser

SIZES = "10k,20k,50k,100k,200k,500k,1000k"
CHOSEN = "fasttsne", "scikit-learn-intelex", "openTSNE", "scikit-learn"
GROWTH = 1.15  # the exponent that is expected of the next size, for the limit


def points(runs, family, system):
    """A curve: (points, median seconds, most peak MB, KL, recall), by points."""
    groups = {}
    for run in runs:
        slot = run["slot"]
        if slot["data"].startswith(family) and slot["system"] == system:
            groups.setdefault(run["n_samples"], []).append(run)
    found = []
    for n_samples, group in sorted(groups.items()):

        def middle(key, group=group):
            return float(np.median([run[key] for run in group]))

        peak = max(run["peak_mb"] for run in group)
        found.append(
            (n_samples, middle("seconds"), peak, middle("kl_divergence"), middle("recall"))
        )
    return found


def slopes(curve, column):
    """The exponent between each size and the one before; none for the first."""
    found = [None]
    for before, after in pairwise(curve):
        found.append(np.log(after[column] / before[column]) / np.log(after[0] / before[0]))
    return found


def write(runs, family, systems, directory):
    parts = ["# Scaling", report.circumstances(runs)]
    curves = {system: points(runs, family, system) for system in systems}
    curves = {system: curve for system, curve in curves.items() if curve}
    rows = []
    for system, curve in curves.items():
        exponents = zip(curve, slopes(curve, 1), slopes(curve, 2), strict=True)
        for (n_samples, seconds, peak, kl, recall), of_time, of_memory in exponents:
            rows.append(
                [
                    system,
                    f"{n_samples:,}",
                    report.number(seconds),
                    report.number(of_time, fixed=2),
                    report.number(peak, fixed=0),
                    report.number(of_memory, fixed=2),
                    report.number(kl, fixed=3),
                    report.number(recall, fixed=3),
                ]
            )
    header = ("points", "seconds", "slope", "peak MB", "slope", "KL divergence", "recall@10")
    parts.append(report.table([family, *header], rows))
    parts.append(
        "Each at its defaults. Memory above what the imports take, data included. Slopes are the"
        " exponents since the size before."
    )
    report.publish(directory, "scaling", "\n\n".join(parts))
    draw(runs, family, curves, directory / "scaling.png")


def draw(runs, family, curves, path):
    """Seconds and megabytes against points, both logarithmic; slopes of the whole curves."""
    threads = runs[0]["slot"]["threads"]
    figure, axes = plots.panels(
        2,
        "Scaling: time and memory by number of points",
        f"Each at its defaults, {family} in {runs[0]['n_features']} dimensions; in brackets the"
        f" slope from first point to last. {threads} thread{'s' if threads > 1 else ''},"
        f" {runs[0]['machine']}.",
        room=1.75,
    )
    sizes = [point[0] for curve in curves.values() for point in curve]
    for ax, column, text in zip(axes, (1, 2), ("seconds", "peak MB above imports"), strict=True):
        plots.heading(ax, text)
        ends = {}
        for system, curve in curves.items():
            look = plots.style(system)
            x, y = [point[0] for point in curve], [point[column] for point in curve]
            ax.plot(x, y, linewidth=2.2 if system == "fasttsne" else 1.4, markersize=5, **look)
            label = system
            if len(curve) > 1:
                slope = np.log(y[-1] / y[0]) / np.log(x[-1] / x[0])
                label = f"{system} ({slope:.2f})"
            ends[label] = (x[-1], y[-1], look["color"])
        values = [point[column] for curve in curves.values() for point in curve]
        for axis, numbers in ((ax.xaxis, sizes), (ax.yaxis, values)):
            low, high = min(numbers) / 1.2, max(numbers) * 1.2
            plots.logarithmic(axis, low, high)
            (ax.set_xlim if axis is ax.xaxis else ax.set_ylim)(low, high)
        ax.set_xlabel("points", size=9, color=plots.INK)
        plots.name_lines(ax, ends)
    plots.save(figure, path)


def main():
    options = parser(__doc__, CHOSEN, "mixture", repeats=1)
    options.add_argument("--sizes", default=SIZES, help="(default: %(default)s)")
    options.set_defaults(limit=30)
    args = options.parse_args()
    if args.quick:
        args.sizes, args.repeats = "500,1k,2k", 1
    runner = Runner(args, "scaling")
    for size in args.sizes.split(","):

        def minutes(slot):
            done = points(runner.store.reported(), args.data, slot["system"])
            n_samples = len(runner.load(slot["data"])[0].X)
            smaller = [point for point in done if point[0] < n_samples]
            if smaller:
                return smaller[-1][1] / 60 * (n_samples / smaller[-1][0]) ** GROWTH
            return runner.estimate(slot)

        name = f"{args.data}{size}"
        slots = [
            runner.slot(name, system, repeat)
            for repeat in range(args.repeats)
            for system in runner.systems
        ]
        runner.run_all(slots, minutes)
    if args.plan:
        return 0
    runs = [r for r in runner.store.reported() if r["slot"]["data"].startswith(args.data)]
    if not runs:
        print("nothing measured", file=sys.stderr)
        return 1
    write(runs, args.data, list(runner.python), output_directory(args))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
