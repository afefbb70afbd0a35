"""Pictures of maps, of their quality and of their history.

Pictures are drawn on axes of matplotlib, which is imported on the first use: install the extra
``plot``. :func:`html` writes a page for a browser; thumbnails on it require the extra ``html``.
:func:`widget` shows the same view in a notebook and requires the extra ``notebook``.
"""

from fasttsne.plot.animation import animate
from fasttsne.plot.colors import PALETTE
from fasttsne.plot.curves import history, perplexity_curve, r_nx_curve
from fasttsne.plot.notebook import widget
from fasttsne.plot.page import html
from fasttsne.plot.points import quality_map, scatter

__all__ = [
    "PALETTE",
    "animate",
    "history",
    "html",
    "perplexity_curve",
    "quality_map",
    "r_nx_curve",
    "scatter",
    "widget",
]
