"""Every private name of scikit-learn that this package uses, each once.

scikit-learn may move or change these in any release. Each is said to be needed for what; where it
is missing, either something stands in for it, or the import fails with a message that names the
versions that work. ``pyproject.toml`` bounds scikit-learn to the versions that were tested.
"""

import copy
import importlib
from inspect import signature
from typing import Any

import numpy as np
import sklearn
from sklearn.utils import check_array, check_consistent_length, column_or_1d


def _required(module: str, *names: str) -> list[Any]:
    """Import names that nothing can stand in for."""
    try:
        found = importlib.import_module(module)
        return [getattr(found, name) for name in names]
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"scikit-learn {sklearn.__version__} has no {module}.{', '.join(names)}, which fastmlp "
            "needs; install one that it was tested with: pip install 'scikit-learn>=1.9,<1.11'"
        ) from error


# The constraints of parameters, in scikit-learn's own table: errors have scikit-learn's words.
Interval, Options, StrOptions = _required(
    "sklearn.utils._param_validation", "Interval", "Options", "StrOptions"
)
InvalidParameterError, validate_parameter_constraints = _required(
    "sklearn.utils._param_validation", "InvalidParameterError", "validate_parameter_constraints"
)
# Whether a call of partial_fit is the first one; it also sets classes_.
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
        """Return targets as an array without missing values."""
        dtype = np.float64 if y_numeric else None
        y = check_array(y, ensure_2d=False, dtype=dtype, estimator=estimator, input_name="y")
        return y if multi_output else column_or_1d(y, warn=True)


try:
    from sklearn.utils.validation import _get_feature_names as get_feature_names
except ImportError:

    def get_feature_names(X: Any) -> np.ndarray | None:
        """Return the names of a data frame's columns, if all of them are text."""
        names = getattr(X, "columns", None)
        is_text = names is not None and all(isinstance(name, str) for name in names)
        return np.asarray(names, dtype=object) if is_text else None


# Where scikit-learn keeps an estimator's callbacks, and those of a fit that runs.
_CALLBACKS = "_skl_callbacks"
_OF_A_RUNNING_FIT = ("_callback_fit_ctx", "_skl_callbacks_to_teardown", "_parent_callback_ctx")


def has_callbacks(estimator: Any) -> bool:
    """Tell whether callbacks were set, by ``set_callbacks`` or by a meta-estimator."""
    return hasattr(estimator, _CALLBACKS)


def without_callbacks(estimator: Any) -> Any:
    """Return a shallow copy of an estimator that neither has callbacks nor takes part in a fit."""
    result = copy.copy(estimator)
    for name in (_CALLBACKS, *_OF_A_RUNNING_FIT):
        result.__dict__.pop(name, None)
    return result


def takes_sample_weight(scorer: Any) -> bool:
    """Tell whether a scorer, or the metric that it is made of, takes ``sample_weight``.

    Scorers of ``make_scorer`` keep their metric in ``_score_func``; without that attribute the
    scorer's own signature decides.
    """
    function = getattr(scorer, "_score_func", None) or getattr(scorer, "func", scorer)
    return "sample_weight" in signature(function).parameters
