"""New samples -> their places on a fitted map, which does not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from fasttsne._kernels import FrozenMap
from fasttsne.affinity.build import AffinityParameters
from fasttsne.affinity.conditional import conditional_probabilities
from fasttsne.affinity.perplexity import n_neighbors_for
from fasttsne.neighbors.given import is_transformer
from fasttsne.neighbors.index import IndexOfTransformer, NeighborIndex, neighbor_index
from fasttsne.neighbors.metrics import Metric
from fasttsne.samples.checks import Samples, check_new_samples

# Largest effective number of neighbours that decide where a new sample goes: of 3 to 30, with 10
# most digits lie among digits of their class (benchmarks/transform.py).
LARGEST_PERPLEXITY = 10.0

# A map ends at its outermost points; new samples go beyond by at most this share of its width.
_MARGIN = 0.25

# Of this share of the samples of a map the nearest other one is within the unit of scores.
_USUAL = 0.99
_SAMPLE_ROWS = 1024
_LEAST = float(np.finfo(np.float64).tiny)

# Kernels square coordinates up to this.
LARGEST_COORDINATE = 1e13

# The descent of a point ends with a step shorter than this; the kernel's width is 1.
_SHORTEST_STEP = 1e-3
_MAX_ITER = 200

# Samples placed at a time, which bounds the memory that a large batch takes.
_BLOCK_ROWS = 1 << 16


@dataclass(eq=False, repr=False)
class Placement:
    """A fitted map, as new samples are placed on it: see `fasttsne.TSNE.transform`.

    With `odds` it is a map of `fasttsne.ContrastiveTSNE`.

    The search index and the tree are made at the first use and kept. A placement can be pickled,
    and used from several threads at once.
    """

    X: Any  # None after a fit to distances or affinities
    embedding: NDArray[np.float32]
    perplexity: float  # of the fit
    degrees_of_freedom: float = 1.0
    angle: float = 0.5
    metric: Metric = "euclidean"
    metric_params: Mapping[str, Any] | None = None
    method: Any = "auto"
    exponent: int = 0  # X is the user's data times 2**-exponent
    is_affinity: bool = False
    transformer: Any = None  # fitted, finds the neighbours in place of the metric
    odds: float = 0.0  # of noise against data; 0 for KL(P||Q)
    n_negatives: int = 0
    _index: tuple[int, NeighborIndex] | None = field(default=None, init=False)
    _frozen: FrozenMap | None = field(default=None, init=False)
    _limits: Any = field(default=None, init=False)  # of coordinates, low and high
    _unit: float = field(default=0.0, init=False)

    @classmethod
    def of_fit(
        cls,
        samples: Samples,
        embedding: NDArray[np.float32],
        parameters: AffinityParameters,
        *,
        degrees_of_freedom: float = 1.0,
        angle: float = 0.5,
        odds: float = 0.0,
        n_negatives: int = 0,
    ) -> Placement:
        """Return the placement of a fit."""
        neighborhood = parameters.neighborhood(samples.n_copies)
        perplexity = max(neighborhood.perplexities, default=float(neighborhood.n_neighbors))
        exact, neighbors = parameters.method == "exact", parameters.neighbors
        transformer = neighbors if is_transformer(neighbors) else None
        has_samples = parameters.metric != "precomputed" and not parameters.is_given
        return cls(
            samples.X if has_samples else None,
            embedding,
            perplexity=min(perplexity, len(embedding) - 1.0),
            degrees_of_freedom=degrees_of_freedom,
            angle=0.0 if exact else angle,
            metric=parameters.metric,
            metric_params=parameters.metric_params,
            method="exact" if exact else neighbors if isinstance(neighbors, str) else "auto",
            exponent=samples.exponent,
            is_affinity=parameters.is_given,
            transformer=transformer,
            odds=odds,
            n_negatives=n_negatives,
        )

    def checked(self, X: Any, *, estimator: Any) -> Any:
        """Return new samples in the form of those of the map; ValueError if they cannot be."""
        if self.is_affinity:
            raise ValueError(
                "transform needs samples or their distances, but the fit was given affinities by"
                ' affinity="precomputed"'
            )
        n_columns = len(self.embedding) if self.X is None else self.X.shape[1]
        return check_new_samples(X, self.X, n_columns, self.exponent, estimator=estimator)

    def place(
        self,
        X: Any,
        *,
        perplexity: float | None = None,
        return_scores: bool = False,
        n_threads: int = 1,
    ) -> Any:
        """Return the places of new samples, and on request their scores, as `TSNE.transform` does.

        No row depends on the others or on `n_threads`, bit for bit.
        """
        largest = np.abs(self.embedding).max()
        if not largest < LARGEST_COORDINATE:
            raise ValueError(
                f"embedding_ has NaN or values up to {largest:g}: nothing can be placed on such a"
                " map; fit again"
            )
        perplexity, n_neighbors = self._neighborhood(perplexity)
        if return_scores and self.X is None:
            raise ValueError('return_scores=True is not possible after metric="precomputed"')
        index = self._index_for(n_neighbors, n_threads)
        placed = np.empty((X.shape[0], self.embedding.shape[1]), dtype=np.float32)
        nearest = np.empty(len(placed))
        for rows in gen_batches(len(placed), _BLOCK_ROWS):
            placed[rows], nearest[rows] = self._place(X[rows], index, perplexity, n_threads)
        if not return_scores:
            return placed
        with np.errstate(over="ignore"):
            return placed, nearest / self._unit_of_scores(index, n_threads)

    def prepare(self, perplexity: float | None = None, *, n_threads: int = 1) -> None:
        """Make now what `place` would make at its first use, for example to pickle it."""
        _, n_neighbors = self._neighborhood(perplexity)
        self._index_for(n_neighbors, n_threads)
        self._frozen_map(n_threads)

    def _neighborhood(self, perplexity: float | None) -> tuple[float, int]:
        """Return the perplexity, checked, and its number of neighbours."""
        n_samples = len(self.embedding)
        if perplexity is None:
            perplexity = min(self.perplexity, LARGEST_PERPLEXITY)
        elif not 0.0 < perplexity < n_samples:
            raise ValueError(
                f"perplexity ({perplexity!r}) must be greater than 0 and less than the number of "
                f"samples that the map was fitted on ({n_samples})"
            )
        perplexity = float(perplexity)
        return perplexity, min(n_samples, max(2, n_neighbors_for(perplexity)))

    def _place(
        self, X: Any, index: NeighborIndex, perplexity: float, n_threads: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        indices, squared_distances = index.squares(X, n_threads=n_threads)
        placed = np.empty((len(indices), self.embedding.shape[1]), dtype=np.float32)
        # A sample of the map keeps its place; of several equal ones the first counts.
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
            np.clip(placed, *self._limits, out=placed)  # nothing holds samples unlike all others
        return placed, np.sqrt(squared_distances[:, 0])

    def _index_for(self, n_neighbors: int, n_threads: int) -> NeighborIndex:
        kept = self._index
        if self.transformer is not None:
            return IndexOfTransformer(self.transformer, n_neighbors, self.exponent)
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

    def _unit_of_scores(self, index: NeighborIndex, n_threads: int) -> float:
        if self._unit == 0.0:
            some = self.X[:: max(1, self.X.shape[0] // _SAMPLE_ROWS)]
            _, squares = index.squares(some, n_threads=n_threads)
            nearest = np.sqrt(squares[:, :2].max(axis=1))  # the first is the sample itself
            self._unit = max(float(np.quantile(nearest, _USUAL)), _LEAST)
        return self._unit

    def _frozen_map(self, n_threads: int) -> FrozenMap:
        if self._frozen is None:
            low, high = self.embedding.min(axis=0), self.embedding.max(axis=0)
            margin = _MARGIN * (high - low)
            self._limits = low - margin, high + margin
            self._frozen = FrozenMap(
                self.embedding,
                self.degrees_of_freedom,
                self.angle,
                self.odds,
                self.n_negatives,
                n_threads,
            )
        return self._frozen
