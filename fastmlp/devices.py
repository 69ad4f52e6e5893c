"""Which engine serves ``device='cpu'``, ``'cuda'`` and ``'auto'``."""

from collections.abc import Callable
from typing import NamedTuple

from scipy.sparse import issparse

from .parameters import n_parameters

# 'auto' takes a GPU from this many multiply-adds an epoch on: below, starting it takes longer.
_AUTO_MULTIPLY_ADDS = 1e9


class Backend(NamedTuple):
    """What a device offers."""

    engine: type
    """Trains a plan: ``run_epoch``, ``push``, ``pull``, ``state``, ``loss_and_gradient``."""
    outputs: Callable
    """``outputs(plan, theta, X, n_jobs)``: predictions of a network."""


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
    if device == "cuda" or (device == "auto" and _is_worth_a_gpu(layer_units, X)):
        from .cuda.support import refusal, why_not

        reason = why_not()
        if not reason and issparse(X):
            reason = "it takes dense X; call X.toarray(), or use device='cpu'"
        if not reason:
            from .cuda.engine import CudaEngine, outputs

            return Backend(CudaEngine, outputs)
        if device == "cuda":
            raise refusal(reason)
    from .cpu.engine import CpuEngine, outputs

    return Backend(CpuEngine, outputs)


def _is_worth_a_gpu(layer_units, X):
    return X.shape[0] * n_parameters(layer_units) >= _AUTO_MULTIPLY_ADDS and not issparse(X)
