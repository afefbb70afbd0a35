"""Maps of more samples than fit into memory, or on one machine, by landmarks and blocks on Dask.

`TSNE` fits a seeded sample of rows, the landmarks, and places all others by
`fasttsne.TSNE.transform`, block by block; `transform` does the second with a model fitted
anywhere, and `quality` judges the map by the measures of `fasttsne.quality`. Dask's scheduler,
whichever is active, distributes the work; the extra ``dask`` installs it.
"""

try:
    import dask.array  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fasttsne.dask runs on Dask, which is not installed: "
        f"python -m pip install 'fasttsne[dask]' ({error})"
    ) from error

from fasttsne.dask.estimator import TSNE
from fasttsne.dask.quality import quality
from fasttsne.dask.transform import transform

__all__ = ["TSNE", "quality", "transform"]
