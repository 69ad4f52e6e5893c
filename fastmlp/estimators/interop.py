"""from_sklearn, which converts scikit-learn's estimators to those of this package."""

from typing import Any

import sklearn.neural_network

from . import conversion, records
from .classifier import MLPClassifier
from .regressor import MLPRegressor


def from_sklearn(model: Any) -> MLPClassifier | MLPRegressor:
    """Convert an estimator of scikit-learn to one of this package, which is fitted if that is.

    Predictions are equal, and ``fit`` with ``warm_start`` continues from the same weights. The
    memory of the optimiser is not copied, so that ``partial_fit`` begins with a new one.

    Parameters
    ----------
    model : sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor

    Returns
    -------
    MLPClassifier or MLPRegressor

    Raises
    ------
    TypeError
        When the model is of another class.
    """
    for cls in (MLPClassifier, MLPRegressor):
        if type(model) is getattr(sklearn.neural_network, cls.__name__):
            converted = conversion.with_parameters(model, cls)
            if hasattr(model, "coefs_"):
                records.begin(converted)  # scikit-learn's lbfgs leaves some attributes out
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
