"""Tables of text, .csv and .tsv: encoding, names of columns, and cells that are numbers."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.messages import Refusal, shortened

#: Endings of tables of text.
TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
#: Cells that are missing where a number is expected.
MISSING = ("", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NaT", "NULL", "null", "None")

_SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'", ",": "','", " ": "' '"}  # as options
#: Signs beside numbers that are left out where all cells of a column have them.
UNITS = "%$€£¥"
_SAMPLED = 20  # lines below the first, which show whether it names the columns
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


class Format(NamedTuple):
    """How a table is written as text."""

    separator: str | None = None  # None: tab in .tsv, comma in .csv
    decimal: str = "."
    thousands: str | None = None
    header: str = "auto"  # or "yes", "no"
    encoding: str | None = None  # None: by the byte order mark, else UTF-8


class Cells(list[str]):
    """A column of text, cell for cell; "" is missing."""


def kind_of(path: Path) -> str:
    """Return the ending that shows what a file holds; "-" is a .csv, and .csv.gz is an ending."""
    if str(path) == "-":
        return ".csv"
    ending = path.suffix.lower()
    return Path(path.stem).suffix.lower() + ending if ending == ".gz" else ending


def import_pandas(kind: str) -> Any:
    """Import pandas, or raise an error that says what to install."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise Refusal(f"reading {kind} needs pandas: pip install 'fasttsne[tables]'") from error
    return pandas


class TextTable:
    """A table of text, of which some lines have been read."""

    def __init__(self, path: Path, written: Format, content: bytes | None = None) -> None:
        import_pandas(kind_of(path))
        self.path, self._written, self._content = path, written, content
        if str(path) == "-":
            self.path, self._content = Path("standard input"), sys.stdin.buffer.read()
        usual = "\t" if kind_of(path).startswith(".tsv") else ","
        self._separator = written.separator or usual
        with self._bytes() as file:
            first = file.read(4)
        marked = [name for mark, name in _BYTE_ORDER_MARKS.items() if first.startswith(mark)]
        self.encoding = written.encoding or (marked or ["utf-8-sig"])[0]
        with self._text() as text:
            start = text.read(1 << 16)
        if "\0" in start:
            raise self._not_text()
        self._spaced = False
        self._head = self._first_lines()
        # A quote after a space opens a quoted cell only if the space is skipped.
        cells = (cell for line in self._head for cell in line if cell[:1] == " ")
        if any(cell.lstrip().startswith('"') for cell in cells):
            self._spaced = True
            self._head = self._first_lines()
        if not self._head:
            raise Refusal(f"{self.path} is empty")
        self.names, self.has_names, self.notes = _first_line(self._head, written)
        width = max(map(len, self._head))
        self._surplus = [f"Unnamed: {i}" for i in range(len(self.names), width)]

    def frame(self, as_text: Collection[str]) -> tuple[Any, dict[str, Cells]]:
        """Return the columns as a DataFrame, and those in `as_text` also cell for cell."""
        pandas = import_pandas(kind_of(self.path))
        names, missing = [*self.names, *self._surplus], cast(Any, list(MISSING))
        if as_text:
            missing = {name: missing for name in names if name not in as_text}
        try:
            with self._text() as text, warnings.catch_warnings():
                # pandas warns of rows longer than the header, and cuts them.
                warnings.simplefilter("error", pandas.errors.ParserWarning)
                if self.has_names:
                    next(self._records(text))
                frame = pandas.read_csv(
                    text,
                    sep=r"\s+" if self._separator == " " else self._separator,
                    decimal=self._written.decimal,
                    header=None,
                    names=names,
                    index_col=False,
                    skipinitialspace=self._spaced,
                    dtype=dict.fromkeys(as_text, object),
                    na_values=missing,
                    keep_default_na=False,
                    low_memory=False,
                )
        except pandas.errors.EmptyDataError as error:
            raise Refusal(f"{self.path} has column names and no rows") from error
        except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
            reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
            reason = "a quote is not closed" if "EOF inside string" in reason else reason
            with self._text() as text:
                width = max(len(cells) for cells, _ in self._records(text))
            if width > len(names) and not self._longer(len(names)):  # by empty cells alone
                self._surplus = [f"Unnamed: {i}" for i in range(len(self.names), width)]
                return self.frame(as_text)
            raise self._ragged(self._longer(len(names)) or reason) from error
        if frame[self._surplus].notna().any(axis=None):
            raise self._ragged(self._longer(len(self.names)))
        frame = _without_empty_end(frame)
        columns = {  # a row that is too short has NaN
            name: Cells(cell if isinstance(cell, str) else "" for cell in frame[name])
            for name in as_text
        }
        unnamed = [name for name, cell in zip(self.names, self._head[0], strict=False) if not cell]
        unnamed = [name for name in unnamed if name not in as_text and frame[name].isna().all()]
        return frame.drop(columns=[*self._surplus, *unnamed]), columns

    def line(self, row: int) -> str:
        """Return text like "line 7", where a row of the table is in the file."""
        with self._text() as text:
            _, number = next(islice(self._records(text), row + self.has_names, None))
        return f"line {number}"

    def hint(self) -> str:
        """Return a guess which separator the file has, to append to a message."""
        cells = [cell for line in self._head[:2] for cell in line[:100]]
        alone = all(len(line) == 1 for line in self._head[:2])
        for sign, option in _SEPARATORS.items():
            found = any(sign in cell.strip() for cell in cells) and (alone or sign in ";\t|")
            if sign != self._separator and found:
                return f"; are its cells separated by {option}? --sep {option}"
        return ""

    def _first_lines(self) -> list[list[str]]:
        with self._text() as text:
            return [cells for cells, _ in islice(self._records(text), 1 + _SAMPLED)]

    def _longer(self, width: int) -> str:
        """Return which line is the first with more cells; "" if there is none."""
        with self._text() as text:
            lines = (number for cells, number in self._records(text) if any(cells[width:]))
            number = next(lines, None)
        first = "header" if self.has_names else "first"
        return f"line {number} is longer than the {first}" if number else ""

    def _ragged(self, reason: str) -> Refusal:
        kind = kind_of(self.path)[1:4].upper() or "CSV"
        return Refusal(f"{self.path} is ragged or not {kind}: {reason}{self.hint()}")

    def _not_text(self) -> Refusal:
        """Return the error for bytes that are not text in the encoding."""
        encoding = self.encoding.removesuffix("-sig").upper()
        return Refusal(
            f"{self.path} is not text in {encoding}; --encoding names another, such as cp1252, "
            "latin-1 or utf-16"
        )

    def _bytes(self) -> Any:
        if self._content is not None:
            return io.BytesIO(self._content)
        return gzip.open(self.path) if self.path.suffix.lower() == ".gz" else open(self.path, "rb")

    @contextmanager
    def _text(self) -> Iterator[IO[str]]:
        with io.TextIOWrapper(self._bytes(), encoding=self.encoding, newline="") as text:
            try:
                yield text
            except UnicodeError as error:
                raise self._not_text() from error

    def _records(self, text: IO[str]) -> Iterator[tuple[list[str], int]]:
        """Yield the cells of every line that is not blank, and the number of the line."""
        csv.field_size_limit(2**31 - 1)  # a whole line is one cell if the separator is another
        spaced = self._spaced or self._separator == " "
        lines = csv.reader(text, delimiter=self._separator, skipinitialspace=spaced)
        for cells in lines:
            if self._separator == " " and cells and not cells[-1]:
                cells.pop()
            if len(cells) > 1 or any(map(str.strip, cells)):
                yield cells, lines.line_num


def _without_empty_end(frame: Any) -> Any:
    """Return a DataFrame without the rows at its end that have no value."""
    if len(frame) and not (frame.iloc[-1].notna() & (frame.iloc[-1] != "")).any():
        rows = np.flatnonzero((frame.notna() & (frame != "")).any(axis=1))
        return frame.iloc[: rows[-1] + 1 if len(rows) else 0]
    return frame


# ---- the first line -----------------------------------------------------------------------------


def _first_line(head: list[list[str]], written: Format) -> tuple[list[str], bool, list[str]]:
    """Return the names of the columns, whether the first line has them, and notes on doubts."""
    is_header, notes = _is_header(head, written)
    if is_header:
        return [cell or f"Unnamed: {i}" for i, cell in enumerate(head[0])], True, notes
    return [f"column {i + 1}" for i in range(max(map(len, head)))], False, notes


def _is_header(head: list[list[str]], written: Format) -> tuple[bool, list[str]]:
    if written.header != "auto":
        return written.header == "yes", []
    cells = [cell.strip() for cell in head[0] if cell.strip()]
    values, missing = numbers(cells, written, UNITS)
    are_numbers = ~np.isnan(values)
    if not (are_numbers | missing).all():
        if not are_numbers.any():
            return True, []
        example = cells[int(np.argmax(are_numbers))]
        return True, [
            f"the first line is read as names of columns, but {are_numbers.sum():,} of its "
            f"{len(head[0]):,} are numbers, like {example!r}; if it is data: --header no"
        ]
    named = [i for i, cell in enumerate(head[0]) if cell.strip()]
    below = [[line[i] for i in named] for line in head[1:] if len(line) >= len(head[0])]
    if _are_names(cells, values, below, [numbers(line, written, UNITS)[0] for line in below]):
        few = shortened(cells)
        return True, [f"the first line is read as names of columns: {few}; if not: --header no"]
    return False, ["the first line is read as data; if it names the columns: --header yes"]


def _are_names(
    cells: list[str], values: NDArray[Any], below: list[list[str]], data: list[NDArray[Any]]
) -> bool:
    """Return whether numbers are names of columns, unlike the lines below them.

    They are if only they are evenly spaced or ascending integers, if most are words like "inf", or
    if each is far from all numbers of its column.
    """
    if len(set(cells)) < len(cells) or len(cells) < 2 or not below:
        return False
    if not np.isfinite(values).all():
        return 2 * int(np.isfinite(values).sum()) < len(cells)
    ascend = _are_integers(cells) and bool((np.diff(values) > 0).all())
    if ascend and not any(map(_are_integers, below)):
        return True
    if _are_even(values) and not any(map(_are_even, data)):
        return True
    table = np.array([line for line in data if np.isfinite(line).all()])
    if len(table) < 3:
        return False
    low, high = table.min(axis=0), table.max(axis=0)
    return bool((np.maximum(low - values, values - high) > high - low).all())


def _are_integers(cells: list[str]) -> bool:
    return all(re.fullmatch(r"[-+]?\d+", cell.strip()) for cell in cells)


def _are_even(values: NDArray[Any]) -> bool:
    """Return whether numbers have the same distances; three must be 0, 1, 2 or 1, 2, 3."""
    steps = np.diff(values)
    known = len(values) > 3 or (len(values) == 3 and steps[0] == 1 and values[0] in (0, 1))
    return bool(known and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6, atol=0))


# ---- cells that are numbers ---------------------------------------------------------------------


def numbers(
    cells: Any, written: Format, units: str = ""
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return cells as numbers, NaN where they are none, and which are missing.

    Of text, spaces and signs in `units` are left out at its ends, and separators of thousands only
    between groups of three digits. U+2212 is a minus.
    """
    import pandas

    # Not astype(str), by which missing cells stay missing in pandas 3.
    text = pandas.Series(list(map(str, cells)), dtype=object).str.strip().str.replace("−", "-")
    missing: NDArray[np.bool_] = text.isin(MISSING).to_numpy()
    values = _as_floats(text)
    if written.decimal == "." and not (np.isnan(values) & ~missing).any():
        return values, missing
    if units:
        ends = rf"^([-+]?)\s*[{units}]\s*|\s*[{units}]$"
        text = text.str.replace(ends, lambda found: found[1] or "", n=1, regex=True)
    if written.thousands:
        mark, point = re.escape(written.thousands), re.escape(written.decimal)
        grouped = text.str.fullmatch(rf"[-+]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?")
        text = text.where(~grouped, text.str.replace(written.thousands, "", regex=False))
    if written.decimal != ".":
        text = text.where(~text.str.contains(".", regex=False), "")
        text = text.str.replace(written.decimal, ".", regex=False)
    return _as_floats(text), missing


def _as_floats(text: Any) -> NDArray[np.float64]:
    """Return a Series of text as numbers, NaN where it is none, in an array to write to."""
    import pandas

    return np.array(pandas.to_numeric(text, errors="coerce"), dtype=np.float64)


def as_printed(cells: Sequence[str]) -> list[int | float | None] | None:
    """Return text as numbers that print as the same text, "" as None; None if some do not."""
    for kind in (int, float):
        with suppress(ValueError):
            values = [kind(cell) if cell else None for cell in cells]
            pairs = zip(values, cells, strict=True)
            # int64 holds numbers below 2**63; NaN is not below.
            if any(cells) and all(v is None or (abs(v) < 2**63 and str(v) == c) for v, c in pairs):
                return values
    return None


def comma_remedy(cells: Sequence[str], written: Format) -> str:
    """Return options that read cells with commas as numbers; "" if there are none."""
    sign, name = (".", "point") if written.decimal == "," else (",", "comma")
    marked = [cell.strip() for cell in cells if sign in cell]
    if not marked or written.thousands:
        return ""
    grouped = rf"[-+−]?[1-9]\d{{0,2}}([{sign}]\d{{3}})+([{written.decimal}]\d*)?"
    if all(re.fullmatch(grouped, cell) for cell in marked):
        is_sure = len(marked) < len(cells) or any(re.search(r"[,.].*[,.]", cell) for cell in marked)
        other = "" if is_sure else f", or --decimal {sign} if it is the decimal point"
        return f"--thousands {sign} if the {name} separates thousands{other}"
    if all(re.fullmatch(rf"[-+−]?\d*[{sign}]\d*", cell) for cell in marked):
        return f"--decimal {sign} if the {name} is the decimal point"
    return ""
