"""Compilation of all kernels ahead of the first fit, such as for container images."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...network.plan import Activation, Loss, Optimizer, TrainingPlan
from ...network.weights import n_parameters
from .. import _numba as _numba  # first, as it says what is wrong with numba
from .dispatch import training_calls
from .engine import CpuEngine, outputs
from .row_losses import row_losses


def warmup(report: Callable[[int, int, str], object] | None = None) -> None:
    """Compile all kernels for float32 and float64, or load them from the cache.

    Later fits, in this process and in others that share the cache folder, compile nothing.

    Parameters
    ----------
    report : callable, optional
        It is called as ``report(done, total, what)`` before each piece of work and, with
        ``done == total``, at the end.
    """
    work = []
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        plan = _small_plan(dtype)
        work += [
            (f"{dtype.name} sparse inputs", lambda plan=plan: _prepare(plan, is_sparse=True)),
            (f"{dtype.name} training", lambda plan=plan: _train(plan)),
            (f"{dtype.name} prediction", lambda plan=plan: _predict(plan)),
            (f"{dtype.name} options", lambda plan=plan: _prepare_options(plan)),
        ]
    for done, (what, compile_it) in enumerate(work):
        if report is not None:
            report(done, len(work), what)
        compile_it()
    if report is not None:
        report(len(work), len(work), "done")


def _small_plan(dtype: np.dtype) -> TrainingPlan:
    """Make a plan of the smallest network."""
    return TrainingPlan(
        (1, 1, 1), Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM, epsilon=1.0, dtype=dtype
    )


def _theta_and_data(plan: TrainingPlan) -> tuple[np.ndarray, np.ndarray]:
    """Make parameters for a plan, and one row of inputs that can serve as targets."""
    return np.zeros(n_parameters(plan.layer_units), plan.dtype), np.zeros((1, 1), plan.dtype)


def _prepare(plan: TrainingPlan, is_sparse: bool = False) -> None:
    """Compile all kernels that training and prediction by a plan need."""
    training_calls(plan, is_sparse)


def _prepare_options(plan: TrainingPlan) -> None:
    """Compile the kernels of all activations, losses, optimisers and other options of a plan."""
    for activation in Activation:
        for dropout in (0.0, 0.5):
            _prepare(replace(plan, activation=activation, dropout=(dropout,)))
    for loss in Loss:
        if loss != Loss.CUSTOM:
            chosen = replace(plan, loss=loss, loss_parameters=(1.0,))
            _prepare(chosen)
            row_losses(chosen, np.ones((1, 1)), np.ones((1, 1)))
    for optimizer in Optimizer:
        _prepare(replace(plan, optimizer=optimizer))
    _prepare(replace(plan, clip_norm=1.0, weight_decay=1.0, max_norm=1.0))


def _train(plan: TrainingPlan) -> None:
    """Take one step, which also compiles the kernel that Python calls."""
    theta, X = _theta_and_data(plan)
    with CpuEngine(plan, theta, X, X) as engine:
        engine.run_epoch(np.arange(1), 0.1)


def _predict(plan: TrainingPlan) -> None:
    """Predict one row, which also compiles the kernel that Python calls."""
    theta, X = _theta_and_data(plan)
    outputs(plan, theta, X)
