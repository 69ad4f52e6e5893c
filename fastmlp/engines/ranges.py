"""Checks that the type of a network can hold what it is given, which conversions do not tell."""

from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..network.plan import TrainingPlan
from .engine import Data


def check_ranges(plan: TrainingPlan, data: Data) -> None:
    """Raise ValueError where a plan's dtype cannot hold the data of a fit.

    Parameters
    ----------
    plan : TrainingPlan
    data : Data

    Raises
    ------
    ValueError
        The message names what is too large or too small.
    """
    check_range("X", data.X, plan.dtype)
    check_range("y", data.Y, plan.dtype)
    if data.sample_weight is not None:
        _check_weights(data.sample_weight, plan)


def check_range(name: str, values: Any, dtype: np.dtype) -> None:
    """Raise ValueError where a type cannot hold finite values of a matrix.

    Parameters
    ----------
    name : str
        What the message calls the matrix.
    values : ndarray, scipy.sparse matrix or DeviceMatrix
        Values that lie on a GPU are not looked at.
    dtype : numpy.dtype

    Raises
    ------
    ValueError
        The message has the largest absolute value.
    """
    if values.dtype.kind != "f" or values.dtype.itemsize <= dtype.itemsize:
        return
    if issparse(values):
        values = values.data
    elif not isinstance(values, np.ndarray):
        return
    largest = max(values.max(initial=0), -values.min(initial=0))
    if values.dtype.type(np.finfo(dtype).max) < largest < np.inf:
        number = np.format_float_scientific(largest, precision=3)
        raise _error(f"{name} has values up to {number}, beyond the range", dtype, f"scale {name}")


def _check_weights(weight: np.ndarray, plan: TrainingPlan) -> None:
    """Check that a mini-batch's sum of weights, and its inverse, exist in the plan's dtype."""
    limits, largest = np.finfo(plan.dtype), float(weight.max(initial=0))
    remedy = "divide all weights by their mean"
    with np.errstate(over="ignore"):
        most = np.sort(weight)[-plan.batch_size :].sum(dtype=np.float64)
    if most > float(limits.max):
        what = f"sample_weight has values up to {largest:g}, whose sum is beyond the range"
        raise _error(what, plan.dtype, remedy)
    if 0 < largest < float(limits.smallest_normal):
        what = f"sample_weight has values of {largest:g} and less, below the range"
        raise _error(what, plan.dtype, remedy)


def _error(what: str, dtype: np.dtype, remedy: str) -> ValueError:
    reason = ""
    if dtype == np.float32:
        reason = ", the type of a network that was fitted on float32"
        remedy += ", or fit on X of float64"
    return ValueError(f"{what} of {dtype}{reason}; {remedy}")
