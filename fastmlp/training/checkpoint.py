"""Checkpoints: all that a fit needs to go on where another process was killed, to the same bits.

A :class:`KeptFit` is what a file holds: a :class:`TrainingState` of each network that is trained,
or was, by its place in the fit. :mod:`fastmlp.training.keeping` writes it while a fit runs. How
such a file is written and read is known to :mod:`fastmlp.export.checkpoint_file` alone.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from ..schedules import LearningRate
from .history import Epoch, History, Progress, Vector

# What is said of a fit's parameters and data, by the names that messages use.
Fingerprint: TypeAlias = dict[str, str]

_NUMBERS = (
    "loss", "validation_score", "learning_rate", "seconds", "validation_loss", "gradient_norm",
)  # fmt: skip
# What changes in the state of a schedule.
_CHANGING_RATE = (
    "learning_rate", "epoch", "n_samples_seen", "best", "waited", "waited_at_rate",
)  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A file in which a fit keeps its state, so that another process can go on with it.

    Where there is such a file, ``fit(X, y, checkpoint=Checkpoint(path))`` goes on with it. The
    result has the bits of a fit that was never interrupted, whatever the number of threads; only
    L-BFGS starts anew from the weights that it had reached. The file is written at the end of an
    epoch, and where Ctrl-C or SIGTERM ends the fit. It is removed when the fit is complete.
    :func:`fastmlp.train_files` writes it after visits to shards as well, and
    :func:`fastmlp.dask.fit` where a cluster is lost.

    Parameters
    ----------
    path : str or Path
        The file. The usual ending is ``.ckpt``. Each fit needs a file of its own.
    every : float, default=60.0
        Seconds of training that may be lost. A single epoch may take longer, and where the file
        takes long to be written, nine times as long is trained in between. 0 writes each epoch.
    keep : bool, default=False
        Whether the file stays when the fit is complete. A fit that goes on with it then trains
        what came after it was written last.
    """

    path: str | PathLike[str]
    every: float = 60.0
    keep: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not self.every >= 0:
            raise ValueError(f"every must be a number of seconds from 0 on, got {self.every!r}")

    def model(self) -> Any:
        """Return the model that training has reached, such as one for :func:`fastmlp.save_model`.

        Returns
        -------
        estimator
            It is fitted, with the best weights so far. Its curves and ``history_`` are empty.

        Raises
        ------
        ModelFileError
            When the file is missing or is no checkpoint, and when there is no model yet.
        """
        return files().model_so_far(self.path)


Checkpoint.__module__ = "fastmlp"  # where users find it
# What ``fit`` takes.
CheckpointPath: TypeAlias = "str | PathLike[str] | Checkpoint | None"


@dataclass
class TrainingState:
    """The state of one network's training after an epoch, or in an epoch over shards.

    Parameters
    ----------
    theta : ndarray of shape (n_parameters,)
    step : int
    first, second : ndarray of shape (n_parameters,) or None
        The optimiser's memory; None where training does not go on.
    order : ndarray of shape (n_trained,), int64, or None
        The rows as the last epoch had them, which the next one shuffles.
    generator : numpy.random.RandomState or None
        It draws the next order; None where rows are not shuffled.
    schedule : LearningRate or None
        None for L-BFGS.
    best_loss, best_validation_score, best_theta, no_improvement_count, n_samples_seen
        See :class:`fastmlp.training.history.History`.
    loss_curve : ndarray of shape (n_losses,), float64
    validation_scores : ndarray of shape (n_losses,), float64, or None
    n_averaged : int
        Number of epochs in `mean`.
    mean : ndarray of shape (n_parameters,), float64, or None
    numbers : ndarray of shape (n_epochs, 6), float64
        Numbers of each epoch of this fit.
    is_known : ndarray of shape (n_epochs, 6), bool
        Which of the numbers there are.
    dead_units : ndarray of shape (n_epochs, n_layers), float64, or None
    is_over : bool
        Whether training ends with this epoch, before its limit of epochs.
    n_visits : int
        The number of shards that the network has visited in the next epoch; of rows in memory 0.
    loss_sum, n_rows : float
        The sum of the losses of the rows of these shards, and their number.
    """

    theta: Vector
    loss_curve: Vector
    numbers: np.ndarray
    is_known: np.ndarray
    step: int = 0
    first: Vector | None = None
    second: Vector | None = None
    order: np.ndarray | None = None
    generator: np.random.RandomState | None = None
    schedule: LearningRate | None = None
    best_loss: float | None = None
    best_validation_score: float | None = None
    best_theta: Vector | None = None
    no_improvement_count: int = 0
    n_samples_seen: int = 0
    validation_scores: Vector | None = None
    n_averaged: int = 0
    mean: Vector | None = None
    dead_units: np.ndarray | None = None
    is_over: bool = False
    n_visits: int = 0
    loss_sum: float = 0.0
    n_rows: float = 0.0

    def small(self) -> Self:
        """Return the state of a network that is trained, without what further epochs need."""
        return replace(self, first=None, second=None, order=None, generator=None)

    def restore(self, history: History, schedule: LearningRate) -> None:
        """Give a record and a schedule, in place, what they were when the state was kept.

        The epochs in the record's `numbers` are added when training ends.
        """
        history.loss_curve[:] = self.loss_curve.tolist()
        if history.validation_scores is not None and self.validation_scores is not None:
            history.validation_scores[:] = self.validation_scores.tolist()
        history.set_progress(Progress(*(getattr(self, name) for name in Progress._fields)))
        if self.schedule is not None:
            for name in _CHANGING_RATE:
                setattr(schedule, name, getattr(self.schedule, name))

    def epochs(self, max_epochs: int) -> list[Epoch]:
        """Return the epochs of the fit so far."""
        dead = [None] * len(self.numbers) if self.dead_units is None else self.dead_units.tolist()
        found = []
        rows = zip(self.numbers.tolist(), self.is_known.tolist(), dead, strict=True)
        for number, (values, known, of_layers) in enumerate(rows, 1):
            named: dict[str, Any] = {
                name: value if is_known else None
                for name, value, is_known in zip(_NUMBERS, values, known, strict=True)
            }
            found.append(Epoch(number, max_epochs, dead_units=of_layers, **named))
        return found


def record_of(history: History, schedule: LearningRate, epochs: Sequence[Epoch]) -> dict[str, Any]:
    """Return what a :class:`TrainingState` has of a record, of a schedule, and of the epochs."""
    scores = history.validation_scores
    return {
        "loss_curve": np.array(history.loss_curve, np.float64),
        "validation_scores": None if scores is None else np.array(scores, np.float64),
        "schedule": replace(schedule),
        **history.progress()._asdict(),
        **numbers_of(epochs),
    }


def numbers_of(epochs: Sequence[Epoch]) -> dict[str, Any]:
    """Return the arrays of a :class:`TrainingState` that tell of epochs."""
    rows = [[getattr(epoch, name) for name in _NUMBERS] for epoch in epochs]
    shape = len(rows), len(_NUMBERS)
    known = np.array([[v is not None for v in row] for row in rows], bool).reshape(shape)
    numbers = np.array([[0.0 if v is None else v for v in row] for row in rows]).reshape(shape)
    dead = [epoch.dead_units for epoch in epochs]
    is_watched = bool(dead) and dead[0] is not None
    return {
        "numbers": numbers.astype(np.float64),
        "is_known": known,
        "dead_units": np.array(dead, np.float64).reshape(len(dead), -1) if is_watched else None,
    }


def copied(generator: np.random.RandomState | None) -> np.random.RandomState | None:
    """Return a generator of its own with the same state."""
    if generator is None:
        return None
    copy = np.random.RandomState(0)
    copy.set_state(generator.get_state())
    return copy


# Model files and pickles name the class by this path.
TrainingState.__module__ = "fastmlp"


@dataclass
class KeptFit:
    """What the file of a checkpoint holds.

    Parameters
    ----------
    fingerprint : dict of str to str
        What the fit's parameters and data are.
    places : list of str
        Where in the fit each of the `states` belongs.
    states : list of TrainingState
    generators : dict of str to numpy.random.RandomState
        The state in which each part of the fit found its generator when it began.
    progress : dict
        What is shown of the fit: plain numbers.
    model : estimator or None
        The model so far, fitted; None where there is none yet, or where it cannot be in a file.
    """

    fingerprint: Fingerprint = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    states: list[TrainingState] = field(default_factory=list)
    generators: dict[str, np.random.RandomState] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    model: Any = None


KeptFit.__module__ = "fastmlp"


class Files(Protocol):
    """What :mod:`fastmlp.export.checkpoint_file` does for a fit."""

    def check_path(self, path: Any) -> None:
        """Refuse a path at which no checkpoint could be written."""

    def read_checkpoint(self, path: Any) -> KeptFit:
        """Read a checkpoint."""

    def write_checkpoint(self, kept: KeptFit, path: Any) -> None:
        """Write a checkpoint whole, or not at all."""

    def model_so_far(self, path: Any) -> Any:
        """Return the model in a checkpoint."""


def files() -> Files:
    """Return the module that reads and writes checkpoints.

    It is in a room above this one, since it knows the models, and is needed only here.
    """
    module: Any = importlib.import_module("fastmlp.export.checkpoint_file")
    return module
