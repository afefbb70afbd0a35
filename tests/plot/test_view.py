"""plot/view.py: columns as small arrays that lose nothing."""

import base64
import io

import numpy as np
import pandas as pd
import pytest

from fasttsne.plot import PALETTE
from fasttsne.plot.view import packed, view_data, view_script

N = 60


def rows(n=N):
    return np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)


def column(values, n=N, name="x", **more):
    (found,) = view_data(rows(n), columns={name: values}, **more)["columns"]
    return found


def cells(column):
    """The texts of a column of classes or of texts, None where missing."""
    if column["codes"] is None:
        return column["names"]
    return [[*column["names"], None][code] for code in column["codes"].tolist()]


def test_single_precision_is_written_as_it_is():
    Y = rows() * 50 + 3
    data = view_data(Y)
    np.testing.assert_array_equal(data["points"], Y)
    assert data["points"].dtype == np.float32
    assert (data["origin"], data["unit"]) == ([0, 0], 1)
    inside = np.abs(Y - data["middle"]) / data["half"]
    assert 0.9 < inside.max() < 1


def test_a_map_far_from_zero_keeps_its_digits():
    Y = np.random.default_rng(0).normal(size=(30, 2)) + 1e6
    data = view_data(Y)
    restored = np.array(data["origin"]) + data["unit"] * data["points"].astype(np.float64)
    np.testing.assert_allclose(restored, Y, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e40, 1e99])
def test_coordinates_of_any_magnitude_fit_into_single_precision(scale):
    Y = np.random.default_rng(0).normal(size=(30, 2))
    points = [
        (data["points"] - data["middle"]) / data["half"]
        for data in (view_data(Y * scale), view_data(Y))
    ]
    np.testing.assert_allclose(points[0], points[1], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e16, -1e20, 1e100])
def test_a_constant_map_is_in_the_middle(value):
    data = view_data(np.full((5, 2), value))
    assert np.all(data["points"] == data["middle"])
    assert min(data["half"]) > 0


@pytest.mark.parametrize(("shape", "scale"), [((50, 10), 1), ((10, 50), 1e40), ((50, 0), 1e-40)])
def test_the_window_has_the_shape_of_the_map(shape, scale):
    expected = np.maximum(np.array(shape) / 2, 3.5) + 1.5
    half = np.array(view_data(np.array([[0, 0], [1, 1]]) * shape * scale)["half"])
    np.testing.assert_allclose(half / half.max(), expected / expected.max())


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.arange(N), np.int8),
        (np.arange(N) * 500, np.int16),
        (np.arange(N) * 50_000, np.int32),
        (np.arange(N) * 2**40, np.float32),
        (np.arange(N) * 2.0**40 + 1, np.float64),
        (np.arange(N) / 8, np.float32),
        (np.arange(N) / 10, np.float64),
        (np.append(np.arange(N - 1) / 8, np.nan), np.float32),
        (np.append(np.arange(N - 1) / 8, -np.inf), np.float32),
        ((np.arange(N) / 10).astype(np.float32), np.float32),
    ],
)
def test_a_quantity_is_in_the_smallest_type_that_holds_it(values, dtype):
    found = column(values)["values"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.astype(np.float64), values.astype(np.float64))


def test_integers_beyond_doubles_are_texts():
    values = np.arange(N) + 2**60
    texts = [str(value) for value in values]
    assert cells(column(values)) == texts
    assert cells(view_data(rows(), values.astype(np.uint64))["columns"][0]) == texts


@pytest.mark.parametrize(
    ("dtype", "values", "texts"),
    [
        ("category", ["b", None, "a"], ["b", None, "a"]),
        ("Int64", [1, None, 3], ["1", None, "3"]),
        ("datetime64[ns]", ["2020-01-01", None, "2020-01-03"], ["2020-01-01", None, "2020-01-03"]),
        ("boolean", [True, None, False], ["True", None, "False"]),
        (object, ["a", None, 3], ["a", None, "3"]),
    ],
)
def test_classes_of_every_type_are_texts(dtype, values, texts):
    series = pd.Series(pd.array(values * 20, dtype=object).astype(dtype))
    found = column(series)
    assert cells(found) == texts * 20
    assert found["codes"].dtype == np.int8
    assert found["colors"] == list(PALETTE[: len(found["names"])])


def test_names_of_rows_are_texts_without_colours():
    found = column([f"row {i}" for i in range(N - 1)] + [None])
    assert cells(found) == [f"row {i}" for i in range(N - 1)] + [None]
    assert "colors" not in found
    found = column([f"row {i % 40}" for i in range(100)], 100)  # by codes: fewer than 50
    assert "colors" in found
    found = column([f"row {i % 1100}" for i in range(5000)], 5000)
    assert "colors" not in found and found["codes"].dtype == np.int16
    assert cells(found)[1200] == "row 100"


@pytest.mark.parametrize("n_classes", [12, 20, 40, 60])
def test_no_two_classes_look_alike(n_classes):
    labels = [f"T{i}" for i in range(n_classes)]
    (found,) = view_data(np.random.default_rng(0).normal(size=(n_classes, 2)), labels)["columns"]
    assert found["names"] == labels
    assert len(set(zip(found["colors"], found["symbols"], strict=True))) == n_classes


def test_ten_thousand_classes_have_sixty_entries():
    labels = np.append(np.arange(10_000), [77] * 5).astype(str)
    (found,) = view_data(np.random.default_rng(0).normal(size=(10_005, 2)), labels)["columns"]
    assert len(found["names"]) == 10_000
    assert len(found["shown"]) == 60
    assert "77" in [found["names"][i] for i in found["shown"]]


def test_frames_of_pandas_and_polars_and_dictionaries_are_alike():
    content = {"a": np.arange(N) / 7, "b": ["u", "v"] * (N // 2)}
    frame = pd.DataFrame(content)
    found = [packed(view_data(rows(), columns=one), text=True) for one in (content, frame)]
    assert found[0] == found[1]
    named = view_data(rows(), columns=frame.set_index(np.array([f"r{i}" for i in range(N)])))
    assert [one["name"] for one in named["columns"]] == ["index", "a", "b"]
    assert cells(named["columns"][0])[3] == "r3"
    polars = pytest.importorskip("polars")
    assert packed(view_data(rows(), columns=polars.DataFrame(content)), text=True) == found[0]


def test_tables_of_pyarrow_are_read():
    pyarrow = pytest.importorskip("pyarrow")
    content = {"a": np.arange(N) / 7, "b": ["u", None] * (N // 2)}
    found = [view_data(rows(), columns=one) for one in (pyarrow.table(content), content)]
    assert packed(found[0], text=True) == packed(found[1], text=True)


def test_hover_may_be_missing():
    (found,) = view_data(rows(4), hover=["a", None, np.nan, pd.NA])["columns"]
    assert cells(found) == ["a", None, None, None]


def test_bad_arguments_are_named():
    for wrong in (0, -1.0, np.nan, np.inf, "a", [3]):
        with pytest.raises(ValueError, match=r"size=.* must be a number of pixels above 0"):
            view_data(rows(), size=wrong)
    for wrong in ("a" * N, 3, iter("a" * N)):
        with pytest.raises(ValueError, match="hover must be a list of texts; got"):
            view_data(rows(), hover=wrong)
    lazy = pytest.importorskip("polars").LazyFrame({"a": [1] * N})
    with pytest.raises(ValueError, match=r"columns must be a DataFrame .* got LazyFrame"):
        view_data(rows(), columns=lazy)


def test_labels_are_first_and_a_column_of_their_name_is_the_same_column():
    frame = pd.DataFrame({"kind": ["u", "v"] * (N // 2), "mass": np.arange(N) / 7})
    data = view_data(rows(), frame["kind"], columns=frame)
    assert [one["name"] for one in data["columns"]] == ["kind", "mass"]
    assert data["color"] == "kind"
    assert view_data(rows(), frame["kind"], columns=frame, color="mass")["color"] == "mass"
    assert view_data(rows(), columns=frame[["mass"]])["color"] == "mass"
    assert view_data(rows())["color"] is None
    assert view_data(rows(), list("ab") * 30, label_name="<b>")["columns"][0]["name"] == "<b>"


def test_bad_columns_are_named():
    Y = rows(3)
    for columns, message in [
        ({"a": [1, 2]}, r"column 'a' of columns has shape \(2,\), but must be one label per"),
        ({"a": "xyz"}, "column 'a' of columns must be one-dimensional"),
        ({"a": [1j, 2, 3]}, "column 'a' of columns has complex numbers"),
        ([1, 2, 3], "columns must be a DataFrame or a dictionary of arrays; got list"),
        ({"hover": [1, 2, 3]}, "two columns are called 'hover'; rename one"),
    ]:
        with pytest.raises(ValueError, match=message):
            view_data(Y, columns=columns, hover=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"color must be .* one of \['a'\]; got 'b'"):
        view_data(Y, columns={"a": [1, 2, 3]}, color="b")
    names = {"a": [f"{i}" for i in range(20)], "b": [0.5] * 20}
    with pytest.raises(ValueError, match=r"color 'a' has too many .* choose one of \['b'\]"):
        view_data(rows(20), columns=names, color="a")


def test_arguments_are_left_alone():
    Y, values = rows(), np.arange(N) / 7
    before = Y.copy(), values.copy()
    view_data(Y, columns={"a": values})["points"][:] = 7
    np.testing.assert_array_equal(Y, before[0])
    np.testing.assert_array_equal(values, before[1])


def test_arrays_are_packed_as_bytes_or_as_text():
    data = {"a": np.arange(3, dtype=">i2"), "b": [{"c": np.ones(2, np.float32)}], "d": [[1], "x"]}
    binary, text = packed(data, text=False), packed(data, text=True)
    assert binary["a"] == {"dtype": "int16", "data": b"\0\0\1\0\2\0"}
    assert base64.b64decode(text["a"]["data"]) == binary["a"]["data"]
    assert np.frombuffer(binary["b"][0]["c"]["data"], "<f4").tolist() == [1, 1]
    assert text["d"] == [[1], "x"]


def test_the_script_defines_one_function_and_is_no_module():
    script = view_script()
    assert "\nfunction draw(container, data, options = {}) {" in script
    assert not [line for line in script.splitlines() if line.startswith(("import", "export"))]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 3)])
def test_thumbnails_lie_on_sheets_in_order(monkeypatch, shape, dtype):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr("fasttsne.plot.view._SHEET", 12)  # pixels: 3 rows of 4, two sheets
    bytes_ = np.random.default_rng(0).integers(0, 256, size=(15, *shape), dtype=np.uint8)
    bytes_[0].flat[:2] = 0, 255
    thumbnails = bytes_ if dtype == np.uint8 else bytes_.astype(dtype) / 51 - 2
    data = view_data(rows(15), thumbnails=thumbnails)["thumbnails"]
    assert (data["rows"], data["columns"], data["height"], data["width"]) == (3, 4, 4, 3)
    assert len(data["sheets"]) == 2
    for i in range(15):
        sheet = np.asarray(image.open(io.BytesIO(base64.b64decode(data["sheets"][i // 12]))))
        row, column = divmod(i % 12, 4)
        tile = sheet[row * 4 : row * 4 + 4, column * 3 : column * 3 + 3]
        np.testing.assert_array_equal(tile, bytes_[i])
