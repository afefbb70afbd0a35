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


def with_plain_numbers(function: Function) -> Function:
    """Make numbers among the arguments plain, and parameters of an estimator during the call.

    Underflow is no error in it, whatever `numpy.seterr` was told.
    """

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else None
        given = {
            name: value
            for name, value in (vars(first) if isinstance(first, BaseEstimator) else {}).items()
            if plain(value) is not value and not name.endswith("_")
        }
        for name, value in given.items():
            setattr(first, name, plain(value))
        try:
            with np.errstate(under="ignore"):
                return function(*map(plain, args), **{name: plain(kwargs[name]) for name in kwargs})
        finally:
            for name, value in given.items():
                setattr(first, name, value)

    return called  # type: ignore[return-value]
