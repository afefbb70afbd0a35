"""What the benchmarks of whole systems share: runs in processes of their own, and their records.

A record is one run: what was run (its `slot`), by which versions, on which machine, and its
figures. Records are kept as JSON after every run, so that a benchmark that was stopped goes on
where it was: what is there, by the same versions on the same machine, is not run again.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import report
from data import load
from judge import Judge, cache_directory
from systems import SYSTEMS

# Benchmarks with one and the same judge, which take records from each other.
ALIKE = ("peers", "scaling", "time_to_quality")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def parser(doc, systems, data, repeats=3):
    """The options that all of these benchmarks have."""
    options = report.parser(doc)
    options.add_argument(
        "--data", default=data, help="names that data.py knows, by commas (default: %(default)s)"
    )
    options.add_argument(
        "--systems",
        default=";".join(systems),
        help="names that systems.py lists, by semicolons (default: %(default)s)",
    )
    options.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="SYSTEM=PATH",
        help="the interpreter that has this system; may be given again (default: this one)",
    )
    options.add_argument("--threads", type=int, default=report.cores(), help="default: all cores")
    options.add_argument("--repeats", type=int, default=repeats, help="(default: %(default)s)")
    options.add_argument(
        "--limit", type=float, default=60, help="no run of more minutes (default: %(default)s)"
    )
    options.add_argument("--again", action="store_true", help="run what is there already as well")
    options.add_argument("--plan", action="store_true", help="only say what would be run")
    options.add_argument("--report", action="store_true", help="only tables and plots, no runs")
    options.add_argument("--quick", action="store_true", help="a minute's trial on small data")
    options.add_argument("--output", type=Path, help="directory (default: benchmarks/results)")
    return options


def output_directory(args):
    """Where results go; a trial's do not go where the real ones are."""
    if args.output:
        return args.output
    return cache_directory() / "quick" if args.quick else report.RESULTS


class Store:
    """The records of one benchmark, as a JSON file."""

    def __init__(self, path):
        self.path = Path(path)
        self.machines, self.runs = {}, []
        if self.path.exists():
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            self.machines, self.runs = kept["machines"], kept["runs"]
        here = report.machine()
        self.machine = report.machine_name(here)
        self.machines[self.machine] = here

    def find(self, slot, versions=None):
        """This machine's record of a slot, if it is by these versions."""
        for run in self.runs:
            if run["machine"] == self.machine and run["slot"] == slot:
                return run if versions in (None, run["versions"]) else None
        return None

    def add(self, slot, versions, figures):
        """Keep the figures of a run of today."""
        return self.keep(
            {
                "slot": slot,
                "machine": self.machine,
                "versions": versions,
                "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            }
            | figures
        )

    def keep(self, record):
        """Keep a record in place of an older one of the same slot."""
        old = self.find(record["slot"])
        self.runs = [run for run in self.runs if run is not old] + [record]
        self.save()
        return record

    def save(self):
        """Write all, or nothing."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        used = {run["machine"] for run in self.runs}
        machines = {name: what for name, what in self.machines.items() if name in used}
        partial = self.path.with_suffix(".partial")
        text = json.dumps({"machines": machines, "runs": self.runs}, indent=1)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self.path)

    def reported(self):
        """The records of this machine, or of the one that was last measured on."""
        here = [run for run in self.runs if run["machine"] == self.machine]
        if here or not self.runs:
            return here
        last = self.runs[-1]["machine"]
        return [run for run in self.runs if run["machine"] == last]


class Runner:
    """Runs systems, each run a fresh process with its own threads, and judges their maps."""

    def __init__(self, args, name, n_neighbors=None):
        self.args, self.n_neighbors = args, n_neighbors
        self.store = Store(output_directory(args) / f"{name}.json")
        chosen = [system.strip() for system in args.systems.split(";") if system.strip()]
        for system in chosen:
            if system not in SYSTEMS:
                raise SystemExit(f"no system called {system!r}; there are {'; '.join(SYSTEMS)}")
        given = dict(item.split("=", 1) for item in args.python)
        self.python = {system: given.get(system, sys.executable) for system in chosen}
        self.versions = {}
        self.directory = tempfile.TemporaryDirectory()
        self.data, self.judges = {}, {}
        if args.report:
            return
        for system in chosen:
            found = self._call(system, "--probe", system)
            if "error" in found:
                print(f"{system}: left out, {found['error']}", file=sys.stderr)
            else:
                self.versions[system] = found["versions"]

    @property
    def systems(self):
        """The systems that can run."""
        return list(self.versions)

    def load(self, name):
        """A data set, once; a file that processes read."""
        if name not in self.data:
            data = load(name)
            path = Path(self.directory.name) / f"{len(self.data)}.npy"
            np.save(path, data.X)
            self.data = {name: (data, path)}  # one at a time: they can be large
            self.judges = {}
        return self.data[name]

    def judge(self, name):
        """The judge of a data set, once."""
        data, _ = self.load(name)
        if name not in self.judges:
            start = time.perf_counter()
            self.judges[name] = Judge(data.X, data.y, n_neighbors=self.n_neighbors)
            print(f"{name}: P in {time.perf_counter() - start:.1f} s", file=sys.stderr)
        return self.judges[name]

    def slot(self, name, system, seed=0, max_iter=None, **options):
        """What a run is known by."""
        return {
            "data": name,
            "system": system,
            "threads": self.args.threads,
            "seed": seed,
            "max_iter": max_iter,
            "options": options,
        }

    def missing(self, slots):
        """Those that are not in the records yet."""
        if self.args.report:
            return []
        ours = [slot for slot in slots if slot["system"] in self.versions]
        if self.args.again:
            return ours
        return [slot for slot in ours if not self._known(slot)]

    def _known(self, slot):
        """This benchmark's record of a slot, or that of one like it, which is taken over."""
        versions = self.versions[slot["system"]]
        record = self.store.find(slot, versions)
        if record or self.store.path.stem not in ALIKE:
            return record
        for name in ALIKE:
            record = Store(self.store.path.with_name(f"{name}.json")).find(slot, versions)
            if record:
                return self.store.keep(record)
        return None

    def run_all(self, slots, minutes=None):
        """Run what is missing, in the order given; returns False if there is only a plan.

        `minutes(slot)` estimates; what is over the limit is left out, and so is what failed.
        """
        missing = self.missing(slots)
        minutes = minutes or self.estimate
        over = [slot for slot in missing if minutes(slot) > self.args.limit]
        missing = [slot for slot in missing if slot not in over]
        for slot in over:
            print(f"over the limit: {describe(slot)}, {minutes(slot):.0f} min", file=sys.stderr)
        if missing:
            total = sum(map(minutes, missing))
            print(f"{len(missing)} runs, very roughly {total:.1f} minutes", file=sys.stderr)
        if self.args.plan:
            for slot in missing:
                print(f"{describe(slot):80} {minutes(slot):6.1f} min")
            return False
        cores = report.cores()
        if missing and hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.2 * cores:
            print("THE MACHINE IS BUSY: times will not count for much", file=sys.stderr)
        for slot in missing:
            self.run(slot)
        return True

    def estimate(self, slot):
        """Minutes of a run, roughly."""
        system = SYSTEMS[slot["system"]]
        data, _ = self.load(slot["data"])
        iterations = slot["max_iter"] or system.default_iterations or 1000
        return system.minutes * iterations / 1000 * len(data.X) / 70_000

    def run(self, slot):
        """One run, judged, and kept.

        From a PCA start a seed alone changes nothing, so every seed but 0 also shuffles the rows:
        then rounding differs, and iterations amplify it to another map.
        """
        system = slot["system"]
        data, path = self.load(slot["data"])
        judge = self.judge(slot["data"])
        order = np.arange(len(data.X))
        if slot["seed"] > 0:
            np.random.RandomState(slot["seed"]).shuffle(order)
            path = Path(self.directory.name) / "shuffled.npy"
            np.save(path, data.X[order])
        back = np.argsort(order)
        output = Path(self.directory.name) / "maps.npz"
        spec = slot | {"data": str(path), "output": str(output)}
        try:
            figures = self._call(system, "--child", spec)
        except subprocess.CalledProcessError as error:
            print(f"FAILED: {describe(slot)} ({error})", file=sys.stderr)
            return None
        with np.load(output) as maps:
            figures |= judge(maps["embedding"][back])
            for i, snapshot in enumerate(figures["snapshots"]):
                snapshot |= judge(maps[f"snapshot{i}"][back])
            if not figures["snapshots"]:
                del figures["snapshots"]
        figures |= {"n_samples": data.X.shape[0], "n_features": data.X.shape[1]}
        record = self.store.add(slot, self.versions[system], figures)
        print(
            f"{describe(slot):70} {figures['seconds']:8.2f} s  KL {figures['kl_divergence']:.3f}",
            file=sys.stderr,
        )
        return record

    def _call(self, system, mode, what):
        """Start systems.py in the interpreter of the system; returns what it leaves as JSON."""
        figures = Path(self.directory.name) / "figures.json"
        figures.unlink(missing_ok=True)
        if mode == "--child":
            arguments = [json.dumps(what | {"figures": str(figures)})]
        else:
            arguments = [what, str(figures)]
        script = str(Path(__file__).with_name("systems.py"))
        threads = dict.fromkeys(THREAD_VARIABLES, str(self.args.threads))
        subprocess.run(
            [self.python[system], "-W", "ignore", script, mode, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | threads,
        )
        return json.loads(figures.read_text(encoding="utf-8"))


def alternating(systems, n_repeats, slots_of):
    """Slots by turns: every repeat runs all systems, in one order and then in the other."""
    systems = list(systems)
    return [
        slot
        for repeat in range(n_repeats)
        for system in (systems if repeat % 2 == 0 else systems[::-1])
        for slot in slots_of(system, repeat)
    ]


def describe(slot):
    """A slot in words."""
    words = [slot["data"], slot["system"]]
    words += ["default" if slot["max_iter"] is None else f"max_iter={slot['max_iter']}"]
    words += [f"{key}={value}" for key, value in slot["options"].items()]
    return ", ".join([*words, f"seed {slot['seed']}"])
