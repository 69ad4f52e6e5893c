"""The epoch loop: shuffling, early stopping, averaging, history.

It knows the engine's contract (``run_epoch``, ``pull``, ``plan``) and no device.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf, isfinite
from typing import NamedTuple

import numpy as np

from ..network.weights import attributes
from ..schedules import LearningRate


class Epoch(NamedTuple):
    """What a callback is told after each epoch."""

    epoch: int
    """Number of the epoch, from 1."""
    max_epochs: int
    """Epochs after which training stops in any case."""
    loss: float
    """Mean training loss of the epoch's batches, each before its update, penalty included."""
    validation_score: float | None
    """Score on the validation part; None without one."""
    learning_rate: float | None
    """Learning rate of the epoch; None for lbfgs."""
    seconds: float
    """Time since training began."""
    validation_loss: float | None = None
    """Loss on the validation part, without penalty; None where nobody asked for it."""
    gradient_norm: float | None = None
    """Mean over the epoch's steps; None without ``monitor``."""
    dead_units: list | None = None
    """Share of each hidden relu layer's units that are zero for all rows; None likewise."""


class Validation(NamedTuple):
    """How the current parameters do on the validation part."""

    score: float | None = None
    loss: float | None = None


_NOT_VALIDATED = Validation()


@dataclass
class OptimizerState:
    """An optimiser as ``partial_fit`` goes on with it: its constants and what it remembers.

    As in scikit-learn the constants are those of the first call, whatever was set since.
    """

    schedule: LearningRate
    constants: dict
    step: int = 0
    first: np.ndarray | None = None
    second: np.ndarray | None = None

    @property
    def learning_rate(self):
        """Learning rate of the next epoch."""
        return self.schedule.learning_rate


@dataclass
class History:
    """The record of training that warm starts and ``partial_fit`` continue."""

    loss_curve: list = field(default_factory=list)
    validation_scores: list | None = None
    best_loss: float | None = None
    best_validation_score: float | None = None
    best_theta: np.ndarray | None = None
    no_improvement_count: int = 0
    n_samples_seen: int = 0
    numbers: dict = field(default_factory=dict)


# In ``history_`` where an epoch of the fit has such a number.
_SOMETIMES = ("validation_loss", "validation_score", "gradient_norm", "dead_units")


def add_epochs(record, epochs):
    """Append the epochs of a fit to ``history_``; what an epoch has no number for is None.

    Parameters
    ----------
    record : dict of str to list
        Modified in place; its lists stay of equal length.
    epochs : list of Epoch
    """
    if not epochs:
        return
    n_before = len(next(iter(record.values()), ()))
    columns = dict(zip(Epoch._fields, map(list, zip(*epochs, strict=True)), strict=True))
    new = {name: columns[name] for name in ("loss", "learning_rate")}
    ends = columns["seconds"]
    new["seconds"] = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
    for name in _SOMETIMES:
        if any(number is not None for number in columns[name]):
            new[name] = columns[name]
    for name in new:
        record.setdefault(name, [None] * n_before)
    for name, numbers in record.items():
        numbers.extend(new.get(name) or [None] * len(epochs))


@dataclass(frozen=True)
class StoppingRule:
    """When training ends.

    Parameters
    ----------
    max_epochs : int
    tol : float
        An epoch improves on the best when it is better by at least this much.
    patience : float
        Training has stalled after more than this many epochs without improvement.
    by_score : bool
        Whether the validation score decides, and which parameters are the best; else the
        training loss does.
    """

    max_epochs: int
    tol: float
    patience: float
    by_score: bool = False


@dataclass(frozen=True)
class Watch:
    """What else is measured at the end of each epoch.

    Parameters
    ----------
    validate : callable or None
        ``validate(engine)`` is a :class:`Validation` of the engine's current parameters.
    gradient_norm, dead_units : callable or None
        Called with the engine; what they return goes into the record.
    """

    validate: Callable | None = None
    gradient_norm: Callable | None = None
    dead_units: Callable | None = None


class Outcome(NamedTuple):
    """How training ended."""

    n_epochs: int
    """Epochs completed."""
    converged: bool
    """Whether anything but the limit of epochs ended training."""
    diverged: bool = False
    """Whether the loss of the last epoch is not finite."""
    mean_theta: np.ndarray | None = None
    """Mean of the parameters after each epoch from `swa_start` on, in float64."""
    interrupted: bool = False
    """Whether Ctrl-C ended training."""


class _Mean:
    """The running mean of the engine's parameters."""

    def __init__(self, start):
        self._start = inf if start is None else start
        self._count = 0
        self.theta = None

    def epoch_ends(self, epoch, engine):
        if epoch < self._start:
            return
        theta = engine.pull().astype(np.float64)
        self._count += 1
        if self.theta is None:
            self.theta = theta
        else:
            self.theta += (theta - self.theta) / self._count


def train(
    engine, order, rule, schedule, history, listener, *, shuffle=None, watch=None,
    swa_start=None, verbose=False,
):  # fmt: skip
    """Run epochs until the stopping rule, the listener, divergence or Ctrl-C ends training.

    Parameters
    ----------
    engine : engine
    order : ndarray of shape (n_rows,), int64
        Rows in the order of the first epoch, before shuffling.
    rule : StoppingRule
    schedule : LearningRate
        Modified in place.
    history : History
        Modified in place.
    listener : Listener
        Told of each epoch; it may end training.
    shuffle : numpy.random.RandomState or None
        Source of a new order for each epoch; None keeps the given order.
    watch : Watch or None
    swa_start : int or None
        First epoch, from 1, after which the parameters enter their mean.
    verbose : bool
        Print each epoch to stdout, in scikit-learn's words.

    Returns
    -------
    Outcome
    """
    began = time.perf_counter()
    watch = watch or Watch()
    mean, follows_epochs = _Mean(swa_start), not schedule.is_constant
    epochs, n_epochs = [], 0
    converged = diverged = interrupted = False
    try:
        while n_epochs < rule.max_epochs:
            listener.epoch_begins()
            if shuffle is not None:
                permutation = np.arange(order.size)
                shuffle.shuffle(permutation)
                order = order[permutation]
            learning_rate = schedule.learning_rate
            loss = engine.run_epoch(order, learning_rate)
            validation = _NOT_VALIDATED if watch.validate is None else watch.validate(engine)
            # From here on the epoch counts, also where Ctrl-C comes.
            diverged = not isfinite(loss)
            n_epochs += 1
            history.n_samples_seen += order.size
            history.loss_curve.append(loss)
            if verbose:
                print(f"Iteration {n_epochs}, loss = {loss:.8f}")
                if watch.validate is not None:
                    print(f"Validation score: {validation.score:f}")
            if rule.by_score:
                _judge_score(history, validation.score, rule.tol, engine)
            else:
                _judge_loss(history, loss, rule.tol)
            if follows_epochs:
                watched = _watched(rule, loss, validation)
                schedule.epoch_ends(history.n_samples_seen, watched, rule.tol)
            if swa_start is not None:
                mean.epoch_ends(n_epochs, engine)

            stalled = history.no_improvement_count > rule.patience
            if stalled:
                goes_on = schedule.on_plateau()
                if verbose:
                    _report_plateau(rule, schedule, goes_on)
                if goes_on:
                    history.no_improvement_count = 0
            epoch = Epoch(
                n_epochs,
                rule.max_epochs,
                loss,
                validation.score,
                learning_rate,
                time.perf_counter() - began,
                validation.loss,
                None if watch.gradient_norm is None else watch.gradient_norm(engine),
                None if watch.dead_units is None else watch.dead_units(engine),
            )
            epochs.append(epoch)
            told_to_stop = listener.epoch_ends(epoch, partial(_current, engine, diverged))
            if diverged or told_to_stop or (stalled and not goes_on):
                converged = not diverged
                break
    except KeyboardInterrupt:
        converged = interrupted = True
    finally:
        add_epochs(history.numbers, epochs)
    return Outcome(n_epochs, converged, diverged, mean.theta, interrupted)


def _current(engine, diverged):
    """The attributes with which an estimator predicts as it would if training ended now."""
    theta = engine.last_finite() if diverged else None
    return attributes(engine.pull() if theta is None else theta, engine.plan.layer_units)


def _watched(rule, loss, validation):
    """What a schedule judges an epoch by, smaller being better."""
    if rule.by_score:
        return -validation.score
    return loss if validation.loss is None else validation.loss


def _judge_loss(history, loss, tol):
    if loss > history.best_loss - tol:
        history.no_improvement_count += 1
    else:
        history.no_improvement_count = 0
    if loss < history.best_loss:
        history.best_loss = loss


def _judge_score(history, score, tol, engine):
    history.validation_scores.append(score)
    # Written so that a score that is not a number counts as an improvement, as in scikit-learn.
    if score < history.best_validation_score + tol:
        history.no_improvement_count += 1
    else:
        history.no_improvement_count = 0
    if score > history.best_validation_score:
        history.best_validation_score = score
        history.best_theta = engine.pull()


def _report_plateau(rule, schedule, goes_on):
    what = "Validation score" if rule.by_score else "Training loss"
    action = f"Setting learning rate to {schedule.learning_rate:f}" if goes_on else "Stopping."
    print(
        f"{what} did not improve more than tol={rule.tol:f} "
        f"for {rule.patience} consecutive epochs. {action}"
    )
