"""Object files with the machine code of kernels: their form, their places, and their loading.

A file has three parts: the SHA-256 of the rest as text, a line of JSON that says what the code is
made of and for, and the object file as LLVM wrote it. The package has one file for each level of
processors and dtype, and the cache one for each kernel that was compiled on this machine. Code that
is damaged, or that was compiled from other sources, counts as missing.

This module needs llvmlite and no compiler.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import numpy as np
from llvmlite import binding

from .. import private_files
from ..forks import LockOfModule, hold_at_fork, importing
from ..kernel_cache import fingerprint, is_switched_on
from .vector_unit import HOST, LEVEL, compiler_target, runs

# numba and llvmlite let one thread at a time compile, and a forked child compiles, too.
hold_at_fork(
    LockOfModule("numba.core.compiler_lock", "global_compiler_lock"),
    LockOfModule("llvmlite.binding.ffi", "lib._lock._lock"),
    innermost=True,
)

_MODULE = Path(__file__).resolve()
_IN_PACKAGE = _MODULE.parent / "objects"
_BESIDE = _MODULE.parent / "__pycache__"
_SUFFIX = ".fmo"
# What numba's code refers to and never calls, because no array of a kernel owns memory.
_NEVER_CALLED = ("NRT_MemInfo_call_dtor",)


class UnusableError(Exception):
    """An object file that cannot be used; the message says why."""


class ObjectFile(NamedTuple):
    """What an object file holds."""

    about: dict[str, Any]
    """What the code is made of and for; see :func:`description`."""
    code: bytes


def description(exports: dict[str, str], target: str, numba_version: str) -> dict[str, Any]:
    """Describe machine code that was compiled from the present sources for the present vectors.

    Parameters
    ----------
    exports : dict of str to str
        The symbol of each kernel, by the kernel's name.
    target : str
        The processors that run it.
    numba_version : str

    Returns
    -------
    dict
    """
    return {
        "target": target,
        "platform": platform(),
        "vector_bytes": HOST.n_bytes,
        "tile_rows": HOST.tile_rows,
        "has_fma": HOST.has_fma,
        "numba": numba_version,
        "fingerprint": fingerprint("cpu"),
        "exports": exports,
    }


def platform() -> str:
    """Return LLVM's name of this platform, without the version of the system."""
    return re.sub(r"[\d.]+$", "", binding.get_process_triple())


def packed(about: dict[str, Any], code: bytes) -> bytes:
    """Return the content of an object file."""
    rest = json.dumps(about, sort_keys=True).encode() + b"\n" + code
    return hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest


def unpacked(content: bytes) -> ObjectFile:
    """Read the content of an object file.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    ObjectFile

    Raises
    ------
    UnusableError
        When it is damaged.
    """
    digest, _, rest = content.partition(b"\n")
    if digest != hashlib.sha256(rest).hexdigest().encode():
        raise UnusableError("it is damaged")
    text, _, code = rest.partition(b"\n")
    try:
        about = json.loads(text)
    except ValueError as error:
        raise UnusableError("it is no object file of fastmlp") from error
    if not isinstance(about, dict):
        raise UnusableError("it is no object file of fastmlp")
    return ObjectFile(about, code)


def _checked(content: bytes, target: str) -> ObjectFile:
    """Read an object file that was made for a target, from the present sources.

    Raises
    ------
    UnusableError
        When it is damaged, or made of or for something else.
    """
    found = unpacked(content)
    about = found.about
    wanted = description(about.get("exports", {}), target, about.get("numba", ""))
    differing = sorted(key for key in wanted if about.get(key) != wanted[key])
    if differing == ["fingerprint"]:
        raise UnusableError("it was compiled from other sources")
    if differing:
        raise UnusableError(f"it was compiled for another machine ({', '.join(differing)})")
    return found


@cache
def _linker() -> Any:
    """Return LLVM's linker, which lives as long as the process."""
    binding.initialize_native_target()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    return binding.create_lljit_compiler(machine, use_jit_link=True)


# What keeps loaded code where it is.
_loaded: list[Any] = []
# LLVM takes each name of a library once, whether that could be linked or not.
_numbers = count()


def _load(found: ObjectFile) -> dict[str, int]:
    """Load machine code, and return the addresses of its kernels by their names.

    Raises
    ------
    UnusableError
        When LLVM cannot link it.
    """
    exports = found.about["exports"]
    builder = binding.JITLibraryBuilder().add_object_img(found.code).add_current_process()
    for name in _NEVER_CALLED:
        builder.import_symbol(name, 1)
    for symbol in exports.values():
        builder.export_symbol(symbol)
    try:
        library = builder.link(_linker(), f"fastmlp-{next(_numbers)}")
    except RuntimeError as error:
        raise UnusableError(f"LLVM cannot link it: {error}") from error
    _loaded.append(library)
    return {name: library[symbol] for name, symbol in exports.items()}


# ---- the package ----


def name_in_package(level: str, dtype: np.dtype) -> str:
    """Return the name of the file with all kernels of a level and dtype."""
    return f"{level}-{dtype.name}{_SUFFIX}"


# Whether code that numba compiles in this process may call what is loaded; see require_this_numba.
_shared: list[str] = []


def require_this_numba() -> None:
    """Refuse, from now on, code of the package that another version of numba has compiled."""
    with importing:
        from .. import _numba  # it says what is wrong with numba

    _shared[:] = [_numba.VERSION]


def _read_package(dtype: np.dtype) -> ObjectFile:
    """Read the file of the package with all kernels of a dtype, for this machine.

    Raises
    ------
    UnusableError
        When there is none that fits.
    """
    if LEVEL is None:
        raise UnusableError("no level has the vectors of this processor")
    if not runs(LEVEL):
        raise UnusableError(f"this processor does not run the code of {LEVEL}")
    try:
        content = (_IN_PACKAGE / name_in_package(LEVEL, dtype)).read_bytes()
        found = _checked(content, LEVEL)
    except FileNotFoundError:
        raise UnusableError(f"the package has no code for {LEVEL}") from None
    except (OSError, RuntimeError) as error:
        raise UnusableError(f"the package's code cannot be read: {error}") from error
    except UnusableError as error:
        raise UnusableError(f"the package's code is not used: {error}") from error
    if _shared and found.about["numba"] != _shared[0]:
        raise UnusableError(
            f"the package's code was compiled by numba {found.about['numba']}, and the custom "
            f"loss by {_shared[0]}"
        )
    return found


def from_package(dtype: np.dtype) -> dict[str, int]:
    """Load all kernels of a dtype from the package.

    Parameters
    ----------
    dtype : numpy.dtype

    Returns
    -------
    dict of str to int
        The addresses by name.

    Raises
    ------
    UnusableError
        When the package has no code that fits this machine.
    """
    return _load(_read_package(dtype))


def why_not_in_package(dtype: np.dtype) -> str:
    """Say why the package's kernels of a dtype are not used; empty where they are."""
    try:
        _read_package(dtype)
    except UnusableError as error:
        return str(error)
    return ""


# ---- the cache ----


# The folders that were passed over, with the reason.
refused: dict[str, OSError] = {}


@cache
def _numba_version() -> str:
    """Return the version of numba that is installed; empty where none is."""
    with contextlib.suppress(PackageNotFoundError):
        return version("numba")
    return ""


def _target() -> str:
    """Describe what compiles here, and for which processor."""
    return repr((compiler_target(), llvmlite.__version__, _numba_version()))


def _file_name(name: str, dtype: np.dtype) -> str:
    """Return the name of a kernel's file in the cache, which depends on all that made it."""
    made_of = repr((_target(), fingerprint("cpu")))
    key = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    return f"fastmlp-{name}-{dtype.name}-{fingerprint('cpu')[:16]}-{key}{_SUFFIX}"


def _folders() -> list[str]:
    """Return the folders that compiled code may be kept in, the first choice first."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA", "~")
    elif sys.platform == "darwin":
        home = "~/Library/Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folders = [os.path.join(chosen, "fastmlp")] if chosen else []
    return [*folders, str(_BESIDE), os.path.join(os.path.expanduser(home), "fastmlp")]


@cache
def cache_folder() -> str | None:
    """Return the folder of compiled code; None where none can be used.

    The answer is kept for the life of the process.
    """
    if not is_switched_on():
        return None
    for folder in _folders():
        try:
            if folder.startswith("~"):
                raise FileNotFoundError("the home folder of this user is not known")
            if folder == str(_BESIDE) and not _MODULE.parent.is_dir():
                raise FileNotFoundError("the package is in one file")
            folder = os.path.abspath(folder)
            private_files.make_folder(folder, 0o755 if folder == str(_BESIDE) else 0o700)
        except OSError as error:
            refused[folder] = error
        else:
            return folder
    return None


def from_cache(name: str, dtype: np.dtype) -> int | None:
    """Load a kernel from the cache.

    Parameters
    ----------
    name : str
    dtype : numpy.dtype

    Returns
    -------
    int or None
        Its address; None where the cache has no file of it that can be used.
    """
    try:
        folder = cache_folder()
        if folder is None:
            return None
        content = private_files.read(folder, _file_name(name, dtype))
        return _load(_checked(content, _target()))[name]
    except (OSError, RuntimeError, KeyError, UnusableError):  # it is missing, damaged or not ours
        return None


def to_cache(name: str, dtype: np.dtype, code: bytes, symbol: str) -> None:
    """Write a kernel to the cache, and remove what other versions of the sources have left.

    Nothing is raised where that fails, because the kernel can be used all the same.

    Parameters
    ----------
    name : str
    dtype : numpy.dtype
    code : bytes
        The object file that numba has made.
    symbol : str
        The name of the kernel in it.
    """
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_folder()
        if folder is None:
            return
        about = description({name: symbol}, _target(), _numba_version())
        file = _file_name(name, dtype)
        private_files.write(folder, file, packed(about, code))
        sources = f"-{fingerprint('cpu')[:16]}-"
        for path in Path(folder).glob(f"fastmlp-{name}-{dtype.name}-*"):
            if sources not in path.name or private_files.was_left_behind(path):
                path.unlink(missing_ok=True)
