"""Squared distances to neighbours -> conditional probabilities p_j|i, rows with sum 1.

A perplexity, several perplexities, one sigma for all samples, or only the number of neighbours
says how far a neighbourhood reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasttsne import _kernels
from fasttsne.runtime.numbers import Positive, with_plain_numbers
from fasttsne.samples.arrays import unmasked

# Rows computed at once.
_BLOCK_ROWS = 1024

# exp(-x) of a larger x is 0 beside the 1 of the nearest.
_LARGEST_EXPONENT = 708.0


@with_plain_numbers
def conditional_probabilities(
    squared_distances: NDArray[np.float64] | NDArray[np.float32],
    perplexity: float | Sequence[float],
    *,
    counts: NDArray[np.float32] | None = None,
    skip_diagonal: bool = False,
    n_threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return Gaussian similarities p_j|i of the given perplexity in every row.

    Parameters
    ----------
    squared_distances : ndarray of float64 or float32, shape (n_samples, n_neighbors)
        Finite and not negative, in any order within a row.
    perplexity : float or sequence of float
        2 to the power of a row's entropy in bits, greater than 0. Several perplexities give the
        mean of their p_j|i over the same neighbours: small ones keep the nearest together, large
        ones keep the overall shape (multiscale similarities [1]_).
    counts : ndarray of float32, shape (n_samples, n_neighbors), default=None
        Number of copies that each neighbour stands for, not negative. None means 1 each.
    skip_diagonal : bool, default=False
        Whether `squared_distances` is square, with distances of samples to themselves on the
        diagonal, which is then left out. Not together with `counts`.
    n_threads : int, default=1
        Number of threads.

    Returns
    -------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i, rows with sum 1 (van der Maaten & Hinton 2008, equation 1), of all copies of a
        neighbour together.
    beta : ndarray of float64, shape (n_samples,) or (n_perplexities, n_samples)
        1 / (2 sigma_i^2), in the inverse unit of `squared_distances`.

    Raises
    ------
    ValueError
        If a perplexity is not greater than 0, or there is none, or if `squared_distances` has NaN,
        infinity or negative values.

    Notes
    -----
    Where no sigma has the given perplexity, the row is the closest limit: uniform if all distances
    are equal or `perplexity` is at least n_neighbors (beta = 0), and uniform over the nearest if at
    least `perplexity` of them are tied (beta = inf).

    References
    ----------
    .. [1] Kobak, D. and Berens, P. (2019). The art of using t-SNE for single-cell transcriptomics.
       Nature Communications 10, 5416.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import conditional_probabilities
    >>> squared_distances = np.array([[1.0, 4.0, 9.0, 16.0]])
    >>> conditional, beta = conditional_probabilities(squared_distances, 2.0)
    >>> entropy = -(conditional * np.log2(conditional)).sum()
    >>> print(f"{2**entropy:.4f}")
    2.0000
    >>> conditional, _ = conditional_probabilities(squared_distances, [2.0, 3.0])
    >>> print(f"{conditional.sum():.4f}")
    1.0000
    """
    values: Any = unmasked(squared_distances, "squared_distances")
    if not 0.0 <= np.min(values, initial=0.0) <= np.max(values, initial=0.0) < np.inf:
        raise ValueError("squared_distances must be finite and not negative")
    if np.ndim(perplexity) == 0:
        return _kernels.calibrate(
            squared_distances, _positive(perplexity), skip_diagonal, n_threads, counts
        )
    perplexities = [_positive(p) for p in perplexity]  # type: ignore[union-attr]
    if not perplexities:
        raise ValueError("perplexity is an empty list; give at least one number")
    total = np.zeros(squared_distances.shape)
    betas = []
    for p in perplexities:
        part, beta = _kernels.calibrate(squared_distances, p, skip_diagonal, n_threads, counts)
        total += part
        betas.append(beta)
    return (total / len(perplexities)).astype(np.float32), np.array(betas)


@with_plain_numbers
def gaussian_probabilities(
    squared_distances: NDArray[np.float64] | NDArray[np.float32],
    sigma: Positive,
    *,
    counts: NDArray[np.float32] | None = None,
    skip_diagonal: bool = False,
) -> NDArray[np.float32]:
    """Return Gaussian similarities p_j|i with the same sigma in every row.

    Parameters
    ----------
    squared_distances : ndarray of float64 or float32, shape (n_samples, n_neighbors)
        Finite and not negative, in any order within a row.
    sigma : float
        Standard deviation of the Gaussian, greater than 0, in the unit of the distances.
    counts, skip_diagonal
        See `conditional_probabilities`.

    Returns
    -------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i, rows with sum 1 (van der Maaten & Hinton 2008, equation 1).

    Raises
    ------
    ValueError
        If `sigma` is not a number greater than 0.

    Notes
    -----
    Only differences of squared distances matter in a row with sum 1: a sample whose neighbours are
    all many sigma away has p_j|i near 1 for the nearest.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import gaussian_probabilities
    >>> squared_distances = np.array([[0.0, 2.0 * np.log(3.0)]])
    >>> gaussian_probabilities(squared_distances, 1.0)
    array([[0.75, 0.25]], dtype=float32)
    """
    unmasked(squared_distances, "squared_distances")
    conditional = np.empty(squared_distances.shape, dtype=np.float32)
    for start in range(0, len(conditional), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        gaps = squared_distances[rows].astype(np.float64)
        present = np.ones(gaps.shape) if counts is None else counts[rows].astype(np.float64)
        if skip_diagonal:
            at = np.arange(len(gaps))
            present[at, start + at] = 0.0
        gaps[present == 0.0] = np.inf
        gaps -= gaps.min(axis=1, keepdims=True)
        # Divided twice: the square of sigma may be 0 or overflow.
        with np.errstate(over="ignore"):
            exponents = np.minimum(gaps / sigma / sigma / 2.0, _LARGEST_EXPONENT)
        weights = present * np.exp(-exponents)
        conditional[rows] = weights / weights.sum(axis=1, keepdims=True)
    return conditional


def uniform_probabilities(counts: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return p_j|i that are the same for all neighbours of a sample.

    Parameters
    ----------
    counts : ndarray, shape (n_samples, n_neighbors)
        Number of copies that each neighbour stands for; 0 for what is no neighbour.

    Returns
    -------
    conditional : ndarray of float32, shape (n_samples, n_neighbors)
        p_j|i, rows with sum 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.affinity import uniform_probabilities
    >>> uniform_probabilities(np.array([[1.0, 1.0, 0.0], [3.0, 1.0, 0.0]]))
    array([[0.5 , 0.5 , 0.  ],
           [0.75, 0.25, 0.  ]], dtype=float32)
    """
    unmasked(counts, "counts")
    total = counts.sum(axis=1, dtype=np.float64, keepdims=True)
    return np.asarray(counts / total, dtype=np.float32)


def _positive(perplexity: Any) -> float:
    if not perplexity > 0.0:
        raise ValueError(f"perplexity={perplexity} must be greater than 0")
    return float(perplexity)
