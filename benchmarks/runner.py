"""What the benchmarks share: the command line, records, processes, tables, and runs of systems.

A script hands its benchmarks to `main`. Each measurement is recorded at once as one line of
``results/<benchmark>.jsonl``: what was run (`slot`), on which machine, by which versions, when, by
which command, and the figures. A benchmark that was stopped continues where it stopped: a slot that
the same versions measured on the same machine is not run again without ``--again``. Tables and
pictures are written from the records alone.
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple
from unittest import mock

import numpy as np
from data import cache_directory, load
from systems import SYSTEMS, cores, load_average, timed_run, use_cores, versions

RESULTS = Path(__file__).parent / "results"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
GROWTH = 1.15  # exponent of time by points, for estimates
HELP = {
    "anchor": "how firmly earlier points are held, 0 to 1",
    "data": "data sets that data.py lists, separated by commas",
    "systems": "systems, separated by semicolons",
    "sizes": "sizes, separated by commas",
    "samples": "number of samples, such as 20k",
    "metrics": "metrics, separated by commas",
    "megabytes": "sizes of the files in MB, separated by commas",
    "landmarks": "number of landmarks",
    "losses": "losses, separated by commas",
    "seeds": "seeds, separated by commas",
    "isa": "instruction sets, separated by commas (default: all)",
    "threads": "number of threads",
    "repeats": "runs of each",
    "limit": "skip runs that take more minutes",
    "scratch": "directory for large temporary files",
    "browser": "path of Chromium",
    "hardware": "draw on the graphics card instead of the processor",
}


class Benchmark(NamedTuple):
    """One thing that a script measures; its results have the same name."""

    measure: Callable  # (store, args) -> None: adds records to the store
    write: Callable  # (runs, args) -> paragraphs of Markdown, the title first; draws pictures
    options: dict  # option -> default
    quick: dict  # option -> value under --quick
    failures: Callable = lambda runs: ()  # targets that the runs miss, in words


def main(doc, benchmarks, arguments=None):
    """Run the benchmarks that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", help=f"{', '.join(benchmarks)} (default: all)")
    parser.add_argument("--table", action="store_true", help="write tables and pictures only")
    parser.add_argument("--again", action="store_true", help="repeat runs that are recorded")
    parser.add_argument("--quick", action="store_true", help="a trial on small data")
    parser.add_argument("--output", type=Path, help="directory (default: benchmarks/results)")
    for key in dict.fromkeys(key for b in benchmarks.values() for key in b.options):
        defaults = {b.options[key] for b in benchmarks.values() if key in b.options}
        text, value = HELP[key], defaults.pop()
        if value not in (False, None, "") and not defaults:
            text += f" (default: {value})"
        kind = {"action": "store_true"} if value is False else {"type": type(value or "")}
        parser.add_argument(f"--{key}", default=argparse.SUPPRESS, help=text, **kind)
    given = vars(parser.parse_args(arguments))
    failed = []
    for name in given["what"] or list(benchmarks):
        if name not in benchmarks:
            parser.error(f"{name} is none of {', '.join(benchmarks)}")
        benchmark = benchmarks[name]
        changed = benchmark.quick if given["quick"] else {}
        args = argparse.Namespace(**(benchmark.options | changed | given))
        # Results of a trial never replace the real ones.
        args.output = args.output or (cache_directory() / "quick" if args.quick else RESULTS)
        store = Store(args.output / f"{name}.jsonl", args.again)
        if not args.table:
            benchmark.measure(store, args)
        runs = store.reported()
        if not runs:
            failed.append(f"{name}: there are no records")
            continue
        title, *parts = benchmark.write(runs, args)
        text = "\n\n".join([title, circumstances(runs), *parts])
        (args.output / f"{name}.md").write_text(text + "\n", encoding="utf-8")
        print(f"{text}\n\nWritten to {args.output / name}.md\n")
        if not args.quick:
            failed += benchmark.failures(runs)
    for failure in failed:
        print("FAILED:", failure, file=sys.stderr)
    return 1 if failed else 0


# ---- Records ------------------------------------------------------------------------------------


class Store:
    """The records of one benchmark, a JSON object per line."""

    def __init__(self, path, again=False):
        self.path, self.again, self.runs = Path(path), again, []
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            self.runs = [json.loads(line) for line in lines]
        self.machine = machine()

    def find(self, slot, versions=None):
        """Return this machine's record of a slot, if these versions measured it."""
        for run in self.runs:
            if run["machine"] == self.machine and run["slot"] == slot:
                return run if versions in (None, run["versions"]) else None
        return None

    def needs(self, slot, versions):
        """Return whether a slot has to be run."""
        return self.again or self.find(slot, versions) is None

    def add(self, slot, versions, figures):
        """Record a run of now, in place of an older one of the same slot."""
        record = {
            "slot": slot,
            "machine": self.machine,
            "versions": versions,
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        }
        self.runs = [run for run in self.runs if run is not self.find(slot)] + [record | figures]
        # The file is replaced as a whole or not at all.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        lines = [json.dumps(run, ensure_ascii=False) + "\n" for run in self.runs]
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(self.path)

    def reported(self):
        """Return the records of this machine, or of the machine of the last record."""
        machines = [run["machine"] for run in self.runs]
        shown = self.machine if self.machine in machines else (machines or [None])[-1]
        return [run for run in self.runs if run["machine"] == shown]


def machine():
    """Return the processor, cores, memory and system of this machine, in one line."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text() if cpu.exists() else ""
    found = dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", lines, re.M))
    model = found.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in found:  # virtual machines call different processors by one name
        model += f" (family {found['cpu family']}, model {found['model']})"
    flags = found.get("flags", found.get("Features", "")).split()
    vectors = [name for name in ("avx512f", "avx2", "asimd") if name in flags][:1]
    memory = [f"{memory_bytes() / 2**30:.0f} GiB"] if memory_bytes() else []
    return ", ".join([model, *vectors, f"{cores()} cores", *memory, platform.system()])


def memory_bytes():
    """Return the size of the main memory in bytes, or None where the system does not report it."""
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def grouped(runs, *keys):
    """Return {values of the keys: runs}, in order; a key is one of the slot or of the figures."""
    groups = {}
    for run in runs:
        values = tuple((run | run["slot"])[key] for key in keys)
        groups.setdefault(values if len(keys) > 1 else values[0], []).append(run)
    return groups


# ---- Tables -------------------------------------------------------------------------------------


def circumstances(runs):
    """Return machine, threads, versions, dates, commands and load of records, as a paragraph."""
    packages = {}
    for run in runs:
        for package, found in run["versions"].items():
            packages.setdefault(package, set()).add(found or "?")
    versions = "; ".join(f"{name} {', '.join(sorted(found))}" for name, found in packages.items())
    threads = sorted({run["slot"]["threads"] for run in runs if "threads" in run["slot"]})
    dates = sorted({run["date"] for run in runs})
    commands = dict.fromkeys(f"`{run['command']}`" for run in runs if "command" in run)
    loads = [run["load_at_start"] for run in runs if run.get("load_at_start") is not None]
    text = f"Machine: {runs[0]['machine']}."
    text += f" Threads: {', '.join(map(str, threads))}." if threads else ""
    text += f" Versions: {versions}. Measured {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}"
    text += f" by {', '.join(commands)}." if commands else "."
    if loads:
        text += f" Load average before a run: {median(loads):.1f}, at most {max(loads):.1f}."
    return text


def table(header, rows):
    """Return an aligned Markdown table, the first column to the left."""
    cells = [list(header), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * widths[0], *["-" * (width - 1) + ":" for width in widths[1:]]])
    lines = []
    for first, *others in cells:
        padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *padded])} |")
    return "\n".join(lines)


def spread(values, digits=3, fixed=None):
    """Return the median, and the range in brackets if the values differ; "-" if there are none."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    middle, least, most = (
        number(value, digits, fixed) for value in (median(values), min(values), max(values))
    )
    return f"{middle} ({least}-{most})" if least != most else middle


def median_of(runs, key):
    """Return the median of a figure, NaN if a run has none, as in records of earlier judges."""
    return float(np.median([np.nan if run.get(key) is None else run[key] for run in runs]))


def number(value, digits=3, fixed=None):
    """Return a number with `digits` significant digits, or `fixed` digits after the point."""
    if value is None or np.isnan(value):
        return "-"
    if fixed is None:
        fixed = max(0, digits - 1 - int(f"{value:e}".partition("e")[2])) if value else 0
    return f"{value:,.{fixed}f}"


def with_threads(runs):
    """Return the number of threads and the machine of runs, for a picture."""
    threads = runs[0]["slot"]["threads"]
    return f"{threads} thread{'s' if threads > 1 else ''}, {runs[0]['machine']}"


# ---- Processes ----------------------------------------------------------------------------------


def fresh(function, *args, threads=None, **environment):
    """Call a function of a script in a new process, and return its result.

    `threads` limits the cores of the process and the threads of every library.
    """
    threads = threads or cores()
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"PYTHONWARNINGS": "ignore"}
    start = {"mp_context": get_context("spawn"), "initializer": use_cores, "initargs": (threads,)}
    with (
        mock.patch.dict(os.environ, variables | environment),
        ProcessPoolExecutor(1, **start) as pool,
    ):
        return pool.submit(function, *args).result()


def least(function, repeats, enough=0.0):
    """Return the least seconds of a call, after one that does not count.

    Short calls repeat until they took `enough` seconds together: noise only adds to a time.
    """
    function()
    seconds = []
    while len(seconds) < repeats or sum(seconds) < enough:
        seconds.append(timed(function)[1])
    return min(seconds)


def timed(function, *args, **kwargs):
    """Return the result of a call, and its seconds."""
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


# ---- Runs of whole systems ----------------------------------------------------------------------


class Runner:
    """Runs systems, each run in a new process, and judges their maps by one exact judge."""

    options = {"threads": cores(), "limit": 60.0}  # noqa: RUF012
    timed_run = staticmethod(timed_run)

    def __init__(self, store, args, n_neighbors=None):
        self.store, self.args, self.n_neighbors = store, args, n_neighbors
        self.directory, self.systems = tempfile.TemporaryDirectory(), []
        for name in split(args.systems):
            if find_spec(SYSTEMS[name].module):
                self.systems.append(name)
            else:
                print(f"{name}: skipped, {SYSTEMS[name].package} is missing", file=sys.stderr)

    def slot(self, name, system, seed=0, max_iter=None, **options):
        """Return what identifies a run. `max_iter=None` is the system's default."""
        return {
            "data": name,
            "system": system,
            "threads": self.args.threads,
            "seed": seed,
            "max_iter": max_iter,
            "options": options,
        }

    def needs(self, slot):
        """Return whether a slot has to be run."""
        return self.store.needs(slot, versions(SYSTEMS[slot["system"]].package))

    def run_all(self, name, repeats, slots_of, minutes=None):
        """Run what is missing of a data set, by turns, except runs over the limit of minutes."""
        minutes, missing = minutes or estimate, []
        turns = alternating(self.systems, repeats)
        slots = (slot for system, repeat in turns for slot in slots_of(name, system, repeat))
        for slot in filter(self.needs, slots):
            if minutes(slot) > self.args.limit:
                print(f"over the limit: {describe(slot)}, {minutes(slot):.0f} min", file=sys.stderr)
            else:
                missing.append(slot)
        if missing:
            total = sum(map(minutes, missing))
            print(f"{len(missing)} runs, very roughly {total:.1f} minutes", file=sys.stderr)
            if (load_average() or 0) > 0.2 * cores():
                print("THE MACHINE IS BUSY: do not rely on the times", file=sys.stderr)
        for slot in missing:
            self.run(slot)

    def run(self, slot):
        """Run a slot, and record the figures of the run and of its map.

        From a PCA start a seed alone changes nothing. So every seed but 0 also shuffles the rows:
        then rounding differs, and iterations amplify the difference to another map.
        """
        data = load(slot["data"])
        order = np.arange(len(data.X))
        if slot["seed"] > 0:
            np.random.RandomState(slot["seed"]).shuffle(order)
        back, path = np.argsort(order), Path(self.directory.name) / "X.npy"
        np.save(path, data.X[order])
        try:
            figures, embedding = fresh(self.timed_run, slot, path, threads=slot["threads"])
        except Exception as error:  # whatever a system raises
            print(f"FAILED: {describe(slot)} ({error!r})", file=sys.stderr)
            return
        figures |= self.of_map(slot["data"], embedding[back])
        figures |= {"n_samples": data.X.shape[0], "n_features": data.X.shape[1]}
        self.store.add(slot, versions(SYSTEMS[slot["system"]].package), figures)
        print(f"{describe(slot):70} {figures['seconds']:8.2f} s", file=sys.stderr)

    def of_map(self, name, embedding):
        """Return the judge's figures of a map."""
        from judge import judge_of

        return judge_of(name, self.n_neighbors)(embedding)

    def projected(self, slot):
        """Return the minutes of a run, from the system's run on the most points so far.

        Time grows by GROWTH with the points, and falls in proportion to the threads.
        """
        system, n_samples = slot["system"], len(load(slot["data"]).X)
        known = [run for run in self.store.reported() if run["slot"]["system"] == system]
        known = [run for run in known if run["n_samples"] <= n_samples]
        if not known:
            return estimate(slot)
        last = max(known, key=lambda run: (run["n_samples"], -run["slot"]["threads"]))
        grown = (n_samples / last["n_samples"]) ** GROWTH
        return last["seconds"] / 60 * grown * last["slot"]["threads"] / slot["threads"]


def split(systems):
    """Return the names of systems that semicolons separate."""
    names = systems.split(";")
    for name in names:
        if name not in SYSTEMS:
            raise SystemExit(f"no system called {name!r}; there are {'; '.join(SYSTEMS)}")
    return names


def alternating(systems, repeats):
    """Return pairs (system, repeat): each repeat has all systems, every second in reverse order."""
    return [(name, i) for i in range(repeats) for name in (systems[::-1] if i % 2 else systems)]


def estimate(slot):
    """Return the minutes of a run, roughly."""
    system = SYSTEMS[slot["system"]]
    iterations = slot["max_iter"] or system.default_iterations or 1000
    return system.minutes * iterations / 1000 * len(load(slot["data"]).X) / 70_000


def describe(slot):
    """Return a slot in words."""
    words = [slot["data"], slot["system"]]
    words += ["default" if slot["max_iter"] is None else f"max_iter={slot['max_iter']}"]
    words += [f"{key}={value}" for key, value in slot["options"].items()]
    return ", ".join([*words, f"{slot['threads']} threads", f"seed {slot['seed']}"])
