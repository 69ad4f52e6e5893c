"""Conversion of fitted models to and from scikit-learn's own classes."""

import copy
from typing import Any

import sklearn.neural_network
from sklearn.base import is_classifier

from ._sklearn import InvalidParameterError, constraints_of, validate_parameter_constraints

# The attributes that fitted models of both packages may have.
_LEARNED = (
    "classes_", "loss_", "best_loss_", "loss_curve_", "validation_scores_",
    "best_validation_score_", "t_", "n_features_in_", "feature_names_in_", "n_iter_", "n_layers_",
    "n_outputs_", "out_activation_", "_label_binarizer", "_no_improvement_count", "_random_state",
    "coefs_", "intercepts_", "_best_coefs", "_best_intercepts", "_metadata_request",
)  # fmt: skip

_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")


def to_sklearn(model: Any) -> Any:
    """Convert an estimator of this package to scikit-learn's; see ``MLPClassifier.to_sklearn``.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor

    Returns
    -------
    sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor

    Raises
    ------
    ValueError
        When scikit-learn's class could not predict the same.
    """
    if not isinstance(model.activation, str) or model.activation not in _ACTIVATIONS:
        raise ValueError(
            f"scikit-learn has no activation={model.activation!r}; export the model with to_onnx"
        )
    if len(getattr(model, "_quantile_levels", ())) > 1:
        raise ValueError(
            "scikit-learn does not sort the predictions of several quantiles; export the model "
            "with to_onnx"
        )
    name = "MLPClassifier" if is_classifier(model) else "MLPRegressor"
    converted = with_parameters(model, getattr(sklearn.neural_network, name))
    copy_what_was_learned(model, converted)
    return converted


def with_parameters(model: Any, cls: type[Any]) -> Any:
    """Make an estimator of another class, with the parameters of a model.

    Parameters that the class does not have are left out. Those whose values it does not know get
    the defaults of the class.

    Parameters
    ----------
    model : estimator
    cls : class
        The class of the new estimator.

    Returns
    -------
    estimator
        It is not fitted.
    """
    converted = cls()
    constraints = constraints_of(cls)
    for name, value in model.get_params().items():
        if name in converted.get_params():
            try:
                validate_parameter_constraints(
                    {name: constraints[name]}, {name: value}, cls.__name__
                )
            except InvalidParameterError:
                continue
            setattr(converted, name, copy.deepcopy(value))
    return converted


def copy_what_was_learned(model: Any, converted: Any) -> None:
    """Copy the attributes that a model has learned to another estimator."""
    for name in _LEARNED:
        if name in vars(model):
            setattr(converted, name, copy.deepcopy(vars(model)[name]))
