"""X or P -> the first coordinates of the map."""

from fasttsne.initialization.spectral import laplacian_eigenmap
from fasttsne.initialization.start import initial_embedding

__all__ = ["initial_embedding", "laplacian_eigenmap"]
