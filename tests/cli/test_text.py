"""cli/text.py: tables of text as people have them, and the columns of theirs that go along."""

import csv
import gzip
import io
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import N_ROWS, error_of, mapped, rows

from fasttsne.cli.messages import Refusal
from fasttsne.cli.read import read_table
from fasttsne.cli.text import Format, as_printed, comma_remedy, labels_of
from fasttsne.cli.write import check_columns

pd = pytest.importorskip("pandas")

X = np.round(rows(), 4)
COUNTS = np.random.default_rng(1).poisson(3, size=(N_ROWS, 4))
BODY = "".join(f"{a},{b},{c}\n" for a, b, c in X)


def read(content, name="x.csv", wanted=None, fill=None, **written):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(Path(name), wanted, written=Format(**written), fill=fill)


def text_of(data):
    return "".join(",".join(map(str, row)) + "\n" for row in data)


# ---- the first line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "data"),
    [
        ("0,1,2", X),
        ("0,1", X[:, :2]),
        ("1990,1995,2000", X),
        ("100.5,101.5,102.5", X),
        ("400,410,425,430", COUNTS),
        ("0,1,2,3", COUNTS),
        ("1_1,1_2,2_1", X),
        ("2019_20,2020_21,2021_22", X),
        ("nan,inf,1e5", X),
        ("a,1,2", X),
        (",0,1,2", np.column_stack([COUNTS[:, 0], X])),
    ],
)
def test_names_like_numbers_are_names(here, first, data):
    table = read(f"{first}\n{text_of(data)}")
    np.testing.assert_array_equal(table.X, data)
    assert table.names[-1] == first.split(",")[-1]
    doubt = first.split(",")[-1] not in ("2_1", "2021_22")
    assert any(note.startswith("the first line is read as names") for note in table.notes) == doubt


@pytest.mark.parametrize("data", [X, COUNTS, COUNTS[:, :2], np.arange(160).reshape(40, 4)])
def test_numbers_like_all_others_are_data(here, data):
    table = read(text_of(data))
    np.testing.assert_array_equal(table.X, data)
    note = "the first line is read as data; if it names the columns: --header yes"
    assert table.notes == [note]


def test_the_user_decides_what_the_first_line_is(here):
    for first in ("a,b,c\n", "0.5,1,2\n"):
        table = read(first + BODY, header="yes")
        assert table.names == first.strip().split(",") and table.notes == []
    table = read("0,1,2\n" + BODY, header="no")
    assert table.X.shape == (N_ROWS + 1, 3) and table.notes == []


# ---- lines and cells ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "written"),
    [
        ("a,b,c\n" + BODY.replace("\n", ",\n"), {}),
        (("a,b,c\n" + BODY).replace("\n", ",\n"), {}),
        ("a,b,c\n" + BODY + ",,\n,,\n\n  \n", {}),
        ("a,b,c\n" + BODY + ",,,,\n", {}),
        (("a,b,c\n" + BODY).replace("\n", "\r\n\r\n"), {}),
        (("a,b,c\n" + BODY).replace("\n", "\r"), {}),
        (("  a,b,c\n" + BODY).replace(",", "   ").replace("\n", "  \n"), {"separator": " "}),
        (("a,b,c\n" + BODY).replace("-", "−"), {}),
        (("a,b,c\n" + BODY).replace(",", "%,"), {}),
        (("a,b,c\n" + BODY).replace(",", ", "), {}),
        (
            ("a,b,c\n" + BODY).replace(",", ";").replace(".", ","),
            {"separator": ";", "decimal": ","},
        ),
        ("ä,b,c\n" + BODY, {}),
        ("sep=;\n" + ("a,b,c\n" + BODY).replace(",", ";"), {}),
        (("sep=\t\r\n" + ("a,b,c\n" + BODY).replace(",", "\t")).encode("utf-16"), {}),
        (",,,\n,,\na,b,c\n" + BODY, {}),
        (("ä,b,c\n" + BODY).encode("cp1252"), {"encoding": "cp1252"}),
        (("ä,b,c\n" + BODY).encode("utf-8-sig"), {}),
        (("ä,b,c\n" + BODY).encode("utf-16"), {}),
        (("ä,b,c\n" + BODY).encode("utf-32"), {"encoding": "utf-32"}),
        (("ä,b,c\n" + BODY).encode("utf-16-le"), {"encoding": "utf-16-le"}),
    ],
)
def test_tables_of_every_style(here, content, written):
    table = read(content, **written)
    np.testing.assert_array_equal(table.X, X)
    assert len(table.names) == 3 and table.names[1].strip() in ("b", "b%")


@pytest.mark.parametrize(
    ("cells", "written", "expected"),
    [
        (["$1.50", "-$2", "$-3"], {}, [1.5, -2, -3]),
        (["5 %", "10%", "NA"], {}, [5, 10, np.nan]),
        (["1,234", "12", "1,234,567.5"], {"thousands": ","}, [1234, 12, 1234567.5]),
        (["1.234,5", "12", "0,5"], {"thousands": ".", "decimal": ","}, [1234.5, 12, 0.5]),
        ([" 1", "2 ", "1e5"], {}, [1, 2, 1e5]),
        (
            ["1\u202f234,5", "1\xa0000", "2 000"],
            {"thousands": " ", "decimal": ","},
            [1234.5, 1e3, 2e3],
        ),
        (["1'234.5", "1’000", "3"], {"thousands": "'"}, [1234.5, 1000, 3]),
        (["TRUE", "", "FALSE"], {}, [1, np.nan, 0]),
    ],
)
def test_numbers_of_every_style(here, cells, written, expected):
    content = "a|b\n" + "".join(f"{cell}|{i}\n" for i, cell in enumerate(cells))
    table = read(content, separator="|", fill=7, **written)
    np.testing.assert_array_equal(table.X[:, 0], np.nan_to_num(expected, nan=7))


@pytest.mark.parametrize(
    ("cells", "written", "message"),
    [
        (["1,5", "2"], {}, "'1,5' in line 2; --decimal , if the comma is the decimal point, or"),
        (
            ["1,000", "200"],
            {},
            "'1,000' in line 2; --thousands , if the comma separates thousands,",
        ),
        (["1,000", "2,500"], {}, "separates thousands, or --decimal , if it is the decimal point"),
        (["1,5", "1,000"], {"thousands": ","}, "mixes numbers and text, '1,5' in line 2"),
        (["1.5", "1,000"], {"decimal": ","}, "mixes numbers and text, '1.5' in line 2"),
        (["5%", "0.05"], {}, "mixes numbers and text, '5%' in line 2; correct it, or leave the"),
        (["1 234", "5"], {}, "--thousands space if the space separates thousands, or leave"),
        (["1\xa0234,5", "2\u202f000,0"], {}, "--thousands space if the space separates thousands"),
        (["1’234", "2'000"], {}, """--thousands "'" if the apostrophe separates thousands"""),
        (["1_1", "2"], {}, "mixes numbers and text, '1_1' in line 2"),
        (["", "2"], {}, "has 1 empty cell, the first in line 2; --fill mean fills it in"),
        (["1", "-inf"], {}, "holds -inf in line 3; correct it"),
    ],
)
def test_cells_that_are_refused(here, cells, written, message):
    content = "a|b\n" + "".join(f"{cell}|{i}\n" for i, cell in enumerate(cells))
    with pytest.raises(Refusal) as refused:
        read(content, separator="|", **written)
    assert message in str(refused.value)


def test_a_remedy_is_given_only_where_it_is_right():
    assert comma_remedy(["1,000", "3.5"], Format()).endswith("separates thousands")
    assert comma_remedy(["0,123", "1,234"], Format()).startswith("--decimal ,")
    assert comma_remedy(["1,5", "1,234,567"], Format()) == ""
    european = Format(decimal=",")
    assert (
        comma_remedy(["1.000", "3,5"], european) == "--thousands . if the point separates thousands"
    )
    assert comma_remedy(["1.5", "3"], european) == "--decimal . if the point is the decimal point"


def test_a_column_can_be_mapped_and_go_along(here):
    table = read("a,b,c\n" + BODY, wanted={"features": ["a", "b"], "keep": ["a"]})
    np.testing.assert_array_equal(table.X, X[:, :2])
    np.testing.assert_array_equal(table.columns["a"], X[:, 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n\n1,2\n\n\n3,x\n5,6\n", "'x' in line 6"),
        ('note,b\n"two\nlines",1\ny,oops\nz,3\n', "'oops' in line 4"),
        ("a,b\n1,2\n" + "3,4\n" * 30 + "5,6,7\n", "line 33 is longer than the header"),
        ("1,2\n" * 30 + "5,6,7\n", "line 31 is longer than the first"),
        ("a b\n1 2\n3 4\n", "no column of numbers; are its cells separated by ' '? --sep ' '"),
        ("a\tb\n1\t2\n3\t4\n", "are its cells separated by tab? --sep tab"),
        (f"{';'.join(['gene'] * 30_000)}\n1;2\n3;4\n", "separated by ';'? --sep ';'"),
        (
            "ä,b\n1,2\n".encode("cp1252"),
            "not text in UTF-8; --encoding names another, such as cp1252",
        ),
        ("a,b\n1,2\n".encode("utf-16-le"), "such as cp1252, latin-1 or utf-16-le"),
        ("A table\na,b\n1,2\n", "than the header; correct it, or remove lines above the names"),
        ("sep=;\na;b\n1;x\n2;3\n", "'x' in line 3"),
    ],
)
def test_faults_are_named_by_their_line(here, content, message):
    with pytest.raises(Refusal) as refused:
        read(content)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 300


def test_long_cells_are_no_harm(here):
    table = read(f"a,b,note\n1,2,{'x' * 200_000}\n3,4,y\n", wanted={"keep": ["note"]})
    assert [len(cell) for cell in table.columns["note"]] == [200_000, 1]


@pytest.mark.parametrize(("fill", "expected"), [("mean", 4.0), ("median", 3.0), (0.0, 0.0)])
def test_empty_cells_are_filled(here, fill, expected):
    table = read("a,b\n1,1\n3,2\n8,3\n,4\n", fill=fill)
    np.testing.assert_array_equal(table.X[:, 0], [1, 3, 8, expected])
    assert f"filled 1 empty cell with --fill {fill}" in table.notes
    np.save("x.npy", [[1.0, np.nan], [2.0, 5.0]])
    assert read_table(Path("x.npy"), fill="mean").X.tolist() == [[1, 5], [2, 5]]
    for content, message in (("a,b\n1,\n2,\n", "column 'b'"), ("a,b\n1,2\n,\n3,4\n", "line 3")):
        with pytest.raises(Refusal, match=f"{message} has no value, which --fill requires"):
            read(content, fill=fill)


# ---- files and streams --------------------------------------------------------------------------


def test_compressed_tables_are_read_and_written(here, capsys):
    content = gzip.compress(("a,b,c\n" + BODY).encode())
    Path("x.csv.gz").write_bytes(content)
    assert mapped("x.csv.gz", "-o", "map.tsv.gz", "--keep", "c") == 0
    written = pd.read_csv("map.tsv.gz", sep="\t")
    assert written["c"].tolist() == X[:, 2].tolist()
    for broken in (b"a,b\n1,2\n", content[:-100]):
        Path("x.csv.gz").write_bytes(broken)
        said = error_of(capsys, "x.csv.gz", "-o", "a.csv")
        assert said == "cannot read x.csv.gz: it is not what its ending says"


def test_standard_input_and_output(here, capsys, monkeypatch):
    def piped(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))

    piped("a,b,c\n" + BODY)
    assert mapped("-", "-o", "-", "--keep", "c") == 0
    written = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(written[0]) == ["tsne0", "tsne1", "c"]
    assert [row["c"] for row in written] == [str(value) for value in X[:, 2]]
    piped("")
    assert error_of(capsys, "-", "-o", "-") == "standard input is empty"
    assert not list(here.iterdir())
    pytest.importorskip("distributed")
    assert "--landmarks reads INPUT" in error_of(capsys, "-", "-o", "a.npy", "--landmarks", "9")


def test_packed_standard_input(here, monkeypatch):
    packed = gzip.compress(("a,b,c\n" + BODY).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
    np.testing.assert_array_equal(read_table(Path("-")).X, X)


def test_workbooks_with_text_and_empty_rows(here):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame({"a": [f"{i},5" for i in range(4)], "b": range(4)})
    frame.to_excel("x.xlsx", index=False, startrow=3, startcol=2)
    with pytest.raises(Refusal, match="column 'a' holds text, '0,5' in line 5; --decimal ,"):
        read_table(Path("x.xlsx"))
    table = read_table(Path("x.xlsx"), written=Format(decimal=","))
    assert table.names == ["a", "b"]
    np.testing.assert_array_equal(table.X, [[0.5, 0], [1.5, 1], [2.5, 2], [3.5, 3]])


def test_workbooks_are_read(here):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame(X, columns=list("abc")).assign(zip=[f"{i:05d}" for i in range(N_ROWS)])
    frame["id"] = pd.array([None if i == 3 else i for i in range(N_ROWS)], dtype="Int64")
    with pd.ExcelWriter("x.xlsx") as book:
        frame.to_excel(book, sheet_name="one", index=False)
        pd.DataFrame(X).to_excel(book, sheet_name="two", index=False)
    table = read_table(Path("x.xlsx"), {"keep": ["zip,id"]})
    np.testing.assert_array_equal(table.X, X)
    assert table.notes == ["reading sheet 'one'; --array names another"]
    assert table.columns["zip"].tolist() == list(frame["zip"])
    assert table.columns["id"].tolist() == [None if i == 3 else i for i in range(N_ROWS)]
    assert read_table(Path("x.xlsx"), array="two").names == ["0", "1", "2"]
    with pytest.raises(Refusal, match="has 1 empty cell, the first in line 5; --fill"):
        read_table(Path("x.xlsx"))


def test_tables_of_many_columns(here):
    names = [f"g{i}" for i in range(3000)]
    table = read(f"{','.join(names)}\n" + text_of(np.arange(6000).reshape(2, 3000)))
    np.testing.assert_array_equal(table.X, np.arange(6000).reshape(2, 3000))
    assert table.names == names and table.X.flags.c_contiguous


def test_many_columns_go_along_in_linear_time():
    def seconds(count, output):
        columns = {f"g{i}": np.zeros(1) for i in range(count)}
        start = time.perf_counter()
        check_columns(Path(output), columns, 2)
        return time.perf_counter() - start

    for output in ("map.csv", "map.npz"):
        assert seconds(20_000, output) < 1.0  # comparing all pairs takes a minute


# ---- columns that go along ----------------------------------------------------------------------

KEPT = {
    "zip": [f"{1000 + i:05d}" for i in range(N_ROWS)],
    "id": ["" if i == 3 else str(10**16 + 1 + 2 * i) for i in range(N_ROWS)],
    "class": ["" if i == 3 else str(i % 3) for i in range(N_ROWS)],
    "flag": ["TRUE" if i % 2 else "FALSE" for i in range(N_ROWS)],
    "version": [f"1.{i}0" for i in range(N_ROWS)],
    "exponent": [f"{i}e2" for i in range(N_ROWS)],
    "share": [str(i / 7) for i in range(N_ROWS)],
    "NA": ["NA" if i == 5 else " US " for i in range(N_ROWS)],
    'quoted, "name"': ['a "b", c'] * N_ROWS,
}


def test_a_carriage_return_ends_no_line(here):
    cells = ["a\rb" if i == 3 else "c" for i in range(N_ROWS)]
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "text": cells}).to_csv(
        "x.csv", index=False, quoting=csv.QUOTE_ALL
    )
    assert mapped("x.csv", "-o", "map.csv", "--keep", "text") == 0
    with open("map.csv", newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == cells


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_columns_that_go_along_are_as_they_were(here, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], **KEPT}).to_csv("x.csv", index=False)
    names = [option for name in KEPT for option in ("--keep", name)]
    assert mapped("x.csv", "-o", f"map.{kind}", *names, "--label", "class") == 0
    if kind == "csv":
        back = pd.read_csv("map.csv", dtype=str, keep_default_na=False)
    elif kind == "npz":
        with np.load("map.npz") as arrays:
            back = {name: arrays[name] for name in KEPT}
    else:
        back = pytest.importorskip("pyarrow.parquet").read_table("map.parquet").to_pydict()
        assert type(back["id"][0]) is int and type(back["share"][1]) is float
    for name, cells in KEPT.items():
        assert ["" if pd.isna(cell) else str(cell) for cell in back[name]] == cells


def test_text_becomes_numbers_only_where_these_print_the_same():
    assert as_printed(["1", "", "-3"]).tolist() == [1, None, -3]
    assert as_printed(["0.5", "1e+16"]).tolist() == [0.5, 1e16]
    assert as_printed(["3", str(2**63 - 1)]).dtype == np.int64
    assert as_printed(["0.5", ""]).tolist() == [0.5, None]
    assert as_printed(["0.5", "3"], decimal=",").tolist() == ["0.5", "3"]
    for cells in (
        ["01"],
        ["1.50"],
        ["1_1"],
        ["+1"],
        ["nan"],
        [str(2**63)],
        ["x"],
        [""],
        ["1", "2.5"],
    ):
        assert as_printed(cells).tolist() == [cell or None for cell in cells]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["1.50", "2"], [1.5, 2]),
        (["01", ""], ["01", None]),
        (["NA", "3"], ["NA", "3"]),
        ([str(10**16 + 1), ""], [10**16 + 1, None]),
    ],
)
def test_labels_are_numbers_unless_they_are_names(cells, labels):
    assert labels_of(as_printed(cells), Format()).tolist() == labels
    for number in ("1.50", "0.5"):
        values = labels_of(as_printed([number, ""]), Format())
        np.testing.assert_array_equal(values, [float(number), np.nan])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_types_of_parquet_are_kept_on_every_route(here, kind):
    pytest.importorskip("distributed")
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    from datetime import date
    from decimal import Decimal

    some = range(N_ROWS)
    kept = {
        "gap": pa.array([None if i == 3 else 10**16 + 1 + 2 * i for i in some], pa.int64()),
        "small": pa.array(some, pa.int16()),
        "class": pa.array([f"{i % 3:02d}" for i in some]).dictionary_encode(),
        "price": pa.array([Decimal(f"{i}.50") for i in some], pa.decimal128(9, 2)),
        "day": pa.array([date(2020, 1, 1 + i % 28) for i in some]),
        "flag": pa.array([None if i == 2 else i % 2 == 0 for i in some]),
        "zip": pa.array([f"{i:05d}" for i in some]),
    }
    pq.write_table(
        pa.table({**dict(zip("abc", map(pa.array, X.T), strict=True)), **kept}), "x.parquet"
    )
    wanted = ["--keep", ",".join(kept), "--label", "class"]
    assert mapped("x.parquet", "-o", f"one.{kind}", *wanted) == 0
    assert mapped("x.parquet", "-o", f"two.{kind}", *wanted, "--landmarks", str(N_ROWS)) == 0
    if kind == "parquet":
        for name in ("one.parquet", "two.parquet"):
            written = pq.read_table(name)
            for column, values in kept.items():
                assert written.schema.field(column).type == values.type
                assert written[column].to_pylist() == values.to_pylist()
    else:
        lines = [Path(f"{name}.csv").read_text().splitlines() for name in ("one", "two")]
        one, two = ([line.split(",", 2)[2] for line in some] for some in lines)
        assert one == two
        assert one[1] == "00,10000000000000001,0,0.50,2020-01-01,True,00000"
        assert one[4] == "00,,3,3.50,2020-01-04,False,00003"


def test_the_index_of_a_frame_can_go_along(here):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(X, columns=list("abc"), index=[f"cell {i}" for i in range(N_ROWS)])
    frame.rename_axis("barcode").to_parquet("x.parquet")
    assert read_table(Path("x.parquet")).names == ["a", "b", "c"]
    table = read_table(Path("x.parquet"), {"keep": ["barcode"]})
    assert table.columns["barcode"].to_pylist() == list(frame.index)


def test_leading_zeros_are_doubted(here):
    Path("x.csv").write_text("a,zip,c\n1,02138,0\n2,10001,0.5\n")
    table = read_table(Path("x.csv"))
    assert table.notes == ["columns with leading zeros, as codes have: zip; --drop leaves them out"]
    assert table.X[:, 1].tolist() == [2138, 10001]
    assert not read_table(Path("x.csv"), {"features": ["a", "zip"]}).notes


@pytest.mark.parametrize("text", ["# by X\n# 2024\na,b\n1,2\n3,4\n", "# by X\na b\n1 2\n"])
def test_comments_are_named_as_what_they_are(here, text):
    Path("x.csv").write_text(text)
    with pytest.raises(Refusal, match=r"; leave out the comments \(#\) before the names"):
        read_table(Path("x.csv"))


@pytest.mark.parametrize("fill", [None, "mean"])
def test_an_empty_column_has_one_remedy(here, fill):
    Path("x.csv").write_text("a,b,c\n1,2,\n3,4,\n")
    with pytest.raises(Refusal, match=r"column 'c' (is empty|has no value)") as refused:
        read_table(Path("x.csv"), fill=fill)
    assert "--fill mean fills" not in str(refused.value)


def test_an_index_without_a_name_is_called_index(here):
    pytest.importorskip("distributed")
    h5py = pytest.importorskip("h5py")
    frame = pd.DataFrame(X, columns=list("abc"), index=[f"cell {i}" for i in range(N_ROWS)])
    frame.to_parquet("x.parquet")
    assert mapped("x.parquet", "-o", "map.npz") == 0
    assert mapped("x.parquet", "-o", "map.h5", "--landmarks", N_ROWS) == 0
    with np.load("map.npz") as arrays:
        assert arrays["index"].tolist() == list(frame.index)
    with h5py.File("map.h5") as file:
        assert file["index"].asstr()[:].tolist() == list(frame.index)
