"""fasttsne: t-SNE maps on C kernels.

`TSNE` is a drop-in for `sklearn.manifold.TSNE` on C kernels. `ContrastiveTSNE` draws maps from
sampled negatives, on the spectrum from t-SNE to UMAP. `load` reads a map that `TSNE.save` wrote.
`show_config` prints the instruction set, the number of threads and the BLAS in use.
`patch_sklearn` makes `sklearn.manifold.TSNE` ours.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fasttsne.contrastive import ContrastiveTSNE
    from fasttsne.patch import patch_sklearn, unpatch_sklearn
    from fasttsne.runtime.config import show_config
    from fasttsne.saving import load
    from fasttsne.tsne import TSNE

__version__ = version("fasttsne")

__all__ = [
    "TSNE",
    "ContrastiveTSNE",
    "__version__",
    "load",
    "patch_sklearn",
    "show_config",
    "unpatch_sklearn",
]

# Imported on first use: scikit-learn takes a second to import, during which the command line could
# not answer Ctrl-C, and metric learning needs no kernels.
_LAZY = {
    "TSNE": "tsne",
    "ContrastiveTSNE": "contrastive",
    "load": "saving",
    "patch_sklearn": "patch",
    "show_config": "runtime.config",
    "unpatch_sklearn": "patch",
}
_MODULES = (
    "affinity",
    "anndata",
    "dask",
    "descent",
    "initialization",
    "metric_learning",
    "neighbors",
    "plot",
    "quality",
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"fasttsne.{name}")  # which makes it an attribute
    if name not in _LAZY:
        raise AttributeError(f"module 'fasttsne' has no attribute {name!r}")
    try:
        import_module("fasttsne._kernels")
    except ImportError as error:
        raise ImportError(
            "fasttsne's kernels are not compiled here. In a checkout of its sources, leave the "
            f"directory or install in place with `python -m pip install -e .` ({error})"
        ) from error
    found = getattr(import_module(f"fasttsne.{_LAZY[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})
