"""Options of an input: how its text is written, and which of its columns are mapped."""

from __future__ import annotations

import argparse
import codecs
import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fasttsne.cli.messages import Refusal, unknown_name
from fasttsne.cli.text import Format, numbers

_MOST_COMMAS = 20  # in the name of a column
_PLAIN = Format()._asdict()

_FILE_OPTIONS = (
    ("--array", "NAME", "array of .npz, .h5ad (with --landmarks: .zarr, .h5), sheet of .xlsx"),
    ("--sep", "SIGN", "separator of a .csv or .tsv: ';', tab, space ... (default: by ending)"),
    ("--decimal", "SIGN", "decimal point of a .csv or .tsv (default: .)"),
    ("--thousands", "SIGN", "sign between groups of three digits (default: none)"),
    ("--encoding", "NAME", "of a .csv or .tsv, as cp1252 (default: by first bytes or utf-8)"),
)
_PREPARATIONS = (
    ("--transpose", "map the columns, as of a table of genes by cells"),
    ("--log1p", "replace x by log(1 + x)"),
    ("--standardize", "scale all columns to mean 0 and variance 1"),
)


class Along(NamedTuple):
    """Names of the columns that go along."""

    label: str | None = None
    kept: Sequence[str] = ()
    row_names: Sequence[str] = ()  # columns of them, as of a DataFrame, which go along unasked

    @property
    def names(self) -> list[str]:
        """All names, those of the index first and then the label."""
        label = [] if self.label is None else [self.label]
        return list(dict.fromkeys([*self.row_names, *label, *self.kept]))


def add_columns(parser: argparse.ArgumentParser, *, judging: bool = False) -> None:
    """Add the options that say what each column of the input is."""
    label, kept = "shown and not mapped", "not mapped, and are copied into OUT and the page"
    features = "columns to map"
    if judging:
        label, kept = "for the kNN accuracy and no feature", "no features, as for map"
        features = "the features"
    group = parser.add_argument_group(f"columns of {'X' if judging else 'INPUT'}")
    group.add_argument("--label", metavar="COLUMN", help=f"class of each row, {label}")
    for option, default, meaning in (
        ("--keep", [], f"columns that are {kept}"),
        ("--features", None, f"{features} (default: all columns of numbers)"),
        ("--drop", [], "columns to ignore"),
    ):
        group.add_argument(option, action="append", metavar="A,B", default=default, help=meaning)
    for option, metavar, meaning in _FILE_OPTIONS:
        group.add_argument(option, metavar=metavar, help=meaning)
    group.add_argument(
        "--header",
        choices=("yes", "no", "auto"),
        default="auto",
        help="whether the first line names the columns (default: auto, by its content)",
    )
    group.add_argument(
        "--fill",
        type=_filling,
        metavar="WITH",
        help="mean, median or a number for empty cells and NaN (default: an error)",
    )
    group = parser.add_argument_group("preparation, in this order")
    for option, meaning in _PREPARATIONS:
        group.add_argument(option, action="store_true", help=meaning)
    group.add_argument("--pca", type=int, metavar="N", help="map N principal components")


def _filling(text: str) -> str | float:
    if text in ("mean", "median"):
        return text
    if not math.isfinite(value := float(text)):
        raise ValueError
    return value


_filling.__name__ = "mean, median or number"  # which argparse shows in an error


def text_format(args: argparse.Namespace) -> Format:
    """Return how a table of text is written, by the options of `add_columns`."""
    names = {"\\t": "\t", "tab": "\t", "space": " "}
    given = {"--sep": args.sep, "--decimal": args.decimal, "--thousands": args.thousands}
    signs = {option: names.get(sign, sign) for option, sign in given.items()}
    separator, decimal = signs["--sep"], args.decimal or "."
    for option, sign in signs.items():
        if sign is not None and (len(sign) != 1 or sign.isalnum() or sign in '\r\n\0"'):
            raise Refusal(f"{option} must be one sign, such as ';'; got {sign!r}")
        if sign == decimal and option != "--decimal":
            raise Refusal(f"{option} and --decimal are both {decimal!r}; they must differ")
    encoding = args.encoding
    try:
        if encoding is not None and codecs.lookup(encoding).name == "utf-8":
            encoding = "utf-8-sig"  # the byte order mark is no part of the first name
        "".encode(encoding or "utf-8")
    except LookupError as error:
        raise Refusal(
            f"--encoding {encoding}: unknown; give one such as utf-8, cp1252 or utf-16"
        ) from error
    return Format(separator, decimal, signs["--thousands"], args.header, encoding)


def check_plain(written: Format, path: Path) -> None:
    """Check that no option for tables of text was given."""
    if given := [name for name, value in written._asdict().items() if value != _PLAIN[name]]:
        option = {"separator": "sep"}.get(given[0], given[0])
        raise Refusal(f"--{option} is for .csv and .tsv, not {path.name}; leave it out")


# ---- names of columns ---------------------------------------------------------------------------


def choose(
    names: Sequence[str], wanted: Mapping[str, Any], path: Path, written: Format, hint: str = ""
) -> tuple[Along, list[str] | None, list[str]]:
    """Return the columns that go along, the features and the rest.

    Without features (None), all columns of numbers among the rest are mapped. `hint` ends the error
    for a table of one column.
    """
    for name, count in Counter(map(str.strip, names)).items():
        if count > 1:
            is_number = path.suffix != ".parquet" and not np.isnan(numbers([name], written)[0][0])
            data = "; is the first line data? --header no" if is_number else ""
            raise Refusal(f"{path} has more than one column {name!r}; give each its own name{data}")
    try:
        along = columns_beside(wanted, names, str(path))
        features = chosen(wanted.get("features") or (), names, str(path))
        if preferred := wanted.get("preferred"):
            features = [name for name in names if re.fullmatch(preferred, name)]
        drop = chosen(wanted.get("drop") or (), names, str(path))
    except Refusal as error:
        raise Refusal(f"{error}{hint if len(names) == 1 else ''}") from None
    others = {*drop, *along.names}
    return along, features or None, [name for name in names if name not in others]


def columns_beside(
    wanted: Mapping[str, Any], known: Sequence[str], where: str, kind: str = "column"
) -> Along:
    """Return the names that --label and --keep choose among those that are there."""
    text = wanted.get("label")
    label = chosen([text] if text else [], known, where, kind)
    if len(label) > 1:
        raise unknown_name(kind, str(text), known, where)
    kept = chosen(wanted.get("keep") or (), known, where, kind)
    return Along(label[0] if label else None, kept)


def chosen(
    texts: Iterable[str], known: Sequence[str], where: str, kind: str = "column"
) -> list[str]:
    """Return the names that texts like "a,b" list; a name with commas needs no quotes.

    Spaces around a name may be left out.
    """
    names = {**{name.strip(): name for name in known}, **{name: name for name in known}}
    found = []
    for text in texts:
        pieces = [text] if text in names else next(csv.reader([" ".join(text.splitlines())]), [])
        start = 0
        while start < len(pieces):
            for stop in range(min(len(pieces), start + _MOST_COMMAS), start, -1):
                name = ",".join(pieces[start:stop]).strip()
                if name in names or not name:
                    break
            else:
                raise unknown_name(kind, pieces[start].strip(), known, where)
            found += [names[name]] if name in names else []
            start = stop
    return list(dict.fromkeys(found))
