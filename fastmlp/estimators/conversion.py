"""Fitted models to and from scikit-learn's own classes."""

import copy

import numpy as np
import sklearn.neural_network
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from .classifier import MLPClassifier
from .regressor import MLPRegressor

_KEPT = (
    "classes_", "loss_", "best_loss_", "loss_curve_", "validation_scores_",
    "best_validation_score_", "t_", "n_features_in_", "feature_names_in_", "n_iter_", "n_layers_",
    "n_outputs_", "out_activation_", "_label_binarizer", "_no_improvement_count", "_random_state",
    "coefs_", "intercepts_", "_best_coefs", "_best_intercepts", "_metadata_request",
)  # fmt: skip


_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")


def from_sklearn(model):
    """The estimator of this package for one of scikit-learn's, fitted if that is.

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
            converted = _with_parameters(model, cls)
            if hasattr(model, "coefs_"):
                converted._begin_records()  # scikit-learn's lbfgs keeps none
                losses = getattr(model, "loss_curve_", [])
                unknown = [None] * len(losses)
                converted.history_ = {
                    "loss": list(losses), "learning_rate": unknown, "seconds": list(unknown),
                }  # fmt: skip
            return _with_fit(model, converted)
    raise TypeError(
        "from_sklearn takes scikit-learn's MLPClassifier or MLPRegressor, "
        f"got {type(model).__module__}.{type(model).__qualname__}"
    )


def to_sklearn(model):
    """The inverse of :func:`from_sklearn`; what the estimators' ``to_sklearn`` returns."""
    _check_predicts_alike(model)
    is_classifier = isinstance(model, MLPClassifier)
    name = "MLPClassifier" if is_classifier else "MLPRegressor"
    return _with_fit(model, _with_parameters(model, getattr(sklearn.neural_network, name)))


def _check_predicts_alike(model):
    """Raise ValueError where scikit-learn's classes would predict otherwise."""
    if not isinstance(model.activation, str) or model.activation not in _ACTIVATIONS:
        raise ValueError(
            f"scikit-learn has no activation={model.activation!r}; export the model with to_onnx"
        )
    if getattr(model, "loss", "") == "quantile" and np.size(model.quantiles) > 1:
        raise ValueError(
            "scikit-learn does not sort the predictions of several quantiles; export the model "
            "with to_onnx"
        )


def _with_parameters(model, cls):
    """A new estimator of a class, with the parameters that it shares with a model.

    Those with a value that the class does not know stay at their defaults.
    """
    converted = cls()
    for name, value in model.get_params().items():
        if name in converted.get_params():
            try:
                validate_parameter_constraints(
                    {name: cls._parameter_constraints[name]}, {name: value}, cls.__name__
                )
            except InvalidParameterError:
                continue
            setattr(converted, name, copy.deepcopy(value))
    return converted


def _with_fit(model, converted):
    """The new estimator with copies of what the model has learned."""
    for name in _KEPT:
        if name in vars(model):
            setattr(converted, name, copy.deepcopy(vars(model)[name]))
    return converted
