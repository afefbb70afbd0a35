"""Perplexity, sigma or n_neighbors -> how many neighbours count, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.affinity.conditional import (
    conditional_probabilities,
    gaussian_probabilities,
    uniform_probabilities,
)
from fasttsne.runtime.numbers import plain

# perplexity="auto" where there are samples enough.
USUAL_PERPLEXITY = 30.0


@dataclass(frozen=True)
class Neighborhood:
    """How p_j|i comes from distances: perplexities, or one sigma, or neither (uniform)."""

    n_neighbors: int
    perplexities: tuple[float, ...] = ()
    sigma: float | None = None

    @property
    def uniform(self) -> bool:
        """Whether all neighbours of a sample count alike."""
        return not self.perplexities and self.sigma is None

    @property
    def symmetrization(self) -> str:
        """How P is made symmetric: uniform edges all weigh the same."""
        return "max" if self.uniform else "mean"

    def conditional(
        self,
        squared_distances: NDArray[np.float64],
        *,
        counts: NDArray[np.float32] | None = None,
        skip_diagonal: bool = False,
        n_threads: int = 1,
    ) -> tuple[NDArray[np.float32], float | None]:
        """Return p_j|i, and scikit-learn's mean sigma where there is one.

        `counts` are the copies of each neighbour; `skip_diagonal` says that all pairs are given.
        """
        if self.perplexities:
            single = len(self.perplexities) == 1
            conditional, beta = conditional_probabilities(
                squared_distances,
                self.perplexities[0] if single else self.perplexities,
                counts=counts,
                skip_diagonal=skip_diagonal,
                n_threads=n_threads,
            )
            with np.errstate(divide="ignore"):
                return conditional, float(np.sqrt(beta.size / np.sum(beta)))
        if self.sigma is not None:
            conditional = gaussian_probabilities(
                squared_distances, self.sigma, counts=counts, skip_diagonal=skip_diagonal
            )
            return conditional, self.sigma
        if counts is None:
            counts = np.ones(squared_distances.shape, dtype=np.float32)
            if skip_diagonal:
                np.fill_diagonal(counts, 0.0)
        if skip_diagonal or squared_distances.shape[1] > self.n_neighbors:
            counts = counts_of_nearest(squared_distances, counts, self.n_neighbors)
        return uniform_probabilities(counts), None


def neighborhood_of(
    n_samples: float,
    *,
    perplexity: float | str | Sequence[float] = USUAL_PERPLEXITY,
    affinity: str = "gaussian",
    sigma: float | None = None,
    n_neighbors: int | None = None,
    total: str = "n_samples",
) -> Neighborhood:
    """Return the neighbourhood of each of `n_samples` samples or copies, called `total` in errors.

    The other parameters are those of `fasttsne.TSNE`; ValueError where one is out of range.
    """
    most = int(n_samples - 1)
    if n_neighbors is not None and n_neighbors > most:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than {total} ({n_samples:g}): a sample is "
            "not its own neighbour"
        )
    if affinity not in ("gaussian", "uniform"):
        raise ValueError(f"affinity={affinity!r} must be 'gaussian', 'uniform' or 'precomputed'")
    if affinity == "uniform":
        if sigma is not None:
            raise ValueError(
                f"sigma={sigma} is for affinity='gaussian'; with 'uniform' give n_neighbors"
            )
        if n_neighbors is None:
            perplexities = _perplexities(perplexity, n_samples, total)
            if len(perplexities) > 1:
                raise ValueError(
                    "affinity='uniform' takes one perplexity, the number of neighbours; give "
                    "n_neighbors"
                )
            # k equal neighbours have the perplexity k.
            n_neighbors = min(most, max(1, round(perplexities[0])))
        return Neighborhood(n_neighbors)
    if sigma is not None and n_neighbors is not None:
        return Neighborhood(n_neighbors, sigma=float(sigma))
    perplexities = _perplexities(perplexity, n_samples, total)
    if n_neighbors is None:
        n_neighbors = min(most, n_neighbors_for(max(perplexities)))
    if sigma is not None:
        return Neighborhood(n_neighbors, sigma=float(sigma))
    return Neighborhood(n_neighbors, perplexities)


def n_neighbors_for(perplexity: float) -> int:
    """Return the number of neighbours that P is made of: 3 times the perplexity, plus 1."""
    return int(3.0 * perplexity + 1)


def counts_of_nearest(
    squared_distances: NDArray[np.float64], counts: NDArray[np.float32], count: float
) -> NDArray[np.float32]:
    """Return the counts of the nearest of a row up to the sum `count`, the last one in part."""
    order = np.argsort(np.where(counts > 0.0, squared_distances, np.inf), axis=1, kind="stable")
    ordered = np.take_along_axis(counts, order, axis=1).astype(np.float64)
    before = np.cumsum(ordered, axis=1) - ordered
    nearest = np.zeros_like(counts)
    within = np.clip(count - before, 0.0, ordered).astype(np.float32)
    np.put_along_axis(nearest, order, within, axis=1)
    return nearest


def _perplexities(perplexity: Any, n_samples: float, total: str) -> tuple[float, ...]:
    if isinstance(perplexity, str):  # "auto"
        return (_automatic(n_samples),)
    numbers = [*map(plain, [perplexity] if np.ndim(perplexity) == 0 else perplexity)]
    if not numbers:
        raise ValueError("perplexity is an empty list; give at least one number")
    for number in numbers:
        if isinstance(number, bool) or not (isinstance(number, int | float) and number > 0.0):
            raise ValueError(f"perplexity={perplexity!r} must consist of numbers greater than 0")
        if number >= n_samples:
            raise ValueError(
                f"perplexity ({number}) must be less than {total} ({n_samples:g}); lower it, or "
                f'give "auto", which is {_automatic(n_samples):.3g} here'
            )
    return tuple(float(number) for number in numbers)


def _automatic(n_samples: float) -> float:
    """Return the perplexity "auto"."""
    return max(1.0, min(USUAL_PERPLEXITY, (n_samples - 1.0) / 3.0))
