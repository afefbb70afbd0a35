"""Propensities of positions, from clicks on documents in random order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.metric_learning import checks
from fasttsne.metric_learning.checks import Floats


def estimate_propensity(clicks: ArrayLike, positions: ArrayLike) -> Floats:
    """Return the propensity of every position: how often readers look there, at most 1.

    A reader clicks on a document that is looked at, which depends on its position, and relevant.
    If documents were shown in random order, all positions have equally relevant documents, and the
    rates of clicks are proportional to the propensities (Joachims et al. 2017). As a loss's
    `document_weight`, give clicked documents their inverse propensity and others 1.

    Parameters
    ----------
    clicks : array-like of shape (n_impressions,)
        1 where a document that was shown was clicked, else 0.
    positions : array-like of int, shape (n_impressions,)
        Its position, from 1.

    Returns
    -------
    propensity : ndarray of shape (n_positions,)
        Rate of clicks at positions 1, 2, ..., divided by the largest; above 0 and up to 1.

    Raises
    ------
    ValueError
        If the arrays disagree in shape, if clicks are not 0 or 1, if positions are no integers from
        1, or if a position was never shown or never clicked.

    Examples
    --------
    >>> from fasttsne.metric_learning import estimate_propensity
    >>> estimate_propensity([1, 1, 0, 1, 0, 0], [1, 1, 2, 2, 3, 3])
    Traceback (most recent call last):
    ...
    ValueError: positions: no clicks at 3; show it more often, or leave such positions out
    >>> estimate_propensity([1, 1, 0, 1], [1, 1, 2, 2])
    array([1. , 0.5])
    """
    clicked = checks.as_numbers(clicks, "clicks")
    places = checks.as_numbers(positions, "positions")
    if clicked.ndim != 1 or clicked.shape != places.shape or not clicked.size:
        raise ValueError(
            f"clicks and positions must be rows of one length, got shapes {clicked.shape} and "
            f"{places.shape}"
        )
    if not np.isin(clicked, (0.0, 1.0)).all():
        raise ValueError("clicks must be 0 or 1")
    if (places < 1.0).any() or (places % 1.0).any() or places.max() > len(places):
        raise ValueError("positions must be integers from 1, of which all occur")
    ranks = places.astype(np.int64) - 1
    n_clicks = np.bincount(ranks, weights=clicked)
    if not n_clicks.all():
        missing = ", ".join(map(str, np.flatnonzero(n_clicks == 0.0)[:5] + 1))
        raise ValueError(
            f"positions: no clicks at {missing}; show it more often, or leave such positions out"
        )
    rates = n_clicks / np.bincount(ranks)
    return np.asarray(rates / rates.max())
