"""The functions of a custom loss on the device, where an exception becomes a NaN.

Threads of a kernel cannot end one by one, since the others would wait for them for ever.
"""

from math import nan

import numpy as np
from numba import float64, types

from ...network.plan import LossFunctions
from .._numba import result_on_device
from ..custom_functions import failure
from .jit import compile_device, number_like
from .specialization import remember
from .support import is_simulated, refusal

if is_simulated():

    def attempt(function, y, p):
        """Call a function; return whether it raised an exception, and its result otherwise."""
        try:
            return False, function(y, p)
        except Exception:  # whatever the user's function raises
            return True, nan

else:
    from numba.cuda.extending import intrinsic

    @intrinsic
    def attempt(typing_context, function, y, p):
        """Call a function; return whether it raised an exception, and its result otherwise."""
        called = function.get_call_type(typing_context, (y, p), {})
        returned = types.Tuple((types.boolean, called.return_type))

        def codegen(context, builder, signature, values):
            is_error, result = result_on_device(
                context, builder, function.dispatcher, called, [values[1], values[2]]
            )
            return context.make_tuple(builder, returned, [is_error, result])

        return returned(function, y, p), codegen


@compile_device
def number_or_nan(function, y, p, like):
    """Call a function of a custom loss.

    Parameters
    ----------
    function : device function
    y, p : float
        Target and prediction.
    like : float
        A number of the type of the result.

    Returns
    -------
    float
        NaN where the function raises an exception.
    """
    is_error, result = attempt(function, y, p)
    if is_error:
        return number_like(nan, like)
    return number_like(result, like)


def check_row_losses(
    functions: LossFunctions, Y: np.ndarray, outputs: np.ndarray, result: np.ndarray
) -> None:
    """Raise an error where the loss of a row is NaN because the value raised an exception.

    Parameters
    ----------
    functions : tuple of functions
    Y, outputs : ndarray of shape (n_rows, n_outputs)
        Targets and predictions.
    result : ndarray of shape (n_rows,)
        The loss of each row.

    Raises
    ------
    CustomLossError
    """
    for row in np.flatnonzero(np.isnan(result))[:1]:
        for y, p in zip(Y[row], outputs[row], strict=True):
            error = failure(functions, 0, y, p)
            if error.__cause__ is not None:
                raise error


def custom_functions(value, derivative):
    """Compile the functions of a custom loss for the device.

    Parameters
    ----------
    value, derivative : function
        Functions of target and prediction.

    Returns
    -------
    tuple of device functions

    Raises
    ------
    DeviceError
        When numba cannot compile one of them, or it does not return a number.
    """
    return remember((value, derivative), _compile_both, value, derivative)


def _compile_both(value, derivative):
    """Compile the value and the derivative of a custom loss."""
    return _compiled("value", value), _compiled("derivative", derivative)


def _compiled(name, function):
    """Compile one of the functions; `name` stands in messages."""
    function = getattr(function, "py_func", function)
    if is_simulated():
        return compile_device(function)
    what = f"the {name} function of the custom loss"
    try:
        compiled = compile_device(function)
        result = compiled.compile_device((float64, float64)).signature.return_type
    except Exception as error:  # numba raises errors of many kinds
        reason = " ".join(str(error).split("During:")[0].split())
        raise refusal(
            f"{what} cannot be compiled for a GPU by numba, as a function of two numbers, target "
            f"and prediction: {reason}"
        ) from error
    if not isinstance(result, types.Number | types.Boolean):
        raise refusal(f"{what} must return a number, not {result}")
    return compiled
