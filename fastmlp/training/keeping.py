"""A fit that keeps a checkpoint: when its file is written, and what becomes of it at the end.

A :class:`Keeper` writes the file of one fit, and each network in training has a :class:`Place` in
it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import isfinite
from os import PathLike
from typing import Any, Protocol

import numpy as np

from ..exceptions import DivergenceError, InputError, warn_user
from .callbacks import Listener, Reached
from .checkpoint import Checkpoint, Fingerprint, KeptFit, TrainingState, copied, files
from .history import Epoch
from .signals import WaitingSignals

_in_use: set[str] = set()


class Keeper:
    """Writes the checkpoint of one fit, from all threads that train its networks.

    Parameters
    ----------
    checkpoint : Checkpoint

    Attributes
    ----------
    path, shown : str
        The file, and how the user has called it.
    is_interrupted : bool
        Whether the fit has ended before its time, as by a signal, so that the file stays.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint, self.path = checkpoint, os.path.abspath(checkpoint.path)
        self.shown = os.fsdecode(checkpoint.path)
        self.every = float(checkpoint.every)
        self.files = files()
        self.files.check_path(self.path)
        self._found: KeptFit | None = None
        if os.path.exists(self.path) and os.path.getsize(self.path):
            self._found = self.files.read_checkpoint(self.path)
        self._on_disk = self._identity()
        self._fingerprint: Fingerprint = {}
        self._states: dict[str, TrainingState] = {}
        self._generators: dict[str, np.random.RandomState] = {}
        if self._found is not None:
            self._generators.update(self._found.generators)
        self._lock = threading.RLock()
        self._before = float(self._found.progress["seconds"]) if self._found else 0.0
        self._began = self._written = time.perf_counter()
        self._problem, self._latest = "", ""
        self.model: Callable[[], Any] | None = None
        self.is_interrupted = False

    def check(self, describe: Callable[[], Fingerprint]) -> None:
        """Go on with what the file holds, if it is of a fit of the same parameters and data.

        Parameters
        ----------
        describe : callable
            Returns the fingerprint. To read all data takes a while, so that it is called for the
            whole fit alone, and not again for the parts of it.

        Raises
        ------
        InputError
            When it is of another fit; the message names the first difference.
        """
        if self._fingerprint:
            return
        fingerprint = self._fingerprint = describe()
        if self._found is None:
            return
        # In the order of the file, which begins with what kind of fit it is of.
        self.compare({**dict.fromkeys(self._found.fingerprint, "missing"), **fingerprint})
        self._states.update(zip(self._found.places, self._found.states, strict=True))

    def compare(self, fingerprint: Fingerprint) -> None:
        """Refuse the file by a part of the fingerprint, before the rest of it is known.

        Raises
        ------
        InputError
            When the file is of another fit; the message names the first difference.
        """
        kept = fingerprint if self._found is None else self._found.fingerprint
        for name, here in fingerprint.items():
            there = kept.get(name, "missing")
            if there != here:
                raise InputError(
                    f"{self.shown}: this checkpoint is of another fit: {name} was "
                    f"{there} there, and is {here} here; choose another file, or remove this one"
                )

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

    @property
    def has_file(self) -> bool:
        """Whether there is a file with which the fit could go on."""
        return self._on_disk is not None and self._on_disk[2] > 0

    def _progress(self, latest: TrainingState) -> dict[str, Any]:
        best = latest.best_validation_score
        score = best if best is not None and isfinite(best) else None
        n_visits = sum(state.n_visits for state in self._states.values())
        return {
            **({"visits": n_visits} if n_visits else {}),
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
            warn_user(f"{self.shown}: the checkpoint could not be written: {self._problem}")


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


# So many times as long as a file takes to be written is trained until it is written again.
_WRITING_TIMES = 9


class Pace:
    """Tells when the file has to be written, so that no more training is lost than may be.

    Parameters
    ----------
    keeper : Keeper
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._last_end = time.perf_counter()
        self._due = self._last_end + keeper.every

    def step_ends(self) -> bool:
        """Note that a step has ended, such as an epoch; return whether the file is due."""
        now, last_end = time.perf_counter(), self._last_end
        self._last_end = now
        # The next step may end as late again.
        return now + (now - last_end) >= self._due

    def write(self) -> None:
        """Write the file, and set when the next one is due."""
        began = time.perf_counter()
        self._keeper.write()
        ended = time.perf_counter()
        # Where the interval is short and the file large, training has most of the time.
        least = _WRITING_TIMES * (ended - began) if self._keeper.every else 0.0
        self._due = ended + max(self._keeper.every, least)


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
        self._pace = Pace(place.keeper)

    is_told = True

    def epoch_begins(self, reached: Reached) -> None:
        """See :meth:`Listener.epoch_begins`."""
        self._listener.epoch_begins(reached)

    def epoch_ends(self, epoch: Epoch, reached: Any) -> bool:
        """See :meth:`Listener.epoch_ends`."""
        stop = self._listener.epoch_ends(epoch, reached)
        is_due = self._pace.step_ends()
        if is_due or stop or self._signals.received is not None:
            self._keep(epoch, reached, is_due)
        return stop

    def _keep(self, epoch: Epoch, reached: Any, is_due: bool) -> None:
        """Keep the state after an epoch, and let a signal act that has waited for that."""
        keeper, has_come = self._place.keeper, self._signals.received is not None
        if isfinite(epoch.loss):
            keeper.keep(self._place.name, reached.state())
            if is_due or has_come:
                self._pace.write()
        if has_come:
            self._signals.act()


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
