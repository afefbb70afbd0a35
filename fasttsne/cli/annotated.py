"""Annotated data: ``.h5ad`` files of the package anndata."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli.messages import Refusal


def read(path: Path) -> Any:
    """Read a file.

    Parameters
    ----------
    path : pathlib.Path
        An ``.h5ad`` file.

    Returns
    -------
    data : anndata.AnnData
        What it holds.

    Raises
    ------
    Refusal
        If anndata is missing or does not work here, or if it cannot read the file.
    """
    anndata = _imported("reading .h5ad")
    import h5py

    if not h5py.is_hdf5(path):
        raise Refusal(f"cannot read {path}: not a file written by AnnData")
    try:
        return anndata.read_h5ad(path)
    except Exception as error:  # h5py, pandas and anndata each have their own
        raise Refusal(
            f"cannot read {path} by {_versions()}: {error}; is it a file written by AnnData?"
        ) from error


def write_copy(source: Path, path: Path, Y: NDArray[np.float32]) -> None:
    """Copy a file, and put a map among the arrays of the copy.

    All else is copied as it is, byte by byte, rather than read and written anew.

    Parameters
    ----------
    source : pathlib.Path
        An ``.h5ad`` file.

    path : pathlib.Path
        The copy; it gets the map as ``obsm["X_tsne"]``.

    Y : ndarray of shape (n_samples, n_components)
        The map.

    Raises
    ------
    Refusal
        If anndata is missing or does not work here, or if `source` is of a format without
        a group of arrays.
    """
    write_elem = _imported("writing .h5ad").io.write_elem
    import h5py

    shutil.copyfile(source, path)
    with h5py.File(path, "r+") as file:
        if not isinstance(file.get("obsm"), h5py.Group):
            raise Refusal(
                f"{source} is of AnnData before 0.7, and its copy could not hold the map; choose "
                ".csv or .npz, or write it anew: anndata.read_h5ad(...).write_h5ad(...)"
            )
        write_elem(file["obsm"], "X_tsne", Y)


def _imported(purpose: str) -> ModuleType:
    """Import anndata, or say what to install."""
    try:
        import anndata
        import anndata.io
    except ModuleNotFoundError as error:
        raise Refusal(f"{purpose} needs anndata: pip install 'fasttsne[h5ad]'") from error
    except Exception as error:  # packages that do not fit each other fail in any way
        raise Refusal(
            f"{purpose} needs anndata, and {_versions()} do not work together ({error}); "
            "pip install --upgrade anndata"
        ) from error
    module: ModuleType = anndata
    return module


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    told = []
    for name in ("anndata", "pandas"):
        try:
            told.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return " and ".join(told)
