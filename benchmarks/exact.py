"""Against exact t-SNE: time, force error and KL gap, by number of points and angle.

Exact t-SNE sums over all pairs, ours and scikit-learn's. Beside it Barnes-Hut at several angles:
its seconds, the KL divergence of its map less that of the same package's exact map (the gap; maps
differ by chance as well, which the spread over seeds shows), and the error of the repulsive force,
||F/Z - F*/Z*|| / ||F*/Z*|| against sums over all pairs in float64, with the milliseconds of one
evaluation. Exact t-SNE knows the p of all pairs; so does the judge here, as far as they matter,
with up to 1,000 neighbours of each point. The gap then holds all that Barnes-Hut leaves out.

``python benchmarks/exact.py`` takes about half an hour, most of it scikit-learn's; a run of more
than ``--limit`` minutes (default: 15) is left out.
"""

import sys
from statistics import median

import numpy as np
import plots
import report
from runner import Runner, alternating, output_directory, parser
from systems import SYSTEMS, versions

SIZES = "500,1k,2k,5k,10k,20k"
ANGLES = 0.2, 0.4, 0.5, 0.6, 0.8, 1.0
N_NEIGHBORS = 1_000  # in the judge's P
FEW = 2_000  # points; above, one run each
CHOSEN = "fasttsne", "scikit-learn"
NANOSECONDS = {"fasttsne": 1.0, "scikit-learn": 10.0}  # of a pair and iteration: for estimates


def variants(system):
    """Exact, and Barnes-Hut at the angles; scikit-learn's only at its default, since it is slow."""
    angles = ANGLES if system == "fasttsne" else (0.5,)
    return [{"method": "exact"}, *({"angle": angle} for angle in angles)]


def measure_forces(runner, name, threads):
    """Errors and milliseconds at every angle on our finished map, kept like runs."""
    import forces

    wanted = {}
    for system in runner.systems:
        slots = [runner.slot(name, system, force_angle=angle) for angle in ANGLES]
        wanted |= {(system, s["options"]["force_angle"]): s for s in runner.missing(slots)}
    if not wanted:
        return
    Y = forces.finished_map(name, limit=None)
    repulsion, sum_q = forces.exact_repulsion(Y)
    exact = repulsion / sum_q
    for (system, angle), slot in wanted.items():
        function = forces.evaluation(system, Y, angle, threads)
        actual, milliseconds = forces.timed(function)
        figures = {
            "force_error": float(np.linalg.norm(actual - exact) / np.linalg.norm(exact)),
            "force_milliseconds": milliseconds,
            "n_samples": len(Y),
        }
        runner.store.add(slot, versions(system), figures)


def select(runs, system, n_samples, **options):
    return [
        run
        for run in runs
        if run["slot"]["system"] == system
        and run["n_samples"] == n_samples
        and run["slot"]["options"] == options
    ]


def write(runs, systems, directory):
    sizes = sorted({run["n_samples"] for run in runs})
    parts = ["# Against exact t-SNE", report.circumstances(runs)]
    rows = []
    for n_samples in sizes:
        for system in systems:
            exact = select(runs, system, n_samples, method="exact")
            for options in variants(system):
                group = select(runs, system, n_samples, **options)
                if not group:
                    continue
                kls = [run["kl_divergence"] for run in group]
                gaps = []
                if exact and group is not exact and "angle" in options:
                    by_seed = {run["slot"]["seed"]: run["kl_divergence"] for run in exact}
                    seeds = [(run, run["slot"]["seed"]) for run in group]
                    gaps = [r["kl_divergence"] - by_seed[s] for r, s in seeds if s in by_seed]
                rows.append(
                    [
                        f"{n_samples:,}",
                        system,
                        options.get("angle", "exact"),
                        report.spread([run["seconds"] for run in group]),
                        report.spread(kls, fixed=4),
                        report.spread(gaps, fixed=4),
                        report.spread([run["recall"] for run in group], fixed=3),
                    ]
                )
    header = ["points", "system", "angle", "seconds", "KL divergence", "KL gap", "recall@10"]
    parts += ["## Maps", report.table(header, rows)]
    rows = []
    for n_samples in sizes:
        for angle in ANGLES:
            cells = []
            for system in systems:
                found = select(runs, system, n_samples, force_angle=angle)
                cells += [percent(found), *[report.number(r["force_milliseconds"]) for r in found]]
                cells += ["-"] * (not found)
            if any(cell != "-" for cell in cells):
                rows.append([f"{n_samples:,}", angle, *cells])
    header = [f"{what}, {system}" for system in systems for what in ("error", "ms")]
    parts += [
        "## Forces",
        "Error of the repulsive force on our finished map, and one evaluation, tree included.",
        report.table(["points", "angle", *header], rows),
    ]
    report.publish(directory, "exact", "\n\n".join(parts))
    draw(runs, systems, sizes, directory / "exact.png")


def percent(found):
    if not found:
        return "-"
    error = 100 * found[0]["force_error"]
    return f"{report.number(error)} %" if error >= 0.001 else "< 0.001 %"


def draw(runs, systems, sizes, path):
    """Seconds by points, exact beside Barnes-Hut; force error by angle on the largest map."""
    forces = [run["n_samples"] for run in runs if "force_angle" in run["slot"]["options"]]
    largest = max(forces, default=None)
    words = f"force error on our map of {largest:,} points; " if largest else ""
    threads = runs[0]["slot"]["threads"]
    figure, axes = plots.panels(
        2,
        "Against exact t-SNE",
        f"Dashed: exact; solid: Barnes-Hut at angle 0.5; {words}"
        f"{threads} thread{'s' if threads > 1 else ''}, {runs[0]['machine']}.",
        room=1.75,
    )
    plots.heading(axes[0], "seconds of a fit, by number of points")
    ends, every = {}, []
    for system in systems:
        for options, dashes, word in (
            ({"method": "exact"}, "--", "exact"),
            ({"angle": 0.5}, "-", "Barnes-Hut"),
        ):
            curve = [
                (n, median(run["seconds"] for run in group))
                for n in sizes
                if (group := select(runs, system, n, **options))
            ]
            if curve:
                look = plots.style(system)
                axes[0].plot(*zip(*curve, strict=True), dashes, markersize=5, **look)
                ends[f"{system}, {word}"] = (*curve[-1], look["color"])
                every += curve
    if every:
        limits(axes[0], *zip(*every, strict=True))
        plots.name_lines(axes[0], ends)
    axes[0].set_xlabel("points", size=9, color=plots.INK)

    plots.heading(axes[1], "error of the repulsive force, per cent")
    ends, every = {}, []
    for system in systems:
        curve = [
            (angle, 100 * group[0]["force_error"])
            for angle in ANGLES
            if (group := select(runs, system, largest, force_angle=angle))
        ]
        if curve:
            look = plots.style(system)
            axes[1].plot(*zip(*curve, strict=True), markersize=5, **look)
            ends[system] = (*curve[-1], look["color"])
            every += curve
    if every:
        plots.logarithmic(axes[1].yaxis, *bounds([error for _, error in every]))
        axes[1].set_ylim(*bounds([error for _, error in every]))
        plots.name_lines(axes[1], ends)
    axes[1].set_xlabel("angle", size=9, color=plots.INK)
    plots.save(figure, path)


def bounds(values):
    return min(values) / 1.3, max(values) * 1.3


def limits(ax, x, y):
    """Both axes logarithmic, with some air."""
    for axis, values, set_limits in ((ax.xaxis, x, ax.set_xlim), (ax.yaxis, y, ax.set_ylim)):
        plots.logarithmic(axis, *bounds(values))
        set_limits(*bounds(values))


def main():
    options = parser(__doc__, CHOSEN, "mnist")
    options.add_argument("--sizes", default=SIZES, help="(default: %(default)s)")
    options.set_defaults(limit=15)
    args = options.parse_args()
    if args.quick:
        args.data, args.sizes, args.repeats = "mixture", "200,400", 1
    runner = Runner(args, "exact", N_NEIGHBORS)
    systems = [system for system in runner.python if system in NANOSECONDS]

    def minutes(slot):
        n_samples = len(runner.load(slot["data"])[0].X)
        if "method" in slot["options"]:
            pairs = n_samples**2 * 1000
            return pairs * NANOSECONDS[slot["system"]] / 60e9 / args.threads
        return runner.estimate(slot)

    names = [f"{args.data}{size}" for size in args.sizes.split(",")]
    for name in names:
        if args.report:
            break
        repeats = args.repeats if len(runner.load(name)[0].X) <= FEW else 1

        def slots_of(system, repeat, name=name):
            return [runner.slot(name, system, repeat, **options) for options in variants(system)]

        here = [system for system in runner.systems if system in NANOSECONDS]
        if runner.run_all(alternating(here, repeats, slots_of), minutes):
            measure_forces(runner, name, args.threads)
    if args.plan:
        return 0
    runs = [run for run in runner.store.reported() if run["slot"]["data"] in names]
    if not runs:
        print("nothing measured", file=sys.stderr)
        return 1
    write(runs, [s for s in SYSTEMS if s in systems], output_directory(args))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
