"""All private names of scikit-learn that this package uses.

scikit-learn may move or change these in any release. A comment says what each is for. Where one is
missing, either a function here replaces it, or the import fails with a message that names the
versions that work. ``pyproject.toml`` limits scikit-learn to the versions that were tested.
"""

import copy
import importlib
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_consistent_length, column_or_1d

__all__ = [
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "begin_callbacks",
    "check_partial_fit_first_call",
    "check_sample_weight",
    "check_y",
    "constraints_of",
    "get_feature_names",
    "has_callbacks",
    "once_for_class",
    "parameter_defaults",
    "parameter_names",
    "takes_sample_weight",
    "validate_parameter_constraints",
    "validate_parameters",
    "without_callbacks",
    "without_running_fit",
]

_Result = TypeVar("_Result")


def _required(module: str, *names: str) -> list[Any]:
    """Import names that cannot be replaced.

    Raises
    ------
    ImportError
        When the installed scikit-learn does not have them.
    """
    try:
        found = importlib.import_module(module)
        return [getattr(found, name) for name in names]
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"scikit-learn {sklearn.__version__} has no {module}.{', '.join(names)}, which fastmlp "
            "needs; install one that it was tested with: pip install 'scikit-learn>=1.9,<1.10'"
        ) from error


# They describe the values that parameters may have, and raise scikit-learn's errors for others.
Interval, Options, StrOptions = _required(
    "sklearn.utils._param_validation", "Interval", "Options", "StrOptions"
)
InvalidParameterError, validate_parameter_constraints = _required(
    "sklearn.utils._param_validation", "InvalidParameterError", "validate_parameter_constraints"
)
# It tells whether a call of partial_fit is the first one, and sets classes_.
(check_partial_fit_first_call,) = _required(
    "sklearn.utils.multiclass", "_check_partial_fit_first_call"
)

try:
    from sklearn.utils.validation import _check_sample_weight as check_sample_weight
except ImportError:

    def check_sample_weight(sample_weight: Any, X: Any, *, dtype: Any = None) -> np.ndarray:
        """Return sample weights as a vector of floats, one for each row of X."""
        weight = column_or_1d(check_array(sample_weight, ensure_2d=False, dtype=dtype))
        check_consistent_length(weight, X)
        return weight


try:
    from sklearn.utils.validation import _check_y as check_y
except ImportError:

    def check_y(
        y: Any, multi_output: bool = False, y_numeric: bool = False, estimator: Any = None
    ) -> np.ndarray:
        """Return targets as an array, after a check that no value is missing."""
        dtype = np.float64 if y_numeric else None
        y = check_array(y, ensure_2d=False, dtype=dtype, estimator=estimator, input_name="y")
        return y if multi_output else column_or_1d(y, warn=True)


try:
    from sklearn.utils.validation import _get_feature_names as get_feature_names
except ImportError:

    def get_feature_names(X: Any) -> np.ndarray | None:
        """Return the names of a data frame's columns, or None where they are not all text."""
        names = getattr(X, "columns", None)
        is_text = names is not None and all(isinstance(name, str) for name in names)
        return np.asarray(names, dtype=object) if is_text else None


# The attributes with an estimator's callbacks, and those that it has while a fit runs.
_CALLBACKS = "_skl_callbacks"
_OF_ITS_OWN_FIT = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
_DURING_A_FIT = (*_OF_ITS_OWN_FIT, "_parent_callback_ctx")


def has_callbacks(estimator: Any) -> bool:
    """Tell whether ``set_callbacks`` or a meta-estimator has given an estimator callbacks."""
    return hasattr(estimator, _CALLBACKS)


def without_callbacks(estimator: Any) -> Any:
    """Return a shallow copy of an estimator, without callbacks and without the state of a fit."""
    result = copy.copy(estimator)
    for name in (_CALLBACKS, *_DURING_A_FIT):
        result.__dict__.pop(name, None)
    return result


def without_running_fit(state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an estimator without what only its own running fit needs.

    A meta-estimator's context is kept, which goes to other processes with the estimator.
    """
    return {k: v for k, v in state.items() if k not in _OF_ITS_OWN_FIT}


def takes_sample_weight(scorer: Any) -> bool:
    """Tell whether a scorer, or its metric, takes ``sample_weight``.

    A scorer that ``make_scorer`` made has its metric in ``_score_func``. A scorer without that
    attribute is asked itself.
    """
    function = getattr(scorer, "_score_func", None) or getattr(scorer, "func", scorer)
    return "sample_weight" in signature(function).parameters


def once_for_class(function: Callable[[type[Any]], _Result]) -> Callable[[type[Any]], _Result]:
    """Make a function of a class remember its results, as long as the classes live."""
    known: WeakKeyDictionary[type[Any], _Result] = WeakKeyDictionary()

    @wraps(function)
    def of_class(cls: type[Any]) -> _Result:
        result = known.get(cls)
        if result is None:
            result = known[cls] = function(cls)
        return result

    return of_class


# For each class the values that have met the constraints of its parameters, as tuples of the
# parameter's name, the value's type and the value.
_met: WeakKeyDictionary[type[Any], set[tuple[Any, ...]]] = WeakKeyDictionary()
_MOST_MET = 10_000
# Types whose values are equal only where they are the same.
_PLAIN = frozenset((bool, int, float, str, type(None)))


def validate_parameters(estimator: Any) -> None:
    """Raise scikit-learn's InvalidParameterError unless all parameters meet their constraints.

    scikit-learn examines every parameter in every fit, which takes longer than some epochs. Here a
    plain value that has met the constraints once is known from then on.
    """
    cls = type(estimator)
    if cls._validate_params is not BaseEstimator._validate_params:
        estimator._validate_params()
        return
    met = _met.setdefault(cls, set())
    values = {name: getattr(estimator, name) for name in parameter_names(cls)}
    new = {
        name: value
        for name, value in values.items()
        if type(value) not in _PLAIN or (name, type(value), value) not in met
    }
    if not new:
        return
    validate_parameter_constraints(constraints_of(cls), new, caller_name=cls.__name__)
    if len(met) > _MOST_MET:
        met.clear()
    met.update((n, type(value), value) for n, value in new.items() if type(value) in _PLAIN)


@once_for_class
def parameter_names(cls: type[Any]) -> tuple[str, ...]:
    """Return the names of an estimator class's parameters, in alphabetical order.

    scikit-learn examines the signature of the constructor in each ``get_params``, and so several
    times in each clone.
    """
    return tuple(BaseEstimator._get_param_names.__func__(cls))


@once_for_class
def parameter_defaults(cls: type[Any]) -> dict[str, Any]:
    """Return the default of each parameter of an estimator class; it must not be changed."""
    return {name: parameter.default for name, parameter in signature(cls).parameters.items()}


def constraints_of(cls: type[Any]) -> dict[str, list[Any]]:
    """Return the constraints of an estimator class's parameters, of scikit-learn's or ours."""
    return cls._parameter_constraints


def begin_callbacks(estimator: Any, n_tasks: int) -> Any:
    """Begin a fit for the callbacks of scikit-learn's protocol.

    Parameters
    ----------
    estimator : estimator with ``CallbackSupportMixin``
    n_tasks : int
        The largest number of epochs.

    Returns
    -------
    sklearn.callback.CallbackContext
        The context of the root task.
    """
    return estimator._init_callback_context(max_subtasks=n_tasks)
