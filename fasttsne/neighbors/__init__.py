"""X -> the k nearest neighbours of every sample, and of new ones."""

from fasttsne.neighbors.index import neighbor_index
from fasttsne.neighbors.metrics import pairwise_squared_distances
from fasttsne.neighbors.search import nearest_neighbors
from fasttsne.neighbors.transformer import NeighborsTransformer

__all__ = [
    "NeighborsTransformer",
    "nearest_neighbors",
    "neighbor_index",
    "pairwise_squared_distances",
]
