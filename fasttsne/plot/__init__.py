"""Maps shown so that they can be read, and told from what they do not show.

Pictures go onto axes of matplotlib, which is imported when the first is drawn: it is the extra
``plot``. :func:`html` writes a page to explore, and needs the extra ``html``.
"""

from fasttsne.plot.animation import animate
from fasttsne.plot.colors import PALETTE
from fasttsne.plot.curves import history, r_nx_curve
from fasttsne.plot.page import html
from fasttsne.plot.points import quality_map, scatter

__all__ = ["PALETTE", "animate", "history", "html", "quality_map", "r_nx_curve", "scatter"]
