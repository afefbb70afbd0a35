"""How fasttsne's time falls with the number of threads, beside scikit-learn-intelex.

- ``threads``: seconds of a whole fit, of its search and of its descent, by number of threads, five
  minutes on 16 cores. Above 200,000 points it runs only the two largest numbers of threads, and
  other packages only with the largest. It leaves out runs that would take more than ``--limit``
  minutes. Each run is a new process with as many cores as threads. Fails if two maps of fasttsne
  of one data set differ in a bit.
- ``serial``: milliseconds of an iteration on a finished map, and the share of it that threads do
  not divide among them, a minute. The numbers of threads take turns in one process.

The share that n threads do not divide is (n T(n) / T(1) - 1) / (n - 1), by Amdahl's law (Karp and
Flatt 1990). It includes all that threads wait for: each other, memory, and the clock of the cores,
which falls as more of them work.

Needs only NumPy, SciPy, scikit-learn, and the packages that it compares.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
from data import load
from runner import Benchmark, Runner, fresh, grouped, main, number, table, timed
from stages import prepared
from systems import cores, load_average, timed_run, versions

LARGE = 200_000  # points
N_ITER = 10  # of one measurement of `serial`


def fewest_first(counts):
    """Return the numbers of threads that commas separate."""
    return sorted(map(int, counts.split(",")))


def not_divided(n_threads, ratio):
    """Return the share that threads do not divide, in per cent, from T(n) / T(1)."""
    return 100 * (n_threads * ratio - 1) / (n_threads - 1)


# ---- Whole fits ----------------------------------------------------------------------------------


def watched_run(slot, path):
    """Return what `timed_run` does, and of fasttsne the seconds of the search and the descent."""
    seconds = {}

    def watch(module, name, part):
        function = getattr(module, name)

        def watching(*args, **kwargs):
            result, seconds[part] = timed(function, *args, **kwargs)
            return result

        setattr(module, name, watching)

    if slot["system"] == "fasttsne":
        from fasttsne import tsne
        from fasttsne.affinity import build

        watch(build, "neighbors_of", "search")
        watch(tsne, "optimize", "descent")
    figures, embedding = timed_run(slot, path)
    return figures | seconds, embedding


class ThreadsRunner(Runner):
    """Runs systems, and keeps a digest of each map instead of judging it."""

    timed_run = staticmethod(watched_run)

    def of_map(self, name, embedding):
        return {"digest": hashlib.sha256(embedding.tobytes()).hexdigest()[:12]}


def measure_threads(store, args):
    runner, counts = ThreadsRunner(store, args), fewest_first(args.threads)
    for name in args.data.split(","):
        large = len(load(name).X) > LARGE
        for n_threads in reversed(counts):

            def slots_of(name, system, _, n_threads=n_threads, large=large):
                if large and n_threads not in counts[-2 if system == "fasttsne" else -1 :]:
                    return []
                return [runner.slot(name, system) | {"threads": n_threads}]

            runner.run_all(name, 1, slots_of, runner.projected)


def cell(times, n_threads):
    """Return the seconds, and in brackets how many times faster than with the fewest threads."""
    if n_threads not in times:
        return "-"
    fewest = min(times)
    factor = f" ({times[fewest] / times[n_threads]:.1f})" if n_threads > fewest else ""
    return number(times[n_threads]) + factor


def write_threads(runs, args):
    parts = [
        "# Threads",
        "Seconds of one run each, at the defaults. In brackets: how many times faster than with the"
        " fewest threads of the column. Not divided: the share of the descent that threads do not"
        " divide among them, and what they wait for.",
    ]
    for name, group in grouped(runs, "data").items():
        columns = {}
        for run in sorted(group, key=lambda run: run["slot"]["system"] != "fasttsne"):
            n_threads, system = run["slot"]["threads"], run["slot"]["system"]
            shown = {"seconds": system}
            if system == "fasttsne":
                shown |= {"search": "its search", "descent": "its descent"}
            for key, heading in shown.items():
                columns.setdefault(heading, {})[n_threads] = run[key]
        descent, rows = columns.get("its descent", {}), []
        for n in sorted({run["slot"]["threads"] for run in group}):
            rows.append([n, *(cell(times, n) for times in columns.values()), "-"])
            if n > 1 and n in descent and 1 in descent:
                rows[-1][-1] = f"{not_divided(n, descent[n] / descent[1]):.1f} %"
        head = group[0]
        parts += [
            f"## {name}, {head['n_samples']:,} x {head['n_features']}",
            table(["threads", *columns, "not divided"], rows),
            f"Maps of fasttsne: {', '.join(sorted(digests(group)))}.",
        ]
    return parts


def digests(runs):
    """Return the digests of fasttsne's maps."""
    return {run["digest"] for run in runs if run["slot"]["system"] == "fasttsne"}


def threads_failures(runs):
    for name, group in grouped(runs, "data").items():
        if len(digests(group)) > 1:
            yield f"threads: the maps of {name} differ between numbers of threads"


# ---- One iteration -------------------------------------------------------------------------------


def rounds_of(path, counts, repeats):
    """Return the milliseconds of an iteration in each round, by number of threads."""
    from fasttsne import TSNE, _kernels
    from fasttsne.affinity import conditional_probabilities, joint_probabilities
    from fasttsne.neighbors import nearest_neighbors

    load_at_start, X, most = load_average(), np.load(path), max(counts)
    finished = TSNE(random_state=0, n_jobs=most).fit_transform(X)
    indices, distances = nearest_neighbors(X, min(len(X) - 1, 91), n_threads=most)
    conditional, _ = conditional_probabilities(distances**2, 30.0, n_threads=most)
    joint = joint_probabilities(indices, conditional, n_threads=most)
    ready = {}
    for n_threads in counts:
        Y = finished.copy()
        forces, *changed = prepared(Y, joint, n_threads)
        ready[n_threads] = forces, Y, *changed
    milliseconds = {n_threads: [] for n_threads in counts}
    for _ in range(repeats):
        for n_threads, arrays in ready.items():
            # At learning rate 0 the work is the same, and the map does not move.
            _, seconds = timed(_kernels.descend, *arrays, N_ITER, 0.0, 0.0, 1.0, compute_kl=False)
            milliseconds[n_threads].append(1e3 * seconds / N_ITER)
    return {
        "n_samples": len(X),
        "n_features": X.shape[1],
        "milliseconds": milliseconds,
        "load_at_start": load_at_start,
    }


def measure_serial(store, args):
    found, counts = versions("fasttsne"), fewest_first(args.threads)
    for name in args.data.split(","):
        slot = {"data": name, "counts": args.threads, "repeats": args.repeats}
        if store.needs(slot, found):
            with tempfile.TemporaryDirectory() as directory:
                path = Path(directory) / "X.npy"
                np.save(path, np.ascontiguousarray(load(name).X, dtype=np.float32))
                store.add(slot, found, fresh(rounds_of, path, counts, args.repeats))
            print(f"{name}: done", file=sys.stderr)


def write_serial(runs, args):
    parts = [
        "# Serial share",
        "Milliseconds of an iteration on a finished map: the median of the rounds. Not divided: the"
        " share that threads do not divide among them, and what they wait for, with the quartiles"
        " of the rounds.",
    ]
    for run in runs:
        rounds = {int(n): np.array(times) for n, times in run["milliseconds"].items()}
        rows = []
        for n, times in rounds.items():
            shares = ["-"]
            if n > 1 and 1 in rounds:
                quartiles = np.percentile(not_divided(n, times / rounds[1]), [50, 25, 75])
                shares = ["{:.1f} % ({:.1f} to {:.1f})".format(*quartiles)]
            rows.append([n, number(np.median(times)), *shares])
        parts += [
            f"## {run['slot']['data']}, {run['n_samples']:,} x {run['n_features']}",
            table(["threads", "milliseconds", "not divided"], rows),
        ]
    return parts


THREADS = ",".join(map(str, sorted({n for n in (1, 2, 4, 8, 16) if n < cores()} | {cores()})))
BENCHMARKS = {
    "threads": Benchmark(
        measure_threads,
        write_threads,
        {
            "data": "mnist,mixture1000k",
            "systems": "fasttsne;scikit-learn-intelex",
            "threads": THREADS,
            "limit": 1.5,
        },
        {"data": "blobs2000"},
        threads_failures,
    ),
    "serial": Benchmark(
        measure_serial,
        write_serial,
        {"data": "mnist", "threads": THREADS, "repeats": 30},
        {"data": "blobs2000", "repeats": 5},
    ),
}

if __name__ == "__main__":
    raise SystemExit(main(__doc__, BENCHMARKS))
