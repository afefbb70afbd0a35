"""What benchmarks share when they report: the machine, tables, and JSON that is kept."""

import argparse
import json
import os
import platform
import re
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"


def parser(doc):
    """An argument parser that shows a script's docstring as it stands."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def cores():
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def machine():
    """What the figures were measured on."""
    memory, told = None, {}
    if Path("/proc/cpuinfo").exists():
        text = Path("/proc/cpuinfo").read_text()
        told = dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", text, re.M))
    model = told.get("model name", platform.processor())
    if "cpu family" in told:  # virtual machines call different processors by one name
        model += f" (family {told['cpu family']}, model {told['model']})"
    flags = told.get("flags", told.get("Features", ""))
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    vectors = [name for name in ("avx512f", "avx2", "asimd") if name in flags.split()]
    return {
        "processor": model,
        "architecture": platform.machine(),
        "vectors": vectors[0] if vectors else None,
        "cores": cores(),
        "memory_bytes": memory,
        "system": platform.system(),
    }


def machine_name(found):
    """A machine in one line."""
    parts = [found["processor"] or found["architecture"], found["vectors"]]
    parts += [f"{found['cores']} cores"]
    if found["memory_bytes"]:
        parts += [f"{found['memory_bytes'] / 2**30:.0f} GiB"]
    return ", ".join(str(part) for part in [*parts, found["system"]] if part)


def versions():
    """Versions of everything that takes part."""
    found = {"python": platform.python_version()}
    for name in ("fasttsne", "scikit-learn", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def save(name, results, path=None):
    """Keep results as JSON, with how they came about; returns where."""
    path = Path(path) if path else RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "command": " ".join(["python", f"benchmarks/{name}.py", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "versions": versions(),
        "results": results,
    }
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return path


def origin(path):
    """Machine, versions, date and command of results that `save` kept, as a paragraph."""
    kept = json.loads(Path(path).read_text(encoding="utf-8"))
    packages = kept["versions"] | kept["results"].get("versions", {})
    named = "; ".join(f"{name} {found}" for name, found in packages.items() if found)
    return (
        f"Machine: {machine_name(kept['machine'])}. Versions: {named}. "
        f"Measured {kept['date']} by `{kept['command']}`."
    )


def table(header, rows):
    """A Markdown table with its columns lined up; the first column to the left."""
    cells = [list(header), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row):
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *["-" * (width - 1) + ":" for width in widths[1:]]]
    return "\n".join(line(row) for row in [cells[0], rule, *cells[1:]])


def spread(values, digits=None, fixed=None):
    """Median, and least to most where there is more than one value; "-" for none.

    `digits` are significant ones, `fixed` those behind the point.
    """
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    middle, least, most = (
        number(value, digits, fixed) for value in (median(values), min(values), max(values))
    )
    return f"{middle} ({least}-{most})" if least != most else middle


def number(value, digits=None, fixed=None):
    """A number with so many significant digits, never as a power of ten."""
    if value is None:
        return "-"
    if fixed is not None:
        return f"{value:,.{fixed}f}"
    if value == 0:
        return "0"
    behind = max(0, (digits or 3) - len(str(int(abs(value)))))
    if abs(value) < 1:
        behind = (digits or 3) - 1 - int(f"{value:e}".partition("e")[2])
    return f"{value:,.{behind}f}"


def circumstances(runs):
    """Machine, versions, threads, dates and load of records, as a paragraph."""
    if not runs:
        return "Nothing measured yet."
    packages = {}
    for run in runs:
        for package, found in run["versions"].items():
            packages.setdefault(package, set()).add(found or "?")
    parts = [f"{name} {', '.join(sorted(found))}" for name, found in packages.items()]
    loads = [run["load_at_start"] for run in runs if run.get("load_at_start") is not None]
    threads = sorted({run["slot"]["threads"] for run in runs})
    dates = sorted(run["date"] for run in runs)
    text = f"Machine: {runs[0]['machine']}. Threads: {', '.join(map(str, threads))}. "
    text += f"Versions: {'; '.join(parts)}. Measured {dates[0]} to {dates[-1]}."
    if loads:
        text += f" Load average before a run: {median(loads):.1f}, at most {max(loads):.1f}."
    return text


def publish(directory, name, text):
    """Print Markdown, and keep it beside the JSON."""
    path = Path(directory) / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(text)
    print(f"\nKept in {path} and {path.with_suffix('.json')}")
