"""``fasttsne map``: from a file to a map, its picture, its page and its report."""

from __future__ import annotations

import argparse
import json
import shlex
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import TSNE
from fasttsne.cli import checkpoint, outputs, tables
from fasttsne.cli.doubts import doubts
from fasttsne.cli.progress import Progress, rounded
from fasttsne.cli.refusal import Refusal, unknown_name
from fasttsne.cli.streams import say
from fasttsne.cli.text import Format
from fasttsne.files import replacing
from fasttsne.similarities import METRICS

if TYPE_CHECKING:
    from fasttsne.quality import Report

_JUDGED = 5_000  # points, of more: enough for three digits
_USUAL_METRICS = ("euclidean", "cosine", "correlation", "manhattan", "chebyshev", "hamming")
_NEED_PARAMETERS = {
    "mahalanobis": "takes a matrix, which an option cannot give; use fasttsne.TSNE",
    "seuclidean": "takes variances; euclidean with --standardize is the same",
}
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
        type=Path,
        metavar="OUT",
        required=True,
        help=f"the map, by its ending: {', '.join(outputs.KINDS)}; with --landmarks also "
        ".zarr, .h5",
    )
    files.add_argument("--plot", type=Path, metavar="FILE", help="a picture: .png, .pdf, .svg ...")
    files.add_argument("--html", type=Path, metavar="FILE", help="a page to explore in a browser")
    files.add_argument(
        "--report", type=Path, metavar="FILE", help="how good the map is: .txt or .json"
    )
    files.add_argument("--force", action="store_true", help="replace files that are there")
    add_columns(parser)
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
        "With --landmarks, N rows are drawn and fitted, and all others are placed among them as "
        "they are read, block by block: memory grows with N, not with INPUT. INPUT is .parquet or "
        "a folder of such files, .npy, .zarr or .h5; OUT is .parquet, .npy, .zarr, .h5, .csv or "
        ".tsv. --plot shows up to 500,000 of the rows and --html 50,000; --report judges 1,000, "
        "each against all. What is done stays in OUT.checkpoint until OUT is complete, however the "
        "run ends, and --resume goes on from there. Needs the extra dask.",
    )
    large.add_argument(
        "--landmarks", type=int, metavar="N", help="fit so many rows; 20,000 to 200,000 do well"
    )
    large.add_argument(
        "--landmark-selection",
        choices=("uniform", "density"),
        help="draw every row alike, or more of those in sparse regions (default: uniform)",
    )
    large.add_argument(
        "--block-rows", type=int, metavar="N", help="rows of a block (default: some 32 MB)"
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


def add_columns(parser: argparse.ArgumentParser, *, judging: bool = False) -> None:
    """Add the options that say which columns are what.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of a command that reads data.

    judging : bool, default=False
        Whether these are judged by rather than mapped.
    """
    label = "names the class of each row; never mapped, only shown"
    keep = "columns that are not mapped but go along, into OUT and the page"
    features = "map these columns alone"
    if judging:
        label = "names the class of each row, for the accuracy of neighbours; no feature"
        keep = "columns that are no features, as map was told"
        features = "these columns alone are features"
    group = parser.add_argument_group(f"what is what in {'X' if judging else 'INPUT'}")
    group.add_argument("--label", metavar="COLUMN", help=label)
    group.add_argument("--keep", type=_names, default=[], metavar="A,B", help=keep)
    group.add_argument("--features", type=_names, metavar="A,B", help=features)
    group.add_argument("--drop", type=_names, default=[], metavar="A,B", help="leave these out")
    group.add_argument(
        "--array",
        metavar="NAME",
        help="which array of an .npz or .h5ad it is; with --landmarks, of a .zarr or .h5",
    )
    group.add_argument(
        "--sep", metavar="SIGN", help="what separates cells of a .csv or .tsv, such as ';'"
    )
    group.add_argument("--decimal", metavar="SIGN", help="its decimal point, such as ','")
    group.add_argument(
        "--no-header", action="store_true", help="its first line is data and names no columns"
    )


def read_input(args: argparse.Namespace, path: Path) -> tables.Table:
    """Read a file as the options of :func:`add_columns` say.

    Parameters
    ----------
    args : argparse.Namespace
        The options.

    path : pathlib.Path
        The file.

    Returns
    -------
    table : Table
        What it holds.
    """
    return tables.read_table(
        path,
        extra=tables.columns_beside(vars(args)),
        features=args.features,
        drop=args.drop,
        array=args.array,
        written=text_format(args),
    )


def text_format(args: argparse.Namespace) -> Format:
    """Gather how a table of text is written.

    Parameters
    ----------
    args : argparse.Namespace
        The options.

    Returns
    -------
    written : Format
        As they say.

    Raises
    ------
    Refusal
        If a sign is none.
    """
    separator = {"\\t": "\t", "tab": "\t"}.get(args.sep, args.sep)
    for option, sign in (("--sep", separator), ("--decimal", args.decimal)):
        if sign is not None and (len(sign) != 1 or sign.isalnum() or sign in '\r\n\0"'):
            raise Refusal(f"{option} must be one sign, such as ';'; got {sign!r}")
    decimal = args.decimal or "."
    if separator == decimal:
        raise Refusal(f"--sep and --decimal are both {decimal!r}; they must differ")
    return Format(separator, decimal, False if args.no_header else None)


def check_metric(name: str) -> None:
    """Refuse a metric that is none, before any work.

    Parameters
    ----------
    name : str
        What it was called.

    Raises
    ------
    Refusal
        Suggesting the nearest one, or naming the usual ones.
    """
    known = [*_USUAL_METRICS, *sorted(METRICS - {"pyfunc", *_USUAL_METRICS})]
    if name not in known:
        raise unknown_name("metric", name, known, "fasttsne")
    if name in _NEED_PARAMETERS:
        raise Refusal(f"--metric {name} {_NEED_PARAMETERS[name]}")


def check_judgeable(metric: str) -> None:
    """Refuse what a map can be drawn from, and not judged by.

    Parameters
    ----------
    metric : str
        One that there is.

    Raises
    ------
    Refusal
        If it is none of distances.
    """
    if metric == "precomputed_affinity":
        raise Refusal(
            "a map is judged by the data or their distances, which affinities are not; choose "
            "another --metric, or leave out --report"
        )


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
    kept = args.checkpoint or args.output.with_name(args.output.name + ".checkpoint")
    if args.resume == _DEFAULT:
        args.resume = kept
    elif args.resume and not args.checkpoint:
        kept = args.resume
    if args.landmarks is not None or (args.resume and args.resume.is_dir()):
        from fasttsne.cli.blocks.run import run as run_by_blocks

        return run_by_blocks(args, given, args.resume or kept)
    for option in ("landmark_selection", "block_rows", "dask"):
        if vars(args)[option] is not None:
            raise Refusal(f"--{option.replace('_', '-')} goes with --landmarks; give both")
    _check_files(args, kept, given)
    progress = Progress(given.get("max_iter", TSNE().max_iter), args.quiet)
    table = read_input(args, args.input)
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
    check_metric(given.get("metric", "euclidean"))
    outputs.check_output(args.output, "--output", outputs.KINDS, args.force)
    if args.output.suffix.lower() == ".h5ad" and args.input.suffix.lower() != ".h5ad":
        raise Refusal("--output .h5ad is a copy of an .h5ad INPUT; choose .csv or .npz")
    if args.report is not None:
        check_judgeable(given.get("metric", "euclidean"))
    beside = tables.columns_beside(vars(args))
    outputs.check_columns(args.output, beside, given.get("n_components", 2))
    check_pictures(args, flat=given.get("n_components", 2) == 2)
    _check_checkpoint(kept, goes_on_there, args.force)


def _check_checkpoint(kept: Path, goes_on_there: bool, force: bool) -> None:
    """Refuse a checkpoint that cannot be written, or would replace what is there."""
    if kept.is_dir() and (kept / "manifest.json").exists():
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


def check_pictures(args: argparse.Namespace, *, flat: bool) -> None:
    """Refuse, before any work, what cannot be drawn or written of a map.

    Parameters
    ----------
    args : argparse.Namespace
        The options.

    flat : bool
        Whether the map is one of two dimensions.

    Raises
    ------
    Refusal
        Naming the option and the remedy.
    """
    for option, path in (("--plot", args.plot), ("--html", args.html)):
        if path is not None and not flat:
            raise Refusal(f"{option} draws in the plane; leave it out, or --n-components")
    if args.plot is not None:
        outputs.check_output(args.plot, "--plot", _picture_kinds(), args.force)
    if args.html is not None:
        outputs.check_output(args.html, "--html", (".html", ".htm"), args.force)
        _check_plotly()
    if args.report is not None:
        outputs.check_output(args.report, "--report", (".txt", ".json"), args.force)


def _picture_kinds() -> tuple[str, ...]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise Refusal("--plot needs matplotlib: pip install 'fasttsne[plot]'") from error
    return tuple(f".{kind}" for kind in sorted(Figure().canvas.get_supported_filetypes()))


def _check_plotly() -> None:
    try:
        import plotly  # noqa: F401
    except ModuleNotFoundError as error:
        raise Refusal("--html needs plotly: pip install 'fasttsne[html]'") from error


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
    outputs.write_map(args.output, Y, table.columns, args.input)
    complete.append(args.output)
    progress.note(f"map: {args.output}")
    if args.plot is not None:
        legible = draw(args.plot, Y, labels, args.input.stem)
        complete.append(args.plot)
        progress.note(f"picture: {args.plot}")
        if not legible:
            progress.note("  with boxes for signs of the labels that are not in matplotlib's font")
    if args.html is not None:
        from fasttsne.plot import html

        html(
            Y, labels, args.html, hover=hover_texts(table.columns, args.keep), title=args.input.stem
        )
        complete.append(args.html)
        progress.note(f"page: {args.html}")
    if args.report is not None:
        report = judge(X, Y, labels, metric=tsne.metric, n_jobs=tsne.n_jobs)
        write_report(args.report, report)
        progress.note(f"report: {args.report}")


def draw(path: Path, Y: NDArray[np.float32], labels: Any, title: str) -> bool:
    """Draw a map into a file.

    Parameters
    ----------
    path : pathlib.Path
        The file; its ending decides on the kind of picture.

    Y : ndarray of shape (n_samples, 2)
        The map.

    labels : array-like of shape (n_samples,) or None
        Classes or a quantity.

    title : str
        Written above.

    Returns
    -------
    legible : bool
        Whether the font has all signs that are written.
    """
    from matplotlib.figure import Figure

    from fasttsne.plot import scatter

    figure = Figure(figsize=(8, 8), dpi=150, layout="constrained")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # A dollar sign in the name of a file begins no formula.
        scatter(Y, labels, ax=figure.add_subplot(), title=title.replace("$", r"\$"))
        with replacing(path) as unfinished:
            figure.savefig(unfinished)
    unknown = [warning for warning in caught if "missing from font" in str(warning.message)]
    for warning in caught:
        if warning not in unknown:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return not unknown


def judge(
    X: Any,
    Y: NDArray[Any],
    labels: Any,
    *,
    metric: Any = "euclidean",
    n_neighbors: int | None = None,
    sample: int | None = _JUDGED,
    n_jobs: int | None = None,
) -> Report:
    """Judge a map by some of its points at the most.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The data.

    Y : ndarray of shape (n_samples, n_components)
        The map.

    labels : array-like of shape (n_samples,) or None
        Classes.

    metric : str, default="euclidean"
        Distance between rows of `X`.

    n_neighbors : int, default=None
        Size of a neighbourhood; None takes 10, or as many as there can be where these are fewer.

    sample : int or None, default=5000
        How many points to judge, each against all; None judges all.

    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    report : Report
        What :func:`fasttsne.quality.report` returns.
    """
    from fasttsne.quality import report

    n_samples = len(Y)
    return report(
        X,
        Y,
        labels,
        metric=metric,
        n_neighbors=min(10, (n_samples - 1) // 2) if n_neighbors is None else n_neighbors,
        sample=None if sample is None or n_samples <= sample else sample,
        random_state=0,
        n_jobs=n_jobs,
    )


def write_report(path: Path, report: Report) -> None:
    """Write a report as text, or as JSON.

    Parameters
    ----------
    path : pathlib.Path
        The file; its ending decides.

    report : Report
        What to write.
    """
    if path.suffix.lower() == ".json":
        outputs.write_text(path, json.dumps(report.to_dict(), indent=2, default=_listed) + "\n")
    else:
        outputs.write_text(path, f"{report}\n")


def _listed(value: Any) -> Any:
    return value.tolist()


def hover_texts(columns: Mapping[str, Any], keep: list[str]) -> list[str] | None:
    """Write the columns that go along as the text of each point.

    Parameters
    ----------
    columns : dict of str to array-like of shape (n_samples,)
        All that go along.

    keep : list of str
        Those that are written.

    Returns
    -------
    texts : list of n_samples str, or None
        None if there are none to write.
    """
    if not keep:
        return None
    kept = [np.asarray(columns[name]).astype(object) for name in keep]
    return [
        "\n".join(f"{name}: {value}" for name, value in zip(keep, row, strict=True))
        for row in zip(*kept, strict=True)
    ]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _number_or_auto(text: str) -> float | str:
    return text if text == "auto" else float(text)


_number_or_auto.__name__ = "number"  # as argparse calls it in an error
