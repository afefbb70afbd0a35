"""Maps and axes for tests of pictures, and what was drawn."""

import numpy as np
from matplotlib.figure import Figure


def axes(width=6.0, height=6.0):
    return Figure(figsize=(width, height)).add_subplot()


def rings(n_classes, n_each=20, radius=10.0, seed=0):
    """Classes in a ring: a small radius puts them all on top of each other."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), n_each)
    angle = 2 * np.pi * labels / n_classes
    centers = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return centers + rng.normal(size=(len(labels), 2)), labels


def colors_of(ax):
    """The colour of each point, rounded, by its coordinates."""
    (marks,) = ax.collections
    return colors_at(marks.get_offsets(), marks.get_facecolors())


def colors_at(Y, colors):
    colors = map(tuple, np.round(np.atleast_2d(colors)[:, :3], 6))
    return dict(zip(map(tuple, np.asarray(Y)), colors, strict=True))


def boxes_of(texts):
    """Name and corners of each text, in pixels."""
    for text in texts:
        extent = text.get_window_extent()
        yield text.get_text(), np.array(extent.min), np.array(extent.max)


def misplaced(ax):
    """Names that overlap another, or are not inside the axes."""
    ax.figure.canvas.figure.draw_without_rendering()
    window = ax.get_window_extent()
    boxes = list(boxes_of(ax.texts))
    return [
        name
        for i, (name, low, high) in enumerate(boxes)
        if np.any(low < np.array(window.min) - 1)
        or np.any(high > np.array(window.max) + 1)
        or any(np.all(low < high2) and np.all(low2 < high) for _, low2, high2 in boxes[i + 1 :])
    ]
