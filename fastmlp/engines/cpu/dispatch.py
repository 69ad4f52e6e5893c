"""The choice of the kernels that a network's plan needs, as a vector of their addresses."""

from collections.abc import Sequence
from functools import lru_cache
from math import inf
from typing import Any, TypeAlias

import numpy as np

from ...network.plan import OUTPUT_ACTIVATIONS, Activation, Loss, TrainingPlan, keeps_derivatives
from . import slots
from .custom_loss import compile_custom
from .gemm import multiply
from .indirect_call import address
from .layers import (
    activation_kernel,
    derivative_kernel,
    drop_units,
    keeping_kernel,
    multiply_by_kept,
)
from .optimizers import scale, shape_gradient, update_kernel
from .outputs import loss_kernel, output_kernel
from .row_pass import backward, finish_rows, forward
from .sparse import group_by_feature, multiply_rows, sum_block
from .weight_pass import (
    finish_update,
    limit_norms,
    sum_gradient,
    sum_group,
    transpose_block,
    update_weights,
)

# The kernel, a numba dispatcher, of each slot.
_Kernels: TypeAlias = dict[int, Any]


def clears_padding(loss: Loss) -> bool:
    """Tell whether a loss's kernel can give padding a delta that is not zero.

    Parameters
    ----------
    loss : Loss

    Returns
    -------
    bool
    """
    return loss in (Loss.POISSON, Loss.BINARY_CROSS_ENTROPY, Loss.BINARY_MARGIN, Loss.CUSTOM)


def _prediction_kernels(loss: Loss, is_sparse: bool) -> _Kernels:
    """Choose the kernels of the network's slots that predictions need.

    Parameters
    ----------
    loss : Loss
        The loss, which determines the activation of the output layer.
    is_sparse : bool
        Whether X is sparse.

    Returns
    -------
    dict of int to numba dispatcher
        The kernel of each slot.
    """
    kernels = {slots.MULTIPLY: multiply, slots.FORWARD: forward}
    output = output_kernel(OUTPUT_ACTIVATIONS[loss])
    if output is not None:
        kernels[slots.ACTIVATE_OUTPUT] = output
    if is_sparse:
        kernels[slots.MULTIPLY_ROWS] = multiply_rows
    return kernels


def _training_kernels(plan: TrainingPlan, is_sparse: bool) -> _Kernels:
    """Choose the kernels of the network's slots that training needs.

    Parameters
    ----------
    plan : TrainingPlan
    is_sparse : bool
        Whether X is sparse.

    Returns
    -------
    dict of int to numba dispatcher
        The kernel of each slot.
    """
    custom = plan.custom_loss
    losses = loss_kernel(plan.loss) if custom is None else compile_custom(custom, plan.dtype).kernel
    kernels = _prediction_kernels(plan.loss, is_sparse) | {
        slots.FINISH_ROWS: finish_rows,
        slots.LOSSES: losses,
        slots.BACKWARD: backward,
        slots.UPDATE_WEIGHTS: update_weights,
        slots.SUM_GRADIENT: sum_gradient,
        slots.SUM_GROUP: sum_group,
        slots.TRANSPOSE_BLOCK: transpose_block,
        slots.UPDATE: update_kernel(plan.optimizer),
    }
    if is_sparse:
        kernels[slots.GROUP_BY_FEATURE] = group_by_feature
        kernels[slots.SUM_BLOCK] = sum_block
    if plan.needs_gradient:
        kernels[slots.SHAPE_GRADIENT] = shape_gradient
    if plan.weight_decay > 0:
        kernels[slots.DECAY_WEIGHTS] = scale
    if plan.clip_norm < inf:
        kernels[slots.FINISH_UPDATE] = finish_update
    if plan.max_norm < inf:
        kernels[slots.LIMIT_NORMS] = limit_norms
    return kernels


def _prediction_kernels_of_layer(activation: Activation) -> _Kernels:
    """Choose the kernels of a hidden layer's slots that predictions need."""
    if activation == Activation.IDENTITY:
        return {}
    return {slots.ACTIVATE: activation_kernel(activation)}


def _training_kernels_of_layer(activation: Activation, dropout: float) -> _Kernels:
    """Choose the kernels of a hidden layer's slots that training needs.

    Parameters
    ----------
    activation : Activation
    dropout : float
        Probability that a unit is switched off.

    Returns
    -------
    dict of int to numba dispatcher
        The kernel of each slot.
    """
    kernels = _prediction_kernels_of_layer(activation)
    if keeps_derivatives(activation, dropout):
        kernels[slots.ACTIVATE_AND_KEEP] = keeping_kernel(activation)
        kernels[slots.MULTIPLY_BY_DERIVATIVE] = multiply_by_kept
    elif activation != Activation.IDENTITY:
        kernels[slots.MULTIPLY_BY_DERIVATIVE] = derivative_kernel(activation)
    if dropout > 0:
        kernels[slots.DROP_UNITS] = drop_units
    return kernels


def _calls(
    kernels_of_network: _Kernels, kernels_of_layers: Sequence[_Kernels], dtype: np.dtype
) -> np.ndarray:
    """Compile kernels, or load them from the cache, and return their addresses.

    Parameters
    ----------
    kernels_of_network : dict of int to numba dispatcher
        The kernel of each slot of the network.
    kernels_of_layers : list of dict of int to numba dispatcher
        For each hidden layer the kernel of each of its slots.
    dtype : numpy.dtype
        Type of the network's numbers.

    Returns
    -------
    ndarray of shape (n_slots,), uint64
    """
    n_layers = len(kernels_of_layers) + 1
    calls = np.zeros(slots.n_slots(n_layers), np.uint64)
    for slot, kernel in kernels_of_network.items():
        calls[slot] = address(slot, kernel, dtype)
    for layer, kernels in enumerate(kernels_of_layers):
        for slot, kernel in kernels.items():
            calls[slot + layer * slots.N_LAYER_SLOTS] = address(slot, kernel, dtype)
    return calls


@lru_cache
def prediction_calls(
    activations: tuple[Activation, ...], loss: Loss, dtype: np.dtype, is_sparse: bool
) -> np.ndarray:
    """Return the addresses of all kernels that predictions need.

    The kernels are compiled, or loaded from the cache, where that has not happened yet.

    Parameters
    ----------
    activations : tuple of Activation
        The activation of each hidden layer.
    loss : Loss
        The loss, which determines the activation of the output layer.
    dtype : numpy.dtype
        Type of the network's numbers.
    is_sparse : bool
        Whether X is sparse.

    Returns
    -------
    ndarray of shape (n_slots,), uint64
        The vector `calls` of a :class:`fastmlp.engines.cpu.arguments.Network`. Other calls return
        the same vector, so it must not be changed.
    """
    layers = [_prediction_kernels_of_layer(activation) for activation in activations]
    return _calls(_prediction_kernels(loss, is_sparse), layers, dtype)


def training_calls(plan: TrainingPlan, is_sparse: bool) -> tuple[np.ndarray, list[Any]]:
    """Return the addresses of all kernels that training needs.

    The kernels are compiled, or loaded from the cache, where that has not happened yet.

    Parameters
    ----------
    plan : TrainingPlan
    is_sparse : bool
        Whether X is sparse.

    Returns
    -------
    calls : ndarray of shape (n_slots,), uint64
        The vector `calls` of a :class:`fastmlp.engines.cpu.arguments.Network`.
    kernels : list of numba dispatcher
        The caller keeps this list as long as it uses the addresses, because the machine code of a
        custom loss is freed together with its kernel.
    """
    layers = [
        _training_kernels_of_layer(activation, dropout)
        for activation, dropout in zip(plan.activations, plan.dropouts, strict=True)
    ]
    kernels = _training_kernels(plan, is_sparse)
    return _calls(kernels, layers, plan.dtype), list(kernels.values())
