"""Maps of files, block by block: whether memory grows with the file, and how fast they are mapped.

``fasttsne map --landmarks`` maps the same kind of rows, 200 columns in single precision, from files
of 200 MB and of 800 MB (--megabytes), as Parquet with the row groups of pyarrow's default and as
``.npy``. Each run is a process of its own, and its peak is that of its resident memory, imports and
all. Fails if the larger file takes more than a tenth above the smaller one, or if a run that is
killed among its blocks and resumed does not write the very bytes of the one that was left alone.

``python benchmarks/big_files.py`` takes about 3 minutes and 1 GB of disk (--directory).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import report

N_FEATURES = 200
N_CLASSES = 20
ALLOWED = 1.10  # peak at the largest file over that at the smallest
BATCH = 100_000  # rows that are generated at a time


def rows_of(n_rows):
    """Rows around twenty centres, batch by batch."""
    random = np.random.default_rng(0)
    centers = random.normal(scale=4.0, size=(N_CLASSES, N_FEATURES)).astype(np.float32)
    for start in range(0, n_rows, BATCH):
        count = min(BATCH, n_rows - start)
        classes = random.integers(N_CLASSES, size=count)
        noise = random.standard_normal((count, N_FEATURES), dtype=np.float32)
        yield centers[classes] + noise, classes


def generate(path, n_rows):
    """Write a file; in a process of its own, or what it takes would count for the runs."""
    path = Path(path)
    if path.suffix == ".npy":
        target = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, N_FEATURES))
        for start, (X, _) in zip(range(0, n_rows, BATCH), rows_of(n_rows), strict=True):
            target[start : start + len(X)] = X
        return
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    waiting, writer = [], None
    for number, (X, classes) in enumerate(rows_of(n_rows), 1):
        columns = {f"x{i}": np.ascontiguousarray(X[:, i]) for i in range(N_FEATURES)}
        waiting.append(pa.table({**columns, "class": classes}))
        if number % 10 == 0 or number * BATCH >= n_rows:  # row groups as pyarrow writes them
            table = pa.concat_tables(waiting)
            writer = writer or ParquetWriter(path, table.schema)
            writer.write_table(table, row_group_size=1 << 20)
            waiting = []
    writer.close()


def command(source, target, args):
    label = ["--label", "class"] if source.suffix == ".parquet" else []
    return [
        *(sys.executable, "-m", "fasttsne", "map", str(source), "-o", str(target), *label),
        *("--landmarks", str(args.landmarks), "--random-state", "0", "--quiet", "--force"),
    ]


def measured(source, target, args):
    """Seconds and peak resident memory, in MB, of a run."""
    start = time.perf_counter()
    process = subprocess.Popen(command(source, target, args))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the run of {source} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - start, usage.ru_maxrss * unit / 1e6


def resumed_is_same(source, whole, args):
    """Kill a run in the middle of its blocks, resume it, and compare."""
    target = whole.with_stem("resumed")
    kept = target.with_name(target.name + ".checkpoint")
    process = subprocess.Popen(command(source, target, args))
    while process.poll() is None and len(list(kept.glob("part-*"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise RuntimeError("the run ended before it was killed")
    resume = ["map", str(source), "-o", str(target), "--resume", "--quiet"]
    subprocess.run([sys.executable, "-m", "fasttsne", *resume], check=True)
    return target.read_bytes() == whole.read_bytes()


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--megabytes", default="200,800", help="of numbers (default: %(default)s)")
    parser.add_argument("--kinds", default="npy,parquet", help="(default: %(default)s)")
    parser.add_argument("--landmarks", type=int, default=5_000, help="(default: %(default)s)")
    parser.add_argument("--directory", help="for the files (default: one for temporary files)")
    parser.add_argument("--output", help="JSON file (default: benchmarks/results/big_files.json)")
    parser.add_argument("--generate", nargs=2, help="for internal use")
    args = parser.parse_args()
    if args.generate:
        generate(args.generate[0], int(args.generate[1]))
        return 0

    sizes = sorted(int(size) for size in args.megabytes.split(","))
    runs, same = [], True
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        for kind in args.kinds.split(","):
            for size in sizes:
                n_rows = size * 10**6 // (4 * N_FEATURES)
                source = Path(directory) / f"{size}.{kind}"
                target = Path(directory) / f"map-{size}.{kind}"
                generator = [sys.executable, __file__, "--generate", str(source), str(n_rows)]
                subprocess.run(generator, check=True)
                seconds, peak = measured(source, target, args)
                runs.append(
                    {"kind": kind, "megabytes": size, "rows": n_rows, "s": seconds, "peak": peak}
                )
                print(runs[-1], file=sys.stderr)
                if size == sizes[0]:
                    same = resumed_is_same(source, target, args) and same
                source.unlink()
    rows = [
        [r["kind"], f"{r['megabytes']:,}", f"{r['rows']:,}", f"{r['s']:.1f}", f"{r['peak']:.0f}"]
        for r in runs
    ]
    print(report.table(["file", "MB", "rows", "s", "peak MB"], rows))
    print("Killed and resumed: the same bytes." if same else "RESUMED: OTHER BYTES")
    results = {"landmarks": args.landmarks, "runs": runs, "resumed_is_same": same}
    print("Kept in", report.save("big_files", results, args.output))
    peaks = {(r["kind"], r["megabytes"]): r["peak"] for r in runs}
    grown = max(peaks[r["kind"], sizes[-1]] / peaks[r["kind"], sizes[0]] for r in runs)
    if grown > ALLOWED:
        print(f"TOO MUCH: {grown:.2f} times the memory for the larger file; the limit is {ALLOWED}")
    return 0 if same and grown <= ALLOWED else 1


if __name__ == "__main__":
    raise SystemExit(main())
