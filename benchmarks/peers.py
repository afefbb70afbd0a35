"""fasttsne beside other t-SNE packages, by runs of whole systems that one exact judge compares.

- ``peers``: seconds, memory and quality of every system at its defaults and at equal iterations,
  about an hour, most of it scikit-learn's and openTSNE's. A system that stops by itself may do
  fewer iterations; the table has the number. Systems that are not installed are skipped.
- ``time_to_quality``: KL divergence at the map's best scale and recall@10 against seconds, 40
  minutes. A point is one budget of iterations, each a separate run. The larger mark is the system's
  default.
- ``scaling``: seconds and memory from 10,000 to 1,000,000 points of one mixture of Gaussians, about
  two hours. A slope is the exponent between two neighbouring sizes: 1 where twice the points take
  twice the time. The last size estimates the minutes of the next, which ``--limit`` bounds.

Each run is a new process that imports, warms up on 200 points and then times one fit. Systems take
turns, and each repeat has its own seed.

``python benchmarks/peers.py peers --systems "fasttsne;scikit-learn" --data digits,mnist10k`` takes
five minutes.
"""

from statistics import median
from typing import NamedTuple

import numpy as np
import plots
from data import load
from runner import (
    Benchmark,
    Runner,
    estimate,
    grouped,
    main,
    median_of,
    number,
    split,
    spread,
    table,
    with_threads,
)
from systems import SYSTEMS

ITERATIONS = 1000  # of peers at equal iterations
LONG = 1.5  # minutes; a longer run of peers is not repeated
MODES = {"default": "each at its defaults", "equal": f"{ITERATIONS:,} iterations each"}
# Key and digits after the point of the columns; seconds have three significant digits.
COLUMNS = {
    "seconds": ("seconds", None),
    "iterations": ("n_iter", 0),
    "KL divergence": ("kl_divergence", 3),
    "KL at best scale": ("kl_at_best_scale", 3),
    "recall@10": ("recall", 3),
    "kNN accuracy@10": ("accuracy", 3),
    "torn": ("torn", 3),
    "strays": ("strays", 2),
}
BUDGETS = 250, 300, 400, 500, 750, 1000
SLOW_BUDGETS = 250, 500, 750, 1000  # of scikit-learn, which takes 25 s per hundred
FEW = "fasttsne;scikit-learn-intelex;openTSNE;scikit-learn"
# openTSNE chooses FFT itself from 10,000 points on; below, FFT is only slow.
ALL = ";".join(name for name in SYSTEMS if name != "openTSNE, FFT")


def by_data(runs, args):
    """Return {data set: {system: runs}}, in the order of the command line, others after them."""
    groups = grouped(runs, "data")
    names = [name for name in args.data.split(",") if name in groups]
    return {name: by_system(groups[name], args) for name in dict.fromkeys([*names, *groups])}


def by_system(runs, args):
    groups = grouped(runs, "system")
    return {name: groups[name] for name in split(args.systems) if name in groups}


# ---- Every system, each at its defaults and at equal iterations ----------------------------------


def max_iter(system, mode):
    """Return the limit of a mode. None is the default, which serves both modes if it is equal."""
    same = SYSTEMS[system].default_iterations == ITERATIONS
    return ITERATIONS if mode == "equal" and not same else None


def measure_peers(store, args):
    runner = Runner(store, args)

    def slots_of(name, system, repeat):
        if SYSTEMS[system].differs_from > len(load(name).X):
            return []
        limits = dict.fromkeys(max_iter(system, mode) for mode in MODES)
        slots = [runner.slot(name, system, repeat, limit) for limit in limits]
        return [slot for slot in slots if repeat == 0 or estimate(slot) <= LONG]

    for name in args.data.split(","):
        runner.run_all(name, args.repeats, slots_of)


def write_peers(runs, args):
    parts = [
        "# Against peers",
        "Median (least-most) of runs with different seeds; one P and one exact judge for all. "
        "Peak memory above what the imports take, data included.",
    ]
    for name, systems in by_data(runs, args).items():
        remarks = {}
        for mode, words in MODES.items():
            rows = {}
            for system, group in systems.items():
                group = [r for r in group if r["slot"]["max_iter"] == max_iter(system, mode)]
                if not group:
                    continue
                rows[system] = [median(run["seconds"] for run in group), system]
                for key, fixed in COLUMNS.values():
                    rows[system].append(spread([run.get(key) for run in group], fixed=fixed))
                rows[system].append(number(max(run["peak_mb"] for run in group), fixed=0))
                found = group[-1]["remarks"].items()
                remarks[system] = ", ".join(f"{key} {value}" for key, value in found)
            rows = [row[1:] for row in sorted(rows.values())]  # the fastest first
            parts += [f"## {name}, {words}", table([name, *COLUMNS, "peak MB"], rows)]
        said = [f"{row[0]}: {remarks[row[0]]}" for row in rows if remarks[row[0]]]
        parts.append("; ".join(said) + ".")
    return parts


# ---- Time to quality -----------------------------------------------------------------------------


class Point(NamedTuple):
    """A point of a curve of time to quality; medians over the repeats, NaN where there are none."""

    n_iter: int
    default: bool  # is it the system's default?
    seconds: float
    kl_at_best_scale: float
    recall: float


def measure_time_to_quality(store, args):
    runner = Runner(store, args)

    def slots_of(name, system, repeat):
        budgets = SLOW_BUDGETS if system == "scikit-learn" else BUDGETS
        limits = [n for n in budgets if n != SYSTEMS[system].default_iterations]
        return [runner.slot(name, system, repeat, limit) for limit in (*limits, None)]

    for name in args.data.split(","):
        runner.run_all(name, args.repeats, slots_of)


def points(runs):
    """Return the curve of a system, by iterations."""
    return sorted(
        Point(
            limit or group[0]["n_iter"],
            limit is None,
            *(median_of(group, field) for field in Point._fields[2:]),
        )
        for limit, group in grouped(runs, "max_iter").items()
    )


def write_time_to_quality(runs, args):
    parts = ["# Time to quality", "The default of each system is marked with an asterisk."]
    for name, systems in by_data(runs, args).items():
        curves = {system: points(group) for system, group in systems.items()}
        rows = [
            [
                f"{system}{' *' if point.default else ''}",
                point.n_iter,
                number(point.seconds),
                number(point.kl_at_best_scale, fixed=3),
                number(point.recall, fixed=3),
            ]
            for system, curve in curves.items()
            for point in curve
            if point.default or point.n_iter in BUDGETS
        ]
        header = [name, "iterations", "seconds", "KL at best scale", "recall@10"]
        parts += [f"## {name}", table(header, rows)]
        levels = []
        for system, curve in curves.items():
            defaults = [point.kl_at_best_scale for point in curve if point.default]
            for level in (level for level in defaults if not np.isnan(level)):
                levels.append([f"{system}'s default, {level:.3f}"])
                for other in curves.values():
                    reached = [p.seconds for p in other if p.kl_at_best_scale <= level]
                    levels[-1].append(number(min(reached)) if reached else "not reached")
        if len(levels) > 1:
            parts += ["Seconds until KL at best scale is as low as:", table(["", *curves], levels)]
        draw_time_to_quality(systems, name, curves, args.output / f"time_to_quality_{name}.png")
    return parts


def draw_time_to_quality(systems, name, curves, path):
    """Draw KL and recall against seconds."""
    first = next(iter(systems.values()))[0]
    figure, axes = plots.panels(
        2,
        f"Time to quality: {name}, {first['n_samples']:,} x {first['n_features']}",
        "One mark a budget of iterations; large and ringed: the system's default. Judged exactly,"
        f" on one P. {with_threads([first])}.",
    )
    ringed = {"markeredgecolor": "white", "markeredgewidth": 1.2, "zorder": 5, "markersize": 9}
    for ax, field, heading in (
        (axes[0], "kl_at_best_scale", "KL divergence at best scale (less is better)"),
        (axes[1], "recall", "recall@10 (more is better)"),
    ):
        if all(np.isnan(getattr(point, field)) for curve in curves.values() for point in curve):
            continue
        best, worst = shown(curves, field)
        margin = 0.06 * (worst - best)
        ax.set_ylim(*sorted([best - margin, worst + margin]))
        drawn = []
        for system, curve in curves.items():
            look = plots.style(system)
            for point in (point for point in curve if point.default):
                ax.plot(point.seconds, getattr(point, field), linestyle="none", **ringed, **look)
            look["linewidth"] = 2.2 if system == "fasttsne" else 1.4
            look["markersize"] = 4
            y = [getattr(point, field) for point in curve]
            drawn.append((system, [point.seconds for point in curve], y, look))
        plots.lines(ax, heading, drawn, "seconds", margins=(1.15, None))
    plots.save(figure, path)


def shown(curves, field):
    """Return the best value, and the worst that is worth showing.

    Maps from early exaggeration are so bad that they would flatten the rest. The picture reaches
    three times as far from the best as the worst default, and at least a tenth of the best.
    """
    best, worst = (min, max) if field == "kl_at_best_scale" else (max, min)
    everything = [point for curve in curves.values() for point in curve]
    everything = [point for point in everything if not np.isnan(getattr(point, field))]
    top = best(getattr(point, field) for point in everything)
    defaults = [getattr(point, field) for point in everything if point.default] or [top]
    reach = max(3 * abs(worst(defaults) - top), 0.1 * abs(top))
    return top, top + reach if best is min else top - reach


# ---- Scaling -------------------------------------------------------------------------------------


def measure_scaling(store, args):
    runner = Runner(store, args)
    for size in args.sizes.split(","):
        runs = args.data + size, args.repeats, lambda *slot: [runner.slot(*slot)]
        runner.run_all(*runs, runner.projected)


def medians(runs):
    """Return rows of points, seconds, peak MB, KL at best scale and recall, by points."""
    keys = "seconds", "peak_mb", "kl_at_best_scale", "recall"
    groups = sorted(grouped(runs, "n_samples").items())
    return np.array([[n, *(median_of(group, key) for key in keys)] for n, group in groups])


def write_scaling(runs, args):
    runs = [run for run in runs if run["slot"]["data"].startswith(args.data)]
    curves = {system: medians(group) for system, group in by_system(runs, args).items()}
    rows = []
    for system, curve in curves.items():
        slopes = np.diff(np.log(curve[:, :3]), axis=0)
        slopes = [[None, None], *(slopes[:, 1:] / slopes[:, :1])]
        for (n, seconds, peak, kl, recall), (of_time, of_memory) in zip(curve, slopes, strict=True):
            rows.append([system, f"{n:,.0f}", number(seconds), number(of_time, fixed=2)])
            rows[-1] += [number(peak, fixed=0), number(of_memory, fixed=2)]
            rows[-1] += [number(kl, fixed=3), number(recall, fixed=3)]
    header = ("points", "seconds", "slope", "peak MB", "slope", "KL at best scale", "recall@10")
    draw_scaling(runs, args.data, curves, args.output / "scaling.png")
    return [
        "# Scaling",
        table([args.data, *header], rows),
        "Each at its defaults. Memory above what the imports take, data included. Slopes are the"
        " exponents since the size before.",
    ]


def draw_scaling(runs, family, curves, path):
    """Draw seconds and megabytes against points, with the slopes of the whole curves."""
    figure, axes = plots.panels(
        2,
        "Scaling: time and memory by number of points",
        f"Each at its defaults, {family} in {runs[0]['n_features']} dimensions; in brackets the"
        f" slope from first point to last. {with_threads(runs)}.",
    )
    for ax, column, text in zip(axes, (1, 2), ("seconds", "peak MB above imports"), strict=True):
        drawn = []
        for system, curve in curves.items():
            look = {"linewidth": 2.2 if system == "fasttsne" else 1.4} | plots.style(system)
            x, y = curve[:, 0], curve[:, column]
            slope = np.log(y[-1] / y[0]) / np.log(x[-1] / x[0]) if len(curve) > 1 else np.nan
            drawn.append((f"{system} ({slope:.2f})", x, y, look))
        plots.lines(ax, text, drawn, "points", margins=(1.2, 1.2))
    plots.save(figure, path)


DATA = "digits,swiss_roll,noise,blobs,mnist10k,mnist"
SIZES = "10k,20k,50k,100k,200k,500k,1000k"
BENCHMARKS = {
    "peers": Benchmark(
        measure_peers,
        write_peers,
        Runner.options | {"data": DATA, "systems": ALL, "repeats": 3},
        {"data": "digits,blobs500", "repeats": 1},
    ),
    "time_to_quality": Benchmark(
        measure_time_to_quality,
        write_time_to_quality,
        Runner.options | {"data": "mnist", "systems": FEW, "repeats": 1},
        {"data": "digits"},
    ),
    "scaling": Benchmark(
        measure_scaling,
        write_scaling,
        Runner.options
        | {"data": "mixture", "sizes": SIZES, "systems": FEW, "repeats": 1, "limit": 30.0},
        {"sizes": "500,1k,2k"},
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
