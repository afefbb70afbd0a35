"""Tables of text, .csv and .tsv: encoding, names of columns, and cells that are numbers."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.messages import Refusal, check_package, shortened

#: Endings of tables of text.
TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
#: Cells that are missing where a number is expected.
MISSING = {"", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NaT", "NULL", "null", "None"}

_SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'", ",": "','", " ": "' '"}  # as options
_PLAIN = str.maketrans("−’\u00a0\u202f", "-'  ")  # signs in numbers
_UNITS = "%$€£¥"  # left out where all cells of a column have them
_SAMPLED = 20  # lines below the first, which show whether it names the columns
_CODE = re.compile(r"0\d+$")  # digits with a leading zero
_CELLS = 1 << 20  # that are converted at a time
_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Format(NamedTuple):
    """How a table is written as text."""

    separator: str | None = None  # None: tab in .tsv, comma in .csv
    decimal: str = "."
    thousands: str | None = None
    header: str = "auto"  # or "yes", "no"
    encoding: str | None = None  # None: by the byte order mark, else UTF-8


def kind_of(path: Path) -> str:
    """Return the ending that shows what a file holds; "-" is a .csv, and .csv.gz is an ending."""
    if str(path) == "-":
        return ".csv"
    ending = path.suffix.lower()
    return Path(path.stem).suffix.lower() + ending if ending == ".gz" else ending


class TextTable:
    """A table of text, of which some lines have been read."""

    def __init__(self, path: Path, written: Format, content: bytes | None = None) -> None:
        check_package(f"reading {kind_of(path)}", "pandas", "tables")
        self.path, self.written, self._content = path, written, content
        if str(path) == "-":
            self.path, content = Path("standard input"), sys.stdin.buffer.read()
            self._content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        with self._bytes() as file:
            first = file.read(4)
        marked = (name for mark, name in _BYTE_ORDER_MARKS.items() if first.startswith(mark))
        self._encoding = written.encoding or next(marked, "utf-8-sig")
        self._n_sep_lines = 0  # 1 if the file begins with a line like "sep=;", as Excel writes it
        with self._text() as text:
            if "\0" in (start := text.read(1 << 16)):
                raise UnicodeError
        told = re.match('"?sep=(.)"?[\r\n]', start)
        self._n_sep_lines = int(told is not None)
        usual = "\t" if kind_of(path).startswith(".tsv") else ","
        self._separator = written.separator or (told[1] if told else usual)
        self._spaced = self._separator == " "
        self._head = self._first_lines()
        # A quote after a space opens a quoted cell only if the space is skipped.
        if any(re.match(' +"', cell) for line in self._head for cell in line):
            self._spaced = True
            self._head = self._first_lines()
        if not self._head:
            raise Refusal(f"{self.path} is empty")
        self.has_names, note = _is_header(self._head, written)
        self.names = [cell or f"Unnamed: {i}" for i, cell in enumerate(self._head[0])]
        if not self.has_names:
            self.names = [f"column {i + 1}" for i in range(max(map(len, self._head)))]
        self.notes = [note] if note else []

    def numbers(
        self, features: Sequence[str] | None, rest: Collection[str], beside: Collection[str]
    ) -> tuple[NDArray[np.float64], list[str], dict[str, NDArray[Any]]]:
        """Return the columns `features` as numbers, their names, and the columns `beside`.

        Without features, return all columns of numbers among `rest`. Doubts become notes.
        """
        frame, columns = self._frame(beside)
        if len(frame) == 0:
            raise Refusal(f"{self.path} has column names and no rows")
        rest = set(rest)
        frame = frame[features or [name for name in frame.columns if name in rest]]
        X = np.empty(frame.shape)
        are_numbers = np.array([dtype.kind in "biuf" for dtype in frame.dtypes], dtype=bool)
        X[:, are_numbers] = frame.loc[:, are_numbers].to_numpy(dtype=np.float64)
        is_text, as_read = np.zeros(len(are_numbers), dtype=bool), list[str]()
        others, size = np.flatnonzero(~are_numbers), max(1, _CELLS // len(frame))
        # Many columns at once, because pandas is slow for each.
        for some in (others[i : i + size] for i in range(0, len(others), size)):
            cells = frame.iloc[:, some].to_numpy(dtype=object)
            values, missing = (part.reshape(cells.shape) for part in numbers(cells, self.written))
            are_words = np.isnan(values) & ~missing
            for k in np.flatnonzero(are_words.any(axis=0)):
                name, present = frame.columns[some[k]], list(map(str, cells[~missing[:, k], k]))
                if units := "".join(sign for sign in _UNITS if all(sign in c for c in present)):
                    values[:, k], _ = numbers(cells[:, k], self.written, units)
                words = np.isnan(values[:, k]) & ~missing[:, k]
                remedy, only_text = comma_remedy(present, self.written), words.sum() == len(present)
                if not words.any():
                    value = values[np.argmin(missing[:, k]), k]
                    as_read.append(f"{present[0]} as {value:g} in {name!r}")
                elif features or remedy or not only_text:
                    row = int(np.argmax(words))
                    holds = "holds text" if only_text else "mixes numbers and text"
                    raise Refusal(
                        f"{self.path}: column {name!r} {holds}, {str(cells[row, k])[:40]!r} in "
                        f"{self.line(row)}; {remedy or 'correct it'}, or leave the column out "
                        "(--drop, or not among --features)"
                    )
            X[:, some] = values
            is_text[some] = np.isnan(values).all(axis=0) & (features is None)
        if as_read:
            self.notes.append(f"read without the sign: {shortened(as_read)}")
        if is_text.any():
            self.notes.append(f"columns of text, left out: {shortened([*frame.columns[is_text]])}")
            X = X.compress(~is_text, axis=1)
        heads = zip_longest(self.names, *self._head[self.has_names :], fillvalue="")
        codes = {name for name, *cells in heads if any(map(_CODE.match, cells))}
        if found := [] if features else [name for name in frame.columns[~is_text] if name in codes]:
            what = f"columns with leading zeros, as codes have: {shortened(found)}"
            self.notes.append(f"{what}; --drop leaves them out")
        if is_text.all():
            raise Refusal(f"{self.path} has no column of numbers{self.hint()}")
        return X, list(frame.columns[~is_text]), columns

    def line(self, row: int) -> str:
        """Return text like "line 7", where a row of the table is in the file."""
        with self._text() as text:
            _, number = next(islice(self._records(text), row + self.has_names, None))
        return f"line {number}"

    def hint(self) -> str:
        """Return a guess which separator the file has, to append to a message."""
        if self._head[0][0].startswith("#"):
            return "; leave out the comments (#) before the names of columns"
        cells = [cell for line in self._head[:2] for cell in line[:100]]
        alone = all(len(line) == 1 for line in self._head)
        for sign, option in _SEPARATORS.items():
            found = any(sign in cell.strip() for cell in cells) and (alone or sign in ";\t|")
            if sign != self._separator and found:
                return f"; are its cells separated by {option}? --sep {option}"
        return ""

    def _frame(
        self, beside: Collection[str], usecols: Any = None
    ) -> tuple[Any, dict[str, NDArray[Any]]]:
        """Return the columns as a DataFrame, and those of `beside` also as they are printed."""
        import pandas

        missing: Any = list(MISSING)
        if beside:
            missing = dict.fromkeys(self.names, missing) | {name: [""] for name in beside}
        try:
            with self._text() as text, warnings.catch_warnings():
                # pandas warns of rows longer than the header, and cuts them.
                warnings.simplefilter("error", pandas.errors.ParserWarning)
                if self.has_names:
                    next(self._records(text))
                frame = pandas.read_csv(
                    text,
                    sep=r"\s+" if self._separator == " " else self._separator,
                    decimal=self.written.decimal,
                    header=None,
                    names=self.names,
                    index_col=False,
                    usecols=usecols,
                    skipinitialspace=self._spaced,
                    dtype=dict.fromkeys(beside, object),
                    na_values=missing,
                    keep_default_na=False,
                    low_memory=False,
                )
        except pandas.errors.EmptyDataError:
            frame = pandas.DataFrame(columns=self.names)
        except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
            reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
            if "EOF inside string" in reason:
                reason = "a quote is not closed"
            elif longer := self._longer():
                reason = longer
            elif usecols is None:  # only empty cells are too many; usecols leaves them out
                return self._frame(beside, range(len(self.names)))
            kind = kind_of(self.path)[1:4].upper() or "CSV"
            remedy = self.hint() or "; correct it, or remove lines above the names of the columns"
            raise Refusal(f"{self.path} is ragged or not {kind}: {reason}{remedy}") from error
        last = frame.last_valid_index()  # rows of separators alone may end a file
        frame = frame.iloc[: 0 if last is None else last + 1]
        cells = {name: frame[name].fillna("").tolist() for name in beside}
        columns = {name: as_printed(text, self.written.decimal) for name, text in cells.items()}
        unnamed = [name for name, cell in zip(self.names, self._head[0], strict=False) if not cell]
        unnamed = [name for name in unnamed if name not in cells and frame[name].isna().all()]
        return frame.drop(columns=unnamed), columns

    def _first_lines(self) -> list[list[str]]:
        with self._text() as text:
            return [cells for cells, _ in islice(self._records(text), 1 + _SAMPLED)]

    def _longer(self) -> str:
        """Return which line is the first with more cells than names; "" if there is none."""
        width, first = len(self.names), "header" if self.has_names else "first"
        with self._text() as text:
            lines = (number for cells, number in self._records(text) if any(cells[width:]))
            number = next(lines, None)
        return f"line {number} is longer than the {first}" if number else ""

    def _bytes(self) -> Any:
        if self._content is not None:
            return io.BytesIO(self._content)
        return gzip.open(self.path) if self.path.suffix.lower() == ".gz" else open(self.path, "rb")

    @contextmanager
    def _text(self) -> Iterator[IO[str]]:
        with io.TextIOWrapper(self._bytes(), encoding=self._encoding, newline="") as text:
            try:
                for _ in range(self._n_sep_lines):
                    text.readline()
                yield text
            except UnicodeError as error:
                encoding = self._encoding.removesuffix("-sig").upper()
                raise Refusal(
                    f"{self.path} is not text in {encoding}; --encoding names another, such as "
                    "cp1252, latin-1 or utf-16-le"
                ) from error

    def _records(self, text: IO[str]) -> Iterator[tuple[list[str], int]]:
        """Yield the cells of every line that is not blank, and the number of the line."""
        csv.field_size_limit(2**31 - 1)  # a whole line is one cell if the separator is another
        lines = csv.reader(text, delimiter=self._separator, skipinitialspace=self._spaced)
        begun = False  # rows of empty cells at the start are no rows
        for cells in lines:
            if self._separator == " " and cells and not cells[-1]:
                cells.pop()
            if (begun and len(cells) > 1) or any(map(str.strip, cells)):
                begun = True
                yield cells, lines.line_num + self._n_sep_lines


# ---- the first line -----------------------------------------------------------------------------


def _is_header(head: list[list[str]], written: Format) -> tuple[bool, str]:
    """Return whether the first line names the columns, and a note if that is in doubt."""
    if written.header != "auto":
        return written.header == "yes", ""
    named = [i for i, cell in enumerate(head[0]) if cell.strip()]
    lines = [[line[i].strip() for i in named] for line in head if len(line) >= len(head[0])]
    values, missing = numbers(lines[0], written, _UNITS)
    are_numbers = ~np.isnan(values)
    if (are_numbers | missing).all():
        if not _are_names(lines, [numbers(line, written, _UNITS)[0] for line in lines]):
            return False, "the first line is read as data; if it names the columns: --header yes"
        few = shortened(lines[0])
        return True, f"the first line is read as names of columns: {few}; if not: --header no"
    if not are_numbers.any():
        return True, ""
    return True, (
        f"the first line is read as names of columns, but {are_numbers.sum():,} of its "
        f"{len(head[0]):,} are numbers, like {lines[0][int(np.argmax(are_numbers))]!r}; if it is "
        "data: --header no"
    )


def _are_names(lines: list[list[str]], values: list[NDArray[Any]]) -> bool:
    """Return whether the numbers in the first line are names, unlike those in the lines below.

    They are if only they are evenly spaced or ascending integers, if most are words like "inf", or
    if each is far from all numbers of its column.
    """
    (names, *below), (first, *others) = lines, values
    if len(set(names)) < max(2, len(names)) or not below:
        return False
    if not np.isfinite(first).all():
        return 2 * int(np.isfinite(first).sum()) < len(names)
    only_integers = _are_integers(names) and not any(map(_are_integers, below))
    only_even = _are_even(first) and not any(map(_are_even, others))
    if only_even or (only_integers and (np.diff(first) > 0).all()):
        return True
    table = np.array([line for line in others if np.isfinite(line).all()])
    if len(table) < 3:
        return False
    low, high = table.min(axis=0), table.max(axis=0)
    return bool((np.maximum(low - first, first - high) > high - low).all())


def _are_integers(cells: list[str]) -> bool:
    return all(re.fullmatch(r"[-+]?\d+", cell) for cell in cells)


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

    mark = (written.thousands or "").translate(_PLAIN)
    grouped = rf"[-+]?\d{{1,3}}({re.escape(mark)}\d{{3}})+({re.escape(written.decimal)}\d*)?"
    ends = rf"^([-+]?)\s*[{units}]\s*|\s*[{units}]$"

    def plain(cell: Any) -> Any:
        """Return text as pandas reads numbers, "" if it is none, and None if it is missing."""
        if not isinstance(cell, str):  # a boolean beside empty cells
            return cell
        text = cell.strip().translate(_PLAIN)
        if text in MISSING:
            return None
        if units:
            text = re.sub(ends, r"\1", text, count=1)
        if mark and re.fullmatch(grouped, text):
            text = text.replace(mark, "")
        if written.decimal != ".":
            text = "" if "." in text else text.replace(written.decimal, ".")
        return text

    found = pandas.Series(list(map(plain, np.ravel(np.asarray(cells, dtype=object)))), dtype=object)
    values = np.array(pandas.to_numeric(found, errors="coerce"), dtype=np.float64)  # to write to
    return values, found.isna().to_numpy()


def as_printed(cells: Sequence[str], decimal: str = ".") -> NDArray[Any]:
    """Return text as integers or as floats if they print as the same text; "" becomes None."""
    for kind in (int, float) if decimal == "." else (int,):
        with suppress(ValueError):
            values = [kind(cell) if cell else None for cell in cells]
            pairs = zip(values, cells, strict=True)
            # int64 holds numbers below 2**63; NaN is not below.
            if any(cells) and all(v is None or (abs(v) < 2**63 and str(v) == c) for v, c in pairs):
                return np.array(values)
    return np.array([cell or None for cell in cells], dtype=object)


def labels_of(column: NDArray[Any], written: Format) -> NDArray[Any]:
    """Return labels of `as_printed` as numbers if all are, and none is a name such as "01"."""
    if column.dtype != object:
        return column
    text = [str(cell) for cell in column if isinstance(cell, str | float)]
    is_name = any(re.match(r"0\d", cell) for cell in text)
    if not text or is_name or np.isnan(numbers(text, written)[0]).any():
        return column
    return numbers(column, written)[0]


def comma_remedy(cells: Sequence[str], written: Format) -> str:
    """Return options that read cells with commas as numbers; "" if there are none."""
    sign, name = (".", "point") if written.decimal == "," else (",", "comma")
    plain = [cell.strip().translate(_PLAIN) for cell in cells]
    others = (" ", "space", "space"), ("'", "apostrophe", '"\'"')
    for mark, what, option in ((sign, name, sign), *others):
        marked = [cell for cell in plain if mark in cell]
        if not marked or written.thousands:
            continue
        point = written.decimal if mark == sign else ".,"
        grouped = rf"[-+]?[1-9]\d{{0,2}}([{mark}]\d{{3}})+([{point}]\d*)?"
        if all(re.fullmatch(grouped, cell) for cell in marked):
            unsure = mark == sign and len(marked) == len(cells)
            unsure = unsure and not any(re.search(r"[,.].*[,.]", cell) for cell in marked)
            other = f", or --decimal {sign} if it is the decimal point" if unsure else ""
            return f"--thousands {option} if the {what} separates thousands{other}"
        if mark == sign and all(re.fullmatch(rf"[-+]?\d*[{sign}]\d*", cell) for cell in marked):
            return f"--decimal {sign} if the {name} is the decimal point"
    return ""
