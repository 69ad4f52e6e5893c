"""The epoch loop: shuffling, early stopping, history.

It knows the engine's contract (``run_epoch``, ``pull``, ``plan``) and no device.
"""

import time
import warnings
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .parameters import attributes
from .schedules import Constant


class Epoch(NamedTuple):
    """What a callback is told after each epoch."""

    epoch: int
    """Number of the epoch, from 1."""
    max_epochs: int
    """Epochs after which training stops in any case."""
    loss: float
    """Mean training loss of the epoch's batches, each before its update, penalty included."""
    validation_score: float | None
    """Score on the validation part; None without early stopping."""
    learning_rate: float | None
    """Learning rate of the epoch; None for lbfgs."""
    seconds: float
    """Time since training began."""


@dataclass
class OptimizerState:
    """An optimiser as ``partial_fit`` goes on with it: its constants and what it remembers.

    As in scikit-learn the constants are those of the first call, whatever was set since.
    """

    schedule: Constant
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
    """

    max_epochs: int
    tol: float
    patience: float


def train(
    engine, order, rule, schedule, history, listener, *, shuffle=None, validate=None,
    verbose=False,
):  # fmt: skip
    """Run epochs until the stopping rule, the listener or Ctrl-C ends training.

    Parameters
    ----------
    engine : engine
    order : ndarray of shape (n_rows,), int64
        Rows in the order of the first epoch, before shuffling.
    rule : StoppingRule
    schedule : Constant
        Modified in place.
    history : History
        Modified in place.
    listener : Listener
        Told of each epoch; it may end training.
    shuffle : numpy.random.RandomState or None
        Source of a new order for each epoch; None keeps the given order.
    validate : callable or None
        ``validate()`` scores the engine's current parameters, higher being better. With it,
        the score decides when to stop and which parameters are the best.
    verbose : bool
        Print each epoch to stdout, in scikit-learn's words.

    Returns
    -------
    n_epochs : int
        Epochs completed.
    converged : bool
        Whether anything but `rule.max_epochs` ended training.
    """
    began = time.perf_counter()
    n_epochs = 0
    try:
        while n_epochs < rule.max_epochs:
            listener.epoch_begins()
            if shuffle is not None:
                permutation = np.arange(order.size)
                shuffle.shuffle(permutation)
                order = order[permutation]
            learning_rate = schedule.learning_rate
            loss = engine.run_epoch(order, learning_rate)
            n_epochs += 1
            history.n_samples_seen += order.size
            history.loss_curve.append(loss)
            if verbose:
                print(f"Iteration {n_epochs}, loss = {loss:.8f}")

            score = None
            if validate is None:
                _judge_loss(history, loss, rule.tol)
            else:
                score = validate()
                if verbose:
                    print(f"Validation score: {score:f}")
                _judge_score(history, score, rule.tol, engine)
            schedule.epoch_ends(history.n_samples_seen)

            stalled = history.no_improvement_count > rule.patience
            if stalled:
                goes_on = schedule.on_plateau()
                if verbose:
                    _report_plateau(rule, schedule, goes_on, validate is not None)
                if goes_on:
                    history.no_improvement_count = 0
            seconds = time.perf_counter() - began
            epoch = Epoch(n_epochs, rule.max_epochs, loss, score, learning_rate, seconds)
            told_to_stop = listener.epoch_ends(
                epoch, lambda: attributes(engine.pull(), engine.plan.layer_units)
            )
            if told_to_stop or (stalled and not goes_on):
                return n_epochs, True
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=7)
        return n_epochs, True
    return n_epochs, False


def _judge_loss(history, loss, tol):
    # Written so that a loss that is not a number counts as an improvement, as in scikit-learn.
    if loss > history.best_loss - tol:
        history.no_improvement_count += 1
    else:
        history.no_improvement_count = 0
    if loss < history.best_loss:
        history.best_loss = loss


def _judge_score(history, score, tol, engine):
    history.validation_scores.append(score)
    if score < history.best_validation_score + tol:
        history.no_improvement_count += 1
    else:
        history.no_improvement_count = 0
    if score > history.best_validation_score:
        history.best_validation_score = score
        history.best_theta = engine.pull()


def _report_plateau(rule, schedule, goes_on, by_score):
    what = "Validation score" if by_score else "Training loss"
    action = f"Setting learning rate to {schedule.learning_rate:f}" if goes_on else "Stopping."
    print(
        f"{what} did not improve more than tol={rule.tol:f} "
        f"for {rule.patience} consecutive epochs. {action}"
    )
