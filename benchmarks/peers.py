"""Against peers: seconds, memory and quality of every t-SNE there is, at its defaults and at
equal iterations.

Each run is a fresh process that imports, warms up on 200 points and then times one fit; systems
take turns, and each repeat has its own seed. Every map is judged by judge.py, by one P for all.
Systems that are not installed are left out. At equal iterations each is told to do 1,000 (early
exaggeration included); one that stops by itself may do fewer, and the table says how many it did.

``python benchmarks/peers.py`` takes about an hour, most of it scikit-learn's and openTSNE's;
``--systems "fasttsne;scikit-learn" --data digits,mnist10k`` takes five minutes.
"""

import numpy as np
import plots
import report
from runner import Runner, alternating, output_directory, parser
from systems import SYSTEMS

DATA = "digits,swiss_roll,noise,blobs,mnist10k,mnist"
ITERATIONS = 1000
LONG = 1.5  # minutes; where a run takes longer, there is but one
MODES = {"default": "each at its defaults", "equal": f"{ITERATIONS:,} iterations each"}
COLUMNS = 0.8, 0.89, 1.0  # where the picture has its figures
HEAD = 0.95  # inches of it for its title
HEADER = (
    "seconds",
    "iterations",
    "KL divergence",
    "recall@10",
    "kNN accuracy@10",
    "strays",
    "peak MB",
)


def max_iter(system, mode):
    """None where the default is what is asked for: then one run serves both modes."""
    same = SYSTEMS[system].default_iterations == ITERATIONS
    return ITERATIONS if mode == "equal" and not same else None


def rows_of(runs, name, mode, systems):
    """The rows of one table, the fastest first."""
    groups = {}
    for system in systems:
        groups[system] = [
            run
            for run in runs
            if (run["slot"]["data"], run["slot"]["system"]) == (name, system)
            and run["slot"]["max_iter"] == max_iter(system, mode)
            and not run["slot"]["options"]
        ]
    groups = {system: group for system, group in groups.items() if group}
    order = sorted(groups, key=lambda system: np.median([r["seconds"] for r in groups[system]]))
    return [[system, groups[system]] for system in order]


def figures(group):
    """The cells of a row."""

    def values(key):
        return [run[key] for run in group]

    return [
        report.spread(values("seconds"), digits=3),
        report.spread(values("n_iter"), fixed=0)
        if len(set(values("n_iter"))) > 1
        else report.number(group[0]["n_iter"], fixed=0),
        report.spread(values("kl_divergence"), fixed=3),
        report.spread(values("recall"), fixed=3),
        report.spread(values("accuracy"), fixed=3),
        report.spread(values("strays"), fixed=2),
        report.number(max(values("peak_mb")), fixed=0),
    ]


def remarks(group):
    found = group[-1]["remarks"]
    return ", ".join(f"{key} {value}" for key, value in found.items())


def write(runs, names, systems, directory):
    """Tables of all data sets and modes, and the picture."""
    parts = ["# Against peers", report.circumstances(runs)]
    parts.append(
        "Median (least-most) of runs with different seeds; one P and one exact judge for all. "
        "Peak memory above what the imports take, data included."
    )
    for name in names:
        for mode, words in MODES.items():
            rows = rows_of(runs, name, mode, systems)
            if rows:
                parts.append(f"## {name}, {words}")
                cells = [[system, *figures(group)] for system, group in rows]
                parts.append(report.table([name, *HEADER], cells))
        said = {system: remarks(group) for system, group in rows if remarks(group)}
        if said:
            parts.append("; ".join(f"{system}: {words}" for system, words in said.items()) + ".")
    report.publish(directory, "peers", "\n\n".join(parts))
    if runs:
        draw(runs, names, systems, directory / "peers.png")


def draw(runs, names, systems, path):
    """Seconds at the defaults, a row a system, a panel a data set; quality in words."""
    tables = {name: rows_of(runs, name, "default", systems) for name in names}
    tables = {name: rows for name, rows in tables.items() if rows}
    n_columns = min(3, len(tables))
    n_rows = -(-len(tables) // n_columns)
    most = max(len(rows) for rows in tables.values())
    height = 0.3 * most + 0.75
    figure, axes = plots.pyplot.subplots(
        n_rows,
        n_columns,
        figsize=(5.3 * n_columns, height * n_rows + HEAD),
        squeeze=False,
        layout="constrained",
    )
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - (HEAD - 0.2) / (height * n_rows + HEAD)))
    figure.text(0.008, 0.99, "Seconds of a fit, each system at its defaults", va="top", size=12,
                weight="bold", color=plots.INK)  # fmt: skip
    figure.text(
        0.008,
        0.99 - 0.25 / (height * n_rows + HEAD),
        "Median; thin line: least to most. Beside it KL divergence (less is better) and"
        f" recall@10 (more is better), by one exact judge.\n{runs[0]['machine']}.",
        va="top",
        size=8,
        color="#555555",
    )
    for ax in axes.flat[len(tables) :]:
        ax.remove()
    for ax, (name, rows) in zip(axes.flat, tables.items(), strict=False):
        times = [[run["seconds"] for run in group] for _, group in rows]
        low, high = min(map(min, times)) / 1.5, max(map(max, times))
        for at, (system, group) in enumerate(rows):
            mine, look = times[at], plots.style(system)
            middle = float(np.median(mine))
            ax.plot([low, middle], [at, at], color=plots.GRID, linewidth=1.2, zorder=1)
            ax.plot([min(mine), max(mine)], [at, at], color=look["color"], linewidth=1.5)
            ax.plot(middle, at, markersize=7, linestyle="none", **look)
            kl = np.median([run["kl_divergence"] for run in group])
            recall = np.median([run["recall"] for run in group])
            words = report.number(middle), f"{kl:.2f}", f"{recall:.3f}"
            for place, word in zip(COLUMNS, words, strict=True):
                ax.text(place, at, word, **plots.cell(ax))
        for place, word in zip(COLUMNS, ("seconds", "KL", "recall"), strict=True):
            ax.text(place, -0.85, word, **plots.cell(ax, heading=True))
        plots.logarithmic(ax.xaxis, low, high * 1.2)
        # Room on the right for the figures, on a logarithmic axis.
        ax.set_xlim(low, high * (high / low) ** 0.75)
        ax.set_ylim(most - 0.4, -1.25)
        ax.set_yticks(range(len(rows)), [system for system, _ in rows], size=8.5)
        for label, (system, _) in zip(ax.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if system == "fasttsne" else "normal")
        ax.tick_params(axis="y", length=0)
        ax.tick_params(axis="x", labelsize=8, colors="#444444", which="both")
        ax.spines["bottom"].set_bounds(low, high * 1.2)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.spines["bottom"].set_color("#999999")
        plots.heading(ax, f"{name}, {group[0]['n_samples']:,} points")
    plots.save(figure, path)


def main():
    # openTSNE chooses FFT itself from 10,000 points on; below, that is only slow.
    options = parser(__doc__, [name for name in SYSTEMS if name != "openTSNE, FFT"], DATA)
    options.add_argument("--modes", default=",".join(MODES), help="(default: %(default)s)")
    args = options.parse_args()
    if args.quick:
        args.data, args.repeats = "digits,blobs500", 1
    names, modes = args.data.split(","), args.modes.split(",")
    runner = Runner(args, "peers")
    systems = list(runner.python)

    for name in [] if args.report else names:
        n_samples = len(runner.load(name)[0].X)

        def slots_of(system, repeat, name=name):
            # Both modes are one slot where the default is what is asked for.
            limits = dict.fromkeys(max_iter(system, mode) for mode in modes)
            slots = [runner.slot(name, system, repeat, limit) for limit in limits]
            return [slot for slot in slots if repeat == 0 or runner.estimate(slot) <= LONG]

        systems_here = [name for name in runner.systems if SYSTEMS[name].differs_from <= n_samples]
        runner.run_all(alternating(systems_here, args.repeats, slots_of))
    if not args.plan:
        write(runner.store.reported(), names, systems, output_directory(args))


if __name__ == "__main__":
    main()
