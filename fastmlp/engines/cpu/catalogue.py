"""The names of all kernels of the CPU, and what each of them takes.

A kernel is a name and a dtype. The name has two parts where there is a kernel for each activation,
loss or optimiser, such as ``update.adam``. This module imports no compiler: a process that finds
the machine code of its kernels in files needs none.
"""

from collections.abc import Iterator

import numpy as np

from ...network.plan import OUTPUT_ACTIVATIONS, Activation, Loss, Optimizer, keeps_derivatives
from . import slots
from .slots import SIGNATURES, Argument, Kind

# The slots of the kernels that there is one of.
_SINGLE = {
    "multiply": slots.MULTIPLY,
    "forward": slots.FORWARD,
    "finish_rows": slots.FINISH_ROWS,
    "backward": slots.BACKWARD,
    "update_weights": slots.UPDATE_WEIGHTS,
    "sum_gradient": slots.SUM_GRADIENT,
    "sum_group": slots.SUM_GROUP,
    "transpose_block": slots.TRANSPOSE_BLOCK,
    "shape_gradient": slots.SHAPE_GRADIENT,
    "scale": slots.DECAY_WEIGHTS,
    "finish_update": slots.FINISH_UPDATE,
    "limit_norms": slots.LIMIT_NORMS,
    "multiply_rows": slots.MULTIPLY_ROWS,
    "group_by_feature": slots.GROUP_BY_FEATURE,
    "sum_block": slots.SUM_BLOCK,
    "multiply_by_kept": slots.MULTIPLY_BY_DERIVATIVE,
    "drop_units": slots.DROP_UNITS,
}
# The slots of the kernels that there is one of for each activation, loss or optimiser.
_FAMILIES = {
    "activate": slots.ACTIVATE,
    "activate_and_keep": slots.ACTIVATE_AND_KEEP,
    "multiply_by_derivative": slots.MULTIPLY_BY_DERIVATIVE,
    "activate_output": slots.ACTIVATE_OUTPUT,
    "losses_and_deltas": slots.LOSSES,
    "update": slots.UPDATE,
}
# What Python calls: ``(number, n_threads, barrier, arena, job)`` and ``(job,)``.
_ENTRY = (Kind.INTEGER, Kind.INTEGER, Kind.TO_INTEGERS, Kind.TO_REALS, Kind.TO_INTEGERS)
_ENTRIES = "train", "predict", "differentiate"
_CALLED = {**dict.fromkeys(_ENTRIES, _ENTRY), "row_losses": (Kind.TO_INTEGERS,)}

#: The types of numbers that networks have.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def activation_name(family: str, activation: Activation) -> str:
    """Return the name of one activation's kernel of a family, such as ``activate.relu``."""
    return member(family, Activation(activation).name)


def loss_name(family: str, loss: Loss) -> str:
    """Return the name of one loss's kernel of a family, such as ``row_losses.huber``."""
    return member(family, Loss(loss).name)


def update_name(optimizer: Optimizer) -> str:
    """Return the name of the kernel that changes parameters, such as ``update.adam``."""
    return member("update", Optimizer(optimizer).name)


def output_name(loss: Loss) -> str | None:
    """Return the name of the kernel of a loss's output activation; None for the identity."""
    activation = OUTPUT_ACTIVATIONS[loss]
    return None if activation == "identity" else member("activate_output", activation)


def member(family: str, choice: str) -> str:
    """Return the name of the kernel of a family for one choice."""
    return f"{family}.{choice.lower()}"


def signature(name: str) -> tuple[Argument, ...]:
    """Return the arguments that a kernel takes.

    Parameters
    ----------
    name : str

    Returns
    -------
    tuple of Argument

    Raises
    ------
    KeyError
        When no kernel has this name.
    """
    family, _, choice = name.partition(".")
    if family in _CALLED:
        return _CALLED[family]
    return SIGNATURES[(_FAMILIES if choice else _SINGLE)[family]]


def _all_names() -> Iterator[str]:
    yield from _SINGLE
    for activation in Activation:
        if activation != Activation.IDENTITY:
            yield activation_name("activate", activation)
            if not keeps_derivatives(activation, 0.0):
                yield activation_name("multiply_by_derivative", activation)
        if activation.is_trainable:  # only training keeps derivatives that follow from values
            yield activation_name("activate_and_keep", activation)
    yield from sorted({name for loss in Loss if (name := output_name(loss)) is not None})
    for loss in Loss:
        if loss != Loss.CUSTOM:
            yield loss_name("losses_and_deltas", loss)
    for optimizer in Optimizer:
        yield update_name(optimizer)
    yield from _ENTRIES


#: The names of all kernels that are compiled for a network's dtype.
NAMES = tuple(_all_names())
#: The names of the kernels that are compiled for float64 alone.
DOUBLE_NAMES = tuple(loss_name("row_losses", loss) for loss in Loss if loss != Loss.CUSTOM)


def names_of(dtype: np.dtype) -> tuple[str, ...]:
    """Return the names of all kernels that there are for a dtype."""
    return (*NAMES, *DOUBLE_NAMES) if dtype == np.float64 else NAMES
