"""Compiled kernels on disk, of either device.

numba keys its cache on the file of the compiled function alone, so an edited helper or an upgraded
package would be answered with stale machine code. Here the key is a fingerprint of every source
file that can be compiled, and of the version; and each entry is a file of its own, written whole.

``FASTMLP_CACHE=0`` switches the cache off; ``NUMBA_CACHE_DIR`` moves it. Where the installation is
read-only, numba's user-wide cache folder is used.
"""

import contextlib
import hashlib
import os
from functools import cache
from pathlib import Path

from .. import __version__

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def fingerprint(folder):
    """Digest of the version and of all sources that reach a device's compiler.

    Parameters
    ----------
    folder : {'cpu', 'cuda'}
        The device's sources.

    Returns
    -------
    str

    Raises
    ------
    RuntimeError
        Where the sources are no files, as in a zipped installation.
    """
    digest = hashlib.sha256(__version__.encode())
    # Kernels hold the plan's codes, such as that of an activation, and what these modules write.
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


def kernel_cache(folder, parts, machine, key):
    """numba's function cache, keyed by :func:`fingerprint`.

    Parameters
    ----------
    folder : {'cpu', 'cuda'}
        The device's sources.
    parts : SimpleNamespace or None
        The classes of numba or numba-cuda to build on; see ``_numba.cpu_cache_parts``.
    machine : object
        What else the compiled code depends on.
    key : function
        ``(cache, signature, codegen)`` to what tells a function's results from one another.

    Returns
    -------
    class or None
        Its instances are caches for ``_numba.use_cache``; making one is a RuntimeError where no
        folder can be written. None where `parts` is.
    """
    if parts is None:
        return None

    class Stamp:
        """What numba takes for the version of a function's source."""

        def get_source_stamp(self):
            """The fingerprint, in place of the time when one file was changed."""
            return fingerprint(folder)

    class Files(parts.files):
        """One file for each kernel and signature, named by a digest of all that it depends on.

        numba's own files have numbers, given out by an index: processes that compile at once, or
        one that is killed, can leave an index whose numbers mean other code.
        """

        def _file_name(self, key):
            """The name of the file of one kernel and signature."""
            content = repr((self._version, machine, key)).encode()
            return f"{self._prefix}{hashlib.sha256(content).hexdigest()[:16]}.nbc"

        @property
        def _prefix(self):
            """What all names of files of this version of the sources begin with."""
            return self._data_name_pattern.replace("{number:d}.nbc", f"{self._source_stamp[:16]}.")

        def save(self, key, data):
            """Write the results of a function for one signature, and remove outdated ones."""
            with contextlib.suppress(OSError):  # no room, say: the kernel is there all the same
                self._save_data(self._file_name(key), data)
                # What other versions of the sources left.
                common = self._data_name_pattern.replace("{number:d}", "*")
                for path in Path(self._cache_path).glob(common):
                    if not path.name.startswith(self._prefix):
                        path.unlink(missing_ok=True)

        def load(self, key):
            """The results of a function for one signature; None where there are none."""
            try:
                return self._load_data(self._file_name(key))
            except Exception:  # missing, or damaged in whatever way
                return None

    class Impl(parts.impl):
        _locator_classes = tuple(type(one.__name__, (Stamp, one), {}) for one in parts.locators)

    class KernelCache(parts.base):
        _impl_class = Impl
        _index_key = key

        def __init__(self, function):
            super().__init__(function)
            self._cache_file = Files(
                self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
            )

    return KernelCache


def is_switched_on():
    """Whether kernels may be kept on disk: the user has not forbidden it."""
    return os.environ.get("FASTMLP_CACHE", "1") != "0"
