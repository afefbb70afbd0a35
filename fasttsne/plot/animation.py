"""How a map came about, as a moving picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, Literal

from numpy.typing import ArrayLike

from fasttsne.plot.axes import check_map, new_axes
from fasttsne.plot.points import scatter
from fasttsne.runtime.files import replacing

_FORMATS = {".gif": "pillow", ".mp4": "ffmpeg"}


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
    """Write an animation of a map that changes, as a GIF or an MP4.

    The window follows the map, which grows ten-thousandfold while it is drawn. The last
    snapshot stays for two seconds, with the names of its classes.

    Parameters
    ----------
    snapshots : sequence
        The map at one moment after the other, rows in the same order throughout: arrays of
        shape (n_samples, 2), or what :class:`~fasttsne.TSNE` hands its `callback`.

    path : str or path-like
        The file to write. Its ending decides: ``.gif``, or ``.mp4`` which needs the program
        ffmpeg, from the system or from the extra ``video``. What is there is replaced once the
        new one is complete.

    labels : array-like of shape (n_samples,), default=None
        As for :func:`scatter`.

    titles : sequence of str, default=None
        What to write above each snapshot. None writes the iteration, where it is known.

    fps : int, default=12
        Snapshots a second.

    width : float, default=5.0
        Width of the picture in inches.

    dpi : int, default=100
        Pixels an inch.

    size : float, default=None
        Area of a mark in square points. None chooses it as in :func:`scatter`.

    Returns
    -------
    path : pathlib.Path
        The file that was written.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    RuntimeError
        If `path` ends in ``.mp4`` and the program ffmpeg is not found, or fails.
    ValueError
        If there is no snapshot, if snapshots differ in their number of points, if there are not
        as many titles as snapshots, or if `path` has another ending.

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
        raise ValueError("snapshots must hold at least one map; got none")
    if len({len(Y) for Y in maps}) > 1:
        raise ValueError("snapshots must all have the same number of points")
    if titles is not None and len(titles) != len(maps):
        raise ValueError(f"titles must be as many as snapshots, {len(maps)}; got {len(titles)}")
    if titles is None:
        iterations = [getattr(snapshot, "iteration", None) for snapshot in snapshots]
        titles = [" " if i is None else f"iteration {i:,}" for i in iterations]
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"path must end in .gif or .mp4; got {str(path)!r}")
    ax = new_axes(width, width)
    from matplotlib import pyplot

    try:
        return _write(ax, maps, path, labels, titles, fps, dpi, size)
    finally:
        pyplot.close(ax.figure.canvas.figure)


def _write(
    ax: Any,
    maps: list[Any],
    path: Path,
    labels: ArrayLike | None,
    titles: Sequence[str],
    fps: int,
    dpi: int,
    size: float | None,
) -> Path:
    from matplotlib import rc_context
    from matplotlib.animation import FuncAnimation, writers

    def draw(frame: int) -> list[Any]:
        ax.clear()
        last = frame >= len(maps) - 1
        frame = min(frame, len(maps) - 1)
        names: Literal["map"] | None = "map" if last else None
        scatter(maps[frame], labels, ax=ax, title=titles[frame], size=size, names=names)
        return []

    held = len(maps) + 2 * fps - 1
    name = _FORMATS[path.suffix.lower()]
    with rc_context(_programs(name)):
        if not writers.is_available(name):
            raise RuntimeError(
                f"writing {path.name} needs the program {name}, which is not on PATH: pip install "
                "'fasttsne[video]' brings it; or write a .gif"
            )
        animation = FuncAnimation(ax.figure, draw, frames=held, init_func=list, interval=1000 / fps)
        with replacing(path) as unfinished:
            try:
                animation.save(unfinished, writer=writers[name](fps=fps), dpi=dpi)
            except CalledProcessError as error:
                said = str(error.stderr or "").strip().splitlines()
                reason = said[0] if said else f"status {error.returncode}"
                raise RuntimeError(f"{name} could not write {path}: {reason}") from error
    return path


def _programs(writer_name: str) -> Any:
    """Tell matplotlib where ffmpeg is, if it does not find it and a package has brought one."""
    from matplotlib.animation import writers

    if writer_name != "ffmpeg" or writers.is_available(writer_name):
        return {}
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ModuleNotFoundError:
        return {}
    return {"animation.ffmpeg_path": get_ffmpeg_exe()}
