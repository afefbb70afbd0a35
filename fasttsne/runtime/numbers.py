"""Numbers of any type -> Python's int and float, which do not overflow or round, checked."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError

# Annotations that `with_plain_numbers` checks, as it does bool, int, float and Literal.
Positive = float  # above 0
Count = int  # at least 1

_TINIEST, _HUGE = sys.float_info.min, sys.float_info.max
_KINDS: dict[str, tuple[tuple[type, ...], float, float, str]] = {
    "bool": ((bool, np.bool_), 0, 1, "True or False"),
    "int": ((int,), -(2**31), 2**31 - 1, "an integer below 2**31"),
    "Count": ((int,), 1, 2**31 - 1, "an integer of at least 1, below 2**31"),
    "float": ((int, float), -_HUGE, _HUGE, "a finite number"),
    "Positive": ((int, float), _TINIEST, _HUGE, "a finite number above 0"),
}

Function = TypeVar("Function", bound=Callable[..., Any])


def plain(value: Any) -> Any:
    """Return a number as int or float, and anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _checked(name: str, value: Any, annotation: str, scope: dict[str, Any]) -> Any:
    kind = annotation.removesuffix(" | None")
    if kind == "ArrayLike" or (value is None and kind != annotation):
        return value  # an array's type matters
    value = plain(value)
    if kind in _KINDS:
        types, least, largest, words = _KINDS[kind]
        fits = type(value) in types and least <= value <= largest
    else:
        choices = get_args(scope.get(kind)) if get_origin(scope.get(kind)) is Literal else ()
        fits = not choices or (isinstance(value, str | int) and value in choices)
        words = f"one of {', '.join(map(repr, choices))}"
    if not fits:
        raise InvalidParameterError(f"{name}={value!r:.80} must be {words}")
    return value


def with_plain_numbers(function: Function) -> Function:
    """Make numbers among the arguments plain, and parameters of an estimator during the call.

    Arguments are checked by their annotations. Underflow is no error in the call,
    whatever `numpy.seterr` was told.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        attributes = vars(args[0]) if args and isinstance(args[0], BaseEstimator) else {}
        own = {name: value for name, value in attributes.items() if not name.endswith("_")}
        given = {name: value for name, value in own.items() if plain(value) is not value}
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{function.__qualname__}(): {error}") from None
        for name, value in bound.arguments.items():
            annotation = function.__annotations__.get(name, "")
            bound.arguments[name] = _checked(name, value, annotation, function.__globals__)
        attributes.update({name: plain(value) for name, value in given.items()})
        try:
            with np.errstate(under="ignore"):
                return function(*bound.args, **bound.kwargs)
        finally:
            attributes.update(given)

    return called  # type: ignore[return-value]
