"""Output files and folders that appear whole or not at all."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..exceptions import InputError

try:
    import fcntl
except ImportError:  # there are no such locks on Windows
    fcntl = None  # type: ignore[assignment]

# A file that is being written is called by the machine and a random number. Its writer holds a lock
# on it, which ends with the writer, however that ends.
_PART = re.compile(r"\.fastmlp-(?:([0-9a-f]{8})-)?\w+\.part")
# Locks may not be seen from other machines: what those have left is removed after a day.
_OLD_SECONDS = 24 * 3600


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse a path that could not be written, before any work is done for it.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        When it is a folder or a device, or when its folder is missing or not writable.
    """
    path = Path(path)
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: a file name cannot have a zero byte")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; give a file name")
    # A rename would put a file in the place of a device, a pipe or a socket.
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: this is no ordinary file; give another name")
    target = _target(path)
    if target.is_symlink():
        raise InputError(f"{path}: this link leads to itself; give another name")
    _check_can_write(path, target.parent)


def check_output_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a path at which no folder could be made, before any work is done for it.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        When there is something already, other than an empty folder, when that is the current one,
        or when the folder around it is missing or not writable.
    """
    path = Path(path)
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: the name of a folder cannot have a zero byte")
    if path.is_dir():
        if any(path.iterdir()):
            raise InputError(f"{path}: this folder is not empty; give the name of a new one")
        if path.samefile(os.curdir):  # a new folder takes its place, in which nobody would be
            raise InputError(f"{path}: this is the folder you are in; give the name of a new one")
    elif path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists and is no folder; give another name")
    _check_can_write(path, _target(path).parent)


def _check_can_write(path: Path, folder: Path) -> None:
    """Raise InputError unless files can be made in a folder; `path` is for the message."""
    if not folder.is_dir():
        raise InputError(f"{path}: there is no folder {folder}")
    try:
        # Permissions do not tell the whole truth (root, read-only disks): try it.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot write in {folder}: {error.strerror}") from None


@contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block succeeds.

    A new file has the permissions that any new file gets; a file that takes the place of another
    has those of that one. What killed writers have left in the folder is removed.

    Parameters
    ----------
    path : str or Path
        A link is followed: what it points to is replaced.

    Yields
    ------
    Path
        To be written; it is removed when the block fails, and `path` stays as it was.

    Raises
    ------
    InputError
        When `path` cannot be written: see :func:`check_output`.
    OSError
        When writing fails, as on a full disk; the message names `path`.
    """
    check_output(path)
    target = _target(path)
    try:
        old_mode = target.stat().st_mode & 0o777
    except OSError:
        old_mode = None
    aside = target.parent / ".fastmlp-.part"  # in errors before there is one
    try:
        # The system applies the mask of the process to the mode, which stays as it is.
        aside, lock = _open_aside(target.parent, 0o666 if old_mode is None else old_mode)
        try:
            new_mode = aside.stat().st_mode & 0o777
            aside.chmod(new_mode | 0o600)
            _remove_leftovers(target.parent)
            yield aside
            _to_disk(aside, os.O_RDWR)
            aside.chmod(new_mode if old_mode is None else old_mode)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
            if lock is not None:
                os.close(lock)
    except OSError as error:
        if error.filename not in (None, str(aside), aside):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    with contextlib.suppress(OSError):  # not all systems can do it, and the file is complete
        _to_disk(target.parent, os.O_RDONLY)


@contextmanager
def folder_written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder beside `path` that takes its place when the block succeeds.

    Parameters
    ----------
    path : str or Path
        There is nothing yet, or an empty folder.

    Yields
    ------
    Path
        To be filled with files; it is removed when the block fails.

    Raises
    ------
    InputError
        When no folder can be made there: see :func:`check_output_folder`.
    OSError
        When writing fails, as on a full disk; the message names `path`.
    """
    check_output_folder(path)
    target = _target(path)
    aside = target.parent / ".fastmlp-.part"  # in errors before there is one
    try:
        aside, lock = _open_folder_aside(target.parent)
        try:
            _remove_leftovers(target.parent)
            yield aside
            for inside in aside.rglob("*"):
                if inside.is_file():
                    _to_disk(inside, os.O_RDWR)
            if target.is_dir():
                target.rmdir()  # Windows renames to no folder that exists
            aside.replace(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            if lock is not None:
                os.close(lock)
    except OSError as error:
        if not Path(str(error.filename or aside)).is_relative_to(aside):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    with contextlib.suppress(OSError):
        _to_disk(target.parent, os.O_RDONLY)


def _target(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _to_disk(path: Path, mode: int) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _this_machine() -> str:
    """Return 8 letters that stand for this machine."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _open_aside(folder: Path, mode: int) -> tuple[Path, int | None]:
    """Make a new file in a folder, and return its path and a handle that has a lock on it."""
    while True:
        path = folder / f".fastmlp-{_this_machine()}-{secrets.token_hex(8)}.part"
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        if fcntl is None:  # Windows does not rename a file that is open
            os.close(handle)
            return path, None
        if _can_lock(handle) is not False and path.exists():
            return path, handle
        # Without a lock for a moment, it was a leftover for another process, which removes it.
        os.close(handle)


def _open_folder_aside(folder: Path) -> tuple[Path, int | None]:
    """Make a new folder in a folder, and return its path and a handle that has a lock on it."""
    while True:
        path = folder / f".fastmlp-{_this_machine()}-{secrets.token_hex(8)}.part"
        os.mkdir(path)
        if fcntl is None:  # Windows opens no folders
            return path, None
        handle = os.open(path, os.O_RDONLY)
        if _can_lock(handle) is not False and path.exists():
            return path, handle
        # Without a lock for a moment, it was a leftover for another process, which removes it.
        os.close(handle)


def _can_lock(handle: int) -> bool | None:
    """Lock an open file; False if another has a lock on it, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove the files and folders in a folder whose writers have been killed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _PART.fullmatch(entry.name)
            if match is None:
                continue
            if not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                continue
            with contextlib.suppress(OSError):
                is_old = time.time() - entry.stat().st_mtime > _OLD_SECONDS
                if is_old or match[1] == _this_machine():
                    _remove_leftover(entry.path, is_old)


def _remove_leftover(path: str, is_old: bool) -> None:
    """Remove a file or folder unless its writer still has it.

    Without locks only its age tells that.
    """
    no_waiting = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, os.O_RDONLY | no_waiting)
    try:
        locked = _can_lock(handle)
        if locked or (locked is None and is_old):
            remove = shutil.rmtree if os.path.isdir(path) else os.unlink
            remove(path)
    finally:
        os.close(handle)
