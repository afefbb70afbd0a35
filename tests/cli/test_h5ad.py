"""Files of AnnData: read by cli/read.py, and copied with the map by cli/write.py."""

import sys
from pathlib import Path

import numpy as np
import pytest
from commands import error_of, expected_map, mapped, run
from scipy import sparse

pd = pytest.importorskip("pandas")

# anndata and pandas deprecate each other's ways.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

N_CELLS = 90


@pytest.fixture
def anndata():
    try:
        import anndata
    except Exception as error:  # packages that do not fit each other fail in any way
        pytest.skip(f"anndata does not work here: {error}")
    return anndata


@pytest.fixture
def cells(anndata, here):
    """Counts of 90 cells of three kinds, one unknown, beside arrays of other numbers."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(["B cell", "NK cell", "T cell"], N_CELLS // 3)
    means = np.repeat(rng.uniform(1, 9, size=(3, 8)), N_CELLS // 3, axis=0)
    counts = rng.poisson(means).astype(np.float32)
    observed = pd.DataFrame(
        {"kind": pd.Categorical(kinds), "total": counts.sum(axis=1)},
        index=[f"cell {i}" for i in range(N_CELLS)],
    )
    observed.loc["cell 5", "kind"] = np.nan
    data = anndata.AnnData(
        sparse.csr_matrix(counts),
        obs=observed,
        layers={"logged": np.log1p(counts)},
        obsm={"X_scaled": counts / 9, "few": pd.DataFrame(counts[:, :3], index=observed.index)},
        uns={"method": {"depth": 3}},
    )
    data.obsm["few"].columns = list("abc")
    save(data)
    return data


def save(data):
    from anndata import settings

    with settings.override(allow_write_nullable_strings=True):
        data.write_h5ad("cells.h5ad")


@pytest.mark.parametrize("array", [None, "X", "logged", "X_scaled", "few"])
def test_a_file_is_copied_with_the_map(cells, anndata, array):
    chosen = [] if array is None else ["--array", array]
    assert mapped("cells.h5ad", "-o", "out.h5ad", "--label", "kind", *chosen) == 0
    copy = anndata.read_h5ad("out.h5ad")
    arrays = {"logged": cells.layers["logged"], "X_scaled": cells.obsm["X_scaled"]}
    arrays["few"] = cells.obsm["few"].to_numpy()
    np.testing.assert_array_equal(copy.obsm["X_tsne"], expected_map(arrays.get(array, cells.X)))
    # All else is what it was.
    assert (copy.X != cells.X).nnz == 0
    pd.testing.assert_frame_equal(copy.obs, anndata.read_h5ad("cells.h5ad").obs)
    assert set(copy.obsm) == {"X_scaled", "X_tsne", "few"}
    assert copy.uns["method"]["depth"] == 3


def test_principal_components_are_preferred_and_an_old_map_is_replaced(cells, anndata):
    cells.obsm["X_pca"] = np.asarray(cells.layers["logged"][:, :4])
    cells.obsm["X_tsne"] = np.zeros((N_CELLS, 3))
    save(cells)
    before = Path("cells.h5ad").read_bytes()
    assert mapped("cells.h5ad", "-o", "out.h5ad") == 0
    Y = anndata.read_h5ad("out.h5ad").obsm["X_tsne"]
    np.testing.assert_array_equal(Y, expected_map(cells.obsm["X_pca"]))
    assert Path("cells.h5ad").read_bytes() == before


def test_labels_and_columns_go_along_into_a_table(cells, capsys):
    wanted = ["--label", "kind", "--keep", "total"]
    assert mapped("cells.h5ad", "-o", "map.csv", *wanted) == 0
    written = pd.read_csv("map.csv")
    assert written["total"].tolist() == cells.obs["total"].tolist()
    assert written["kind"].isna().sum() == 1
    assert written["kind"][89] == "T cell"
    assert mapped("cells.h5ad", "-o", "out.h5ad") == 0
    capsys.readouterr()
    assert run("judge", "cells.h5ad", "out.h5ad", "--label", "kind") == 0
    assert "90 points" in capsys.readouterr().out


@pytest.mark.parametrize("name", [None, "barcode"])
def test_barcodes_go_along(cells, anndata, name):
    pytest.importorskip("pyarrow")
    cells.obs_names.name = name
    save(cells)
    wanted = ["--label", "kind", "--keep", name or "index"]
    assert mapped("cells.h5ad", "-o", "map.csv", *wanted) == 0
    written = pd.read_csv("map.csv", index_col=name or "index")
    assert written.columns.tolist() == ["tsne0", "tsne1", "kind"]
    assert written.index.tolist() == cells.obs_names.tolist()
    for output in ("map.parquet", "map.npz"):
        assert mapped("cells.h5ad", "-o", output) == 0
    assert pd.read_parquet("map.parquet").index.tolist() == cells.obs_names.tolist()
    assert np.load("map.npz")[name or "index"].tolist() == cells.obs_names.tolist()


def test_names_of_variables_go_along_with_a_transposed_map(cells, anndata):
    cells.var_names = [f"gene {i}" for i in range(cells.n_vars)]
    save(cells)
    options = ["--transpose", "--perplexity", 2, "--max-iter", 250]
    for array in ("X", "logged"):
        assert run("map", "cells.h5ad", "-o", "map.csv", "--array", array, "--force", *options) == 0
        assert pd.read_csv("map.csv")["index"].tolist() == cells.var_names.tolist()


def test_parameters_are_written_beside_the_map(cells, anndata):
    wanted = ["--perplexity", "5,20", "--max-iter", 250, "--metric", "cosine"]
    assert run("map", "cells.h5ad", "-o", "out.h5ad", *wanted) == 0
    params = anndata.read_h5ad("out.h5ad").uns["tsne"]["params"]
    assert params["perplexity"].tolist() == [5.0, 20.0]
    assert (params["metric"], params["max_iter"], params["init"]) == ("cosine", 250, "pca")
    assert not params["warm_start"]


def test_any_embedding_can_be_judged(cells, capsys):
    cells.obsm["X_umap"] = np.asarray(cells.layers["logged"][:, :2])
    save(cells)
    printed = []
    np.save("umap.npy", cells.obsm["X_umap"])
    for chosen in (
        ["--embedding", "X_umap"],
        ["cells.h5ad", "--embedding", "X_umap"],
        ["umap.npy"],
    ):
        assert run("judge", "cells.h5ad", *chosen, "--array", "logged") == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] == printed[2]
    said = error_of(capsys, "cells.h5ad", "--embedding", "X_uma", command="judge")
    assert said == "there is no array 'X_uma' in cells.h5ad; did you mean 'X_umap'?"
    assert error_of(capsys, "cells.h5ad", command="judge").startswith(
        "MAP is missing; name the file"
    )


def test_wrong_names_are_corrected(cells, capsys):
    said = error_of(capsys, "cells.h5ad", "-o", "map.csv", "--array", "loged")
    assert said == "there is no array 'loged' in cells.h5ad; did you mean 'logged'?"
    said = error_of(capsys, "cells.h5ad", "-o", "map.csv", "--label", "Kind")
    assert said.endswith("in the observations of cells.h5ad; did you mean 'kind'?")


def test_other_hdf5_and_old_formats_are_refused(cells, capsys):
    assert error_of(capsys, "no.h5ad", "-o", "map.csv").startswith("there is no file 'no.h5ad'")
    h5py = pytest.importorskip("h5py")
    with h5py.File("other.h5ad", "w") as file:
        file["numbers"] = np.arange(3)
    said = error_of(capsys, "other.h5ad", "-o", "map.csv")
    assert said.startswith("cannot read other.h5ad by anndata")
    assert said.endswith("is it a file written by AnnData?")
    with h5py.File("cells.h5ad", "r+") as file:
        for group in ("obsm", "layers", "uns"):
            del file[group]
    assert mapped("cells.h5ad", "-o", "out.h5ad") == 0
    with h5py.File("out.h5ad") as file:
        assert file["obsm/X_tsne"].shape == (N_CELLS, 2)


def test_packages_that_do_not_fit_are_named_in_one_line(here, capsys, monkeypatch):
    class Broken:
        """Finds anndata, and fails to load it as packages made for other versions do."""

        def find_spec(self, name, path=None, target=None):
            if name == "anndata":
                raise AttributeError("module 'pandas' has no attribute 'Int64Index'")

    for name in [name for name in sys.modules if name.split(".")[0] == "anndata"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    Path("cells.h5ad").write_text("something")
    said = error_of(capsys, "cells.h5ad", "-o", "map.csv")
    assert "do not work together (module 'pandas' has no attribute 'Int64Index')" in said
    assert said.endswith("pip install --upgrade anndata")


def test_sizes_are_looked_at_before_anything_is_read(here, anndata, capsys, untouched):
    h5py = pytest.importorskip("h5py")
    anndata.AnnData(np.ones((10, 2), dtype=np.float32)).write_h5ad("x.h5ad")
    with h5py.File("x.h5ad", "r+") as file:
        facts = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", (2 * 10**12, 2), "f4", chunks=(1000, 2)).attrs.update(facts)
    said = error_of(capsys, "x.h5ad", "-o", "map.npy")
    assert said.startswith("cannot read x.h5ad: it takes 16,000 GB of memory or more; write")
