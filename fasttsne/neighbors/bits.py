"""Samples of two values, as bits -> the exact k nearest by Jaccard or Hamming distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import _kernels
from fasttsne.neighbors.metrics import Found

_WORD = 64


@dataclass(frozen=True)
class BitPoints:
    """Samples to search; `src/bits.c` explains the distances."""

    metric: str  # "jaccard" or "hamming"
    n_features: int
    words: NDArray[np.uint64]  # (n_samples, n_words)
    counts: NDArray[np.int32]  # (n_samples,), of bits that are set

    @classmethod
    def of(cls, X: NDArray[Any], metric: str) -> BitPoints:
        """Prepare samples: any for Jaccard, where values count as zero or not; for Hamming 0, 1."""
        return cls(metric, X.shape[1], *_bits(X, metric))

    def nearest(self, X: NDArray[Any] | None, n_neighbors: int, n_threads: int) -> Found:
        """Return indices and squared distances of the k nearest for every row of `X`.

        None stands for the samples themselves, which are not their own neighbours.
        """
        queries = (self.words, self.counts) if X is None else _bits(X, self.metric)
        indices, distances = _kernels.find_bit_neighbors(
            *queries,
            self.words,
            self.counts,
            self.n_features if self.metric == "hamming" else 0,
            n_neighbors,
            X is None,
            n_threads,
        )
        return indices, distances**2


def _bits(X: NDArray[Any], metric: str) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Return 64 bits a word, and the number of bits that are set in each row.

    Hamming has a bit for "is 1" and one for "is 0", neither set for other values in new samples.
    """
    bits = np.hstack([X == 1, X == 0]) if metric == "hamming" else X != 0
    n_words = -(-bits.shape[1] // _WORD)
    words = np.zeros((len(bits), 8 * n_words), dtype=np.uint8)
    packed = np.packbits(bits, axis=1)
    words[:, : packed.shape[1]] = packed
    return words.view(np.uint64), bits.sum(axis=1, dtype=np.int32)
