"""A fitted map and new samples -> a map of both, on which earlier points hardly move."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone

from fasttsne.neighbors.given import is_transformer
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.scaling import times_power_of_two

# Stiffness of a spring at anchor = 1/2, in units of 1/n^2, the mean of p_ij over all pairs.
# With weaker springs earlier points move farther; with stronger ones the map stays worse than a map
# of all samples drawn at once (benchmarks/NOTES.md).
_STIFFNESS = 12.0


def grown(tsne: Any, X: Any, anchor: float) -> Any:
    """Return an estimator with the map of the samples of the fit and of `X`."""
    _check_can_grow(tsne)
    placement = tsne.placement_
    X = placement.checked(X, estimator=tsne)
    placed = placement.place(X, n_threads=effective_n_threads(tsne.n_jobs))
    before = placement.embedding
    is_sparse = sparse.issparse(placement.X)
    stacked = (sparse.vstack if is_sparse else np.concatenate)([placement.X, X])
    # A fitted transformer has only the earlier samples.
    neighbors = clone(tsne.neighbors) if is_transformer(tsne.neighbors) else tsne.neighbors
    init = np.concatenate([before, placed])
    larger = tsne._unfitted(init=init, neighbors=neighbors, warm_start=False)
    held = np.arange(stacked.shape[0]) < len(before)
    stiff = _STIFFNESS / len(held) * anchor  # the step length is n
    pull = stiff / (1.0 - anchor + stiff)
    larger._draw(times_power_of_two(stacked, placement.exponent), None, None, held, pull)
    moved = larger.embedding_[: len(before)].astype(np.float64) - before
    larger.displacement_ = np.sqrt(np.square(moved).sum(axis=1))
    return larger


def _check_can_grow(tsne: Any) -> None:
    """Raise ValueError if the fit depended on more than samples and parameters."""
    given = tsne.neighbors if not isinstance(tsne.neighbors, str) else None
    for is_so, what in (
        (tsne.placement_.X is None, f"metric={tsne.metric!r}, affinity={tsne.affinity!r}"),
        (given is not None and not is_transformer(given), "neighbors=(indices, distances)"),
        (tsne.label_weight > 0.0, f"label_weight={tsne.label_weight}"),
    ):
        if is_so:
            raise ValueError(
                f"update needs a map of samples alone, but the fit had {what}. Fit all samples"
                " again, with the map so far as part of an init array"
            )
