"""The best place and the curvature of one point of a map, all other points left where they are.

`singularity_scores` needs the Hessian of the objective by a point's place, `farthest_places` its
minima after the point's data moved. For the objective see `fasttsne.quality.reliability`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree
from sklearn.utils import gen_batches

from fasttsne import _kernels
from fasttsne.affinity.conditional import conditional_probabilities
from fasttsne.affinity.joint import JointProbabilities, joint_probabilities
from fasttsne.descent.forces import make_forces
from fasttsne.initialization.start import principal_coordinates
from fasttsne.neighbors.metrics import Found
from fasttsne.quality.checks import Anchors, Floats
from fasttsne.runtime.threads import in_threads
from fasttsne.samples.scaling import Centering
from fasttsne.transform import LARGEST_COORDINATE

# Directions in which data are moved, forwards and backwards.
_N_DIRECTIONS = 3

# Neighbours in a block of points that are placed together, at most; a block has at least one point.
# Ctrl-C waits for the end of the blocks that were begun. No result depends on the blocks.
_BLOCK_EDGES = 1 << 14

# Of the descent that places a point again; the map's kernel has width 1.
_MAX_ITER = 200
_SHORTEST_STEP = 1e-3
_ANGLE = 0.5

# A gap is wider than _GAP times the median distance to the _SPACING-th nearest point, over about
# _SPACING_ROWS points. A way is checked at _STOPS places.
_GAP = 3.0
_SPACING = 5
_SPACING_ROWS = 4096
_STOPS = 16
_QUERIES = 1024  # ways of one task

# A fitted map has a larger KL divergence at a third of its scale, and none clearly smaller at three
# times its scale. See benchmarks/NOTES.md for the figures.
_OTHER_SCALE = 3.0
_LOWER_KL = 0.02

_TINY = float(np.finfo(np.float64).tiny)
_LARGEST_BETA = 1e290  # for neighbours that coincide, in place of infinity
_LARGEST_EXPONENT = 700.0


class CurvatureSums(NamedTuple):
    """Sums over all other points of which the Hessian of a point consists, with r = y_i - y_j.

    One row per point. A triangle has the upper entries of a matrix, row by row.
    """

    pull: Floats  # (n, 1): p u
    pulls: Floats  # the triangle of p u^2 r r'
    q: Floats  # (n, 1): w
    push: Floats  # (n, 1): w u
    force: Floats  # (n, dim): w u r
    pushes: Floats  # the triangle of w u^2 r r'

    @classmethod
    def of(cls, columns: Floats, dim: int) -> CurvatureSums:
        """Name the columns of `ft_curvature_sums` (fasttsne.h)."""
        ends = np.cumsum([1, dim * (dim + 1) // 2, 1, 1, dim])
        return cls(*np.split(columns, ends, axis=1))


class LeaveOneOut(NamedTuple):
    """A map with P, as one point is placed again while the others stay."""

    embedding: NDArray[np.float32]
    neighbors: Found  # indices and squared distances
    conditional: NDArray[np.float32]  # p_j|i of these
    joint: JointProbabilities
    beta: Floats
    perplexity: float
    degrees_of_freedom: float
    sums: CurvatureSums  # at every point

    @classmethod
    def of(
        cls,
        embedding: NDArray[np.float32],
        neighbors: Found,
        perplexity: float,
        degrees_of_freedom: float,
        n_threads: int,
    ) -> LeaveOneOut:
        """Compute P of the neighbours, and the sums of every point."""
        indices, squares = neighbors
        conditional, beta = conditional_probabilities(squares, perplexity, n_threads=n_threads)
        joint = joint_probabilities(indices, conditional, n_threads=n_threads)
        columns = _kernels.curvature_sums(
            joint.indptr, joint.indices, joint.data, embedding, degrees_of_freedom, n_threads
        )
        sums = CurvatureSums.of(columns, embedding.shape[1])
        return cls(
            embedding, neighbors, conditional, joint, beta, perplexity, degrees_of_freedom, sums
        )

    @property
    def sum_q(self) -> float:
        """Z, the sum of w over all ordered pairs of points."""
        return float(self.sums.q[:, 0].sum())


def better_scale(found: LeaveOneOut, n_threads: int) -> float:
    """Return 3 or 1/3 if the map has a clearly lower KL(P || Q) at this scale, and 1 if not."""
    nu, dim = found.degrees_of_freedom, found.embedding.shape[1]
    largest = _OTHER_SCALE * float(np.abs(found.embedding).max())
    if dim > 3 or not largest < LARGEST_COORDINATE:  # no tree, or no squares
        return 1.0
    forces = make_forces(found.joint, dim, nu, n_threads=n_threads)

    def divergence(scale: float) -> float:
        forces.evaluate((scale * found.embedding).astype(np.float32), True)
        return forces.kl_divergence

    here = divergence(1.0)
    if divergence(1.0 / _OTHER_SCALE) < here:
        return 1.0 / _OTHER_SCALE
    return _OTHER_SCALE if divergence(_OTHER_SCALE) < here - _LOWER_KL else 1.0


def hessians(found: LeaveOneOut) -> Floats:
    """Return the Hessian of KL(P || Q) by the place of each point, (n, dim, dim)."""
    nu, dim = found.degrees_of_freedom, found.embedding.shape[1]
    upper, sums = np.triu_indices(dim), found.sums

    def matrices(products: Floats) -> Floats:
        full = np.zeros((len(products), dim, dim))
        full[:, upper[0], upper[1]] = full[:, upper[1], upper[0]] = products
        return full

    unit, z = np.eye(dim), found.sum_q
    attraction = sums.pull[:, :, np.newaxis] * unit - 2.0 / nu * matrices(sums.pulls)
    repulsion = sums.push[:, :, np.newaxis] * unit - (nu + 3.0) / nu * matrices(sums.pushes)
    outer = sums.force[:, :, np.newaxis] * sums.force[:, np.newaxis, :]
    factor = 2.0 * (nu + 1.0) / nu
    return np.asarray(factor * (attraction - repulsion / z) - (factor / z) ** 2 * outer)


def singularity_scores(found: LeaveOneOut) -> Floats:
    """Return 1 / the smallest eigenvalue of each Hessian; infinity where it is not above 0."""
    smallest = np.linalg.eigvalsh(hessians(found))[:, 0]
    scores = np.full(len(smallest), np.inf)
    np.divide(1.0, smallest, out=scores, where=smallest > _TINY)
    return scores


def usual_step(neighbors: Found, along: Floats) -> float:
    """Return half the root mean square difference, in one direction, of nearest neighbours.

    Copies of a sample are no neighbours, so that samples move where each is there twice. The step
    is 0 if all listed neighbours are copies.
    """
    indices, squares = neighbors
    differ = squares > 0.0
    own = np.flatnonzero(differ.any(axis=1))
    nearest = indices[own, differ[own].argmax(axis=1)]
    differences = along[own] - along[nearest]
    return 0.5 * float(np.sqrt((differences**2).sum() / max(1, differences.size)))


def projections(X: NDArray[np.floating], n_threads: int) -> Floats:
    """Return the coordinates of X along its first principal directions, in the unit of X."""
    centering = Centering.of(X, n_threads=n_threads)
    centered = centering.apply(X, n_threads=n_threads)
    n_axes = min(_N_DIRECTIONS, *X.shape)
    coordinates = principal_coordinates(centered, n_axes, n_threads=n_threads)
    return np.asarray(np.ldexp(coordinates.astype(np.float64), centering.exponent))


def farthest_places(
    found: LeaveOneOut, along: Floats, step: float, rows: Anchors, n_threads: int
) -> NDArray[np.float32]:
    """Return the farthest of the best places of each row when its data move by `step`.

    `along` has the coordinates of the data in the directions, (n, n_directions).
    """
    edges, lists_own = _symmetric_edges(found.neighbors)
    widths = np.diff(edges.indptr)
    frozen = _kernels.FrozenMap(
        found.embedding, found.degrees_of_freedom, _ANGLE, n_threads=n_threads
    )
    # p_j|i is the weight of j over the sum of weights of row i; the nearest neighbour has weight 1.
    nearest = found.neighbors[1][:, 0]
    norm = 1.0 / np.maximum(found.conditional[:, 0].astype(np.float64), _TINY)
    beta = np.minimum(found.beta, _LARGEST_BETA)
    sum_q = found.sum_q

    def weights(of: NDArray[np.int32], distances: Floats) -> Floats:
        exponents = -beta[of] * (distances - nearest[of])
        return np.asarray(np.exp(np.clip(exponents, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)))

    def places_of(own: Anchors) -> NDArray[np.float32]:
        at = edges.indptr[own][:, np.newaxis] + np.arange(widths[own[0]])
        others = np.ascontiguousarray(edges.indices[at], dtype=np.int32)
        before = edges.data[at]
        # Sums of weights in the rows of the others, without the weight of the point that moves,
        # which only rows that list it have.
        rest = norm[others] - np.where(lists_own[at], weights(others, before), 0.0)
        home = found.embedding[own]
        farthest, distance = home.copy(), np.full(len(own), -1.0)
        for direction in along.T:
            ahead = direction[own, np.newaxis] - direction[others]
            for signed in (step, -step):
                # |x + s v - z|^2 = |x - z|^2 + s (2 v.(x - z) + s) for a unit vector v.
                after = np.maximum(before + signed * (2.0 * ahead + signed), 0.0)
                from_own, _ = _kernels.calibrate(after, found.perplexity, False, 1)
                back = weights(others, after)
                back /= np.maximum(rest, 0.0) + np.maximum(back, _TINY)
                pulls = (0.5 * (from_own + back)).astype(np.float32)
                placed = frozen.place_again(own, others, pulls, sum_q, _MAX_ITER, _SHORTEST_STEP, 1)
                moved = np.linalg.norm(placed.astype(np.float64) - home, axis=1)
                farther = moved > distance
                farthest[farther], distance[farther] = placed[farther], moved[farther]
        return farthest

    places = np.empty((len(rows), found.embedding.shape[1]), dtype=np.float32)

    def fill(block: NDArray[np.int64]) -> None:
        places[block] = places_of(np.ascontiguousarray(rows[block]))

    in_threads(fill, _blocks_of_equal_width(widths[rows]), n_threads)
    return places


def _symmetric_edges(neighbors: Found) -> tuple[Any, NDArray[np.bool_]]:
    """Return the squared distances between neighbours in either direction, as a CSR matrix.

    The second array has for each entry (i, j) whether i is among the neighbours of j.
    """
    indices, squares = neighbors
    n, k = indices.shape
    # A distance of 0 would be no entry.
    unsorted = sparse.csr_matrix(
        (np.maximum(squares, _TINY).ravel(), indices.ravel(), np.arange(0, n * k + 1, k)),
        shape=(n, n),
    )
    # A transposition sorts indices. If these are sorted, the sum and the maximum of two matrices
    # have their entries in the same order.
    listed_by = unsorted.T.tocsr()
    lists = listed_by.T.tocsr()
    directions = lists.sign() + 2.0 * listed_by.sign()
    return lists.maximum(listed_by), directions.data >= 2.0


def _blocks_of_equal_width(widths: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Return all places in blocks of one width and of at most _BLOCK_EDGES edges."""
    order = np.argsort(widths, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(widths[order])) + 1)
    return [
        group[part]
        for group in groups
        for part in gen_batches(len(group), max(1, _BLOCK_EDGES // widths[group[0]]))
    ]


def across_gaps(
    embedding: NDArray[np.float32],
    rows: Anchors,
    places: NDArray[np.float32],
    n_threads: int,
) -> NDArray[np.bool_]:
    """Return for which rows the straight way from the point to its new place crosses a gap.

    A gap is where the nearest point of the map is more than `_GAP` times as far as usual neighbours
    are: the median distance to the `_SPACING`-th nearest point.
    """
    tree = cKDTree(embedding, balanced_tree=False)
    some = embedding[:: max(1, len(embedding) // _SPACING_ROWS)]
    k = min(_SPACING + 1, len(embedding))
    gap = _GAP * float(np.median(tree.query(some, k)[0][:, -1]))
    way = places.astype(np.float64) - embedding[rows]
    # No point of a shorter way is so far from its beginning.
    far = np.flatnonzero(np.linalg.norm(way, axis=1) > gap)
    crossed = np.zeros(len(rows), dtype=bool)
    shares = np.linspace(0.0, 1.0, _STOPS + 1)[1:, np.newaxis]

    def look(part: slice) -> None:
        own = far[part]
        stops = embedding[rows[own], np.newaxis, :] + shares * way[own, np.newaxis, :]
        crossed[own] = (tree.query(stops)[0] > gap).any(axis=1)

    in_threads(look, gen_batches(len(far), _QUERIES) if len(far) else [], n_threads)
    return crossed
