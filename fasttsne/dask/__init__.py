"""t-SNE of more samples than fit into memory, or on one machine, with Dask.

`TSNE` fits a sample of the rows, the landmarks, and places all other rows on their map, block by
block. `transform` places rows on the map of a model that was fitted anywhere. `quality` evaluates a
large map by the measures of `fasttsne.quality`. The active scheduler of Dask distributes the work.
Requires the extra ``dask``.
"""

try:
    import dask.array  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fasttsne.dask requires Dask, which is not installed: "
        f"python -m pip install 'fasttsne[dask]' ({error})"
    ) from error

from fasttsne.dask.estimator import TSNE
from fasttsne.dask.quality import quality
from fasttsne.dask.transform import transform

__all__ = ["TSNE", "quality", "transform"]
