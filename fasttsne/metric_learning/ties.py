"""Ties in rankings: runs of equal values in the rows of a sorted matrix, which have no order."""

from __future__ import annotations

from typing import Any

import numpy as np

from fasttsne.metric_learning.checks import Floats


class Ties:
    """The ties of a matrix with sorted rows; values that differ from both neighbours tie alone."""

    def __init__(self, values: Any) -> None:
        self._shape = values.shape
        first = np.ones(values.shape, dtype=bool)
        np.not_equal(values[:, 1:], values[:, :-1], out=first[:, 1:])
        self.starts = np.flatnonzero(first)  # of all ties, in all rows one after the other
        self.counts = np.diff(self.starts, append=values.size)
        self.sizes = self.spread(self.counts)
        self.places = np.arange(values.size).reshape(values.shape) - self.spread(self.starts)

    def spread(self, by_tie: Any) -> Floats:
        """Return a matrix with the value of its tie in every place."""
        return np.repeat(by_tie.astype(np.float64), self.counts).reshape(self._shape)

    def sums(self, values: Floats, add: np.ufunc = np.add) -> Floats:
        """Return a matrix with the sum over its tie in every place."""
        return self.spread(add.reduceat(values.ravel(), self.starts))
