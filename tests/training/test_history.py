"""The record of each epoch, and the mean of weights."""

import numpy as np
import pytest
import sklearn.neural_network
from helpers import fit_quietly, flat
from sklearn.datasets import load_iris

from fastmlp import MLPClassifier, MLPRegressor, TrainingWarning, from_sklearn
from fastmlp.network.inspection import dead_units, preactivations, some_rows
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.network.weights import n_parameters
from fastmlp.training.history import Epoch, add_epochs

X, Y = load_iris(return_X_y=True)
ALWAYS = {"loss", "learning_rate", "seconds"}


def classifier(**params):
    params = {"random_state": 0, "max_iter": 4, "hidden_layer_sizes": (9,), **params}
    return MLPClassifier(**params)


def lengths(model):
    return {len(values) for values in model.history_.values()}


def test_epochs_become_lists_of_equal_length():
    record = {}
    add_epochs(record, [])
    assert record == {}
    add_epochs(record, [Epoch(1, 2, 1.0, None, 0.1, 3.0), Epoch(2, 2, 0.5, 7.0, 0.2, 5.0)])
    add_epochs(record, [Epoch(1, 1, 0.4, None, None, 1.0, gradient_norm=6.0)])
    assert record == {
        "loss": [1.0, 0.5, 0.4], "learning_rate": [0.1, 0.2, None], "seconds": [3.0, 2.0, 1.0],
        "validation_score": [None, 7.0, None], "gradient_norm": [None, None, 6.0],
    }  # fmt: skip


def test_ctrl_c_keeps_the_epochs_that_were_completed():
    def interrupt(epoch):
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    model = classifier(max_iter=9, swa_start=2, monitor=True)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y, eval_set=(X, Y), callback=interrupt)
    assert model.n_iter_ == 3 and lengths(model) == {3} and len(model.loss_curve_) == 3
    short = classifier(max_iter=3, swa_start=2)
    np.testing.assert_array_equal(flat(model), flat(fit_quietly(short, X, Y)))


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_a_fit(cls):
    told = []
    model = cls(random_state=0, max_iter=4)
    fit_quietly(model, X, Y, callback=told.append)
    assert set(model.history_) == ALWAYS and lengths(model) == {4}
    assert model.history_["loss"] == model.loss_curve_ == [epoch.loss for epoch in told]
    assert model.history_["learning_rate"] == [0.001] * 4
    assert min(model.history_["seconds"]) > 0
    assert sum(model.history_["seconds"]) == pytest.approx(told[-1].seconds)


def test_warm_starts_and_partial_fits_go_on():
    model = classifier(warm_start=True)
    fit_quietly(model, X, Y)
    first = list(model.history_["loss"])
    fit_quietly(model, X, Y, eval_set=(X, Y))
    assert lengths(model) == {8} and model.history_["loss"][:4] == first
    assert model.history_["validation_loss"][:4] == [None] * 4
    assert None not in model.history_["validation_loss"][4:]
    model.partial_fit(X, Y)
    assert lengths(model) == {9} and model.history_["validation_score"][-1] is None
    fit_quietly(model.set_params(warm_start=False), X, Y)
    assert set(model.history_) == ALWAYS and lengths(model) == {4}


def test_lbfgs():
    model = classifier(solver="lbfgs", max_iter=5, monitor=True)
    fit_quietly(model, X, Y)
    assert lengths(model) == {5} and model.history_["loss"] == model.loss_curve_
    assert model.history_["learning_rate"] == [None] * 5
    # The gradient where training is: compare with finite differences of one weight.
    W, h = model.coefs_[1], 1e-6
    P, loss = model.predict_proba(X), []
    for step in (h, -h):
        W[0, 0] += step
        P = model.predict_proba(X)
        W[0, 0] -= step
        loss.append(-np.log(P[np.arange(150), Y]).mean())
    slope = (loss[0] - loss[1]) / (2 * h) + model.alpha * W[0, 0] / 150
    assert 0 < abs(slope) <= model.history_["gradient_norm"][-1] * (1 + 1e-6)
    assert model.history_["gradient_norm"][-1] < model.history_["gradient_norm"][0]
    assert [len(shares) for shares in model.history_["dead_units"]] == [1] * 5


def test_models_of_scikit_learn_bring_their_losses():
    theirs = fit_quietly(sklearn.neural_network.MLPClassifier(max_iter=3, random_state=0), X, Y)
    model = from_sklearn(theirs).partial_fit(X, Y)
    assert model.history_["loss"] == model.loss_curve_ and lengths(model) == {4}
    assert model.history_["learning_rate"] == [None, None, None, 0.001]


PLAN = TrainingPlan((2, 3, 2, 1), Activation.RELU, Loss.BINARY_CROSS_ENTROPY, Optimizer.ADAM)
ROWS = np.array([[1.0, 2.0], [3.0, 0.5], [0.2, 0.1]])
W1, B1 = np.array([[1.0, -1.0, 2.0], [0.5, -2.0, -9.0]]), np.array([0.0, 0.0, 0.1])
W2, B2 = np.array([[1.0, -1.0], [1.0, 1.0], [0.0, -3.0]]), np.array([-0.5, -0.1])
W3, B3 = np.array([[1.0], [1.0]]), np.array([0.0])
THETA = np.concatenate([np.ravel(p) for p in (W1, W2, W3, B1, B2, B3)])


def predict(plan, theta, rows):
    from fastmlp.engines.cpu.engine import outputs

    return outputs(plan, theta, rows)


def test_hidden_layers():
    Z1 = ROWS @ W1 + B1
    Z2 = np.maximum(Z1, 0) @ W2 + B2
    for layer, expected in enumerate((Z1, Z2)):
        found = preactivations(PLAN, THETA, ROWS, layer, predict)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    # Layer 1: the second unit is negative for all rows. Layer 2: so is its second.
    assert dead_units(PLAN, THETA, ROWS, predict) == [pytest.approx(1 / 3), 0.5]


@pytest.mark.parametrize("kinds", [["RELU"] * 12, ["TANH", "RELU", "GELU", "ELU", "RELU", "SELU"]])
def test_dead_units_take_one_pass_however_deep_the_network_is(kinds):
    units = (3, *[4, 5, 6] * (len(kinds) // 3), 2)
    activations = tuple(Activation[kind] for kind in kinds)
    plan = TrainingPlan(units, activations, Loss.SQUARED_ERROR, Optimizer.ADAM)
    rng = np.random.RandomState(0)
    theta, rows = rng.randn(n_parameters(units)) * 0.8, rng.randn(7, 3)
    parts = []

    def counted(part, parameters, inputs):
        assert inputs.shape == (7, part.layer_units[0])
        parts.append(parameters.size)
        return predict(part, parameters, inputs)

    relu = [layer for layer, kind in enumerate(kinds) if kind == "RELU"]
    expected = [
        (preactivations(plan, theta, rows, layer, predict).max(axis=0) <= 0).mean()
        for layer in relu
    ]
    assert dead_units(plan, theta, rows, counted) == expected
    assert max(expected) > 0
    assert len(parts) == len(relu) and sum(parts) <= theta.size


def test_some_rows_are_spread():
    rows = np.arange(100).reshape(50, 2)
    assert some_rows(rows, 50) is rows
    np.testing.assert_array_equal(some_rows(rows, 3)[:, 0] // 2, [0, 24, 49])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_monitor(activation):
    model = classifier(monitor=True, activation=activation, hidden_layer_sizes=(5, 4))
    plain = fit_quietly(classifier(activation=activation, hidden_layer_sizes=(5, 4)), X, Y)
    fit_quietly(model, X, Y)
    np.testing.assert_array_equal(flat(model), flat(plain))
    assert set(model.history_) == ALWAYS | {"gradient_norm", "dead_units"}
    A1 = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    A2 = np.maximum(A1 @ model.coefs_[1] + model.intercepts_[1], 0)
    expected = [(A.max(axis=0) == 0).mean() for A in (A1, A2)] if activation == "relu" else []
    assert model.history_["dead_units"][-1] == expected


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_averaged_weights(solver, dtype):
    params = {"solver": solver, "max_iter": 6}
    rows = X.astype(dtype)
    after = [
        flat(
            fit_quietly(classifier(**params), rows, Y, callback=lambda epoch, n=n: epoch.epoch == n)
        )
        for n in (3, 4, 5, 6)
    ]
    model = fit_quietly(classifier(swa_start=3, **params), rows, Y)
    expected = np.mean(np.array(after, dtype=np.float64), axis=0)
    np.testing.assert_allclose(flat(model), expected.astype(dtype), rtol=1e-6, atol=1e-12)
    assert model.coefs_[0].dtype == dtype
    assert model.loss_curve_ == fit_quietly(classifier(**params), rows, Y).loss_curve_
    last = fit_quietly(classifier(swa_start=6, **params), rows, Y)
    np.testing.assert_array_equal(flat(last), after[-1])


def test_an_end_before_averaging_begins_is_a_warning():
    model = classifier(swa_start=4)
    with pytest.warns(TrainingWarning, match=r"ended after 2 epochs, before swa_start=4"):
        model.fit(X, Y, callback=lambda epoch: epoch.epoch == 2)
    plain = classifier().fit(X, Y, callback=lambda epoch: epoch.epoch == 2)
    np.testing.assert_array_equal(flat(model), flat(plain))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"early_stopping": True}, "swa_start=2 and early_stopping=True both decide"),
        ({"solver": "lbfgs"}, "solver='lbfgs' has none"),
        ({"swa_start": 5}, "swa_start=5 is beyond max_iter=4"),
        ({"swa_start": 0}, "'swa_start' parameter"),
    ],
)
def test_averages_that_make_no_sense(params, message):
    with pytest.raises(ValueError, match=message):
        classifier(**{"swa_start": 2, **params}).fit(X, Y)
    with pytest.raises(ValueError, match="partial_fit is one epoch"):
        classifier(swa_start=1).partial_fit(X, Y, classes=[0, 1, 2])
