"""Fits that went wrong in a known way say so, and others say nothing."""

import warnings

import numpy as np
import pytest
from helpers import fit_quietly
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from fastmlp import MLPClassifier, MLPRegressor, TrainingWarning
from fastmlp.training.diagnosis import diverging, dying, overfitting, still_improving, stopped

TOL = 1e-4
FALLING = [1.0, 0.5, 0.3, 0.2, 0.15, 0.1]
SKLEARN = (
    r"Stochastic Optimizer: Maximum iterations \({}\) reached and the optimization hasn't "
    r"converged yet\."
)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (FALLING, None),
        ([1, 2, 4, 8, 16], "rose from 1 to 4: steps are too long. Lower learning_rate_init"),
        ([1.0, 0.5, 0.1, 0.7, 0.8, 0.9], "rose from 0.1 to 0.7"),
        # Half of what was gained, and half of the best: 0.1 + 0.45 + 0.05
        ([1.0, 0.1, 0.59, 0.59, 0.59], None),
        ([1.0, 0.1, 0.61, 0.61, 0.61], "rose from 0.1 to 0.61"),
        # One of the last three is low: noise
        ([1, 2, 4, 1, 16], None),
        ([1, 9], None),
        # Below ten times the tolerance nothing is said.
        ([1e-6, 1e-5, 1e-4, 2e-4, 9e-4, 9e-4, 9e-4], None),
        ([-3, -3, -1, -1, -1], "rose from -3 to -1"),
        ([1.0, 0.5, 2.0, np.nan], None),  # said anyway
        ([], None),
    ],
)
def test_diverging(losses, expected):
    found = diverging(losses, TOL)
    assert found is None if expected is None else expected in found


def test_best_weights_are_a_comfort():
    assert "; the weights of the best epoch are kept. Lower" in diverging([1, 2, 4, 8], TOL, True)
    assert "in epoch 1; the weights of the best" in stopped(1)


@pytest.mark.parametrize(
    ("validation_losses", "expected"),
    [
        (FALLING, None),
        ([1, 0.5, 0.4, 0.6, 0.7, 0.8], "rose from 0.4 in epoch 3 to 0.6 while the training loss"),
        ([1, 0.5, 0.4, 0.43, 0.43, 0.43], None),
        ([1, 0.5, 0.4, 0.45, 0.45, 0.45], "rose from 0.4 in epoch 3 to 0.45"),
        ([1, 0.5, 0.4, 0.6, 0.4, 0.8], None),
        ([None, 0.5, 0.4, 0.6, 0.7, 0.8], None),
        ([1e-6, 1e-5, 1e-4, 9e-4, 9e-4, 9e-4], None),
        ([], None),
    ],
)
def test_overfitting(validation_losses, expected):
    found = overfitting(FALLING, validation_losses, TOL)
    assert found is None if expected is None else expected in found
    # Where the training loss rises too, it is not overfitting.
    assert overfitting(FALLING[::-1], validation_losses, TOL) is None


@pytest.mark.parametrize(
    ("shares", "units", "expected"),
    [
        ([], [], None),
        ([0.9, 0.0], [20, 20], None),
        ([0.1, 0.95], [20, 20], "95% of the units of a relu layer"),
        ([1.0], [10], "100% of the units"),
        ([1.0], [9], None),
    ],
)
def test_dying(shares, units, expected):
    found = dying(shares, units)
    assert found is None if expected is None else expected in found


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3.0, 2.0, 1.0], "Raise max_iter."),
        # Medians of 10, 9, 8, 7, 6 and 5, 4, 3, 2, 1.
        (list(range(99, 0, -1)), "still fell by 5 in the last 5 epochs: raise max_iter or"),
        ([1.0] * 20, "fluctuates: lower learning_rate_init"),
    ],
)
def test_still_improving(losses, expected):
    assert expected in still_improving(losses, TOL)


X, Y = load_iris(return_X_y=True)


def test_a_limit_of_epochs_says_what_to_do():
    model = MLPClassifier(random_state=0, max_iter=20)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, Y)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith(
        "Stochastic Optimizer: Maximum iterations (20) reached and the optimization hasn't "
        "converged yet. The training loss still fell by "
    )
    with pytest.warns(ConvergenceWarning, match=SKLEARN.format(20) + "$"):
        model.set_params(diagnose=False).fit(X, Y)


def test_a_fit_that_diverges_slowly():
    # A rate at which the loss grows, and too few epochs to overflow.
    model = MLPRegressor(
        hidden_layer_sizes=(), solver="sgd", momentum=0, learning_rate_init=0.1, max_iter=8,
        n_iter_no_change=99, random_state=0,
    )  # fmt: skip
    with pytest.warns(TrainingWarning, match=r"loss rose .*diagnose=False") as caught:
        fit_quietly(model, X, Y)
    assert caught[0].filename == __file__ or "helpers" in caught[0].filename
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_quietly(model.set_params(diagnose=False), X, Y)
        warnings.simplefilter("ignore", TrainingWarning)
        fit_quietly(model.set_params(diagnose=True), X, Y)


def test_a_fit_that_overfits():
    rng = np.random.RandomState(0)
    rows, labels = rng.normal(size=(60, 20)), rng.randint(2, size=60)
    model = MLPClassifier(random_state=0, learning_rate_init=0.01, max_iter=100)
    noise = rng.normal(size=(60, 20)), rng.randint(2, size=60)
    with pytest.warns(TrainingWarning, match="the network overfits. Use early_stopping=True"):
        fit_quietly(model, rows, labels, eval_set=noise)
    fit_quietly(model.set_params(early_stopping=True), rows, labels, eval_set=noise)


def test_a_layer_that_dies():
    # A step so long that all units become negative for rows that are all positive.
    model = MLPRegressor(
        hidden_layer_sizes=(30,), solver="sgd", learning_rate_init=5, max_iter=3, random_state=0
    )
    with pytest.warns(TrainingWarning, match="100% of the units of a relu layer are zero"):
        fit_quietly(model, np.abs(X) / 10, Y - 9)
    leaky = MLPRegressor(
        hidden_layer_sizes=(30,),
        activation="tanh",
        solver="sgd",
        learning_rate_init=5,
        max_iter=3,
        random_state=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        leaky.fit(np.abs(X) / 10, Y - 9)
    assert not any("relu" in str(warning.message) for warning in caught)


def test_only_the_last_fit_counts():
    model = MLPRegressor(hidden_layer_sizes=(), random_state=0, warm_start=True, max_iter=30)
    fit_quietly(model, X, Y)
    model.loss_curve_[:] = [1e-9] * 30  # as if it had been perfect
    fit_quietly(model, X, Y)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer, load_diabetes])
def test_ordinary_fits_say_nothing(load, standardised, seed):
    rows, target = load(return_X_y=True)
    rows = scale(rows) if standardised else rows
    cls = MLPRegressor if load is load_diabetes else MLPClassifier
    configurations = [{}, {"hidden_layer_sizes": (20, 20)}, {"batch_size": 16}]
    if standardised:  # else units do die by long steps
        configurations.append({"solver": "sgd"})
    for params in configurations:
        model = cls(random_state=seed, max_iter=60, **params)
        scaled = scale(target) if cls is MLPRegressor else target
        with warnings.catch_warnings():
            warnings.simplefilter("error", TrainingWarning)
            fit_quietly(model, rows, scaled)
