"""anndata.py: maps of AnnData, read and written by duck typing, also on its neighbour graph."""

import numpy as np
import pytest
from scipy import sparse

import fasttsne
from fasttsne.anndata import tsne
from fasttsne.neighbors import nearest_neighbors

N_CELLS = 120
FAST = {"max_iter": 250, "random_state": 0}


class Cells:
    """What the function uses of an AnnData."""

    isbacked = is_view = False

    def __init__(self, X, **obsm):
        self.X, self.obsm, self.layers = X, obsm, {"halved": X / 2}
        self.obsp, self.uns, self.n_obs = {}, {}, len(X)

    def copy(self):
        other = Cells(self.X, **self.obsm)
        other.obsp, other.uns = dict(self.obsp), dict(self.uns)
        return other


@pytest.fixture
def cells(digits):
    noise = np.random.default_rng(0).normal(size=(N_CELLS, 10))  # so that no distances are equal
    return Cells(digits[:N_CELLS], X_pca=digits[:N_CELLS, 20:30] + noise)


def graph_of(X, k):
    """The distances of k nearest neighbours, as scanpy stores them."""
    indices, distances = nearest_neighbors(X, k)
    pointers = np.arange(0, indices.size + 1, k)
    return sparse.csr_matrix((distances.ravel(), indices.ravel(), pointers), shape=(len(X), len(X)))


def add_neighbors(cells, k=14, key="neighbors", **record):
    place = "distances" if key == "neighbors" else f"{key}_distances"
    cells.obsp[place] = graph_of(cells.obsm["X_pca"], k)
    cells.uns[key] = {"distances_key": place, "params": {"n_neighbors": k + 1, "use_rep": "X_pca"}}
    cells.uns[key].update(record)


# ---- what is mapped -----------------------------------------------------------------------------


@pytest.mark.parametrize("use_rep", [None, "X", "X_pca", "halved"])
def test_the_map_is_that_of_the_array(cells, use_rep):
    arrays = {"X": cells.X, "halved": cells.layers["halved"]}
    expected = fasttsne.TSNE(**FAST).fit(arrays.get(use_rep, cells.obsm["X_pca"]))
    assert tsne(cells, use_rep=use_rep, **FAST) is None
    np.testing.assert_array_equal(cells.obsm["X_tsne"], expected.embedding_)
    assert cells.uns["tsne"]["kl_divergence"] == expected.kl_divergence_
    assert cells.uns["tsne"]["n_iter"] == expected.n_iter_
    assert cells.uns["tsne"]["params"]["use_rep"] == (use_rep or "X_pca")
    assert cells.uns["tsne"]["params"]["metric"] == "euclidean"


def test_without_principal_components_x_is_mapped(cells):
    del cells.obsm["X_pca"]
    cells.X = sparse.csr_matrix(cells.X)
    tsne(cells, key_added="X_tsne_sparse", **FAST)
    expected = fasttsne.TSNE(**FAST).fit_transform(cells.X)
    np.testing.assert_array_equal(cells.obsm["X_tsne_sparse"], expected)
    assert cells.uns["tsne_sparse"]["params"]["use_rep"] == "X"


def test_all_parameters_are_recorded(cells):
    def metric(a, b):
        return np.abs(a - b).sum()

    init = np.random.default_rng(0).normal(scale=1e-4, size=(N_CELLS, 2))
    others = {"perplexity": [5, np.float32(10.0)], "exaggeration": [(50, 1), (200, 2.5)]}
    tsne(cells, metric=metric, init=init, verbose=False, **others, **FAST)
    params = cells.uns["tsne"]["params"]
    known = fasttsne.TSNE().get_params()
    assert {name for name, value in known.items() if value is not None} <= {*params}
    assert params["perplexity"].tolist() == [5, 10] and params["exaggeration"].shape == (2, 2)
    assert (params["metric"], params["max_iter"], params["verbose"]) == ("metric", 250, False)
    np.testing.assert_array_equal(params["init"], init)
    assert cells.uns["tsne"]["versions"]["fasttsne"] == fasttsne.__version__
    assert not [value for value in params.values() if value is None]


@pytest.mark.parametrize(
    "random_state", [None, 7, np.random.RandomState(7), np.random.default_rng(7)]
)
def test_the_recorded_seed_gives_the_same_map(cells, random_state):
    given = {"init": "random", "max_iter": 250}
    tsne(cells, random_state=random_state, **given)
    seed = cells.uns["tsne"]["params"]["random_state"]
    assert type(seed) is int and (random_state != 7 or seed == 7)
    expected = fasttsne.TSNE(random_state=seed, **given).fit_transform(cells.obsm["X_pca"])
    np.testing.assert_array_equal(cells.obsm["X_tsne"], expected)


def test_a_copy_is_returned_and_the_original_stays(cells):
    copied = tsne(cells, copy=True, **FAST)
    assert copied.obsm["X_tsne"].shape == (N_CELLS, 2) and "tsne" in copied.uns
    assert [*cells.obsm] == ["X_pca"] and not cells.uns


# ---- the graph ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "perplexity", "n_neighbors", "others"),
    [
        ({}, 28 / 3, 14, {}),
        ({"perplexity": "auto"}, 28 / 3, 14, {}),
        ({"perplexity": 13.5}, 13.5, 14, {}),
        ({"perplexity": 3}, 3, 10, {}),
        ({"perplexity": [2, 4]}, [2, 4], 13, {}),
        ({"n_neighbors": 12}, 28 / 3, 12, {}),
        ({"affinity": "uniform"}, 14, 14, {"affinity": "uniform"}),
        ({"affinity": "uniform", "perplexity": 6}, 6, 6, {"affinity": "uniform"}),
        ({"sigma": 2.0}, 28 / 3, 14, {"sigma": 2.0}),
    ],
)
def test_the_graph_is_used_as_it_is(cells, monkeypatch, params, perplexity, n_neighbors, others):
    add_neighbors(cells)
    graph = cells.obsp["distances"].copy()
    X = cells.obsm["X_pca"]
    exact = {"perplexity": perplexity, "n_neighbors": n_neighbors, **others, **FAST}
    expected = fasttsne.TSNE(**exact).fit_transform(X)

    def fail(*args, **options):
        raise AssertionError("must not search")

    monkeypatch.setattr("fasttsne.affinity.build.squared_neighbors", fail)
    tsne(cells, neighbors_key="neighbors", **params, **FAST)
    np.testing.assert_allclose(cells.obsm["X_tsne"], expected, atol=1e-3 * np.ptp(expected))
    recorded = cells.uns["tsne"]["params"]
    assert recorded["neighbors_key"] == "neighbors" and recorded["n_neighbors"] == n_neighbors
    np.testing.assert_allclose(recorded["perplexity"], perplexity)
    assert recorded["neighbors"] == "given"
    assert (cells.obsp["distances"] != graph).nnz == 0


@pytest.mark.parametrize("form", ["symmetric", "dense", "with itself", "csc"])
def test_graphs_of_other_forms_give_the_same_map(cells, form):
    add_neighbors(cells)
    tsne(cells, neighbors_key="neighbors", **FAST)
    expected, graph = cells.obsm["X_tsne"], cells.obsp["distances"]
    if form == "symmetric":
        graph = graph.maximum(graph.T)
    elif form == "dense":
        graph = np.linalg.norm(cells.obsm["X_pca"][:, None] - cells.obsm["X_pca"], axis=2)
    elif form == "with itself":
        graph = sparse.csr_matrix(graph + sparse.eye(N_CELLS))
    else:
        graph = graph.tocsc()
    cells.obsp["distances"] = graph
    tsne(cells, neighbors_key="neighbors", **FAST)
    np.testing.assert_allclose(cells.obsm["X_tsne"], expected, atol=1e-3 * np.ptp(expected))


def test_other_keys_and_records_of_old_versions(cells):
    add_neighbors(cells, key="wide", k=20)
    del cells.uns["wide"]["distances_key"]
    cells.uns["wide"]["params"] = {"n_neighbors": np.array([21]), "method": "umap"}
    tsne(cells, neighbors_key="wide", **FAST)
    assert cells.uns["tsne"]["params"]["n_neighbors"] == 20
    del cells.uns["wide"]["params"]
    tsne(cells, neighbors_key="wide", **FAST)
    assert cells.uns["tsne"]["params"]["n_neighbors"] == 20


def test_the_start_is_that_of_what_the_graph_was_made_of(cells):
    add_neighbors(cells)
    cells.uns["neighbors"]["params"]["use_rep"] = "halved"
    tsne(cells, neighbors_key="neighbors", **FAST)
    assert cells.uns["tsne"]["params"]["use_rep"] == "halved"
    cells.uns["neighbors"]["params"]["use_rep"] = "deleted since"
    tsne(cells, neighbors_key="neighbors", **FAST)
    assert cells.uns["tsne"]["params"]["use_rep"] == "X_pca"


def test_the_recorded_metric_is_that_of_the_graph(cells):
    add_neighbors(cells)
    tsne(cells, neighbors_key="neighbors", **FAST)
    assert "metric" not in cells.uns["tsne"]["params"]  # it is not known
    cells.uns["neighbors"]["params"]["metric"] = "cosine"
    expected = cells.obsm["X_tsne"]
    tsne(cells, neighbors_key="neighbors", **FAST)
    assert cells.uns["tsne"]["params"]["metric"] == "cosine"
    np.testing.assert_array_equal(cells.obsm["X_tsne"], expected)
    tsne(cells, metric="cosine", **FAST)
    assert cells.uns["tsne"]["params"]["metric"] == "cosine"
    assert "neighbors_key" not in cells.uns["tsne"]["params"]


# ---- bad input ----------------------------------------------------------------------------------


def few(cells, k=1):
    add_neighbors(cells, k=k)


def other_shape(cells):
    add_neighbors(cells)
    cells.obsp["distances"] = cells.obsp["distances"][:-1, :-1]


def empty_row(cells):
    add_neighbors(cells)
    graph = cells.obsp["distances"].tolil()
    graph[5] = 0
    cells.obsp["distances"] = graph.tocsr()


def no_distances(cells):
    add_neighbors(cells)
    del cells.obsp["distances"]


def no_record(cells):
    cells.uns["neighbors"] = "umap"


def negative(cells):
    add_neighbors(cells)
    cells.obsp["distances"].data[3] = -1


def short_rep(cells):
    cells.obsm["X_pca"] = cells.obsm["X_pca"][:-1]


def text_rep(cells):
    pd = pytest.importorskip("pandas")
    cells.obsm["text"] = pd.DataFrame({"a": ["x"] * N_CELLS})


def missing_rep(cells):
    pd = pytest.importorskip("pandas")
    cells.obsm["missing"] = pd.DataFrame({"a": pd.array([None, 1] * 60, dtype="Int64")})


GRAPH = {"neighbors_key": "neighbors"}


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        (add_neighbors, {"neighbors_key": "wide"}, "neighbors_key='wide' is not in adata.uns; run"),
        (no_distances, GRAPH, "neighbors_key='neighbors' has no distances in adata.obsp; run"),
        (no_record, GRAPH, "neighbors_key='neighbors' has no distances in adata.obsp; run"),
        (other_shape, GRAPH, r"adata.obsp\['distances'\] has shape .119, 119., but .* 120 cells"),
        (few, GRAPH, "has fewer than 2 neighbors in some rows; run .* with a higher n_neighbors"),
        (empty_row, GRAPH, r"adata.obsp\['distances'\] has fewer than 2 neighbors in some rows"),
        (negative, GRAPH, r"adata.obsp\['distances'\]: distances must be finite and not negative"),
        (
            add_neighbors,
            {**GRAPH, "perplexity": 30},
            "has 14 neighbors per row, too few for perplexity=30; .* n_neighbors=92, or leave out",
        ),
        (
            add_neighbors,
            {**GRAPH, "n_neighbors": 15},
            "few for n_neighbors=15; .* n_neighbors=16, or",
        ),
        (add_neighbors, {**GRAPH, "key_added": "X_neighbors"}, "overwrite uns..neighbors"),
        (add_neighbors, {"key_added": "X_neighbors"}, "overwrite uns..neighbors"),
        (add_neighbors, {"key_added": "X_"}, "key_added='X_' must be a name for obsm"),
        (add_neighbors, {"key_added": None}, "key_added=None must be a name for obsm"),
        (add_neighbors, {**GRAPH, "neighbors": "exact"}, "neighbors_key and neighbors exclude"),
        (add_neighbors, {**GRAPH, "metric": "cosine"}, "metric has no effect on the graph of"),
        (add_neighbors, {**GRAPH, "perplexity": []}, "perplexity"),
        (
            add_neighbors,
            {"label_weight": 0.5},
            "label_weight=0.5 needs labels, which .*; assign fasttsne.TSNE.label_weight=0.5.",
        ),
        (text_rep, {"use_rep": "text"}, "text has values that are no real numbers in column 'a'"),
        (missing_rep, {"use_rep": "missing"}, "X contains NaN"),
        (add_neighbors, {"key_added": "X_pca"}, "key_added='X_pca' would overwrite use_rep"),
        (add_neighbors, {"use_rep": "X_umap"}, "use_rep='X_umap' is not in adata; it has halved, "),
        (short_rep, {}, "use_rep='X_pca' has 119 rows, but adata has 120 cells"),
        (add_neighbors, {"perplexity": -1}, "The 'perplexity' parameter of TSNE must be"),
        (add_neighbors, {**GRAPH, "perplexity": "many"}, "The 'perplexity' parameter of TSNE"),
        (add_neighbors, {"perplexity": 200}, "perplexity .* must be less than n_samples"),
    ],
)
def test_bad_input_is_named_and_nothing_is_changed(cells, change, params, message):
    change(cells)
    before = set(cells.obsm), set(cells.uns)
    with pytest.raises(ValueError, match=message):
        tsne(cells, **params)
    assert (set(cells.obsm), set(cells.uns)) == before


def test_unknown_parameters_are_refused(cells):
    with pytest.raises(TypeError, match="n_pcs"):
        tsne(cells, n_pcs=40)


def test_other_objects_are_refused(cells):
    with pytest.raises(TypeError, match="adata must be an AnnData, got ndarray"):
        tsne(cells.X)


def test_the_remedy_for_a_perplexity_is_enough(cells):
    add_neighbors(cells, k=91)
    tsne(cells, neighbors_key="neighbors", perplexity=30, **FAST)
    assert cells.uns["tsne"]["params"]["n_neighbors"] == 91


BROKEN = [None, {}, {"n_neighbors": "many", "use_rep": ["X_pca"]}]
BROKEN += [{"n_neighbors": n} for n in (np.nan, np.inf, [], [np.nan])]


@pytest.mark.parametrize("params", BROKEN, ids=str)
def test_broken_records_do_not_matter(cells, params):
    add_neighbors(cells)
    cells.uns["neighbors"]["params"] = params
    tsne(cells, neighbors_key="neighbors", **FAST)
    assert cells.uns["tsne"]["params"]["n_neighbors"] == 14


def test_a_graph_that_lost_its_neighbors_is_told_of(cells):
    add_neighbors(cells)
    graph = cells.obsp["distances"].tolil()
    graph[5, graph.rows[5][3:]] = 0
    cells.obsp["distances"] = graph.tocsr()
    with pytest.warns(UserWarning, match="has only 3 neighbors in some rows, but .* found 14"):
        tsne(cells, neighbors_key="neighbors", **FAST)


# ---- AnnData itself -----------------------------------------------------------------------------


@pytest.fixture
def anndata():
    try:
        import anndata
    except Exception as error:  # packages that do not fit each other fail in any way
        pytest.skip(f"anndata does not work here: {error}")
    return anndata


@pytest.fixture
def adata(anndata, cells):
    add_neighbors(cells)
    names = {"obsm": cells.obsm, "obsp": cells.obsp, "uns": cells.uns}
    return anndata.AnnData(sparse.csr_matrix(cells.X, dtype=np.float32), **names)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
class TestAnnData:
    def test_what_is_written_can_be_saved(self, anndata, adata, here):
        tsne(adata, neighbors_key="neighbors", exaggeration=[(50, 1), (200, 2)], **FAST)
        adata.write_h5ad("cells.h5ad")
        read = anndata.read_h5ad("cells.h5ad")
        np.testing.assert_array_equal(read.obsm["X_tsne"], adata.obsm["X_tsne"])
        assert read.uns["tsne"]["versions"] == adata.uns["tsne"]["versions"]
        assert read.uns["tsne"]["params"]["perplexity"] == pytest.approx(28 / 3)

    def test_a_data_frame_and_a_view(self, adata):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame(adata.obsm["X_pca"], index=adata.obs_names)
        adata.obsm["frame"] = frame.rename(columns=str)
        view = adata[10:90]
        with pytest.warns(UserWarning, match="initializing view as actual"):
            tsne(view, use_rep="frame", **FAST)
        expected = fasttsne.TSNE(**FAST).fit_transform(adata.obsm["X_pca"][10:90])
        np.testing.assert_array_equal(view.obsm["X_tsne"], expected)
        assert "X_tsne" not in adata.obsm and "tsne" not in adata.uns
        # Neighbours outside of the view are gone.
        with pytest.warns(UserWarning, match="has only 5 neighbors in some rows"):
            copied = tsne(adata[10:90], neighbors_key="neighbors", copy=True, **FAST)
        assert 2 <= copied.uns["tsne"]["params"]["n_neighbors"] < 14
        expected = fasttsne.TSNE(**FAST).fit_transform(adata.X[10:90])
        copied = tsne(adata[10:90], use_rep="X", copy=True, **FAST)
        np.testing.assert_array_equal(copied.obsm["X_tsne"], expected)

    @pytest.mark.parametrize("dense", [False, True])
    def test_a_file(self, anndata, adata, here, dense):
        if dense:
            adata.X = adata.X.toarray()
        adata.write_h5ad("cells.h5ad")
        before = (here / "cells.h5ad").read_bytes()
        backed = anndata.read_h5ad("cells.h5ad", backed="r")
        tsne(backed, use_rep="X", **FAST)
        expected = fasttsne.TSNE(**FAST).fit_transform(adata.X)
        np.testing.assert_array_equal(backed.obsm["X_tsne"], expected)
        assert backed.isbacked
        copied = tsne(backed, neighbors_key="neighbors", copy=True, key_added="X_graph", **FAST)
        assert not copied.isbacked and "graph" in copied.uns and "X_graph" not in backed.obsm
        view = backed[10:90]
        with pytest.raises(ValueError, match="a view of a file and cannot hold a map; give copy"):
            tsne(view, use_rep="X", **FAST)
        assert view.is_view
        copied = tsne(view, use_rep="X", copy=True, **FAST)
        expected = fasttsne.TSNE(**FAST).fit_transform(adata.X[10:90])
        np.testing.assert_array_equal(copied.obsm["X_tsne"], expected)
        backed.file.close()
        assert (here / "cells.h5ad").read_bytes() == before
