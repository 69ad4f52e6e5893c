"""What input gradients are gradients of, in the words of the kernels of both devices.

This module imports no compiler.
"""

from collections.abc import Sequence

import numpy as np

from ..network.plan import OUTPUT_ACTIVATIONS, TrainingPlan

# Instead of the number of an output: that of the class that a row predicts.
PREDICTED = -1
# The class that the only output is not the probability of.
FIRST_OF_TWO = -1
# What is differentiated: the pre-activation itself, or an activation whose derivative is itself
# (the exponential), p (1 - p) (the logistic function), or that of a softmax.
OF_PREACTIVATION, OF_OUTPUT, OF_LOGISTIC, OF_SOFTMAX = range(4)

_RULES = {
    "identity": OF_PREACTIVATION,
    "exp": OF_OUTPUT,
    "logistic": OF_LOGISTIC,
    "softmax": OF_SOFTMAX,
}


def rule_of(plan: TrainingPlan, of_preactivations: bool) -> int:
    """Return the code of the derivative of a network's outputs.

    Parameters
    ----------
    plan : TrainingPlan
    of_preactivations : bool
        Whether an output's pre-activation is differentiated instead of its activation.

    Returns
    -------
    int
    """
    return OF_PREACTIVATION if of_preactivations else _RULES[OUTPUT_ACTIVATIONS[plan.loss]]


def numbers_of(units: Sequence[int] | None) -> np.ndarray:
    """Return the numbers of the outputs to differentiate, as kernels read them.

    Parameters
    ----------
    units : sequence of int or None
        None stands for the output of the class that a row predicts.

    Returns
    -------
    ndarray of shape (n_units,), int64
    """
    return np.array([PREDICTED] if units is None else units, dtype=np.int64)
