"""fasttsne: learn the distance, draw the map, judge the map.

`TSNE` is a drop-in for `sklearn.manifold.TSNE` on C kernels. `show_config` tells which
instruction set, how many threads and which BLAS it runs on.
"""

from importlib.metadata import version

from fasttsne.config import show_config
from fasttsne.tsne import TSNE

__version__ = version("fasttsne")

__all__ = ["TSNE", "__version__", "show_config"]
