"""Initial weights: their distributions, and that they come from random_state."""

import naive
import numpy as np
import pytest
from helpers import fit_quietly, flat

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.network.plan import Activation
from fastmlp.network.weights import (
    INITIALISERS,
    check_memory,
    initialise,
    machine_memory,
    views,
)

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


def test_networks_beyond_the_memory_are_refused_before_they_take_it(monkeypatch):
    # 3 * 4 + 4 biases and 4 + 1: 21 parameters of 8 bytes, of which training holds three copies.
    monkeypatch.setattr("fastmlp.network.weights.machine_memory", lambda: 3 * 8 * 21)
    check_memory([3, 4, 1], np.float64)
    with pytest.raises(MemoryError, match=r"3-5-1 units has 26 weights.*this machine has .* GiB"):
        check_memory([3, 5, 1], np.float64)
    check_memory([3, 5, 1], np.float32)
    monkeypatch.setattr("fastmlp.network.weights.machine_memory", lambda: None)
    check_memory([10**6, 10**6], np.float64)


def test_the_memory_of_a_container_counts(monkeypatch, tmp_path):
    whole = machine_memory()
    limits = [tmp_path / "v2", tmp_path / "v1", tmp_path / "missing"]
    monkeypatch.setattr("fastmlp.network.weights._LIMITS", limits)
    limits[0].write_text("max\n")
    limits[1].write_text(f"{2**62}\n")
    assert machine_memory() == whole
    limits[1].write_text("4096\n")
    assert machine_memory() == (None if whole is None else 4096)


@pytest.mark.parametrize("model", [MLPClassifier, MLPRegressor])
def test_a_network_that_no_machine_holds_is_a_memory_error(model):
    with pytest.raises(MemoryError, match="3-1000000-1000000-1 units"):
        model(hidden_layer_sizes=(10**6, 10**6)).fit(np.eye(3), [0, 1, 0])
