"""Networks whose weights are set by hand, threshold units among them."""

import naive
import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly

from fastmlp import (
    InputError,
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    input_gradients,
    load_model,
    save_model,
    trace,
)
from fastmlp.estimators.parameters import ACTIVATIONS

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
# Exclusive or is "or, but not and".
COEFS = [[[1, 1], [1, 1]], [[1], [-1]]]
INTERCEPTS = [[-0.5, -1.5], [-0.5]]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))


def xor(**options):
    return MLPClassifier.from_weights(COEFS, INTERCEPTS, activation="step", **options)


def test_threshold_units_compute_exclusive_or():
    model = xor()
    assert model.predict(CORNERS).tolist() == [0, 1, 1, 0]
    logistic = 1 / (1 + np.exp(0.5))
    expected = [logistic, 1 - logistic, 1 - logistic, logistic]
    np.testing.assert_allclose(model.predict_proba(CORNERS)[:, 1], expected, rtol=1e-12)
    assert model.hidden_layer_sizes == (2,) and model.n_iter_ == 0
    named = xor(classes=["no", "yes"])
    assert named.predict(CORNERS).tolist() == ["no", "yes", "yes", "no"]
    assert named.score(CORNERS, ["no", "yes", "yes", "no"]) == 1


def test_iterators_will_do():
    model = MLPClassifier.from_weights(iter(COEFS), iter(INTERCEPTS), "step", classes=range(2))
    assert model.predict(CORNERS).tolist() == [0, 1, 1, 0]


def test_a_step_is_0_at_0_and_below():
    model = MLPRegressor.from_weights([[[1]], [[1]]], [[0], [0]], activation="step")
    z = [-1e300, -1e-300, -0.0, 0.0, 1e-300, 1e300]
    assert model.predict(np.array(z)[:, None]).tolist() == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("activation", [*sorted(ACTIVATIONS), ["step", "gelu"]])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_predictions_are_those_of_a_plain_network(activation, n_outputs):
    coefs = [RNG.normal(size=shape) for shape in ((3, 5), (5, 4), (4, n_outputs))]
    intercepts = [RNG.normal(size=n) for n in (5, 4, n_outputs)]
    names = [activation] * 2 if isinstance(activation, str) else activation
    z = X
    for name, W, b in zip(names, coefs, intercepts, strict=False):
        z = naive.ACTIVATIONS[name][0](z @ W + b)
    z = z @ coefs[-1] + intercepts[-1]
    found = MLPRegressor.from_weights(coefs, intercepts, activation).predict(X)
    np.testing.assert_allclose(found.reshape(z.shape), z, rtol=1e-10, atol=1e-12)
    loss = "binary_cross_entropy" if n_outputs == 1 else "cross_entropy"
    found = MLPClassifier.from_weights(coefs, intercepts, activation).predict_proba(X)
    expected = naive.output_activation(loss, z)
    np.testing.assert_allclose(found[:, -n_outputs:], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fitted_network_can_be_made_again(dtype):
    fitted = fit_quietly(
        MLPClassifier((4,), "tanh", max_iter=3, random_state=0), X.astype(dtype), np.arange(20) % 3
    )
    model = MLPClassifier.from_weights(fitted.coefs_, fitted.intercepts_, "tanh")
    assert model.coefs_[0].dtype == dtype
    rows = X.astype(dtype)
    np.testing.assert_array_equal(model.predict_proba(rows), fitted.predict_proba(rows))


def test_it_can_be_trained_further_and_has_its_own_weights():
    W = [np.ones((3, 2)), np.ones((2, 1))]
    model = MLPRegressor.from_weights(
        W, [np.zeros(2), np.zeros(1)], "tanh", warm_start=True, max_iter=2, random_state=0
    )
    before = model.predict(X)
    fit_quietly(model, X, X[:, 0])
    assert model.n_iter_ == 2 and (model.predict(X) != before).any()
    assert (W[0] == 1).all() and (W[1] == 1).all()
    classifier = MLPClassifier.from_weights([np.eye(3)], [np.zeros(3)], random_state=0)
    classifier.partial_fit(X, np.arange(20) % 3)
    assert (classifier.coefs_[0] != np.eye(3)).any()


def test_losses_decide_the_output():
    counts = MLPRegressor.from_weights([[[1], [0], [0]]], [[0]], loss="poisson")
    np.testing.assert_allclose(counts.predict(X), np.exp(X[:, 0]), rtol=1e-12)
    W = np.zeros((3, 2))
    levels = MLPRegressor.from_weights([W], [[2, 1]], loss="quantile", quantiles=[0.1, 0.9])
    assert levels.predict(X[:1]).tolist() == [[1, 2]]
    with pytest.raises(InputError, match="has 1 outputs, and these targets need 2"):
        MLPRegressor.from_weights([W[:, :1]], [[0]], loss="quantile", quantiles=[0.1, 0.9])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"coefs": COEFS[:1]}, "each layer needs one of both"),
        ({"coefs": [], "intercepts": []}, "each layer needs one of both"),
        ({"coefs": [[[1, 1], [1, 1]], [[1], [1], [1]]]}, "the layer before it has 2 units"),
        ({"intercepts": [[0], [0]]}, "a layer needs"),
        ({"coefs": [[[1, np.nan], [1, 1]], [[1], [1]]]}, r"coefs\[0\] has numbers that are not"),
        ({"intercepts": [[0, 0], [np.inf]]}, r"intercepts\[1\] has numbers that are not"),
        ({"coefs": [[["a", "b"], ["c", "d"]], [[1], [1]]]}, "coefs_"),
        ({"coefs": None}, "coefs must be a sequence with an array for each layer, got None"),
        ({"intercepts": 0}, "intercepts must be a sequence with an array for each layer, got 0"),
        ({"coefs": [[[1, 1], [1]], [[1], [1]]]}, r"coefs_\[0\] has rows of several lengths"),
        ({"coefs": [[[10**400, 1], [1, 1]], [[1], [1]]]}, r"coefs_\[0\] holds no numbers"),
        ({"coefs": [np.empty((0, 2)), [[1], [1]]]}, r"coefs\[0\] has the shape \(0, 2\)"),
        ({"activation": "stepp"}, "'stepp'"),
        ({"activation": ["relu", "relu"]}, "activation has 2 entries"),
        ({"alpha": -1}, "alpha"),
        ({"classes": [0, 1, 2]}, "has 1 outputs, and these targets need 3"),
        ({"classes": [1, 0]}, "increasing order"),
        ({"classes": [1]}, "two or more labels"),
        ({"classes": [[1], [2, 3]]}, "two or more labels"),
        ({"classes": np.array([1, "a"], object)}, "two or more labels"),
        ({"dropout": [0.1, 0.2]}, "dropout has 2 entries"),
        ({"coefs": [[[1, 1], [1, 1]], np.ones((2, 2))], "intercepts": [[0, 0], [0, 0]]},
         "has 2 outputs, and these targets need 1"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused(changed, message):
    given = {"coefs": COEFS, "intercepts": INTERCEPTS, "activation": "relu", **changed}
    with pytest.raises(ValueError, match=message):
        MLPClassifier.from_weights(**given)


def test_training_through_a_step_is_refused_with_the_reason():
    reason = "activation='step' cannot be trained: its derivative is 0"
    y = np.arange(20) % 2
    model = xor(warm_start=True)
    for train in (
        lambda: MLPClassifier((3,), "step").fit(X, y),
        lambda: MLPClassifier((3, 2), ["relu", "step"]).partial_fit(X, y, classes=[0, 1]),
        lambda: MLPRegressor(hidden_layer_sizes=(3,), activation="step").fit(X, y),
        lambda: model.fit(CORNERS, [0, 1, 1, 0]),
        lambda: TabularClassifier(hidden_layer_sizes=(3,), activation="step").fit(
            pd.DataFrame(X, columns=list("abc")), y
        ),
    ):
        with pytest.raises(ValueError, match=reason):
            train()
    assert model.predict(CORNERS).tolist() == [0, 1, 1, 0]
    # Without a hidden layer no unit has it.
    fit_quietly(MLPClassifier((), "step", max_iter=2), X, y)


def test_no_gradient_passes_a_step():
    model = xor()
    assert (input_gradients(model, CORNERS, 1) == 0).all()
    graph = trace(model, CORNERS[1], 1)
    hidden, output = graph.layers
    assert hidden.h.tolist() == [1, 0] and hidden.activation == "step"
    assert (hidden.dL_dh != 0).all() and (hidden.dL_dz == 0).all() and (graph.dL_dx == 0).all()
    assert output.dL_dW[0, 0] == pytest.approx(1 / (1 + np.exp(-0.5)) - 1)
    assert graph.check() < 1e-6


def test_it_is_saved(tmp_path):
    model = xor(classes=["a", "b"])
    save_model(model, tmp_path / "xor.fastmlp")
    loaded = load_model(tmp_path / "xor.fastmlp")
    np.testing.assert_array_equal(loaded.predict_proba(CORNERS), model.predict_proba(CORNERS))
    assert loaded.classes_.tolist() == ["a", "b"] and loaded.activation == "step"
