"""``fasttsne map``: from a file to a map, its picture, its page and its report."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import Any

from fasttsne import TSNE
from fasttsne.cli import checkpoint, columns, metrics, products
from fasttsne.cli import read as tables
from fasttsne.cli import write as outputs
from fasttsne.cli.doubts import doubts
from fasttsne.cli.messages import Refusal
from fasttsne.cli.progress import Progress, rounded
from fasttsne.cli.streams import say

_DESCRIPTION = """\
Draw a t-SNE map: every row of INPUT becomes a point, and rows that are alike become
neighbours. INPUT is a table (.csv, .tsv, .parquet), an array (.npy, .npz) or AnnData (.h5ad).
Of a table all columns of numbers are mapped, but for --label, --keep and --drop.
With --landmarks, INPUT may be far larger than memory.
"""
_EXAMPLES = """\
for example
  fasttsne map flowers.csv -o map.csv --label species --plot map.png --html map.html
  fasttsne map cells.h5ad -o mapped.h5ad --array X_pca --label cell_type --plot map.pdf
  fasttsne map vectors.npy -o map.npy --metric cosine --perplexity 50 --report map.json
  fasttsne map big.parquet -o map.parquet --landmarks 100000 --label class --plot map.png

Ctrl-C leaves a checkpoint beside OUT; --resume goes on from it, to the same map.
"""
_DEFAULT = Path()  # --resume without a name
# The estimator's parameters: what each is called, its type, its values, and what to say of it.
_PARAMETERS: tuple[tuple[str, Any, str, str], ...] = (
    ("perplexity", float, "P", "how many neighbours a point has, so to speak; 5 to 100"),
    ("early-exaggeration", float, "F", "how strongly points attract at first"),
    ("early-exaggeration-iter", int, "N", "iterations in which that fades"),
    ("exaggeration", float, "F", "and later; more than 1 draws clusters together"),
    ("learning-rate", "number or auto", "RATE", "length of a step"),
    ("max-iter", int, "N", "iterations at the most"),
    ("metric", str, "NAME", "distance between rows, such as euclidean, cosine or manhattan"),
    ("init", ("pca", "spectral", "random"), "", "where points start"),
    ("method", ("barnes_hut", "exact"), "", "exact is for a few thousand rows"),
    ("angle", float, "A", "how much barnes_hut may approximate, 0 to 1"),
    ("neighbors", ("auto", "exact", "approximate"), "", "how neighbours are searched"),
    ("n-components", int, "N", "dimensions of the map"),
    ("degrees-of-freedom", "number or auto", "NU", "tail of the map's kernel; below 1 splits more"),
    ("random-state", int, "SEED", "the same seed gives the same map"),
    ("n-jobs", int, "N", "threads"),
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of the command line.

    Parameters
    ----------
    commands : argparse's subparsers
        Where it goes.

    Returns
    -------
    parser : argparse.ArgumentParser
        Its own.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        "map",
        help="draw a map of your data",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path, metavar="INPUT", help="the data")
    files = parser.add_argument_group("what to write")
    files.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help=f"the map, by its ending: {', '.join(outputs.KINDS)}; with --landmarks also "
        ".zarr, .h5, or a folder with a slash at its end",
    )
    files.add_argument("--plot", type=Path, metavar="FILE", help="a picture: .png, .pdf, .svg ...")
    files.add_argument("--html", type=Path, metavar="FILE", help="a page to explore in a browser")
    files.add_argument(
        "--report", type=Path, metavar="FILE", help="how good the map is: .txt or .json"
    )
    files.add_argument("--force", action="store_true", help="replace files that are there")
    columns.add_columns(parser)
    group = parser.add_argument_group("how to map", "Defaults are those of fasttsne.TSNE.")
    for name, kind, metavar, meaning in _PARAMETERS:
        default = getattr(TSNE(), name.replace("-", "_"))
        options: dict[str, Any] = {"choices": kind} if isinstance(kind, tuple) else {}
        if not options:
            reader = _number_or_auto if kind == "number or auto" else kind
            options = {"type": reader, "metavar": metavar}
        text = f"{meaning} (default: {default})" if default is not None else meaning
        group.add_argument(f"--{name}", help=text, default=argparse.SUPPRESS, **options)
    group.add_argument(
        "--standardize", action="store_true", help="first give all columns mean 0 and variance 1"
    )
    large = parser.add_argument_group(
        "more rows than fit in memory",
        "With --landmarks, N rows are drawn and fitted, and all others are placed on their map in "
        "blocks: memory grows with N, not with INPUT. INPUT is .parquet or a folder of such files, "
        ".npy, .zarr or .h5. OUT is .parquet, .npy, .zarr, .h5, .csv or .tsv, or a folder (its "
        "name ends in a slash) that gets one .parquet per block. --plot shows up to 500,000 rows "
        "and --html 50,000; --report judges 1,000, each against all. Finished work is kept in "
        "OUT.checkpoint, or in the folder, until OUT is complete; --resume continues from there. "
        "Needs the extra dask.",
    )
    large.add_argument(
        "--landmarks", type=int, metavar="N", help="number of rows to fit, 20,000 to 200,000"
    )
    large.add_argument(
        "--landmark-selection",
        choices=("uniform", "density"),
        help="draw every row alike, or more of those in sparse regions (default: uniform)",
    )
    large.add_argument(
        "--block-rows", type=int, metavar="N", help="rows per block (default: about 32 MB)"
    )
    large.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="let the workers of a Dask cluster place blocks, such as tcp://host:8786; they must "
        "see INPUT by the same name (default: this process)",
    )
    going = parser.add_argument_group("long runs")
    going.add_argument("--quiet", action="store_true", help="say nothing but errors")
    going.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="write where the descent is every minute, and on Ctrl-C (by default OUT.checkpoint, "
        "on Ctrl-C alone); with --landmarks a folder, which has all that is done at any time",
    )
    going.add_argument(
        "--resume",
        type=Path,
        nargs="?",
        const=_DEFAULT,
        metavar="FILE",
        help="go on from a checkpoint of your own: it can run code, so take none from others "
        "(default: the one beside OUT)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Draw the map.

    Parameters
    ----------
    args : argparse.Namespace
        The options.

    Returns
    -------
    status : int
        0, or 130 if interrupted.
    """
    names = [name.replace("-", "_") for name, *_ in _PARAMETERS]
    given: dict[str, Any] = {name: vars(args)[name] for name in names if name in vars(args)}
    from fasttsne.cli import large

    args.as_folder, args.output = large.is_folder(args.output), Path(args.output)
    kept = args.checkpoint or large.default_checkpoint(args.output, args.as_folder)
    if args.resume == _DEFAULT:
        args.resume = kept
    elif args.resume and not args.checkpoint:
        kept = args.resume
    if args.landmarks is not None or (args.resume and (args.resume.is_dir() or args.as_folder)):
        return large.run(args, given, args.resume or kept)
    for option in ("landmark_selection", "block_rows", "dask"):
        if vars(args)[option] is not None:
            raise Refusal(f"--{option.replace('_', '-')} goes with --landmarks; give both")
    _check_files(args, kept, given)
    progress = Progress(given.get("max_iter", TSNE().max_iter), args.quiet)
    table = columns.read_input(args, args.input)
    for note in table.notes:
        progress.note(note)
    if args.report is not None and table.X.shape[0] < 3:
        raise Refusal("--report compares neighbours, which takes at least 3 rows; leave it out")
    X = _standardized(table.X) if args.standardize else table.X
    if args.resume:
        tsne = checkpoint.load(args.resume, X)
        for name in ("init", "random_state"):
            if name in given and given[name] != getattr(tsne, name):
                option = f"--{name.replace('_', '-')}"
                progress.note(f"{option} makes no difference: the descent began with another")
        tsne.set_params(**given)
    else:
        tsne = TSNE(**given)
    progress.max_iter = tsne.max_iter
    progress.note(f"mapping {table.told()}")
    if not str(tsne.metric).startswith("precomputed"):
        for note in doubts(table, chosen=bool(args.features), scaled=args.standardize):
            progress.note(note)
    start = time.perf_counter()
    try:
        checkpoint.fit_with_checkpoints(
            tsne, X, kept, progress=progress, regularly=args.checkpoint is not None
        )
    except KeyboardInterrupt:
        say(f"\n{_farewell(tsne, kept, args)}")
        return 130
    progress.note(
        f"KL divergence {rounded(tsne.kl_divergence_)} after {tsne.n_iter_ + 1} iterations, "
        f"{time.perf_counter() - start:.1f} s"
    )
    complete: list[Path] = []
    try:
        _write(args, table, X, tsne, progress, complete)
    except KeyboardInterrupt:
        there = ", ".join(map(str, complete)) or "nothing"
        say(f"\ninterrupted when the map was drawn; complete and written: {there}")
        return 130
    kept.unlink(missing_ok=True)
    return 0


def _check_files(args: argparse.Namespace, kept: Path, given: dict[str, Any]) -> None:
    """Refuse, before any work, files that cannot be written afterwards."""
    goes_on_there = bool(args.resume) and args.resume.resolve() == kept.resolve()
    named = {
        "--output": args.output,
        "--plot": args.plot,
        "--html": args.html,
        "--report": args.report,
        "--resume": args.resume,
        "--checkpoint": None if goes_on_there else kept,
    }
    outputs.check_distinct({"INPUT": args.input, **named})
    metrics.check_metric(given.get("metric", "euclidean"))
    outputs.check_output(args.output, "--output", outputs.KINDS, args.force)
    if args.output.suffix.lower() == ".h5ad" and args.input.suffix.lower() != ".h5ad":
        raise Refusal("--output .h5ad is a copy of an .h5ad INPUT; choose .csv or .npz")
    if args.report is not None:
        metrics.check_judgeable(given.get("metric", "euclidean"))
    beside = tables.columns_beside(vars(args))
    outputs.check_columns(args.output, beside, given.get("n_components", 2))
    products.check_pictures(args, flat=given.get("n_components", 2) == 2)
    _check_checkpoint(kept, goes_on_there, args.force)


def _check_checkpoint(kept: Path, goes_on_there: bool, force: bool) -> None:
    """Refuse a checkpoint that cannot be written, or would replace what is there."""
    if (kept / "manifest.json").exists():
        raise Refusal(
            f"{kept} is left from an earlier run with --landmarks; --resume {kept} goes on, "
            "and another --checkpoint leaves it alone"
        )
    outputs.check_output(kept, "--checkpoint", (), force=True)
    if goes_on_there or not kept.exists():
        return
    if not checkpoint.is_one(kept):
        raise Refusal(f"--checkpoint {kept}: it exists, and is no checkpoint; choose another name")
    if not force:
        raise Refusal(
            f"{kept} is left from an earlier run; --resume {kept} goes on, --force starts anew"
        )


def _standardized(X: Any) -> Any:
    from scipy import sparse
    from sklearn.preprocessing import StandardScaler

    return StandardScaler(with_mean=not sparse.issparse(X)).fit_transform(X)


def _farewell(tsne: TSNE, kept: Path, args: argparse.Namespace) -> str:
    if not hasattr(tsne, "embedding_"):
        return "interrupted before the first iteration; nothing was written"
    command = f"--resume {shlex.quote(str(kept))}"
    return f"interrupted; the same command with {command} goes on from here"


def _write(
    args: argparse.Namespace,
    table: tables.Table,
    X: Any,
    tsne: TSNE,
    progress: Progress,
    complete: list[Path],
) -> None:
    """Write the map first, and then what was made of it; list what is complete."""
    Y, labels = tsne.embedding_, table.columns.get(args.label)
    try:
        outputs.write_map(args.output, Y, table.columns, args.input)
        complete.append(args.output)
    except KeyboardInterrupt:  # the map is there, and would be lost for the sake of a moment
        say("\nwriting the map before the end; Ctrl-C again gives it up")
        outputs.write_map(args.output, Y, table.columns, args.input)
        complete.append(args.output)
        raise
    progress.note(f"map: {args.output}")
    if args.plot is not None:
        legible = products.draw(args.plot, Y, labels, args.input.stem)
        complete.append(args.plot)
        progress.note(f"picture: {args.plot}")
        if not legible:
            progress.note("  with boxes for signs of the labels that are not in matplotlib's font")
    if args.html is not None:
        from fasttsne.plot import html

        hover = products.hover_texts(table.columns, args.keep)
        html(Y, labels, args.html, hover=hover, title=args.input.stem)
        complete.append(args.html)
        progress.note(f"page: {args.html}")
    if args.report is not None:
        report = products.judge(X, Y, labels, metric=tsne.metric, n_jobs=tsne.n_jobs)
        products.write_report(args.report, report)
        progress.note(f"report: {args.report}")


def _number_or_auto(text: str) -> float | str:
    return text if text == "auto" else float(text)


_number_or_auto.__name__ = "number"  # as argparse calls it in an error
