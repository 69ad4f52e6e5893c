"""Training by epochs: shuffling, early stopping, averaging of weights, and the record.

The loop knows :class:`fastmlp.engines.engine.Engine`, and no device.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any, NamedTuple

import numpy as np

from ..engines.engine import Engine, OptimizerMemory, Predictor
from ..exceptions import CustomLossError
from ..schedules import LearningRate
from .callbacks import Listener
from .checkpoint import TrainingState, copied, record_of
from .history import Epoch, History, Outcome, Progress, Vector, add_epochs


class Validation(NamedTuple):
    """How well parameters predict rows that are not trained on."""

    score: float | None = None
    """The higher the better; None where there are no such rows."""
    loss: float | None = None
    """Mean loss without penalties; None where it is not computed."""


@dataclass(frozen=True)
class StoppingRule:
    """When training ends.

    Parameters
    ----------
    max_epochs : int
    tol : float
        An epoch improves on the best when it is better by at least this much.
    patience : float
        Training has stalled after more than this many epochs without an improvement.
    by_score : bool
        Whether epochs are judged by their validation score, and the parameters of the best epoch
        are kept. Otherwise epochs are judged by their training loss.
    """

    max_epochs: int
    tol: float
    patience: float
    by_score: bool = False


@dataclass(frozen=True)
class EpochMetrics:
    """What is measured at the end of each epoch, beside the training loss.

    Parameters
    ----------
    validate : callable or None
        ``validate(engine)`` returns a :class:`Validation` of the engine's current parameters.
    gradient_norm : callable or None
        ``gradient_norm(engine)`` returns the norm of the gradient, as a mean over the epoch's
        steps.
    dead_units : callable or None
        ``dead_units(engine)`` returns the share of dead units of each relu layer, as a list.
    """

    validate: Callable[[Predictor], Validation] | None = None
    gradient_norm: Callable[[Engine], float | None] | None = None
    dead_units: Callable[[Engine], list[float]] | None = None


_NO_METRICS = EpochMetrics()


class WeightAverage:
    """The mean of the parameters after each epoch (stochastic weight averaging).

    Parameters
    ----------
    start : int or None
        The first epoch whose parameters are part of the mean, counted from 1; None for no mean.

    Attributes
    ----------
    count : int
        Number of epochs in the mean.
    theta : ndarray of shape (n_parameters,), float64, or None
        The mean; None before the epoch `start` has ended.
    """

    def __init__(self, start: int | None) -> None:
        self._start = inf if start is None else start
        self.count = 0
        self.theta: Vector | None = None

    def epoch_ends(self, epoch: int, engine: Engine) -> None:
        """Add the engine's current parameters to the mean, from the epoch `start` on."""
        if epoch < self._start:
            return
        theta = engine.pull().astype(np.float64)
        self.count += 1
        if self.theta is None:
            self.theta = theta
        else:
            self.theta += (theta - self.theta) / self.count


@dataclass
class EpochLoop:
    """Trains epoch by epoch until a reason to stop comes up; see :meth:`run`.

    Parameters
    ----------
    engine : Engine
    start : ndarray of shape (n_parameters,)
        The initial parameters of the engine. They are kept where no later ones are finite.
    order : ndarray of shape (n_rows,), int64
        Row numbers, in the order of the first epoch before it is shuffled.
    rule : StoppingRule
        When training ends.
    schedule : LearningRate
        It is modified in place.
    history : History
        It is modified in place. Where the rule judges by the score, this does, too.
    listener : Listener
        It is told of each epoch, and may end training.
    shuffle : numpy.random.RandomState or None
        It draws a new order of the rows for each epoch; None keeps the given order.
    metrics : EpochMetrics
        What is measured after each epoch, beside the training loss.
    swa_start : int or None
        The first epoch whose parameters are part of the mean that is kept, counted from 1; None
        keeps no mean.
    verbose : bool
        Whether to print each epoch to stdout, in scikit-learn's words.
    resumed : TrainingState or None
        Where training goes on, to the same bits; None begins it.
    """

    engine: Engine
    start: Vector
    order: np.ndarray
    rule: StoppingRule
    schedule: LearningRate
    history: History
    listener: Listener
    shuffle: np.random.RandomState | None = None
    metrics: EpochMetrics = field(default_factory=EpochMetrics)
    swa_start: int | None = None
    verbose: bool = False
    resumed: TrainingState | None = None

    def run(self) -> Outcome:
        """Run epochs until the rule, the listener, divergence or Ctrl-C ends training.

        Returns
        -------
        Outcome
        """
        history = self.history
        curve, scores = history.loss_curve, history.validation_scores
        n_losses, n_scores = len(curve), len(scores or ())
        self._began = time.perf_counter()
        self._average = WeightAverage(self.swa_start)
        self._follows_epochs = not self.schedule.is_constant
        self._epochs: list[Epoch] = []
        # The state of `shuffle` from which some orders were drawn, and how many.
        self._drawn: Any = None
        self._n_drawn = 0
        # How many of them count, and the history's progress after these.
        self._completed: tuple[int, Progress] = 0, history.progress()
        stopped = interrupted = self._is_over = False
        if self.resumed is not None:
            self._resume(self.resumed)
            stopped = self._is_over
        self._failure: CustomLossError | None = None
        try:
            while len(self._epochs) < self.rule.max_epochs and not stopped:
                stopped = self._run_epochs()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            # Ctrl-C may come at any moment of an epoch: it counts in all records or in none. The
            # weights may be some epochs ahead of them, where these were run together.
            n_epochs, progress = self._completed
            del self._epochs[n_epochs:], curve[n_losses + n_epochs :]
            if scores is not None:
                del scores[n_scores + n_epochs :]
            history.set_progress(progress)
            add_epochs(history.numbers, self._epochs)
        self._judge_the_last()
        return self._outcome(stopped, interrupted)

    @property
    def n_epochs(self) -> int:
        """Number of completed epochs."""
        return len(self._epochs)

    @property
    def _has_diverged(self) -> bool:
        return bool(self._epochs) and not isfinite(self._epochs[-1].loss)

    def parameters(self) -> Vector:
        """See :meth:`fastmlp.training.callbacks.Reached.parameters`."""
        theta = self.engine.last_finite() if self._has_diverged else None
        return self.engine.pull() if theta is None else theta

    def record(self) -> History:
        """See :meth:`fastmlp.training.callbacks.Reached.record`."""
        return self.history.followed_by(self._epochs)

    def memory(self) -> OptimizerMemory | None:
        """See :meth:`fastmlp.training.callbacks.Reached.memory`."""
        return None if self._has_diverged else self.engine.state()

    @property
    def is_complete(self) -> bool:
        """Whether training has ended by itself, rather than because somebody wished so."""
        return self._is_over or self.n_epochs >= self.rule.max_epochs

    def best_parameters(self) -> Vector:
        """Return the parameters that would be kept if training ended now."""
        return self._outcome(False, False).theta

    def state(self) -> TrainingState:
        """See :meth:`fastmlp.training.checkpoint.Resumable.state`."""
        average, mean = self._average, self._average.theta
        step, first, second = self.engine.state()
        return TrainingState(
            theta=self.engine.pull(),
            step=step,
            first=first,
            second=second,
            order=self.order,
            generator=copied(self.shuffle),
            n_averaged=average.count,
            mean=None if mean is None else mean.copy(),
            is_over=self._is_over,
            **record_of(self.history, self.schedule, self._epochs),
        )

    def _resume(self, state: TrainingState) -> None:
        """Go back to what :meth:`state` has returned in another process."""
        history = self.history
        self._epochs += state.epochs(self.rule.max_epochs)
        if self._epochs:
            self._began -= self._epochs[-1].seconds
        state.restore(history, self.schedule)
        self._completed = len(self._epochs), history.progress()
        self._average.count, self._average.theta = state.n_averaged, state.mean
        if state.order is not None:
            self.order = state.order
        if self.shuffle is not None and state.generator is not None:
            self.shuffle.set_state(state.generator.get_state())
        memory = None
        if state.first is not None and state.second is not None:
            memory = state.step, state.first, state.second
        self.engine.push(state.theta, memory)
        self._is_over = state.is_over

    def _run_epochs(self) -> bool:
        """Train for one epoch, or for some that nobody watches; return whether training ends."""
        self.listener.epoch_begins(self)
        orders = self._next_orders(self._n_unwatched())
        learning_rate = self.schedule.learning_rate
        try:
            losses = self.engine.run_epochs(orders, learning_rate)
            epochs = self._measure(losses, learning_rate)
        except CustomLossError as error:  # one from the listener is about another fit
            self._failure = error
            return True
        if len(losses) < len(orders):
            self._take_back(len(orders) - len(losses))
        # Only the last of several epochs can be the one with which training ends.
        for epoch in epochs[:-1]:
            self._note(epoch)
        return self._epoch_ends(epochs[-1])

    def _n_unwatched(self) -> int:
        """Return how many epochs can be run before anybody looks at the losses or the network."""
        rule, metrics = self.rule, self.metrics
        if (
            rule.by_score
            or self._follows_epochs
            or self.verbose
            or self.swa_start is not None
            or self.listener.is_told
            or metrics != _NO_METRICS
        ):
            return 1
        # Each epoch may be one without an improvement, and the rule then ends training.
        n_patient = rule.patience - self.history.no_improvement_count
        n_left = rule.max_epochs - len(self._epochs)
        return int(max(1, min(self.engine.epochs_at_once, n_left, n_patient + 1)))

    def _next_orders(self, n_epochs: int) -> np.ndarray:
        """Draw the orders of the next epochs, each from the one before.

        Returns
        -------
        ndarray of shape (n_epochs, n_rows), int64
        """
        orders = np.empty((n_epochs, self.order.size), dtype=np.int64)
        if self.shuffle is None:
            orders[:] = self.order
            return orders
        if n_epochs > 1 and self._drawn is None:
            self._drawn, self._n_drawn = self.shuffle.get_state(legacy=False), 0
        previous, shuffle = self.order, self.shuffle.shuffle
        for order in orders:
            order[:] = previous
            shuffle(order)
            previous = order
        self.order = previous
        self._n_drawn += n_epochs
        return orders

    def _take_back(self, n_epochs: int) -> None:
        """Take back the orders of the last epochs that were drawn, which were not run."""
        if self.shuffle is None:
            return
        assert self._drawn is not None
        self.shuffle.set_state(self._drawn)
        self._n_drawn -= n_epochs
        again = np.arange(self.order.size)
        for _ in range(self._n_drawn):
            self.shuffle.shuffle(again)

    def _measure(self, losses: list[float], learning_rate: float) -> list[Epoch]:
        """Measure the epochs that have just been run; their time is shared evenly among them."""
        engine, metrics = self.engine, self.metrics
        validation = Validation()
        if metrics.validate is not None and self._is_judged:
            validation = metrics.validate(engine)
        norm = None if metrics.gradient_norm is None else metrics.gradient_norm(engine)
        dead_units = None if metrics.dead_units is None else metrics.dead_units(engine)
        number, most = len(self._epochs), self.rule.max_epochs
        now = time.perf_counter() - self._began
        seconds = [now]
        if len(losses) > 1:
            start = self._epochs[-1].seconds if self._epochs else 0.0
            seconds = np.linspace(start, now, len(losses) + 1)[1:].tolist()
        score = _plain(validation.score)
        rest = _plain(validation.loss), _plain(norm), dead_units
        numbers = range(number + 1, number + len(losses) + 1)
        return [
            Epoch._make((n, most, loss, score, learning_rate, end, *rest))
            for n, loss, end in zip(numbers, losses, seconds, strict=True)
        ]

    def _epoch_ends(self, epoch: Epoch) -> bool:
        """Note an epoch, tell those who watch, and return whether training ends with it."""
        history, rule = self.history, self.rule
        if self.verbose:
            _report_epoch(epoch)
        self._note(epoch)
        goes_on = True
        if self._follows_epochs:
            self.schedule.epoch_ends(history.n_samples_seen, self._watched(epoch), rule.tol)
            goes_on = not (rule.by_score and self.schedule.is_over)
        if self.swa_start is not None:
            self._average.epoch_ends(epoch.epoch, self.engine)
        if goes_on and history.no_improvement_count > rule.patience:
            goes_on = self.schedule.on_plateau()
            if self.verbose:
                _report_plateau(rule, self.schedule, goes_on)
            if goes_on:
                history.no_improvement_count = 0
        self._is_over = not (goes_on and isfinite(epoch.loss))
        self._completed = len(self._epochs), history.progress()
        is_stop_requested = self.listener.epoch_ends(epoch, self)
        return is_stop_requested or self._is_over

    def _note(self, epoch: Epoch) -> None:
        """Judge an epoch, and add it to the record."""
        history = self.history
        history.n_samples_seen += self.order.size
        if history.judge(epoch.loss, epoch.validation_score, self.rule.tol):
            history.best_theta = self.engine.pull()
        history.append(epoch)
        self._epochs.append(epoch)

    @property
    def _is_judged(self) -> bool:
        """Whether the current epoch is scored, which is up to the schedule in early stopping."""
        is_open = self.rule.by_score and self._follows_epochs
        return not is_open or self.schedule.is_judged

    def _judge_the_last(self) -> None:
        """Score the last epoch, where training ended before the first one that is scored."""
        history, validate = self.history, self.metrics.validate
        is_unknown = self.rule.by_score and history.best_theta is None and self._epochs
        if not is_unknown or validate is None or self._failure is not None or self._has_diverged:
            return
        epoch = self._epochs[-1]
        if epoch.validation_score is None and history.judge(
            epoch.loss, validate(self.engine).score, self.rule.tol
        ):
            history.best_theta = self.engine.pull()

    def _watched(self, epoch: Epoch) -> float:
        """Return the number by which a schedule judges an epoch: the smaller the better."""
        if self.rule.by_score:
            return inf if epoch.validation_score is None else -epoch.validation_score
        return epoch.loss if epoch.validation_loss is None else epoch.validation_loss

    def _outcome(self, stopped: bool, interrupted: bool) -> Outcome:
        """Choose the parameters to keep: the best, the mean, the last, or the last finite ones.

        Parameters
        ----------
        stopped : bool
            Whether the rule, the listener, divergence or a custom loss that failed ended training.
            An epoch in which a custom loss failed does not count.
        interrupted : bool
            Whether Ctrl-C ended training.

        Returns
        -------
        Outcome
        """
        n_epochs, diverged, failure = self.n_epochs, self._has_diverged, self._failure
        ending: dict[str, Any] = {"interrupted": interrupted, "failure": failure}
        ending["converged"] = (stopped or interrupted) and not (diverged or failure)
        if self.rule.by_score and self.history.best_theta is not None:
            best = self.history.best_theta
            return Outcome(best, n_epochs, diverged=diverged, is_best=True, **ending)
        theta, mean = self.engine.pull(), self._average.theta
        if mean is not None:
            theta = mean.astype(theta.dtype)
        ending["is_mean"] = mean is not None
        if diverged or failure is not None or not np.isfinite(theta).all():
            kept = self.engine.last_finite()
            theta, diverged = self.start if kept is None else kept, failure is None
        return Outcome(theta, n_epochs, diverged=diverged, **ending)


def _plain(number: float | None) -> float | None:
    """Return a number as Python's, which a checkpoint gives back, rather than as NumPy's."""
    return None if number is None else float(number)


def _report_epoch(epoch: Epoch) -> None:
    print(f"Iteration {epoch.epoch}, loss = {epoch.loss:.8f}")
    if epoch.validation_score is not None:
        print(f"Validation score: {epoch.validation_score:f}")


def _report_plateau(rule: StoppingRule, schedule: LearningRate, goes_on: bool) -> None:
    what = "Validation score" if rule.by_score else "Training loss"
    action = f"Setting learning rate to {schedule.learning_rate:f}" if goes_on else "Stopping."
    print(
        f"{what} did not improve more than tol={rule.tol:f} "
        f"for {rule.patience} consecutive epochs. {action}"
    )
