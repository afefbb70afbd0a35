"""The losses of rankings by name, for estimators and for objectives of boosting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fasttsne.metric_learning import checks, learning_to_rank

LOSSES: dict[str, Callable[..., Any]] = {
    name.removesuffix("_loss"): getattr(learning_to_rank, name) for name in learning_to_rank.__all__
}

# Arguments of a loss that come with the documents, or that the caller chooses.
_NOT_PARAMS = ("groups", "qid", "document_weight", "thresholds", "reduction", "hessian")


def check_params(loss: str, params: Mapping[str, Any], prefix: str = "") -> None:
    """Check that a loss takes these parameters and values; an error begins with `prefix`."""
    checks.check_params(loss, LOSSES[loss], params, _NOT_PARAMS, prefix)
    try:
        LOSSES[loss]([0, 0], [0, 0], **checks.without_data(params))
    except ValueError as error:
        raise ValueError(f"{prefix}loss={loss!r}: {error}") from error
