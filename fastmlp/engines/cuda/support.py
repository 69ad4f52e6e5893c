"""Checks whether this machine can run CUDA kernels, and explains why it cannot."""

import os
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

from ...exceptions import DeviceError

# Reasons begin with this where a package or driver is installed but does not work.
BROKEN = "the CUDA toolchain is broken: "
NO_MEMORY = "memory for the GPU ran out; end other programs that use it, or use device='cpu'"
_FORKED = (
    "this process was forked from one that had used the GPU; start it with spawn, or use the GPU "
    "in the child alone"
)


def is_simulated() -> bool:
    """Tell whether numba simulates a GPU in Python, as ``NUMBA_ENABLE_CUDASIM=1`` asks."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("0", "")


@cache
def why_not() -> str:
    """Find out why CUDA cannot be used, by compiling and running a small kernel.

    The answer is kept for the life of the process.

    Returns
    -------
    str
        The reason with its remedy; empty where CUDA works.
    """
    if find_spec("numba_cuda") is None:
        return "the package numba-cuda is not installed; pip install 'fastmlp[cuda]'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # what numba-cuda imports warns
            return _why_not_here()
    except Exception as error:
        if is_out_of_memory(error):
            return NO_MEMORY
        return f"{BROKEN}{type(error).__name__}: {_one_line(error)}"


# A forked child must find its own answer, since the driver does not work in it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=why_not.cache_clear)


def _why_not_here() -> str:
    """Find out why CUDA cannot be used where numba-cuda is installed; any error is a reason."""
    from numba import cuda as numba_cuda

    cuda: Any = numba_cuda  # mypy knows numba's own module, which numba-cuda replaces

    if cuda.implementation != "NVIDIA":
        return (
            f"{BROKEN}numba.cuda is numba's own, imported before numba-cuda could take its place; "
            "import _numba_cuda_redirector before it"
        )
    if is_simulated():
        return ""
    from .._numba import cuda_driver as driver

    if driver.pid not in (None, os.getpid()):
        return _FORKED
    if not cuda.is_available():
        return _why_unavailable(cuda)
    if driver.get_version()[0] < cuda.runtime.get_version()[0]:
        return (
            f"{BROKEN}the NVIDIA driver is one for CUDA {_dotted(driver.get_version())}, and the "
            f"installed toolkit is CUDA {_dotted(cuda.runtime.get_version())}; update the driver, "
            "for CUDA 13 to 580 or later"
        )
    _try_kernel(cuda)
    return ""


def _why_unavailable(cuda: Any) -> str:
    """Explain why numba says that CUDA is not available."""
    n_devices = 0
    try:
        n_devices = len(cuda.gpus)
    except Exception as error:
        if "CUDA_ERROR_NOT_INITIALIZED" in str(error):
            return _FORKED  # other libraries of the parent have used the GPU
        if "CUDA_ERROR_NO_DEVICE" not in str(error):
            start = BROKEN if "CUDA_ERROR" in str(error) else "there is no usable NVIDIA driver: "
            return start + _one_line(error)
    if n_devices == 0:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        setting = "" if visible is None else f" with CUDA_VISIBLE_DEVICES={visible!r}"
        return f"no NVIDIA GPU is visible{setting}"
    return f"{BROKEN}libnvvm was not found; pip install 'fastmlp[cuda]' installs it"


def _try_kernel(cuda: Any) -> None:
    """Compile and run a small kernel, and raise an error where that fails."""
    import numpy as np

    def set_one(x: Any) -> None:
        x[0] = 1

    x = cuda.to_device(np.zeros(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a grid of one thread makes poor use of a GPU
        cuda.jit(set_one)[1, 1](x)
    if x.copy_to_host()[0] != 1:
        raise RuntimeError("a kernel ran and had no effect")


def _dotted(version: tuple[int, ...]) -> str:
    """Write a version, such as (13, 0), as text."""
    return ".".join(map(str, version))


def _one_line(error: BaseException) -> str:
    """Return the message of an error as one line of at most 200 characters."""
    words = " ".join(str(error).split()).rstrip(" :") or type(error).__name__
    return words if len(words) <= 200 else words[:197] + "..."


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on the device or pinned on the host."""
    # numba-cuda and cuda.core raise different classes; both messages name the driver's error.
    return "CUDA_ERROR_OUT_OF_MEMORY" in str(error)


def refusal(reason: str) -> DeviceError:
    """Make the error that says why a GPU cannot do what was asked for."""
    return DeviceError(f"device='cuda' cannot be used: {reason}")


def require_for_arrays() -> None:
    """Raise :class:`DeviceError` unless arrays on a GPU can be read here."""
    reason = why_not()
    if reason:
        raise DeviceError(
            f"an array on a GPU cannot be read here: {reason}; or copy it to a NumPy array"
        )


def require() -> None:
    """Raise :class:`DeviceError` unless CUDA kernels can run here."""
    reason = why_not()
    if reason:
        raise refusal(reason)


def describe() -> str:
    """Describe the GPU and its driver in words, where :func:`why_not` finds no reason."""
    from numba import cuda

    if is_simulated():
        return "simulated (NUMBA_ENABLE_CUDASIM)"
    from .._numba import cuda_driver as driver

    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    capability, version = _dotted(device.compute_capability), _dotted(driver.get_version())
    return f"{name}, compute capability {capability}, driver for CUDA {version}"
