"""The record of training in the attributes of an estimator, which warm starts continue."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..network import weights
from ..training.history import History

# What is set after each epoch, or when training ends.
ENDS = (
    "coefs_", "intercepts_", "n_iter_", "loss_", "loss_curve_", "history_", "t_", "best_loss_",
    "validation_scores_", "best_validation_score_", "_no_improvement_count", "_best_coefs",
    "_best_intercepts", "_best_scoring", "_optimizer",
)  # fmt: skip


def separate(draft: Any) -> None:
    """Copy the attributes that training modifies in place, so that only a draft has the copies."""
    state = vars(draft)
    for name in ("loss_curve_", "validation_scores_"):
        if state.get(name) is not None:
            state[name] = list(state[name])
    if "history_" in state:
        state["history_"] = {name: list(numbers) for name, numbers in state["history_"].items()}
    if "_optimizer" in state:
        optimizer = state["_optimizer"]
        state["_optimizer"] = replace(optimizer, schedule=copy.copy(optimizer.schedule))


def begin(estimator: Any) -> None:
    """Give an estimator the record of a network that has not been trained yet."""
    estimator.t_ = 0
    estimator.loss_curve_ = []
    estimator.history_ = {}
    estimator._no_improvement_count = 0
    estimator.best_loss_ = estimator.validation_scores_ = None
    estimator.best_validation_score_ = None
    estimator._best_coefs = estimator._best_intercepts = None
    forget_optimizer(estimator)


def forget_optimizer(estimator: Any) -> None:
    """Drop the optimiser's state, because ``partial_fit`` must not use it with other weights."""
    vars(estimator).pop("_optimizer", None)


def forget_curves(estimator: Any) -> None:
    """Drop what grows with each epoch, and the second copy of the best weights."""
    estimator.loss_curve_, estimator.history_ = [], {}
    if estimator.validation_scores_ is not None:
        estimator.validation_scores_ = []
    estimator._best_coefs = estimator._best_intercepts = None


def continued(estimator: Any, incremental: bool) -> History:
    """Make the record that the next fit continues from the attributes of an estimator.

    Parameters
    ----------
    estimator : BaseMLP
    incremental : bool
        Whether that is ``partial_fit``, which continues the count of epochs without improvement.

    Returns
    -------
    History
    """
    known = {
        "loss_curve": estimator.loss_curve_,
        "no_improvement_count": estimator._no_improvement_count if incremental else 0,
        "n_samples_seen": estimator.t_,
        "numbers": getattr(estimator, "history_", {}),  # missing if attributes were set by hand
    }
    if not estimator.early_stopping:
        best = estimator.best_loss_
        return History.by_loss(**known) if best is None else History.by_loss(best, **known)
    history = History.by_score(estimator.validation_scores_, **known)
    has_best = estimator._best_coefs is not None and estimator.best_validation_score_ is not None
    if has_best and getattr(estimator, "_best_scoring", None) == estimator.scoring:
        history.best_validation_score = estimator.best_validation_score_
        history.best_theta = weights.flatten(
            estimator._best_coefs, estimator._best_intercepts, estimator.coefs_[0].dtype
        )
    return history


def keep(estimator: Any, history: History, layer_units: Sequence[int]) -> None:
    """Store a record of training in the attributes of an estimator.

    Parameters
    ----------
    estimator : BaseMLP
        It is modified in place.
    history : History
    layer_units : sequence of int
    """
    estimator.loss_curve_ = history.loss_curve
    if history.loss_curve:
        estimator.loss_ = history.loss_curve[-1]
    estimator.history_ = history.numbers
    estimator.t_ = history.n_samples_seen
    estimator._no_improvement_count = history.no_improvement_count
    estimator.best_loss_ = history.best_loss
    estimator.validation_scores_ = history.validation_scores
    estimator.best_validation_score_ = history.best_validation_score
    estimator._best_coefs = estimator._best_intercepts = None
    if history.best_theta is not None:
        best = history.best_theta.copy()
        estimator._best_coefs, estimator._best_intercepts = weights.views(best, layer_units)
        estimator._best_scoring = estimator.scoring
