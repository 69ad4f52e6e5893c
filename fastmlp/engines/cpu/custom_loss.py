"""Losses given as two functions of target and prediction, compiled when a network needs them."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from numba import types

from ...network.plan import LossFunctions
from .._numba import Dispatcher, NumbaError
from ..custom_functions import MOST_KEPT, NAMES
from .jit import compile_inline
from .outputs import elementwise_kernel


class CustomLoss(NamedTuple):
    """The compiled functions of a custom loss."""

    kernel: Dispatcher
    """The kernel of the slot LOSSES; see :func:`fastmlp.engines.cpu.outputs.loss_kernel`."""
    value: Dispatcher
    """The loss as a function of target and prediction, which kernels can call."""


@lru_cache(maxsize=MOST_KEPT)
def compile_custom(functions: LossFunctions) -> CustomLoss:
    """Compile a custom loss, or return the result of an earlier call.

    Parameters
    ----------
    functions : tuple of functions
        Value and derivative, as :func:`fastmlp.engines.custom_functions.frozen` returns them.

    Returns
    -------
    CustomLoss
        Its machine code is freed together with it.

    Raises
    ------
    ValueError
        When numba cannot compile a function, or one does not return a number.
    """
    value, derivative = (_compile(name, f) for name, f in zip(NAMES, functions, strict=True))
    # The cache on disk tells kernels apart by their names, and custom losses have the same name.
    return CustomLoss(
        elementwise_kernel(value, derivative, "custom", is_cached=False),
        value,
    )


def _compile(name: str, function: Callable[..., Any]) -> Dispatcher:
    """Compile one function of a custom loss, and check what it returns.

    Parameters
    ----------
    name : {'value', 'derivative'}
        What the function computes, for messages.
    function : function

    Returns
    -------
    numba dispatcher

    Raises
    ------
    ValueError
        When numba cannot compile the function, or it does not return a number.
    """
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
