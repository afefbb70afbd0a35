"""Maps of AnnData, also on the neighbour graph that it already has."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from fasttsne.affinity.perplexity import n_neighbors_for
from fasttsne.neighbors.given import nearest_in_graph
from fasttsne.runtime.random_state import check_random_state
from fasttsne.runtime.warn import warn
from fasttsne.samples.arrays import as_array
from fasttsne.tsne import TSNE

__all__ = ["tsne"]

# Of the perplexity to the number of neighbours, where a graph has few: such maps are about as good
# as those of perplexity 30 (benchmarks/NOTES.md, "A perplexity for 14 neighbours").
_SHARE = 2 / 3
_COUNTS = ("n_neighbors", "perplexity")
_PACKAGES = ("fasttsne", "numpy", "scikit-learn")


def tsne(
    adata: Any,
    *,
    use_rep: str | None = None,
    neighbors_key: str | None = None,
    key_added: str = "X_tsne",
    copy: bool = False,
    **params: Any,
) -> Any:
    """Draw the map of the cells of an AnnData, and write it there.

    The map goes to ``adata.obsm[key_added]``, and ``adata.uns[key_added without "X_"]`` gets a
    dictionary: "params", all parameters that are not None, with `use_rep`, `neighbors_key` and the
    seed; "kl_divergence"; "n_iter"; and "versions" of packages. With `neighbors_key`, "metric" is
    that of the graph, if known.

    Parameters
    ----------
    adata : AnnData
        Cells in rows. May be backed by a file, which is not written, or a view, which becomes an
        AnnData of its own, as anndata warns.
    use_rep : str or None, default=None
        What to map: a key of `obsm` or `layers`, or "X". None is "X_pca" if it is there, and
        otherwise "X". With `neighbors_key` it is used for the start only, and None is what the
        graph was made of, if that is recorded.
    neighbors_key : str or None, default=None
        Key in `uns` of a neighbour graph that `scanpy.pp.neighbors` has made, usually "neighbors".
        Its distances, symmetric or not, are then used as they are: no neighbours are searched.
        ``n_neighbors=15`` of scanpy counts the cell itself, so there are 14 per cell; where some
        cells have fewer, the nearest of each are used, as many as all have, with a warning if they
        are less than half of these 14: leaving out cells also takes them from their neighbours.
    key_added : str, default="X_tsne"
        Key of the map in `obsm`.
    copy : bool, default=False
        Write to a copy, in memory, and return it.
    **params : dict
        Parameters of `fasttsne.TSNE`. On a graph of k neighbours per cell the default perplexity
        is 2 k / 3 over these k, 9.33 for ``n_neighbors=15``, where `TSNE` takes 30 over 91. A
        number must be less than k. ``affinity="uniform"`` gives all k the same weight.

    Returns
    -------
    adata : AnnData or None
        The copy, with ``copy=True``.

    Raises
    ------
    ValueError
        If there is no such representation or graph, if it has another number of cells, if its
        neighbours are too few for the perplexity, if `metric` is given with `neighbors_key`, or if
        `label_weight` is positive: pass labels to `TSNE.fit`. `adata` is then as it was.
    TypeError
        If `params` has a name that `TSNE` does not have.

    See Also
    --------
    fasttsne.TSNE : The parameters, and maps of arrays.

    Notes
    -----
    Requires anndata only as far as `adata` does. Without a `random_state` a seed is drawn and
    recorded, so that the map can be drawn again.

    Examples
    --------
    >>> import fasttsne.anndata
    >>> import scanpy as sc  # doctest: +SKIP
    >>> adata = sc.datasets.pbmc68k_reduced()  # doctest: +SKIP
    >>> fasttsne.anndata.tsne(adata, random_state=0)  # doctest: +SKIP
    >>> fasttsne.anndata.tsne(adata, neighbors_key="neighbors")  # doctest: +SKIP
    >>> sc.pl.tsne(adata, color="bulk_labels")  # doctest: +SKIP
    """
    estimator = TSNE(**params)
    estimator._validate_params()
    weight = estimator.label_weight
    if weight > 0.0:
        raise ValueError(
            f"label_weight={weight} needs labels, which this function does not take; assign"
            f" fasttsne.TSNE(label_weight={weight}).fit_transform(X, adata.obs[...]) to"
            " adata.obsm['X_tsne']"
        )
    if not hasattr(adata, "obsm"):
        raise TypeError(f"adata must be an AnnData, got {type(adata).__name__}")
    is_backed = bool(getattr(adata, "isbacked", False))
    if is_backed and adata.is_view and not copy:
        raise ValueError(
            "adata is a view of a file and cannot hold a map; give copy=True or adata.to_memory()"
        )
    key = key_added.removeprefix("X_") if isinstance(key_added, str) else ""
    if not key:
        raise ValueError(f"key_added={key_added!r} must be a name for obsm, such as 'X_tsne'")
    if key == neighbors_key or "distances_key" in _as_dict(adata.uns.get(key)):
        raise ValueError(
            f"key_added={key_added!r} would overwrite uns[{key!r}], a neighbour graph; choose"
            " another"
        )
    made_of, graph = None, {}
    if neighbors_key is not None:
        if "neighbors" in params:
            raise ValueError("neighbors_key and neighbors exclude each other; leave out one")
        if params.get("metric", "euclidean") != "euclidean":
            raise ValueError(
                "metric has no effect on the graph of neighbors_key; leave it out, and choose it in"
                " scanpy.pp.neighbors"
            )
        neighbors, made_of, metric = _neighbors(adata, neighbors_key, params)
        graph = {"neighbors_key": neighbors_key, "metric": metric}
        estimator.set_params(**neighbors)
    use_rep = use_rep or made_of or usual_representation(adata)
    if key_added == use_rep:
        raise ValueError(f"key_added={key_added!r} would overwrite use_rep; choose another")
    estimator.set_params(random_state=_seed(estimator.random_state))
    estimator.fit(_samples(adata, use_rep))
    if copy:
        adata = adata.to_memory() if is_backed else adata.copy()
    adata.obsm[key_added] = estimator.embedding_
    adata.uns[key] = record_of(estimator, use_rep=use_rep, **graph)
    return adata if copy else None


# ---- What is read -------------------------------------------------------------------------------


def representations(adata: Any) -> dict[str, Any]:
    """Return the arrays that can be mapped, by name."""
    X = {} if adata.X is None else {"X": adata.X}
    return {**adata.layers, **adata.obsm, **X}


def usual_representation(adata: Any) -> str:
    """Return the name of what is mapped unless the user chooses."""
    return "X_pca" if "X_pca" in adata.obsm else "X"


def in_memory(array: Any, name: str = "X") -> Any:
    """Return an array of AnnData, also a data frame or one in a file, for `TSNE`."""
    if hasattr(array, "to_memory"):
        array = array.to_memory()
    return sparse.csr_matrix(array) if sparse.issparse(array) else as_array(array, name)


def _samples(adata: Any, name: str) -> Any:
    arrays = representations(adata)
    if name not in arrays:
        raise ValueError(f"use_rep={name!r} is not in adata; it has {', '.join(arrays) or 'none'}")
    X = in_memory(arrays[name], name)
    if X.shape[0] != adata.n_obs:
        raise ValueError(
            f"use_rep={name!r} has {X.shape[0]:,} rows, but adata has {adata.n_obs:,} cells"
        )
    return X


def _neighbors(
    adata: Any, key: str, params: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None, Any]:
    """Return parameters of `TSNE` for a graph, and from what and by which metric it was made."""
    remedy = "run scanpy.pp.neighbors, with key_added for a key other than 'neighbors'"
    if key not in adata.uns:
        raise ValueError(f"neighbors_key={key!r} is not in adata.uns; {remedy}")
    stored = adata.uns[key]
    usual = "distances" if key == "neighbors" else f"{key}_distances"
    place = str(stored.get("distances_key", usual)) if isinstance(stored, Mapping) else None
    if place not in adata.obsp:
        raise ValueError(f"neighbors_key={key!r} has no distances in adata.obsp; {remedy}")
    name, n_cells = f"adata.obsp[{place!r}]", adata.n_obs
    graph = in_memory(adata.obsp[place], name)
    if graph.shape != (n_cells, n_cells):
        raise ValueError(
            f"{name} has shape {graph.shape}, but adata has {n_cells:,} cells; {remedy}"
        )
    indices, squares = nearest_in_graph(sparse.csr_matrix(graph), name=name)
    made = _as_dict(stored.get("params"))
    recorded = np.ravel(made.get("n_neighbors", ""))[:1]  # old files hold an array of one number
    is_number = recorded.dtype.kind in "iuf" and np.isfinite(recorded).sum() == 1
    n_searched = int(recorded[0]) - 1 if is_number else indices.shape[1]
    k = min(n_searched, indices.shape[1])  # a symmetric graph has more than were searched
    if k < 2:
        raise ValueError(
            f"{name} has fewer than 2 neighbors in some rows; run scanpy.pp.neighbors with a "
            "higher n_neighbors, or leave out neighbors_key"
        )
    if 2 * k < n_searched:
        warn(
            f"{name} has only {k} neighbors in some rows, but scanpy.pp.neighbors found"
            f" {n_searched}; the map uses {k} per cell. Run it again if cells were left out since"
        )
    neighbors = indices[:, :k], np.sqrt(squares[:, :k])
    known = str(made.get("use_rep"))
    made_of = known if known in representations(adata) else None
    return {"neighbors": neighbors, **_fitting(params, k, name)}, made_of, made.get("metric")


def _as_dict(stored: Any) -> Mapping[str, Any]:
    return stored if isinstance(stored, Mapping) else {}


def _fitting(params: Mapping[str, Any], k: int, name: str) -> dict[str, Any]:
    """Return parameters for k neighbours per cell, or raise ValueError where they are too few."""
    perplexity, n_neighbors = params.get("perplexity", "auto"), params.get("n_neighbors")
    is_auto = isinstance(perplexity, str)
    largest = _SHARE * k if is_auto else float(np.max(perplexity, initial=0.0))
    if params.get("affinity") == "uniform":
        n_neighbors = n_neighbors or (k if is_auto else round(largest))
        perplexity = float(n_neighbors)  # that of as many equal neighbours
        needed = usual = n_neighbors
    else:
        perplexity = largest if is_auto else perplexity
        usual = n_neighbors or n_neighbors_for(largest)
        n_neighbors = n_neighbors or min(k, usual)
        needed = max(n_neighbors, int(largest) + 1)
    if needed > k:
        wanted = ", ".join(f"{key}={params[key]}" for key in _COUNTS if key in params)
        raise ValueError(
            f"{name} has {k} neighbors per row, too few for {wanted}; run scanpy.pp.neighbors with "
            f"n_neighbors={max(needed, usual) + 1}, or leave out {wanted.split('=')[0]}"
        )
    return {"perplexity": perplexity, "n_neighbors": n_neighbors}


def _seed(random_state: Any) -> int:
    """Return a seed, drawn from another source of random numbers where it is none."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


# ---- What is written ----------------------------------------------------------------------------


def record_of(estimator: TSNE, **more: Any) -> dict[str, Any]:
    """Return what `uns` gets of a fitted estimator: values that .h5ad files can hold."""
    params = {**estimator.get_params(deep=False), **more}
    if not isinstance(estimator.neighbors, str):
        params["neighbors"] = "given"
    return {
        "params": _storable(params),
        "kl_divergence": float(estimator.kl_divergence_),
        "n_iter": int(estimator.n_iter_),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers, text and arrays, functions by name and other objects as text; not None."""
    stored: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            stored[name] = _storable(value)
        elif isinstance(value, bool | int | float | str):
            stored[name] = value
        elif callable(value):
            stored[name] = getattr(value, "__name__", type(value).__name__)
        elif isinstance(value, list | tuple) or hasattr(value, "__array__"):
            stored[name] = np.asarray(value)[()]
        elif value is not None:
            stored[name] = str(value)
    return stored
