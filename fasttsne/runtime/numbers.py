"""Numbers of any type -> Python's int and float, which do not overflow or round."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator

Function = TypeVar("Function", bound=Callable[..., Any])


def plain(value: Any) -> Any:
    """Return a number as int or float, and anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _plain_values(values: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in values.items()}


def with_plain_numbers(function: Function) -> Function:
    """Make numbers among the arguments plain, and parameters of an estimator during the call.

    Underflow is no error in it, whatever `numpy.seterr` was told.
    """

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        attributes = vars(args[0]) if args and isinstance(args[0], BaseEstimator) else {}
        given = {name: value for name, value in attributes.items() if not name.endswith("_")}
        given = {name: value for name, value in given.items() if plain(value) is not value}
        attributes.update(_plain_values(given))
        try:
            with np.errstate(under="ignore"):
                return function(*map(plain, args), **_plain_values(kwargs))
        finally:
            attributes.update(given)

    return called  # type: ignore[return-value]
