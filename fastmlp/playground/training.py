"""The thread that trains a network while somebody watches, and the epochs that it has recorded."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engines.devices import open_engine
from ..estimators import fitting
from ..estimators.gradient_check import objective_of
from ..exceptions import collected_warnings
from ..training.callbacks import Listener, Reached
from ..training.history import Epoch
from .data import Split

# Epochs of which the weights are kept, for the way back.
_MOST_KEPT = 2000
# Seconds for which a request lets training go on at most.
_LONGEST = 0.2


@dataclass
class Recorded:
    """An epoch that can be shown again."""

    epoch: int
    theta: np.ndarray


class _Watcher(Listener):
    """Passes on the weights after each epoch, without a fitted estimator made of them.

    Parameters
    ----------
    training : Training
    """

    is_told = True

    def __init__(self, training: "Training") -> None:
        super().__init__()
        self._training = training

    def epoch_ends(self, epoch: Epoch, reached: Reached) -> bool:
        """See :meth:`Listener.epoch_ends`."""
        return self._training.after_epoch(epoch, reached.parameters())


class Training:
    """One fit, in a thread of its own, which waits wherever it was told to.

    It takes the way of ``fit``, and gives the same weights.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor
        It is fitted.
    rows : Split
        The rows of the test are measured after each epoch.

    Attributes
    ----------
    losses, test_losses, rates : list of float or None
        Of each epoch so far.
    ending : str
        Why training is over; empty while it is not.
    """

    def __init__(self, model: Any, rows: Split) -> None:
        self.model, self.rows = model, rows
        self.losses: list[float | None] = []
        self.test_losses: list[float | None] = []
        self.rates: list[float | None] = []
        self.ending = ""
        start = objective_of(model, rows.X_train, rows.y_train).theta
        self._kept, self._stride = [Recorded(0, start)], 1
        self._last = self._kept[0]
        self._wanted, self._deadline, self._is_closed = 0, 0.0, False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._fit, name="fastmlp playground", daemon=True)

    @property
    def n_epochs(self) -> int:
        """Number of epochs so far."""
        return len(self.losses)

    def advance(self, n_epochs: int) -> None:
        """Train for some epochs, or for as many as a fifth of a second allows, and at least one.

        The thread sleeps before and after it.

        Parameters
        ----------
        n_epochs : int
        """
        with self._turn:
            if self.ending or self._is_closed:
                return
            self._wanted = self.n_epochs + n_epochs
            self._deadline = time.monotonic() + _LONGEST
            if self._thread.ident is None:
                self._thread.start()
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._is_idle)

    def close(self) -> None:
        """End the thread."""
        with self._turn:
            self._is_closed = True
            self._turn.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether the thread has begun and not ended."""
        return self._thread.is_alive()

    def recorded(self, epoch: int) -> Recorded:
        """Return the last recorded epoch that is not after `epoch`."""
        with self._turn:
            if epoch >= self._last.epoch:
                return self._last
            return self._kept[max(0, min(epoch // self._stride, len(self._kept) - 1))]

    @property
    def _is_idle(self) -> bool:
        return bool(self.ending) or self._is_closed or self._wanted <= self.n_epochs

    def _fit(self) -> None:
        """Fit the model; this is what the thread does."""
        test = (self.rows.X_test, self.rows.y_test)
        ending = "Training has failed; the terminal of the server says why."
        try:
            # Numbers of a network that diverges overflow on their way.
            with collected_warnings(), np.errstate(all="ignore"):
                fitting.run(
                    self.model,
                    self.rows.X_train,
                    self.rows.y_train,
                    None,
                    test if len(test[1]) else None,
                    listener=_Watcher(self),
                    open_engine=open_engine,
                )
            ending = "The last epoch is reached."
            if self.model.solver == "lbfgs" and self.n_epochs < self.model.max_iter:
                ending = "L-BFGS has converged."
        except ValueError as error:  # DivergenceError is one
            ending = str(error)
        finally:
            with self._turn:
                self.ending = ending
                self._turn.notify_all()

    def after_epoch(self, epoch: Epoch, theta: np.ndarray) -> bool:
        """Record an epoch, and wait until more are wanted; return whether training ends.

        Parameters
        ----------
        epoch : Epoch
        theta : ndarray of shape (n_parameters,)
        """
        with self._turn:
            self.losses.append(epoch.loss)
            self.test_losses.append(epoch.validation_loss)
            self.rates.append(epoch.learning_rate)
            self._last = Recorded(self.n_epochs, theta)
            if self.n_epochs % self._stride == 0:
                self._kept.append(self._last)
            if len(self._kept) > _MOST_KEPT:
                self._kept, self._stride = self._kept[::2], 2 * self._stride
            if time.monotonic() > self._deadline:
                self._wanted = self.n_epochs
            if self._is_idle:
                self._turn.notify_all()
                self._turn.wait_for(lambda: not self._is_idle or self._is_closed)
            return self._is_closed
