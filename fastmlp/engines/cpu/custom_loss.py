"""Losses given as two functions of target and prediction, compiled when a network needs them."""

from functools import lru_cache
from typing import NamedTuple

from numba import types

from .._numba import Dispatcher, NumbaError
from ..custom_functions import NAMES, frozen
from .jit import compile_inline
from .outputs import elementwise_kernel

MOST_KEPT = 16


class CustomLoss(NamedTuple):
    """What is compiled of a custom loss."""

    kernel: Dispatcher
    """As :func:`fastmlp.engines.cpu.outputs.loss_kernel` makes them."""
    value: Dispatcher
    """The loss as a function of target and prediction, to be called by kernels."""


def compile_custom(functions):
    """Compile a custom loss, or find it where it was compiled lately.

    Parameters
    ----------
    functions : tuple of functions
        Value and derivative.

    Returns
    -------
    CustomLoss
        Its machine code lives as long as this.

    Raises
    ------
    ValueError
        Where a function is none that numba can compile, can raise, or returns no number.
    """
    return _compile_frozen(frozen(functions))


@lru_cache(maxsize=MOST_KEPT)
def _compile_frozen(functions):
    value, derivative = (_compile(name, f) for name, f in zip(NAMES, functions, strict=True))
    # The cache on disk knows kernels by their names, and these functions may be any.
    return CustomLoss(
        elementwise_kernel(value, derivative, "custom", is_cached=False),
        value,
    )


def _compile(name, function):
    compiled = compile_inline(function)
    try:
        compiled.compile((types.float64, types.float64))
    except (NumbaError, TypeError) as error:
        reason = " ".join(str(error).split("During:")[0].split())
        raise ValueError(
            f"the {name} function of the custom loss cannot be compiled by numba, as a function "
            f"of two numbers, target and prediction: {reason}"
        ) from error
    (result,) = compiled.nopython_signatures
    if not isinstance(result.return_type, types.Integer | types.Float | types.Boolean):
        raise ValueError(
            f"the {name} function of the custom loss must return a number, not {result.return_type}"
        )
    return compiled
