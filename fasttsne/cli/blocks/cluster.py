"""Where blocks are worked on: in this process, or by the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import __version__
from fasttsne.cli.messages import Refusal

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
def scheduler(address: str | None) -> Iterator[Any]:
    """Choose where graphs are computed.

    In this process a block is read and placed after the other, each by all threads of the kernels:
    several at a time would take several times the memory, and no less time.

    Parameters
    ----------
    address : str or None
        Of the scheduler of a cluster; None stays in this process.

    Returns
    -------
    client : context manager of distributed.Client or None
        Closed at the end, which leaves nothing of ours on the cluster.

    Raises
    ------
    Refusal
        If there is no such cluster, or it has no workers.
    """
    import dask

    if address is None:
        with dask.config.set(scheduler=_from_front_to_back):
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
        if not client.scheduler_info()["workers"]:
            raise Refusal(
                f"--dask {address}: it has no workers; 'dask worker {address}' starts one"
            )
        yield client


def _from_front_to_back(graph: Any, keys: Any, **options: Any) -> Any:
    """Let Dask compute one thing after the other, in the order that they are asked for.

    Left alone, it goes by the names of tasks, and a large row group of Parquet has to be decoded
    from its beginning for every block that is not read after the one before it.
    """
    from dask.local import get_sync
    from dask.optimization import cull
    from dask.utils import ensure_dict

    graph = ensure_dict(graph if isinstance(graph, Mapping) else graph.__dask_graph__())
    if isinstance(keys, list):
        return [_from_front_to_back(graph, key, **options) for key in keys]
    needed, _ = cull(graph, [keys])
    return get_sync(needed, keys, **options)


def check_workers(client: Any, address: str, path: Path) -> None:
    """Refuse workers that lack something.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.

    address : str
        As it was given.

    path : pathlib.Path
        The input, which workers have to see.

    Raises
    ------
    Refusal
        Naming the worker and what it lacks.
    """
    found = client.run(_what_is_there, str(path), on_error="return")
    for worker, answer in found.items():
        if isinstance(answer, Exception) and not isinstance(answer, ImportError):
            raise Refusal(f"--dask {address}: the worker {worker} does not answer: {answer}")
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


def all_see(client: Any, path: Path) -> bool:
    """Tell whether all workers see a file or a folder.

    Parameters
    ----------
    client : distributed.Client
        Of their cluster.

    path : pathlib.Path
        By its full name.

    Returns
    -------
    seen : bool
        Whether they do.
    """
    return all(client.run(os.path.exists, str(path.absolute())).values())


def _what_is_there(path: str) -> tuple[str, bool]:
    return __version__, os.path.exists(path)


def compute_blocks(
    Y: Any,
    numbers: Sequence[int],
    client: Any,
    keep: Callable[[int, NDArray[np.float32]], None],
) -> None:
    """Compute blocks of an array, and hand over each as it comes.

    All are one graph: to ask for one after the other would go through all of them each time.

    Parameters
    ----------
    Y : dask.array.Array
        In blocks of rows.

    numbers : sequence of int
        Which blocks.

    client : distributed.Client or None
        As `scheduler` gives it.

    keep : callable
        Called in this process with the number of a block and the block; once it returns, nobody
        holds the block any more.
    """
    import dask

    every = Y.to_delayed().ravel()
    blocks = [every[number] for number in numbers]
    if client is None:
        kept = dask.delayed(keep, pure=False)
        dask.compute(*(kept(number, block) for number, block in zip(numbers, blocks, strict=True)))
        return
    from distributed import as_completed

    futures = client.compute(blocks)
    numbered = {future.key: number for future, number in zip(futures, numbers, strict=True)}
    try:
        for future, block in as_completed(futures, with_results=True):
            keep(numbered[future.key], block)
            future.release()
    finally:
        client.cancel(futures)
