"""cli/read.py: files that cannot be mapped, tables of text, and notes on columns."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import N_ROWS, error_of, expected_map, mapped, rows, table

from fasttsne.cli import read

pd = pytest.importorskip("pandas")

MAP = ["x.csv", "-o", "map.npy"]


def lines_of_numbers(separator, decimal):
    numbers = [[f"{value:.4f}".replace(".", decimal) for value in row] for row in rows()]
    return [separator.join([*row, "x"]) for row in numbers]


def said_of(capsys, *args):
    capsys.readouterr()
    assert mapped(*args) == 0
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "x.csv is empty"),
        ("x.csv", b"\n\n", "x.csv is empty"),
        ("x.csv", b"a,b\n", "x.csv has column names and no rows"),
        ("x.csv", b"a,b\n1,2\n3,4,5\n", "ragged or not CSV: line 3 is longer than the header"),
        ("x.csv", b"a,b\n1,2,3\n3,4,5\n", "ragged or not CSV: line 2 is longer than the header"),
        ("x.csv", b"a,b\n1,2\n3\n", "'b' has 1 empty cell, the first in line 3; --fill mean"),
        ("x.csv", b"a,b\n1,2\n3,oops\n", "column 'b' mixes numbers and text, 'oops' in line 3"),
        (
            "x.csv",
            b'a,b\n1,2\n3,"4,5"\n',
            "'4,5' in line 3; --decimal , if the comma is the decimal",
        ),
        ("x.csv", b"a,b\n1,2\n3,inf\n", "column 'b' holds inf in line 3; correct it"),
        ("x.csv", b"a,b\nx,y\nz,w\n", "x.csv has no column of numbers"),
        ("x.csv", b"a;b\n1;2\n", "no column of numbers; are its cells separated by ';'? --sep ';'"),
        ("x.csv", b"a;b\n1,5;2,5\n", "longer than the header; are its cells separated by ';'?"),
        ("x.csv", b"a,a\n1,2\n1,2\n", "x.csv has more than one column 'a'; give each its own"),
        ("x.csv", b"5,5,x\n1,2,x\n", "column '5'; give each its own name; is the first line data?"),
        ("x.csv", b"\n\na, a\n1,2\n", "x.csv has more than one column 'a'; give each its own"),
        ("x.csv", b"\xff\xfe\x00a,b\n1,2\n", "x.csv is not text in UTF-16"),
        ("x.npy", b"not numpy", "cannot read x.npy: not an array of numbers"),
        ("x.npz", b"PK not a zip", "cannot read x.npz: not arrays of numbers"),
        ("x.parquet", b"PAR1 nonsense", "cannot read x.parquet: its ending does not fit|needs"),
        ("x.h5ad", b"nonsense", "cannot read x.h5ad: not a file written by AnnData|needs anndata"),
        ("x.xlsx", b"nonsense", "cannot read x.xlsx: not a workbook of Excel|needs openpyxl"),
        ("x.docx", b"nonsense", "unknown ending '.docx'"),
    ],
)
def test_broken_files(here, capsys, untouched, name, content, message):
    (here / name).write_bytes(content)
    said = error_of(capsys, name, "-o", "map.csv")
    assert any(part in said for part in message.split("|"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "holds an array of shape (3,); rows and columns are needed"),
        (np.zeros((0, 3)), "holds no numbers: 0 rows, 3 columns"),
        (np.array([["a", "b"]]), "holds <U1 rather than numbers"),
        (np.array([[1.0, np.nan]]), "holds nan in row 1, column 2"),
        (np.array([[None]]), "not an array of numbers"),
    ],
)
def test_arrays_that_are_no_tables(here, capsys, untouched, array, message):
    np.save("x.npy", array)
    assert message in error_of(capsys, "x.npy", "-o", "map.csv")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["flower.csv"], "there is no file 'flower.csv' in .; did you mean 'flowers.csv'?"),
        (["no/x.csv"], "there is no directory no"),
        (["."], ". is a directory; name a file"),
        (["flowers.csv", "--label", "specis"], "no column 'specis' in flowers.csv; did you mean"),
        (["flowers.csv", "--drop", "zzz"], "it has sepal length, sepal width"),
        (["flowers.csv", "--array", "X"], "--array is for .npz, .h5ad and .xlsx"),
        (["flowers.csv", "--features", "name"], "holds text, 'flower <0>' in line 2"),
        (["cells.h5ad", "--drop", "x"], "--features and --drop are for tables"),
        (["x.npy", "--label", "a"], "x.npy has no named columns, so none called 'a'"),
        (["two.npz"], "two.npz holds 2 tables (one, two); choose one with --array"),
        (["two.npz", "--array", "tow"], "there is no array 'tow' in two.npz; did you mean 'two'?"),
        (["x.npy", "--sep", ";;"], "--sep must be one sign, such as ';'; got ';;'"),
        (["x.npy", "--sep", ",", "--decimal", ","], "--sep and --decimal are both ','"),
        (["x.npy", "--header", "no"], "--header is for .csv and .tsv, not x.npy; leave it out"),
        (["x.npy", "--sep", ";"], "--sep is for .csv and .tsv, not x.npy; leave it out"),
        (["pairs.npz", "--label", "y"], "array 'y' has shape (40, 1); one value for each of the"),
        (["pairs.npz", "--keep", "z"], "array 'z' has shape (39,); one value for each of the 40"),
        (["pairs.npz", "--keep", "o"], "written by numpy.savez; objects need .astype(str)"),
    ],
)
def test_options_that_do_not_fit_the_file(flowers, capsys, untouched, args, message):
    Path("cells.h5ad").write_text("something")
    np.save("x.npy", rows())
    np.savez("two.npz", one=np.zeros((3, 2)), two=np.ones((3, 2)))
    labels = {"y": np.zeros((40, 1)), "z": np.zeros(39), "o": np.array(["a", None] * 20)}
    np.savez("pairs.npz", X=rows(), **labels)
    assert message in error_of(capsys, *args, "-o", "a.csv")


@pytest.mark.parametrize(
    ("module", "args", "extra"),
    [
        ("pandas", ["flowers.csv"], "tables"),
        ("matplotlib", ["flowers.csv", "--plot", "a.png"], "plot"),
        ("anndata", ["cells.h5ad"], "h5ad"),
    ],
)
def test_a_missing_extra_is_named(flowers, capsys, monkeypatch, untouched, module, args, extra):
    Path("cells.h5ad").write_text("something")
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert f"pip install 'fasttsne[{extra}]'" in error_of(capsys, *args, "-o", "a.csv")


def test_numbers_without_a_header(here):
    np.savetxt("x.csv", rows(), delimiter=",")
    assert mapped(*MAP) == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(rows()))


def test_a_first_line_of_data_is_noted_and_can_be_taken(here, capsys):
    Path("x.csv").write_text("\n".join(lines_of_numbers(",", ".")))
    said = said_of(capsys, *MAP).splitlines()[0]
    assert said.startswith("the first line is read as names of columns, but 3 of its 4 are")
    assert said.endswith("if it is data: --header no")
    assert mapped(*MAP, "--force", "--header", "no", "--label", "column 4") == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(np.round(rows(), 4)))


def test_separator_and_decimal_point_are_given(here, capsys):
    Path("x.csv").write_text("\n".join(["a;b;c;kind", *lines_of_numbers(";", ",")]))
    said = error_of(capsys, *MAP, "--label", "kind")
    assert said.endswith("are its cells separated by ';'? --sep ';'")
    said = error_of(capsys, *MAP, "--label", "kind", "--sep", ";")
    assert "in line 2; --decimal , if the comma is the decimal point, or leave" in said
    assert mapped(*MAP, "--label", "kind", "--sep", ";", "--decimal", ",") == 0
    np.testing.assert_array_equal(np.load("map.npy"), expected_map(np.round(rows(), 4)))


def test_text_that_looks_missing_is_text(here):
    names = ["NA", "None", "null", "", "Namibia"] * (N_ROWS // 5)
    table(country=names, share=[1.5, None] * (N_ROWS // 2))
    assert mapped("x.csv", "-o", "map.csv", "--label", "country", "--keep", "share") == 0
    written = pd.read_csv("map.csv", dtype=str, keep_default_na=False)
    assert written["country"].tolist() == names
    assert written["share"].tolist() == ["1.5", ""] * (N_ROWS // 2)


def test_columns_are_named_and_doubtful_ones_are_noted(here, capsys):
    frame = table(id=np.arange(N_ROWS) * 2 + 7, income=1000 * rows()[:, 0])
    ratio = np.std(frame["income"]) / np.std(frame["c"])
    said = said_of(capsys, *MAP)
    assert f"mapping {N_ROWS} rows of 5 columns: a, b, c, id, income\n" in said
    assert "columns that only count upwards, as identifiers do: id; --drop leaves them out" in said
    assert f"column 'income' varies {ratio:,.0f} times as much as 'c'; --standardize" in said
    for chosen in (["--drop", "id", "--standardize"], ["--features", "a,id"]):
        said = said_of(capsys, *MAP, "--force", *chosen)
        assert "count upwards" not in said and "varies" not in said


def test_arrays_larger_than_memory(here, capsys, untouched, monkeypatch):
    np.savez_compressed("x.npz", X=np.zeros((10**4, 100)))
    monkeypatch.setattr(read, "physical_memory", lambda: 1e6)
    said = error_of(capsys, "x.npz", "-o", "map.npy")
    assert said == "cannot read x.npz: it takes 0 GB of memory or more; write fewer rows into it"
    text = b"a,b\n" + b"1,2\n" * 10**6
    for name, content in (("x.csv", text), ("x.csv.gz", gzip.compress(text))):
        Path(name).write_bytes(content)
        assert error_of(capsys, name, "-o", "map.npy").startswith(f"cannot read {name}: it takes")


def test_bytes_are_text(here):
    np.savez("x.npz", X=rows(), name=np.array(["ä".encode(), b"b"] * 20))
    assert mapped("x.npz", "-o", "map.csv", "--keep", "name") == 0
    written = Path("map.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[2] for line in written[:3]] == ["name", "ä", "b"]
