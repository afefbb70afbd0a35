"""``fasttsne judge``: how much of the data a map keeps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli import columns, metrics, products
from fasttsne.cli import read as tables
from fasttsne.cli import write as outputs
from fasttsne.cli.messages import Refusal
from fasttsne.cli.streams import say

_DESCRIPTION = """\
Compare the neighbourhoods of a map, whoever drew it, with those of the data. X is read as
'fasttsne map' reads its INPUT; MAP has a row for each of its rows, in the same order.
"""
_EXAMPLES = """\
for example
  fasttsne judge flowers.csv map.csv --label species
  fasttsne judge vectors.npy map.npy --metric cosine --report map.json
"""


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
        "judge",
        help="say how far a map can be believed",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="X", help="the data")
    parser.add_argument("map", type=Path, metavar="MAP", help="the map")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write it: .txt or .json")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    columns.add_columns(parser, judging=True)
    group = parser.add_argument_group("how to judge")
    group.add_argument("--metric", default="euclidean", help="distance (default: %(default)s)")
    group.add_argument(
        "--n-neighbors",
        type=int,
        metavar="K",
        help="neighbours (default: 10, or fewer where there are less than 21 rows)",
    )
    group.add_argument(
        "--sample",
        type=int,
        default=5_000,
        metavar="N",
        help="judge so many points, each against all; 0 judges all (default: %(default)s)",
    )
    group.add_argument("--n-jobs", type=int, metavar="N", help="threads")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the report.

    Parameters
    ----------
    args : argparse.Namespace
        The options.

    Returns
    -------
    status : int
        0.
    """
    if args.report is not None:
        outputs.check_distinct({"X": args.data, "MAP": args.map, "--report": args.report})
        outputs.check_output(args.report, "--report", (".txt", ".json"), args.force)
    if args.sample < 0:
        raise Refusal(f"--sample must be at least 1, or 0 for all points; got {args.sample}")
    metrics.check_metric(args.metric)
    metrics.check_judgeable(args.metric)
    table = columns.read_input(args, args.data)
    for note in [*table.notes, f"judging by {table.told()}"]:
        say(note)
    Y = _read_map(args.map)
    if len(Y) != table.X.shape[0]:
        raise Refusal(
            f"{args.data} has {table.X.shape[0]:,} rows and {args.map} {len(Y):,}; a map has one "
            "for each row of its data, in the same order"
        )
    if len(Y) < 3:
        raise Refusal(f"{args.map} has {len(Y)} rows; neighbours of at least 3 can be judged")
    if (Y[0] == Y).all():
        raise Refusal(
            f"{args.map} is constant: all its points lie in one place, and there is nothing to "
            "judge; is it the right file?"
        )
    report = products.judge(
        table.X,
        Y,
        table.columns.get(args.label),
        metric=args.metric,
        n_neighbors=args.n_neighbors,
        sample=args.sample or None,
        n_jobs=args.n_jobs,
    )
    print(report)
    if args.report is not None:
        products.write_report(args.report, report)
    return 0


def _read_map(path: Path) -> NDArray[Any]:
    """Read what ``fasttsne map`` wrote, or any table of two or three columns of numbers."""
    kind = path.suffix.lower()
    if kind in (".npz", ".h5ad"):
        array = "embedding" if kind == ".npz" else "X_tsne"
        return np.asarray(tables.read_table(path, array=array).X)
    if kind == ".npy":
        return np.asarray(tables.read_table(path).X)
    names = tables.column_names(path)
    ours = [name for name in names if name.startswith("tsne_")]
    return np.asarray(tables.read_table(path, features=ours or None).X)
