"""The file of a study: appended to by several processes, and whole again after each was killed.

It is a journal of Optuna, one line for each operation. Whoever writes holds a lock on the file
itself, which ends with the process. A last line without an end was torn by a process that was
killed in the middle of a write, since all others write under the lock, and it is cut off.
"""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..exceptions import InputError

try:
    import fcntl
except ImportError:  # Windows has a lock of its own
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_BEGIN = b'{"op_code":'
_BLOCK = 2**16
# Windows locks bytes: one that no file reaches, so that others can read.
_LOCKED_BYTE = 2**31 - 2


class StudyLock:
    """The lock of a study's file, which a thread may take several times.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = threading.RLock()
        self._depth, self._handle = 0, -1

    def acquire(self) -> bool:
        """Wait for the lock, and cut off a torn last line; Optuna calls this."""
        self._thread.acquire()
        try:
            if self._depth == 0:
                self._handle = _locked(self._path)
                _cut_torn_line(self._handle)
            self._depth += 1
        except BaseException:
            self._thread.release()
            raise
        return True

    def release(self) -> None:
        """Give the lock back; Optuna calls this."""
        self._depth -= 1
        if self._depth == 0:
            os.close(self._handle)
        self._thread.release()


def _locked(path: str) -> int:
    """Return a handle of the file that has the lock."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
            while True:
                try:
                    msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
                    break
                except OSError:  # it gives up after ten seconds
                    continue
    except BaseException:
        os.close(handle)
        raise
    return handle


def _cut_torn_line(handle: int) -> None:
    """Cut off what stands behind the last end of a line."""
    size = end = os.lseek(handle, 0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        os.lseek(handle, start, os.SEEK_SET)
        place = os.read(handle, end - start).rfind(b"\n")
        if place >= 0:
            end = start + place + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
        os.fsync(handle)


def check_study_file(path: Path) -> None:
    """Refuse a file that is no study, before anything is written to it.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        When it is a folder, when its folder is missing, or when it holds something else.
    """
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; give a file name for the study")
    if not path.exists():
        if not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}")
        return
    if not path.is_file():
        raise InputError(f"{path}: this is no ordinary file; give another name for the study")
    with open(path, "rb") as file:
        first = file.read(len(_BEGIN))
    if not _BEGIN.startswith(first) and first != _BEGIN:
        raise InputError(f"{path}: exists and is no study; choose another name for it")


class Journal:
    """What Optuna reads operations from and appends them to; see the module.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        from optuna.storages.journal import JournalFileBackend

        self._lock = StudyLock(path)
        self._file = JournalFileBackend(path, lock_obj=self._lock)  # type: ignore[arg-type]
        self._path = path
        # Operations that are written together when the block of `exclusive` ends.
        self._waiting: list[dict[str, Any]] | None = None
        self._n_in_file: int | None = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other processes and threads from writing, and write all operations at once."""
        self._lock.acquire()
        try:
            if self._waiting is not None:
                yield
                return
            self._waiting, self._n_in_file = [], None
            try:
                yield
            finally:
                waiting, self._waiting = self._waiting, None
                if waiting:
                    self._file.append_logs(waiting)
        finally:
            self._lock.release()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the operations from a number on; Optuna calls this."""
        try:
            found = list(self._file.read_logs(log_number_from))
        except ValueError as error:
            raise InputError(
                f"{self._path}: the study is damaged: {error}; it cannot be gone on with"
            ) from None
        if self._waiting:
            if self._n_in_file is None:
                self._n_in_file = log_number_from + len(found)
            found += self._waiting[max(0, log_number_from - self._n_in_file) :]
        yield from found

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations; Optuna calls this in a block of `exclusive`."""
        if self._waiting is None:
            self._file.append_logs(logs)
        else:
            # As they will be read again.
            self._waiting += [json.loads(json.dumps(log)) for log in logs]
