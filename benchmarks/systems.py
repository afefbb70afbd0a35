"""The t-SNE implementations that are compared, one adapter each, and the process that times one.

An adapter takes X, a seed, a number of threads and options. It returns the map, the number of
iterations, and a function for remarks. It imports its package itself: a system that is not
installed is skipped. One more system is one more adapter and one more entry of SYSTEMS.
"""

import hashlib
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

import numpy as np

MB = 1e6
EARLY = 250  # openTSNE's iterations of early exaggeration


class System(NamedTuple):
    adapter: Callable
    package: str  # on the package index
    module: str
    color: str  # of the palette by Okabe and Ito
    marker: str
    minutes: float  # of 1,000 iterations on MNIST, 2 cores: rough, for estimates and limits
    default_iterations: int | None = None  # None: it decides itself
    options: dict = {}  # noqa: RUF012 - never changed
    differs_from: int = 0  # points from which on the options make a difference
    warm_up: dict = {}  # noqa: RUF012 - further options of the warm-up


def fasttsne(X, seed, n_threads, **options):
    from fasttsne import TSNE, show_config

    tsne = TSNE(random_state=seed, n_jobs=n_threads, **options)
    embedding = tsne.fit_transform(X)

    def remarks():
        return {"instruction_set": show_config(mode="dicts")["instruction_set"]}

    return embedding, tsne.n_iter_ + 1, remarks


def scikit_learn(X, seed, n_threads, **options):
    from sklearn.manifold import TSNE

    tsne = TSNE(random_state=seed, n_jobs=n_threads, **options)
    return tsne.fit_transform(X), tsne.n_iter_ + 1, dict


def scikit_learn_intelex(X, seed, n_threads, **options):
    from sklearnex.manifold import TSNE

    calls = []

    class Watched(TSNE):
        """Record the calls of oneDAL, because scikit-learn may silently do the work instead."""

        def _daal_tsne(self, *args, **kwargs):
            calls.append(1)
            return super()._daal_tsne(*args, **kwargs)

    tsne = Watched(random_state=seed, n_jobs=n_threads, **options)
    embedding = tsne.fit_transform(X)
    if not calls:
        raise RuntimeError("scikit-learn-intelex handed the work back to scikit-learn")
    return embedding, tsne.n_iter_ + 1, lambda: {"accelerated": True}


def open_tsne(X, seed, n_threads, max_iter=None, **options):
    from openTSNE import TSNE

    if max_iter is not None:
        options |= {"early_exaggeration_iter": min(EARLY, max_iter)}
        options |= {"n_iter": max(0, max_iter - EARLY)}
    tsne = TSNE(random_state=seed, n_jobs=n_threads, **options)
    embedding = tsne.fit(X)

    def remarks():
        method = embedding.gradient_descent_params["negative_gradient_method"]
        if method == "auto":
            method = "fft" if len(X) >= 10_000 else "bh"
        index = getattr(embedding.affinities, "knn_index", None)
        return {"gradient": method, "neighbors": type(index).__name__}

    return embedding.__array__(), tsne.early_exaggeration_iter + tsne.n_iter, remarks


def tsne_h2pack(X, seed, n_threads, **options):
    from tsne_h2pack import TSNE

    tsne = TSNE(random_state=seed, n_jobs=n_threads, **options)
    embedding = tsne.fit_transform(X)
    search = f"PyNNDescent {metadata.version('pynndescent')}"

    return embedding, tsne.n_iter_, lambda: {"neighbors": search if len(X) >= 10_000 else "exact"}


SYSTEMS = {
    "fasttsne": System(fasttsne, "fasttsne", "fasttsne", "#0072B2", "o", minutes=0.3),
    "fasttsne, exact neighbours": System(
        fasttsne, "fasttsne", "fasttsne", "#56B4E9", "o", minutes=0.5,
        options={"neighbors": "exact"}, differs_from=20_000,
    ),
    "scikit-learn-intelex": System(
        scikit_learn_intelex, "scikit-learn-intelex", "sklearnex", "#D55E00", "s", minutes=0.6,
        default_iterations=1000,
    ),
    "openTSNE": System(
        open_tsne, "openTSNE", "openTSNE", "#009E73", "^", minutes=2.6, default_iterations=750
    ),
    "openTSNE, Barnes-Hut": System(
        open_tsne, "openTSNE", "openTSNE", "#777777", "<", minutes=3.5, default_iterations=750,
        options={"negative_gradient_method": "bh"}, differs_from=10_000,
    ),
    "openTSNE, FFT": System(
        open_tsne, "openTSNE", "openTSNE", "#CC79A7", "v", minutes=2.6, default_iterations=750,
        options={"negative_gradient_method": "fft"},
    ),
    # Below 10,000 points it searches exactly. The warm-up makes it compile the other search.
    "tsne-h2pack": System(
        tsne_h2pack, "tsne-h2pack", "tsne_h2pack", "#000000", "X", minutes=5.0,
        default_iterations=1000, warm_up={"knn_params": {"n_trees": 4}},
    ),
    "scikit-learn": System(
        scikit_learn, "scikit-learn", "sklearn", "#E69F00", "D", minutes=6.7,
        default_iterations=1000,
    ),
}  # fmt: skip


def timed_run(slot, path):
    """Return the figures of a run in this process, and its map.

    Imports and a warm-up on 200 points of noise come before the clock starts and before memory is
    first measured. Memory counts the data.
    """
    system, threads = SYSTEMS[slot["system"]], slot["threads"]
    options = system.options | slot["options"]
    noise = np.random.RandomState(0).uniform(size=(200, 10)).astype(np.float32)
    system.adapter(noise, 0, threads, **(options | system.warm_up | {"max_iter": 250}))
    if slot["max_iter"] is not None:
        options["max_iter"] = slot["max_iter"]
    figures = {"load_at_start": load_average(), "baseline_mb": resident(peak=False)}
    X = np.load(path)
    start, cpu = time.perf_counter(), time.process_time()
    embedding, n_iter, remarks = system.adapter(X, slot["seed"], threads, **options)
    figures["seconds"] = time.perf_counter() - start
    figures["cpu_seconds"] = time.process_time() - cpu
    figures["peak_mb"] = resident(peak=True) - figures["baseline_mb"]
    return figures | {"n_iter": int(n_iter), "remarks": remarks()}, np.asarray(embedding)


def versions(*packages):
    """Return versions of packages and a digest of fasttsne's files: what decides their figures."""
    found = {"python": platform.python_version()}
    for package in dict.fromkeys([*packages, "scikit-learn", "numpy", "scipy"]):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    if "fasttsne" in packages:
        digest = hashlib.sha256()
        for path in sorted(Path(util.find_spec("fasttsne").origin).parent.rglob("*")):
            if path.suffix in (".py", ".so", ".pyd"):
                digest.update(path.read_bytes())
        found["build"] = digest.hexdigest()[:12]
    return found


def cores():
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def use_cores(count):
    """Keep this process to `count` cores, because some libraries ignore n_jobs.

    The second hardware thread of a core is used only when all cores are.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(sorted(os.sched_getaffinity(0)), key=is_second_of_a_core)
        os.sched_setaffinity(0, allowed[:count])


def is_second_of_a_core(cpu):
    """Return whether a hardware thread shares its core with one of a lower number."""
    siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return siblings.exists() and int(re.match(r"\d+", siblings.read_text())[0]) < cpu


def load_average():
    """Return the mean number of running processes in the last minute, or None on Windows."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def resident(peak):
    """Return the resident memory of this process in MB, now or at its peak."""
    status = Path("/proc/self/status")
    if status.exists():
        # The peak of getrusage includes the parent process before a fork.
        wanted = "VmHWM:" if peak else "VmRSS:"
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / MB for line in lines if line.startswith(wanted))
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB
