"""Which kernels a network's plan needs, and their addresses."""

from functools import cache

from numba import from_dtype, types

from ...network.plan import OUTPUT_ACTIVATIONS, Activation, Loss, keeps_derivatives
from . import layout as at
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
from .outputs import clears_padding, loss_kernel, output_kernel
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

INTEGER = types.int64
INTEGERS = types.Array(types.int64, 1, "C")
LAYERS = types.Array(types.int64, 2, "C")
DOUBLES = types.Array(types.float64, 1, "C")
# Features and row starts of a sparse matrix.
SPARSE_ROWS = types.Array(types.int32, 1, "C"), INTEGERS


def _vector(dtype):
    return types.Array(from_dtype(dtype), 1, "C")


def _matrix(dtype):
    return types.Array(from_dtype(dtype), 2, "C")


@cache
def _forward_addresses(dtype, is_sparse):
    """Of kernels that predictions need whatever the network."""
    vector, i = _vector(dtype), INTEGER
    context = vector, LAYERS, INTEGERS
    found = {
        at.CALL_MULTIPLY: address(multiply, i, i, i, vector, *[i] * 9),
        at.CALL_FORWARD: address(forward, *context, *[i] * 4),
    }
    if is_sparse:
        found[at.CALL_MULTIPLY_ROWS] = address(
            multiply_rows, *context, _matrix(dtype), *SPARSE_ROWS, INTEGERS, i, i, i
        )
    return found


@cache
def _training_addresses(dtype, is_sparse):
    """Of kernels that training needs whatever the network."""
    vector, matrix, i = _vector(dtype), _matrix(dtype), INTEGER
    context = vector, LAYERS, INTEGERS
    found = {
        at.CALL_FINISH: address(
            finish_rows, *context, i, matrix, vector, INTEGERS, i, DOUBLES, i, i
        ),
        at.CALL_BACKWARD: address(backward, *context, i, i),
        at.CALL_UPDATE: address(
            update_weights,
            *context, DOUBLES, i, matrix, *SPARSE_ROWS, INTEGERS, INTEGERS, *[i] * 4,
        ),
        at.CALL_SUM: address(sum_gradient, *context, *[i] * 9),
        at.CALL_TRANSPOSE: address(transpose_block, vector, INTEGERS, *[i] * 6),
        at.CALL_SUM_GROUP: address(sum_group, *context, i, matrix, INTEGERS, *[i] * 4),
    }  # fmt: skip
    if is_sparse:
        found[at.CALL_GROUP_BY_FEATURE] = address(
            group_by_feature, INTEGERS, *SPARSE_ROWS, INTEGERS, *[i] * 5
        )
        found[at.CALL_SUM_BLOCK] = address(sum_block, vector, LAYERS, matrix, INTEGERS, *[i] * 6)
    return found


def _activation_addresses(activation, dtype):
    if activation == Activation.IDENTITY:
        return 0
    return address(activation_kernel(activation), _vector(dtype), INTEGER, INTEGER)


def with_prediction_kernels(layout, plan):
    """The layer table and settings of a layout, with the addresses that predictions need.

    Parameters
    ----------
    layout : Layout
    plan : TrainingPlan

    Returns
    -------
    layers, settings : ndarrays
        Copies: addresses are those of this process.
    """
    dtype, i = plan.dtype, INTEGER
    layers, settings = layout.layers.copy(), layout.settings.copy()
    for number, found in _forward_addresses(dtype, bool(settings[at.IS_SPARSE])).items():
        settings[number] = found
    for layer, activation in zip(layers[:-1], plan.activations, strict=True):
        layer[at.CALL_ACTIVATE] = _activation_addresses(activation, dtype)
    output = output_kernel(OUTPUT_ACTIVATIONS[plan.loss])
    if output is not None:
        settings[at.CALL_OUTPUT] = address(output, _vector(dtype), i, i, i, i)
    return layers, settings


def with_training_kernels(layout, plan):
    """The same with all addresses that training needs.

    A custom loss is compiled, if it was not lately; its code has to be kept alive by the caller
    (see :func:`fastmlp.engines.cpu.custom_loss.compile_custom`).
    """
    dtype, vector, i = plan.dtype, _vector(plan.dtype), INTEGER
    layers, settings = with_prediction_kernels(layout, plan)
    for number, found in _training_addresses(dtype, bool(settings[at.IS_SPARSE])).items():
        settings[number] = found
    context = vector, LAYERS, INTEGERS
    kept = 0
    for layer, activation, dropout in zip(
        layers[:-1], plan.activations, plan.dropouts, strict=True
    ):
        if keeps_derivatives(activation, dropout):
            layer[at.CALL_KEEP] = address(keeping_kernel(activation), vector, i, i, i)
            kept = kept or address(multiply_by_kept, vector, i, i, i)
            layer[at.CALL_DERIVATIVE] = kept
        elif activation != Activation.IDENTITY:
            layer[at.CALL_DERIVATIVE] = address(derivative_kernel(activation), vector, i, i, i)
        if dropout > 0:
            layer[at.CALL_DROP] = address(drop_units, vector, *[i] * 10)
    if plan.loss == Loss.CUSTOM:
        losses = compile_custom(plan.custom_loss).kernel
    else:
        losses = loss_kernel(plan.loss)
    settings[at.CALL_LOSSES] = address(losses, vector, INTEGERS, *[i] * 5, DOUBLES, i)
    settings[at.CLEARS_PADDING] = clears_padding(plan.loss)
    settings[at.CALL_APPLY] = address(update_kernel(plan.optimizer), vector, INTEGERS, *[i] * 6)
    if plan.needs_gradient:
        settings[at.CALL_SHAPE] = address(shape_gradient, vector, *[i] * 6, DOUBLES, i)
    if plan.weight_decay > 0:
        settings[at.CALL_DECAY] = address(scale, vector, i, i, i)
    if settings[at.GRADIENTS] >= 0:
        settings[at.CALL_FINISH_UPDATE] = address(finish_update, *context, DOUBLES, i, i, i)
    if settings[at.LIMITS_COLUMNS]:
        settings[at.CALL_LIMIT] = address(limit_norms, *context, i, i, i)
    return layers, settings
