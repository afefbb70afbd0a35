"""Replace `sklearn.manifold.TSNE` in programs that import it, without changing them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import Signature, signature
from numbers import Real
from threading import RLock
from types import ModuleType
from typing import Any

import sklearn.manifold
from sklearn.manifold._t_sne import TSNE as SklearnTSNE

from fasttsne.neighbors.metrics import NOT_OF_ZEROS
from fasttsne.runtime.numbers import plain
from fasttsne.tsne import TSNE as OurTSNE

_log = logging.getLogger("fasttsne")

# self and scikit-learn's parameters, in its order: the first of ours.
_OURS = signature(OurTSNE.__init__).parameters
_FIRST = [*_OURS.values()][: [*_OURS].index("n_jobs") + 1]
_NAMES = [parameter.name for parameter in _FIRST[1:]]

# Packages whose names of the class stay, except sklearn.manifold.TSNE: pickle finds scikit-learn's
# class by its name in sklearn.manifold._t_sne, and those of others derive from it.
_NOT_REPLACED_IN = {"sklearn", "sklearnex", "daal4py", "onedal", "cuml", "fasttsne"}


class TSNE(OurTSNE):
    """The class that replaces `sklearn.manifold.TSNE`: its parameters, and fasttsne's maps.

    A module-level class, so that pickles of it load wherever fasttsne is installed.
    """

    _keeps_rate = False
    __signature__ = Signature(_FIRST[1:])

    def __new__(cls, *args: Any, **params: Any) -> Any:
        """Return scikit-learn's estimator for parameters that only its version has."""
        if cls is TSNE and not {*params} <= {*_NAMES}:
            return _state.original(*args, **params)
        return super().__new__(cls)

    def __init__(self, n_components: int = 2, **params: Any) -> None:
        super().__init__(n_components, **params)
        self._keeps_rate = _state.learning_rate == "keep"  # also in a pickle or clone

    __init__.__signature__ = Signature(_FIRST)  # type: ignore[attr-defined]

    def fit(self, X: Any, y: Any = None) -> TSNE:  # type: ignore[override]
        """Draw the map of `X`, and return the estimator."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Draw the map of `X`, and return it."""
        fitted: Any = self._unfitted()
        try:
            fitted.fit(X)
        except ValueError as error:
            if self.metric not in NOT_OF_ZEROS:
                raise
            _state.say_once(f"scikit-learn draws this map: {error}")
            given = {name: getattr(self, name) for name in _NAMES}
            fitted = _state.original(**given).fit(X)
        finally:  # also where Ctrl-C left a map
            self._take(fitted)
        return self.embedding_

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as that of a `fasttsne.TSNE`, with the learning rate that was used."""
        ours = self._unfitted()
        ours.__dict__.update(_fitted_attributes(self))
        ours.save(path)

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy that reads a learning rate as this one does."""
        copied = super().__sklearn_clone__()
        copied._keeps_rate = self._keeps_rate
        return copied

    def _unfitted(self, **changed: Any) -> OurTSNE:
        """Return fasttsne's estimator with these parameters; a learning rate is read."""
        ours = super()._unfitted(**changed)
        rate: Any = plain(ours.learning_rate)
        is_number = isinstance(rate, Real)
        if is_number and not self._keeps_rate:
            OurTSNE(learning_rate=rate)._validate_params()
            _state.say_once(
                f"fasttsne reads learning_rate={rate:g} as 'auto'; "
                "fasttsne.patch_sklearn(learning_rate='keep') uses numbers, as does fasttsne run "
                "--learning-rate keep"
            )
            ours.learning_rate = "auto"
        return ours

    def _take(self, fitted: Any) -> None:
        """Replace the attributes of an earlier fit by those of a fitted estimator."""
        if hasattr(fitted, "embedding_"):
            for name in _fitted_attributes(self):
                delattr(self, name)
            self.__dict__.update(_fitted_attributes(fitted))


def _fitted_attributes(estimator: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(estimator).items() if name.endswith("_")}


@dataclass
class _State:
    """What is patched in this process."""

    learning_rate: str = "auto"
    original: type = SklearnTSNE  # what `sklearn.manifold.TSNE` was
    replaced: list[tuple[dict[Any, Any], Any, type]] = field(default_factory=list)  # places
    said: set[str] = field(default_factory=set)

    def say_once(self, text: str) -> None:
        """Log a line the first time."""
        if text not in self.said:
            self.said.add(text)
            _log.warning(text)


_state = _State()
_lock = RLock()


class Patch:
    """A patch, made by `patch_sklearn` and made again by every with block after the first."""

    def __init__(self, learning_rate: str) -> None:
        self._learning_rate = learning_rate
        self._around = [_replace(learning_rate)]  # what each open block restores
        self._was_used = False

    def __enter__(self) -> None:
        if self._was_used or not _state.replaced:
            self._around.append(_replace(self._learning_rate))
        self._was_used = True

    def __exit__(self, *exception: object) -> None:
        around = self._around.pop()
        if around is None:
            unpatch_sklearn()
        elif _state.replaced:
            _state.learning_rate = around


def patch_sklearn(*, learning_rate: str = "auto") -> Patch:
    """Replace `sklearn.manifold.TSNE` by fasttsne's, in this process.

    The name is replaced in `sklearn.manifold` and in every module that has imported it: as a name
    of the module or a value of a dictionary there. The estimators have scikit-learn's parameters
    and defaults. Parameters that fasttsne does not know make an estimator of the class that was
    there before, and that class draws the maps of "braycurtis", "dice" and "sokalsneath" which
    fasttsne refuses, such as between rows of zeros. Estimators made before stay what they are. A
    second call adds modules imported since and sets `learning_rate`.

    Parameters
    ----------
    learning_rate : {"auto", "keep"}, default="auto"
        How to read numbers for `TSNE.learning_rate`. Tools pass numbers that suit scikit-learn's
        descent: 1000 in scanpy, 200 in FiftyOne. "auto" reads them as "auto", and logs a line;
        "keep" uses them.

    Returns
    -------
    patch : context manager
        Undoes the patch at the end of a with block. It need not be used. A second block patches
        again.

    Raises
    ------
    ValueError
        If `learning_rate` is another value.

    See Also
    --------
    unpatch_sklearn : Undo the patch.

    Notes
    -----
    ``python -m fasttsne run script.py`` runs a script that is patched from its first line.
    If another package has replaced the class, such as sklearnex, the last patch counts, and undoing
    it restores the other one's class. Fitted estimators and their pickles outlive the patch, but
    need fasttsne. Lines go to the logger "fasttsne". Processes that a program starts are patched
    if they are forked.

    An estimator reads numbers for `learning_rate` as the patch under which it was made, wherever it
    is fitted; so do its clones, copies and pickles, and `save` writes the rate that it read. An
    estimator made of its `get_params` is a new one: the patch of that moment counts, and without a
    patch numbers are read as "auto".

    Examples
    --------
    >>> import fasttsne
    >>> from sklearn.datasets import load_iris
    >>> with fasttsne.patch_sklearn():
    ...     from sklearn.manifold import TSNE
    ...
    ...     tsne = TSNE(random_state=0).fit(load_iris().data)
    >>> isinstance(tsne, fasttsne.TSNE)
    True
    """
    if learning_rate not in ("auto", "keep"):
        raise ValueError(f"learning_rate={learning_rate!r} must be 'auto' or 'keep'")
    return Patch(learning_rate)


def _replace(learning_rate: str) -> str | None:
    """Patch, and return the `learning_rate` of the patch before; None if there was none."""
    with _lock:
        around = _state.learning_rate if _state.replaced else None
        _state.learning_rate = learning_rate
        if sklearn.manifold.TSNE is not TSNE:
            _state.original = sklearn.manifold.TSNE
        for table in _tables():
            for key, value in list(table.items()):
                if value is SklearnTSNE or value is _state.original:
                    _state.replaced.append((table, key, value))
                    table[key] = TSNE
    return around


def unpatch_sklearn() -> None:
    """Undo `patch_sklearn`: restore what was found under every name.

    Modules that imported the class in the meantime get what `sklearn.manifold.TSNE` was. Does
    nothing where nothing is patched, and leaves a patch by another package that came later.

    See Also
    --------
    patch_sklearn : Replace `sklearn.manifold.TSNE`.

    Examples
    --------
    >>> import fasttsne
    >>> from sklearn import manifold
    >>> before = manifold.TSNE
    >>> _ = fasttsne.patch_sklearn()
    >>> fasttsne.unpatch_sklearn()
    >>> manifold.TSNE is before
    True
    """
    global _state
    with _lock:
        for table, key, found in _state.replaced:
            if table.get(key) is TSNE:
                table[key] = found
        for table in _tables():
            for key, value in list(table.items()):
                if value is TSNE:
                    table[key] = _state.original
        _state = _State()


def _tables() -> Iterator[dict[Any, Any]]:
    """Yield the names of every module that may be patched, and the dictionaries among them."""
    for name, module in list(sys.modules.items()):
        is_ours = name.partition(".")[0] in _NOT_REPLACED_IN and name != "sklearn.manifold"
        # Not isinstance, nor the module's own attributes: either may import a lazy module.
        if is_ours or not issubclass(type(module), ModuleType):
            continue
        names = object.__getattribute__(module, "__dict__")
        yield names
        others = {key: value for key, value in names.items() if key != "__builtins__"}
        yield from (value for value in others.values() if type(value) is dict)
