"""``fasttsne judge``: how much of the data a map keeps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from fasttsne.cli import read, write
from fasttsne.cli.large_inputs import is_zarr, open_source
from fasttsne.cli.messages import Refusal, say, shortened
from fasttsne.cli.options import add_columns
from fasttsne.cli.text import kind_of
from fasttsne.samples.labels import has_fractions

#: What argparse shows of the command.
ABOUT = {
    "usage": "%(prog)s [options] X [MAP]",
    "help": "measure how much of the data a map keeps",
    "description": """\
Compare the neighbourhoods of any map with those of the data. X is read like the INPUT of
'fasttsne map'; MAP has one row for each row of X, in the same order.
""",
    "epilog": """\
examples
  fasttsne judge flowers.csv map.csv --label species
  fasttsne judge cells.h5ad --embedding X_umap --array X_pca --label cell_type
  fasttsne judge vectors.npy map.npy --metric cosine --report map.json
""",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("data", type=Path, metavar="X", help="the data")
    parser.add_argument(
        "map", type=Path, nargs="?", metavar="MAP", help="the map, from any program (default: X)"
    )
    parser.add_argument(
        "--embedding",
        metavar="NAME",
        help="array of MAP in .npz or .h5ad, such as X_umap (default: embedding or X_tsne)",
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the report, too: .txt or .json"
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing FILE")
    add_columns(parser, judging=True)
    group = parser.add_argument_group("parameters")
    for option, kind, default, metavar, meaning in (
        ("--metric", str, "euclidean", "NAME", "distance in X"),
        ("--n-neighbors", int, None, "K", "neighbourhood size (default: 10, fewer below 21 rows)"),
        ("--sample", int, 5000, "N", "points to judge, each against all, or 0 for all points"),
        ("--n-jobs", int, None, "N", "threads (default: all cores)"),
    ):
        text = meaning if default is None else f"{meaning} (default: {default})"
        group.add_argument(option, type=kind, default=default, metavar=metavar, help=text)


def run(args: argparse.Namespace) -> int:
    """Print the report, and return 0."""
    if args.map is None and args.embedding is None:
        raise Refusal("MAP is missing; name the file, or with --embedding an array of X")
    args.map = args.map or args.data
    if str(args.map) == str(args.data) == "-":
        raise Refusal("X and MAP are both standard input; write one of them to a file")
    if args.report is not None:
        for name, path in {"X": args.data, "MAP": args.map}.items():
            write.check_distinct({name: path, "--report": args.report})
        write.check_output(args.report, "--report", (".txt", ".json"), args.force)
    if args.sample < 0:
        raise Refusal(f"--sample must be at least 1, or 0 for all points; got {args.sample}")
    write.check_metric(args.metric)
    table = read.read_input(args, args.data)
    placed = _read_map(args.map, args.embedding)
    Y, own = np.asarray(placed.X), ~np.isin(table.names, placed.all_names)
    # A table with all columns of X is X beside its map.
    if own.any() and not own.all() and args.features is None:
        along = [name for name in table.names if name in placed.all_names]
        table.X, table.names = table.X[:, own], [*np.array(table.names, dtype=object)[own]]
        table.notes.append(f"no features, as {args.map} carries them along: {shortened(along)}")
    if args.metric != "precomputed":
        table.notes += read.doubts(table, chosen=bool(args.features), scaled=args.standardize)
    say("\n".join([*table.notes, f"judging by {table.description()}"]))
    if len(Y) != table.X.shape[0]:
        raise Refusal(
            f"{args.data} has {table.X.shape[0]:,} rows and {args.map} {len(Y):,}; a map has one "
            "for each row of its data, in the same order"
        )
    if (Y[0] == Y).all():
        raise Refusal(
            f"{args.map} is constant: all its points lie in one place, and there is nothing to "
            "judge; is it the right file?"
        )
    if table.labels is not None and has_fractions(table.labels):
        raise Refusal(f"--label {args.label} has numbers with fractions, which are no classes")
    X, sample = read.scaled(table.X, args), args.sample or None
    given = {name: vars(args)[name] for name in ("metric", "n_neighbors", "n_jobs")}
    report = write.report_of(X, Y, table.labels, sample=sample, **given)
    print(report)
    if args.report is not None:
        write.write_report(args.report, report)
    return 0


def _read_map(path: Path, embedding: str | None) -> read.Table:
    """Read the output of ``fasttsne map``, or any table or array of numbers."""
    wanted: dict[str, Any] = {"preferred": read.COORDINATE}
    if path.is_dir() or kind_of(path) in (".h5", ".hdf5"):
        stored = None if path.is_dir() and not is_zarr(path) else "embedding"
        source = open_source(path, wanted | {"array": embedding or stored})
        return read.Table(source.read(0, source.shape[0]), all_names=source.all_names)
    usual = {".npz": "embedding", ".h5ad": "X_tsne"}.get(kind_of(path))
    if embedding and not usual:
        raise Refusal(f"--embedding is for .npz and .h5ad; {path.name} holds one table")
    return read.read_table(path, wanted, array=embedding or usual)
