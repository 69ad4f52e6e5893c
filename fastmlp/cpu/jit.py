"""How every CPU kernel is compiled: numba's options and the on-disk cache.

numba keys its cache on the file of the compiled function alone, so an edited
helper or an upgraded package would be answered with stale machine code. Here the
key is a fingerprint of every source file that can be compiled, and of the version;
and each entry is a file of its own, written whole.

``FASTMLP_CACHE=0`` switches the cache off; ``NUMBA_CACHE_DIR`` moves it. Where the
installation is read-only, numba's user-wide cache folder is used.
"""

import contextlib
import hashlib
import math
import os
from functools import cache, partial
from pathlib import Path

from numba import njit
from numba.core import caching
from numba.extending import intrinsic

from .. import __version__
from ..narrowing import with_narrow_constants
from . import vector_math
from .vector_unit import HOST

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def fingerprint():
    """Digest of the version and of all sources that reach the compiler."""
    digest = hashlib.sha256(__version__.encode())
    folders = [sorted((_PACKAGE / folder).glob("*.py")) for folder in ("formulas", "cpu")]
    # Kernels hold the plan's codes, such as that of an activation.
    single = [_PACKAGE / name for name in ("plan.py", "narrowing.py")]
    for source in [*single, *folders[0], *folders[1]]:
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()


class _Stamp:
    def get_source_stamp(self):
        return fingerprint()


class _UserProvided(_Stamp, caching.UserProvidedCacheLocator):
    pass


class _InTree(_Stamp, caching.InTreeCacheLocator):
    pass


class _UserWide(_Stamp, caching.UserWideCacheLocator):
    pass


class _KernelCacheImpl(caching.CompileResultCacheImpl):
    _locator_classes = (_UserProvided, _InTree, _UserWide)


class _KernelFiles(caching.IndexDataCacheFile):
    """One file for each kernel and signature, named by a digest of all that it depends on.

    numba's own files have numbers, given out by an index: processes that compile at once, or
    one that is killed, can leave an index whose numbers mean other code.
    """

    def _file_name(self, key):
        content = repr((self._version, HOST, key)).encode()
        return f"{self._prefix}{hashlib.sha256(content).hexdigest()[:16]}.nbc"

    @property
    def _prefix(self):
        return self._data_name_pattern.replace("{number:d}.nbc", f"{self._source_stamp[:16]}.")

    def save(self, key, data):
        self._save_data(self._file_name(key), data)
        # What other versions of the sources left.
        common = self._data_name_pattern.replace("{number:d}", "*")
        for path in Path(self._cache_path).glob(common):
            if not path.name.startswith(self._prefix):
                path.unlink(missing_ok=True)

    def load(self, key):
        try:
            return self._load_data(self._file_name(key))
        except Exception:  # missing, or damaged in whatever way
            return None


class KernelCache(caching.FunctionCache):
    """numba's function cache, keyed by :func:`fingerprint`."""

    _impl_class = _KernelCacheImpl

    def __init__(self, function):
        super().__init__(function)
        self._cache_file = _KernelFiles(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def _index_key(self, sig, codegen):
        """The function's name, under which it is filed, tells what it encloses."""
        return sig, codegen.magic_tuple()


# What a formula calls, and what is compiled in its place.
VECTORISED = {
    getattr(math, name): getattr(vector_math, name) for name in ("exp", "log", "tanh", "erf")
}

# Not-a-number and infinity keep their meaning: divergence must stay visible.
FASTMATH = frozenset({"contract", "nsz", "arcp"})
# Sums are split into the lanes of a vector: not the order written, but always the same one.
REORDERED = FASTMATH | {"reassoc"}


def compile_kernel(function, fastmath=FASTMATH, entry=False, is_cached=True):
    """Compile a function lazily, in nopython mode, without the interpreter lock.

    Only an `entry` can be called from Python; the others are spared the wrapper for it, which
    takes as long to compile as a small kernel.
    """
    dispatcher = njit(
        nogil=True,
        error_model="numpy",
        fastmath=set(fastmath),
        no_cpython_wrapper=not entry,
        no_cfunc_wrapper=True,
    )(function)
    if is_cached and os.environ.get("FASTMLP_CACHE", "1") != "0":
        # Without any writable folder: compile in memory.
        with contextlib.suppress(RuntimeError):
            dispatcher._cache = KernelCache(function)
    return dispatcher


compile_entry = partial(compile_kernel, entry=True)


def compile_variant(choice, **options):
    """Decorates a kernel that encloses what belongs to a choice, such as an activation's formula.

    Parameters
    ----------
    choice : str
        Becomes part of the kernel's name, and so of its place in the cache.
    **options
        As for :func:`compile_kernel`.
    """

    def decorate(function):
        function.__qualname__ = f"{function.__name__}_{choice}"
        return compile_kernel(function, **options)

    return decorate


@intrinsic
def number_like(typing_context, number, like):
    """A number in the type of another one."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[0], number, like)

    return like(number, like), codegen


@cache
def compile_formula(function):
    """Compile a scalar formula, with the formulas of its module that it calls.

    It becomes part of its kernels, so it is neither compiled nor cached by itself.
    """
    return with_narrow_constants(function, VECTORISED, number_like, compile_inline, compile_formula)


def compile_inline(function):
    """Compile a function that becomes part of its kernels."""
    return njit(error_model="numpy", fastmath=set(FASTMATH), inline="always")(function)
