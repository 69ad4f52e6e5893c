"""Fitted models to and from scikit-learn's own classes."""

import copy

import sklearn.neural_network

from . import estimators

_KEPT = (
    "classes_", "loss_", "best_loss_", "loss_curve_", "validation_scores_",
    "best_validation_score_", "t_", "n_features_in_", "feature_names_in_", "n_iter_", "n_layers_",
    "n_outputs_", "out_activation_", "_label_binarizer", "_no_improvement_count", "_random_state",
    "coefs_", "intercepts_", "_best_coefs", "_best_intercepts", "_metadata_request",
)  # fmt: skip
_RECORDS = {
    "loss_curve_": [], "best_loss_": None, "validation_scores_": None, "_no_improvement_count": 0,
    "best_validation_score_": None, "_best_coefs": None, "_best_intercepts": None,
}  # fmt: skip


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
            converted = _convert(model, getattr(estimators, name))
            if hasattr(model, "coefs_"):
                # Records that scikit-learn's lbfgs does not keep.
                for name, empty in _RECORDS.items():
                    if not hasattr(converted, name):
                        setattr(converted, name, copy.copy(empty))
            return converted
    raise TypeError(
        "from_sklearn takes scikit-learn's MLPClassifier or MLPRegressor, "
        f"got {type(model).__module__}.{type(model).__qualname__}"
    )


def to_sklearn(model):
    """The inverse of :func:`from_sklearn`; what the estimators' ``to_sklearn`` returns."""
    is_classifier = isinstance(model, estimators.MLPClassifier)
    name = "MLPClassifier" if is_classifier else "MLPRegressor"
    return _convert(model, getattr(sklearn.neural_network, name))


def _convert(model, cls):
    wanted = cls().get_params()
    params = {k: v for k, v in model.get_params().items() if k in wanted}
    converted = cls(**copy.deepcopy(params))
    for name in _KEPT:
        if name in vars(model):
            setattr(converted, name, copy.deepcopy(vars(model)[name]))
    return converted
