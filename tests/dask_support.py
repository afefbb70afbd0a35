"""Data in blocks for tests of fasttsne.dask, and probes of when blocks and models are read."""

import os
import sys
from copy import copy

import pytest

dask = pytest.importorskip("dask")
cloudpickle = pytest.importorskip("cloudpickle")

import dask.array as da  # noqa: E402

SHORT = {"max_iter": 250, "random_state": 0, "perplexity": 10.0}
CHUNKINGS = [1797, 500, (1, 796, 1000), (0, 900, 0, 897, 0)]


def blocks(X, rows=500, columns=None):
    return da.from_array(X, chunks=(rows, columns or X.shape[1]))


def delayed_blocks(X, rows):
    return [dask.delayed(X[start : start + rows]) for start in range(0, X.shape[0], rows)]


def noting_reads(X, rows, seen):
    """Blocks that append their first row to `seen` when they are read."""

    def read(block, block_info=None):
        seen.append(block_info[0]["array-location"][0][0])
        return block

    return blocks(X, rows).map_blocks(read, dtype=X.dtype, meta=X[:0])


class Probe:
    """Write down the processes that unpickle it."""

    def __init__(self, path):
        self.path = str(path)

    def __setstate__(self, state):
        self.__dict__ = state
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")


def counting_unpicklings(tsne, path):
    """A fitted estimator with a probe."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    counted = copy(tsne)
    counted.probe = Probe(path)
    return counted


def processes_noted(path):
    """The processes that unpickled it, once for each time."""
    return [int(line) for line in path.read_text().split()]
