"""Where time and memory go inside fasttsne.

- ``stages``: milliseconds of each stage and of each part of an iteration, by data, threads and
  instruction set, 20 minutes. Each combination is a new process. An iteration is taken apart on two
  maps, one from early exaggeration, when all points are close together, and one finished. Figures
  are the least of the repeats, because noise only adds.

  Attraction is an evaluation of all forces less one with a P of two edges; the update is an
  iteration of the descent less an evaluation. Both are differences, so small ones are uncertain.
  The KL divergence is what a check of the stopping rules adds to an iteration.

  Two bounds stand beside them. Attraction cannot be faster than reading P, at the bandwidth
  measured here on an array of P's size. Repulsion is given in pairs: the interactions with single
  points that take as long, at the rate measured here with angle 0. Exact t-SNE has N per point.
- ``memory``: peak of one fit of 70,000 x 50 above the imports, data included, and growth over ten
  fits of 5,000 points, a minute. Each is a new process. Fails over the limits.
"""

import gc
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from data import load
from runner import Benchmark, fresh, grouped, least, main, number, table, timed
from systems import cores, load_average, resident, versions

STAGES = ("neighbours", "calibration", "symmetrisation", "PCA start", "whole fit_transform")
PARTS = {"tree and repulsion": "#0072B2", "attraction": "#E69F00", "update": "#999999"}
WORDS = {
    "iteration": "an iteration",
    **{part: f"– {part}" for part in PARTS},
    "KL divergence": "KL divergence, at a check",
}
ISAS = ("avx512", "avx2", "baseline")  # in this order; others after them
ANGLE = 0.5
PAIRS_OF = 10_000  # points whose pairs give the rate

LIMIT = 500  # MB above the imports, for 70,000 x 50 at perplexity 30
ALLOWED_GROWTH = 5  # MB between the third fit and the last
N_FITS = 10


# ---- Stages --------------------------------------------------------------------------------------


def milliseconds(function, repeats):
    return 1e3 * least(function, repeats, enough=0.2)


def bandwidth(n_bytes, n_threads, repeats):
    """Return the GB/s at which threads read `n_bytes`, each its own share."""
    shares = np.array_split(np.ones(max(n_bytes // 4, 4 * n_threads), np.float32), n_threads)
    with ThreadPoolExecutor(n_threads) as pool:
        # Both only read; which one is faster depends on the build of NumPy.
        times = [
            milliseconds(lambda function=function: list(pool.map(function, shares)), repeats)
            for function in (np.max, np.sum)
        ]
    return sum(share.nbytes for share in shares) / min(times) / 1e6


def prepared(Y, joint, n_threads):
    """Return the forces of a map, and what a descent changes; Y gets the order of the forces."""
    from fasttsne._kernels import BarnesHutForces

    forces = BarnesHutForces(*joint, 2, 1.0, ANGLE, n_threads)
    velocity, gains = np.zeros_like(Y), np.ones_like(Y)
    forces.evaluate(Y, False)
    forces.reorder(Y, velocity, gains)
    return forces, velocity, gains


def stages_of(path, maps, n_threads, repeats, whole):
    """Return all figures of a number of threads, in a new process of an instruction set."""
    from exact import two_edges

    from fasttsne import TSNE, _kernels
    from fasttsne.affinity import conditional_probabilities, joint_probabilities
    from fasttsne.initialization.start import initial_embedding
    from fasttsne.neighbors import nearest_neighbors

    load_at_start, X, stages = load_average(), np.load(path), {}
    n_samples, k = len(X), min(len(X) - 1, 91)

    def stage(name, function, *args, **kwargs):
        result, seconds = timed(function, *args, **kwargs)
        stages[name] = 1e3 * seconds
        if seconds < 5:  # long stages are not repeated
            again = milliseconds(lambda: function(*args, **kwargs), repeats)
            stages[name] = min(stages[name], again)
        return result

    indices, distances = stage("neighbours", nearest_neighbors, X, k, n_threads=n_threads)
    conditional, _ = stage(
        "calibration", conditional_probabilities, distances**2, 30.0, n_threads=n_threads
    )
    joint = stage("symmetrisation", joint_probabilities, indices, conditional, n_threads=n_threads)
    start = stage("PCA start", initial_embedding, X, "pca", 2, np.random.RandomState(0))
    if whole:
        tsne = TSNE(random_state=0, n_jobs=n_threads)
        stage("whole fit_transform", tsne.fit_transform, X)
        stages["iterations"] = int(tsne.n_iter_) + 1

    if not Path(maps).exists():  # the first process draws the maps of all
        early = start.copy()
        forces, velocity, gains = prepared(early, joint, n_threads)
        rate = max(n_samples / 48, 50.0)
        _kernels.descend(forces, early, velocity, gains, 50, rate, 0.5, 12.0)
        unsorted = np.empty_like(early)
        unsorted[forces.order] = early
        finished = TSNE(random_state=0, n_jobs=n_threads).fit_transform(X)
        np.savez(maps, early=unsorted, finished=finished)

    iteration = {}
    for name, Y in np.load(maps).items():
        Y = np.ascontiguousarray(Y, dtype=np.float32)
        forces, velocity, gains = prepared(Y, joint, n_threads)
        bare = _kernels.BarnesHutForces(*two_edges(n_samples), 2, 1.0, ANGLE, n_threads)

        def still(n_iter, forces=forces, Y=Y, velocity=velocity, gains=gains):
            # At learning rate 0 the work is the same, and the map does not move.
            _kernels.descend(forces, Y, velocity, gains, n_iter, 0.0, 0.0, 1.0)

        repulsion, everything, with_kl, eleven, one = (
            milliseconds(function, repeats)
            for function in (
                lambda bare=bare, Y=Y: bare.evaluate(Y, False),
                lambda forces=forces, Y=Y: forces.evaluate(Y, False),
                lambda forces=forces, Y=Y: forces.evaluate(Y, True),
                lambda still=still: still(11),
                lambda still=still: still(1),
            )
        )
        # The last iteration of a descent computes the KL divergence: hence the difference.
        step = (eleven - one) / 10
        parts = (repulsion, everything - repulsion, step - everything)
        iteration[name] = dict(zip(PARTS, parts, strict=True))
        iteration[name] |= {"iteration": step, "KL divergence": with_kl - everything}

    some = np.ascontiguousarray(Y[:PAIRS_OF])
    pairs = _kernels.BarnesHutForces(*two_edges(len(some)), 2, 1.0, 0.0, n_threads)
    n_bytes = sum(array.nbytes for array in joint)
    return {
        "n_samples": n_samples,
        "n_features": X.shape[1],
        "edges": len(joint.indices),
        "stages": stages,
        "iteration": iteration,
        "bytes_of_P": n_bytes,
        "gigabytes_per_second": bandwidth(n_bytes, n_threads, repeats),
        "pairs_per_second": 1e3
        * len(some) ** 2
        / milliseconds(lambda: pairs.evaluate(some, False), repeats),
        "load_at_start": load_at_start,
    }


def measure_stages(store, args):
    from fasttsne import show_config

    # The best instruction set comes first: it also draws the maps.
    isas = args.isa.split(",") if args.isa else show_config(mode="dicts")["instruction_sets"][::-1]
    found = versions("fasttsne")
    for name in args.data.split(","):
        with tempfile.TemporaryDirectory() as directory:
            path, maps = Path(directory) / "X.npy", Path(directory) / "maps.npz"
            np.save(path, np.ascontiguousarray(load(name).X, dtype=np.float32))
            for isa in isas:
                for n_threads in map(int, args.threads.split(",")):
                    slot = {"data": name, "threads": n_threads, "isa": isa}
                    if store.needs(slot, found):
                        spec = (path, maps, n_threads, args.repeats, isa == isas[0])
                        figures = fresh(stages_of, *spec, threads=n_threads, FASTTSNE_ISA=isa)
                        store.add(slot, found, figures)
                        print(f"{name}, {isa}, {n_threads} threads: done", file=sys.stderr)


def bounds(run, name):
    """Return the milliseconds to read P, and repulsion in pairs per point."""
    stream = run["bytes_of_P"] / run["gigabytes_per_second"] / 1e6
    seconds = run["iteration"][name]["tree and repulsion"] / 1e3
    return stream, seconds * run["pairs_per_second"] / run["n_samples"]


def name_of(run):
    """Return instruction set and threads."""
    n_threads, isa = run["slot"]["threads"], run["slot"]["isa"]
    return f"{isa}, {n_threads} thread{'s' if n_threads > 1 else ''}"


def place(run):
    """Return the sort key of a column."""
    isa = run["slot"]["isa"]
    return (ISAS.index(isa) if isa in ISAS else len(ISAS)), isa, run["slot"]["threads"]


def write_stages(runs, args):
    parts = ["# Stages", "Milliseconds, the least of the repeats."]
    shown = grouped(sorted(runs, key=place), "data")
    for name, columns in shown.items():
        head = columns[0]
        rows = [[stage, *[number(run["stages"].get(stage)) for run in columns]] for stage in STAGES]
        iterations = [number(run["stages"].get("iterations"), fixed=0) for run in columns]
        rows.append(["its iterations", *iterations])
        for which in head["iteration"]:
            for part, words in WORDS.items():
                cells = [number(run["iteration"][which][part]) for run in columns]
                rows.append([f"{which} map: {words}", *cells])
        of = [bounds(run, "finished") for run in columns]
        rows += [
            ["bound of attraction: P read once", *[number(stream) for stream, _ in of]],
            ["repulsion in pairs a point, finished", *[f"{pairs:,.0f}" for _, pairs in of]],
            ["GB/s read", *[number(run["gigabytes_per_second"]) for run in columns]],
            ["10⁹ pairs/s", *[number(run["pairs_per_second"] / 1e9) for run in columns]],
        ]
        parts += [
            f"## {name}, {head['n_samples']:,} x {head['n_features']}",
            f"P: {head['edges']:,} edges, {head['bytes_of_P'] / 1e6:,.1f} MB.",
            table([name, *map(name_of, columns)], rows),
        ]
    draw_stages(shown, args.output / "stages.png")
    return parts


def draw_stages(shown, path):
    """Draw an iteration on the finished map, its parts end to end, and the bound of attraction."""
    import pandas
    import plots

    first = next(iter(shown.values()))
    figure, axes = plots.panels(
        len(shown),
        "One iteration on a finished map, in milliseconds",
        "Tick on the attraction: the time that reading P once takes. Least of repeats. "
        f"{first[0]['machine']}.",
        height=0.36 * len(first) + 1.5,
    )
    for ax, (name, runs) in zip(axes, shown.items(), strict=True):
        parts = pandas.DataFrame(
            [run["iteration"]["finished"] for run in runs], index=map(name_of, runs)
        )
        bars = parts[list(PARTS)].clip(lower=0)
        bars.plot.barh(ax=ax, stacked=True, color=PARTS, width=0.62, legend=ax is axes[0])
        ax.bar_label(ax.containers[-1], parts["iteration"].map(number), padding=3, size=8)
        bound = bars["tree and repulsion"] + [bounds(run, "finished")[0] for run in runs]
        ax.plot(bound, range(len(runs)), "|", color="black", markersize=16, markeredgewidth=1.4)
        ax.margins(x=0.15)
        ax.invert_yaxis()
        ax.grid(False, axis="y")
        ax.set_title(f"{name}, {runs[0]['n_samples']:,} points", loc="left", size=9.5)
    plots.save(figure, path)


# ---- Memory --------------------------------------------------------------------------------------


def peak_of_fit(path):
    """Return the MB of imports, of the data, and of the peak of one fit."""
    from fasttsne import TSNE

    baseline = resident(peak=False)
    X = np.load(path)
    with_data = resident(peak=False)
    TSNE(random_state=0).fit(X)
    peak = resident(peak=True)
    return {"baseline": baseline, "data": with_data - baseline, "peak": peak - baseline}


def growth_of_fits(path):
    """Return the MB above the imports after each of ten fits."""
    from fasttsne import TSNE

    baseline, after = resident(peak=False), []
    X = np.load(path)
    for seed in range(N_FITS):
        TSNE(random_state=seed, max_iter=250).fit(X)
        gc.collect()
        after.append(resident(peak=False) - baseline)
    return {"after_each_fit": after}


def measure_memory(store, args):
    X, found = np.ascontiguousarray(load(args.data).X, dtype=np.float32), versions("fasttsne")
    for what, function, part in (("peak", peak_of_fit, X), ("growth", growth_of_fits, X[:5_000])):
        slot = {"data": args.data, "what": what}
        if store.needs(slot, found):
            with tempfile.TemporaryDirectory() as directory:
                path = Path(directory) / "X.npy"
                np.save(path, part)
                shape = {"n_samples": part.shape[0], "n_features": part.shape[1]}
                store.add(slot, found, shape | fresh(function, path))


def of_memory(runs):
    """Return the record of the peak, and the growth."""
    found = {run["slot"]["what"]: run for run in runs}
    after = found["growth"]["after_each_fit"]
    return found["peak"], after[-1] - after[2]


def write_memory(runs, args):
    peak, grown = of_memory(runs)
    rows = [
        ["imports", f"{peak['baseline']:.0f}"],
        [f"data, {peak['n_samples']:,} x {peak['n_features']}", f"{peak['data']:.0f}"],
        ["peak of one fit, above imports", f"{peak['peak']:.0f}"],
        [f"growth from fit 3 to fit {N_FITS}", f"{grown:.1f}"],
    ]
    return ["# Memory of a fit", table(["memory", "MB"], rows)]


def memory_failures(runs):
    peak, grown = of_memory(runs)
    if peak["peak"] > LIMIT or grown > ALLOWED_GROWTH:
        yield f"memory: the limits are {LIMIT} MB of a fit and {ALLOWED_GROWTH} MB of growth"


THREADS = ",".join(map(str, sorted({1, cores()})))
BENCHMARKS = {
    "stages": Benchmark(
        measure_stages,
        write_stages,
        {"data": "digits,mnist10k,mnist", "repeats": 5, "isa": "", "threads": THREADS},
        {"data": "blobs500,mixture2k", "repeats": 2},
    ),
    "memory": Benchmark(
        measure_memory, write_memory, {"data": "mnist"}, {"data": "blobs2000"}, memory_failures
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
