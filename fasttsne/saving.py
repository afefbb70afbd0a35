"""A fitted map <-> a file that holds no code: see `fasttsne.TSNE.save` and `load`."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from fasttsne.neighbors.metrics import METRICS, complete_metric
from fasttsne.runtime import archive
from fasttsne.runtime.archive import Arrays
from fasttsne.runtime.files import replacing
from fasttsne.runtime.numbers import plain
from fasttsne.samples.arrays import as_array
from fasttsne.samples.checks import check_readable
from fasttsne.transform import Placement

_KIND = "map"
# Raised when older versions would misread a file. A later version reads all earlier files, and
# parameters that they lack have their defaults.
_VERSION = 1

_ESTIMATORS = {"TSNE": "fasttsne.tsne", "ContrastiveTSNE": "fasttsne.contrastive"}
_FITTED = (
    "kl_divergence_",
    "n_iter_",
    "degrees_of_freedom_",
    "learning_rate_",
    "n_features_in_",
    "normalization_",
    "embedding_",
    "feature_names_in_",
    "history_",
    "kl_per_sample_",
    "displacement_",
)
_PLACEMENT = tuple(field.name for field in dataclasses.fields(Placement) if field.init)


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted map; see `fasttsne.TSNE.save`."""
    facts, arrays = packed(estimator)
    try:
        unpacked(facts, arrays)  # refuse now what could not be read later
    except ValueError as error:
        raise ValueError(f"this map cannot be saved: {error}") from error
    with replacing(path) as unfinished, open(unfinished, "wb") as file:
        archive.write(file, _KIND, _VERSION, facts, arrays)


def load(path: str | os.PathLike[str]) -> Any:
    """Return the fitted map that `TSNE.save` or `ContrastiveTSNE.save` has written.

    Parameters
    ----------
    path : str or path-like
        The file. It may be of this version of fasttsne or of an earlier one.

    Returns
    -------
    tsne : TSNE or ContrastiveTSNE
        A fitted estimator with the parameters, the map and the fitted attributes of the one that
        was saved. `transform` places samples to the same bits on the same processor model.
        `callback` is None, and so is `random_state` unless it was an integer.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the file is damaged, is of another kind or of a later version of fasttsne, or if what it
        holds does not belong together. The message names the file.
    MemoryError
        If the samples do not fit into memory.

    See Also
    --------
    fasttsne.TSNE.save : Write the file.

    Notes
    -----
    Loading executes nothing from the file: it has numbers, and text in JSON. Sizes are checked
    against the size of the file before memory is allocated. So a file from a stranger can be wrong,
    but does no harm; unlike a pickle.

    Examples
    --------
    >>> import os, tempfile
    >>> import fasttsne
    >>> from sklearn.datasets import load_digits
    >>> X, _ = load_digits(return_X_y=True)
    >>> tsne = fasttsne.TSNE(random_state=0).fit(X[:500])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "map.npz")
    ...     tsne.save(path)
    ...     again = fasttsne.load(path)
    >>> bool((again.transform(X[500:600]) == tsne.transform(X[500:600])).all())
    True
    """
    path = Path(path)
    try:
        return unpacked(*archive.read(path, _KIND, _VERSION))
    except archive.ArchiveError as error:
        raise ValueError(f"{path} {error}") from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # contents that do not belong together can fail in any way
        raise ValueError(f"{path} is no map that fasttsne can use: {error}") from error


# ---- an estimator <-> facts and arrays ----------------------------------------------------------


def packed(estimator: Any) -> tuple[dict[str, Any], Arrays]:
    """Return facts, which JSON can hold, and arrays of a fitted estimator."""
    check_is_fitted(estimator, "embedding_")
    placement, arrays = estimator.placement_, Arrays()
    name = next(name for name in _ESTIMATORS if isinstance(estimator, _class_of(name)))
    facts = {
        "estimator": name,
        "placement": {
            name: _packed(getattr(placement, name), name, arrays, "placement")
            for name in _PLACEMENT
        },
        "fitted": {
            name: _packed(_as_list(getattr(estimator, name)), name, arrays, "fitted")
            for name in _FITTED
            if hasattr(estimator, name)
        },
    }
    names = _class_of(name)._get_param_names()  # of a subclass, those that ours has
    parameters = {name: getattr(estimator, name) for name in names}
    if "callback" in parameters:
        parameters["callback"] = None
    if not isinstance(parameters["random_state"], Integral):
        parameters["random_state"] = None
    facts["parameters"] = {
        name: _packed(value, name, arrays, "parameters") for name, value in parameters.items()
    }
    return facts, arrays


def unpacked(facts: Mapping[str, Any], arrays: Arrays) -> Any:
    """Return the estimator of facts and arrays; raise an error if they do not belong together."""
    found = {
        part: {name: _unpacked(value, arrays) for name, value in facts[part].items()}
        for part in ("parameters", "placement", "fitted")
    }
    estimator = estimator_of(found["parameters"], facts["estimator"])
    _check_known(found["placement"], _PLACEMENT)
    estimator.placement_ = _checked_placement(Placement(**found["placement"]))
    if (estimator.placement_.odds > 0.0) != (facts["estimator"] == "ContrastiveTSNE"):
        raise ValueError("odds and estimator do not belong together")
    n_samples = len(estimator.placement_.embedding)
    for name in _FITTED:
        if name in found["fitted"]:
            setattr(estimator, name, _checked_attribute(name, found["fitted"][name], n_samples))
    X = estimator.placement_.X
    n_features = n_samples if X is None else X.shape[1]
    names = getattr(estimator, "feature_names_in_", None)
    if estimator.n_features_in_ != n_features or (names is not None and len(names) != n_features):
        raise ValueError(
            f"n_features_in_ or feature_names_in_ is not that of the fit, which had {n_features}"
            " columns: a later fit that raised an error may have changed it"
        )
    if estimator.embedding_.shape != estimator.placement_.embedding.shape:
        raise ValueError("embedding_ is not of the samples of the fit")
    return estimator


def estimator_of(parameters: Mapping[str, Any], name: str = "TSNE") -> Any:
    """Return an estimator of parameters that a file holds; raise an error if they are unfit."""
    kind = _class_of(name)
    _check_known(parameters, kind._get_param_names())
    estimator = kind(**parameters)
    estimator._validate_params()
    return estimator


def _check_known(found: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted({*found} - {*known})
    if unknown:
        raise ValueError(
            f"it has {unknown[0]!r}, which this version does not know; upgrade fasttsne"
        )


def _class_of(name: str) -> Any:
    return getattr(import_module(_ESTIMATORS[name]), name)


def _as_list(value: Any) -> Any:
    """Return an array of names as a list of text, which JSON can hold."""
    is_text = isinstance(value, np.ndarray) and value.dtype.kind in "OU"
    return value.tolist() if is_text else value


# ---- one value ----------------------------------------------------------------------------------


def _packed(value: Any, name: str, arrays: Arrays, part: str) -> Any:
    """Return a value as JSON can hold it; arrays go into `arrays`, each one once."""
    value = plain(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Mapping):
        return {"dict": {k: _packed(v, f"{name}.{k}", arrays, part) for k, v in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": _packed(list(value), name, arrays, part)}
    if isinstance(value, list):
        return [_packed(entry, f"{name}.{i}", arrays, part) for i, entry in enumerate(value)]
    if sparse.issparse(value):
        value = value.tocsr()
        parts = value.data, value.indices, value.indptr
        return {"csr": _packed(parts, name, arrays, part), "shape": list(value.shape)}
    array = as_array(value, name)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name}={value!r:.80} cannot be saved in a file that holds no code; pickle the"
            " estimator, or fit with a value of numbers and text"
        )
    if array.dtype.kind == "b" or array.dtype.itemsize > 8:
        array = array.astype(np.uint8 if array.dtype.kind == "b" else np.float64)
    for key, known in arrays.items():
        if known is array:
            return {"array": key}
    arrays[f"{part}.{name}"] = array
    return {"array": f"{part}.{name}"}


def _unpacked(value: Any, arrays: Arrays) -> Any:
    if isinstance(value, list):
        return [_unpacked(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "tuple" in value:
        return tuple(_unpacked(value["tuple"], arrays))
    if "dict" in value:
        return {key: _unpacked(entry, arrays) for key, entry in value["dict"].items()}
    parts, (n_rows, n_columns) = _unpacked(value["csr"], arrays), value["shape"]
    data, indices, indptr = parts
    if not {indices.dtype.kind, indptr.dtype.kind} <= {"i", "u"}:
        raise ValueError("a sparse matrix has indices that are no integers")
    return check_readable(sparse.csr_matrix((data, indices, indptr), shape=(n_rows, n_columns)))


# ---- what a file claims -------------------------------------------------------------------------


def _checked_placement(placement: Placement) -> Placement:
    """Return a placement; raise ValueError unless a fit could have made it."""
    X, Y, metric = placement.X, placement.embedding, placement.metric
    _check_map(Y)
    has_samples = metric != "precomputed" and not placement.is_affinity
    if (X is not None) != has_samples or type(placement.is_affinity) is not bool:
        raise ValueError("samples and metric do not belong together")
    if placement.transformer is not None:
        raise ValueError("a file without code holds no transformer")
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r:.80} is unknown")
    if has_samples:
        values = X.data if sparse.issparse(X) else X
        if X.ndim != 2 or X.shape[0] != len(Y) or X.shape[1] < 1:
            raise ValueError("the samples are not one row per point")
        if values.dtype not in (np.float32, np.float64) or not np.isfinite(values).all():
            raise ValueError("the samples are not finite floats")
        complete_metric(metric, placement.metric_params, X)
    ranges = {
        "perplexity": (math.ulp(0.0), len(Y)),
        "degrees_of_freedom": (1e-3, 1e3),
        "angle": (0.0, 1.0),
        "exponent": (-1100, 1100),
        "odds": (0.0, 1e300),
        "n_negatives": (0, 2**20),
    }
    for name, (least, largest) in ranges.items():
        value = getattr(placement, name)
        if type(value) not in (int, float) or not least <= value <= largest:
            raise ValueError(f"{name}={value!r:.80} is out of range")
    if type(placement.exponent) is not int or type(placement.n_negatives) is not int:
        raise ValueError("exponent or n_negatives is no integer")
    if (placement.odds > 0.0) != (placement.n_negatives > 0):
        raise ValueError("odds and n_negatives do not belong together")
    if placement.method not in ("auto", "exact", "approximate"):
        raise ValueError(f"method={placement.method!r:.80} is unknown")
    return placement


def _checked_attribute(name: str, value: Any, n_samples: int) -> Any:
    """Return a fitted attribute; raise ValueError unless a fit could have set it."""
    if name == "embedding_":
        _check_map(value)
    elif name == "feature_names_in_":
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise ValueError("feature_names_in_ are not names")
        return np.array(value, dtype=object)
    elif name == "history_":
        if not all(column.ndim == 1 for column in value.values()):
            raise ValueError("history_ is not columns of numbers")
    elif name == "kl_per_sample_":
        if value.shape != (n_samples,) or value.dtype != np.float64 or not np.isfinite(value).all():
            raise ValueError("kl_per_sample_ is not one number per sample")
    elif name == "displacement_":
        is_column = value.ndim == 1 and len(value) < n_samples and value.dtype == np.float64
        if not is_column or not (np.isfinite(value) & (value >= 0.0)).all():
            raise ValueError("displacement_ is not one distance per earlier sample")
    elif name == "normalization_" and value is None:
        return None
    elif type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{name}={value!r:.80} is no number")
    return value


def _check_map(Y: NDArray[np.float32]) -> None:
    is_map = isinstance(Y, np.ndarray) and Y.dtype == np.float32 and Y.ndim == 2 and Y.size > 0
    if not is_map or not Y.flags.c_contiguous or not np.isfinite(Y).all():
        raise ValueError("the map is not finite coordinates in single precision")
