"""The learners: their objectives, their descent, their manners, and that they learn."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fasttsne.metric_learning.learners import LinearMetricLearner, LinearRanker

estimator_checks = parametrize_with_checks(
    [
        LinearMetricLearner(),
        LinearMetricLearner(loss="proxy", early_stopping=True, validation_fraction=0.3),
        LinearRanker(),
        LinearRanker(loss="squared"),
    ]
)
names, cases = estimator_checks.args


# A list, because scikit-learn 1.6 gives a generator, which pytest 9 warns of.
@pytest.mark.parametrize(names, list(cases), **estimator_checks.kwargs)
def test_estimator_check(estimator, check):
    check(estimator)
