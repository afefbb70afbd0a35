"""`random_state` of any kind -> the RandomState that draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.utils

Seed = int | np.random.RandomState | np.random.Generator | None

# Of a parameter `random_state`, as scikit-learn checks it.
CONSTRAINT: list[Any] = ["random_state", np.random.Generator]


def check_random_state(random_state: Seed) -> np.random.RandomState:
    """Return the source of random numbers; a Generator gives its stream, which draws advance."""
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.bit_generator)
    return sklearn.utils.check_random_state(random_state)
