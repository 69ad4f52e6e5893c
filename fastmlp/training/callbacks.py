"""The listener, which training tells of each epoch."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..engines.engine import OptimizerMemory
from .history import Epoch, History

Callback = Callable[[Epoch], Any]


class Reached(Protocol):
    """What training has reached after an epoch. It changes as training goes on."""

    @property
    def n_epochs(self) -> int:
        """Number of completed epochs."""

    def parameters(self) -> np.ndarray:
        """Return a copy of the current parameters, or of the last finite ones."""

    def record(self) -> History:
        """Return a copy of the record, with all completed epochs."""

    def memory(self) -> OptimizerMemory | None:
        """Return a copy of the optimiser's memory; None where training cannot continue with it."""


class Listener:
    """Calls the user's callback after each epoch, and passes on whether training shall end.

    Parameters
    ----------
    callback : callable or None
        Called with a :class:`fastmlp.Epoch`; training stops when it returns True.
    """

    def __init__(self, callback: Callback | None = None) -> None:
        self._callback = callback

    @property
    def sees_estimator(self) -> bool:
        """Whether the callback may look at the estimator, which has to be up to date then."""
        return self._callback is not None and getattr(self._callback, "sees_estimator", True)

    @property
    def is_told(self) -> bool:
        """Whether anybody is told of epochs, who may then look at what training has reached."""
        return self._callback is not None

    def epoch_begins(self, reached: Reached) -> None:
        """Do nothing; a subclass may react to an epoch that begins."""

    def epoch_ends(self, epoch: Epoch, reached: Reached) -> bool:
        """Tell the callback of an epoch that has ended.

        Parameters
        ----------
        epoch : Epoch
        reached : Reached

        Returns
        -------
        stop : bool
            Whether training shall end.
        """
        return self._callback is not None and bool(self._callback(epoch))
