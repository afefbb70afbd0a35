"""``fasttsne map``: from a file to a map, its picture, its page and its report."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fasttsne import TSNE
from fasttsne.anndata import record_of
from fasttsne.cli import checkpoint, export, large, read, write
from fasttsne.cli.large_parts import STATE
from fasttsne.cli.messages import Progress, Refusal, one_line, say
from fasttsne.cli.options import add_columns
from fasttsne.samples.labels import has_fractions

#: What argparse shows of the command.
ABOUT = {
    "usage": "%(prog)s [options] INPUT -o OUT",
    "help": "draw a map of your data",
    "description": """\
Draw a t-SNE map: every row of INPUT becomes a point, and similar rows become neighbours.
INPUT is a table (.csv, .tsv, .parquet, .xlsx), an array (.npy, .npz) or AnnData (.h5ad). In a
table all columns of numbers are mapped except --label, --keep and --drop.
With --landmarks, INPUT may be far larger than memory.
""",
    "epilog": """\
examples
  fasttsne map flowers.csv -o map.csv --label species --plot map.png --html map.html
  fasttsne map cells.h5ad -o mapped.h5ad --array X_pca --label cell_type --plot map.pdf
  fasttsne map vectors.npy -o map.npy --metric cosine --perplexity 50 --report map.json
  fasttsne map big.parquet -o map.parquet --landmarks 100000 --label class --plot map.png

Ctrl-C leaves a checkpoint beside OUT; --resume continues from it to the same map.
""",
}
_LARGE = """\
With --landmarks, N rows are drawn and fitted; all others are placed on their map in
blocks. Memory grows with N, not with INPUT. INPUT is .parquet or a folder of .parquet
files, .npy, .zarr or .h5; OUT is .parquet, .npy, .zarr, .h5, .csv or .tsv, or a folder
(its name ends in a slash) that gets one .parquet per block. --plot shows up to 500,000
rows and --html 50,000; --report judges 1,000, each against all. Finished work stays in
OUT.checkpoint, or in the folder, until OUT is complete; after any interruption --resume
continues. Needs the extra dask.
"""
_DEFAULT = Path()  # --resume without a name


def _number_or_auto(text: str) -> float | str:
    return text if text == "auto" else float(text)


def _numbers_or_auto(text: str) -> float | str | list[float]:
    return [float(number) for number in text.split(",")] if "," in text else _number_or_auto(text)


# Which argparse shows in an error.
_number_or_auto.__name__, _numbers_or_auto.__name__ = "number or auto", "numbers or auto"

# Parameters of the estimator as options: name, type, unit, help. Defaults but None are appended.
_PARAMETERS: tuple[tuple[str, Any, str, str], ...] = (
    (
        "perplexity",
        _numbers_or_auto,
        "P",
        "effective number of neighbours per point, 5 to 100, several as 30,300, or auto",
    ),
    ("early-exaggeration", float, "F", "factor on the attraction at the start"),
    (
        "early-exaggeration-iter",
        int,
        "N",
        "iterations over which that factor fades (default: 150, above 50,000 rows 100, after a map"
        " of groups 40)",
    ),
    ("exaggeration", float, "F", "later factor, above 1 to draw clusters together"),
    ("density", float, "D", "weight of density, 0.2 to 1 to keep wide groups wide"),
    ("learning-rate", _number_or_auto, "RATE", "step size"),
    ("max-iter", int, "N", "maximum number of iterations"),
    ("metric", str, "NAME", "distance between rows, such as euclidean, cosine or manhattan"),
    ("affinity", str, "NAME", "weight of neighbours: gaussian, uniform, precomputed (INPUT is P)"),
    ("init", ("pca", "spectral", "random"), "", "initial coordinates"),
    ("method", ("barnes_hut", "exact"), "", "forces, exact for a few thousand rows"),
    ("angle", float, "A", "approximation of barnes_hut, 0 (exact) to 1 (fast)"),
    ("neighbors", ("auto", "exact", "approximate"), "", "search for neighbours"),
    ("n-components", int, "N", "dimensions of the map"),
    (
        "degrees-of-freedom",
        _number_or_auto,
        "NU",
        "tail of the map's kernel, smaller to split clusters (default: 1 in 2 dimensions)",
    ),
    ("random-state", int, "SEED", "seed, the same for the same map (default: random)"),
    ("n-jobs", int, "N", "threads (default: all cores)"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    file: dict[str, Any] = {"type": Path, "metavar": "FILE"}
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="the data, or - for CSV from standard input"
    )
    files = parser.add_argument_group("output")
    files.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help=f"the map as {', '.join(write.KINDS)}, or - for CSV to standard output (with "
        "--landmarks also .zarr, .h5, or a folder with a slash at its end)",
    )
    files.add_argument("--plot", **file, help="a picture: .png, .pdf, .svg ...")
    files.add_argument(
        "--legend", action="store_true", help="name classes beside the picture, not on it"
    )
    files.add_argument("--html", **file, help="a page to explore in a browser")
    files.add_argument("--report", **file, help="measures of the map: .txt or .json")
    files.add_argument(
        "--reliability",
        action="store_true",
        help="report points at doubtful places, and on the page the scores of each point, too",
    )
    files.add_argument(
        "--export",
        action="append",
        metavar="TARGET",
        default=[],
        help="the map for another viewer: FILE.parquet for Embedding Atlas, tensorboard:DIR for "
        "TensorBoard (can be repeated)",
    )
    files.add_argument("--force", action="store_true", help="overwrite existing files")
    add_columns(parser)
    group = parser.add_argument_group("parameters", "Defaults are those of fasttsne.TSNE.")
    defaults = TSNE().get_params()
    for name, kind, metavar, meaning in _PARAMETERS:
        default = defaults[name.replace("-", "_")]
        options: dict[str, Any] = {"type": kind, "metavar": metavar}
        if isinstance(kind, tuple):
            options = {"choices": kind}
        text = f"{meaning} (default: {default})" if default is not None else meaning
        group.add_argument(f"--{name}", help=text, default=argparse.SUPPRESS, **options)
    more = parser.add_argument_group("more rows than fit in memory", _LARGE)
    more.add_argument("--landmarks", **number, help="rows to fit, usually 20,000 to 200,000")
    more.add_argument(
        "--landmark-selection",
        choices=("uniform", "density"),
        help="every row alike, or more rows from sparse regions (default: uniform)",
    )
    more.add_argument("--block-rows", **number, help="rows per block (default: about 32 MB)")
    more.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="Dask cluster whose workers place blocks and see INPUT under the same name, such as "
        "tcp://host:8786 (default: this process)",
    )
    long = parser.add_argument_group("long runs")
    long.add_argument("--quiet", action="store_true", help="print errors only")
    long.add_argument(
        "--checkpoint",
        **file,
        help="checkpoint, written every minute and on Ctrl-C, or with --landmarks a folder "
        "(default: OUT.checkpoint, on Ctrl-C only)",
    )
    long.add_argument(
        "--resume",
        **file,
        nargs="?",
        const=_DEFAULT,
        help="continue from a checkpoint (default: OUT.checkpoint)",
    )


def run(args: argparse.Namespace) -> int:
    """Draw the map, and return 0, or 130 after Ctrl-C."""
    names = [name.replace("-", "_") for name, *_ in _PARAMETERS]
    given: dict[str, Any] = {name: vars(args)[name] for name in names if name in vars(args)}
    is_named = args.output.endswith(("/", os.sep)) or os.path.isdir(args.output)
    args.output = Path(args.output)
    args.as_folder = is_named and args.output.suffix.lower() != ".zarr"  # OUT is a folder of parts
    usual = args.output / STATE if args.as_folder else Path(f"{args.output}.checkpoint")
    kept = args.checkpoint or usual
    if args.resume == _DEFAULT:
        args.resume = kept
    elif args.resume and not args.checkpoint:
        kept = args.resume
    if args.landmarks is not None or (args.resume and (args.resume.is_dir() or args.as_folder)):
        if args.transpose or args.log1p or args.pca is not None:
            raise Refusal("--transpose, --log1p and --pca read all of INPUT; leave out --landmarks")
        if args.export:
            raise Refusal("--export needs all of INPUT in memory; leave out --landmarks")
        if args.reliability:
            raise Refusal("--reliability needs all of INPUT in memory; leave out --landmarks")
        return large.run(args, given, args.resume or kept)
    for option in ("landmark_selection", "block_rows", "dask"):
        if vars(args)[option] is not None:
            raise Refusal(f"--{option.replace('_', '-')} goes with --landmarks; give both")
    _check_files(args, kept, given)
    progress = Progress(args.quiet)
    table = read.read_input(args, args.input)
    write.check_columns(args.output, table.columns, given.get("n_components", 2))
    export.check_columns(args.export, table.columns)
    progress.note(*table.notes)
    if args.report is not None and table.X.shape[0] < 3:
        raise Refusal("--report compares neighbours and requires at least 3 rows; leave it out")
    if args.reliability and table.X.shape[0] < 4:
        raise Refusal("--reliability requires at least 4 rows; leave it out")
    X = read.scaled(table.X, args)
    tsne = _resumed(args.resume, X, given, progress) if args.resume else TSNE(**given)
    is_judged_by = isinstance(tsne.perplexity, int | float) and tsne.affinity == "gaussian"
    if args.reliability and not is_judged_by:
        raise Refusal("--reliability requires --affinity gaussian and one number as --perplexity")
    progress.note(f"mapping {table.description()}")
    if not str(tsne.metric).startswith("precomputed") and tsne.affinity != "precomputed":
        progress.note(*read.doubts(table, chosen=bool(args.features), scaled=args.standardize))
    try:
        checkpoint.fit_with_checkpoints(
            tsne, X, kept, progress=progress, regularly=args.checkpoint is not None
        )
    except KeyboardInterrupt:
        if hasattr(tsne, "embedding_"):
            command = f"--resume {shlex.quote(str(kept))}"
            say(f"\ninterrupted; the same command with {command} goes on from here")
        else:
            say("\ninterrupted before the first iteration; nothing was written")
        return 130
    complete: list[Path] = []
    try:
        for what, path in _written(args, table, X, tsne):
            complete.append(path)
            progress.note(f"{what}: {path}")
    except KeyboardInterrupt:
        there = ", ".join(map(str, complete)) or "nothing"
        say(f"\ninterrupted after the fit; complete and written: {there}")
        return 130
    kept.unlink(missing_ok=True)
    return 0


def _check_files(args: argparse.Namespace, kept: Path, given: dict[str, Any]) -> None:
    """Check the metric and all files to be written."""
    same = bool(args.resume) and os.path.realpath(args.resume) == os.path.realpath(kept)
    named = {f"--{name}": vars(args)[name] for name in ("output", "plot", "html", "report")}
    named |= {"--resume": args.resume, "--checkpoint": None if same else kept}
    write.check_distinct({"INPUT": args.input, **named, **export.files_of(args.export)})
    write.check_metric(given.get("metric", "euclidean"))
    write.check_output(args.output, "--output", write.KINDS, args.force)
    if args.reliability and args.report is None:
        raise Refusal("--reliability goes with --report; give both")
    copies = args.output.suffix.lower() == ".h5ad"
    if copies and (args.transpose or args.input.suffix.lower() != ".h5ad"):
        raise Refusal("--output .h5ad is a copy of an .h5ad INPUT as it is; choose .csv or .npz")
    if args.report is not None and given.get("affinity") == "precomputed":
        raise Refusal(
            "a map is judged by the data or their distances, not by affinities; leave out --report"
        )
    n_components = given.get("n_components", 2)
    write.check_pictures(args, flat=n_components == 2)
    has_distances = given.get("affinity") != "precomputed"
    export.check_targets(
        args.export, args.force, n_components=n_components, has_distances=has_distances
    )
    if kept.is_dir() and (kept / "manifest.json").exists():
        raise Refusal(
            f"{kept} is left from an earlier run with --landmarks; --resume {kept} goes on, "
            "and another --checkpoint leaves it alone"
        )
    write.check_output(kept, "--checkpoint", (), force=True)
    if same or not kept.exists():
        return
    if not checkpoint.is_one(kept):
        raise Refusal(f"--checkpoint {kept}: it exists, and is no checkpoint; choose another name")
    if not args.force:
        raise Refusal(
            f"{kept} is left from an earlier run; --resume {kept} goes on, --force starts anew"
        )


def _resumed(path: Path, X: Any, given: dict[str, Any], progress: Progress) -> TSNE:
    """Return the estimator of a checkpoint with the parameters that are given now."""
    tsne = checkpoint.load(path, X)
    for name in ("init", "random_state"):
        if name in given and given[name] != getattr(tsne, name):
            option = f"--{name.replace('_', '-')}"
            progress.note(f"{option} has no effect: the descent has begun with another")
    tsne.set_params(**given)
    return tsne


def _written(
    args: argparse.Namespace, table: read.Table, X: Any, tsne: TSNE
) -> Iterator[tuple[str, Path]]:
    """Write the map, then the other outputs; yield what each is, and its file."""
    Y, labels, index = tsne.embedding_, table.labels, table.along.row_names
    content = Y, table.columns, args.input, record_of(tsne), index
    try:
        write.write_map(args.output, *content)
    except KeyboardInterrupt:  # writing takes a moment, and the map would be lost
        say("\nwriting the map before exiting; Ctrl-C again gives it up")
        write.write_map(args.output, *content)
        yield "map", args.output
        raise
    except Exception as error:
        place = None if isinstance(error, BrokenPipeError) else write.rescued(args.output, Y)
        if place is None:
            raise
        raise Refusal(f"{one_line(error)}; the coordinates of the map are in {place}") from error
    yield "map", args.output
    if args.plot is not None:
        legible = write.draw(args, Y, labels)
        boxes = " with boxes for characters that matplotlib's font does not have"
        yield f"picture{'' if legible else boxes}", args.plot
    report = None
    if args.report is not None:
        classes = None if labels is None or has_fractions(labels) else labels
        how: dict[str, Any] = {"metric": tsne.metric, "n_jobs": tsne.n_jobs}
        if args.reliability:
            how |= {"reliability": True, "perplexity": tsne.perplexity}
            how["degrees_of_freedom"] = tsne.degrees_of_freedom_
        report = write.report_of(X, Y, classes, **how)
        write.write_report(args.report, report)
        yield "report", args.report
    if args.html is not None:
        write.write_page(args, Y, labels, table.page_columns(), report)
        yield "page", args.html
    for target in dict.fromkeys(args.export):
        yield export.export(target, X, tsne, table.columns)
