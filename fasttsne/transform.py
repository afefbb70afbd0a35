"""New samples -> their places on a fitted map, which stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fasttsne._kernels import FrozenMap
from fasttsne.affinity import conditional_probabilities
from fasttsne.neighbors.index import NeighborIndex, neighbor_index
from fasttsne.neighbors.search import Metric

# Effective number of neighbours that decide where a new sample goes, at the most: of 3 to 30,
# with 10 most digits come to lie among their like (benchmarks/transform.py).
LARGEST_PERPLEXITY = 10.0

# The descent of a point ends with a step shorter than this, beside the kernel's width of 1.
_SHORTEST_STEP = 1e-3
_MAX_ITER = 200

# Samples at a time, which bounds the memory that a large batch takes.
_BLOCK_ROWS = 1 << 16


class Placement:
    """Where new samples belong on a map.

    What the search for neighbours and the tree need is made at the first use and kept. All of it
    can be pickled, and used from several threads at once.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features) or None
        The samples of the map; a reference is kept. None with ``metric="precomputed"``.
    embedding : ndarray of float32, shape (n_samples, n_components)
        The map. Never changed.
    perplexity : float
        That of the map.
    degrees_of_freedom : float
        nu of the map's kernel.
    angle : float
        How much the tree may approximate, 0 for not at all.
    metric, metric_params, method
        As for `fasttsne.neighbors.nearest_neighbors`.
    exponent : int, default=0
        Of the power of two that `X` was divided by, and new samples are to be.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.transform import Placement
    >>> X = np.arange(10.0)[:, None]
    >>> placement = Placement(X, X.astype(np.float32), perplexity=2.0)
    >>> placement.place(np.array([[4.0], [6.5]])).round(1)
    array([[4. ],
           [6.5]], dtype=float32)
    """

    def __init__(
        self,
        X: Any,
        embedding: NDArray[np.float32],
        *,
        perplexity: float,
        degrees_of_freedom: float = 1.0,
        angle: float = 0.5,
        metric: Metric = "euclidean",
        metric_params: Mapping[str, Any] | None = None,
        method: str = "auto",
        exponent: int = 0,
    ) -> None:
        self.X, self.embedding = X, embedding
        self.perplexity = min(float(perplexity), LARGEST_PERPLEXITY)
        self.degrees_of_freedom, self.angle = degrees_of_freedom, angle
        self.metric, self.metric_params, self.method = metric, metric_params, method
        self.exponent = exponent
        self._index: tuple[int, NeighborIndex] | None = None
        self._frozen: FrozenMap | None = None

    def place(
        self, X: Any, *, perplexity: float | None = None, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Place new samples, each for itself.

        Parameters
        ----------
        X : {ndarray, sparse matrix} of shape (n_new, n_features)
            New samples, or with ``metric="precomputed"`` their distances to those of the map.
        perplexity : float or None, default=None
            Effective number of neighbours that decide, less than the number of samples of the
            map. None is that of the map, but no more than 10.
        n_threads : int, default=1
            Number of threads.

        Returns
        -------
        placed : ndarray of float32, shape (n_new, n_components)
            A row depends on nothing else in the call, nor on `n_threads`, to the last bit.
        """
        perplexity, n_neighbors = self._neighborhood(perplexity)
        index = self._index_for(n_neighbors, n_threads)
        placed = np.empty((X.shape[0], self.embedding.shape[1]), dtype=np.float32)
        if sparse.issparse(X):
            X = X.tocsr()
        for start in range(0, len(placed), _BLOCK_ROWS):
            rows = slice(start, min(start + _BLOCK_ROWS, len(placed)))
            placed[rows] = self._place(X[rows], index, perplexity, n_threads)
        return placed

    def prepare(self, perplexity: float | None = None, *, n_threads: int = 1) -> None:
        """Make at once what `place` would make at its first use, for a pickle that has it.

        Parameters
        ----------
        perplexity : float or None, default=None
            As it will be given to `place`.
        n_threads : int, default=1
            Number of threads.
        """
        _, n_neighbors = self._neighborhood(perplexity)
        self._index_for(n_neighbors, n_threads)
        self._frozen_map(n_threads)

    def _neighborhood(self, perplexity: float | None) -> tuple[float, int]:
        """Check a perplexity, and say how many neighbours it asks for."""
        n_samples = len(self.embedding)
        if perplexity is None:
            perplexity = self.perplexity
        elif np.ndim(perplexity) or not 0.0 < float(perplexity) < n_samples:
            raise ValueError(
                f"perplexity ({perplexity!r}) must be greater than 0 and less than the number of "
                f"samples that the map was fitted on ({n_samples})"
            )
        return perplexity, min(n_samples, int(3.0 * perplexity + 1))

    def _place(
        self, X: Any, index: NeighborIndex, perplexity: float, n_threads: int
    ) -> NDArray[np.float32]:
        indices, squared_distances = index.query(X, n_threads=n_threads)
        placed = np.empty((len(indices), self.embedding.shape[1]), dtype=np.float32)
        # A sample that is one of the map's is where that is; of several where the first is.
        same = squared_distances == 0.0
        known = same.any(axis=1)
        first = np.where(same, indices, len(self.embedding)).min(axis=1)
        placed[known] = self.embedding[first[known]]
        if not known.all():
            conditional, _ = conditional_probabilities(
                squared_distances[~known], perplexity, n_threads=n_threads
            )
            placed[~known] = self._frozen_map(n_threads).place(
                indices[~known], conditional, 1.0, _MAX_ITER, _SHORTEST_STEP, n_threads
            )
        return placed

    def _index_for(self, n_neighbors: int, n_threads: int) -> NeighborIndex:
        kept = self._index
        if kept is None or kept[0] != n_neighbors:
            kept = self._index = (
                n_neighbors,
                neighbor_index(
                    self.X,
                    n_neighbors,
                    metric=self.metric,
                    metric_params=self.metric_params,
                    method=self.method,
                    n_threads=n_threads,
                ),
            )
        return kept[1]

    def _frozen_map(self, n_threads: int) -> FrozenMap:
        if self._frozen is None:
            self._frozen = FrozenMap(self.embedding, self.degrees_of_freedom, self.angle, n_threads)
        return self._frozen
