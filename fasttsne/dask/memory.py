"""Whether the workers of a cluster can hold what they will be handed."""

from __future__ import annotations

from typing import Any

import dask

from fasttsne.dask.blocks import Rows
from fasttsne.dask.workers import active_client

# What a worker takes with Dask, NumPy, SciPy and scikit-learn loaded, before it does anything.
_IDLE = 200 << 20

# Copies of a model, while one arrives and is unpickled, and of a block, while it is checked,
# centred and brought onto the screen of the search.
_MODELS = 2.0
_BLOCKS = 3.0

# What placing takes for each of the rows that are placed at a time: neighbours, distances,
# probabilities. See `fasttsne.transform`.
_BYTES_OF_ROW = 1500
_ROWS_AT_A_TIME = 1 << 16


def check_workers_hold(model_bytes: int, rows: Rows) -> None:
    """Refuse, before work starts, what would stall the workers of the active client.

    Parameters
    ----------
    model_bytes : int
        How much every worker gets.
    rows : Rows
        What is to be placed.

    Raises
    ------
    MemoryError
        If a worker has a memory limit below what the model and a block for each of its threads
        take; the message has the figure.
    """
    client = active_client()
    if client is None:
        return
    longest = max(rows.lengths)
    block = longest * rows.bytes_of_row * _BLOCKS
    block += min(longest, _ROWS_AT_A_TIME) * _BYTES_OF_ROW
    for address, worker in _workers(client).items():
        limit, n_threads = worker.get("memory_limit"), worker.get("nthreads", 1)
        needed = (_IDLE + _MODELS * model_bytes + n_threads * block) / _usable()
        if limit and needed > limit:
            raise MemoryError(
                f"The worker {address} has a memory limit of {_megabytes(limit)}, but needs about"
                f" {_megabytes(needed)} for {_megabytes(model_bytes)} of model and blocks of"
                f" {longest:,} rows on {n_threads} thread{'s' if n_threads > 1 else ''}: raise"
                " memory_limit, or take shorter blocks (X.rechunk) or fewer landmarks"
            )


def _workers(client: Any) -> dict[str, Any]:
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
    except TypeError:  # before that argument, all are told
        workers = client.scheduler_info()["workers"]
    return dict(workers)


def _usable() -> float:
    """Share of its memory limit at which a worker stops taking tasks."""
    pause = dask.config.get("distributed.worker.memory.pause", 0.8)
    return float(pause or 1.0)


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"
