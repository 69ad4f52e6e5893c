"""Signals that ask a command to end: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes.

Each raises KeyboardInterrupt, so that a fit keeps what it has learned, whoever ends it. A shell, a
service manager or an impatient user sends several: the second is part of the first one's wish, and
from the third on each acts again.
"""

import signal
import sys
import threading
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_SECOND = 2
_SECONDS_BETWEEN = 0.05


class _Received:
    """What has arrived since the command began."""

    count = 0
    last = signal.SIGINT
    is_held = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal."""
    _Received.count += 1
    _Received.last = signal.Signals(number)
    if not _Received.is_held and _Received.count != _SECOND:
        raise KeyboardInterrupt


def _show_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that came at a place where Python drops exceptions, a finaliser."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    _Received.count -= 1
    again = threading.Timer(_SECONDS_BETWEEN, _send_again)
    again.daemon = True
    again.start()


def _send_again() -> None:
    """Send the last signal to the main thread, which wakes where it waits for something."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, _Received.last)
    else:
        interrupt_main(_Received.last)


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
    hook, sys.unraisablehook = sys.unraisablehook, _show_unraisable
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
            sys.unraisablehook = hook
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
