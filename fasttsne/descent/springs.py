"""Springs between earlier points and their homes, for maps that grow (`TSNE.update`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fasttsne.descent.state import State

# Root mean square radius at which a map of n points on springs starts, in units of n^(1 / d): at
# this radius the distance between neighbouring points is about the width of the kernel.
_NARROW = 0.4


@dataclass
class Springs:
    """Springs on a map whose scale changes; the homes of fixed points are scaled with it."""

    pull: float  # share of the way to its home that a fixed point moves after each step
    fixed: NDArray[np.bool_]  # in the caller's order
    places: NDArray[np.float32]  # of all points before the run, in the caller's order
    homes: NDArray[np.float32]  # the same at the present scale of the map

    @classmethod
    def of(cls, places: NDArray[np.float32], fixed: NDArray[np.bool_], pull: float) -> Springs:
        """Return springs with homes on a narrow map: on a wide one new points cannot move far."""
        n_points, n_components = places.shape
        narrow = _NARROW * n_points ** (1.0 / n_components)
        factor = narrow / max(_center_and_radius(places)[1], narrow)
        return cls(pull, fixed, places, (factor * places.astype(np.float64)).astype(np.float32))

    def at_places(self, state: State) -> State:
        """Return a state whose fixed points have the center and the radius of their places."""
        center, radius = _center_and_radius(state.embedding[self.fixed[state.order]])
        before, radius_before = _center_and_radius(self.places[self.fixed])
        factor = radius_before / radius if radius > 0.0 else 1.0
        embedding = factor * (state.embedding - center) + before
        return replace(
            state,
            embedding=embedding.astype(np.float32),
            checks=tuple(check for check in state.checks if check.iteration < state.iteration),
        )


def _center_and_radius(points: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Return the mean of points and their root mean square distance from it."""
    center = points.mean(axis=0, dtype=np.float64)
    return center, float(np.sqrt(np.square(points - center).sum(axis=1).mean()))
