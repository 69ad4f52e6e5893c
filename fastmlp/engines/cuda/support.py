"""Whether this machine can run CUDA kernels, and if not, why."""

import os
import warnings
from functools import cache
from importlib.util import find_spec

from ...exceptions import DeviceError

# How reasons begin where a package or driver is there and does not work.
BROKEN = "the CUDA toolchain is broken: "
NO_MEMORY = "memory for the GPU ran out; end other programs that use it, or use device='cpu'"
_FORKED = (
    "this process was forked from one that had used the GPU; start it with spawn, or use the GPU "
    "in the child alone"
)


def is_simulated():
    """Whether numba's simulator of a GPU stands in for it (``NUMBA_ENABLE_CUDASIM=1``)."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("0", "")


@cache
def why_not():
    """What is missing for CUDA, with the remedy; '' where it works.

    The answer is found once a process, by compiling and running a small kernel.
    """
    if find_spec("numba_cuda") is None:
        return "the package numba-cuda is not installed; pip install 'fastmlp[cuda]'"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what numba-cuda imports
            return _why_not_here()
    except Exception as error:
        if is_out_of_memory(error):
            return NO_MEMORY
        return f"{BROKEN}{type(error).__name__}: {_one_line(error)}"


# The driver does not work in a child, whatever the parent has found.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=why_not.cache_clear)


def _why_not_here():
    from numba import cuda

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


def _why_unavailable(cuda):
    n_devices = 0
    try:
        n_devices = len(cuda.gpus)
    except Exception as error:
        if "CUDA_ERROR_NOT_INITIALIZED" in str(error):
            return _FORKED  # from a process whose other libraries have used the GPU
        if "CUDA_ERROR_NO_DEVICE" not in str(error):
            start = BROKEN if "CUDA_ERROR" in str(error) else "there is no usable NVIDIA driver: "
            return start + _one_line(error)
    if n_devices == 0:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        setting = "" if visible is None else f" with CUDA_VISIBLE_DEVICES={visible!r}"
        return f"no NVIDIA GPU is visible{setting}"
    return f"{BROKEN}libnvvm was not found; pip install 'fastmlp[cuda]' installs it"


def _try_kernel(cuda):
    import numpy as np

    @cuda.jit
    def set_one(x):
        x[0] = 1

    x = cuda.to_device(np.zeros(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a single thread is few
        set_one[1, 1](x)
    if x.copy_to_host()[0] != 1:
        raise RuntimeError("a kernel ran and had no effect")


def _dotted(version):
    return ".".join(map(str, version))


def _one_line(error):
    """What an error says, in one line of moderate length."""
    words = " ".join(str(error).split()).rstrip(" :") or type(error).__name__
    return words if len(words) <= 200 else words[:197] + "..."


def is_out_of_memory(error):
    """Whether the driver had no memory to give, on the device or pinned."""
    # numba-cuda and cuda.core have a class each; both name what the driver has answered.
    return "CUDA_ERROR_OUT_OF_MEMORY" in str(error)


def refusal(reason):
    """The error that says why a GPU does not do what was asked for."""
    return DeviceError(f"device='cuda' cannot be used: {reason}")


def require_for_arrays():
    """Raise :class:`DeviceError` unless arrays on a GPU can be read here."""
    reason = why_not()
    if reason:
        raise DeviceError(
            f"an array on a GPU cannot be read here: {reason}; or copy it to a NumPy array"
        )


def require():
    """Raise :class:`DeviceError` unless CUDA kernels can run here."""
    reason = why_not()
    if reason:
        raise refusal(reason)


def describe():
    """The GPU and its driver, in words; only where :func:`why_not` finds nothing."""
    from numba import cuda

    if is_simulated():
        return "simulated (NUMBA_ENABLE_CUDASIM)"
    from .._numba import cuda_driver as driver

    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    capability, version = _dotted(device.compute_capability), _dotted(driver.get_version())
    return f"{name}, compute capability {capability}, driver for CUDA {version}"
