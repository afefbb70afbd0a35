"""Which columns are what: the options that say so, and how a file is read by them."""

from __future__ import annotations

import argparse
from pathlib import Path

from fasttsne.cli import read as tables
from fasttsne.cli.messages import Refusal
from fasttsne.cli.text import Format


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


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
