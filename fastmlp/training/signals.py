"""Signals that ask a process to end, and wait until a checkpoint is written."""

import signal
import threading
from types import FrameType
from typing import Any, Self

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class WaitingSignals:
    """Takes the signals in a block, and lets them act as before when it is told to.

    Signals that are ignored stay ignored. Only the main thread of a process can handle signals;
    in another one, this does nothing.

    Notes
    -----
    Python may raise KeyboardInterrupt when a lock of :mod:`threading` or of a pool is taken, and
    before it is known who frees it. Other threads that need the lock then wait forever. So signals
    wait while work is handed over to threads.

    Parameters
    ----------
    interrupts : bool
        Whether a signal raises KeyboardInterrupt at once, and what it did before only at the end
        of the block, if that ends the process. Otherwise the first signal waits for :meth:`act`,
        and a second one acts at once.

    Attributes
    ----------
    received : int or None
        The signal that waits.
    """

    def __init__(self, interrupts: bool = False) -> None:
        self._interrupts = interrupts
        self._former: dict[int, Any] = {}
        self.received: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]:
                handler = signal.getsignal(number)
                if handler == signal.SIG_DFL or (callable(handler) and not self._interrupts):
                    self._former[number] = handler
                    signal.signal(number, self._take)
        return self

    def _take(self, number: int, frame: FrameType | None) -> None:
        has_come, self.received = self.received is not None, number
        if self._interrupts:
            raise KeyboardInterrupt
        if has_come:
            self.act()

    def act(self) -> None:
        """Let the signal that waits do what it did before."""
        number, self.received = self.received, None
        self._restore()
        if number is not None:
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def __exit__(self, *exc_info: object) -> None:
        self.act()
