"""Which engine serves ``device='cpu'``, ``'cuda'`` and ``'auto'``."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import NamedTuple

from scipy.sparse import issparse

from ..network.weights import n_parameters

# Multiply-adds from which on 'auto' takes a GPU. A CPU does some 1e11 a second, and compiling
# kernels takes seconds; afterwards, starting and copying take milliseconds.
_AUTO_MULTIPLY_ADDS = 5e11
_AUTO_MULTIPLY_ADDS_COMPILED = 1e10
# Epochs after which many a fit has converged.
_EXPECTED_EPOCHS = 50
# What kernels this process has used.
_compiled = set()

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
    return hasattr(array, "__cuda_array_interface__") or getattr(array, "is_device_matrix", False)


def host_array(array):
    """A NumPy array with the contents of one on a GPU; all else unchanged."""
    if not is_on_gpu(array):
        return array
    from .cuda.support import require_for_arrays

    require_for_arrays()
    from .cuda.arrays import to_host

    return to_host(array)


def device_matrix(device, X, may_be_infinite):
    """What stands for an X on a GPU: see :func:`fastmlp.engines.cuda.arrays.device_matrix`.

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
    from .cuda.support import require_for_arrays

    require_for_arrays()
    from .cuda.arrays import device_matrix

    return device_matrix(X, may_be_infinite)


def backend(device, plan, X, n_epochs=0):
    """The backend for some work.

    'auto' is 'cuda' where that works and X lies on the GPU, or the work is estimated to be large:
    5e11 multiply-adds, and 1e10 where this process has used a GPU for a network with the same
    options. Multiply-adds are parameters times rows; for a fit, three times that for each
    epoch, of which no more than 50 are expected.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}
    plan : TrainingPlan
    X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
    n_epochs : int, default=0
        Epochs that a fit may take; none are predictions.

    Returns
    -------
    Backend

    Raises
    ------
    DeviceError
        When CUDA was asked for and cannot be used; the message says why.
    """
    seat = getattr(_this_thread, "seat", None)
    if device == "cuda" or (device == "auto" and _is_worth_a_gpu(plan, X, n_epochs)):
        from .cuda.support import refusal, why_not

        reason = why_not()
        if not reason and issparse(X):
            reason = "it takes dense X; call X.toarray(), or use device='cpu'"
        if not reason:
            from .cuda.engine import CudaEngine, outputs

            _compiled.add(_kernels(plan, n_epochs))
            return Backend(CudaEngine if seat is None else seat.engine, outputs)
        if device == "cuda":
            raise refusal(reason)
    from .cpu.engine import CpuEngine, outputs

    return Backend(CpuEngine if seat is None else seat.alone(CpuEngine), outputs)


def gang(n_fits, n_turns):
    """A ``cuda.grouped.Gang`` for fits on the GPU; None where there is none."""
    from .cuda.support import why_not

    if why_not():
        return None
    from .cuda.grouped import Gang

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


def _is_worth_a_gpu(plan, X, n_epochs):
    if is_on_gpu(X):
        return True
    n_passes = 3 * min(n_epochs, _EXPECTED_EPOCHS) or 1
    work = n_passes * X.shape[0] * n_parameters(plan.layer_units)
    return work >= _least_work(plan, n_epochs) and not issparse(X)


def _least_work(plan, n_epochs):
    """Multiply-adds for which a GPU is taken."""
    is_compiled = _compiled and _kernels(plan, n_epochs) in _compiled
    return _AUTO_MULTIPLY_ADDS_COMPILED if is_compiled else _AUTO_MULTIPLY_ADDS


def _kernels(plan, n_epochs):
    """What tells the kernels that are compiled for some work."""
    from .cuda.specialization import prediction_specialization, training_specialization

    return (
        plan.dtype,
        (training_specialization if n_epochs else prediction_specialization)(plan),
        n_epochs > 0,
    )
