"""Batches in which several classes have several samples each, so that there are pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Of each class in a batch, where the batch has room.
_LEAST_PER_CLASS = 4
# Batches of an epoch, however few samples there are.
_LEAST_BATCHES = 10


class ClassBatches:
    """Draws batches of samples, equally many of each of their classes.

    All classes are in every batch if each then has four samples or more; otherwise so many,
    another draw in each batch, that it holds. A class hands out its samples in random order, all
    before any comes again. Small classes give what they have.

    Parameters
    ----------
    classes : ndarray of int64, shape (n_samples,)
        Numbers of classes, from 0.
    batch_size : int
        Samples of a batch, at the most; two of two classes at the least.
    chance : RandomState
        Source of order.
    """

    def __init__(
        self, classes: NDArray[np.int64], batch_size: int, chance: np.random.RandomState
    ) -> None:
        sizes = np.bincount(classes)
        by_class = np.argsort(classes, kind="stable")
        self._chance = chance
        self._members = np.split(by_class, np.cumsum(sizes)[:-1])
        self._waiting = [members[:0] for members in self._members]
        n_at_once = max(2, min(len(sizes), batch_size // _LEAST_PER_CLASS))
        self._n_classes = n_at_once
        self._n_samples = max(2, batch_size // n_at_once)
        self._n_batches = max(_LEAST_BATCHES, round(len(classes) / batch_size))

    def epoch(self) -> Iterator[NDArray[np.int64]]:
        """Numbers of samples by batch: about as many as there are, in ten batches or more."""
        for _ in range(self._n_batches):
            chosen = np.arange(len(self._members))
            if self._n_classes < len(chosen):
                chosen = self._chance.permutation(len(chosen))[: self._n_classes]
            yield np.concatenate([self._draw(int(number)) for number in chosen])

    def _draw(self, number: int) -> NDArray[np.int64]:
        members = self._members[number]
        n_wanted = min(self._n_samples, len(members))
        drawn, self._waiting[number] = np.split(self._waiting[number], [n_wanted])
        n_missing = n_wanted - len(drawn)
        if n_missing:
            # A sample is not twice in a batch: who is in it already comes last.
            others = self._chance.permutation(np.setdiff1d(members, drawn))
            more, rest = np.split(others, [n_missing])
            self._waiting[number] = np.concatenate([rest, drawn])
            drawn = np.concatenate([drawn, more])
        return drawn
