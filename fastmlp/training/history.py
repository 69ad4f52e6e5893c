"""The record of a fit: its epochs, what later fits continue, and how it ended."""

import copy
from dataclasses import dataclass, field, replace
from math import inf, nan
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np

from ..engines.engine import OptimizerMemory
from ..exceptions import CustomLossError
from ..schedules import LearningRate

Vector: TypeAlias = np.ndarray


class Epoch(NamedTuple):
    """What a callback is told after each epoch.

    Parameters
    ----------
    epoch : int
        Number of the epoch, from 1.
    max_epochs : int
        Epochs after which training stops in any case.
    loss : float
        Mean training loss of the epoch's batches, each before its update, penalty included.
    validation_score : float or None
        Score on the validation part; None without one, and for an epoch that early stopping does
        not score (see :class:`fastmlp.schedules.MultiCycle`).
    learning_rate : float or None
        Learning rate of the epoch; None for lbfgs.
    seconds : float
        Time since training began.
    validation_loss : float or None
        Loss on the validation part, without penalties; None where it is not computed.
    gradient_norm : float or None
        Norm of the gradient, as the mean over the epoch's steps; None without ``monitor``.
    dead_units : list of float or None
        Share of each hidden relu layer's units that are zero for all rows; None without
        ``monitor``.
    """

    epoch: int
    max_epochs: int
    loss: float
    validation_score: float | None
    learning_rate: float | None
    seconds: float
    validation_loss: float | None = None
    gradient_norm: float | None = None
    dead_units: list[float] | None = None


Epoch.__module__ = "fastmlp"  # where users find it


# ``history_`` has these fields of an epoch only where a fit measured them.
_OPTIONAL = ("validation_loss", "validation_score", "gradient_norm", "dead_units")


def add_epochs(record: dict[str, list[Any]], epochs: list[Epoch]) -> None:
    """Append the epochs of a fit to ``history_``, with None for the numbers that an epoch lacks.

    Parameters
    ----------
    record : dict of str to list
        It is modified in place; its lists stay equally long.
    epochs : list of Epoch
    """
    if not epochs:
        return
    n_before = len(next(iter(record.values()), ()))
    columns = dict(zip(Epoch._fields, map(list, zip(*epochs, strict=True)), strict=True))
    new = {name: columns[name] for name in ("loss", "learning_rate")}
    ends = columns["seconds"]
    new["seconds"] = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
    for name in _OPTIONAL:
        if any(number is not None for number in columns[name]):
            new[name] = columns[name]
    for name in new:
        record.setdefault(name, [None] * n_before)
    for name, numbers in record.items():
        numbers.extend(new.get(name) or [None] * len(epochs))


class Progress(NamedTuple):
    """The numbers of a :class:`History` that change with each epoch."""

    best_loss: float | None
    best_validation_score: float | None
    best_theta: Vector | None
    no_improvement_count: int
    n_samples_seen: int


@dataclass
class History:
    """The record of training, which warm starts and ``partial_fit`` continue.

    Make one with :meth:`by_loss` or :meth:`by_score`, by which epochs are judged.

    Parameters
    ----------
    best_loss : float or None
        Lowest training loss so far, infinity before the first epoch; None where the validation
        score is what counts.
    best_validation_score : float or None
        Highest score so far, minus infinity before the first epoch; None where the training
        loss is what counts.
    validation_scores : list of float or None
        Score after each epoch, NaN for one that was not scored; None where the training loss is
        what counts.
    best_theta : ndarray of shape (n_parameters,) or None
        The parameters with the best score; None before there are any.
    loss_curve : list of float
        Training loss of each epoch. Epochs are appended to this list.
    no_improvement_count : int
        Epochs in a row without an improvement.
    n_samples_seen : int
        Rows trained on so far, counted once for each epoch.
    numbers : dict of str to list
        The estimator's ``history_``; see :func:`add_epochs`.
    """

    best_loss: float | None
    best_validation_score: float | None
    validation_scores: list[float] | None
    best_theta: Vector | None = None
    loss_curve: list[float] = field(default_factory=list)
    no_improvement_count: int = 0
    n_samples_seen: int = 0
    numbers: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def by_loss(cls, best_loss: float = inf, **known: Any) -> Self:
        """Make a history whose epochs are judged by their training loss."""
        return cls(best_loss, None, None, **known)

    @classmethod
    def by_score(
        cls,
        validation_scores: list[float] | None = None,
        best_validation_score: float = -inf,
        best_theta: Vector | None = None,
        **known: Any,
    ) -> Self:
        """Make a history whose epochs are judged by their score on rows not used to train."""
        scores = [] if validation_scores is None else validation_scores
        return cls(None, best_validation_score, scores, best_theta, **known)

    def progress(self) -> Progress:
        """Return the numbers that change with each epoch."""
        return Progress(
            self.best_loss,
            self.best_validation_score,
            self.best_theta,
            self.no_improvement_count,
            self.n_samples_seen,
        )

    def set_progress(self, progress: Progress) -> None:
        """Go back to an earlier :meth:`progress`."""
        for name, value in progress._asdict().items():
            setattr(self, name, value)

    def append(self, epoch: Epoch) -> None:
        """Add the loss and the score of an epoch to the curves."""
        self.loss_curve.append(epoch.loss)
        if self.validation_scores is not None:
            score = epoch.validation_score
            self.validation_scores.append(nan if score is None else score)

    def followed_by(self, epochs: list[Epoch]) -> Self:
        """Return a copy whose `numbers` have some more epochs."""
        numbers = {name: list(of_epochs) for name, of_epochs in self.numbers.items()}
        add_epochs(numbers, epochs)
        scores = None if self.validation_scores is None else list(self.validation_scores)
        return replace(
            self, loss_curve=list(self.loss_curve), validation_scores=scores, numbers=numbers
        )

    def judge(self, loss: float, score: float | None, tol: float) -> bool:
        """Compare an epoch with the best one so far, and count epochs without an improvement.

        Where the score is what counts, an epoch without a score changes nothing.

        Parameters
        ----------
        loss : float
            Training loss of the epoch.
        score : float or None
            Validation score after the epoch.
        tol : float
            Only a change by this much or more counts as an improvement.

        Returns
        -------
        bool
            Whether the parameters have the best score so far, so that they should be kept.
        """
        if self.best_loss is not None:
            is_stale, is_best = loss > self.best_loss - tol, False
            self.best_loss = min(self.best_loss, loss)
        elif score is None:
            return False
        else:
            assert self.best_validation_score is not None
            # A score of NaN is not less than any number, and so an improvement, as in scikit-learn.
            is_stale = score < self.best_validation_score + tol
            is_best = score > self.best_validation_score
            if is_best:
                self.best_validation_score = score
        self.no_improvement_count = self.no_improvement_count + 1 if is_stale else 0
        return is_best


@dataclass
class OptimizerState:
    """The state of an optimiser, with which the next call of ``partial_fit`` continues.

    As in scikit-learn, the constants are those of the first call; later changes of the estimator's
    parameters do not matter.

    Parameters
    ----------
    schedule : LearningRate
    constants : dict
        Arguments of a :class:`fastmlp.network.plan.TrainingPlan`.
    step : int
        Number of updates so far.
    first, second : ndarray of shape (n_parameters,) or None
        The optimiser's two vectors; None before the first epoch.
    """

    schedule: LearningRate
    constants: dict[str, Any]
    step: int = 0
    first: Vector | None = None
    second: Vector | None = None

    def with_memory(self, memory: OptimizerMemory) -> Self:
        """Return a copy of the state with other vectors, and a schedule of its own."""
        step, first, second = memory
        schedule = copy.copy(self.schedule)
        return replace(self, schedule=schedule, step=step, first=first, second=second)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next epoch."""
        return self.schedule.learning_rate


# Pickles and model files store this path, so that they can be read after this module has moved.
OptimizerState.__module__ = "fastmlp"


class Outcome(NamedTuple):
    """How training ended, by epochs or by L-BFGS."""

    theta: Vector
    """The parameters to keep. They are finite, unless the initial ones were not."""
    n_epochs: int
    """Number of completed epochs, or iterations of L-BFGS."""
    converged: bool = False
    """Whether training ended before its limit of epochs; for L-BFGS, whether scipy says so."""
    diverged: bool = False
    """Whether the last loss or a last parameter is not finite."""
    is_best: bool = False
    """Whether `theta` are the parameters of the epoch with the best validation score."""
    is_mean: bool = False
    """Whether `theta` is the mean of the parameters after several epochs."""
    interrupted: bool = False
    """Whether Ctrl-C ended training."""
    loss: float | None = None
    """Loss at `theta`; only L-BFGS computes it."""
    message: str = ""
    """Why scipy's L-BFGS-B stopped before it converged."""
    failure: CustomLossError | None = None
    """What a function of a custom loss raised, which ended training."""
