"""cli/export.py: files that Embedding Atlas and TensorBoard read; bad targets."""

import os
from pathlib import Path

import numpy as np
import pytest
from commands import N_ROWS, error_of, expected_map, mapped, rows, run, status_of, table
from scipy.spatial.distance import cdist

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from pyarrow import parquet, types  # noqa: E402


def test_embedding_atlas_gets_places_neighbours_and_kept_columns(here, capsys):
    frame = table(kind=["a", None] * (N_ROWS // 2), size=np.arange(N_ROWS) / 3)
    wanted = ["--label", "kind", "--keep", "size", "--export", "atlas.parquet"]
    assert mapped("x.csv", "-o", "map.csv", *wanted) == 0
    assert "table for Embedding Atlas: atlas.parquet" in capsys.readouterr().err
    written = parquet.read_table("atlas.parquet")
    assert written.column_names == ["x", "y", "neighbors", "kind", "size"]
    Y = np.column_stack([written["x"], written["y"]])
    np.testing.assert_array_equal(Y, expected_map(frame[["a", "b", "c"]].to_numpy()))
    assert written["kind"].to_pylist() == ["a", None] * (N_ROWS // 2)
    assert written["size"].to_pylist() == frame["size"].tolist()
    kind = written["neighbors"].type
    assert types.is_struct(kind)
    assert types.is_integer(kind.field("ids").type.value_type)
    assert types.is_floating(kind.field("distances").type.value_type)
    near = written["neighbors"].to_pylist()
    distances = cdist(rows(), rows())
    np.fill_diagonal(distances, np.inf)
    ids = np.argsort(distances, axis=1)[:, :15]
    np.testing.assert_array_equal([row["ids"] for row in near], ids)
    expected = np.take_along_axis(distances, ids, axis=1)
    np.testing.assert_allclose([row["distances"] for row in near], expected)


def test_neighbours_are_those_of_the_metric_and_of_the_prepared_data(here):
    np.save("x.npy", X := rows() + 5)
    given = ["--metric", "cosine", "--standardize", "--export", "a.parquet"]
    assert mapped("x.npy", "-o", "map.npy", *given) == 0
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    distances = cdist(X, X, "cosine")
    np.fill_diagonal(distances, np.inf)
    near = parquet.read_table("a.parquet")["neighbors"].to_pylist()
    for row, expected in zip(near, np.sort(distances, axis=1), strict=True):
        np.testing.assert_allclose(row["distances"], expected[:15], atol=1e-12)


def test_few_rows_have_fewer_neighbours(here):
    np.save("x.npy", rows()[:5])
    given = ["--perplexity", "1", "--export", "a.parquet"]
    assert run("map", "x.npy", "-o", "map.npy", *given) == 0
    near = parquet.read_table("a.parquet")["neighbors"].to_pylist()
    assert [sorted(row["ids"]) for row in near] == [[*{*range(5)} - {i}] for i in range(5)]


def test_names_of_rows_are_a_column(here):
    frame = pd.DataFrame(rows(), columns=list("abc"), index=[f"r{k}" for k in range(N_ROWS)])
    frame.to_parquet("x.parquet")
    exports = ["--export", "atlas.parquet", "--export", "tensorboard:board"]
    assert mapped("x.parquet", "-o", "map.csv", *exports) == 0
    assert parquet.read_table("atlas.parquet")["index"].to_pylist() == frame.index.tolist()
    lines = Path("board/metadata.tsv").read_text().splitlines()
    assert lines == frame.index.tolist()  # one column, which has no name


def test_tensorboard_gets_places_metadata_and_a_configuration(here, capsys):
    texts = ["tab\there", "line\nbreak\r", "back\\slash", None, 'quote"', "<b>"]
    columns = {"kind\tof": [*texts, *["z"] * (N_ROWS - 6)], "n": range(N_ROWS)}
    frame = pd.DataFrame({**dict(zip("abc", rows().T, strict=True)), **columns})
    frame.to_parquet("x.parquet")
    wanted = ["--label", "kind\tof", "--keep", "n", "--export", "tensorboard:board"]
    assert mapped("x.parquet", "-o", "map.csv", *wanted) == 0
    assert "folder for TensorBoard: board" in capsys.readouterr().err
    assert sorted(os.listdir("board")) == ["metadata.tsv", "projector_config.pbtxt", "tensor.tsv"]
    lines = Path("board/tensor.tsv").read_text().splitlines()
    tensor = np.array([line.split("\t") for line in lines]).astype(np.float32)
    np.testing.assert_array_equal(tensor[:, :2], expected_map(rows()))
    assert not tensor[:, 2:].any()
    assert tensor.shape == (N_ROWS, 3)  # the projector draws nothing of two columns
    names, *lines = Path("board/metadata.tsv").read_bytes().decode().removesuffix("\n").split("\n")
    assert names == "kind\\tof\tn"
    escaped = ["tab\\there", "line\\nbreak\\r", "back\\slash", "", 'quote"', "<b>"]
    escaped += ["z"] * (N_ROWS - 6)
    assert [line.split("\t") for line in lines] == [[t, str(k)] for k, t in enumerate(escaped)]
    config = Path("board/projector_config.pbtxt").read_text()
    assert config == (
        'embeddings {\n  tensor_name: "t-SNE map"\n  tensor_path: "tensor.tsv"\n'
        '  metadata_path: "metadata.tsv"\n}\n'
    )


def test_a_single_column_has_no_name_and_no_blank_line(here):
    table(kind=[" ", None, "\ufeff", *["z"] * (N_ROWS - 3)])
    assert mapped("x.csv", "-o", "map.csv", "--label", "kind", "--export", "tensorboard:b") == 0
    lines = Path("b/metadata.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == ["(missing)"] * 3 + ["z"] * (N_ROWS - 3)


def test_without_columns_there_is_no_metadata(array):
    assert mapped("x.npy", "-o", "map.npy", "--export", "tensorboard:b") == 0
    assert sorted(os.listdir("b")) == ["projector_config.pbtxt", "tensor.tsv"]
    assert "metadata" not in Path("b/projector_config.pbtxt").read_text()


@pytest.mark.parametrize("n_components", [1, 3, 4])
def test_tensorboard_gets_maps_of_any_dimension(array, n_components):
    given = ["--n-components", n_components, "--method", "exact", "--export", "tensorboard:b"]
    assert mapped("x.npy", "-o", "map.npy", *given) == 0
    tensor = np.loadtxt("b/tensor.tsv", dtype=np.float32)
    np.testing.assert_array_equal(tensor[:, :n_components], np.load("map.npy"))
    assert tensor.shape[1] == max(3, n_components)


def test_existing_files_are_replaced_by_force_alone(array, capsys, monkeypatch):
    os.mkdir("b")
    for name in "a.parquet", "b/metadata.tsv", "b/note.txt":
        Path(name).write_text("old")
    for target, path in ("a.parquet", "a.parquet"), ("tensorboard:b", "b/metadata.tsv"):
        said = error_of(capsys, "x.npy", "-o", "map.npy", "--export", target)
        assert said == f"--export {path}: it exists; --force replaces it"
    given = ["--export", "a.parquet", "--export", "tensorboard:b", "--export", "a.parquet"]
    assert mapped("x.npy", "-o", "map.npy", "--force", *given) == 0
    assert parquet.read_table("a.parquet").num_rows == N_ROWS
    assert Path("b/note.txt").read_text() == "old"


def test_nothing_replaces_a_file_when_a_later_one_fails(array, capsys, monkeypatch):
    os.mkdir("b")
    Path("b/tensor.tsv").write_text("old")

    def fail(self, *args, **options):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", fail)
    given = ["--force", "--max-iter", "250", "--perplexity", "5", "--export", "tensorboard:b"]
    assert run("map", "x.npy", "-o", "map.npy", *given) == 2
    assert "projector_config.pbtxt: No space left on device" in capsys.readouterr().err
    assert os.listdir("b") == ["tensor.tsv"]
    assert Path("b/tensor.tsv").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--export", "a.csv"], "--export a.csv: give a .parquet file for Embedding Atlas, or "),
        (["--export", "tensorboard:"], "--export tensorboard:: give a .parquet file for"),
        (["--export", "no/a.parquet"], "--export no/a.parquet: there is no directory no"),
        (["--export", "tensorboard:no/b"], "--export no/b: there is no directory no; make it"),
        (["--export", "tensorboard:x.npy"], "--export tensorboard:x.npy: x.npy is a file; name"),
        (["--export", "a.parquet", "--n-components", "3"], "--export a.parquet: Embedding Atlas"),
        (["--export", "a.parquet", "--affinity", "precomputed"], "--export a.parquet: neighbours"),
        (["--export", "a.parquet", "--landmarks", "20"], "--export needs all of INPUT in memory"),
        (["--export", "a.parquet", "--export", "./a.parquet"], "--export a.parquet and --export"),
        (
            ["--export", "a.parquet", "--plot", "a.parquet"],
            "--plot and --export a.parquet both name a.parquet; give each its own file",
        ),
        (
            ["--export", "tensorboard:.", "--report", "metadata.tsv"],
            "--report and --export tensorboard:. (metadata.tsv) both name metadata.tsv",
        ),
    ],
)
def test_what_cannot_be_exported(array, capsys, untouched, given, message):
    assert error_of(capsys, "x.npy", "-o", "map.npy", *given).startswith(message)


def test_export_needs_a_target(array, capsys):
    assert status_of("map", "x.npy", "-o", "map.npy", "--export") == 2
    assert "--export" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x", "y", "neighbors"])
def test_no_column_takes_the_place_of_those_of_embedding_atlas(here, capsys, untouched, name):
    table(**{name: ["a"] * N_ROWS})
    given = ["--keep", name, "--export", "a.parquet"]
    said = error_of(capsys, "x.csv", "-o", "map.csv", *given)
    assert f"and so is the column {name!r} that is to go along; rename it in INPUT" in said


def test_nested_columns_have_no_place_in_metadata(here, capsys, untouched):
    frame = pd.DataFrame({**dict(zip("abc", rows().T, strict=True)), "v": [[1, 2]] * N_ROWS})
    frame.to_parquet("x.parquet")
    given = ["--keep", "v", "--export", "tensorboard:b"]
    said = error_of(capsys, "x.parquet", "-o", "map.parquet", *given)
    assert said.startswith("--export tensorboard:b: column 'v' holds list<")
