"""Which neighbours on a map are the same on other maps of the same data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.quality import checks, tables
from fasttsne.quality.checks import Floats, as_embedding
from fasttsne.quality.distances import as_distances
from fasttsne.runtime.numbers import with_plain_numbers
from fasttsne.runtime.threads import effective_n_threads

# Times that maps are turned onto their mean, which changes with them.
_N_ROUNDS = 10


@dataclass(frozen=True, eq=False)
class Stability:
    """Agreement of maps point by point, returned by `stability`.

    Attributes
    ----------
    n_neighbors : int
        Size of a neighbourhood.
    overlap : ndarray of float64, shape (n_samples,)
        Mean share of a point's nearest neighbours on one map that are its neighbours on another,
        over all pairs of maps. From 0 to 1; larger is more stable.
    displacement : ndarray of float64, shape (n_samples,)
        Root mean square distance of the point's places from their mean after the maps were laid on
        each other, in units of the mean map's radius.
    aligned : ndarray of float64, shape (n_maps, n_samples, n_components)
        The maps laid on each other, centred, each with a root mean square radius of about 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.quality import stability
    >>> one = np.random.default_rng(0).normal(size=(50, 2))
    >>> stability([one, -one])
    50 points on 2 maps; 10 neighbours
    <BLANKLINE>
    neighbour overlap  1.0000  neighbours that two maps have in common
    displacement       0.0000  between maps after alignment, in radii of the map
    """

    n_neighbors: int
    overlap: Floats
    displacement: Floats
    aligned: Floats

    def __repr__(self) -> str:
        n_maps, n_samples = self.aligned.shape[:2]
        overlap, moved = self.overlap.mean(), np.sqrt(np.mean(self.displacement**2))
        rows = [
            ("neighbour overlap", f"{overlap:.4f}", "neighbours that two maps have in common"),
            (
                "displacement",
                f"{moved:.4f}",
                "between maps after alignment, in radii of the map",
            ),
        ]
        points = tables.counted(n_samples, n_samples)
        return tables.as_text(f"{points} on {n_maps} maps; {self.n_neighbors} neighbours", rows)


@with_plain_numbers
def stability(
    maps: Sequence[ArrayLike] | None = None,
    *,
    X: Any = None,
    n_maps: int = 5,
    tsne: Any = None,
    n_neighbors: int = 10,
    n_jobs: int | None = None,
) -> Stability:
    """Return which neighbours, and which places, are the same on several maps of the same data.

    Give the maps, of different seeds, methods or parameters; or the data, of which `n_maps` maps
    with different random starts are fitted.

    Parameters
    ----------
    maps : sequence of array-like of shape (n_samples, n_components), default=None
        At least two maps, rows in the same order. For maps of subsamples, give the rows that they
        share.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        The data, in place of `maps`.
    n_maps : int, default=5
        Number of maps to fit to `X`, at least 2.
    tsne : TSNE, default=None
        Estimator with the parameters of these fits, which does not change; its `init` becomes
        "random" and its `random_state` 0, 1, 2, ... None means the defaults.
    n_neighbors : int, default=10
        Size of a neighbourhood, at least 1 and less than `n_samples`.
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    found : Stability
        Overlap and displacement of every point. It prints as a table.

    Raises
    ------
    ValueError
        If both or neither of `maps` and `X` are given, if there are fewer than two maps, if maps
        differ in shape, have NaN or infinity or all points in one place, or if `n_neighbors` is out
        of range.

    Notes
    -----
    The overlap needs no alignment: neighbours do not change if a map is turned, mirrored or scaled.
    The displacement does. Each map is centred, scaled to radius 1, and turned and mirrored to be
    nearest to the mean of all (generalized Procrustes analysis [1]_); displacement then shows
    clusters that stand in another place. Large displacement with large overlap means that the
    clusters are stable and their arrangement is not.

    References
    ----------
    .. [1] J. C. Gower (1975). Generalized Procrustes analysis. Psychometrika 40, 33-51.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.quality import stability
    >>> found = stability(X=load_iris().data, n_maps=2)
    >>> found.overlap.shape
    (150,)
    """
    if (maps is None) == (X is None):
        raise ValueError("give either maps or X, and not both")
    if maps is None:
        maps = _fitted(X, n_maps, tsne, n_jobs)
    if isinstance(maps, str | Mapping) or not hasattr(maps, "__iter__"):
        raise TypeError(f"maps must be a sequence of maps; got {type(maps).__name__}")
    checked = [as_embedding(one, "maps").astype(np.float64) for one in maps]
    if len(checked) < 2:
        raise ValueError(f"maps must be at least two maps; got {len(checked)}")
    shapes = {one.shape for one in checked}
    if len(shapes) > 1:
        raise ValueError(f"maps must have the same shape; got {sorted(shapes)}")
    checks.check_n_neighbors(n_neighbors, len(checked[0]))
    aligned = aligned_maps(checked)
    n_threads = effective_n_threads(n_jobs)
    deviations = aligned - aligned.mean(axis=0)
    return Stability(
        n_neighbors=int(n_neighbors),
        overlap=neighbor_overlap(checked, n_neighbors, n_threads),
        displacement=np.sqrt((deviations**2).sum(axis=2).mean(axis=0)),
        aligned=aligned,
    )


def _fitted(X: Any, n_maps: int, tsne: Any, n_jobs: int | None) -> list[NDArray[Any]]:
    """Return maps of `X` from random starts."""
    from sklearn.base import clone

    from fasttsne.tsne import TSNE

    if not isinstance(n_maps, int) or n_maps < 2:
        raise ValueError(f"n_maps={n_maps!r} must be an integer of at least 2")
    if tsne is not None and (isinstance(tsne, type) or not hasattr(tsne, "get_params")):
        raise TypeError(f"tsne must be an estimator, such as TSNE(); got {tsne!r:.80}")
    one = clone(tsne) if tsne is not None else TSNE(n_jobs=n_jobs)
    one.set_params(init="random")
    return [one.set_params(random_state=seed).fit_transform(X) for seed in range(n_maps)]


def neighbor_overlap(maps: list[Floats], n_neighbors: int, n_threads: int) -> Floats:
    """Return the mean share of common neighbours of every point over all pairs of maps."""
    every = np.arange(len(maps[0]), dtype=np.int32)
    near = [np.sort(as_distances(one).nearest(every, n_neighbors, n_threads)) for one in maps]
    shares = []
    for a, b in combinations(near, 2):
        both = np.sort(np.concatenate([a, b], axis=1), axis=1)
        shares.append((both[:, 1:] == both[:, :-1]).sum(axis=1) / n_neighbors)
    return np.asarray(np.mean(shares, axis=0))


def aligned_maps(maps: list[Floats]) -> Floats:
    """Return maps centred, at radius 1, turned and mirrored onto their mean."""
    scaled = []
    for one in maps:
        # By a power of two, so that squares neither overflow nor vanish.
        unit = np.ldexp(one, -int(np.frexp(np.abs(one).max())[1]))
        centred = unit - unit.mean(axis=0)
        radius = np.sqrt((centred**2).sum(axis=1).mean())
        if radius == 0.0:
            raise ValueError("maps must not have all points in one place")
        scaled.append(centred / radius)
    target = scaled[0]
    for _ in range(_N_ROUNDS):
        turned = [_turned(one, target) for one in scaled]
        mean = np.mean(turned, axis=0)
        radius = np.sqrt((mean**2).sum(axis=1).mean())
        target = mean / radius if radius > 0.0 else target
    return np.asarray(turned)


def _turned(one: Floats, target: Floats) -> Floats:
    """Return `one` times the orthogonal matrix that brings it nearest to `target`."""
    left, _, right = np.linalg.svd(one.T @ target)
    return np.asarray(one @ (left @ right))
