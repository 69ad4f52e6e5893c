"""Objects of records that have been read from a model file and checked."""

from typing import Any

import sklearn

from .. import __version__, schedules
from .archive import RefusedError
from .nodes import Record


def made(record: Record) -> Any:
    """Make an object of attributes that have been checked, and the objects within it.

    Parameters
    ----------
    record : Record
        It has one of the few classes of :mod:`fastmlp.export.nodes`.

    Returns
    -------
    object

    Raises
    ------
    RefusedError
        When the settings of a schedule cannot be used.
    """
    state = {name: _made(value) for name, value in record.state.items()}
    cls = record.cls
    if issubclass(cls, schedules.Schedule):
        try:
            return cls(**state)
        except ValueError as error:
            raise RefusedError(str(error)) from None
    instance = cls.__new__(cls)
    if not hasattr(instance, "__setstate__"):
        vars(instance).update(state)
        return instance
    # The versions that wrote the file have been looked at already, once for all its objects.
    for name, version in (
        ("_sklearn_version", sklearn.__version__),
        ("_fastmlp_version", __version__),
    ):
        if name in state:
            state[name] = version
    instance.__setstate__(state)
    return instance


def _made(value: Any) -> Any:
    """Make the objects that an attribute holds, be it one or a list of them."""
    if isinstance(value, Record):
        return made(value)
    if type(value) is list:
        return [_made(item) for item in value]
    return value
