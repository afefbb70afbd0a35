"""X -> the k nearest neighbours of every sample, and of new ones."""

from fasttsne.neighbors.search import nearest_neighbors

__all__ = ["nearest_neighbors"]
