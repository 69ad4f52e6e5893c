"""The cache on disk of the kernels that were compiled for either device.

numba compiles a function again when its own file has changed, and not when another file has whose
functions it calls: after an edit or an upgrade it would run stale machine code. Therefore entries
of this cache have a fingerprint of the package's version and of every source file that can be
compiled. Each entry is a file of its own, which is written whole.

``FASTMLP_CACHE=0`` switches the cache off; ``NUMBA_CACHE_DIR`` moves it. Where the installation is
read-only, numba's user-wide cache folder is used.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .. import __version__

_PACKAGE = Path(__file__).resolve().parent.parent


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
        When the sources are no files, as in a zipped installation.
    """
    digest = hashlib.sha256(__version__.encode())
    # Kernels hold codes of the plan, such as that of an activation, and code that the other two of
    # these modules write.
    names = "network/plan.py", "engines/literals.py", "engines/_numba.py"
    sources = [_PACKAGE / name for name in names]
    for part in ("network/formulas", f"engines/{folder}"):
        sources += sorted((_PACKAGE / part).glob("*.py"))
    for source in sources:
        digest.update(source.name.encode())
        try:
            digest.update(source.read_bytes())
        except OSError as error:
            raise RuntimeError(
                f"compiled code is kept only where the sources can be read: {error}"
            ) from error
    return digest.hexdigest()


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
        The classes of numba or numba-cuda to build on; see ``_numba.cpu_cache_parts``.
    machine : object
        The machine that code is compiled for. Its ``repr`` becomes a part of the names of files.
    key : function
        ``key(cache, signature, codegen)`` returns what tells the entries of one function apart.

    Returns
    -------
    class or None
        Its instances are caches for ``_numba.use_cache``. Making one raises RuntimeError where no
        folder can be written. None where `parts` is None.
    """
    if parts is None:
        return None
    files: Any = parts.files
    impl: Any = parts.impl
    base: Any = parts.base
    locators = parts.locators

    class Stamp:
        """The version of a function's source, as numba asks a locator for it."""

        def get_source_stamp(self) -> str:
            """Return the fingerprint, where numba returns the time when one file was changed."""
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
                self._save_data(self._file_name(key), data)
                # Other versions of the sources have left these.
                common = self._data_name_pattern.replace("{number:d}", "*")
                for path in Path(self._cache_path).glob(common):
                    if not path.name.startswith(self._prefix):
                        path.unlink(missing_ok=True)

        def load(self, key: object) -> Any:
            """Read the machine code of a kernel for one signature; None where there is none."""
            try:
                return self._load_data(self._file_name(key))
            except Exception:  # the file is missing, or damaged in whatever way
                return None

    class Impl(impl):
        _locator_classes = tuple(type(one.__name__, (Stamp, one), {}) for one in locators)

    class KernelCache(base):
        _impl_class = Impl
        _index_key = key

        def __init__(self, function: Callable[..., Any]) -> None:
            super().__init__(function)
            self._cache_file = Files(
                self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
            )

    return KernelCache


def is_switched_on() -> bool:
    """Tell whether kernels may be kept on disk, which the user can forbid."""
    return os.environ.get("FASTMLP_CACHE", "1") != "0"
