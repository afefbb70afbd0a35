"""Snapshots of a map as an animation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.plot.axes import check_map, new_axes
from fasttsne.plot.points import scatter
from fasttsne.runtime.files import replacing

_WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


def animate(
    snapshots: Sequence[Any],
    path: str | os.PathLike[str],
    labels: ArrayLike | None = None,
    *,
    titles: Sequence[str] | None = None,
    fps: int = 12,
    width: float = 5.0,
    dpi: int = 100,
    size: float | None = None,
) -> Path:
    """Write an animation of a changing map, as a GIF or an MP4.

    The window follows the map, which grows ten-thousandfold during a fit. The last snapshot stays
    for two seconds, with the names of its classes.

    Parameters
    ----------
    snapshots : sequence
        Maps in order of time, all with the same rows: arrays of shape (n_samples, 2), or what
        :class:`~fasttsne.TSNE` passes to its `callback`.
    path : str or path-like
        File to write, which ends in ``.gif`` or ``.mp4``. MP4 requires the program ffmpeg, from the
        system or from the package imageio-ffmpeg. An existing file is replaced when the new one is
        complete.
    labels : array-like of shape (n_samples,), default=None
        See :func:`scatter`.
    titles : sequence of str, default=None
        Title of each snapshot. None writes the iteration, if it is known.
    fps : int, default=12
        Snapshots per second.
    width : float, default=5.0
        Width of the picture in inches.
    dpi : int, default=100
        Pixels per inch.
    size : float, default=None
        See :func:`scatter`.

    Returns
    -------
    path : pathlib.Path
        The file.

    Raises
    ------
    ImportError, RuntimeError
        If matplotlib is not installed; for MP4 if the program ffmpeg is not found or fails.
    ValueError
        If there is no snapshot, if snapshots differ in their number of points, if there is not one
        title per snapshot, or if `path` has another ending.

    Examples
    --------
    >>> import numpy as np
    >>> from fasttsne.plot import animate
    >>> start = np.random.default_rng(0).normal(size=(50, 2))
    >>> animate([start, start**3], "change.gif", fps=4, width=2.0, dpi=50).name
    'change.gif'
    """
    path = Path(path)
    maps = [check_map(getattr(snapshot, "embedding", snapshot)) for snapshot in snapshots]
    if not maps:
        raise ValueError("snapshots must contain at least one map; got none")
    if len({len(Y) for Y in maps}) > 1:
        raise ValueError("snapshots must all have the same number of points")
    if titles is None:
        iterations = [getattr(snapshot, "iteration", None) for snapshot in snapshots]
        titles = [" " if i is None else f"iteration {i:,}" for i in iterations]
    if len(titles) != len(maps):
        raise ValueError(f"titles must be as many as snapshots, {len(maps)}; got {len(titles)}")
    if path.suffix.lower() not in _WRITERS:
        raise ValueError(f"path must end in .gif or .mp4; got {str(path)!r}")
    name = _WRITERS[path.suffix.lower()]
    ax = new_axes(width, width)
    figure = ax.figure.canvas.figure
    from matplotlib import pyplot, rc_context
    from matplotlib.animation import FuncAnimation, writers

    def draw(frame: int) -> list[Any]:
        ax.clear()
        at = min(frame, len(maps) - 1)
        names: Any = "map" if at == len(maps) - 1 else None
        scatter(maps[at], labels, ax=ax, title=titles[at], size=size, names=names)
        x, y = ax.get_xlim(), ax.get_ylim()
        half = max(np.ptp(x), np.ptp(y)) * np.array([-0.5, 0.5])  # the same frame for all
        ax.set(xlim=np.mean(x) + half, ylim=np.mean(y) + half)
        return []

    held = len(maps) + 2 * fps - 1
    try:
        with rc_context(_programs(name)), replacing(path) as unfinished:
            if not writers.is_available(name):
                raise RuntimeError(
                    f"writing {path.name} requires the program {name}, which is not on PATH; "
                    "pip install imageio-ffmpeg, or write a .gif"
                )
            film = FuncAnimation(figure, draw, frames=held, init_func=list, interval=1000 / fps)
            film.save(unfinished, writer=writers[name](fps=fps), dpi=dpi)
    except CalledProcessError as error:
        printed = str(error.stderr or "").strip().splitlines()
        reason = printed[0] if printed else f"status {error.returncode}"
        raise RuntimeError(f"{name} could not write {path}: {reason}") from error
    finally:
        pyplot.close(figure)
    return path


def _programs(writer_name: str) -> Any:
    """Return matplotlib's setting for the ffmpeg of imageio_ffmpeg, if it finds no other."""
    from matplotlib.animation import writers

    if writer_name != "ffmpeg" or writers.is_available(writer_name):
        return {}
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ModuleNotFoundError:
        return {}
    return {"animation.ffmpeg_path": get_ffmpeg_exe()}
