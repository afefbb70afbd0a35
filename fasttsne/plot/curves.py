"""Curves about a map: how well it keeps neighbourhoods of every size, and its KL divergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.plot.axes import new_axes, prepare_curve, write_legend
from fasttsne.plot.colors import PALETTE
from fasttsne.plot.names import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = ("-", "--", ":", "-.")  # keep curves apart in black and white


def r_nx_curve(
    X: Any,
    Y: ArrayLike | Mapping[str, ArrayLike],
    *,
    metric: str = "euclidean",
    sample: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how much better than chance maps keep neighbourhoods of every size.

    The curves are those of :func:`fasttsne.quality.r_nx`. The size is on a logarithmic scale: close
    neighbours at the left, the arrangement as a whole at the right. A perfect map has 1, a random
    one 0. The legend has the area under each curve (:func:`fasttsne.quality.r_nx_auc`).

    Parameters
    ----------
    X
        See :func:`fasttsne.quality.q_nx`.
    Y : array-like of shape (n_samples, n_components), or dict
        The map, rows in the order of `X`; or several maps by name.
    metric, sample, random_state, n_jobs : optional
        See :func:`fasttsne.quality.q_nx`.
    ax, title
        See :func:`scatter`. A new figure is 4 inches high.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ImportError, ValueError
        If `Y` is an empty dict, or as :func:`scatter` and :func:`fasttsne.quality.q_nx`.

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
    from fasttsne.quality.curves import area_under, r_nx

    maps = dict(Y) if isinstance(Y, Mapping) else {"": Y}
    if not maps:
        raise ValueError("Y must be a map or a dict of at least one map; got an empty dict")
    options = {"metric": metric, "sample": sample, "random_state": random_state, "n_jobs": n_jobs}
    curves = {name: r_nx(X, one, **options) for name, one in maps.items()}
    ax = ax or new_axes(6 if len(maps) == 1 else 8, 4)
    prepare_curve(ax, title, "number of neighbours K", "$R_{NX}(K)$, improvement on chance")
    names = []
    for i, (name, (sizes, values)) in enumerate(curves.items()):
        color, dashes = PALETTE[i % len(PALETTE)], _DASHES[i % len(_DASHES)]
        ax.plot(sizes, values, color=color, linestyle=dashes)
        area = area_under(sizes, values)
        names.append(f"{plain(str(name))} (area {area:.3f})" if name != "" else f"area {area:.3f}")
    ax.set_xscale("log")
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.0)
    beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if len(maps) > 1 else {}
    write_legend(ax, ax.lines[-len(names) :], names, **beside)
    return ax


def history(fitted: Any, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Draw the KL divergence over the iterations of a fit.

    Parameters
    ----------
    fitted : TSNE or dict
        A fitted estimator, or its `history_`: arrays `iteration` and `kl_divergence`.
    ax, title
        See :func:`scatter`. A new figure has 6 x 4 inches.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ImportError, ValueError
        If matplotlib is not installed, the estimator not fitted, or its history empty.

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
        raise ValueError("fitted must be a fitted TSNE or its history_; call fit first")
    iteration, divergence = (np.asarray(steps[key]) for key in ("iteration", "kl_divergence"))
    if len(iteration) == 0:
        raise ValueError("fitted must have a history of at least one value; got none")
    ax = ax or new_axes(6, 4)
    prepare_curve(ax, title, "iteration", "KL divergence")
    ax.plot(iteration, divergence, color=PALETTE[0], marker="o", markersize=3)
    last = iteration[-1], divergence[-1]
    above: dict[str, Any] = {"xytext": (0, 7), "textcoords": "offset points", "ha": "right"}
    ax.annotate(f"{divergence[-1]:.3f}", last, color="#777777", **above)
    return ax


def perplexity_curve(choice: Any, *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Draw what maps at several perplexities keep, and how many of their points are unreliable.

    The curves at the left scale are R_NX averaged over small, large and all neighbourhoods; larger
    is better. Dots at the right scale are the percentages of jumping and dubious points; smaller
    is better. A vertical line marks the best perplexity, by the area under R_NX.

    Parameters
    ----------
    choice : PerplexityChoice
        The result of :func:`fasttsne.quality.choose_perplexity`.
    ax, title
        See :func:`scatter`. A new figure has 8 x 4 inches.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes of the left scale.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fasttsne.plot import perplexity_curve
    >>> from fasttsne.quality import choose_perplexity
    >>> ax = perplexity_curve(choose_perplexity(load_iris().data, [5, 15, 40]))
    >>> ax.get_xlabel()
    'perplexity'
    """
    ax = ax or new_axes(8, 4)
    prepare_curve(ax, title, "perplexity", "mean of $R_{NX}$")
    at, handles, names = np.asarray(choice.perplexities), [], []
    curves = {
        "local": "small neighbourhoods, to 30",
        "r_nx_auc": "all (AUC)",
        "global": "large neighbourhoods",
    }
    for i, (name, text) in enumerate(curves.items()):
        line = ax.plot(at, choice.figures[name], color=PALETTE[i], linestyle=_DASHES[i], marker=".")
        handles.append(line[0])
        names.append(text)
    right = ax.twinx()
    right.spines[["top", "left"]].set_visible(False)
    right.set_ylabel("points, %")
    for i, (name, marker) in enumerate({"jumping": "o", "dubious": "s"}.items(), start=3):
        share = 100.0 * choice.figures[name]
        dots = right.plot(at, share, color=PALETTE[i], marker=marker, linestyle="none", alpha=0.8)
        handles.append(dots[0])
        names.append(f"{name} points (right)")
    right.set_ylim(0.0, max(1.0, 1.15 * right.get_ylim()[1]))
    mark = ax.axvline(choice.best, color="#777777", linewidth=0.8, linestyle=":")
    handles.append(mark)
    names.append(f"best: perplexity {choice.best:g}")
    ax.set_xscale("log")
    ax.set_xticks(at, [f"{p:g}" for p in at])
    ax.set_xticks([], minor=True)
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), None)
    write_legend(ax, handles, names, loc="upper left", bbox_to_anchor=(1.1, 1.0))
    return ax
