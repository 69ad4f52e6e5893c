"""The course of a fit: from data and parameters, by a plan and an engine, to fitted attributes."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..engines import devices
from ..engines.engine import Data, Engine, OpenEngine
from ..engines.sharing import shared
from ..exceptions import warn_user
from ..network import inspection, weights
from ..network.plan import OUTPUT_ACTIVATIONS, TrainingPlan
from ..schedules import LearningRate, schedule_for
from ..training import diagnosis
from ..training.callbacks import Listener, Reached
from ..training.checkpoint import TrainingState
from ..training.history import History, OptimizerState, Outcome
from ..training.keeping import Keeping, Place
from ..training.lbfgs import LbfgsRun
from ..training.loop import EpochLoop, EpochMetrics, StoppingRule
from ..training.signals import WaitingSignals
from . import checkpoints, inputs, memory, parameters, planning, records, reporting
from ._sklearn import without_callbacks
from .callbacks import Showing
from .holdout import (
    FixedWeights,
    HeldRows,
    Rows,
    TrainedRows,
    Validator,
    hold_out,
    read_eval_set,
)
from .prediction import predict_outputs
from .random_states import random_state_of
from .targets import Targets
from .transaction import Transaction

# Largest number of rows on which dead units are counted after each epoch.
_MONITORED_ROWS = 2000


@dataclass(frozen=True)
class Job:
    """Everything that training needs to know of a fit.

    Parameters
    ----------
    estimator : BaseMLP
        A draft, which already has initial weights and a record of training.
    targets : Targets
        They have learned the classes of y.
    trained : TrainedRows
        The rows to train on.
    held : Rows or None
        The rows to validate on after each epoch; None for no validation.
    wants_validation_loss : bool
        Whether the loss of these rows is computed after each epoch, beside their score.
    incremental : bool
        Whether this is ``partial_fit``: one epoch that continues with the optimiser's state.
    listener : Listener
        It is told of each epoch.
    transaction : Transaction
        It shows listeners the estimator that the draft is of.
    open_engine : OpenEngine
        It opens the engine that trains the rows.
    place : Place or None
        Where the checkpoint has this fit; None where there is none.
    """

    estimator: Any
    targets: Targets
    trained: TrainedRows
    held: Rows | None
    wants_validation_loss: bool
    incremental: bool
    listener: Listener
    transaction: Transaction
    open_engine: OpenEngine
    place: Place | None = None

    def shown(
        self, complete: Callable[[Reached, Any, bool], None], signals: WaitingSignals
    ) -> Listener:
        """Return the listener; where it has callbacks, the estimator is up to date for them.

        With a checkpoint the signals wait until that is written.
        """
        listener = self.listener
        if listener.sees_estimator:
            listener = Showing(listener, self.transaction, complete)
        return listener if self.place is None else Keeping(listener, self.place, signals)

    def signals(self) -> Any:
        """Return the context of training, in which signals wait for a checkpoint."""
        return WaitingSignals() if self.place is not None else nullcontext(WaitingSignals())

    def offer_model(self, complete: Callable[[Any], None]) -> None:
        """Let the checkpoint have the estimator as ``complete`` makes it of a copy of the draft."""

        def make() -> Any:
            estimator = without_callbacks(self.estimator)
            complete(estimator)
            records.forget_curves(estimator)
            return estimator

        if self.place is not None:
            self.place.offer_model(make)

    def open(self, plan: TrainingPlan, theta: np.ndarray, n_epochs: int) -> Engine:
        """Open an engine with the rows to train on among its rows; see :class:`OpenEngine`."""
        rows = self.trained.rows
        data = Data(rows.X, self.targets.to_train(rows.Y), rows.weight)
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
        rows, numbers = self.trained
        X = inspection.some_rows(rows.X, _MONITORED_ROWS, numbers)
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
    place: Place | None = None,
) -> None:
    """Fit an estimator. If it raises before training ends, the estimator is as it was before.

    Parameters
    ----------
    estimator : BaseMLP
        It gets the fitted attributes when training ends. Each of its parameters is valid by itself.
    X, y, sample_weight, eval_set
        The arguments of ``fit``; `eval_set` may also be a :class:`HeldRows`.
    incremental : bool, default=False
        Whether this is ``partial_fit``.
    listener : Listener
        It is told of each epoch.
    open_engine : OpenEngine
        It opens the engine; :func:`fastmlp.fit_many` gives one that shares a GPU among fits.
    place : Place or None
        Where the checkpoint has this fit; None where there is none.

    Raises
    ------
    ValueError, TypeError
        When parameters or data cannot be used.
    DivergenceError
        When training diverged; the estimator keeps the last finite weights.
    CustomLossError
        When a function of a custom loss raised an exception in an epoch; the estimator keeps the
        weights from before it.
    """
    parameters.check_together(estimator, eval_set, incremental)
    hidden_units = planning.hidden_units(estimator)
    planning.check(estimator, len(hidden_units))
    targets = estimator._targets()
    transaction = Transaction(estimator, records.ENDS)
    estimator = transaction.draft
    records.separate(estimator)
    try:
        first_pass = not hasattr(estimator, "coefs_") or not (estimator.warm_start or incremental)
        apart = eval_set if isinstance(eval_set, HeldRows) else None
        targets, trained = _read(
            estimator, targets, X, y, sample_weight, first_pass, incremental, apart
        )
        rows, numbers = trained
        held = None if eval_set is None else read_eval_set(estimator, targets, eval_set, rows)
        n_outputs = rows.Y.shape[1]
        if not first_pass:
            estimator.coefs_, estimator.intercepts_ = weights.checked(
                estimator.coefs_, estimator.intercepts_
            )
            _check_network(estimator, targets, hidden_units, n_outputs)
        estimator.n_outputs_ = n_outputs
        estimator._random_state = random_state_of(estimator.random_state)
        if place is not None:
            place.keeper.check(
                partial(checkpoints.fingerprint, estimator, trained, held, first_pass)
            )
            estimator._random_state = place.begin(estimator._random_state)
        if first_pass:
            units = [rows.X.shape[1], *hidden_units, n_outputs]
            memory.check(units, rows.X.dtype, estimator.device)
            _initialise(estimator, targets, units, rows.X.dtype)
        n_before, X = len(estimator.loss_curve_), rows.X
        wants_loss = held is not None or estimator.monitor
        if held is None and estimator.early_stopping and estimator.solver != "lbfgs":
            numbers_left, held = hold_out(
                rows, targets, estimator.validation_fraction, estimator._random_state
            )
            trained = TrainedRows(rows, numbers_left)
        job = Job(
            estimator,
            targets,
            trained,
            held,
            wants_loss,
            incremental,
            listener,
            transaction,
            open_engine,
            place,
        )
        goes_on = place is not None and place.is_whole and place.state is not None
        train = _train_lbfgs if estimator.solver == "lbfgs" else _train_epochs
        outcome = train(job)
        transaction.commit()
    except BaseException:
        transaction.rollback()
        raise
    if place is not None and outcome.interrupted:
        place.keeper.is_interrupted = True
    # Warnings may be turned into errors, and must not undo what was learned.
    if goes_on and estimator.solver == "lbfgs":
        warn_user(diagnosis.lbfgs_resumed())
    reporting.report(estimator, targets, outcome, trained, incremental)
    if estimator.diagnose and not incremental:
        reporting.diagnose(estimator, X, numbers, n_before)


def _read(
    estimator: Any,
    targets: Targets,
    X: Any,
    y: Any,
    sample_weight: Any,
    first_pass: bool,
    incremental: bool,
    apart: HeldRows | None,
) -> tuple[Targets, TrainedRows]:
    """Check the data, set the estimator's attributes about features and classes, and encode y.

    All but the rows `apart` are to be trained on; classes are balanced by these.
    """
    read = partial(
        inputs.read_rows, estimator, X, y, reset=first_pass, is_numeric=targets.is_numeric
    )
    if isinstance(X, np.ndarray):  # it is only looked at, which threads can do at the same time
        read = partial(tuple, read())
    X, y = shared(read)
    if targets.is_learned and (estimator.warm_start or incremental):
        targets.check_known(y, all_required=not incremental)
    else:
        targets = targets.learned_from(y)
    vars(estimator).update(targets.attributes())
    Y = shared(partial(targets.encode, y))
    given = inputs.read_weight(sample_weight, X)
    numbers = counted = None
    if apart is not None:
        numbers = apart.others(X.shape[0])
        counted = y[numbers], None if given is None else given[numbers]
    weight = targets.row_weight(y, given, incremental, counted)
    return targets, TrainedRows(Rows(X, Y, weight, y, given), numbers)


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
    theta = weights.initialise(
        layer_units, activation, estimator._random_state, dtype, estimator.init
    )
    estimator.coefs_, estimator.intercepts_ = weights.views(theta, layer_units)
    records.begin(estimator)


# ---- training ----------------------------------------------------------------------------


def _train_epochs(job: Job) -> Outcome:
    """Train by epochs, and set the fitted attributes."""
    estimator, incremental = job.estimator, job.incremental
    order = job.trained.order
    state = _optimizer_state(estimator, incremental)
    dtype = estimator.coefs_[0].dtype
    parameters.check_representable(estimator, dtype)
    plan = planning.objective_plan(
        estimator,
        job.targets,
        planning.layer_units(estimator),
        dtype,
        planning.batch_size(estimator, order.size),
    )
    seed = estimator._random_state.randint(2**32, dtype=np.uint32) if plan.dropout else 0
    plan = replace(plan, **state.constants, **planning.step_options(estimator), seed=int(seed))
    history = records.continued(estimator, incremental)
    max_epochs = 1 if incremental else estimator.max_iter
    theta = weights.flatten(estimator.coefs_, estimator.intercepts_, dtype)
    metrics = job.metrics()

    def complete(reached: Reached, shown: Any, is_copied: bool) -> None:
        memory = reached.memory() if is_copied else None
        optimizer = None if memory is None else state.with_memory(memory)
        theta = _read_only(reached.parameters())
        _keep_epochs(shown, plan, theta, reached.n_epochs, reached.record(), optimizer)

    resumed = _resumed(job, theta.size)
    with job.open(plan, theta, max_epochs) as engine, job.signals() as signals:
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
            order,
            StoppingRule(
                max_epochs, estimator.tol, estimator.n_iter_no_change, estimator.early_stopping
            ),
            state.schedule,
            history,
            job.shown(complete, signals),
            shuffle=estimator._random_state if estimator.shuffle else None,
            metrics=metrics,
            swa_start=estimator.swa_start,
            verbose=estimator.verbose,
            resumed=resumed,
        )
        job.offer_model(
            lambda shown: _keep_epochs(
                shown, plan, loop.best_parameters(), loop.n_epochs, loop.record(), None
            )
        )
        outcome = loop.run()
        if job.place is not None and loop.is_complete and not outcome.diverged:
            job.place.ends(loop.state())
        state.step, state.first, state.second = engine.state()
    has_failed = outcome.diverged or outcome.failure is not None
    kept = None if has_failed and not outcome.is_best else state
    _keep_epochs(estimator, plan, outcome.theta, outcome.n_epochs, history, kept)
    return outcome


def _resumed(job: Job, n_parameters: int) -> TrainingState | None:
    """Return the state in a checkpoint with which training goes on, or None to begin."""
    state = None if job.place is None else job.place.state
    if state is not None:
        checkpoints.check_fits(state, n_parameters, job.trained.order)
    return state


def _keep_epochs(
    estimator: Any,
    plan: TrainingPlan,
    theta: np.ndarray,
    n_epochs: int,
    history: History,
    optimizer: OptimizerState | None,
) -> None:
    """Set the fitted attributes after some epochs; None forgets the state of the optimiser."""
    estimator.n_iter_ = n_epochs
    _set_weights(estimator, theta, plan)
    records.keep(estimator, history, plan.layer_units)
    records.forget_optimizer(estimator)
    if optimizer is not None:
        estimator._optimizer = optimizer


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
    # L-BFGS takes all rows of its engine as one batch.
    job = replace(job, trained=job.trained.all_as_one())
    history = History.by_loss(loss_curve=estimator.loss_curve_, numbers=estimator.history_)
    plan = planning.objective_plan(
        estimator,
        job.targets,
        planning.layer_units(estimator),
        np.float64,
        job.trained.rows.X.shape[0],
    )
    theta = weights.flatten(estimator.coefs_, estimator.intercepts_, plan.dtype)

    def complete(reached: Reached, shown: Any, is_copied: bool) -> None:
        theta, record = _read_only(reached.parameters()), reached.record()
        loss = record.loss_curve[-1] if reached.n_epochs else None
        _keep_iterations(shown, plan, theta, reached.n_epochs, record, loss)

    # A part of a fit is trained again, for the same bits; the fit of one network goes on.
    is_whole = job.place is None or job.place.is_whole
    resumed = _resumed(job, theta.size) if is_whole else None
    with job.open(plan, theta, estimator.max_iter) as engine, job.signals() as signals:
        run = LbfgsRun(
            engine,
            theta,
            history,
            job.shown(complete, signals),
            max_iter=estimator.max_iter,
            max_fun=estimator.max_fun,
            tol=estimator.tol,
            metrics=job.metrics(),
            verbose=estimator.verbose,
            resumed=resumed,
        )
        job.offer_model(lambda shown: complete(run, shown, True))
        outcome = run.run()
    _keep_iterations(estimator, plan, outcome.theta, outcome.n_epochs, history, outcome.loss)
    return outcome


def _keep_iterations(
    estimator: Any,
    plan: TrainingPlan,
    theta: np.ndarray,
    n_iterations: int,
    history: History,
    loss: float | None,
) -> None:
    """Set the fitted attributes after some iterations of L-BFGS; `loss` is that of `theta`."""
    estimator.n_iter_ = n_iterations
    if loss is not None:
        estimator.loss_ = loss
    _set_weights(estimator, theta, plan)
    estimator.loss_curve_, estimator.history_ = history.loss_curve, history.numbers
    estimator.best_loss_ = min(history.loss_curve, default=None)
    records.forget_optimizer(estimator)


def _read_only(theta: np.ndarray) -> np.ndarray:
    """Return parameters that a callback sees, and that it would change without any effect."""
    theta.flags.writeable = False
    return theta


def _set_weights(estimator: Any, theta: np.ndarray, plan: TrainingPlan) -> None:
    estimator.coefs_, estimator.intercepts_ = weights.views(theta, plan.layer_units)
