"""Tables that are text: CSV and its relatives."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fasttsne.cli.messages import Refusal

_OTHER_SEPARATORS = ";\t|"


class Format(NamedTuple):
    """How a table is written as text.

    Attributes
    ----------
    separator : str or None
        What stands between cells; None goes by the ending.
    decimal : str
        The decimal point.
    header : bool or None
        Whether the first line names the columns; None takes it for names unless it is all numbers.
    """

    separator: str | None = None
    decimal: str = "."
    header: bool | None = None


def import_pandas(kind: str) -> Any:
    """Import pandas, or say what to install.

    Parameters
    ----------
    kind : str
        What is to be read, by its ending.

    Returns
    -------
    pandas : module
        The package.

    Raises
    ------
    Refusal
        If it is missing.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise Refusal(f"reading {kind} needs pandas: pip install 'fasttsne[tables]'") from error
    return pandas


def read_text(path: Path, written: Format, extra: Sequence[str]) -> tuple[Any, list[str]]:
    """Read a table.

    Parameters
    ----------
    path : pathlib.Path
        A ``.csv`` or ``.tsv`` file.

    written : Format
        How it is written.

    extra : sequence of str
        Columns that go along: of these text like "NA" is text, and empty cells alone are missing.

    Returns
    -------
    frame : pandas.DataFrame
        All of it.

    notes : list of str
        What the user should know about how it was read.

    Raises
    ------
    Refusal
        If it is not such a table.
    """
    kind = path.suffix.lower()
    pandas = import_pandas(kind)
    names = header(path, written)
    options: dict[str, Any] = {
        "sep": _separator(path, written),
        "decimal": written.decimal,
        "header": None if names is None else 0,
        "low_memory": False,
        "skipinitialspace": True,
        "encoding": "utf-8-sig",
    }
    try:
        with warnings.catch_warnings():
            # Of rows longer than the header, which pandas would cut.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame = pandas.read_csv(path, index_col=False, **options)
    except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        if "Length of header" in reason:
            reason = "rows are longer than the header"
        raise Refusal(
            f"{path} is ragged or not {kind[1:].upper()}: {reason}{_separator_hint(path, written)}"
        ) from error
    except pandas.errors.EmptyDataError as error:
        raise Refusal(f"{path} is empty") from error
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} is not text in UTF-8; save it as that") from error
    if names is None:
        frame.columns = [f"column {i + 1}" for i in range(frame.shape[1])]
        return frame, []
    notes = _check_names(path, names, written)
    frame.columns = [str(name) for name in frame.columns]
    for place, name in enumerate(frame.columns):
        if name in extra and frame[name].dtype.kind == "O" and frame[name].isna().any():
            as_text = {"dtype": str, "keep_default_na": False, "na_values": [""]}
            frame[name] = pandas.read_csv(path, usecols=[place], **options, **as_text).iloc[:, 0]
    return frame, notes


def header(path: Path, written: Format) -> list[str] | None:
    """Read the names of columns.

    Parameters
    ----------
    path : pathlib.Path
        A ``.csv`` or ``.tsv`` file.

    written : Format
        How it is written.

    Returns
    -------
    names : list of str, or None
        None where the first line is data.

    Raises
    ------
    Refusal
        If it is no text.
    """
    cells = _first_line(path, written)
    if written.header is not None:
        return cells if written.header else None
    return None if all(is_number(cell, written.decimal) for cell in cells) else cells


def is_number(text: str, decimal: str = ".") -> bool:
    """Tell whether a cell holds a number.

    Parameters
    ----------
    text : str
        The cell.

    decimal : str, default="."
        The decimal point.

    Returns
    -------
    is_number : bool
        Whether it does.
    """
    try:
        float(text.replace(decimal, "."))
    except ValueError:
        return False
    return True


def has_decimal_comma(text: str) -> bool:
    """Tell whether a cell looks like a number with a decimal comma.

    Parameters
    ----------
    text : str
        The cell.

    Returns
    -------
    has_decimal_comma : bool
        Whether it does.
    """
    return re.fullmatch(r"\s*[-+]?\d+,\d+\s*", text) is not None


def hint(path: Path, frame: Any, written: Format) -> str:
    """Guess why columns of a table were not read as numbers.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    frame : pandas.DataFrame
        What was read.

    written : Format
        How it was taken to be written.

    Returns
    -------
    hint : str
        To be put behind a message; empty if nothing comes to mind.
    """
    if frame.shape[1] == 1:
        return _separator_hint(path, written)
    for column in frame.columns:
        cells = frame[column].dropna().astype(str).head(20)
        if len(cells) and all(map(has_decimal_comma, cells)):
            return f"; has column {column!r} decimal commas? --decimal ,"
    return ""


def _separator_hint(path: Path, written: Format) -> str:
    cells = _first_line(path, written)
    for other in _OTHER_SEPARATORS:
        if any(other in cell for cell in cells):
            return f"; are its cells separated by {other!r}? --sep {other!r}"
    return ""


def _separator(path: Path, written: Format) -> str:
    return written.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")


def _first_line(path: Path, written: Format) -> list[str]:
    """Split the first line that is not empty."""
    separator = _separator(path, written)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
            return next((line for line in lines if line), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{path} is not text in UTF-8; save it as that") from error


def _check_names(path: Path, names: list[str], written: Format) -> list[str]:
    """Refuse names that occur twice, which pandas would change, and note those that are numbers."""
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    numbers = [name for name in names if is_number(name, written.decimal)]
    if doubled:
        data = "; is the first line data? --no-header" if doubled[0] in numbers else ""
        raise Refusal(
            f"{path} has more than one column {doubled[0]!r}; give each its own name{data}"
        )
    if numbers and written.header is None:
        return [
            f"the first line is taken for names of columns, though {len(numbers):,} of its "
            f"{len(names):,} are numbers, like {numbers[0]!r}; if it is data: --no-header"
        ]
    return []
