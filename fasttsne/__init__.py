"""fasttsne: t-SNE maps on C kernels.

`TSNE` is a drop-in for `sklearn.manifold.TSNE` on C kernels. `ContrastiveTSNE` draws maps from
sampled negatives, on the spectrum from t-SNE to UMAP. `show_config` tells which instruction set,
how many threads and which BLAS it runs on.
"""

from importlib.metadata import version

try:
    from fasttsne import _kernels  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fasttsne's kernels are not compiled here. In a checkout of its sources, leave the "
        f"directory or install in place with `python -m pip install -e .` ({error})"
    ) from error

from fasttsne.config import show_config
from fasttsne.contrastive import ContrastiveTSNE
from fasttsne.tsne import TSNE

__version__ = version("fasttsne")

__all__ = ["TSNE", "ContrastiveTSNE", "__version__", "show_config"]
