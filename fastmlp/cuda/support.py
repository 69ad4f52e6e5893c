"""Whether this machine can run CUDA kernels, and if not, why."""

import os
import warnings
from functools import cache

from ..errors import DeviceError


def is_simulated():
    """Whether numba's simulator of a GPU stands in for it (``NUMBA_ENABLE_CUDASIM=1``)."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("0", "")


@cache
def why_not():
    """What is missing for CUDA, with the remedy; '' where it works.

    The answer is found once a process, by compiling and running a small kernel.
    """
    try:
        import numba_cuda  # noqa: F401
        from numba import cuda
    except ImportError:
        return "the package numba-cuda is not installed; pip install 'fastmlp[cuda]'"
    if is_simulated():
        return ""
    try:
        if not cuda.is_available():
            return _why_unavailable(cuda)
        _try_kernel(cuda)
    except Exception as error:
        return f"the CUDA toolchain is broken: {type(error).__name__}: {_one_line(error)}"
    return ""


def _why_unavailable(cuda):
    try:
        n_devices = len(cuda.gpus)
    except Exception as error:
        return f"there is no usable NVIDIA driver: {_one_line(error)}"
    if n_devices == 0:
        return "there is no NVIDIA GPU"
    return "libnvvm was not found; pip install 'fastmlp[cuda]' installs it"


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


def _one_line(error):
    """What an error says, in one line of moderate length."""
    words = " ".join(str(error).split()).rstrip(" :") or type(error).__name__
    return words if len(words) <= 200 else words[:197] + "..."


def refusal(reason):
    """The error that says why a GPU does not do what was asked for."""
    return DeviceError(f"device='cuda' cannot be used: {reason}")


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
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    capability = ".".join(map(str, device.compute_capability))
    return f"{name}, compute capability {capability}"
