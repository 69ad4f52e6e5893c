"""What options are for: each does to a fit what the textbook says."""

from functools import partial

import numpy as np
import pytest
from helpers import fit_quietly, flat
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import d2_tweedie_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engines import devices
from fastmlp.estimators import planning
from fastmlp.network import inspection, weights


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


@pytest.mark.parametrize("solver", ["lbfgs", "gd", "nadam"])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_no_hidden_layer_is_logistic_regression(load, solver):
    X, y = scaled(load)
    alpha = 5.0
    reference = LogisticRegression(C=1 / alpha, tol=1e-10, max_iter=10_000).fit(X, y)
    steps = {"gd": {"learning_rate_init": 0.5}, "nadam": {"learning_rate_init": 0.01}}
    model = MLPClassifier(
        (), solver=solver, alpha=alpha, max_iter=3000, tol=0 if solver != "lbfgs" else 1e-9,
        n_iter_no_change=3000, batch_size="auto" if solver != "nadam" else len(X), random_state=0,
        **steps.get(solver, {}),
    )  # fmt: skip
    fit_quietly(model, X, y)
    np.testing.assert_allclose(model.coefs_[0].T, reference.coef_, atol=1e-3)
    ours, theirs = model.intercepts_[0], reference.intercept_
    if len(ours) > 1:  # a softmax does not change when all move alike
        ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("solver", ["lbfgs", "gd"])
def test_no_hidden_layer_is_ridge_regression(solver):
    X, y = scaled(load_diabetes)
    y = y / y.std()
    reference = Ridge(alpha=7.0).fit(X, y)
    model = MLPRegressor(
        hidden_layer_sizes=(), solver=solver, alpha=7.0, max_iter=4000, tol=0 if solver == "gd"
        else 1e-9, n_iter_no_change=4000, learning_rate_init=0.3, random_state=0,
    )  # fmt: skip
    fit_quietly(model, X, y)
    np.testing.assert_allclose(model.coefs_[0].ravel(), reference.coef_, atol=1e-3)
    assert model.intercepts_[0][0] == pytest.approx(reference.intercept_, abs=1e-3)


def test_dropout_regularises():
    """Of a large net on few noisy rows, what dropout takes from training it gives to the test."""
    X, y = scaled(load_digits)
    rng = np.random.RandomState(0)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=400, random_state=0)
    y_train = np.where(rng.uniform(size=400) < 0.3, rng.randint(0, 10, 400), y_train)
    plain, dropped = (
        fit_quietly(
            MLPClassifier((200,), dropout=rate, alpha=0, max_iter=80, random_state=0,
                          learning_rate_init=3e-3, diagnose=False),
            X_train, y_train,
        )
        for rate in (0.0, 0.6)
    )  # fmt: skip
    assert dropped.score(X_train, y_train) < plain.score(X_train, y_train) - 0.05
    assert dropped.score(X_test, y_test) > plain.score(X_test, y_test) + 0.03


def test_l1_makes_weights_sparse():
    X, y = scaled(load_diabetes)
    X = np.hstack([X, np.random.RandomState(0).normal(size=(len(X), 20))])

    def small_weights(**penalty):
        model = MLPRegressor(hidden_layer_sizes=(10,), max_iter=300, random_state=0, **penalty)
        fit_quietly(model, X, (y - y.mean()) / y.std())
        return (np.abs(model.coefs_[0][10:]) < 0.01).mean()

    assert small_weights(l1=20.0, alpha=0) > 0.8 > 0.4 > small_weights(alpha=5.0)


def test_decoupled_decay_is_not_scaled_by_adam():
    """Weights of a feature that is always zero have no gradient but that of their penalty.

    Adam makes any penalty a step of the learning rate's size; decoupled decay is a factor.
    """
    X, y = scaled(load_iris)
    X[:, 0] = 0

    def weights(epochs, **options):
        model = MLPClassifier((20,), max_iter=epochs, random_state=0, **options)
        return fit_quietly(model.set_params(n_iter_no_change=np.inf), X, y).coefs_[0][0]

    start = weights(1, alpha=0)
    decayed = weights(40, alpha=0, solver="adamw", weight_decay=3.0)
    np.testing.assert_allclose(decayed, start * (1 - 0.001 * 3.0) ** 40)
    for alpha in (0.1, 1.0):
        large = np.abs(start) > 0.05
        steps = (start - weights(40, alpha=alpha))[large] / np.sign(start[large])
        np.testing.assert_allclose(steps, 0.001 * 40, rtol=0.15)


def test_max_norm_holds_after_every_fit():
    X, y = scaled(load_digits)
    model = MLPClassifier((30, 20), max_norm=0.7, max_iter=5, random_state=0, diagnose=False)
    fit_quietly(model, X, y)
    for matrix in model.coefs_:
        norms = np.linalg.norm(matrix, axis=0)
        assert norms.max() <= 0.7 + 1e-12
    assert np.linalg.norm(model.coefs_[0], axis=0).max() == pytest.approx(0.7)


def test_clipping_survives_a_cliff():
    """One row of enormous targets throws plain gradient descent far off, and a clipped one not."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 3))
    y = X[:, 0].copy()
    y[7] = 1e4
    errors = {}
    for name, options in {
        "plain": {},
        "norm": {"clip_norm": 1.0},
        "value": {"clip_value": 0.5},
    }.items():
        model = MLPRegressor(
            hidden_layer_sizes=(), solver="sgd", momentum=0, batch_size=20, max_iter=30,
            learning_rate_init=0.1, random_state=0, diagnose=False, **options,
        )  # fmt: skip
        fit_quietly(model, X, y)
        errors[name] = np.median(np.abs(model.predict(X) - y))
    assert errors["plain"] > 20 * max(errors["norm"], errors["value"])


def test_robust_losses_resist_outliers():
    rng = np.random.RandomState(0)
    X = rng.uniform(-2, 2, (300, 1))
    truth = np.sin(2 * X[:, 0])
    y = truth + 0.05 * rng.normal(size=300)
    y[::8] += 8
    errors = {}
    for loss in ("squared_error", "absolute_error", "huber"):
        model = MLPRegressor(
            loss, hidden_layer_sizes=(30,), activation="tanh", learning_rate_init=0.01,
            max_iter=400, n_iter_no_change=400, huber_delta=0.1, random_state=0, diagnose=False,
        )  # fmt: skip
        errors[loss] = np.abs(fit_quietly(model, X, y).predict(X) - truth).mean()
    assert 4 * max(errors["absolute_error"], errors["huber"]) < errors["squared_error"]


def test_quantiles_cover_their_shares():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, (2000, 1))
    y = X[:, 0] + (0.2 + 0.5 * (X[:, 0] > 0)) * rng.normal(size=2000)
    levels = [0.1, 0.5, 0.9]
    model = MLPRegressor(
        "quantile", quantiles=levels, hidden_layer_sizes=(20,), learning_rate_init=0.01,
        max_iter=150, random_state=0, n_iter_no_change=150,
    )  # fmt: skip
    fit_quietly(model, X[:1500], y[:1500])
    predicted = model.predict(X[1500:])
    assert predicted.shape == (500, 3) and (np.diff(predicted, axis=1) >= 0).all()
    shares = (y[1500:, None] <= predicted).mean(axis=0)
    np.testing.assert_allclose(shares, levels, atol=0.04)
    # The noise is wider on the right, and so is what the quantiles enclose.
    width = predicted[:, 2] - predicted[:, 0]
    right = X[1500:, 0] > 0.1
    assert width[right].mean() > 2 * width[X[1500:, 0] < -0.1].mean()
    assert 0.1 < model.score(X[1500:], y[1500:]) < 1


def test_label_smoothing_makes_modest_predictions():
    X, y = scaled(load_iris)
    plain, smoothed = (
        fit_quietly(
            MLPClassifier((20,), label_smoothing=s, max_iter=1500, n_iter_no_change=1500, alpha=0,
                          random_state=0, learning_rate_init=0.01),
            X, y,
        )
        for s in (0.0, 0.2)
    )  # fmt: skip
    assert np.median(plain.predict_proba(X).max(axis=1)) > 0.999
    # Where nothing is in doubt the target is 1 - s + s / 3.
    assert np.median(smoothed.predict_proba(X).max(axis=1)) == pytest.approx(0.867, abs=0.02)


def test_margin_loss_is_zero_beyond_the_margin():
    X, y = scaled(load_iris)
    model = MLPClassifier((20,), loss="margin", rho=0.3, max_iter=800, n_iter_no_change=800,
                          alpha=0, learning_rate_init=0.01, random_state=0)  # fmt: skip
    fit_quietly(model, X, y)
    assert model.score(X, y) > 0.97
    p = np.sort(model.predict_proba(X), axis=1)
    margins = p[:, -1] - p[:, -2]
    assert (margins > 0.3).mean() > 0.9
    # Rows beyond the margin stop to push: no one is driven to certainty.
    assert np.median(margins) < 0.9


def test_deep_selu_nets_keep_mean_and_variance():
    """With LeCun's weights; a relu net's units fade."""
    X = np.random.RandomState(0).normal(size=(500, 100))
    spread, predict = {}, partial(devices.predict, "cpu")
    for activation in ("selu", "relu"):
        model = MLPRegressor(
            hidden_layer_sizes=(100,) * 8, activation=activation, init="lecun_normal", max_iter=1,
            learning_rate_init=1e-12, random_state=0, diagnose=False,
        )  # fmt: skip
        fit_quietly(model, X, X[:, 0])
        plan = planning.prediction_plan(model)
        theta = weights.flatten(model.coefs_, model.intercepts_, plan.dtype)
        spread[activation] = inspection.preactivations(plan, theta, X, 7, predict).std()
    assert 0.7 < spread["selu"] < 1.4 and spread["relu"] < 0.3


def bias_after(n_steps, **params):
    """Bias of a linear model that is pulled by one and the same gradient, -1, in each step."""
    X, y = np.zeros((8, 1)), np.full(8, 1e6)
    model = MLPRegressor(
        "absolute_error", hidden_layer_sizes=(), alpha=0, max_iter=n_steps, random_state=0,
        init="he_normal", learning_rate_init=0.1, n_iter_no_change=n_steps, **params,
    )  # fmt: skip
    return fit_quietly(model, X, y).intercepts_[0][0]


def test_steps_under_a_constant_gradient():
    t = np.arange(1, 31)
    assert bias_after(30, solver="adam") == pytest.approx(3.0)
    # AdaGrad's steps fade as 1 / sqrt(t); RMSProp forgets, and keeps going.
    assert bias_after(30, solver="adagrad") == pytest.approx(0.1 * (1 / np.sqrt(t)).sum())
    expected = 0.1 * (1 / np.sqrt(1 - 0.9**t)).sum()
    assert bias_after(30, solver="rmsprop") == pytest.approx(expected)
    # NAdam looks ahead: its first step is that of the next moment.
    assert bias_after(1, solver="nadam") == pytest.approx(0.1 * (0.9 * 0.1 / 0.19 + 1))
    # Momentum adds up to 1 / (1 - 0.9) steps; as a running mean to one.
    sgd = {"solver": "sgd", "nesterovs_momentum": False}
    speeds = [
        bias_after(200, **sgd, momentum_form=form) - bias_after(199, **sgd, momentum_form=form)
        for form in ("accumulate", "average")
    ]
    np.testing.assert_allclose(speeds, [1.0, 0.1], rtol=1e-6)


def test_means_and_falling_rates_calm_noisy_steps():
    """Plain SGD with a large rate ends wherever its last batch has thrown it."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, 10))
    y = X @ rng.normal(size=10) + rng.normal(size=400)
    errors = {}
    for name, options in {
        "constant": {},
        "mean": {"swa_start": 20},
        "cosine": {"lr_schedule": "cosine"},
        "one_cycle": {"lr_schedule": "one_cycle"},
        "step": {"lr_schedule": "step"},
        "invscaling": {"lr_schedule": "invscaling"},
        "plateau": {"lr_schedule": "plateau"},
    }.items():
        model = MLPRegressor(
            hidden_layer_sizes=(), solver="sgd", momentum=0, batch_size=5, max_iter=60, alpha=0,
            learning_rate_init=0.05, n_iter_no_change=60, random_state=0, **options,
        )  # fmt: skip
        errors[name] = np.square(fit_quietly(model, X, y).predict(X) - y).mean()
    least = np.square(Ridge(1e-9).fit(X, y).predict(X) - y).mean()
    excess = {name: error - least for name, error in errors.items()}
    for name in ("mean", "cosine", "one_cycle", "step", "invscaling", "plateau"):
        assert excess[name] < 0.3 * excess["constant"], excess


def test_leaky_units_come_back_from_the_dead():
    X, y = scaled(load_iris)
    for activation, moves in (("relu", False), ("leaky_relu", True), ("elu", True)):
        model = MLPClassifier((10,), activation=activation, max_iter=1, alpha=0, random_state=0,
                              warm_start=True, diagnose=False)  # fmt: skip
        fit_quietly(model, X, y).intercepts_[0][:] = -20
        before = model.coefs_[0].copy()
        fit_quietly(model.set_params(max_iter=20), X, y)
        assert (np.abs(model.coefs_[0] - before).max() > 1e-12) == moves


def test_poisson_loss_suits_counts():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, (1000, 2))
    y = rng.poisson(np.exp(2 * X[:, 0]))
    scores = {}
    for loss in ("squared_error", "poisson"):
        model = MLPRegressor(loss, hidden_layer_sizes=(), solver="lbfgs", max_iter=500)
        predicted = fit_quietly(model, X, y).predict(X)
        scores[loss] = d2_tweedie_score(y, np.maximum(predicted, 1e-3), power=1)
    assert scores["poisson"] > scores["squared_error"] + 0.1


def test_averaged_momentum_takes_smaller_steps():
    X, y = scaled(load_iris)
    moves = {}
    for form in ("accumulate", "average"):
        model = MLPClassifier((9,), solver="sgd", momentum=0.9, momentum_form=form, max_iter=20,
                              learning_rate_init=0.001, random_state=0)  # fmt: skip
        start = fit_quietly(MLPClassifier((9,), max_iter=1, learning_rate_init=1e-15,
                                          random_state=0), X, y)  # fmt: skip
        moves[form] = np.linalg.norm(flat(fit_quietly(model, X, y)) - flat(start))
    assert 5 < moves["accumulate"] / moves["average"] < 20
