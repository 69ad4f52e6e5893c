"""The listener, which training tells of each epoch."""

from collections.abc import Callable
from typing import Any

from .history import Epoch

Callback = Callable[[Epoch], Any]


class Listener:
    """Calls the user's callback after each epoch, and passes on whether training shall end.

    Parameters
    ----------
    callback : callable or None
        Called with a :class:`fastmlp.Epoch`; training stops when it returns True.
    """

    def __init__(self, callback: Callback | None = None) -> None:
        self._callback = callback

    def epoch_begins(self) -> None:
        """Do nothing; a subclass may react to an epoch that begins."""

    def epoch_ends(self, epoch: Epoch, attributes: Callable[[], dict[str, list[Any]]]) -> bool:
        """Tell the callback of an epoch that has ended.

        Parameters
        ----------
        epoch : Epoch
        attributes : callable
            Returns the attributes with which a fitted estimator predicts by the current
            parameters. It is called only where somebody needs them, since they are copies.

        Returns
        -------
        stop : bool
            Whether training shall end.
        """
        return self._callback is not None and bool(self._callback(epoch))
