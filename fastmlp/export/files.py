"""Output files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..exceptions import InputError


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
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; give a file name")
    # A rename would put a file in the place of a device, a pipe or a socket.
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: this is no ordinary file; give another name")
    folder = _target(path).parent
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
    """
    check_output(path)
    path = _target(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".fastmlp-", suffix=".part")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.chmod(_permissions(path))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _target(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _permissions(path: Path) -> int:
    """Return those of the replaced file, or of any new file, as mkstemp makes private ones."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
