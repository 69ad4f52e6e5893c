"""What this machine has for training, and what is wrong with it."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__

_MISSING = "not installed"
# What numba-cuda compiles and links with.
_TOOLCHAIN = (
    "cuda-bindings", "cuda-core", "nvidia-nvvm", "nvidia-cuda-nvrtc", "nvidia-nvjitlink",
    "nvidia-cuda-runtime",
)  # fmt: skip


def examine() -> tuple[dict[str, str], list[str]]:
    """Collect facts about processor, threads, compiled code, GPU and versions.

    Returns
    -------
    facts : dict of str to str
    problems : list of str
        What does not work, with its remedy.
    """
    from ..engines._numba import cache_of
    from ..engines.cpu.jit import KernelCache
    from ..engines.cpu.kernels import train
    from ..engines.cpu.threads import default_n_threads
    from ..engines.cpu.vector_unit import HOST, cpu_name
    from ..engines.cuda.support import BROKEN, describe, why_not
    from ..engines.kernel_cache import is_switched_on

    problems = []
    fma = "with" if HOST.has_fma else "without"
    facts = {
        "processor": f"{cpu_name()}, {os.cpu_count()} cores, {platform.machine()}",
        "vectors": f"{8 * HOST.n_bytes} bits, {fma} fused multiply-add",
        "threads": f"{default_n_threads()} (numba's limit)",
        "threading layer": "none needed: fastmlp has threads of its own",
    }
    cache = cache_of(train)
    if KernelCache is not None and isinstance(cache, KernelCache):
        facts["cache folder"] = str(cache.cache_path)
    elif not is_switched_on():
        facts["cache folder"] = "off (FASTMLP_CACHE=0)"
    else:
        facts["cache folder"] = "none"
        problems.append(_why_no_cache(KernelCache))
    reason = why_not()
    if reason.startswith(BROKEN):
        problems.append(reason)
    facts["GPU"] = describe() if not reason else f"not usable: {reason}"
    facts["python"] = f"{platform.python_version()}, {sys.platform}"
    facts["fastmlp"] = __version__
    for package in ("numba", "numpy", "scipy", "scikit-learn", "numba-cuda"):
        facts[package] = _version(package)
    if facts["numba-cuda"] != _MISSING:
        facts |= {package: _version(package) for package in _TOOLCHAIN}
    return facts, problems


def _why_no_cache(kernel_cache: Any) -> str:
    """Why compiled code is not kept, with the remedy; `kernel_cache` may be None."""
    from ..engines.kernel_cache import fingerprint

    if kernel_cache is None:
        return (
            f"numba {_version('numba')} keeps compiled code in a way that fastmlp {__version__} "
            "does not know, so that every process compiles anew; install another version of one "
            "of them"
        )
    try:
        fingerprint("cpu")
    except RuntimeError as error:
        return f"every process compiles anew: {error}; install fastmlp as files"
    return (
        "no folder for compiled code can be written, so that every process compiles anew; "
        "set NUMBA_CACHE_DIR"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _MISSING
