"""Checkpoints: all that a fit needs to go on where another process was killed, to the same bits.

A :class:`KeptFit` is what a file holds: a :class:`TrainingState` of each network that is trained,
or was, by its place in the fit. A :class:`Keeper` writes it while a fit runs, and each network has
a :class:`Place` in it. How such a file is written and read is known to
:mod:`fastmlp.export.checkpoint_file` alone.
"""

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from math import isfinite
from os import PathLike
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from ..exceptions import DivergenceError, InputError, warn_user
from ..schedules import LearningRate
from .callbacks import Listener, Reached
from .history import Epoch, Vector
from .signals import WaitingSignals

# What is said of a fit's parameters and data, by the names that messages use.
Fingerprint: TypeAlias = dict[str, str]

_NUMBERS = (
    "loss", "validation_score", "learning_rate", "seconds", "validation_loss", "gradient_norm",
)  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A file in which a fit keeps its state, so that another process can go on with it.

    Where there is such a file, ``fit(X, y, checkpoint=Checkpoint(path))`` goes on with it. The
    result has the bits of a fit that was never interrupted, whatever the number of threads; only
    L-BFGS starts anew from the weights that it had reached. The file is written at the end of an
    epoch, and where Ctrl-C or SIGTERM ends the fit. It is removed when the fit is complete.

    Parameters
    ----------
    path : str or Path
        The file. The usual ending is ``.ckpt``. Each fit needs a file of its own.
    every : float, default=60.0
        Seconds of training that may be lost. A single epoch may take longer.
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
        return _files().model_so_far(self.path)


Checkpoint.__module__ = "fastmlp"  # where users find it
# What ``fit`` takes.
CheckpointPath: TypeAlias = "str | PathLike[str] | Checkpoint | None"


@dataclass
class TrainingState:
    """The state of one network's training after an epoch.

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

    def small(self) -> Self:
        """Return the state of a network that is trained, without what further epochs need."""
        return replace(self, first=None, second=None, order=None, generator=None)

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


class _Files(Protocol):
    """What :mod:`fastmlp.export.checkpoint_file` does for a fit."""

    def check_path(self, path: Any) -> None: ...
    def read_checkpoint(self, path: Any) -> KeptFit: ...
    def write_checkpoint(self, kept: KeptFit, path: Any) -> None: ...
    def model_so_far(self, path: Any) -> Any: ...


def _files() -> _Files:
    """Return the module that reads and writes checkpoints.

    It is in a room above this one, since it knows the models, and is needed only here.
    """
    files: Any = importlib.import_module("fastmlp.export.checkpoint_file")
    return files


_in_use: set[str] = set()


class Keeper:
    """Writes the checkpoint of one fit, from all threads that train its networks.

    Parameters
    ----------
    checkpoint : Checkpoint

    Attributes
    ----------
    is_interrupted : bool
        Whether a signal has ended the fit, so that the file stays.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint, self.path = checkpoint, os.path.abspath(checkpoint.path)
        self.every = float(checkpoint.every)
        self.files = _files()
        self.files.check_path(self.path)
        self._found: KeptFit | None = None
        if os.path.exists(self.path) and os.path.getsize(self.path):
            self._found = self.files.read_checkpoint(self.path)
        self._on_disk = self._identity()
        self._fingerprint: Fingerprint = {}
        self._states: dict[str, TrainingState] = {}
        self._generators: dict[str, np.random.RandomState] = {}
        self._lock = threading.RLock()
        self._before = float(self._found.progress["seconds"]) if self._found else 0.0
        self._began = self._written = time.perf_counter()
        self._problem, self._latest = "", ""
        self.model: Callable[[], Any] | None = None
        self.is_interrupted = False

    def check(self, fingerprint: Fingerprint) -> None:
        """Go on with what the file holds, if it is of a fit of the same parameters and data.

        Raises
        ------
        InputError
            When it is of another fit; the message names the first difference.
        """
        if self._fingerprint:
            return
        self._fingerprint = fingerprint
        if self._found is None:
            return
        kept = self._found.fingerprint
        for name in [*fingerprint, *kept]:
            there, here = kept.get(name, "missing"), fingerprint.get(name, "missing")
            if there != here:
                raise InputError(
                    f"{self._checkpoint.path}: this checkpoint is of another fit: {name} was "
                    f"{there} there, and is {here} here; choose another file, or remove this one"
                )
        self._states.update(zip(self._found.places, self._found.states, strict=True))
        self._generators.update(self._found.generators)

    def state(self, place: str) -> TrainingState | None:
        """Return the state that a part of the fit had when the file was written."""
        return self._states.get(place)

    def begin(self, place: str, generator: np.random.RandomState) -> np.random.RandomState:
        """Note in which state a part of the fit finds its generator, or go back to that state."""
        if generator.get_state(legacy=False)["bit_generator"] != "MT19937":
            raise InputError("a checkpoint needs a random_state with the generator MT19937")
        with self._lock:
            if place in self._generators:
                if generator is np.random.mtrand._rand:  # that of all the process stays as it is
                    generator = np.random.RandomState(0)
                generator.set_state(self._generators[place].get_state())
            else:
                self._generators[place] = copied(generator)  # type: ignore[assignment]
        return generator

    def keep(self, place: str, state: TrainingState) -> None:
        """Take a state into the next file, if training can go on from it."""
        if np.isfinite(state.theta).all():
            with self._lock:
                self._states[place], self._latest = state, place

    @property
    def is_due(self) -> bool:
        """Whether the file is so old that it should be written."""
        return time.perf_counter() - self._written >= self.every

    def write(self) -> None:
        """Write the file. If that fails the former one stays, and training goes on."""
        with self._lock:
            latest = self._states.get(self._latest)
            if latest is None:
                return
            if self._identity() not in (None, self._on_disk):
                self._problem = "another fit writes it, too; give each fit a file of its own"
                return
            kept = KeptFit(
                self._fingerprint,
                list(self._states),
                list(self._states.values()),
                self._generators,
                self._progress(latest),
                None if self.model is None else self.model(),
            )
            try:
                self.files.write_checkpoint(kept, self.path)
            except OSError as error:
                self._problem = f"{error.strerror or error}; the former one was kept"
            except InputError as error:
                self._problem = str(error)
            else:
                self._on_disk = self._identity()
            self._written = time.perf_counter()

    def _progress(self, latest: TrainingState) -> dict[str, Any]:
        best = latest.best_validation_score
        score = best if best is not None and isfinite(best) else None
        return {
            "epochs": sum(len(state.numbers) for state in self._states.values()),
            "networks": len(self._states),
            "loss": float(latest.loss_curve[-1]) if len(latest.loss_curve) else None,
            "validation_score": score,
            "seconds": self._before + time.perf_counter() - self._began,
        }

    def _identity(self) -> tuple[int, int, int] | None:
        """Tell this file from one that another process has put in its place."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def end(self) -> None:
        """Remove the file of a fit that is complete, and warn if it could not be written."""
        stays = self.is_interrupted or self._checkpoint.keep
        if not stays and self._identity() == self._on_disk is not None:
            with suppress(OSError):
                os.unlink(self.path)
        if self._problem:
            warn_user(
                f"{self._checkpoint.path}: the checkpoint could not be written: {self._problem}"
            )


@dataclass
class Place:
    """A part of a fit, and its place in the checkpoint.

    Parameters
    ----------
    keeper : Keeper
    name : str
        '' for the fit of one network.
    has_model : bool
        Whether the model so far is made of the networks here, and not of others as well.
    is_member : bool
        Whether a network here is one of a pack, of which only the weights are needed in the end.
    finish : callable
        ``finish(network)`` makes the model of the whole fit of a fitted network.
    """

    keeper: Keeper
    name: str = ""
    has_model: bool = True
    is_member: bool = False
    finish: Callable[[Any], Any] | None = None

    def inside(self, name: str, **changes: Any) -> "Place":
        """Return the place of a part of this part."""
        return replace(self, name=f"{self.name}/{name}" if self.name else name, **changes)

    @property
    def is_whole(self) -> bool:
        """Whether this is the place of the whole fit."""
        return not self.name

    @property
    def state(self) -> TrainingState | None:
        """The state that the network here had when the file was written."""
        return self.keeper.state(self.name)

    def begin(self, generator: np.random.RandomState) -> np.random.RandomState:
        """See :meth:`Keeper.begin`."""
        return self.keeper.begin(self.name, generator)

    def offer_model(self, make: Callable[[], Any]) -> None:
        """Let the model so far be made by a function, where that is up to this part."""
        if self.has_model:
            finish = self.finish
            self.keeper.model = make if finish is None else lambda: finish(make())

    def ends(self, state: TrainingState) -> None:
        """Keep the last state of a network, so that it is not trained again."""
        if not self.is_whole:
            self.keeper.keep(self.name, state.small() if self.is_member else state)
            if self.keeper.is_due:
                self.keeper.write()


class Resumable(Reached, Protocol):
    """What training has reached, with all that it needs to go on."""

    def state(self) -> TrainingState:
        """Return a copy of the state after the last completed epoch."""


class Keeping(Listener):
    """Passes epochs on to a listener, and keeps the state of training in a checkpoint.

    Parameters
    ----------
    listener : Listener
    place : Place
    signals : WaitingSignals
        Those that wait until the state is written.
    """

    def __init__(self, listener: Listener, place: Place, signals: WaitingSignals) -> None:
        super().__init__()
        self._listener, self._place, self._signals = listener, place, signals
        self._since = self._last_end = time.perf_counter()

    is_told = True

    def epoch_begins(self, reached: Reached) -> None:
        """See :meth:`Listener.epoch_begins`."""
        self._listener.epoch_begins(reached)

    def epoch_ends(self, epoch: Epoch, reached: Any) -> bool:
        """See :meth:`Listener.epoch_ends`."""
        stop = self._listener.epoch_ends(epoch, reached)
        keeper, now = self._place.keeper, time.perf_counter()
        took, self._last_end = now - self._last_end, now
        # The next epoch would end too late.
        is_due = now - self._since + took >= keeper.every or self._signals.has_come
        if (is_due or stop) and isfinite(epoch.loss):
            keeper.keep(self._place.name, reached.state())
            if is_due:
                keeper.write()
                self._since = time.perf_counter()
        if self._signals.has_come:
            self._signals.act()
        return stop


@contextmanager
def kept(checkpoint: Any) -> Iterator[Place | None]:
    """Provide the place of a fit in its checkpoint, and see to the file when the fit ends.

    Parameters
    ----------
    checkpoint : str, Path, Checkpoint, Place or None
        A Place is that of a part of another fit, which sees to the file.

    Yields
    ------
    Place or None

    Raises
    ------
    InputError
        When the file cannot be written, or is used by another fit.
    ModelFileError
        When there is a file that is no checkpoint.
    """
    if checkpoint is None or isinstance(checkpoint, Place):
        yield checkpoint
        return
    if not isinstance(checkpoint, Checkpoint):
        if not isinstance(checkpoint, str | PathLike):
            raise TypeError(
                "checkpoint must be the path of a file or a fastmlp.Checkpoint, got "
                f"{type(checkpoint).__name__}"
            )
        checkpoint = Checkpoint(checkpoint)
    path = os.path.realpath(checkpoint.path)
    if path in _in_use:
        raise InputError(f"{checkpoint.path}: another fit uses this checkpoint; give each its own")
    _in_use.add(path)
    try:
        keeper = Keeper(checkpoint)
        try:
            yield Place(keeper)
        except (Warning, DivergenceError):  # the fit is complete nevertheless
            keeper.end()
            raise
        keeper.end()
    finally:
        _in_use.discard(path)
