"""Compile everything ahead, for container images and first impressions."""

import numpy as np

from ..parameters import n_parameters
from ..plan import Activation, Loss, Optimizer, TrainingPlan
from . import kernels
from .engine import CpuEngine, outputs


def warmup(report=None):
    """Compile all kernels for float32 and float64, or load them from the cache.

    Later fits, in this process and in others that share the cache folder, compile nothing.

    Parameters
    ----------
    report : callable, optional
        Called as ``report(done, total, what)`` before each piece of work and, with
        ``done == total``, at the end.
    """
    work = []
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        work += [
            (f"{dtype.name} layers", lambda dtype=dtype: kernels.addresses(dtype, True)),
            (f"{dtype.name} training", lambda dtype=dtype: _train(dtype)),
            (f"{dtype.name} prediction", lambda dtype=dtype: _predict(dtype)),
        ]
    for done, (what, compile_it) in enumerate(work):
        if report is not None:
            report(done, len(work), what)
        compile_it()
    if report is not None:
        report(len(work), len(work), "done")


def _network(dtype):
    plan = TrainingPlan(
        (1, 1), Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM, epsilon=1.0, dtype=dtype
    )
    return plan, np.zeros(n_parameters(plan.layer_units), dtype), np.zeros((1, 1), dtype)


def _train(dtype):
    plan, theta, X = _network(dtype)
    with CpuEngine(plan, theta, X, X) as engine:
        engine.run_epoch(np.arange(1), 0.1)


def _predict(dtype):
    plan, theta, X = _network(dtype)
    outputs(plan, theta, X)
