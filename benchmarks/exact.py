"""fasttsne and scikit-learn beside exact sums over all pairs: maps and repulsive forces.

- ``exact``: exact t-SNE beside Barnes-Hut by number of points and angle, half an hour, most of it
  scikit-learn's. Seconds; the KL gap, which is the KL divergence of the map less that of the same
  package's exact map (maps also differ by chance, as the spread over seeds shows); and the error
  of the repulsive force on a finished map. Exact t-SNE has the p of all pairs. The judge here has
  1,000 neighbours per point, so the gap has everything that Barnes-Hut leaves out.
- ``forces``: the same error on the finished map of the digits and on 10,000 points of the finished
  map of MNIST, a minute. Fails if scikit-learn is more accurate at any angle.

The error is ||F/Z - F*/Z*|| / ||F*/Z*||, where F* and Z* are sums over all pairs in float64. Beside
it stand the milliseconds of one evaluation, tree included, the median of five.
"""

from statistics import median

import numpy as np
import plots
from data import load
from judge import exact_repulsion
from runner import (
    Benchmark,
    Runner,
    estimate,
    grouped,
    main,
    number,
    split,
    spread,
    table,
    timed,
    with_threads,
)
from systems import cores, versions

from fasttsne import TSNE, _kernels

ANGLES = 0.2, 0.4, 0.5, 0.6, 0.8, 1.0
FORCE_ANGLES = 0.2, 0.5, 0.8
FORCE_SAMPLE = 10_000  # points of a map
N_NEIGHBORS = 1_000  # in the judge's P
FEW = 2_000  # points; above, one run each
NANOSECONDS = {"fasttsne": 1.0, "scikit-learn": 10.0}  # of a pair and iteration, for estimates
BOTH = ";".join(NANOSECONDS)


# ---- Forces --------------------------------------------------------------------------------------


def two_edges(n_samples):
    """Return a P as CSR in which only the first two points attract each other."""
    indptr = np.minimum(np.arange(n_samples + 1, dtype=np.int64), 2)
    return indptr, np.array([1, 0], dtype=np.int32), np.full(2, 0.5, dtype=np.float32)


def evaluation(system, Y, angle, n_threads):
    """Return a function that returns F/Z of a map, by fasttsne or by scikit-learn."""
    if system == "fasttsne":
        forces = _kernels.BarnesHutForces(*two_edges(len(Y)), 2, 1.0, angle, n_threads)

        def ours():
            forces.evaluate(Y, False)
            return forces.repulsive / forces.sum_q

        return ours

    from sklearn.manifold import _barnes_hut_tsne

    def theirs():
        gradient, indptr = np.zeros_like(Y), np.zeros(len(Y) + 1, dtype=np.int64)
        nothing = np.empty(0, dtype=np.float32), Y, np.empty(0, dtype=np.int64), indptr
        _barnes_hut_tsne.gradient(
            *nothing, gradient, angle, 2, 0, dof=1, compute_error=False, num_threads=n_threads
        )
        return -gradient  # of a P without edges

    return theirs


def finished_map(name, limit=None):
    """Return the finished map of a data set, or `limit` points of it, as float32."""
    Y = TSNE(random_state=0).fit_transform(load(name).X)
    if limit is not None and len(Y) > limit:
        Y = Y[np.random.RandomState(0).choice(len(Y), limit, replace=False)]
    return np.ascontiguousarray(Y, dtype=np.float32)


def record_forces(store, slots, Y, n_threads):
    """Measure error and milliseconds of each slot, a system and an angle, on a map."""
    repulsion, sum_q = exact_repulsion(Y)
    exact = repulsion / sum_q
    for slot in slots:
        angle = slot.get("angle") or slot["options"]["force_angle"]
        function = evaluation(slot["system"], Y, angle, n_threads)
        error = np.linalg.norm(function() - exact) / np.linalg.norm(exact)
        seconds = median(timed(function)[1] for _ in range(5))
        figures = {"force_error": float(error), "force_milliseconds": 1e3 * seconds}
        store.add(slot, versions(slot["system"]), figures | {"n_samples": len(Y)})


def measure_forces(store, args):
    for name in args.data.split(","):
        slots = [
            {"data": name, "system": system, "threads": args.threads, "angle": angle}
            for angle in FORCE_ANGLES
            for system in split(args.systems)
        ]
        slots = [slot for slot in slots if store.needs(slot, versions(slot["system"]))]
        if slots:
            record_forces(store, slots, finished_map(name, FORCE_SAMPLE), args.threads)


def by_map(runs):
    """Return {(data, angle): {system: run}}."""
    groups = grouped(runs, "data", "angle").items()
    return {key: {run["slot"]["system"]: run for run in group} for key, group in groups}


def write_forces(runs, args):
    rows = []
    for (name, angle), found in by_map(runs).items():
        rows.append([f"{name}, {found['fasttsne']['n_samples']:,} points", angle])
        rows[-1] += [f"{100 * run['force_error']:.3f} %" for run in found.values()]
        rows[-1] += [f"{run['force_milliseconds']:.2f}" for run in found.values()]
    header = [f"{what}, {system}" for what in ("error", "ms") for system in found]
    return ["# Error of the repulsive force", table(["map", "angle", *header], rows)]


def forces_failures(runs):
    for key, found in by_map(runs).items():
        errors = {system: run["force_error"] for system, run in found.items()}
        if errors["fasttsne"] > errors.get("scikit-learn", np.inf):
            yield f"scikit-learn is more accurate: {key}"


# ---- Maps ----------------------------------------------------------------------------------------


def variants(system):
    """Return the options of the runs; scikit-learn has its default angle only, as it is slow."""
    angles = ANGLES if system == "fasttsne" else (0.5,)
    return [{"method": "exact"}, *({"angle": angle} for angle in angles)]


def measure_exact(store, args):
    runner = Runner(store, args, N_NEIGHBORS)

    def minutes(slot):
        if "method" not in slot["options"]:
            return estimate(slot)
        pairs = len(load(slot["data"]).X) ** 2 * 1000
        return pairs * NANOSECONDS[slot["system"]] / 60e9 / args.threads

    def slots_of(name, system, repeat):
        if repeat > 0 and len(load(name).X) > FEW:
            return []
        return [runner.slot(name, system, repeat, **options) for options in variants(system)]

    for name in (args.data + size for size in args.sizes.split(",")):
        runner.run_all(name, args.repeats, slots_of, minutes)
        slots = [
            runner.slot(name, system, force_angle=angle)
            for system in runner.systems
            for angle in ANGLES
        ]
        slots = list(filter(runner.needs, slots))
        if slots:
            record_forces(store, slots, finished_map(name), args.threads)


def select(runs, system, n_samples, **options):
    """Return the runs of a system, a number of points, and options."""
    wanted = system, n_samples, options
    return [
        run
        for run in runs
        if (run["slot"]["system"], run["n_samples"], run["slot"]["options"]) == wanted
    ]


def write_exact(runs, args):
    systems, sizes = split(args.systems), sorted({run["n_samples"] for run in runs})
    rows, force_rows = [], []
    for n_samples in sizes:
        for system in systems:
            exact = select(runs, system, n_samples, method="exact")
            by_seed = {run["slot"]["seed"]: run["kl_divergence"] for run in exact}
            for options in variants(system):
                group = select(runs, system, n_samples, **options)
                if not group:
                    continue
                gaps = [
                    run["kl_divergence"] - by_seed[run["slot"]["seed"]]
                    for run in group
                    if "angle" in options and run["slot"]["seed"] in by_seed
                ]
                rows.append([f"{n_samples:,}", system, options.get("angle", "exact")])
                rows[-1].append(spread([run["seconds"] for run in group]))
                rows[-1].append(spread([run["kl_divergence"] for run in group], fixed=4))
                rows[-1].append(spread(gaps, fixed=4))
                rows[-1].append(spread([run["recall"] for run in group], fixed=3))
        for angle in ANGLES:
            found = [select(runs, system, n_samples, force_angle=angle) for system in systems]
            if any(found):
                force_rows.append([f"{n_samples:,}", angle])
                for group in found:
                    milliseconds = group[0]["force_milliseconds"] if group else None
                    force_rows[-1] += [percent(group), number(milliseconds)]
    draw_exact(runs, systems, sizes, args.output / "exact.png")
    header = ["points", "system", "angle", "seconds", "KL divergence", "KL gap", "recall@10"]
    force_header = [f"{what}, {system}" for system in systems for what in ("error", "ms")]
    return [
        "# Against exact t-SNE",
        "## Maps",
        table(header, rows),
        "## Forces",
        "Error of the repulsive force on our finished map, and one evaluation, tree included.",
        table(["points", "angle", *force_header], force_rows),
    ]


def percent(group):
    """Return the force error of a run, for a table."""
    if not group:
        return "-"
    error = 100 * group[0]["force_error"]
    return f"{number(error)} %" if error >= 0.001 else "< 0.001 %"


def draw_exact(runs, systems, sizes, path):
    """Draw seconds by points, exact beside Barnes-Hut, and force error by angle."""
    forces = [run["n_samples"] for run in runs if "force_angle" in run["slot"]["options"]]
    largest = max(forces, default=None)
    words = f"force error on our map of {largest:,} points; " if largest else ""
    figure, axes = plots.panels(
        2,
        "Against exact t-SNE",
        f"Dashed: exact; solid: Barnes-Hut at angle 0.5; {words}{with_threads(runs)}.",
    )
    seconds, errors = [], []
    for system in systems:
        for options, dashes, word in (
            ({"method": "exact"}, "--", "exact"),
            ({"angle": 0.5}, "-", "Barnes-Hut"),
        ):
            groups = {n: select(runs, system, n, **options) for n in sizes}
            curve = {n: median(r["seconds"] for r in group) for n, group in groups.items() if group}
            look = plots.style(system) | {"linestyle": dashes}
            seconds.append((f"{system}, {word}", list(curve), list(curve.values()), look))
        groups = {angle: select(runs, system, largest, force_angle=angle) for angle in ANGLES}
        curve = {angle: 100 * group[0]["force_error"] for angle, group in groups.items() if group}
        errors.append((system, list(curve), list(curve.values()), plots.style(system)))
    seconds, errors = ([curve for curve in found if curve[1]] for found in (seconds, errors))
    plots.lines(axes[0], "seconds of a fit, by number of points", seconds, "points", (1.3, 4))
    plots.lines(axes[1], "error of the repulsive force, per cent", errors, "angle", (None, 1.3))
    plots.save(figure, path)


SIZES = "500,1k,2k,5k,10k,20k"
BENCHMARKS = {
    "exact": Benchmark(
        measure_exact,
        write_exact,
        Runner.options
        | {"data": "mnist", "sizes": SIZES, "systems": BOTH, "repeats": 3, "limit": 15.0},
        {"data": "mixture", "sizes": "200,400", "repeats": 1},
    ),
    "forces": Benchmark(
        measure_forces,
        write_forces,
        {"data": "digits,mnist", "systems": BOTH, "threads": cores()},
        {"data": "digits"},
        forces_failures,
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
