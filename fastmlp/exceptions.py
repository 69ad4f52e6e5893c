"""Errors that the user of a file, a table or an estimator can mend, and warnings."""

import difflib
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

# Frames of these files are not the user's: this package, and scikit-learn's wrappers around `fit`
# and `transform`.
# The separator at the end keeps a user's "fastmlp_study.py" beside the package outside.
_PACKAGE = str(Path(__file__).parent) + os.sep
_WRAPPERS = (str(Path("sklearn", "callback")), str(Path("sklearn", "utils", "_set_output")))


class InputError(ValueError):
    """What was given cannot be used; the message says why and what to do."""


class DataError(InputError):
    """A table that a model cannot be made of or used on; the message says why."""


class ModelFileError(InputError):
    """A file that holds no model that could be loaded."""


class DeviceError(InputError):
    """The device that was asked for cannot be used; the message says why."""


class ClusterError(InputError):
    """A cluster cannot be used, or no longer; the message says why."""


class DivergenceError(ValueError):
    """Training diverged. The estimator keeps the last weights that were finite.

    Parameters
    ----------
    message : str
        In which epoch, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # Not part of the message: what trains an estimator for something else may drop it.
        self.add_note("The estimator keeps the last finite weights.")


class CustomLossError(InputError):
    """A function of a custom loss raised an exception, which is the cause of this error."""


class TrainingWarning(UserWarning):
    """A fit went wrong in a known way; the message says what to do."""


class DataWarning(UserWarning):
    """Something in a table that its owner should look at, such as text read as numbers."""


class InterruptedTrainingWarning(UserWarning):
    """Ctrl-C ended a fit; what was learned until then is kept."""


# The list of the innermost `collected_warnings`, in this thread and no other.
_collected: ContextVar[list[Warning] | None] = ContextVar("collected", default=None)


@contextmanager
def collected_warnings() -> Iterator[list[Warning]]:
    """Collect the warnings that this package would give in this thread, and give none of them.

    Unlike :func:`warnings.catch_warnings`, which changes the filters of the whole process, it has
    no effect on other threads.

    Yields
    ------
    list of Warning
        It grows while the block runs.
    """
    collected: list[Warning] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def warn_user(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn, at the line outside of this package that led here.

    Parameters
    ----------
    message : str or Warning
        A warning that was caught before is issued again as it is.
    category : class, default=UserWarning
        The category of a `message` that is text; a warning has its own.
    """
    collected = _collected.get()
    if collected is not None:
        collected.append(message if isinstance(message, Warning) else category(message))
        return
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def nearest(
    name: Any, names: Iterable[Any], plain: Callable[[Any], str] = lambda name: str(name).casefold()
) -> list[Any]:
    """Return up to three names that look like another one, the most alike first.

    Parameters
    ----------
    name : hashable
    names : iterable of hashable
    plain : callable, optional
        ``plain(name)`` returns what is compared; by default capitals make no difference.

    Returns
    -------
    list
    """
    by_text: dict[str, Any] = {}
    for known in names:
        by_text.setdefault(plain(known), known)
    return [by_text[text] for text in difflib.get_close_matches(plain(name), by_text)]


def did_you_mean(
    name: Any, names: Iterable[Any], otherwise: str, shown: Callable[[Any], str] = repr
) -> str:
    """Return the end of a message about a name that there is not.

    Parameters
    ----------
    name : hashable
    names : iterable of hashable
        Those that there are.
    otherwise : str
        What is said where none of them is near.
    shown : callable, default=repr
        ``shown(name)`` is how a name is written.

    Returns
    -------
    str
        A question, or `otherwise`.
    """
    near = nearest(name, names)
    return f"did you mean {' or '.join(map(shown, near))}?" if near else otherwise


def _is_inside(filename: str) -> bool:
    return filename.startswith(_PACKAGE) or any(wrapper in filename for wrapper in _WRAPPERS)
