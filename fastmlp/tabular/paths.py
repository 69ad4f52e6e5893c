"""Several files, or a pattern of names, that are one table together."""

import glob
import os
from collections.abc import Sequence
from typing import Any

from ..exceptions import DataError
from .sources import is_address


def files_of(origin: Any) -> list[Any]:
    """List the files that a table is read from.

    Parameters
    ----------
    origin : str, Path, file-like object, or a sequence of these
        A name with ``*``, ``?`` or ``[...]`` stands for all files whose names fit the pattern, in
        the order of the names, unless there is a file of that very name. ``**`` stands for
        folders of any depth.

    Returns
    -------
    list of str, Path or file-like object
        At least one.

    Raises
    ------
    DataError
        When a pattern fits no file, and when nothing is named.
    """
    if isinstance(origin, Sequence) and not isinstance(origin, str | bytes):
        files = [file for one in origin for file in files_of(one)]
        if not files:
            raise DataError("no file is named; give one file or several")
        return files
    if not isinstance(origin, str | bytes | os.PathLike):
        return [origin]
    name = os.fsdecode(origin)
    is_pattern = glob.has_magic(name) and "\0" not in name and not is_address(name)
    if not is_pattern or os.path.lexists(name):
        return [origin]
    found = sorted(path for path in glob.iglob(name, recursive=True) if not os.path.isdir(path))
    if not found:
        raise DataError(f"{name}: there is no such file, and none whose name fits this pattern")
    return list(found)
