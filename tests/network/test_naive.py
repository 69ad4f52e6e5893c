"""The oracle is right itself: against finite differences and against scikit-learn."""

import warnings

import naive
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

PARAMETERS = {"huber": 0.7, "quantile": (0.1, 0.5, 0.8), "margin": 0.6, "binary_margin": 0.6}
LOSSES = [
    "squared_error", "poisson", "absolute_error", "huber", "quantile", "log_cosh",
    "cross_entropy", "binary_cross_entropy", "margin", "binary_margin",
]  # fmt: skip


@pytest.mark.parametrize("activation", [*naive.ACTIVATIONS, ("gelu", "tanh")])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient(activation, loss):
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(9, 4)), np.eye(3)[rng.randint(0, 3, 9)]
    sample_weight = rng.uniform(0.5, 2, 9)
    weights, biases = naive.initial_weights([4, 5, 6, 3], activation, rng)
    masks = [rng.randint(0, 2, (9, n)) * 2.0 for n in (5, 6)]
    arguments = activation, loss, X, Y, sample_weight
    options = {"masks": masks, "parameter": PARAMETERS.get(loss)}
    grads = naive.loss_and_gradient(weights, biases, *arguments, 0.3, l1=0.2, **options)[1]
    # For the squared error training descends the sum over outputs, three times the loss.
    scale = 3 if loss == "squared_error" else 1
    for parameter, grad in zip(weights + biases, grads, strict=True):
        index = tuple(rng.randint(0, n) for n in parameter.shape)
        sides = []
        for step in (1e-6, -2e-6):
            parameter[index] += step
            value = naive.loss_and_gradient(weights, biases, *arguments, 0.0, **options)[0]
            penalty = 0.15 * sum((W**2).sum() for W in weights) / sample_weight.sum()
            penalty += 0.2 * sum(np.abs(W).sum() for W in weights) / sample_weight.sum()
            sides.append(scale * value + penalty)
        parameter[index] += 1e-6
        assert grad[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_dropout_mask():
    mask = naive.dropout_mask(0.25, 3, 40, 2**32 - 5, 50, seed=7)
    assert set(np.unique(mask)) == {0, 1 / 0.75}
    assert abs(mask.mean() - 1) < 0.05
    # Neither rows nor columns repeat each other.
    assert abs(np.corrcoef(mask) - np.eye(50)).max() < 0.6
    assert abs(np.corrcoef(mask.T) - np.eye(40)).max() < 0.6


def test_training():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(50, 4)), rng.randint(0, 3, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier((6,), batch_size=11, max_iter=10, random_state=1).fit(X, y)
    weights, biases, curve = naive.train(
        X, np.eye(3)[y], hidden=(6,), activation_name="relu", loss="cross_entropy",
        optimizer=naive.Adam, seed=1, epochs=10, batch_size=11, alpha=1e-4, learning_rate=1e-3,
    )  # fmt: skip
    for ours, theirs in zip(weights + biases, model.coefs_ + model.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(curve, model.loss_curve_)
