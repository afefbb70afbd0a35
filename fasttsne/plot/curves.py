"""Curves about a map: neighbourhoods kept at every size, and how the descent went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasttsne.plot.axes import new_axes, prepare_curve, write_legend
from fasttsne.plot.colors import PALETTE
from fasttsne.plot.names import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ("-", "--", ":", "-.")  # so that curves stay apart in print
_GREY = "#777777"


def r_nx_curve(
    X: Any,
    Y: ArrayLike | Mapping[str, ArrayLike],
    *,
    metric: str = "euclidean",
    sample: Any = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how far maps improve on chance at keeping neighbourhoods, for every size of these.

    The size is on a logarithmic scale: at the left stand close neighbours, at the right the
    arrangement as a whole. 1 is a perfect map, 0 a random one.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data, one sample per row.

    Y : array-like of shape (n_samples, n_components), or dict
        The map, rows in the order of `X`; or several maps by their names.

    metric, sample, random_state, n_jobs : optional
        As for :func:`fasttsne.quality.r_nx`.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a new figure, 4 inches high.

    title : str, default=None
        Written above the curves, at the left.

    Returns
    -------
    ax : matplotlib.axes.Axes
        What was drawn on.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `Y` is an empty dict, or what :func:`fasttsne.quality.r_nx` refuses.

    Notes
    -----
    Several maps are named in the legend, each with the area under its curve: the mean of R_NX
    with weights 1/K, as :func:`fasttsne.quality.r_nx_auc` has it.

    References
    ----------
    .. [1] J. A. Lee, D. H. Peluffo-Ordóñez, M. Verleysen (2015). Multi-scale similarities in
       stochastic neighbour embedding: reducing dimensionality while preserving both local and
       global structure. Neurocomputing 169, 246-261.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from fasttsne.plot import r_nx_curve
    >>> X = load_iris().data
    >>> ax = r_nx_curve(X, {"PCA": PCA(2).fit_transform(X), "two columns": X[:, :2]})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['PCA (area 0.6...)', 'two columns (area 0.4...)']
    """
    from fasttsne.quality import r_nx

    maps = dict(Y) if isinstance(Y, Mapping) else {"": Y}
    if not maps:
        raise ValueError("Y must be a map or a dict of at least one map; got an empty dict")
    options = {"metric": metric, "sample": sample, "random_state": random_state, "n_jobs": n_jobs}
    curves = {name: r_nx(X, one, **options) for name, one in maps.items()}
    if ax is None:
        ax = new_axes(6 if len(maps) == 1 else 8, 4)
    prepare_curve(ax, title, "number of neighbours K", "$R_{NX}(K)$, improvement on chance")
    names = []
    for i, (name, (sizes, values)) in enumerate(curves.items()):
        area = np.average(values, weights=1 / sizes)
        ax.plot(
            sizes,
            values,
            color=PALETTE[i % len(PALETTE)],
            linestyle=_DASHES[i % len(_DASHES)],
        )
        names.append(f"{plain(str(name))} (area {area:.3f})" if name != "" else f"area {area:.3f}")
    ax.set_xscale("log")
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.0)
    beside: dict[str, Any] = (
        {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if len(maps) > 1 else {}
    )
    write_legend(ax, ax.lines[-len(names) :], names, **beside)
    return ax


def history(
    fitted: Any,
    *,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how the KL divergence fell while a map was drawn.

    Parameters
    ----------
    fitted : TSNE or dict
        A fitted estimator, or its `history_`: arrays `iteration` and `kl_divergence`.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a new figure of 6 x 4 inches.

    title : str, default=None
        Written above the curve, at the left.

    Returns
    -------
    ax : matplotlib.axes.Axes
        What was drawn on.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the estimator is not fitted, or there is nothing to draw.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne import TSNE
    >>> from fasttsne.plot import history
    >>> ax = history(TSNE(random_state=0).fit(load_iris().data))
    >>> ax.get_ylabel()
    'KL divergence'
    """
    steps = fitted if isinstance(fitted, Mapping) else getattr(fitted, "history_", None)
    if steps is None:
        raise ValueError("fitted must be a TSNE that was fitted, or its history_; call fit first")
    iteration, divergence = (np.asarray(steps[key]) for key in ("iteration", "kl_divergence"))
    if len(iteration) == 0:
        raise ValueError("fitted must have looked at the divergence at least once")
    if ax is None:
        ax = new_axes(6, 4)
    prepare_curve(ax, title, "iteration", "KL divergence")
    ax.plot(iteration, divergence, color=PALETTE[0], marker="o", markersize=3)
    _write_last(ax, iteration, divergence)
    return ax


def _write_last(ax: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Write the last value at the end of its curve."""
    ax.annotate(
        f"{y[-1]:.3f}",
        (x[-1], y[-1]),
        xytext=(0, 7),
        textcoords="offset points",
        ha="right",
        color=_GREY,
    )
