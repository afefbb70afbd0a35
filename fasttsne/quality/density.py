"""Whether dense regions of the data are dense on the map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne import _kernels
from fasttsne.affinity.conditional import conditional_probabilities
from fasttsne.affinity.joint import joint_probabilities
from fasttsne.affinity.perplexity import neighborhood_of
from fasttsne.affinity.radii import log_radii, standardized
from fasttsne.neighbors.metrics import Metric
from fasttsne.neighbors.search import squared_neighbors
from fasttsne.quality.checks import as_embedding, check_at_least, check_same_length
from fasttsne.runtime.numbers import Positive, with_plain_numbers
from fasttsne.runtime.threads import effective_n_threads
from fasttsne.samples.checks import check_samples
from fasttsne.samples.scaling import ANGULAR
from fasttsne.transform import LARGEST_COORDINATE


@with_plain_numbers
def density_correlation(
    X: Any,
    embedding: ArrayLike,
    *,
    perplexity: Positive = 30.0,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    return_radii: bool = False,
    n_jobs: int | None = None,
) -> float | Any:
    r"""Return the correlation of local radii in the data with those on the map.

    A local radius is the root mean squared distance of a sample to its neighbours in the data:
    small where samples are dense. t-SNE evens radii out; ``TSNE(density=...)`` keeps them.

    .. math:: r_i = \frac12 \log \frac{\sum_j p_{ij} \|x_i - x_j\|^2}{\sum_j p_{ij}}, \qquad
        \rho_i = \frac12 \log \frac{\sum_j u_{ij} \|y_i - y_j\|^2}{\sum_j u_{ij}}, \qquad
        u_{ij} = \frac{1}{1 + \|y_i - y_j\|^2}

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features) or (n_samples, n_samples)
        The data, one sample per row; with ``metric="precomputed"`` distances, dense or as a sparse
        graph of neighbours.
    embedding : array-like of shape (n_samples, n_components)
        The map, rows in the order of `X`.
    perplexity : float, default=30.0
        Perplexity of P, above 0 and less than `n_samples`. Sums are over pairs of which one sample
        is among the int(3 * perplexity + 1) nearest of the other.
    metric, metric_params
        See `trustworthiness`.
    return_radii : bool, default=False
        Also return the radii.
    n_jobs : int or None, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    correlation : float
        Pearson's correlation of :math:`r` and :math:`\rho`, from -1 to 1; larger is better.
    radii : ndarray of float64, shape (n_samples,)
        :math:`e^{r_i}`, in the unit of the distances; with ``return_radii=True``.
    radii_on_map : ndarray of float64, shape (n_samples,)
        :math:`e^{\rho_i}`, in the unit of the map; with ``return_radii=True``.

    Raises
    ------
    TypeError, ValueError
        See `trustworthiness`. ValueError also if all radii in the data or on the map are equal.

    See Also
    --------
    fasttsne.TSNE : Maps that keep radii, with `density`.

    Notes
    -----
    The neighbours in the data are exact. Those on the map are the same samples, not the nearest
    ones there. A sample all of whose neighbours coincide with it counts with the smallest radius of
    the others; 1e-8 is added to squared radii on the map. The weights :math:`u_{ij}` do not depend
    on the degrees of freedom, but on the scale of the map, which t-SNE determines.

    References
    ----------
    .. [1] A. Narayan, B. Berger, H. Cho (2021). Assessing single-cell transcriptomic variability
       through density-preserving data visualization. Nature Biotechnology 39, 765-774. Methods,
       "Local radius".

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne import TSNE
    >>> from fasttsne.quality import density_correlation
    >>> X = np.random.default_rng(0).normal(size=(300, 5))
    >>> X[:150] *= 0.1  # one dense and one wide cluster
    >>> X[150:] += 10.0
    >>> plain, dense = (TSNE(density=d, random_state=0).fit_transform(X) for d in (0.0, 0.5))
    >>> density_correlation(X, plain) < 0.5 < 0.8 < density_correlation(X, dense)
    True
    """
    Y = as_embedding(embedding).astype(np.float64)
    X, exponent = check_samples(X, metric=metric)
    check_same_length(X.shape[0], len(Y))
    check_at_least(3, len(Y))
    neighborhood = neighborhood_of(len(Y), perplexity=perplexity)
    if np.abs(Y).max() > LARGEST_COORDINATE:
        raise ValueError(
            f"embedding has values of magnitude above {LARGEST_COORDINATE:g}, whose squared"
            " distances overflow; divide it by a constant"
        )
    Y -= Y.mean(axis=0)
    n_threads = effective_n_threads(n_jobs)
    indices, squares = squared_neighbors(
        X,
        neighborhood.n_neighbors,
        metric=metric,
        metric_params=metric_params,
        method="exact",
        n_threads=n_threads,
    )
    conditional, _ = conditional_probabilities(
        squares, neighborhood.perplexities, n_threads=n_threads
    )
    graph = joint_probabilities(indices, conditional, n_threads=n_threads)
    in_data = log_radii(indices, squares, conditional)
    on_map = _kernels.local_radii(
        graph.indptr, graph.indices, Y.astype(np.float32), n_threads
    ).astype(np.float64)
    sides = [standardized(logarithms) for logarithms in (in_data, on_map)]
    for side, name in zip(sides, ("X", "embedding"), strict=True):
        if not side.any():
            raise ValueError(f"all local radii of {name} are equal, so they have no correlation")
    correlation = float(np.clip(np.mean(np.prod(sides, axis=0, dtype=np.float64)), -1.0, 1.0))
    if not return_radii:
        return correlation
    radii = np.ldexp(np.exp(0.5 * in_data), 0 if metric in ANGULAR else exponent)
    return correlation, radii, np.exp(0.5 * on_map)
