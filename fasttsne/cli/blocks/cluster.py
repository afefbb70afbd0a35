"""Where blocks are worked on: in this process, or by the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import __version__
from fasttsne.cli.refusal import Refusal

_PATIENCE = 10  # seconds until a scheduler has answered


def check_dask() -> None:
    """Refuse to go on without dask.

    Raises
    ------
    Refusal
        Naming the extra.
    """
    try:
        import dask.array  # noqa: F401
        import distributed  # noqa: F401
    except ImportError as error:
        raise Refusal("--landmarks needs dask: pip install 'fasttsne[dask]'") from error


@contextmanager
def scheduler(address: str | None, path: Path) -> Iterator[Any]:
    """Choose where graphs are computed.

    In this process a block is read and placed after the other, each by all threads of the kernels:
    several at a time would take several times the memory, and no less time.

    Parameters
    ----------
    address : str or None
        Of the scheduler of a cluster; None stays in this process.

    path : pathlib.Path
        The input, which workers have to see.

    Returns
    -------
    client : context manager of distributed.Client or None
        Closed at the end, which leaves nothing of ours on the cluster.

    Raises
    ------
    Refusal
        If there is no such cluster, it has no workers, or these lack something.
    """
    import dask

    if address is None:
        with dask.config.set(scheduler="synchronous"):
            yield None
        return
    from distributed import Client

    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise Refusal(
            f"--dask {address}: no scheduler answers there; 'dask scheduler' starts one and tells "
            "its address"
        ) from error
    with client:
        _check_workers(client, address, path)
        yield client


def _check_workers(client: Any, address: str, path: Path) -> None:
    found = client.run(_what_is_there, str(path), on_error="return")
    if not found:
        raise Refusal(f"--dask {address}: it has no workers; 'dask worker {address}' starts one")
    for worker, answer in found.items():
        if not isinstance(answer, tuple):
            raise Refusal(
                f"--dask {address}: the worker {worker} has no fasttsne; install it there"
            )
        version, sees = answer
        if version != __version__:
            raise Refusal(
                f"--dask {address}: the worker {worker} has fasttsne {version}, and this is "
                f"{__version__}; they must be the same"
            )
        if not sees:
            raise Refusal(
                f"--dask {address}: the worker {worker} sees no {path}; put INPUT where all "
                "workers see it by the same name"
            )


def _what_is_there(path: str) -> tuple[str, bool]:
    return __version__, os.path.exists(path)


def computed(
    Y: Any, numbers: Sequence[int], client: Any
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Compute blocks of an array, and hand over each as it comes.

    Parameters
    ----------
    Y : dask.array.Array
        In blocks of rows.

    numbers : sequence of int
        Which blocks.

    client : distributed.Client or None
        As `scheduler` gives it.

    Yields
    ------
    number : int
        Which block.

    block : ndarray
        What it is.
    """
    if client is None:
        for number in numbers:
            yield number, Y.blocks[number].compute()
        return
    from distributed import as_completed

    futures = client.compute([Y.blocks[number] for number in numbers])
    numbered = dict(zip(futures, numbers, strict=True))
    del futures
    try:
        for future, block in as_completed(list(numbered), with_results=True):
            yield numbered.pop(future), block
    finally:
        client.cancel(list(numbered))
