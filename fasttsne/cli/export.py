"""``fasttsne map --export``: maps for Embedding Atlas and for TensorBoard's projector."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import TSNE
from fasttsne.cli import write
from fasttsne.cli.messages import Refusal
from fasttsne.neighbors import nearest_neighbors
from fasttsne.runtime.files import replacing
from fasttsne.runtime.threads import effective_n_threads

_PREFIX = "tensorboard:"
_CONFIG = "projector_config.pbtxt"  # the only name under which TensorBoard looks for it
_PROJECTOR = ("tensor.tsv", "metadata.tsv", _CONFIG)
_ATLAS = ("x", "y", "neighbors")
_N_NEIGHBORS = 15  # as Embedding Atlas computes by default
_ESCAPES = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def files_of(targets: Sequence[str]) -> dict[str, Path]:
    """Return the files of all targets, by a text that names each in a message."""
    files: dict[str, Path] = {}
    for target in targets:
        folder = _folder_of(target)
        if folder is None:
            files[f"--export {target}"] = Path(target)
        else:
            files |= {f"--export {target} ({name})": folder / name for name in _PROJECTOR}
    return files


def check_targets(
    targets: Sequence[str], force: bool, *, n_components: int, has_distances: bool
) -> None:
    """Check that every target can be written, before any work."""
    for target in targets:
        folder = _folder_of(target)
        if folder is not None:
            _check_folder(folder, target, force)
            continue
        if target.partition(":")[0] == "tensorboard" or Path(target).suffix.lower() != ".parquet":
            raise Refusal(
                f"--export {target}: give a .parquet file for Embedding Atlas, or "
                f"{_PREFIX}DIR for TensorBoard"
            )
        write.check_output(Path(target), "--export", (".parquet",), force)
        if n_components != 2:
            raise Refusal(
                f"--export {target}: Embedding Atlas draws in the plane; leave it out, or "
                "--n-components"
            )
        if not has_distances:
            raise Refusal(
                f"--export {target}: neighbours need the data or their distances, not "
                "affinities; leave it out"
            )


def check_columns(targets: Sequence[str], columns: Mapping[str, Any]) -> None:
    """Check that the columns that go along have a place beside those of the map."""
    for target in targets:
        if _folder_of(target) is not None:
            write.check_printable(f"--export {target}", columns)
            continue
        taken = [name for name in write.named_index(columns) if name in _ATLAS]
        if taken:
            raise Refusal(
                f"--export {target}: the map's own columns are called {', '.join(_ATLAS)}, and so "
                f"is the column {taken[0]!r} that is to go along; rename it in INPUT"
            )


def export(target: str, X: Any, tsne: TSNE, columns: Mapping[str, Any]) -> tuple[str, Path]:
    """Write a fitted map of X to a target; return what it is, and where."""
    folder, columns = _folder_of(target), write.named_index(columns)
    if folder is None:
        _write_atlas(Path(target), X, tsne, columns)
        return "table for Embedding Atlas", Path(target)
    folder.mkdir(exist_ok=True)
    _write_projector(folder, tsne.embedding_, columns)
    return "folder for TensorBoard", folder


def _folder_of(target: str) -> Path | None:
    """Return the folder of a target like tensorboard:DIR, and None of any other."""
    folder = target.removeprefix(_PREFIX)
    return Path(folder) if folder and folder != target else None


def _check_folder(folder: Path, target: str, force: bool) -> None:
    """Check that a folder can be made, or the files in it written."""
    if not folder.is_dir():
        if folder.exists():
            raise Refusal(f"--export {target}: {folder} is a file; name a directory")
        write.check_output(folder, "--export", (), force)
        return
    for name in _PROJECTOR:
        write.check_output(folder / name, "--export", (), force)


# ---- Embedding Atlas ----------------------------------------------------------------------------


def _write_atlas(path: Path, X: Any, tsne: TSNE, columns: Mapping[str, Any]) -> None:
    """Write x, y, and a struct of ids and distances: the neighbours of each row in the data."""
    import pyarrow
    from pyarrow.parquet import write_table

    method: Any = tsne.neighbors  # a name: no option gives neighbours
    ids, distances = nearest_neighbors(
        X,
        min(_N_NEIGHBORS, len(tsne.embedding_) - 1),
        metric=tsne.metric,
        method=method,
        n_threads=effective_n_threads(tsne.n_jobs),
    )
    starts = pyarrow.array(np.arange(len(ids) + 1, dtype=np.int32) * ids.shape[1])
    lists = {"ids": ids.ravel(), "distances": distances.ravel()}
    arrays = [pyarrow.ListArray.from_arrays(starts, pyarrow.array(v)) for v in lists.values()]
    x, y = np.ascontiguousarray(tsne.embedding_.T)
    neighbors = pyarrow.StructArray.from_arrays(arrays, names=[*lists])
    ours = dict(zip(_ATLAS, (x, y, neighbors), strict=True))
    beside = {name: write.arrow_column(values) for name, values in columns.items()}
    with replacing(path) as unfinished:
        write_table(pyarrow.table({**ours, **beside}), unfinished)


# ---- TensorBoard --------------------------------------------------------------------------------


def _write_projector(folder: Path, Y: NDArray[np.float32], columns: Mapping[str, Any]) -> None:
    """Write coordinates, columns and the configuration that names both files.

    The projector draws nothing of fewer than three dimensions: a flat map gets zeros as the third.
    """
    Y = np.pad(Y, [(0, 0), (0, max(0, 3 - Y.shape[1]))])
    tensor, metadata, config = (folder / name for name in _PROJECTOR)
    paths = {"tensor_name": "t-SNE map", "tensor_path": tensor.name}
    with ExitStack() as files:  # no file replaces another before all are complete
        np.savetxt(files.enter_context(replacing(tensor)), Y, fmt="%.9g", delimiter="\t")
        if columns:
            text = "".join(f"{line}\n" for line in _metadata(columns))
            unfinished = files.enter_context(replacing(metadata))
            unfinished.write_text(text, encoding="utf-8", newline="\n")
            paths |= {"metadata_path": metadata.name}
        lines = (f'  {name}: "{value}"\n' for name, value in paths.items())
        text = f"embeddings {{\n{''.join(lines)}}}\n"
        files.enter_context(replacing(config)).write_text(text, encoding="utf-8")


def _metadata(columns: Mapping[str, Any]) -> list[str]:
    """Return lines of cells; names of columns come first if there are at least two.

    TensorBoard takes the first line for names if it contains a tab, and skips blank lines.
    """
    cells = [write.texts_of(column) for column in columns.values()]
    rows = [tuple(columns)] if len(columns) > 1 else []
    rows += zip(*cells, strict=True)
    lines = []
    for row in rows:
        first, *rest = ((text or "").translate(_ESCAPES) for text in row)
        if not re.sub(r"[\s\ufeff]", "", "".join((first, *rest))):
            first = "(missing)"
        lines.append("\t".join((first, *rest)))
    return lines
