"""The course of a fit: from data and parameters, by a plan and an engine, to fitted attributes."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from ..engines import devices
from ..engines.engine import Data, Engine, Matrix, OpenEngine
from ..exceptions import (
    DivergenceError,
    InterruptedTrainingWarning,
    TrainingWarning,
    warn_user,
)
from ..network import inspection, weights
from ..network.plan import OUTPUT_ACTIVATIONS, TrainingPlan
from ..schedules import LearningRate, schedule_for
from ..training import diagnosis
from ..training.callbacks import Listener
from ..training.history import History, OptimizerState, Outcome
from ..training.lbfgs import LbfgsRun
from ..training.loop import EpochLoop, EpochMetrics, StoppingRule
from . import inputs, parameters, planning, records
from .holdout import FixedWeights, Rows, Validator, hold_out, read_eval_set
from .targets import Targets

# Largest number of rows on which dead units are counted: after each epoch, and after a fit.
_MONITORED_ROWS, _DIAGNOSED_ROWS = 2000, 1000


@dataclass(frozen=True)
class Job:
    """Everything that training needs to know of a fit.

    Parameters
    ----------
    estimator : BaseMLP
        It already has initial weights and a record of training.
    targets : Targets
        They have learned the classes of y.
    rows : Rows
        The rows to train on.
    held : Rows or None
        The rows to validate on after each epoch; None for no validation.
    wants_validation_loss : bool
        Whether the loss of these rows is computed after each epoch, beside their score.
    incremental : bool
        Whether this is ``partial_fit``: one epoch that continues with the optimiser's state.
    listener : Listener
        It is told of each epoch.
    open_engine : OpenEngine
        It opens the engine that trains the rows.
    """

    estimator: Any
    targets: Targets
    rows: Rows
    held: Rows | None
    wants_validation_loss: bool
    incremental: bool
    listener: Listener
    open_engine: OpenEngine

    def open(self, plan: TrainingPlan, theta: np.ndarray, n_epochs: int) -> Engine:
        """Open an engine with the rows to train on; see :class:`OpenEngine`."""
        data = Data(self.rows.X, self.targets.to_train(self.rows.Y), self.rows.weight)
        estimator = self.estimator
        return self.open_engine(
            estimator.device, plan, theta, data, n_jobs=estimator.n_jobs, n_epochs=n_epochs
        )

    def metrics(self) -> EpochMetrics:
        """Return the functions that measure validation, gradient and dead units after an epoch."""
        validate = None
        if self.held is not None:
            validate = Validator(
                self.estimator, self.targets, self.held, self.wants_validation_loss
            )
        if not self.estimator.monitor:
            return EpochMetrics(validate)
        X = inspection.some_rows(self.rows.X, _MONITORED_ROWS)
        predict = partial(predict_outputs, self.estimator)

        def dead_units(engine: Engine) -> list[float]:
            return inspection.dead_units(engine.plan, engine.pull(), X, predict)

        return EpochMetrics(validate, lambda engine: engine.gradient_norm, dead_units)


def run(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    eval_set: Any = None,
    *,
    incremental: bool = False,
    listener: Listener,
    open_engine: OpenEngine = devices.open_engine,
) -> None:
    """Fit an estimator. If it raises before training ends, the estimator is as it was before.

    Parameters
    ----------
    estimator : BaseMLP
        It is modified in place. Each of its parameters is valid by itself.
    X, y, sample_weight, eval_set
        The arguments of ``fit``.
    incremental : bool, default=False
        Whether this is ``partial_fit``.
    listener : Listener
        It is told of each epoch.
    open_engine : OpenEngine
        It opens the engine; :func:`fastmlp.fit_many` gives one that shares a GPU among fits.

    Raises
    ------
    ValueError, TypeError
        When parameters or data cannot be used.
    DivergenceError
        When training diverged; the estimator keeps the last finite weights.
    """
    parameters.check_together(estimator, eval_set, incremental)
    hidden_units = planning.hidden_units(estimator)
    planning.check(estimator, len(hidden_units))
    targets = estimator._targets()
    before = records.snapshot(estimator)
    try:
        first_pass = not hasattr(estimator, "coefs_") or not (estimator.warm_start or incremental)
        targets, rows = _read(estimator, targets, X, y, sample_weight, first_pass, incremental)
        held = None if eval_set is None else read_eval_set(estimator, targets, eval_set, rows)
        n_outputs = rows.Y.shape[1]
        if not first_pass:
            _check_network(estimator, targets, hidden_units, n_outputs)
        estimator.n_outputs_ = n_outputs
        estimator._random_state = check_random_state(estimator.random_state)
        if first_pass:
            units = [rows.X.shape[1], *hidden_units, n_outputs]
            _initialise(estimator, targets, units, rows.X.dtype)
        n_before, X = len(estimator.loss_curve_), rows.X
        wants_loss = held is not None or estimator.monitor
        if held is None and estimator.early_stopping and estimator.solver != "lbfgs":
            rows, held = hold_out(
                rows, targets, estimator.validation_fraction, estimator._random_state
            )
        job = Job(estimator, targets, rows, held, wants_loss, incremental, listener, open_engine)
        train = _train_lbfgs if estimator.solver == "lbfgs" else _train_epochs
        outcome = train(job)
    except BaseException:
        records.restore(estimator, before)
        raise
    # Warnings may be turned into errors, and must not undo what was learned.
    _report(estimator, targets, outcome, incremental)
    if estimator.diagnose and not incremental:
        _diagnose(estimator, X, n_before)


def predict_outputs(estimator: Any, plan: TrainingPlan, theta: np.ndarray, X: Matrix) -> np.ndarray:
    """Compute the outputs of a network on the device of an estimator."""
    return devices.predict(estimator.device, plan, theta, X, estimator.n_jobs)


def _read(
    estimator: Any,
    targets: Targets,
    X: Any,
    y: Any,
    sample_weight: Any,
    first_pass: bool,
    incremental: bool,
) -> tuple[Targets, Rows]:
    """Check the data, set the estimator's attributes about features and classes, and encode y."""
    X, y = inputs.read_rows(estimator, X, y, reset=first_pass, is_numeric=targets.is_numeric)
    if targets.is_learned and (estimator.warm_start or incremental):
        targets.check_known(y, all_required=not incremental)
    else:
        targets = targets.learned_from(y)
    vars(estimator).update(targets.attributes())
    Y = targets.encode(y)
    given = inputs.read_weight(sample_weight, X)
    return targets, Rows(X, Y, targets.row_weight(y, given, incremental), y, given)


def _check_network(
    estimator: Any, targets: Targets, hidden_units: list[int], n_outputs: int
) -> None:
    """Raise ValueError unless parameters and targets fit the network that was fitted before."""
    remedy = "; call fit with warm_start=False to start with a new one"
    *hidden, outputs = (w.shape[1] for w in estimator.coefs_)
    if hidden_units != hidden:
        raise ValueError(
            f"hidden_layer_sizes={estimator.hidden_layer_sizes} is not the network that was "
            f"fitted, of {hidden} units{remedy}"
        )
    if n_outputs != outputs:
        raise ValueError(
            f"y has {n_outputs} outputs, and the network that was fitted {outputs}{remedy}"
        )
    activation = OUTPUT_ACTIVATIONS[targets.loss]
    if activation != estimator.out_activation_:
        raise ValueError(
            f"the loss needs the output activation {activation}, and the network that was "
            f"fitted has {estimator.out_activation_}{remedy}"
        )


def _initialise(estimator: Any, targets: Targets, layer_units: list[int], dtype: Any) -> None:
    """Give an estimator initial weights and an empty record of training."""
    estimator.n_layers_ = len(layer_units)
    estimator.out_activation_ = OUTPUT_ACTIVATIONS[targets.loss]
    activation = planning.activations(estimator, len(layer_units) - 2)
    weights.check_memory(layer_units, dtype)
    theta = weights.initialise(
        layer_units, activation, estimator._random_state, dtype, estimator.init
    )
    estimator.coefs_, estimator.intercepts_ = weights.views(theta, layer_units)
    records.begin(estimator)


# ---- training ----------------------------------------------------------------------------


def _train_epochs(job: Job) -> Outcome:
    """Train by epochs, and set the fitted attributes."""
    estimator, incremental = job.estimator, job.incremental
    n_rows = job.rows.X.shape[0]
    state = _optimizer_state(estimator, incremental)
    dtype = estimator.coefs_[0].dtype
    plan = planning.objective_plan(
        estimator,
        job.targets,
        planning.layer_units(estimator),
        dtype,
        planning.batch_size(estimator, n_rows),
    )
    seed = estimator._random_state.randint(2**32, dtype=np.uint32) if plan.dropout else 0
    plan = replace(plan, **state.constants, **planning.step_options(estimator), seed=int(seed))
    history = records.continued(estimator, incremental)
    max_epochs = 1 if incremental else estimator.max_iter
    theta = weights.flatten(estimator.coefs_, estimator.intercepts_, dtype)
    metrics = job.metrics()
    with job.open(plan, theta, max_epochs) as engine:
        if history.best_theta is not None:
            # The validation rows may be others than those of the fit that found these weights.
            assert metrics.validate is not None
            best = FixedWeights(engine, history.best_theta, estimator.device, estimator.n_jobs)
            history.best_validation_score = metrics.validate(best).score
        if state.first is not None and state.second is not None:
            engine.push(theta, (state.step, state.first, state.second))
        loop = EpochLoop(
            engine,
            theta,
            np.arange(n_rows),
            StoppingRule(
                max_epochs, estimator.tol, estimator.n_iter_no_change, estimator.early_stopping
            ),
            state.schedule,
            history,
            job.listener,
            shuffle=estimator._random_state if estimator.shuffle else None,
            metrics=metrics,
            swa_start=estimator.swa_start,
            verbose=estimator.verbose,
        )
        outcome = loop.run()
        state.step, state.first, state.second = engine.state()
    estimator.n_iter_ = outcome.n_epochs
    estimator._optimizer = state
    _set_weights(estimator, outcome.theta, plan)
    records.keep(estimator, history, plan.layer_units)
    if outcome.diverged and not outcome.is_best:
        records.forget_optimizer(estimator)
    return outcome


def _optimizer_state(estimator: Any, incremental: bool) -> OptimizerState:
    """Return the state of the optimiser to continue with, or a new one."""
    if incremental and hasattr(estimator, "_optimizer"):
        return estimator._optimizer
    kind = estimator.learning_rate if estimator.solver in ("gd", "sgd") else "constant"
    schedule = schedule_for(estimator.lr_schedule or kind, estimator.power_t)
    rate = LearningRate(schedule, estimator.learning_rate_init, estimator.max_iter)
    return OptimizerState(rate, planning.optimizer_constants(estimator))


def _train_lbfgs(job: Job) -> Outcome:
    """Train by L-BFGS, and set the fitted attributes."""
    estimator = job.estimator
    history = History.by_loss(loss_curve=estimator.loss_curve_, numbers=estimator.history_)
    plan = planning.objective_plan(
        estimator,
        job.targets,
        planning.layer_units(estimator),
        np.float64,
        job.rows.X.shape[0],
    )
    theta = weights.flatten(estimator.coefs_, estimator.intercepts_, plan.dtype)
    with job.open(plan, theta, estimator.max_iter) as engine:
        outcome = LbfgsRun(
            engine,
            theta,
            history,
            job.listener,
            max_iter=estimator.max_iter,
            max_fun=estimator.max_fun,
            tol=estimator.tol,
            metrics=job.metrics(),
            verbose=estimator.verbose,
        ).run()
    estimator.n_iter_, estimator.loss_ = outcome.n_epochs, outcome.loss
    _set_weights(estimator, outcome.theta, plan)
    estimator.best_loss_ = min(estimator.loss_curve_, default=None)
    records.forget_optimizer(estimator)
    return outcome


def _set_weights(estimator: Any, theta: np.ndarray, plan: TrainingPlan) -> None:
    estimator.coefs_, estimator.intercepts_ = weights.views(theta, plan.layer_units)


# ---- warnings and errors -----------------------------------------------------------------


def _report(estimator: Any, targets: Targets, outcome: Outcome, incremental: bool) -> None:
    """Warn or raise where training did not end as it should."""
    is_lbfgs = estimator.solver == "lbfgs"
    if outcome.diverged and not outcome.is_best:
        rate = None if is_lbfgs else estimator.learning_rate_init
        # An iteration of L-BFGS that diverges is not among the completed ones.
        epoch = outcome.n_epochs + is_lbfgs
        raise DivergenceError(diagnosis.diverged(epoch, rate, targets.needs_scale))
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


def _advice(estimator: Any) -> str:
    """Return advice for a fit that reached its limit of epochs, or '' without `diagnose`."""
    if not estimator.diagnose:
        return ""
    losses = estimator.loss_curve_[-estimator.n_iter_ :]
    return f" {diagnosis.still_improving(losses, estimator.tol)}"


def _diagnose(estimator: Any, X: Matrix, n_before: int) -> None:
    """Warn of what went wrong in a fit that followed `n_before` epochs of earlier fits."""
    losses = estimator.loss_curve_[n_before:]
    validation_losses = estimator.history_.get("validation_loss", [])
    validation_losses = validation_losses[max(0, len(validation_losses) - len(losses)) :]
    findings = [diagnosis.diverging(losses, estimator.tol, estimator.early_stopping)]
    if not estimator.early_stopping:  # early stopping keeps the best weights
        findings.append(diagnosis.overfitting(losses, validation_losses, estimator.tol))
    plan = planning.prediction_plan(estimator)
    if inspection.relu_layers(plan):
        theta = weights.flatten(estimator.coefs_, estimator.intercepts_, plan.dtype)
        few = inspection.some_rows(X, _DIAGNOSED_ROWS)
        shares = inspection.dead_units(plan, theta, few, partial(predict_outputs, estimator))
        units = [plan.layer_units[layer + 1] for layer in inspection.relu_layers(plan)]
        findings.append(diagnosis.dying(shares, units))
    for finding in findings:
        if finding is not None:
            warn_user(f"{finding}. (diagnose=False silences this.)", TrainingWarning)
