"""Who is told of each epoch."""

from collections.abc import Callable
from typing import Any

from .history import Epoch

Callback = Callable[[Epoch], Any]


class Listener:
    """Tells the callback of each epoch, and asks whether to go on.

    Parameters
    ----------
    callback : callable or None
        Called with a :class:`fastmlp.training.history.Epoch`; training stops when it returns
        True.
    """

    def __init__(self, callback: Callback | None = None) -> None:
        self._callback = callback

    def epoch_begins(self) -> None:
        """Take note that the first batch of an epoch follows."""

    def epoch_ends(self, epoch: Epoch, attributes: Callable[[], dict[str, list]]) -> bool:
        """Tell of an epoch.

        Parameters
        ----------
        epoch : Epoch
        attributes : callable
            Returns what a fitted estimator needs to predict with the current parameters, as a
            dict of attributes. Called only when someone asks.

        Returns
        -------
        stop : bool
            Whether training shall end.
        """
        return self._callback is not None and bool(self._callback(epoch))
