"""What a fit says at its end: warnings of what went wrong, and the errors of training."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..engines import devices
from ..engines.custom_functions import without_number
from ..engines.engine import Matrix
from ..exceptions import (
    DivergenceError,
    InterruptedTrainingWarning,
    TrainingWarning,
    warn_user,
)
from ..network import inspection, weights
from ..network.plan import TrainingPlan
from ..training import diagnosis
from ..training.history import Outcome
from . import planning
from .holdout import TrainedRows
from .prediction import predict_outputs
from .targets import Targets

# Largest number of rows on which a fit is diagnosed.
_DIAGNOSED_ROWS = 1000
# Number of rows that are looked at first.
_FEW_ROWS = 16


def report(
    estimator: Any, targets: Targets, outcome: Outcome, rows: TrainedRows, incremental: bool
) -> None:
    """Warn or raise where training did not end as it should.

    Parameters
    ----------
    estimator : BaseMLP
        It is fitted.
    targets : Targets
    outcome : Outcome
    rows : TrainedRows
        The rows that were trained on.
    incremental : bool
        Whether this was ``partial_fit``.

    Raises
    ------
    DivergenceError
        When training diverged, and no weights of an earlier epoch were kept.
    CustomLossError
        When a function of a custom loss raised an exception.
    """
    is_lbfgs = estimator.solver == "lbfgs"
    if outcome.failure is not None:
        raise diagnosis.failed(outcome.failure, outcome.n_epochs + 1, is_lbfgs)
    if outcome.diverged and not outcome.is_best:
        rate = None if is_lbfgs else estimator.learning_rate_init
        # An iteration of L-BFGS that diverges is not among the completed ones.
        epoch = outcome.n_epochs + is_lbfgs
        message = diagnosis.diverged(epoch, rate, targets.needs_scale)
        raise DivergenceError(message + _about_custom_loss(estimator, targets, rows))
    if outcome.diverged:
        warn_user(diagnosis.stopped(outcome.n_epochs), TrainingWarning)
        return
    if outcome.interrupted:
        warn_user("Training interrupted by user.", InterruptedTrainingWarning)
    if is_lbfgs:
        if not outcome.converged:
            message = diagnosis.lbfgs_stopped(outcome.n_epochs, estimator.max_iter, outcome.message)
            warn_user(message, ConvergenceWarning)
        return
    is_planned_end = not incremental and estimator._optimizer.schedule.schedule.has_horizon
    if not (outcome.converged or incremental or is_planned_end):
        warn_user(
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the "
            f"optimization hasn't converged yet.{_advice(estimator)}",
            ConvergenceWarning,
        )
    if estimator.swa_start is not None and not outcome.is_mean:
        warn_user(
            f"training ended after {outcome.n_epochs} epochs, before swa_start="
            f"{estimator.swa_start}: the weights are the last ones, not a mean",
            TrainingWarning,
        )


def _about_custom_loss(estimator: Any, targets: Targets, trained: TrainedRows) -> str:
    """Say for which row a custom loss gives no finite number, with the weights that are kept."""
    if targets.custom_loss is None:
        return ""
    found = None
    rows = trained.rows
    if not devices.is_device_array(rows.X):
        first = slice(0, _DIAGNOSED_ROWS)
        numbers = first if trained.numbers is None else trained.numbers[first]
        X, Y = rows.X[numbers], targets.to_train(rows.Y[numbers])
        plan = planning.prediction_plan(estimator)
        theta = weights.flatten(estimator.coefs_, estimator.intercepts_, plan.dtype)
        outputs = predict_outputs(estimator, plan, theta, X)
        found = without_number(targets.custom_loss, Y, outputs)
    return f" The loss is custom: {found or 'its value or its derivative may not be finite'}."


def _advice(estimator: Any) -> str:
    """Return advice for a fit that reached its limit of epochs, or '' without `diagnose`."""
    if not estimator.diagnose:
        return ""
    losses = estimator.loss_curve_[-estimator.n_iter_ :]
    return f" {diagnosis.still_improving(losses, estimator.tol)}"


def diagnose(estimator: Any, X: Matrix, trained: np.ndarray | None, n_before: int) -> None:
    """Warn of what went wrong in a fit.

    Parameters
    ----------
    estimator : BaseMLP
        It is fitted.
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
    trained : ndarray of int or None
        Numbers of the rows of X to look at; None is all.
    n_before : int
        Number of epochs of earlier fits that this one continued.
    """
    losses = estimator.loss_curve_[n_before:]
    validation_losses = estimator.history_.get("validation_loss", [])
    validation_losses = validation_losses[max(0, len(validation_losses) - len(losses)) :]
    findings = [diagnosis.diverging(losses, estimator.tol, estimator.early_stopping)]
    if not estimator.early_stopping:  # early stopping keeps the best weights
        findings.append(diagnosis.overfitting(losses, validation_losses, estimator.tol))
    plan = planning.prediction_plan(estimator)
    if inspection.relu_layers(plan):
        theta = weights.flatten(estimator.coefs_, estimator.intercepts_, plan.dtype)
        few = inspection.some_rows(X, _DIAGNOSED_ROWS, trained)
        if not _are_alive(plan, theta, few):
            shares = inspection.dead_units(plan, theta, few, partial(predict_outputs, estimator))
            units = [plan.layer_units[layer + 1] for layer in inspection.relu_layers(plan)]
            findings.append(diagnosis.dying(shares, units))
    for finding in findings:
        if finding is not None:
            warn_user(f"{finding}. (diagnose=False silences this.)", TrainingWarning)


def _are_alive(plan: TrainingPlan, theta: np.ndarray, X: Matrix) -> bool:
    """Tell whether a few rows show already that no layer has as many dead units as are reported."""
    if not isinstance(X, np.ndarray):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return inspection.are_alive(plan, theta, X[:_FEW_ROWS], 1 - diagnosis.MANY_DEAD)
