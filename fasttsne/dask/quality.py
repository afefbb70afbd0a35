"""How good a large map is: some rows, ranked against all, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fasttsne.quality import Report
from fasttsne.quality.anchors import RandomState, Sample
from fasttsne.quality.distances import Metric

__all__ = ["quality"]


def quality(
    X: Any,
    Y: Any,
    labels: Any = None,
    *,
    sample: Sample = 1000,
    n_neighbors: int = 10,
    curve: bool = False,
    metric: Metric = "euclidean",
    metric_params: Mapping[str, Any] | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> Report:
    raise NotImplementedError
