"""check_gradient: every activation with every loss, and that it can find a mistake."""

import numpy as np
import pytest

from fastmlp import MLPClassifier, MLPRegressor, check_gradient
from fastmlp.estimators import gradient_check


def problem(target):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(25, 6))
    y = {
        "binary": lambda: rng.randint(0, 2, 25),
        "multiclass": lambda: np.arange(25) % 4,
        "multilabel": lambda: rng.randint(0, 2, (25, 3)),
        "squared_error": lambda: rng.normal(size=25),
        "squared_errors": lambda: rng.normal(size=(25, 3)),
        "poisson": lambda: rng.poisson(2, 25),
    }[target]()
    return X, y


def estimator(target, activation):
    params = {"hidden_layer_sizes": (7, 5), "activation": activation, "alpha": 0.5}
    if target in ("binary", "multiclass", "multilabel"):
        return MLPClassifier(**params, random_state=0)
    return MLPRegressor(target.removesuffix("s"), **params, random_state=0)


TARGETS = ["binary", "multiclass", "multilabel", "squared_error", "squared_errors", "poisson"]


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("target", TARGETS)
def test_backpropagation(target, activation):
    assert check_gradient(estimator(target, activation), *problem(target)) < 1e-6


def test_sample_weight():
    X, y = problem("multiclass")
    weight = np.random.RandomState(1).uniform(0, 3, len(X))
    assert check_gradient(estimator("multiclass", "tanh"), X, y, weight) < 1e-6


def test_fitted_estimator_is_checked_at_its_weights_and_not_changed():
    X, y = problem("squared_error")
    model = estimator("squared_error", "tanh")
    with pytest.warns(match="Maximum iterations"):
        model.set_params(max_iter=3).fit(X, y)
    before = [w.copy() for w in model.coefs_]
    assert check_gradient(model, X, y) < 1e-6
    for w, old in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(w, old)


def test_estimator_that_was_not_fitted_stays_so():
    model = estimator("multiclass", "relu")
    check_gradient(model, *problem("multiclass"))
    assert not hasattr(model, "coefs_") and not hasattr(model, "classes_")


def test_wrong_gradient_is_found(monkeypatch):
    right = gradient_check.analytic_gradient

    def wrong(*args):
        gradient = right(*args)
        gradient[3] *= 1.001
        return gradient

    monkeypatch.setattr(gradient_check, "analytic_gradient", wrong)
    assert check_gradient(estimator("multiclass", "tanh"), *problem("multiclass")) > 1e-6


def test_other_estimators_are_refused():
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(TypeError, match="MLPRegressor, got LogisticRegression"):
        check_gradient(LogisticRegression(), *problem("multiclass"))
