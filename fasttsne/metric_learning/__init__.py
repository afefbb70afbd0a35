"""Learn a distance or a ranking, and judge rankings, without a deep-learning framework.

- `fasttsne.metric_learning.losses`: losses of embeddings, with gradients.
- `fasttsne.metric_learning.mining`: pairs and triplets of a batch to learn from.
- `fasttsne.metric_learning.sampling`: noise distributions, and losses that learn from samples.
- `fasttsne.metric_learning.learning_to_rank`: losses of scores, with gradients.
- `fasttsne.metric_learning.ranking`: measures of rankings, which are all here as well.
- `fasttsne.metric_learning.boosting`: objectives and metrics for LightGBM and XGBoost.
- `fasttsne.metric_learning.learners`: estimators that train on the losses.

docs/metric-learning.md derives the losses from each other; docs/rankings.md is about rankings. Both
list conventions.
"""

from fasttsne.metric_learning.ranking import *  # noqa: F403
from fasttsne.metric_learning.ranking import __all__ as __all__
