"""Where the time goes: milliseconds of each stage and of each part of an iteration, beside bounds.

By number of points, threads and instruction set; each of these a process of its own. An iteration
is taken apart on two maps, one from early exaggeration, when everything is close together, and one
finished. Each figure is the least of the repeats, as noise only ever adds.

Attraction is an evaluation of all forces less one with a P of next to no edges, the update an
iteration of the descent less an evaluation: differences, so small ones are uncertain. The KL
divergence is what a look at the stopping rules adds to an iteration.

The bounds: attraction cannot be faster than P can be read, at the bandwidth measured here on an
array of P's size; and repulsion is put into pairs, that is how many interactions with single points
could be computed in its time, at the rate measured here with angle 0, which is N for exact t-SNE.

``python benchmarks/stages.py`` takes about 20 minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import plots
import report
from data import load
from runner import THREAD_VARIABLES, Store, output_directory
from systems import versions

STAGES = ("neighbours", "calibration", "symmetrisation", "PCA start", "whole fit_transform")
PARTS = ("tree and repulsion", "attraction", "update")
COLORS = ("#0072B2", "#E69F00", "#999999")
WORDS = {
    "iteration": "an iteration",
    **{part: f"– {part}" for part in PARTS},
    "KL divergence": "KL divergence, at a check",
}
ISAS = ("avx512", "avx2", "baseline")  # in this order; others after them
ANGLE = 0.5
PAIRS_OF = 10_000  # points whose pairs give the rate


def least(function, repeats, enough=0.2):
    """The least of so many times, in milliseconds, after one run that does not count.

    What is short is repeated for `enough` seconds: some of its runs escape whatever else runs.
    """
    function()
    times = []
    while len(times) < repeats or sum(times) < 1e3 * enough:
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


def bandwidth(n_bytes, n_threads, repeats):
    """GB/s at which so many bytes are read, every thread its own share."""
    shares = np.array_split(np.ones(max(n_bytes // 4, 4 * n_threads), np.float32), n_threads)
    with ThreadPoolExecutor(n_threads) as pool:
        # Both only read; which is the faster one depends on the build of NumPy.
        times = [
            least(lambda function=function: list(pool.map(function, shares)), repeats)
            for function in (np.max, np.sum)
        ]
    return sum(share.nbytes for share in shares) / min(times) / 1e6


def child(spec):
    """All figures of one number of threads and one instruction set."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["threads"]])
    from forces import two_edges

    from fasttsne import TSNE, _kernels
    from fasttsne.affinity import conditional_probabilities, joint_probabilities
    from fasttsne.initialization.start import initial_embedding
    from fasttsne.neighbors import nearest_neighbors

    X, n_threads, repeats = np.load(spec["X"]), spec["threads"], spec["repeats"]
    n_samples, k = len(X), min(len(X) - 1, 91)
    stages, kept = {}, {}

    def timed(stage, function, *args, **kwargs):
        def call():
            kept[stage] = function(*args, **kwargs)

        start = time.perf_counter()
        call()
        first = 1e3 * (time.perf_counter() - start)
        # What takes seconds is not run again and again.
        stages[stage] = first if first > 5e3 else min(first, least(call, repeats))
        return kept.pop(stage)

    indices, squared = timed("neighbours", nearest_neighbors, X, k, n_threads=n_threads)
    conditional, _ = timed(
        "calibration", conditional_probabilities, squared, 30.0, n_threads=n_threads
    )
    joint = timed("symmetrisation", joint_probabilities, indices, conditional, n_threads=n_threads)
    start = timed("PCA start", initial_embedding, X, "pca", 2, np.random.RandomState(0))
    if spec["whole"]:
        tsne = TSNE(random_state=0, n_jobs=n_threads)
        timed("whole fit_transform", tsne.fit_transform, X)
        stages["iterations"] = int(tsne.n_iter_) + 1

    def descent(Y, forces, n_iter, rate, momentum, exaggeration):
        velocity, gains = np.zeros_like(Y), np.ones_like(Y)
        forces.evaluate(Y, False)
        forces.reorder(Y, velocity, gains)
        _kernels.descend(forces, Y, velocity, gains, n_iter, rate, momentum, exaggeration)

    maps = Path(spec["maps"])
    if not maps.exists():  # once for all, so that all have the same maps
        early = start.copy()
        forces = _kernels.BarnesHutForces(*joint, 2, 1.0, ANGLE, n_threads)
        descent(early, forces, 50, max(n_samples / 48, 50.0), 0.5, 12.0)
        unsorted = np.empty_like(early)
        unsorted[forces.order] = early
        finished = TSNE(random_state=0, n_jobs=n_threads).fit_transform(X)
        np.savez(maps, early=unsorted, finished=finished)

    iteration = {}
    for name, Y in np.load(maps).items():
        Y = np.ascontiguousarray(Y, dtype=np.float32)
        forces = _kernels.BarnesHutForces(*joint, 2, 1.0, ANGLE, n_threads)
        velocity, gains = np.zeros_like(Y), np.ones_like(Y)
        forces.evaluate(Y, False)
        forces.reorder(Y, velocity, gains)
        bare = _kernels.BarnesHutForces(*two_edges(n_samples), 2, 1.0, ANGLE, n_threads)
        repulsion = least(lambda bare=bare, Y=Y: bare.evaluate(Y, False), repeats)
        everything = least(lambda forces=forces, Y=Y: forces.evaluate(Y, False), repeats)

        def still(n_iter, forces=forces, Y=Y, velocity=velocity, gains=gains):
            # A learning rate of nothing: the same work, and the map stays where it is.
            _kernels.descend(forces, Y, velocity, gains, n_iter, 0.0, 0.0, 1.0)

        # Of a descent the last iteration computes the KL divergence: hence the difference.
        whole = (
            least(lambda still=still: still(11), repeats)
            - least(lambda still=still: still(1), repeats)
        ) / 10
        divergence = least(lambda forces=forces, Y=Y: forces.evaluate(Y, True), repeats)
        parts = (repulsion, everything - repulsion, whole - everything)
        iteration[name] = dict(zip(PARTS, parts, strict=True))
        iteration[name] |= {"iteration": whole, "KL divergence": divergence - everything}

    some = np.ascontiguousarray(Y[:PAIRS_OF])
    pairs = _kernels.BarnesHutForces(*two_edges(len(some)), 2, 1.0, 0.0, n_threads)
    seconds = least(lambda: pairs.evaluate(some, False), repeats) / 1e3
    n_bytes = sum(array.nbytes for array in joint)
    figures = {
        "n_samples": n_samples,
        "n_features": X.shape[1],
        "edges": len(joint.indices),
        "stages": stages,
        "iteration": iteration,
        "bytes_of_P": n_bytes,
        "gigabytes_per_second": bandwidth(n_bytes, n_threads, repeats),
        "pairs_per_second": len(some) ** 2 / seconds,
        "load_at_start": spec["load"],
    }
    Path(spec["figures"]).write_text(json.dumps(figures), encoding="utf-8")


def measure(spec):
    """Start such a process; returns its figures."""
    n_threads = str(spec["threads"])
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, n_threads)
    environment |= {"FASTTSNE_ISA": spec["isa"]}
    spec |= {"load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}
    command = [sys.executable, __file__, "--child", json.dumps(spec)]
    subprocess.run(command, check=True, env=environment)
    return json.loads(Path(spec["figures"]).read_text(encoding="utf-8"))


def bounds(run, name):
    """Milliseconds to read P, and repulsion in pairs a point."""
    stream = run["bytes_of_P"] / run["gigabytes_per_second"] / 1e6
    seconds = run["iteration"][name]["tree and repulsion"] / 1e3
    return stream, seconds * run["pairs_per_second"] / run["n_samples"]


def name_of(run):
    """Instruction set and threads."""
    n_threads, isa = run["slot"]["threads"], run["slot"]["isa"]
    return f"{isa}, {n_threads} thread{'s' if n_threads > 1 else ''}"


def place(run):
    """Where a run stands in the table."""
    isa = run["slot"]["isa"]
    return (ISAS.index(isa) if isa in ISAS else len(ISAS)), isa, run["slot"]["threads"]


def write(runs, names, directory):
    parts = ["# Stages", report.circumstances(runs), "Milliseconds, the least of the repeats."]
    shown = {}
    for name in names:
        columns = sorted((run for run in runs if run["slot"]["data"] == name), key=place)
        if not columns:
            continue
        shown[name] = columns
        rows = [
            [stage, *[report.number(run["stages"].get(stage)) for run in columns]]
            for stage in STAGES
        ]
        iterations = [report.number(run["stages"].get("iterations"), fixed=0) for run in columns]
        rows.append(["its iterations", *iterations])
        for which in columns[0]["iteration"]:
            for part, words in WORDS.items():
                cells = [report.number(run["iteration"][which][part]) for run in columns]
                label = f"{which} map: {words}"
                rows.append([label, *cells])
        of = [bounds(run, "finished") for run in columns]
        rows += [
            ["bound of attraction: P read once", *[report.number(stream) for stream, _ in of]],
            ["repulsion in pairs a point, finished", *[f"{pairs:,.0f}" for _, pairs in of]],
            ["GB/s read", *[report.number(run["gigabytes_per_second"]) for run in columns]],
            ["10⁹ pairs/s", *[report.number(run["pairs_per_second"] / 1e9) for run in columns]],
        ]
        head = columns[0]
        parts.append(f"## {name}, {head['n_samples']:,} x {head['n_features']}")
        megabytes = head["bytes_of_P"] / 1e6
        parts.append(f"P: {head['edges']:,} edges, {megabytes:,.1f} MB.")
        parts.append(report.table([name, *map(name_of, columns)], rows))
    report.publish(directory, "stages", "\n\n".join(parts))
    draw(shown, directory / "stages.png")


def draw(shown, path):
    """An iteration on the finished map, its parts end to end, and the bound of attraction."""
    most = max(map(len, shown.values()))
    figure, axes = plots.panels(
        len(shown),
        "One iteration on a finished map, in milliseconds",
        "Tick on the attraction: the time that reading P once takes. Least of repeats. "
        f"{next(iter(shown.values()))[0]['machine']}.",
        width=4.8,
        height=0.36 * most + 1.5,
        room=0.4,
        left=1.25,
    )
    for ax, (name, runs) in zip(axes, shown.items(), strict=True):
        for at, run in enumerate(runs):
            parts, left = run["iteration"]["finished"], 0.0
            for part, color in zip(PARTS, COLORS, strict=True):
                width = max(parts[part], 0.0)
                ax.barh(at, width, left=left, height=0.62, color=color, label=part)
                if part == "attraction":
                    x = left + bounds(run, "finished")[0]
                    ax.plot([x, x], [at - 0.31, at + 0.31], color="black", linewidth=1.4)
                left += width
            ax.text(left, at, f" {report.number(parts['iteration'])}", va="center", size=8)
        ax.set_yticks(range(len(runs)), map(name_of, runs), size=8.5)
        ax.set_ylim(most - 0.4, -0.6)
        widths = [sum(max(run["iteration"]["finished"][part], 0) for part in PARTS) for run in runs]
        ax.set_xlim(0, 1.15 * max(widths))
        ax.grid(False, axis="y")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        plots.heading(ax, f"{name}, {runs[0]['n_samples']:,} points")
    handles = [plots.pyplot.Rectangle((0, 0), 1, 1, color=color) for color in COLORS]
    figure.legend(
        handles, PARTS, loc="lower left", ncol=3, frameon=False, fontsize=8.5, handlelength=1
    )
    plots.save(figure, path)


def main():
    options = report.parser(__doc__)
    options.add_argument("--data", default="digits,mnist10k,mnist", help="(default: %(default)s)")
    options.add_argument("--threads", help="numbers, by commas (default: 1 and all cores)")
    options.add_argument("--isa", help="instruction sets, by commas (default: all there are)")
    options.add_argument("--repeats", type=int, default=5, help="(default: %(default)s)")
    options.add_argument("--again", action="store_true", help="measure what is there already")
    options.add_argument("--report", action="store_true", help="only tables and plots")
    options.add_argument("--quick", action="store_true", help="a trial on small data")
    options.add_argument("--output", type=Path, help="directory (default: benchmarks/results)")
    options.add_argument("--child", help="for internal use")
    args = options.parse_args()
    if args.child:
        return child(json.loads(args.child))
    if args.quick:
        args.data, args.repeats = "blobs500,mixture2k", 2
    directory = output_directory(args)
    store = Store(directory / "stages.json")
    names = args.data.split(",")
    threads = sorted({1, report.cores()})
    if args.threads:
        threads = [int(number) for number in args.threads.split(",")]
    if not args.report:
        from fasttsne import show_config

        # The best one first: it also draws the maps.
        isas = show_config(mode="dicts")["instruction_sets"]
        isas = args.isa.split(",") if args.isa else isas[::-1]
        for name in names:
            run_all(store, name, isas, threads, args)
    runs = store.reported()
    if not runs:
        print("nothing measured", file=sys.stderr)
        return 1
    write(runs, names, directory)
    return 0


def run_all(store, name, isas, threads, args):
    """Measure what is missing of one data set."""
    found = versions("fasttsne")
    # float32 is what the kernels work on.
    X = np.ascontiguousarray(load(name).X, dtype=np.float32)
    with tempfile.TemporaryDirectory() as directory:
        files = {key: str(Path(directory) / key) for key in ("X.npy", "maps.npz", "figures.json")}
        np.save(files["X.npy"], X)
        spec = {key.partition(".")[0]: path for key, path in files.items()}
        for isa in isas:
            for n_threads in threads:
                slot = {"data": name, "threads": n_threads, "isa": isa}
                if store.find(slot, found) and not args.again:
                    continue
                more = {"repeats": args.repeats, "whole": isa == isas[0]}
                figures = measure(spec | slot | more)
                store.add(slot, found, figures)
                print(f"{name}, {isa}, {n_threads} threads: done", file=sys.stderr)


if __name__ == "__main__":
    main()
