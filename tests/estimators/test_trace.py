"""Computation graphs: worked examples with numbers by hand, and every loss against differences."""

import json
from math import log

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly
from scipy.sparse import csr_matrix

from fastmlp import DataWarning, InputError, MLPClassifier, MLPRegressor, check_gradient, trace
from fastmlp.estimators import gradient_check
from fastmlp.network.plan import Activation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))


def by_hand(kind, X, y, coefs, intercepts, **options):
    """A network with given weights."""
    options = {"alpha": 0.0, "max_iter": 1, **options}
    model = fit_quietly(kind(**options), np.asarray(X, dtype=float), y)
    assert [w.shape for w in model.coefs_] == [np.shape(w) for w in coefs]
    model.coefs_ = [np.array(w, dtype=float) for w in coefs]
    model.intercepts_ = [np.array(b, dtype=float) for b in intercepts]
    return model


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-15)


def test_univariate_logistic_least_squares():
    """z = w x + b, y = sigmoid(z), L = (y - t)^2 / 2: the output layer hands y on as it is."""
    w, b, x, t = 1.0, -2.0, 2.0, 1.0
    model = by_hand(
        MLPRegressor, [[0.0], [1.0]], [0.0, 1.0], [[[w]], [[1.0]]], [[b], [0.0]],
        hidden_layer_sizes=(1,), activation="logistic",
    )  # fmt: skip
    graph = trace(model, [x], t)
    unit, output = graph.layers
    close(unit.z, [0])
    close(unit.h, [0.5])
    close(output.h, [0.5])
    close(graph.loss, 0.125)
    close(output.dL_dz, [-0.5])  # dL/dy = y - t
    close(unit.dL_dh, [-0.5])
    close(unit.dh_dz, [0.25])  # y (1 - y)
    close(unit.dL_dz, [-0.125])
    close(unit.dL_dW, [[-0.25]])  # dL/dw = dL/dz x
    close(unit.dL_db, [-0.125])  # dL/db = dL/dz
    close(graph.dL_dx, [-0.125])
    assert graph.check() < 1e-6


@pytest.mark.parametrize(("t", "loss", "delta"), [(1, log(4 / 3), -0.25), (0, log(4), 0.75)])
def test_neuron_with_cross_entropy(t, loss, delta):
    """With y_hat = sigmoid(w x + b), dl/dw = (y_hat - y) x."""
    x = np.array([2.0, 1.0])
    model = by_hand(
        MLPClassifier, [[0.0, 0.0], [1.0, 1.0]], [0, 1], [[[0.0], [log(3)]]], [[0.0]],
        hidden_layer_sizes=(),
    )  # fmt: skip
    graph = trace(model, x, t)
    (neuron,) = graph.layers
    close(neuron.z, [log(3)])
    close(graph.prediction, [0.75])
    close(graph.loss, loss)
    close(neuron.dL_dz, [delta])
    close(neuron.dL_dW[:, 0], delta * x)
    close(neuron.dL_db, [delta])
    close(neuron.dL_dh, [delta / (0.75 * 0.25)])
    close(graph.dL_dx, [0, delta * log(3)])


def test_network_of_two_layers():
    model = by_hand(
        MLPRegressor, np.eye(2), [0.0, 1.0], [[[1, -1], [1, 1]], [[2], [5]]], [[0, -3], [1]],
        hidden_layer_sizes=(2,), activation="relu",
    )  # fmt: skip
    graph = trace(model, [1, 2], 5)
    hidden, output = graph.layers
    close(hidden.z, [3, -2])
    close(hidden.h, [3, 0])
    close(output.z, [7])
    close(graph.loss, 2)
    close(output.dL_dW, [[6], [0]])
    close(output.dL_db, [2])
    close(hidden.dL_dh, [4, 10])
    close(hidden.dh_dz, [1, 0])
    close(hidden.dL_dz, [4, 0])
    close(hidden.dL_dW, [[4, 0], [8, 0]])
    close(hidden.dL_db, [4, 0])
    close(graph.dL_dx, [4, 4])
    close(graph.t, [5])
    assert graph.penalty == 0


def test_softmax():
    model = by_hand(
        MLPClassifier, np.eye(3), [0, 1, 2], [np.zeros((3, 3))], [np.zeros(3)],
        hidden_layer_sizes=(),
    )  # fmt: skip
    graph = trace(model, [1.0, 2.0, 0.0], 1)
    (layer,) = graph.layers
    third = 1 / 3
    close(layer.h, [third] * 3)
    close(graph.loss, log(3))
    close(layer.dL_dh, [0, -3, 0])
    close(layer.dh_dz, (np.eye(3) - third) * third)
    close(layer.dL_dz, [third, third - 1, third])
    close(layer.dL_dW[:, 1], [-2 * third, -4 * third, 0])


def test_penalty_is_apart():
    model = by_hand(
        MLPRegressor, [[0.0], [1.0]], [0.0, 1.0], [[[3.0]]], [[1.0]], hidden_layer_sizes=(),
        alpha=0.5, l1=2.0,
    )  # fmt: skip
    graph = trace(model, [2.0], 6.0)
    close(graph.loss, 0.5)
    close(graph.penalty, 0.25 * 9 + 2 * 3)
    close(graph.layers[0].dL_dW, [[2]])
    close(graph.layers[0].penalty_dW, [[0.5 * 3 + 2]])
    assert graph.check() < 1e-6
    assert "penalty = 8.25" in str(graph)
    # S is the number of examples.
    close(trace(model, [[2.0], [2.0]], [6.0, 6.0]).penalty, graph.penalty / 2)


def fitted(kind, y, loss=None, **options):
    if loss is not None:
        options["loss"] = loss
    options = {"activation": "tanh", "alpha": 0.3, "max_iter": 3, "random_state": 0, **options}
    return fit_quietly(kind(hidden_layer_sizes=(4, 3), **options), X, y)


LOG_COSH = (lambda y, p: np.log(np.cosh(p - y)), lambda y, p: np.tanh(p - y))
COUNTS, NUMBERS, CLASSES = RNG.poisson(2, 12), RNG.normal(size=12), np.arange(12) % 3
MODELS = {
    **{name: (MLPRegressor, NUMBERS, {"loss": name}) for name in
       ("squared_error", "absolute_error", "huber", "quantile")},
    "poisson": (MLPRegressor, COUNTS, {"loss": "poisson"}),
    "custom": (MLPRegressor, NUMBERS, {"loss": LOG_COSH}),
    "several": (MLPRegressor, RNG.normal(size=(12, 2)), {}),
    "quantiles": (MLPRegressor, NUMBERS, {"loss": "quantile", "quantiles": [0.1, 0.8]}),
    "two classes": (MLPClassifier, CLASSES > 0, {}),
    "classes": (MLPClassifier, CLASSES, {"label_smoothing": 0.1}),
    "labels": (MLPClassifier, RNG.integers(0, 2, (12, 3)), {}),
    "margin": (MLPClassifier, CLASSES, {"loss": "margin"}),
    "two classes by margin": (MLPClassifier, CLASSES > 0, {"loss": "margin"}),
    "weights": (MLPClassifier, CLASSES, {"class_weight": {0: 3, 1: 1, 2: 0.5}}),
    "dropout": (MLPClassifier, CLASSES, {"dropout": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_loss(name):
    kind, y, options = MODELS[name]
    model = fitted(kind, y, **options)
    for rows in (slice(4, 5), slice(0, 12)):
        graph = trace(model, X[rows], y[rows])
        assert graph.check() < 1e-6
        assert graph.n_examples == len(X[rows])
        if name == "dropout":
            continue
        assert check_gradient(model, X[rows], y[rows]) < 1e-6
        objective = gradient_check.objective_of(model, X[rows], y[rows])
        ours = [*(a.dL_dW + a.penalty_dW for a in graph.layers), *(a.dL_db for a in graph.layers)]
        np.testing.assert_allclose(
            np.concatenate([part.ravel() for part in ours]),
            gradient_check.analytic_gradient(objective), rtol=1e-9, atol=1e-12,
        )  # fmt: skip


@pytest.mark.parametrize(
    "activation", [activation.name.lower() for activation in Activation if activation.is_trainable]
)
def test_every_activation(activation):
    model = fitted(MLPClassifier, CLASSES, activation=activation)
    graph = trace(model, X[1], CLASSES[1])
    assert graph.check() < 1e-6
    assert [layer.activation for layer in graph.layers] == [activation, activation, "softmax"]
    np.testing.assert_allclose(graph.prediction, model.predict_proba(X[1:2])[0], rtol=1e-12)


def test_several_examples_have_means():
    model = fitted(MLPClassifier, CLASSES)
    graph, each = (
        trace(model, X, CLASSES),
        [trace(model, *pair) for pair in zip(X, CLASSES, strict=True)],
    )
    close(graph.loss, np.mean([one.loss for one in each]))
    close(graph.dL_dx, np.mean([one.dL_dx for one in each], axis=0))
    for number, layer in enumerate(graph.layers):
        for name in ("z", "h", "dh_dz", "dL_dh", "dL_dz", "dL_dW", "dL_db"):
            mean = np.mean([getattr(one.layers[number], name) for one in each], axis=0)
            np.testing.assert_allclose(getattr(layer, name), mean, rtol=1e-12, atol=1e-14)


def test_frames_keep_their_names():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = fit_quietly(MLPClassifier((4,), max_iter=3, random_state=0), frame, CLASSES)
    close(trace(model, frame, CLASSES).loss, trace(model, frame[:], list(CLASSES)).loss)
    with pytest.raises(ValueError, match="feature names"):
        trace(model, frame.rename(columns={"a": "d"}), CLASSES)
    row = frame.iloc[3]
    close(trace(model, row, CLASSES[3]).x, X[3])
    with pytest.raises(ValueError, match="feature names"):
        trace(model, row[["b", "a", "c"]], CLASSES[3])


def test_sparse_examples():
    model = fitted(MLPClassifier, CLASSES)
    close(trace(model, csr_matrix(X), CLASSES).dL_dx, trace(model, X, CLASSES).dL_dx)


def test_a_wrong_gradient_is_found():
    graph = trace(fitted(MLPClassifier, CLASSES), X[0], 0)
    graph.layers[1].dL_dW[0, 0] += 0.01
    assert graph.check() > 1e-4


def test_saturated_probabilities():
    model = by_hand(
        MLPClassifier, [[0.0], [1.0]], [0, 1], [[[1000.0]]], [[0.0]], hidden_layer_sizes=()
    )
    graph = trace(model, [1.0], 0)
    assert graph.loss == pytest.approx(-log(np.finfo(float).eps))
    close(graph.layers[0].dL_dz, [1])
    assert all(np.isfinite(values).all() for values in (graph.layers[0].dL_dh, graph.dL_dx))


@pytest.mark.parametrize("name", ["squared_error", "custom"])
def test_numbers_that_are_not_finite_are_told(name):
    kind, y, options = MODELS[name]
    with pytest.warns(DataWarning, match="is not finite; scale x and y") as warned:
        assert trace(fitted(kind, y, **options), X[0], 1e300).loss == np.inf
    assert len(warned) == 1


def test_it_is_plain_data():
    graph = trace(fitted(MLPClassifier, CLASSES), X[0], 0)
    found = json.loads(json.dumps(graph.to_dict()))
    assert found["x"] == X[0].tolist() and found["n_examples"] == 1
    assert found["layers"][0]["z"] == graph.layers[0].z.tolist()
    assert set(found["layers"][2]) == {
        "activation", "W", "b", "z", "h", "dh_dz", "dL_dh", "dL_dz", "dL_dW", "dL_db",
        "penalty_dW",
    }  # fmt: skip


def test_text_has_the_numbers():
    model = by_hand(
        MLPRegressor, np.eye(2), [0.0, 1.0], [[[1, -1], [1, 1]], [[2], [5]]], [[0, -3], [1]],
        hidden_layer_sizes=(2,), activation="relu",
    )  # fmt: skip
    text = str(trace(model, [1, 2], 5))
    assert text.startswith("Computation graph of one example: 2 inputs -> 2 relu -> 1 identity\n\n")
    rows = [line.split() for line in text.splitlines()]
    assert ["x_2", "2", "4"] in rows
    assert ["2", "-3", "-2", "0", "0", "10", "0"] in rows  # b, z, h, dh/dz, dL/dh, dL/dz
    assert ["W_2,1", "1", "8"] in rows
    assert rows[-1] == ["L", "=", "2", "(squared", "error)"]


def test_large_networks_are_written_in_part():
    model = fit_quietly(MLPClassifier((50,), max_iter=1), np.tile(X, (1, 9)), CLASSES)
    text = str(trace(model, np.tile(X, (1, 9))[:3], CLASSES[:3]))
    assert "The equations hold for each example, and not for the means." in text
    assert "3 examples (means)" in text and "... and 42 more units" in text
    assert "... and 19 more inputs" in text and f"... and {27 * 50 - 12} more weights" in text
    assert len(text.splitlines()) < 80


def test_bad_input_is_refused():
    from sklearn.linear_model import LogisticRegression

    model = fitted(MLPClassifier, CLASSES)
    with pytest.raises(InputError, match="MLPRegressor, got LogisticRegression"):
        trace(LogisticRegression(), X[0], 0)
    with pytest.raises(InputError, match="x must be one example"):
        trace(model, np.zeros((1, 1, 3)), 0)
    with pytest.raises(InputError, match="a value for each of 2 examples, got shape"):
        trace(model, X[:2], [0, 1, 2])
    with pytest.raises(InputError, match="a value for each of 2 examples, got shape"):
        trace(model, X[:2], 0)
    with pytest.raises(ValueError, match="not fitted"):
        trace(MLPClassifier(), X[0], 0)
    with pytest.raises(ValueError, match="classes not in"):
        trace(model, X[0], 5)
    with pytest.raises(ValueError, match="X has 2 features"):
        trace(model, X[0, :2], 0)
    with pytest.raises(InputError, match="y has 1 values for each example, and the model 2 out"):
        trace(fitted(*MODELS["several"][:2]), X[0], 1.0)
    with pytest.raises(InputError, match="y has 2 values for each example, and the model 1 out"):
        trace(fitted(*MODELS["squared_error"][:2]), X[0], [1.0, 2.0])
    weightless = fitted(MLPClassifier, CLASSES, class_weight={0: 0.0, 1: 1.0, 2: 1.0})
    with pytest.raises(InputError, match="have weight 0"):
        trace(weightless, X[0], 0)
    with pytest.raises(InputError, match="too large for float64; scale x as for the fit"):
        trace(fitted(MLPClassifier, CLASSES, activation="selu"), 1e5 * X[0], 0)
