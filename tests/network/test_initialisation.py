"""Initial weights: their distributions, and that they come from random_state."""

import naive
import numpy as np
import pytest
from helpers import fit_quietly, flat

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.network.plan import Activation
from fastmlp.network.weights import INITIALISERS, initialise, views

UNITS = (300, 200, 100)
NAMED = sorted(INITIALISERS - {"sklearn"})
X = np.random.RandomState(0).normal(size=(30, 4))
Y = X[:, 0] * X[:, 1]
# So small a rate leaves the initial weights as they are.
STILL = {"max_iter": 1, "learning_rate_init": 1e-300, "random_state": 5}


def drawn(init, seed=0, dtype=np.float64):
    rng = np.random.RandomState(seed)
    return views(initialise(UNITS, Activation.RELU, rng, dtype, init), UNITS)


def test_names():
    kinds, distributions = ("glorot", "he", "lecun"), ("uniform", "normal")
    assert [f"{k}_{d}" for k in kinds for d in sorted(distributions)] == NAMED


@pytest.mark.parametrize("init", NAMED)
def test_variance_and_bounds(init):
    coefs, intercepts = drawn(init)
    for weights, biases in zip(coefs, intercepts, strict=True):
        fan_in, fan_out = weights.shape
        variance = {
            "glorot": 2 / (fan_in + fan_out),
            "he": 2 / fan_in,
            "lecun": 1 / fan_in,
        }[init.split("_")[0]]
        assert weights.var() == pytest.approx(variance, rel=0.05)
        assert abs(weights.mean()) < 0.05 * np.sqrt(variance)
        largest = abs(weights).max() / np.sqrt(variance)
        # A uniform distribution ends at sqrt(3) deviations, a normal one does not.
        assert (1.7 < largest <= np.sqrt(3)) if init.endswith("uniform") else largest > 3
        assert not biases.any()


@pytest.mark.parametrize("activation", ["relu", "logistic"])
@pytest.mark.parametrize("init", sorted(INITIALISERS))
def test_an_estimator_begins_with_the_weights_of_a_plain_implementation(init, activation):
    model = MLPRegressor(hidden_layer_sizes=(7, 6), activation=activation, init=init, **STILL)
    fit_quietly(model, X, Y)
    rng = np.random.RandomState(5)
    weights, biases = naive.initial_weights([4, 7, 6, 1], activation, rng, init)
    expected = np.concatenate([np.ravel(p) for p in weights + biases])
    np.testing.assert_allclose(flat(model), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("init", sorted(INITIALISERS))
def test_float32_is_rounded_from_the_same_draws(init):
    for single, double in zip(drawn(init, dtype=np.float32)[0], drawn(init)[0], strict=True):
        np.testing.assert_array_equal(single, double.astype(np.float32))
        assert single.dtype == np.float32


def test_the_default_is_that_of_scikit_learn_and_seeds_matter():
    rng = np.random.RandomState(0)
    default = initialise(UNITS, Activation.RELU, rng, np.float64)
    np.testing.assert_array_equal(views(default, UNITS)[0][0], drawn("sklearn")[0][0])
    assert (drawn("he_normal", 0)[0][0] != drawn("he_normal", 1)[0][0]).all()


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match="'init' parameter of MLPClassifier must be a str among"):
        MLPClassifier(init="zeros").fit(X, Y > 0)
