"""What a user says about the reach of neighbourhoods -> one definition of p_j|i."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.affinity.conditional import (
    conditional_probabilities,
    gaussian_probabilities,
    uniform_probabilities,
)

# What perplexity="auto" is where there are samples enough.
USUAL_PERPLEXITY = 30.0


@dataclass(frozen=True)
class Neighborhood:
    """How p_j|i comes from distances.

    Attributes
    ----------
    n_neighbors : int
        How many neighbours count.
    perplexities : tuple of float
        What the Gaussians are calibrated to; empty if they are not.
    sigma : float or None
        The standard deviation of all of them, where there is one. Without either, neighbours
        count alike.
    """

    n_neighbors: int
    perplexities: tuple[float, ...] = ()
    sigma: float | None = None

    @property
    def uniform(self) -> bool:
        """Whether all neighbours of a sample count alike."""
        return not self.perplexities and self.sigma is None

    def conditional(
        self,
        squared_distances: NDArray[np.float64],
        *,
        masses: NDArray[np.float32] | None = None,
        skip_diagonal: bool = False,
        n_threads: int = 1,
    ) -> tuple[NDArray[np.float32], float | None]:
        """p_j|i, and the mean sigma where there is one.

        Parameters
        ----------
        squared_distances : ndarray of float64, shape (n_samples, n_neighbors)
            Of every sample's neighbours, or of all pairs.
        masses : ndarray of float32, like `squared_distances`, default=None
            How often each neighbour counts; None means once.
        skip_diagonal : bool, default=False
            Whether all pairs are given, and a sample is not its own neighbour.
        n_threads : int, default=1
            Number of threads.

        Returns
        -------
        conditional : ndarray of float32, like `squared_distances`
            Rows with sum 1.
        mean_sigma : float or None
            As scikit-learn reports it.
        """
        if self.perplexities:
            single = len(self.perplexities) == 1
            conditional, beta = conditional_probabilities(
                squared_distances,
                self.perplexities[0] if single else self.perplexities,
                masses=masses,
                skip_diagonal=skip_diagonal,
                n_threads=n_threads,
            )
            with np.errstate(divide="ignore"):
                return conditional, float(np.sqrt(beta.size / np.sum(beta)))
        if self.sigma is not None:
            conditional = gaussian_probabilities(
                squared_distances, self.sigma, masses=masses, skip_diagonal=skip_diagonal
            )
            return conditional, self.sigma
        if masses is None:
            masses = np.ones(squared_distances.shape, dtype=np.float32)
            if skip_diagonal:
                np.fill_diagonal(masses, 0.0)
        if skip_diagonal or squared_distances.shape[1] > self.n_neighbors:
            masses = masses_of_nearest(squared_distances, masses, self.n_neighbors)
        return uniform_probabilities(masses), None


def neighborhood_of(
    n_samples: float,
    *,
    perplexity: float | str | Sequence[float] = USUAL_PERPLEXITY,
    affinity: str = "gaussian",
    sigma: float | None = None,
    n_neighbors: int | None = None,
    total: str = "n_samples",
) -> Neighborhood:
    """Settle how p_j|i comes from distances.

    Parameters
    ----------
    n_samples : float
        Number of samples, or the sum of their weights.
    perplexity, affinity, sigma, n_neighbors
        As in `fasttsne.TSNE`.
    total : str, default="n_samples"
        What messages call the first.

    Returns
    -------
    neighborhood : Neighborhood
        Of fewer neighbours than there are other samples.

    Raises
    ------
    ValueError
        If a parameter that is used is out of range.
    """
    most = int(n_samples - 1)
    if n_neighbors is not None and n_neighbors > most:
        raise ValueError(
            f"n_neighbors ({n_neighbors}) must be less than {total} ({n_samples:g}): a sample is "
            "not its own neighbour"
        )
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
            # k neighbours that count alike have the perplexity k.
            n_neighbors = min(most, max(1, round(perplexities[0])))
        return Neighborhood(n_neighbors)
    if sigma is not None and n_neighbors is not None:
        return Neighborhood(n_neighbors, sigma=float(sigma))
    perplexities = _perplexities(perplexity, n_samples, total)
    if n_neighbors is None:
        n_neighbors = min(most, int(3.0 * max(perplexities) + 1))
    if sigma is not None:
        return Neighborhood(n_neighbors, sigma=float(sigma))
    return Neighborhood(n_neighbors, perplexities)


def masses_of_nearest(
    squared_distances: NDArray[np.float64], masses: NDArray[np.float32], count: float
) -> NDArray[np.float32]:
    """Masses of a row's nearest, as far as they add up to `count`, the last one in part."""
    order = np.argsort(np.where(masses > 0.0, squared_distances, np.inf), axis=1, kind="stable")
    ordered = np.take_along_axis(masses, order, axis=1).astype(np.float64)
    before = np.cumsum(ordered, axis=1) - ordered
    nearest = np.zeros_like(masses)
    within = np.clip(count - before, 0.0, ordered).astype(np.float32)
    np.put_along_axis(nearest, order, within, axis=1)
    return nearest


def _perplexities(perplexity: Any, n_samples: float, total: str) -> tuple[float, ...]:
    if isinstance(perplexity, str):  # "auto"
        return (max(1.0, min(USUAL_PERPLEXITY, (n_samples - 1.0) / 3.0)),)
    numbers = [perplexity] if np.ndim(perplexity) == 0 else list(perplexity)
    if not numbers:
        raise ValueError("perplexity is an empty list; give at least one number")
    for number in numbers:
        if isinstance(number, bool) or not (isinstance(number, Real) and float(number) > 0.0):
            raise ValueError(f"perplexity={perplexity!r} must consist of numbers greater than 0")
        if float(number) >= n_samples:
            raise ValueError(f"perplexity ({number}) must be less than {total} ({n_samples:g})")
    return tuple(float(number) for number in numbers)
