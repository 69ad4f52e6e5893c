"""Members of a pack that learn the logarithm of a target with a heavy tail."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import TabularRegressor, load_model, save_model
from fastmlp.tabular.pack.tails import LogTarget


def standardised(numbers: np.ndarray) -> tuple[np.ndarray, float]:
    mean, scale = numbers.mean(), numbers.std()
    return (numbers - mean) / scale, -mean / scale


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.floats(0.7, 3), st.floats(-5, 5), st.integers(0, 2**32 - 1))
def test_the_change_can_be_undone(spread: float, middle: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, zero = standardised(np.exp(middle + spread * rng.normal(size=200)))
    change = LogTarget.learn(targets, zero)
    if change is None:  # few draws lie in the tail
        return
    changed = change.change(targets)
    assert abs(changed.mean()) < 1e-3 and changed.std() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(change.change_back(changed.astype(float)), targets, rtol=1e-3,
                               atol=1e-4)  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "is_changed"),
    [
        (np.random.default_rng(0).lognormal(size=500), True),
        (np.random.default_rng(0).poisson(np.exp(np.linspace(-1, 4, 500))), True),
        (np.random.default_rng(0).normal(100, 1, size=500), False),
        (np.random.default_rng(0).uniform(size=500), False),
        # Numbers below zero have no logarithm.
        (np.random.default_rng(0).lognormal(size=500) - 0.5, False),
        # The tail is heavy, and its logarithm is hardly lighter.
        (np.r_[np.ones(495), np.full(5, 1e6)], False),
        (np.zeros(10), False),
    ],
)
def test_which_targets_are_changed(numbers: np.ndarray, is_changed: bool) -> None:
    scale = numbers.std() or 1.0
    targets, zero = (numbers - numbers.mean()) / scale, -numbers.mean() / scale
    assert (LogTarget.learn(targets, zero) is not None) == is_changed


def test_zeros_of_counts_are_kept_apart() -> None:
    counts = np.random.default_rng(0).poisson(np.exp(np.linspace(-1, 4, 500))).astype(float)
    targets, zero = standardised(counts)
    change = LogTarget.learn(targets, zero)
    assert change is not None
    # The logarithm is that of the count and one, up to scale.
    u = change.change(targets).astype(float)
    expected = np.log(counts + 1)
    np.testing.assert_allclose(u, (expected - expected.mean()) / expected.std(), atol=1e-4)


def test_no_prediction_is_infinite() -> None:
    change = LogTarget(0.0, 0.0, 1.0)
    assert np.isfinite(change.change_back(np.array([1e30, -1e30]))).all()


def test_a_product_is_learned_by_its_logarithm(tmp_path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 6))
    y = np.exp(x @ np.array([1.0, 0.8, 0.6, -0.6, 0.4, 0.3]) + 0.05 * rng.normal(size=500))
    X = pd.DataFrame(x, columns=[*"abcdef"])
    model = TabularRegressor(members=12).fit(X[:400], y[:400])
    weights = model.estimator_.weights
    assert weights.get("log", 0) > 0.5
    assert model.score(X[400:], y[400:]) > 0.8
    save_model(model, tmp_path / "m.fastmlp")
    assert np.array_equal(load_model(tmp_path / "m.fastmlp").predict(X), model.predict(X))
