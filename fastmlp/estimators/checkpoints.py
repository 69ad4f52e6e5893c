"""What tells one fit from another, so that a checkpoint is used by the one it belongs to."""

from collections.abc import Iterable
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..engines.engine import SomeRows
from ..exceptions import InputError
from ..training.checkpoint import Fingerprint, TrainingState
from .holdout import Rows, TrainedRows

# Parameters that do not change the result, or do not hinder a fit to go on.
_FREE = {"n_jobs", "verbose", "device", "diagnose", "time_limit"}
_LONGEST = 100
_BYTES_AT_A_TIME = 2**24


def fingerprint(
    estimator: Any, trained: TrainedRows, held: Rows | None, first_pass: bool
) -> Fingerprint:
    """Describe the fit of a network.

    Parameters
    ----------
    estimator : BaseMLP
    trained : TrainedRows
    held : Rows or None
        The rows of an ``eval_set``.
    first_pass : bool
        Whether the fit begins with new weights.

    Returns
    -------
    dict of str to str
    """
    found = parameters_of(estimator)
    rows = trained.rows
    found |= _of_array("X", rows.X) | _of_array("y", rows.y)
    if rows.given_weight is not None:
        found |= _of_array("sample_weight", rows.given_weight)
    if held is not None:
        found |= _of_array("X of eval_set", held.X) | _of_array("y of eval_set", held.y)
    if not first_pass:
        start = digest([*estimator.coefs_, *estimator.intercepts_])
        found["the digest of the weights at the start"] = start
    return found


def parameters_of(estimator: Any) -> Fingerprint:
    """Describe the class and the parameters of an estimator, as far as results depend on them."""
    parameters = estimator.get_params(deep=False)
    return {"the estimator": type(estimator).__name__} | {
        f"`{name}`": _described(value) for name, value in parameters.items() if name not in _FREE
    }


def _described(value: Any) -> str:
    """Describe the value of a parameter, in the same words for equal values."""
    if isinstance(value, np.random.RandomState):
        return "a RandomState"
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        text = f"({', '.join(map(_described, value))})"
    elif isinstance(function := getattr(value, "py_func", value), FunctionType):
        text = f"the function {function.__qualname__} ({_digest_of_function(function)})"
    elif " at 0x" in (text := repr(value)):  # an address, which another process does not have
        text = f"the {getattr(value, '__qualname__', type(value).__qualname__)}"
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... ({blake2b(text.encode(), digest_size=8).hexdigest()})"


def _digest_of_function(function: FunctionType) -> str:
    """Return what tells a function from others of the same name: its code and what it encloses."""
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    enclosed = [v for v in (*(function.__defaults__ or ()), *cells) if not callable(v)]
    content = repr([_content_of(function.__code__), [_described(v) for v in enclosed]])
    return blake2b(content.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def _content_of(constant: Any) -> Any:
    """Describe a constant of compiled Python, such as the code of a function inside another one."""
    if isinstance(constant, CodeType):
        constants = [_content_of(part) for part in constant.co_consts]
        return [constant.co_code.hex(), constant.co_names, constants]
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)


def _of_array(name: str, array: Any) -> Fingerprint:
    dtype = array.X.dtype if isinstance(array, SomeRows) else array.dtype
    if isinstance(array, SomeRows):  # rows of X, which is described by itself
        parts = [array.numbers]
    elif issparse(array):
        parts = [array.data, array.indices, array.indptr]
    else:
        parts = [array]
    return {
        f"the shape of {name}": str(tuple(map(int, array.shape))),
        f"the type of {name}": str(dtype),
        f"the digest of {name}": digest(parts),
    }


def digest(arrays: Iterable[Any]) -> str:
    """Return a number in hexadecimal digits that tells arrays from others.

    Arrays on a GPU are passed over.
    """
    total = blake2b(digest_size=8)
    for array in arrays:
        if not isinstance(array, np.ndarray):
            continue
        if array.dtype.hasobject:
            total.update(repr(array.tolist()).encode("utf-8", "backslashreplace"))
            continue
        step = max(1, _BYTES_AT_A_TIME * len(array) // max(1, array.nbytes))
        for first in range(0, len(array), step):
            total.update(np.ascontiguousarray(array[first : first + step]).view(np.uint8).data)
    return total.hexdigest()


def check_fits(state: TrainingState, n_parameters: int, order: np.ndarray) -> None:
    """Raise InputError unless training with so many parameters and these rows can go on with it.

    Parameters
    ----------
    state : TrainingState
        It was read from a file.
    n_parameters : int
    order : ndarray of shape (n_trained,), int64
        The rows to train on.
    """
    vectors = state.theta, state.first, state.second, state.best_theta, state.mean
    fits = all(vector is None or vector.size == n_parameters for vector in vectors)
    if state.order is not None:
        fits = fits and np.array_equal(np.sort(state.order), np.sort(order))
    if not fits:
        raise InputError("the checkpoint is damaged: its weights or rows are not those of this fit")
