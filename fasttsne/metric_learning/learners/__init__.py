"""Estimators that train on the losses: a linear metric, and a linear ranker."""

from fasttsne.metric_learning.learners.metric import LinearMetricLearner
from fasttsne.metric_learning.learners.ranker import LinearRanker

__all__ = ["LinearMetricLearner", "LinearRanker"]
