"""Reading and writing of files that nobody but this user, and root, can have changed.

What is read here is run as machine code, or unpickled. A folder that other users can write to may
hold files of theirs, under any name. Therefore the folder and the file are looked at once they are
open. The parents of the folder do not matter: whoever can write to one of them can put another
folder in the place of this one, but none that belongs to this user.

Windows has no such owners; there every folder that can be written is used.
"""

import contextlib
import os
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_HAS_OWNERS = hasattr(os, "geteuid")
# A symbolic link is not followed, and a named pipe is not waited for.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
# Seconds after which a file that a process has begun to write was left behind.
_LEFT_BEHIND = 24 * 3600
_BEGUN = ".tmp."


def why_not_trusted(status: os.stat_result) -> str:
    """Say why others can have changed a file or the files of a folder.

    Parameters
    ----------
    status : os.stat_result

    Returns
    -------
    str
        The reason, as it follows the name of the file; empty where there is none.
    """
    if not _HAS_OWNERS:
        return ""
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to another user (uid {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by other users"
    return ""


def _require(condition: bool, path: str | Path, reason: str) -> None:
    if not condition:
        raise PermissionError(f"{path} {reason}")


def is_distrust(error: OSError) -> bool:
    """Tell whether an error of this module says that others can have changed what is there."""
    return isinstance(error, PermissionError) and error.errno is None


def make_folder(folder: str, mode: int = 0o700) -> None:
    """Make a folder where there is none, and check that it is trusted and can be written.

    Parameters
    ----------
    folder : str
    mode : int
        The permissions of a new folder; its new parents can be entered by this user alone.

    Raises
    ------
    PermissionError
        When other users can write there; the message says whose the folder is.
    OSError
        When the folder cannot be made or written.
    """
    path = Path(folder)
    if not path.is_dir():
        for parent in reversed(path.parents):
            if not parent.exists():
                parent.mkdir(0o700, exist_ok=True)
        path.mkdir(mode, exist_ok=True)
    with _opened(folder):
        tempfile.TemporaryFile(dir=folder).close()


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int | None]:
    """Open a trusted folder for ``dir_fd`` arguments, which are None where there are no owners.

    Raises
    ------
    PermissionError
        When other users can write there.
    OSError
        When the folder cannot be opened.
    """
    if not _HAS_OWNERS:
        yield None
        return
    _require(not Path(folder).is_symlink(), folder, "is a symbolic link")
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        reason = why_not_trusted(os.fstat(opened))
        _require(not reason, folder, reason)
        yield opened
    finally:
        os.close(opened)


def read(folder: str, name: str) -> bytes:
    """Read a file.

    Parameters
    ----------
    folder, name : str

    Returns
    -------
    bytes

    Raises
    ------
    PermissionError
        When the file or the folder is not trusted.
    OSError
        When the file is missing, or is no file.
    """
    with _opened(folder) as place:
        path = name if place is not None else os.path.join(folder, name)
        with open(os.open(path, os.O_RDONLY | _FLAGS, dir_fd=place), "rb") as file:
            status = os.fstat(file.fileno())
            reason = why_not_trusted(status)
            _require(not reason, Path(folder, name), reason)
            _require(stat.S_ISREG(status.st_mode), Path(folder, name), "is no file")
            return file.read()


def write(folder: str, name: str, content: bytes) -> None:
    """Write a file whole, or not at all.

    Parameters
    ----------
    folder, name : str
    content : bytes

    Raises
    ------
    PermissionError
        When the folder is not trusted.
    OSError
        When the file cannot be written.
    """
    with _opened(folder) as place:
        path, begun = (
            each if place is not None else os.path.join(folder, each)
            for each in (name, f"{name}{_BEGUN}{uuid.uuid4().hex[:16]}")
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
        with open(os.open(begun, flags, 0o644, dir_fd=place), "wb") as file:
            try:
                file.write(content)
                file.close()
                os.replace(begun, path, src_dir_fd=place, dst_dir_fd=place)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(begun, dir_fd=place)
                raise


def was_left_behind(path: Path) -> bool:
    """Tell whether a file is what a killed process had begun to :func:`write`."""
    return _BEGUN in path.name and path.stat().st_mtime < time.time() - _LEFT_BEHIND
