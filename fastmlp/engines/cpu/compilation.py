"""The numba function of each kernel that the catalogue names, and its compilation."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype

from ...network.plan import Activation, Loss, Optimizer
from .._numba import Dispatcher, address_of, object_of
from .catalogue import signature
from .gemm import multiply
from .gradient_pass import differentiate
from .indirect_call import numba_type
from .kernels import predict, train
from .layers import (
    activation_kernel,
    derivative_kernel,
    drop_units,
    keeping_kernel,
    multiply_by_kept,
)
from .norm_limits import finish_update, limit_norms
from .optimizers import scale, shape_gradient, update_kernel
from .outputs import loss_kernel, output_kernel
from .row_loss_kernels import row_loss_kernel
from .row_pass import backward, finish_rows, forward
from .sparse import group_by_feature, multiply_rows, sum_block
from .weight_pass import (
    sum_gradient,
    sum_group,
    transpose_block,
    update_weights,
)

_SINGLE = {
    "multiply": multiply,
    "forward": forward,
    "finish_rows": finish_rows,
    "backward": backward,
    "update_weights": update_weights,
    "sum_gradient": sum_gradient,
    "sum_group": sum_group,
    "transpose_block": transpose_block,
    "shape_gradient": shape_gradient,
    "scale": scale,
    "finish_update": finish_update,
    "limit_norms": limit_norms,
    "multiply_rows": multiply_rows,
    "group_by_feature": group_by_feature,
    "sum_block": sum_block,
    "multiply_by_kept": multiply_by_kept,
    "drop_units": drop_units,
    "train": train,
    "predict": predict,
    "differentiate": differentiate,
}
_FAMILIES: dict[str, Callable[[str], Dispatcher]] = {
    "activate": lambda choice: activation_kernel(Activation[choice.upper()]),
    "activate_and_keep": lambda choice: keeping_kernel(Activation[choice.upper()]),
    "multiply_by_derivative": lambda choice: derivative_kernel(Activation[choice.upper()]),
    "activate_output": output_kernel,
    "losses_and_deltas": lambda choice: loss_kernel(Loss[choice.upper()]),
    "update": lambda choice: update_kernel(Optimizer[choice.upper()]),
    "row_losses": lambda choice: row_loss_kernel(Loss[choice.upper()]),
}


class Compiled(NamedTuple):
    """A kernel that was compiled in this process."""

    address: int
    """Where its machine code is."""
    code: bytes
    """An object file with the machine code; empty where numba does not give it."""
    symbol: str
    """The name of the kernel in the object file."""


@cache
def kernel(name: str) -> Dispatcher:
    """Return the numba function of a kernel.

    Parameters
    ----------
    name : str
        A name of :mod:`fastmlp.engines.cpu.catalogue`.

    Returns
    -------
    numba dispatcher
    """
    family, _, choice = name.partition(".")
    return _FAMILIES[family](choice) if choice else _SINGLE[family]


def types_of(name: str, dtype: np.dtype) -> tuple[Any, ...]:
    """Return the numba types of a kernel's arguments."""
    return tuple(numba_type(kind, from_dtype(dtype)) for kind in signature(name))


def compile_named(name: str, dtype: np.dtype) -> Compiled:
    """Compile a kernel.

    Parameters
    ----------
    name : str
        A name of :mod:`fastmlp.engines.cpu.catalogue`.
    dtype : numpy.dtype
        The type of the network's numbers.

    Returns
    -------
    Compiled
        Its address can be used as long as the process lives.
    """
    found, types = kernel(name), types_of(name, dtype)
    address = address_of(found, types)
    return Compiled(address, *object_of(found, types))
