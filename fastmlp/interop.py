"""Fitted models to and from scikit-learn's own classes."""

import sklearn.neural_network

from . import estimators

_FITTED = (
    "classes_", "loss_", "best_loss_", "loss_curve_", "validation_scores_",
    "best_validation_score_", "t_", "n_features_in_", "feature_names_in_", "n_iter_", "n_layers_",
    "n_outputs_", "out_activation_", "_label_binarizer", "_no_improvement_count", "_random_state",
)  # fmt: skip
_ARRAYS = ("coefs_", "intercepts_", "_best_coefs", "_best_intercepts")


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
    for name in ("MLPClassifier", "MLPRegressor"):
        if type(model) is getattr(sklearn.neural_network, name):
            return _convert(model, getattr(estimators, name))
    raise TypeError(
        "from_sklearn takes scikit-learn's MLPClassifier or MLPRegressor, "
        f"got {type(model).__module__}.{type(model).__qualname__}"
    )


def to_sklearn(model):
    """The inverse of :func:`from_sklearn`; what the estimators' ``to_sklearn`` returns."""
    return _convert(model, getattr(sklearn.neural_network, type(model).__name__))


def _convert(model, cls):
    wanted = cls().get_params()
    converted = cls(**{k: v for k, v in model.get_params().items() if k in wanted})
    fitted = vars(model)
    for name in _FITTED:
        if name in fitted:
            value = fitted[name]
            setattr(converted, name, value.copy() if isinstance(value, list) else value)
    for name in _ARRAYS:
        if fitted.get(name) is not None:
            setattr(converted, name, [array.copy() for array in fitted[name]])
    return converted
