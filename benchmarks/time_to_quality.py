"""Time to quality: KL divergence and recall@10 against seconds, a curve for each system.

A point is one budget of iterations: a fresh process each, timed whole, judged by one exact judge.
openTSNE calls back while it runs, so its curve is one run with the clock stopped at snapshots.
The larger mark is the system's own default.

``python benchmarks/time_to_quality.py`` takes about half an hour, most of it scikit-learn's.
"""

import sys

import numpy as np
import plots
import report
from runner import Runner, alternating, output_directory, parser
from systems import SYSTEMS

BUDGETS = 250, 300, 400, 500, 750, 1000
SLOW_BUDGETS = 250, 500, 750, 1000  # of scikit-learn's 25 seconds a hundred
SNAPSHOTS_EVERY = 50
CHOSEN = "fasttsne", "scikit-learn-intelex", "openTSNE", "scikit-learn"


def is_snapshots(system):
    return SYSTEMS[system].package == "openTSNE"


def slots(runner, name, systems, repeats):
    """What there is to run: budgets, or one run with snapshots, and always the default."""

    def of_one(system, repeat):
        whole = [runner.slot(name, system, repeat)]
        if is_snapshots(system):
            every = {"snapshots_every": SNAPSHOTS_EVERY}
            return [runner.slot(name, system, repeat, max(BUDGETS), **every), *whole]
        budgets = SLOW_BUDGETS if system == "scikit-learn" else BUDGETS
        limits = [n for n in budgets if n != SYSTEMS[system].default_iterations]
        return [*(runner.slot(name, system, repeat, limit) for limit in limits), *whole]

    return alternating(systems, repeats, of_one)


def points(runs, name, system):
    """A curve: (iterations, seconds, KL, recall, is it the default), by iterations."""
    mine = [r for r in runs if (r["slot"]["data"], r["slot"]["system"]) == (name, system)]
    groups = {}
    for run in mine:
        limit = run["slot"]["max_iter"]
        for shot in run.get("snapshots", []):
            groups.setdefault((shot["n_iter"], False), []).append(shot)
        if "snapshots" not in run:
            groups.setdefault((limit or run["n_iter"], limit is None), []).append(run)
    found = []
    for (n_iter, default), group in groups.items():
        middle = [
            float(np.median([one[key] for one in group]))
            for key in ("seconds", "kl_divergence", "recall")
        ]
        found.append((n_iter, *middle, default))
    return sorted(found, key=lambda point: (point[0], point[4]))


def write(runs, names, systems, directory):
    parts = ["# Time to quality", report.circumstances(runs)]
    parts.append("The default of each system is marked with an asterisk.")
    for name in names:
        curves = {system: points(runs, name, system) for system in systems}
        curves = {system: curve for system, curve in curves.items() if curve}
        if not curves:
            continue
        rows = []
        for system, curve in curves.items():
            for n_iter, seconds, kl, recall, default in curve:
                if is_snapshots(system) and n_iter % 250 and not default:
                    continue  # they are in the picture
                label = f"{system}{' *' if default else ''}"
                rows.append([label, n_iter, report.number(seconds), f"{kl:.3f}", f"{recall:.3f}"])
        header = [name, "iterations", "seconds", "KL divergence", "recall@10"]
        parts += [f"## {name}", report.table(header, rows)]
        parts += level_table(curves)
        draw(runs, name, curves, directory / f"time_to_quality_{name}.png")
    report.publish(directory, "time_to_quality", "\n\n".join(parts))


def level_table(curves):
    """Seconds until a map is as good as each system's default one."""
    defaults = {s: [p for p in curve if p[4]] for s, curve in curves.items()}
    rows = []
    for judged, (default, *_) in ((s, d) for s, d in defaults.items() if d):
        row = [f"{judged}'s default, {default[2]:.3f}"]
        for curve in curves.values():
            reached = [seconds for _, seconds, kl, _, _ in curve if kl <= default[2]]
            row.append(report.number(min(reached)) if reached else "not reached")
        rows.append(row)
    if len(rows) < 2:
        return []
    return ["Seconds until KL is as low as:", report.table(["", *curves], rows)]


def draw(runs, name, curves, path):
    """KL and recall against seconds."""
    first = next(run for run in runs if run["slot"]["data"] == name)
    threads = first["slot"]["threads"]
    figure, axes = plots.panels(
        2,
        f"Time to quality: {name}, {first['n_samples']:,} x {first['n_features']}",
        "One mark a budget of iterations; large and ringed: the system's default. Judged exactly,"
        f" on one P. {threads} thread{'s' if threads > 1 else ''}, {first['machine']}.",
    )
    seconds = [point[1] for curve in curves.values() for point in curve]
    low, high = min(seconds) / 1.15, max(seconds) * 1.1
    best, worst = extremes(curves, 2, min, max)
    most, least = extremes(curves, 3, max, min)
    plots.heading(axes[0], "KL divergence (less is better)")
    plots.heading(axes[1], "recall@10 (more is better)")
    margin = 0.06 * (worst - best)
    axes[0].set_ylim(best - margin, worst + margin)
    margin = 0.06 * (most - least)
    axes[1].set_ylim(least - margin, most + margin)
    for ax, column in zip(axes, (2, 3), strict=True):
        ends = {}
        for system, curve in curves.items():
            look = plots.style(system)
            # The default of a system with snapshots is another run: not on the line.
            line = [p for p in curve if not (is_snapshots(system) and p[4])] or curve
            x, y = [p[1] for p in line], [p[column] for p in line]
            width = 2.2 if system == "fasttsne" else 1.4
            size = 2.5 if is_snapshots(system) else 4
            ax.plot(x, y, linewidth=width, markersize=size, **look)
            for point in curve:
                if point[4]:
                    ringed = {"markeredgecolor": "white", "markeredgewidth": 1.2, "zorder": 5}
                    place = point[1], point[column]
                    ax.plot(*place, markersize=9, linestyle="none", **ringed, **look)
            ends[system] = (x[-1], y[-1], look["color"])
        ax.set_xlim(low, high)
        plots.logarithmic(ax.xaxis, low, high)
        ax.set_xlabel("seconds", size=9, color=plots.INK)
        plots.name_lines(ax, ends)
    plots.save(figure, path)


def extremes(curves, column, best, worst):
    """The best value there is, and the worst worth showing.

    Maps from the middle of early exaggeration are so bad that the rest would be a flat line:
    what is shown goes three times as far from the best as the worst default, but at least a tenth
    of the best, lest noise fill the picture.
    """
    values = [point[column] for curve in curves.values() for point in curve]
    defaults = [point[column] for curve in curves.values() for point in curve if point[4]]
    top = best(values)
    if not defaults:
        return top, worst(values)
    reach = max(3 * abs(worst(defaults) - top), 0.1 * abs(top))
    return top, top + reach if worst(values) > top else top - reach


def main():
    args = parser(__doc__, CHOSEN, "mnist", repeats=1).parse_args()
    if args.quick:
        args.data, args.repeats = "digits", 1
    names = args.data.split(",")
    runner = Runner(args, "time_to_quality")
    for name in names:
        runner.run_all(slots(runner, name, runner.systems, args.repeats))
    if args.plan:
        return 0
    runs = runner.store.reported()
    if not runs:
        print("nothing measured", file=sys.stderr)
        return 1
    write(runs, names, list(runner.python), output_directory(args))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
