"""Gradients by central differences: the oracle of every loss and objective."""

import numpy as np
from numpy.testing import assert_allclose


def central_differences(function, x, step=1e-6):
    x = np.asarray(x, dtype=float)
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[place] += step
        behind[place] -= step
        gradient[place] = (function(ahead) - function(behind)) / (ahead[place] - behind[place])
    return gradient


def assert_gradients(function, arrays, rtol=1e-6, atol=1e-9):
    """The gradients that `function` returns with its value are those by each of the arrays."""
    _, gradients = function(*arrays)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for i, gradient in enumerate(gradients):

        def of_one(x, i=i):
            return function(*arrays[:i], x, *arrays[i + 1 :])[0]

        expected = central_differences(of_one, arrays[i])
        assert np.shape(gradient) == expected.shape
        assert_allclose(
            gradient, expected, rtol=rtol, atol=max(rtol * np.abs(expected).max(), atol)
        )
