"""The cache on disk of the kernels that were compiled for a GPU, and what keys compiled code.

The CPU's kernels are kept by :mod:`fastmlp.engines.cpu.objects`, under the same fingerprints.

numba compiles a function again when its own file has changed, and not when another file has whose
functions it calls: after an edit or an upgrade it would run stale machine code. Therefore entries
of this cache have a fingerprint of the package's version and of every source file that can be
compiled. Each entry is a file of its own, which is written whole and begins with a digest of the
rest: whatever else is found there counts as missing, and is compiled and written anew.

``FASTMLP_CACHE=0`` switches the cache off; ``NUMBA_CACHE_DIR`` moves it. Where the installation is
read-only, numba's user-wide cache folder is used. A folder that other users can write to is passed
over; see :mod:`fastmlp.engines.private_files`.
"""

import contextlib
import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from .. import __version__
from . import private_files

_MODULE = Path(__file__).resolve()
_PACKAGE = _MODULE.parent.parent
# How the names of the locators end that find the folder beside a module.
BESIDE_SOURCES = "InTreeCacheLocator"
_DIGEST_SIZE = hashlib.sha256().digest_size


@cache
def fingerprint(folder: str) -> str:
    """Compute a digest of the version and of all sources that can be compiled for a device.

    Parameters
    ----------
    folder : {'cpu', 'cuda'}
        The folder of the device's sources.

    Returns
    -------
    str

    Raises
    ------
    RuntimeError
        When the sources cannot be read.
    """
    digest = hashlib.sha256(__version__.encode())
    if not _PACKAGE.is_dir():
        status = _container().stat()
        digest.update(repr((str(_container()), status.st_size, status.st_mtime_ns)).encode())
        return digest.hexdigest()
    # Kernels hold codes of the plan, such as that of an activation, and of gradients, and code that
    # the other two of these modules write. An installation may have compiled modules (.pyc) alone.
    names = "network/plan", "engines/gradient_rules", "engines/literals", "engines/_numba"
    sources = [_PACKAGE / f"{name}{_MODULE.suffix}" for name in names]
    for part in ("network/formulas", f"engines/{folder}"):
        sources += sorted((_PACKAGE / part).glob(f"*{_MODULE.suffix}"))
    for source in sources:
        digest.update(source.name.encode())
        try:
            digest.update(source.read_bytes())
        except OSError as error:
            raise RuntimeError(
                f"compiled code is kept only where the sources can be read: {error}"
            ) from error
    return digest.hexdigest()


def _container() -> Path:
    """Return the one file that holds the package, where it is no folder: an archive or a program.

    Raises
    ------
    RuntimeError
        When there is none.
    """
    if getattr(sys, "frozen", False):
        return Path(sys.executable)
    for parent in _PACKAGE.parents:
        if parent.is_file():
            return parent
    raise RuntimeError(f"compiled code is kept only where there are files: {_PACKAGE} is none")


def kernel_cache(
    folder: str,
    parts: SimpleNamespace | None,
    machine: object,
    key: Callable[[Any, Any, Any], tuple[Any, ...]],
) -> type[Any] | None:
    """Make a class of function caches whose entries have the :func:`fingerprint` of the sources.

    Parameters
    ----------
    folder : {'cpu', 'cuda'}
        The folder of the device's sources.
    parts : SimpleNamespace or None
        The classes of numba or numba-cuda to build on; see ``_numba.cuda_cache_parts``.
    machine : object
        The machine that code is compiled for. Its ``repr`` becomes a part of the names of files.
    key : function
        ``key(cache, signature, codegen)`` returns what tells the entries of one function apart.

    Returns
    -------
    class or None
        Its instances are caches for ``_numba.use_cache``. Making one raises RuntimeError where no
        folder can be used. Its attribute `refused` is a dict with the reason, an OSError, for each
        folder that was passed over. None where `parts` is None.
    """
    if parts is None:
        return None
    files: Any = parts.files
    impl: Any = parts.impl
    base: Any = parts.base
    locators = parts.locators

    class Place:
        """A folder for compiled code: one of numba's locators, which this class is mixed into."""

        @classmethod
        def from_function(cls, function: Any, file: str) -> Any:
            """Find the folder for a function of a module; None where it cannot be used."""
            path = Path(getattr(sys.modules.get(function.__module__), "__file__", None) or file)
            is_beside = cls.__name__.endswith(BESIDE_SOURCES)
            if not is_beside and not path.exists():
                path = _container()
            with contextlib.suppress(OSError):
                return super().from_function(function, str(path))  # type: ignore[misc]
            return None

        def get_cache_path(self) -> str:
            """Return the path of the folder; an OSError says that there is none."""
            path: str = super().get_cache_path()  # type: ignore[misc]
            if path.startswith("~"):
                raise FileNotFoundError("the home folder of this user is not known")
            return os.path.abspath(path)

        def ensure_cache_path(self) -> None:
            """Make the folder; an OSError says why it cannot be used."""
            path = self.get_cache_path()
            is_beside = type(self).__name__.endswith(BESIDE_SOURCES)
            try:
                private_files.make_folder(path, 0o755 if is_beside else 0o700)
            except OSError as error:
                KernelCache.refused[path] = error
                raise

        def get_source_stamp(self) -> str:
            """Return the fingerprint, where numba returns a digest of one file."""
            return fingerprint(folder)

    class Files(files):
        """One file for each kernel and signature, named by a digest of all that it depends on.

        numba's own files have the numbers that an index gives them. Processes that compile at the
        same time, or one that is killed, can leave an index whose numbers lead to other code.
        """

        def _file_name(self, key: object) -> str:
            """Return the name of the file of one kernel and signature."""
            content = repr((self._version, machine, key)).encode()
            return f"{self._prefix}{hashlib.sha256(content).hexdigest()[:16]}.nbc"

        @property
        def _prefix(self) -> str:
            """The beginning of the names of all files of this version of the sources."""
            return self._data_name_pattern.replace("{number:d}.nbc", f"{self._source_stamp[:16]}.")

        def save(self, key: object, data: object) -> None:
            """Write the machine code of a kernel for one signature, and remove outdated files.

            Nothing is raised where that fails, because the kernel can be used all the same.
            """
            with contextlib.suppress(OSError):
                name, payload = self._file_name(key), self._dump(data)
                private_files.write(self._cache_path, name, _digest(name, payload) + payload)
                # Other versions of the sources, and processes that were killed, have left these.
                common = self._data_name_pattern.replace("{number:d}", "*")
                for path in Path(self._cache_path).glob(f"{common}*"):
                    is_outdated = not path.name.startswith(self._prefix)
                    if is_outdated or private_files.was_left_behind(path):
                        path.unlink(missing_ok=True)

        def load(self, key: object) -> Any:
            """Read the machine code of a kernel for one signature; None where there is none."""
            name = self._file_name(key)
            try:
                content = private_files.read(self._cache_path, name)
                digest, payload = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
                return pickle.loads(payload) if digest == _digest(name, payload) else None
            except Exception:  # the file is missing, not trusted, or made by something else
                return None

    class Impl(impl):
        _locator_classes = tuple(type(one.__name__, (Place, one), {}) for one in locators)

    class KernelCache(base):
        _impl_class = Impl
        _index_key = key
        refused: ClassVar[dict[str, OSError]] = {}

        def __init__(self, function: Callable[..., Any]) -> None:
            super().__init__(function)
            if not isinstance(self._impl.locator, Place):
                raise RuntimeError(
                    "NUMBA_CACHE_LOCATOR_CLASSES names folders whose files numba does not check "
                    "as fastmlp has to; unset it"
                )
            self._cache_file = Files(
                self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
            )

        def load_overload(self, signature: Any, context: Any) -> Any:
            """Rebuild a kernel from its file; None where that fails, so that it is compiled."""
            with contextlib.suppress(Exception):  # LLVM raises RuntimeError
                return super().load_overload(signature, context)
            return None

        def save_overload(self, signature: Any, data: Any) -> None:
            """Write a kernel to its file, unless its folder can no longer be used."""
            with contextlib.suppress(OSError):
                super().save_overload(signature, data)

    return KernelCache


def _digest(name: str, payload: bytes) -> bytes:
    """Compute the digest of an entry, and of its name."""
    return hashlib.sha256(name.encode() + b"\0" + payload).digest()


def distrusted_files(folder: str) -> list[str]:
    """Say of each file of compiled code in a folder that is not read why it is not."""
    return [
        f"{path} {reason}"
        for path in sorted(Path(folder).glob("*.fmo"))
        if (reason := private_files.why_not_trusted(path.lstat()))
    ]


def is_switched_on() -> bool:
    """Tell whether kernels may be kept on disk, which the user can forbid."""
    return os.environ.get("FASTMLP_CACHE", "1") != "0"
