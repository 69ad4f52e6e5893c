"""Estimators of scikit-learn's own classes as ours."""

from typing import Any

import sklearn.neural_network

from . import conversion, records
from .classifier import MLPClassifier
from .regressor import MLPRegressor


def from_sklearn(model: Any) -> MLPClassifier | MLPRegressor:
    """Return the estimator of this package for one of scikit-learn's, fitted if that is.

    Predictions are equal, and ``fit`` with ``warm_start`` goes on from the same weights. The
    memory of the optimiser is not carried over: ``partial_fit`` begins with a fresh one.

    Parameters
    ----------
    model : sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor

    Returns
    -------
    MLPClassifier or MLPRegressor

    Raises
    ------
    TypeError
        For anything else.
    """
    for cls in (MLPClassifier, MLPRegressor):
        if type(model) is getattr(sklearn.neural_network, cls.__name__):
            converted = conversion.with_parameters(model, cls)
            if hasattr(model, "coefs_"):
                records.begin(converted)  # scikit-learn's lbfgs keeps no record
                losses = list(getattr(model, "loss_curve_", []))
                converted.history_ = {
                    "loss": losses,
                    "learning_rate": [None] * len(losses),
                    "seconds": [None] * len(losses),
                }
            conversion.copy_what_was_learned(model, converted)
            return converted
    raise TypeError(
        "from_sklearn takes scikit-learn's MLPClassifier or MLPRegressor, "
        f"got {type(model).__module__}.{type(model).__qualname__}"
    )
