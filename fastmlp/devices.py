"""Which engine serves ``device='cpu'``, ``'cuda'`` and ``'auto'``."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import NamedTuple

from scipy.sparse import issparse

from .parameters import n_parameters

# 'auto' takes a GPU from this many multiply-adds an epoch on: below, starting it takes longer.
_AUTO_MULTIPLY_ADDS = 1e9

_this_thread = threading.local()


class Backend(NamedTuple):
    """What a device offers."""

    engine: Callable
    """``engine(plan, theta, X, Y, sample_weight, n_jobs)`` trains a plan: ``run_epoch``, ``push``,
    ``pull``, ``state``, ``loss_and_gradient``."""
    outputs: Callable
    """``outputs(plan, theta, X, n_jobs)``: predictions of a network."""


def is_on_gpu(array):
    """Whether an array of another library, or what stands for one here, lies on a GPU."""
    return hasattr(array, "__cuda_array_interface__") or getattr(array, "is_on_gpu", False)


def host_array(array):
    """A NumPy array with the contents of one on a GPU; all else unchanged."""
    if not is_on_gpu(array):
        return array
    from .cuda.support import require

    require()
    from .cuda.arrays import to_host

    return to_host(array)


def device_matrix(device, X, may_be_infinite):
    """What stands for an X on a GPU: see :func:`fastmlp.cuda.arrays.device_matrix`.

    Raises
    ------
    TypeError
        When the device is 'cpu'.
    """
    if device == "cpu":
        raise TypeError(
            f"X is a {type(X).__module__}.{type(X).__name__} on a GPU; use device='cuda', or copy "
            "it to a NumPy array"
        )
    from .cuda.support import require

    require()
    from .cuda.arrays import device_matrix

    return device_matrix(X, may_be_infinite)


def backend(device, layer_units, X):
    """The backend for some work.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}
    layer_units : sequence of int
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)

    Returns
    -------
    Backend

    Raises
    ------
    DeviceError
        When CUDA was asked for and cannot be used; the message says why.
    """
    seat = getattr(_this_thread, "seat", None)
    if device == "cuda" or (device == "auto" and _is_worth_a_gpu(layer_units, X)):
        from .cuda.support import refusal, why_not

        reason = why_not()
        if not reason and issparse(X):
            reason = "it takes dense X; call X.toarray(), or use device='cpu'"
        if not reason:
            from .cuda.engine import CudaEngine, outputs

            return Backend(CudaEngine if seat is None else seat.engine, outputs)
        if device == "cuda":
            raise refusal(reason)
    from .cpu.engine import CpuEngine, outputs

    return Backend(CpuEngine if seat is None else seat.alone(CpuEngine), outputs)


def gang(n_fits, n_turns):
    """A :class:`fastmlp.cuda.gang.Gang` for fits on the GPU; None where there is none."""
    from .cuda.support import why_not

    if why_not():
        return None
    from .cuda.gang import Gang

    return Gang(n_fits, n_turns)


@contextmanager
def seated(seat):
    """Inside, :func:`backend` gives this thread the engines of a seat in a gang."""
    before = getattr(_this_thread, "seat", None)
    _this_thread.seat = seat
    try:
        with seat:
            yield
    finally:
        _this_thread.seat = before


def _is_worth_a_gpu(layer_units, X):
    if is_on_gpu(X):
        return True
    return X.shape[0] * n_parameters(layer_units) >= _AUTO_MULTIPLY_ADDS and not issparse(X)
