"""The choice of the kernels that a network's plan needs, as a vector of their addresses."""

from collections.abc import Sequence
from functools import lru_cache
from math import inf
from typing import Any, TypeAlias

import numpy as np

from ...network.plan import Activation, Loss, TrainingPlan, keeps_derivatives
from ..forks import importing
from . import library, slots
from .catalogue import activation_name, loss_name, output_name, update_name

# The name of the kernel of each slot.
_Kernels: TypeAlias = dict[int, str]


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
    dict of int to str
        The name of the kernel of each slot.
    """
    kernels = {slots.MULTIPLY: "multiply", slots.FORWARD: "forward"}
    output = output_name(loss)
    if output is not None:
        kernels[slots.ACTIVATE_OUTPUT] = output
    if is_sparse:
        kernels[slots.MULTIPLY_ROWS] = "multiply_rows"
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
    dict of int to str
        The name of the kernel of each slot.
    """
    kernels = _prediction_kernels(plan.loss, is_sparse) | {
        slots.FINISH_ROWS: "finish_rows",
        slots.BACKWARD: "backward",
        slots.UPDATE_WEIGHTS: "update_weights",
        slots.SUM_GRADIENT: "sum_gradient",
        slots.SUM_GROUP: "sum_group",
        slots.TRANSPOSE_BLOCK: "transpose_block",
        slots.UPDATE: update_name(plan.optimizer),
    }
    if plan.custom_loss is None:
        kernels[slots.LOSSES] = loss_name("losses_and_deltas", plan.loss)
    if is_sparse:
        kernels[slots.GROUP_BY_FEATURE] = "group_by_feature"
        kernels[slots.SUM_BLOCK] = "sum_block"
    if plan.needs_gradient:
        kernels[slots.SHAPE_GRADIENT] = "shape_gradient"
    if plan.weight_decay > 0:
        kernels[slots.DECAY_WEIGHTS] = "scale"
    if plan.clip_norm < inf:
        kernels[slots.FINISH_UPDATE] = "finish_update"
    if plan.max_norm < inf:
        kernels[slots.LIMIT_NORMS] = "limit_norms"
    return kernels


def _prediction_kernels_of_layer(activation: Activation) -> _Kernels:
    """Choose the kernels of a hidden layer's slots that predictions need."""
    if activation == Activation.IDENTITY:
        return {}
    return {slots.ACTIVATE: activation_name("activate", activation)}


def _training_kernels_of_layer(activation: Activation, dropout: float) -> _Kernels:
    """Choose the kernels of a hidden layer's slots that training needs.

    Parameters
    ----------
    activation : Activation
    dropout : float
        Probability that a unit is switched off.

    Returns
    -------
    dict of int to str
        The name of the kernel of each slot.
    """
    kernels = _prediction_kernels_of_layer(activation)
    if keeps_derivatives(activation, dropout):
        kernels[slots.ACTIVATE_AND_KEEP] = activation_name("activate_and_keep", activation)
        kernels[slots.MULTIPLY_BY_DERIVATIVE] = "multiply_by_kept"
    elif activation != Activation.IDENTITY:
        kernels[slots.MULTIPLY_BY_DERIVATIVE] = activation_name(
            "multiply_by_derivative", activation
        )
    if dropout > 0:
        kernels[slots.DROP_UNITS] = "drop_units"
    return kernels


def _calls(
    kernels_of_network: _Kernels, kernels_of_layers: Sequence[_Kernels], dtype: np.dtype
) -> np.ndarray:
    """Return the addresses of kernels, which are loaded or compiled where they are not there.

    Parameters
    ----------
    kernels_of_network : dict of int to str
        The name of the kernel of each slot of the network.
    kernels_of_layers : list of dict of int to str
        For each hidden layer the name of the kernel of each of its slots.
    dtype : numpy.dtype
        Type of the network's numbers.

    Returns
    -------
    ndarray of shape (n_slots,), uint64
    """
    n_layers = len(kernels_of_layers) + 1
    calls = np.zeros(slots.n_slots(n_layers), np.uint64)
    for slot, kernel in kernels_of_network.items():
        calls[slot] = library.address(kernel, dtype)
    for layer, kernels in enumerate(kernels_of_layers):
        for slot, kernel in kernels.items():
            calls[slot + layer * slots.N_LAYER_SLOTS] = library.address(kernel, dtype)
    return calls


@library.holds_addresses
@lru_cache
def prediction_calls(
    activations: tuple[Activation, ...], loss: Loss, dtype: np.dtype, is_sparse: bool
) -> np.ndarray:
    """Return the addresses of all kernels that predictions need.

    They are loaded, or else compiled, where that has not happened yet.

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


@library.holds_addresses
@lru_cache
def gradient_calls(
    activations: tuple[Activation, ...], loss: Loss, dtype: np.dtype, is_sparse: bool
) -> np.ndarray:
    """Return the addresses of all kernels that gradients of inputs need.

    Parameters and result are those of :func:`prediction_calls`.
    """
    layers = [_training_kernels_of_layer(activation, 0.0) for activation in activations]
    kernels = _prediction_kernels(loss, is_sparse) | {slots.BACKWARD: "backward"}
    return _calls(kernels, layers, dtype)


def training_calls(plan: TrainingPlan, is_sparse: bool) -> tuple[np.ndarray, Any]:
    """Return the addresses of all kernels that training needs.

    They are loaded, or else compiled, where that has not happened yet.

    Parameters
    ----------
    plan : TrainingPlan
    is_sparse : bool
        Whether X is sparse.

    Returns
    -------
    calls : ndarray of shape (n_slots,), uint64
        The vector `calls` of a :class:`fastmlp.engines.cpu.arguments.Network`.
    kept : object
        The caller keeps it as long as it uses the addresses, because the machine code of a custom
        loss is freed together with its kernel.
    """
    custom = None
    if plan.custom_loss is not None:
        library.share_with_compiler()
        with library.without_collections(), importing:
            from .custom_loss import compile_custom
            from .indirect_call import address

        custom = compile_custom(plan.custom_loss, plan.dtype).kernel
    layers = [
        _training_kernels_of_layer(activation, dropout)
        for activation, dropout in zip(plan.activations, plan.dropouts, strict=True)
    ]
    calls = _calls(_training_kernels(plan, is_sparse), layers, plan.dtype)
    if custom is not None:
        calls[slots.LOSSES] = address(slots.LOSSES, custom, plan.dtype)
    return calls, custom
