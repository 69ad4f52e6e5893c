"""Signals that ask a command to end: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes.

Each raises KeyboardInterrupt, so that a fit keeps what it has learned, whoever ends it. A shell, a
service manager or an impatient user sends several: the second is part of the first one's wish, and
from the third on each acts again.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_SECOND = 2


class _Received:
    """What has arrived since the command began."""

    count = 0
    is_held = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal."""
    _Received.count += 1
    if not _Received.is_held and _Received.count != _SECOND:
        raise KeyboardInterrupt


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """Let signals raise KeyboardInterrupt in the block, and put the former handlers back.

    A signal that is ignored stays ignored, as ``nohup`` wants it, and so does a handler that a
    program has set. Only the main thread of a process can handle signals.
    """
    forget_signals()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    replaceable = (signal.SIG_DFL, signal.default_int_handler)
    former = {}
    try:
        for number in [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]:
            if (handler := signal.getsignal(number)) in replaceable:
                former[number] = handler
                signal.signal(number, _interrupt)
        yield
    finally:
        with signals_held():
            for number, handler in former.items():
                signal.signal(number, handler)
        forget_signals()


@contextmanager
def signals_held() -> Iterator[None]:
    """Keep signals from interrupting the block, which is short: it writes a file, or cleans up."""
    before, _Received.is_held = _Received.is_held, True
    try:
        yield
    finally:
        _Received.is_held = before


def is_interrupted() -> bool:
    """Tell whether a signal has arrived that nobody has answered yet.

    An import or a library may turn KeyboardInterrupt into an error of its own.
    """
    return _Received.count > 0


def forget_signals() -> None:
    """Take the signals until now as answered."""
    _Received.count = 0


def ignore_signals() -> None:
    """Ignore all signals that ask to end, since the process is about to."""
    for name in _NAMES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
