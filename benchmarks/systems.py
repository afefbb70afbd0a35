"""Every t-SNE implementation that is compared, one adapter each, and the process that times it.

An adapter is a function that gets a seed, a number of threads, the number of iterations or None
for the default, and further options, and returns a `Fit`: a function from X to a map, and after
that the number of iterations and remarks. It imports its package itself, so that this file runs in
any interpreter that has that package: the benchmarks take ``--python NAME=/path/to/python`` for
systems that cannot share one environment.

``python benchmarks/systems.py`` says which systems this interpreter has.
"""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any, NamedTuple

MB = 1e6


class Fit(NamedTuple):
    fit_transform: Callable[[Any], Any]
    n_iter: Callable[[], int]
    remarks: Callable[[], dict]


class System(NamedTuple):
    adapter: Callable
    package: str  # as the package index calls it
    color: str  # of the palette by Okabe and Ito
    marker: str
    minutes: float  # of 1,000 iterations on MNIST, 2 cores: rough, for estimates and limits
    default_iterations: int | None = None  # None: it decides itself
    options: dict = {}  # noqa: RUF012 - never changed
    differs_from: int = 0  # points from which on the options make a difference


def fasttsne(seed, n_threads, max_iter, **options):
    from fasttsne import TSNE

    limit = {} if max_iter is None else {"max_iter": max_iter}
    tsne = TSNE(random_state=seed, n_jobs=n_threads, **limit, **options)

    def remarks():
        from fasttsne import show_config

        return {"instruction_set": show_config(mode="dicts")["instruction_set"]}

    return Fit(tsne.fit_transform, lambda: int(tsne.n_iter_) + 1, remarks)


def scikit_learn(seed, n_threads, max_iter, **options):
    from sklearn.manifold import TSNE

    limit = {} if max_iter is None else {"max_iter": max_iter}
    tsne = TSNE(random_state=seed, n_jobs=n_threads, **limit, **options)
    return Fit(tsne.fit_transform, lambda: int(tsne.n_iter_) + 1, dict)


def scikit_learn_intelex(seed, n_threads, max_iter, **options):
    from sklearnex.manifold import TSNE

    calls = []

    class Watched(TSNE):
        """Tells whether oneDAL did the work: otherwise scikit-learn does, without a word."""

        def _daal_tsne(self, *args, **kwargs):
            calls.append(1)
            return super()._daal_tsne(*args, **kwargs)

    limit = {} if max_iter is None else {"max_iter": max_iter}
    tsne = Watched(random_state=seed, n_jobs=n_threads, **limit, **options)

    def remarks():
        if not calls:
            raise RuntimeError("scikit-learn-intelex handed the work back to scikit-learn")
        return {"accelerated": True}

    return Fit(tsne.fit_transform, lambda: int(tsne.n_iter_) + 1, remarks)


def open_tsne(seed, n_threads, max_iter, snapshots_every=None, **options):
    from openTSNE import TSNE

    early = 250  # its default
    if max_iter is not None:
        options |= {"early_exaggeration_iter": min(early, max_iter)}
        options |= {"n_iter": max(0, max_iter - early)}
    taken = []
    if snapshots_every:
        # The clock stands still while the map is copied.
        def callback(iteration, error, embedding):
            start = time.perf_counter()
            done = iteration
            if taken and iteration <= taken[-1][2]:  # counts anew after early exaggeration
                done = iteration + early
            taken.append([start, embedding.__array__().copy(), done, 0.0])
            taken[-1][3] = time.perf_counter() - start

        options |= {"callbacks": callback, "callbacks_every_iters": snapshots_every}
    tsne = TSNE(random_state=seed, n_jobs=n_threads, **options)
    found = {}

    def fit_transform(X):
        embedding = tsne.fit(X)
        method = embedding.gradient_descent_params["negative_gradient_method"]
        if method == "auto":
            method = "fft" if len(X) >= 10_000 else "bh"
        index = getattr(embedding.affinities, "knn_index", None)
        found.update({"gradient": method, "neighbors": type(index).__name__})
        return embedding.__array__()

    fit_transform.taken = taken
    return Fit(fit_transform, lambda: tsne.early_exaggeration_iter + tsne.n_iter, lambda: found)


SYSTEMS = {
    "fasttsne": System(fasttsne, "fasttsne", "#0072B2", "o", minutes=0.3),
    "fasttsne, exact neighbours": System(
        fasttsne, "fasttsne", "#56B4E9", "o", minutes=0.5, options={"neighbors": "exact"},
        differs_from=20_000,
    ),
    "scikit-learn-intelex": System(
        scikit_learn_intelex, "scikit-learn-intelex", "#D55E00", "s", minutes=0.6,
        default_iterations=1000,
    ),
    "openTSNE": System(
        open_tsne, "openTSNE", "#009E73", "^", minutes=2.6, default_iterations=750
    ),
    "openTSNE, Barnes-Hut": System(
        open_tsne, "openTSNE", "#777777", "<", minutes=3.5, default_iterations=750,
        options={"negative_gradient_method": "bh"}, differs_from=10_000,
    ),
    "openTSNE, FFT": System(
        open_tsne, "openTSNE", "#CC79A7", "v", minutes=2.6, default_iterations=750,
        options={"negative_gradient_method": "fft"},
    ),
    "scikit-learn": System(
        scikit_learn, "scikit-learn", "#E69F00", "D", minutes=6.7, default_iterations=1000
    ),
}  # fmt: skip


def versions(name):
    """What decides a system's figures: its version, and for fasttsne, which changes by the hour,
    a fingerprint of the files."""
    system = SYSTEMS[name]
    found = {"python": platform.python_version()}
    for package in dict.fromkeys([system.package, "scikit-learn", "numpy", "scipy"]):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    if system.package == "fasttsne":
        directory = Path(util.find_spec("fasttsne").origin).parent
        digest = hashlib.sha256()
        for path in sorted(directory.rglob("*")):
            if path.suffix in (".py", ".so", ".pyd"):
                digest.update(path.read_bytes())
        found["build"] = digest.hexdigest()[:12]
    return found


def probe(name):
    """Versions of a system, or why it cannot run here."""
    try:
        system = SYSTEMS[name]
        system.adapter(0, 1, 1000, **system.options)
        return {"versions": versions(name)}
    except (ImportError, TypeError) as error:
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}


def resident(peak):
    """Resident memory of this process in MB, now or at its peak."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: its peak includes that of the process this one was forked from.
        wanted = "VmHWM:" if peak else "VmRSS:"
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / MB for line in lines if line.startswith(wanted))
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def child(spec):
    """One timed run, in this process; leaves the map, or the snapshots, in a file.

    Everything is imported and warmed up on 200 points of noise before the clock starts and before
    memory is first looked at. Memory counts the data.
    """
    if hasattr(os, "sched_setaffinity"):
        # Whatever a library makes of n_jobs, it gets no more cores than it has threads.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: spec["threads"]])
    import numpy as np

    system = SYSTEMS[spec["system"]]
    options = system.options | spec["options"]
    plain = {key: value for key, value in options.items() if key != "snapshots_every"}
    noise = np.random.RandomState(0).uniform(size=(200, 10)).astype(np.float32)
    system.adapter(0, spec["threads"], 250, **plain).fit_transform(noise)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    baseline = resident(peak=False)

    X = np.load(spec["data"])
    fit = system.adapter(spec["seed"], spec["threads"], spec["max_iter"], **options)
    start, cpu = time.perf_counter(), time.process_time()
    embedding = fit.fit_transform(X)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    figures = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "n_iter": fit.n_iter(),
        "baseline_mb": baseline,
        "peak_mb": resident(peak=True) - baseline,
        "load_at_start": load,
        "remarks": fit.remarks(),
    }
    maps = {"embedding": np.asarray(embedding)}
    paused, figures["snapshots"] = 0.0, []
    for i, (moment, snapshot, done, pause) in enumerate(getattr(fit.fit_transform, "taken", [])):
        figures["snapshots"].append({"seconds": moment - start - paused, "n_iter": done})
        maps[f"snapshot{i}"] = snapshot
        paused += pause
    np.savez(spec["output"], **maps)
    Path(spec["figures"]).write_text(json.dumps(figures), encoding="utf-8")


def main():
    # Nothing of a package's own chatter may get between: results go into files.
    if sys.argv[1:2] == ["--child"]:
        return child(json.loads(sys.argv[2]))
    if sys.argv[1:2] == ["--probe"]:
        Path(sys.argv[3]).write_text(json.dumps(probe(sys.argv[2])), encoding="utf-8")
        return None
    for name in SYSTEMS:
        found = probe(name)
        if "error" in found:
            print(f"{name:28} no ({found['error']})")
        else:
            print(f"{name:28} {found['versions'][SYSTEMS[name].package]}")
    return None


if __name__ == "__main__":
    main()
