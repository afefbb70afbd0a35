"""Losses that are given to a learner: what they are called with, and what they give back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from fasttsne.metric_learning.checks import Floats


def check_params(
    name: str, loss: Callable[..., Any], params: Mapping[str, Any], ours: Collection[str]
) -> None:
    """Refuse keyword arguments that a loss does not have, or that are the learner's to give.

    Raises
    ------
    ValueError
        Naming what there is.
    """
    known = [
        parameter.name
        for parameter in inspect.signature(loss).parameters.values()
        if parameter.default is not parameter.empty and parameter.name not in ours
    ]
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ValueError(
            f"loss_params has {', '.join(map(repr, unknown))}, which loss={name!r} does not take; "
            f"it takes {', '.join(map(repr, known)) or 'none'}"
        )


def checked(result: Any, shape: tuple[int, ...], by: str) -> tuple[float, Floats]:
    """Check what a loss gives back: a number, and a gradient of this shape.

    Raises
    ------
    ValueError
        If it is something else.
    """
    value, gradient = result
    gradient = np.asarray(gradient, dtype=np.float64)
    if np.ndim(value) != 0 or gradient.shape != shape:
        raise ValueError(
            f"loss must return a number and a gradient in the shape of the {by}, {shape}; got "
            f"shapes {np.shape(value)} and {gradient.shape}"
        )
    return float(value), gradient
