"""What is written of a map whose blocks are all placed: itself, a picture, a page and a report."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli import read as tables
from fasttsne.cli import write as products
from fasttsne.cli.blocks import cluster, writers
from fasttsne.cli.blocks.job import Job
from fasttsne.cli.blocks.unfinished import Model, Unfinished

_DRAWN = 500_000  # rows that a picture shows at the most: beyond, it would look the same
_ON_PAGE = 50_000  # rows that a page shows at the most, as all of them travel with it


def write_results(job: Job, model: Model, client: Any, args: argparse.Namespace) -> None:
    """Write the map first, and then what is made of it.

    Parameters
    ----------
    job : Job
        Of which all blocks are placed.

    model : Model
        The map of the landmarks.

    client : distributed.Client or None
        Of the cluster that works.

    args : argparse.Namespace
        Which say where to.
    """
    extra, progress = tables.columns_beside(job.settings), job.progress
    beside = [] if args.output.suffix.lower() == ".npy" else extra
    writers.write_blocks(
        args.output,
        _blocks(job, beside),
        job.source.shape[0],
        model.tsne.n_components,
        job.source.gaps(beside),
        run=job.unfinished.path,
    )
    progress.note(f"map: {args.output}")
    label, keep = job.settings.get("label", ""), job.settings.get("keep", [])
    if args.plot is not None:
        Y, columns, told = _some(job, _DRAWN, [label] if label else [])
        products.draw(args.plot, Y, columns.get(label), args.input.stem)
        progress.note(f"picture{told}: {args.plot}")
    if args.html is not None:
        from fasttsne.plot import html

        Y, columns, told = _some(job, _ON_PAGE, extra)
        hover = products.hover_texts(columns, keep)
        html(Y, columns.get(label), args.html, hover=hover, title=args.input.stem)
        progress.note(f"page{told}: {args.html}")
    if args.report is not None:
        products.write_report(args.report, _report(job, model, client))
        progress.note(f"report: {args.report}")


def _blocks(job: Job, names: list[str]) -> Iterator[tuple[NDArray[np.float32], dict[str, Any]]]:
    for number in range(job.source.n_blocks):
        start, stop = job.source.block(number)
        yield job.unfinished.block(number), job.source.columns(names, start, stop)
        job.progress.show(stop / job.source.shape[0], "writing")
    job.watch.check()
    job.progress.close()


def _some(
    job: Job, size: int, names: list[str]
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]], str]:
    """Take all rows of the map, or so many that were drawn, with columns beside them."""
    from fasttsne.dask.landmarks import uniform_rows

    n_rows = job.source.shape[0]
    rows = uniform_rows(n_rows, size, 0) if n_rows > size else np.arange(n_rows)
    taken: list[NDArray[np.float32]] = []
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for number, (Y, beside) in enumerate(_blocks(job, names)):
        start, stop = job.source.block(number)
        first, last = np.searchsorted(rows, (start, stop))
        here = rows[first:last] - start
        taken.append(Y[here])
        for name, values in beside.items():
            columns[name].append(np.asarray(writers.as_numpy(values))[here])
    told = f" of {size:,} rows" if n_rows > size else ""
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return np.concatenate(taken), joined, told


def _report(job: Job, model: Model, client: Any) -> Any:
    """Judge some rows, each against all."""
    import dask
    import dask.array as da

    from fasttsne.dask import quality

    places = _Places(job.unfinished, job.source.bounds, model.tsne.n_components)
    rows = job.rows(model.scaling).array
    Y = da.from_array(
        places,
        chunks=(rows.chunks[0], places.shape[1]),
        name=f"places-{uuid4().hex}",
        asarray=False,
        fancy=False,
        meta=np.empty((0, 0), np.float32),
    )
    # The workers may well see INPUT and not where OUT is; what is left is done here, then.
    elsewhere = client is not None and cluster.all_see(client, job.unfinished.path)
    here = {} if elsewhere or client is None else {"scheduler": "synchronous"}
    with dask.config.set(here), job.reading("judging"):
        return quality(
            rows,
            Y,
            _classes(job),
            metric=model.tsne.metric,
            random_state=0,
            n_jobs=job.n_jobs,
        )


def _classes(job: Job) -> NDArray[np.float64] | None:
    """Give each label a number, which takes less room; NaN where there is none."""
    label = job.settings.get("label")
    if not label:
        return None
    numbers: dict[Any, float] = {}
    classes = np.full(job.source.shape[0], np.nan)
    for number in range(job.source.n_blocks):
        start, stop = job.source.block(number)
        column = writers.as_numpy(job.source.columns([label], start, stop)[label])
        classes[start:stop] = [
            np.nan if value is None or value != value else numbers.setdefault(value, len(numbers))
            for value in column.tolist()
        ]
    return classes


class _Places:
    """The map, as ``dask.array.from_array`` reads it, from the blocks that are on disk."""

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(
        self, unfinished: Unfinished, bounds: NDArray[np.int64], n_components: int
    ) -> None:
        self._blocks, self._bounds = Unfinished(unfinished.path.absolute()), bounds
        self.shape = (int(bounds[-1]), n_components)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        rows, columns = index
        start, stop, step = rows.indices(self.shape[0])
        first = int(np.searchsorted(self._bounds, start, side="right")) - 1
        last = max(int(np.searchsorted(self._bounds, stop)), first + 1)
        Y = np.concatenate([self._blocks.block(number) for number in range(first, last)])
        begin = int(self._bounds[first])
        return Y[start - begin : stop - begin : step, columns]
