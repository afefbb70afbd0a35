"""The former place of `fasttsne.neighbors.metrics.METRICS`."""

from fasttsne.neighbors.metrics import METRICS as METRICS
