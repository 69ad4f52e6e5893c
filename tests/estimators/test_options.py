"""Activations, losses, optimisers and regularisation beyond scikit-learn's, against the oracle."""

import math

import naive
import numpy as np
import pytest
from helpers import fit_quietly, flat, team_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import DivergenceError, MLPClassifier, MLPRegressor, check_gradient
from fastmlp.engines import custom_functions
from fastmlp.network.formulas.philox import philox
from fastmlp.network.plan import Activation

EACH_ACTIVATION = [activation.name.lower() for activation in Activation if activation.is_trainable]
LOG_COSH = (lambda y, p: math.log(math.cosh(p - y)), lambda y, p: math.tanh(p - y))
LEVELS = (0.1, 0.5, 0.8)

# Name of the oracle's loss: estimator, its parameters, the oracle's parameter, kind of target.
LOSSES = {
    "squared_error": (MLPRegressor, {}, None, "numbers"),
    "absolute_error": (MLPRegressor, {"loss": "absolute_error"}, None, "numbers"),
    "huber": (MLPRegressor, {"loss": "huber", "huber_delta": 0.7}, 0.7, "numbers"),
    "quantile": (MLPRegressor, {"loss": "quantile", "quantiles": LEVELS}, LEVELS, "number"),
    "log_cosh": (MLPRegressor, {"loss": LOG_COSH}, None, "numbers"),
    "poisson": (MLPRegressor, {"loss": "poisson"}, None, "counts"),
    "cross_entropy": (MLPClassifier, {}, None, "classes"),
    "binary_cross_entropy": (MLPClassifier, {}, None, "labels"),
    "margin": (MLPClassifier, {"loss": "margin", "rho": 0.6}, 0.6, "classes"),
    "binary_margin": (MLPClassifier, {"loss": "margin", "rho": 0.6}, 0.6, "labels"),
}


def data(kind, n_rows=60, dtype=np.float64):
    """X, y as an estimator takes it, and the matrix that is learned."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(n_rows, 5)).astype(dtype)
    score = X @ rng.normal(size=(5, 3)) + 0.3 * rng.normal(size=(n_rows, 3))
    if kind == "numbers":
        return X, score, score
    if kind == "number":
        return X, score[:, 0], np.repeat(score[:, :1], len(LEVELS), axis=1)
    if kind == "counts":
        y = rng.poisson(np.exp(score / 2)).astype(float)
        return X, y, y
    if kind == "classes":
        y = score.argmax(axis=1)
        return X, y, np.eye(3)[y]
    return X, (score > 0).astype(int), (score > 0).astype(float)


def assert_trained_as(model, X, y, Y, tolerance=1e-10, epochs=4, **expected):
    """Some epochs of the estimator and of the oracle give the same weights and losses."""
    params = {"hidden_layer_sizes": (7, 6), "batch_size": 23, "random_state": 3}
    model.set_params(**{**params, "max_iter": epochs, **model.params_of_test})
    fit_quietly(model, X, y)
    size = len(X) if model.solver == "gd" else 23
    weights, biases, curve = naive.train(
        X, Y, hidden=(7, 6), seed=3, epochs=epochs, batch_size=size, alpha=model.alpha, **expected
    )
    expected = np.concatenate([np.ravel(w) for w in weights + biases])
    np.testing.assert_allclose(flat(model), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(model.loss_curve_, curve, rtol=tolerance)


def estimator(cls, **params):
    model = cls(diagnose=False)
    model.params_of_test = params
    return model


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [*EACH_ACTIVATION, ["selu", "gelu"]])
def test_gradient(loss, activation):
    cls, params, _, kind = LOSSES[loss]
    X, y, _ = data(kind, n_rows=25)
    model = cls(
        (7, 5), activation=activation, alpha=0.5, random_state=0, **params
    ) if cls is MLPClassifier else cls(
        hidden_layer_sizes=(7, 5), activation=activation, alpha=0.5, random_state=0, **params
    )  # fmt: skip
    assert check_gradient(model, X, y) < 1e-6


@pytest.mark.parametrize("activation", ["tanh", "gelu", ["relu", "softplus"]])
def test_gradient_with_dropout_l1_and_weights(activation):
    X, y, _ = data("classes", n_rows=40)
    weight = np.random.RandomState(1).uniform(0.2, 3, 40)
    options = {"dropout": [0.5, 0.25], "l1": 0.3, "label_smoothing": 0.1}
    model = MLPClassifier((9, 8), activation=activation, random_state=0, **options)
    assert check_gradient(model, X, y, weight) < 1e-6


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["tanh", ["leaky_relu", "silu"]])
def test_losses(loss, activation):
    cls, params, parameter, kind = LOSSES[loss]
    X, y, Y = data(kind)
    names = activation if isinstance(activation, str) else tuple(activation)
    model = estimator(cls, activation=activation, **params)
    assert_trained_as(
        model, X, y, Y, activation_name=names, loss=loss, parameter=parameter,
        optimizer=naive.Adam, learning_rate=0.001,
    )  # fmt: skip


@pytest.mark.parametrize("activation", EACH_ACTIVATION)
def test_activations(activation):
    X, y, Y = data("classes")
    assert_trained_as(
        estimator(MLPClassifier, activation=activation), X, y, Y, activation_name=activation,
        loss="cross_entropy", optimizer=naive.Adam, learning_rate=0.001,
    )  # fmt: skip


OPTIMIZERS = {
    "gd": (naive.SGD, {"learning_rate_init": 0.1}, {"learning_rate": 0.1, "momentum": 0.0}),
    "sgd": (
        naive.AveragedSGD,
        {"momentum_form": "average", "nesterovs_momentum": False, "learning_rate_init": 0.1},
        {"learning_rate": 0.1, "nesterov": False},
    ),
    "nesterov": (
        naive.AveragedSGD,
        {"solver": "sgd", "momentum_form": "average", "learning_rate_init": 0.1},
        {"learning_rate": 0.1},
    ),
    "adagrad": (naive.AdaGrad, {}, {}),
    "rmsprop": (naive.RMSProp, {"rmsprop_decay": 0.8}, {"decay": 0.8}),
    "adamw": (naive.Adam, {}, {"weight_decay": 0.01}),
    "nadam": (naive.NAdam, {}, {}),
}
STEPS = {
    "none": {},
    "clip_value": {"clip_value": 0.01},
    "clip_norm": {"clip_norm": 0.05},
    "both clips": {"clip_value": 0.02, "clip_norm": 0.05},
    "l1": {"l1": 0.5},
    "weight_decay": {"weight_decay": 2.0},
    "max_norm": {"max_norm": 0.6},
    "all": {
        "clip_value": 0.05, "clip_norm": 0.1, "l1": 0.1, "weight_decay": 1.0, "max_norm": 0.8,
    },
}  # fmt: skip


@pytest.mark.parametrize("options", STEPS)
@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_optimizers(solver, options):
    X, y, Y = data("classes")
    optimizer, ours, naives = OPTIMIZERS[solver]
    params = {"solver": solver, "alpha": 0.02, **ours, **STEPS[options]}
    if solver == "gd":
        params["batch_size"] = "auto"
    expected = {"learning_rate": 0.001, **naives, **STEPS[options]}
    assert_trained_as(
        estimator(MLPClassifier, activation="tanh", **params), X, y, Y, activation_name="tanh",
        loss="cross_entropy", optimizer=optimizer, **expected,
    )  # fmt: skip


@pytest.mark.parametrize("activation", ["identity", "relu", "gelu", ["tanh", "silu"]])
@pytest.mark.parametrize("dropout", [0.3, [0.5, 0.0], [0.0, 0.9]])
def test_dropout(activation, dropout):
    X, y, Y = data("classes")
    names = activation if isinstance(activation, str) else tuple(activation)
    rates = (dropout, dropout) if isinstance(dropout, float) else dropout
    assert_trained_as(
        estimator(MLPClassifier, activation=activation, dropout=dropout), X, y, Y,
        activation_name=names, loss="cross_entropy", optimizer=naive.Adam, learning_rate=0.001,
        dropout=rates,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ((0, 0, 0), 0x257A3673),
        ((0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), 0xAB302C4D),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E), 0xBEDBBE6B),
    ],
)
def test_known_answers_of_philox(words, answer):
    assert philox(*words) == answer


def test_dropout_goes_on_in_partial_fit_and_differs_between_fits():
    X, y, _ = data("classes")
    models = [MLPClassifier((9,), dropout=0.5, random_state=0) for _ in range(2)]
    for _ in range(3):
        for model in models:
            model.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_array_equal(flat(models[0]), flat(models[1]))
    assert np.unique(models[0].loss_curve_).size == 3
    other = MLPClassifier((9,), dropout=0.5, random_state=1, max_iter=3, diagnose=False)
    assert not np.array_equal(flat(fit_quietly(other, X, y)), flat(models[0]))


def test_the_form_of_momentum_is_that_of_sgd_alone():
    X, y, _ = data("classes")
    plain, averaged = (
        fit_quietly(MLPClassifier((5,), momentum_form=form, random_state=0, max_iter=3), X, y)
        for form in ("accumulate", "average")
    )
    np.testing.assert_array_equal(flat(plain), flat(averaged))


def test_label_smoothing():
    X, y, Y = data("classes")
    common = {"loss": "cross_entropy", "optimizer": naive.Adam, "learning_rate": 0.001}
    model = estimator(MLPClassifier, activation="tanh", label_smoothing=0.2)
    assert_trained_as(model, X, y, 0.8 * Y + 0.2 / 3, activation_name="tanh", **common)
    X, y, Y = data("labels")
    common["loss"] = "binary_cross_entropy"
    model = estimator(MLPClassifier, activation="tanh", label_smoothing=0.2)
    assert_trained_as(model, X, y, 0.8 * Y + 0.1, activation_name="tanh", **common)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    n_rows=st.integers(2, 300),
    hidden=st.lists(st.integers(1, 40), max_size=3),
    batch_size=st.integers(1, 300),
    loss=st.sampled_from(list(LOSSES)),
    activation=st.sampled_from(EACH_ACTIVATION),
    solver=st.sampled_from(["sgd", "adagrad", "rmsprop", "adamw", "nadam"]),
    dropout=st.sampled_from([0.0, 0.4]),
    clip_norm=st.sampled_from([None, 0.1]),
    max_norm=st.sampled_from([None, 0.5]),
    l1=st.sampled_from([0.0, 0.1]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_any_number_of_threads(n_rows, hidden, batch_size, loss, dtype, **params):

    cls, of_loss, _, kind = LOSSES[loss]
    X, y, _ = data(kind, n_rows, dtype)
    params |= {"hidden_layer_sizes": hidden, "batch_size": min(batch_size, n_rows), **of_loss}
    if not hidden:
        params["dropout"] = 0.0
    one, team = (cls(**params, max_iter=2, random_state=0, diagnose=False) for _ in range(2))
    fit_quietly(one.set_params(n_jobs=1), X, y)
    with team_of(3):
        fit_quietly(team, X, y)
    np.testing.assert_array_equal(flat(team), flat(one))
    assert team.loss_curve_ == one.loss_curve_


@pytest.mark.parametrize("loss", LOSSES)
def test_float32(loss):
    cls, params, _, kind = LOSSES[loss]
    X, y, _ = data(kind)
    params |= {"hidden_layer_sizes": (8,), "activation": "gelu", "max_iter": 5, "diagnose": False}
    wide = fit_quietly(cls(**params, random_state=0), X, y)
    narrow = fit_quietly(cls(**params, random_state=0), X.astype(np.float32), y)
    assert narrow.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(flat(narrow), flat(wide), rtol=0, atol=2e-4)


UNKNOWN = {"a": 1}


def asserting(y):
    assert y >= 0
    return y


def raising(y, p):
    return asserting(y) - p


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ((lambda y: y, lambda y, p: p), "the value function .* cannot be compiled .* two numbers"),
        ((lambda y, p: p, lambda y, p: UNKNOWN.a), "the derivative function .* be compiled"),
        ((lambda y, p: "far", lambda y, p: p), "the value function .* must return a number"),
        ((lambda y, p: p,), "a pair of functions"),
        ((50, 20), "did you mean hidden_layer_sizes="),
        ((lambda y, p: p * 1j, lambda y, p: p), "the value function .* must return a number"),
        ((max, lambda y, p: p), "the value function .* must be made by def or lambda"),
        ((lambda y, p: p, raising), "the derivative function .* raises or asserts in asserting"),
        ("log_cosh", "The 'loss' parameter of MLPRegressor must be"),
    ],
)
def test_custom_losses_that_cannot_be(loss, message):
    X, y, _ = data("number")
    with pytest.raises(ValueError, match=message):
        MLPRegressor(loss).fit(X, y)


def test_custom_losses_are_those_of_the_values_that_they_use_now():
    X, y, _ = data("number")

    def losses(scale):
        loss = lambda y, p: scale * (p - y) ** 2, lambda y, p: 2 * scale * (p - y)
        model = MLPRegressor(loss, max_iter=1, random_state=0, diagnose=False, alpha=0,
                             learning_rate_init=1e-12)  # fmt: skip
        history = fit_quietly(model, X, y, eval_set=(X, y)).history_
        return history["loss"][0], history["validation_loss"][0]

    (one, validated), (ten, validated_ten) = losses(1.0), losses(10.0)
    assert ten == pytest.approx(10 * one) and one == pytest.approx(validated, rel=1e-6)
    assert validated_ten == pytest.approx(10 * validated)


def test_few_custom_losses_are_kept():
    for scale in range(20):
        custom_functions.frozen((lambda y, p: (p - y) ** 2 + scale, lambda y, p: p - y))  # noqa: B023
    assert len(custom_functions._kept) == custom_functions.MOST_KEPT


def test_domain_errors_of_a_custom_loss_are_no_number():
    X, y, _ = data("number")
    loss = lambda y, p: math.log(p) - y, lambda y, p: 1 / p
    with pytest.raises(DivergenceError):
        MLPRegressor(loss, max_iter=2, random_state=0).fit(X, y, eval_set=(X, y))


def test_wrong_derivative_of_a_custom_loss_is_found():
    X, y, _ = data("number")
    wrong = (lambda y, p: (p - y) ** 2, lambda y, p: p - y)
    model = MLPRegressor(wrong, hidden_layer_sizes=(5,), activation="tanh", random_state=0)
    assert check_gradient(model, X, y) > 0.1


CLASSIFIER_MISTAKES = [
    ({"activation": "swish"}, "The 'activation' parameter"),
    ({"activation": ["relu", "swish"]}, r"activation must be of \['identity'.*got 'swish'"),
    ({"activation": ["relu"]}, "activation has 1 entries, and hidden_layer_sizes 2"),
    ({"dropout": 1.0}, "The 'dropout' parameter"),
    ({"dropout": [0.1, -0.1]}, r"dropout must be in \[0, 1\), got -0.1"),
    ({"dropout": [0.1]}, "dropout has 1 entries, and hidden_layer_sizes 2"),
    ({"solver": "gd", "batch_size": 10}, "solver='gd' takes all rows in each step"),
    ({"solver": "lbfgs", "dropout": 0.1}, "'lbfgs' cannot honour dropout=0.1"),
    ({"solver": "lbfgs", "clip_norm": 1.0}, "'lbfgs' cannot honour clip_norm=1.0"),
    ({"solver": "lbfgs", "l1": 1.0}, "'lbfgs' cannot honour l1=1.0"),
    ({"loss": "margin", "label_smoothing": 0.1}, "label_smoothing is for loss='log_loss'"),
    ({"rho": 0.0}, "The 'rho' parameter"),
    (
        {"weight_decay": 2000.0},
        "weight_decay=2000.0 times learning_rate_init",
    ),
    ({"lr_schedule": "cosine", "learning_rate": "adaptive"}, "are two schedules"),
    ({"clip_value": 0}, "The 'clip_value' parameter"),
]
REGRESSOR_MISTAKES = [
    ({"loss": "quantile", "quantiles": [0.5, 0.1]}, "in increasing order, got"),
    ({"loss": "quantile", "quantiles": []}, r"quantiles must be numbers in \(0, 1\)"),
    ({"loss": "quantile", "quantiles": [0.1, 1.5]}, r"quantiles must be numbers in \(0, 1\)"),
    ({"huber_delta": 0}, "The 'huber_delta' parameter"),
    ({"max_norm": -1.0}, "The 'max_norm' parameter"),
]


@pytest.mark.parametrize(
    ("cls", "params", "message"),
    [(MLPClassifier, *mistake) for mistake in CLASSIFIER_MISTAKES]
    + [(MLPRegressor, *mistake) for mistake in REGRESSOR_MISTAKES],
)
def test_parameters_that_cannot_be(cls, params, message):
    X, y, _ = data("classes")
    model = cls(**params).set_params(hidden_layer_sizes=(5, 4))
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "coefs_") and not hasattr(model, "n_features_in_")


def test_dropout_without_a_hidden_layer():
    X, y, _ = data("classes")
    with pytest.raises(ValueError, match=r"dropout=0\.5 needs a hidden layer"):
        MLPClassifier((), dropout=0.5).fit(X, y)


def test_options_that_do_nothing_are_no_hindrance_to_lbfgs():
    X, y, _ = data("classes")
    options = {"dropout": [0.0], "l1": 0, "lr_schedule": "constant"}
    model = MLPClassifier((5,), solver="lbfgs", max_iter=3, random_state=0, **options)
    plain = MLPClassifier((5,), solver="lbfgs", max_iter=3, random_state=0)
    np.testing.assert_array_equal(flat(fit_quietly(model, X, y)), flat(fit_quietly(plain, X, y)))


def test_several_quantiles_of_several_columns():
    X, y, _ = data("numbers")
    with pytest.raises(ValueError, match="for y of one column, got 3"):
        MLPRegressor("quantile", quantiles=[0.1, 0.9]).fit(X, y)


def test_one_quantile_of_several_columns():
    X, y, _ = data("numbers")
    model = MLPRegressor("quantile", quantiles=0.9, max_iter=800, random_state=0,
                         n_iter_no_change=800, learning_rate_init=0.01, diagnose=False)  # fmt: skip
    predicted = fit_quietly(model, X, y).predict(X)
    assert predicted.shape == y.shape
    np.testing.assert_allclose((y <= predicted).mean(axis=0), 0.9, atol=0.12)
