"""What is made of a map: its picture, its page and its report."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasttsne.cli import write as outputs
from fasttsne.cli.messages import Refusal
from fasttsne.runtime.files import replacing

if TYPE_CHECKING:
    from fasttsne.quality import Report

_JUDGED = 5_000  # points, of more: enough for three digits


def check_pictures(args: argparse.Namespace, *, flat: bool) -> None:
    """Refuse, before any work, what cannot be drawn or written of a map.

    Parameters
    ----------
    args : argparse.Namespace
        The options.

    flat : bool
        Whether the map is one of two dimensions.

    Raises
    ------
    Refusal
        Naming the option and the remedy.
    """
    for option, path in (("--plot", args.plot), ("--html", args.html)):
        if path is not None and not flat:
            raise Refusal(f"{option} draws in the plane; leave it out, or --n-components")
    if args.plot is not None:
        outputs.check_output(args.plot, "--plot", _picture_kinds(), args.force)
    if args.html is not None:
        outputs.check_output(args.html, "--html", (".html", ".htm"), args.force)
        _check_plotly()
    if args.report is not None:
        outputs.check_output(args.report, "--report", (".txt", ".json"), args.force)


def _picture_kinds() -> tuple[str, ...]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise Refusal("--plot needs matplotlib: pip install 'fasttsne[plot]'") from error
    return tuple(f".{kind}" for kind in sorted(Figure().canvas.get_supported_filetypes()))


def _check_plotly() -> None:
    try:
        import plotly  # noqa: F401
    except ModuleNotFoundError as error:
        raise Refusal("--html needs plotly: pip install 'fasttsne[html]'") from error


def draw(path: Path, Y: NDArray[np.float32], labels: Any, title: str) -> bool:
    """Draw a map into a file.

    Parameters
    ----------
    path : pathlib.Path
        The file; its ending decides on the kind of picture.

    Y : ndarray of shape (n_samples, 2)
        The map.

    labels : array-like of shape (n_samples,) or None
        Classes or a quantity.

    title : str
        Written above.

    Returns
    -------
    legible : bool
        Whether the font has all signs that are written.
    """
    from matplotlib.figure import Figure

    from fasttsne.plot import scatter

    figure = Figure(figsize=(8, 8), dpi=150, layout="constrained")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # A dollar sign in the name of a file begins no formula.
        scatter(Y, labels, ax=figure.add_subplot(), title=title.replace("$", r"\$"))
        # Some versions of matplotlib hide a disk that is full behind a fault of their own.
        picture = BytesIO()
        figure.savefig(picture, format=path.suffix.lower().removeprefix("."))
    with replacing(path) as unfinished:
        unfinished.write_bytes(picture.getbuffer())
    unknown = [warning for warning in caught if _is_of_glyphs(str(warning.message))]
    for warning in caught:
        if warning not in unknown:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return not unknown


def _is_of_glyphs(message: str) -> bool:
    """Tell whether a warning is of signs that are "missing from font(s) ...", or "current font"."""
    return "missing from" in message and "font" in message


def judge(
    X: Any,
    Y: NDArray[Any],
    labels: Any,
    *,
    metric: Any = "euclidean",
    n_neighbors: int | None = None,
    sample: int | None = _JUDGED,
    n_jobs: int | None = None,
) -> Report:
    """Judge a map by some of its points at the most.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
        The data.

    Y : ndarray of shape (n_samples, n_components)
        The map.

    labels : array-like of shape (n_samples,) or None
        Classes.

    metric : str, default="euclidean"
        Distance between rows of `X`.

    n_neighbors : int, default=None
        Size of a neighbourhood; None takes 10, or as many as there can be where these are fewer.

    sample : int or None, default=5000
        How many points to judge, each against all; None judges all.

    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    report : Report
        What :func:`fasttsne.quality.report` returns.
    """
    from fasttsne.quality import report

    n_samples = len(Y)
    return report(
        X,
        Y,
        labels,
        metric=metric,
        n_neighbors=min(10, (n_samples - 1) // 2) if n_neighbors is None else n_neighbors,
        sample=None if sample is None or n_samples <= sample else sample,
        random_state=0,
        n_jobs=n_jobs,
    )


def write_report(path: Path, report: Report) -> None:
    """Write a report as text, or as JSON.

    Parameters
    ----------
    path : pathlib.Path
        The file; its ending decides.

    report : Report
        What to write.
    """
    if path.suffix.lower() == ".json":
        outputs.write_text(path, json.dumps(report.to_dict(), indent=2, default=_listed) + "\n")
    else:
        outputs.write_text(path, f"{report}\n")


def _listed(value: Any) -> Any:
    return value.tolist()


def hover_texts(columns: Mapping[str, Any], keep: list[str]) -> list[str] | None:
    """Write the columns that go along as the text of each point.

    Parameters
    ----------
    columns : dict of str to array-like of shape (n_samples,)
        All that go along.

    keep : list of str
        Those that are written.

    Returns
    -------
    texts : list of n_samples str, or None
        None if there are none to write.
    """
    if not keep:
        return None
    kept = [np.asarray(columns[name]).astype(object) for name in keep]
    return [
        "\n".join(f"{name}: {value}" for name, value in zip(keep, row, strict=True))
        for row in zip(*kept, strict=True)
    ]
