"""Losses of rows that are not trained on, as a mean."""

import naive
import numpy as np
import pytest

from fastmlp.engines.cpu.engine import CpuEngine
from fastmlp.estimators.holdout import FixedWeights, mean_loss
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

PLAN = TrainingPlan((4, 3), Activation.RELU, Loss.CROSS_ENTROPY, Optimizer.GRADIENT)
RNG = np.random.RandomState(0)
THETA = RNG.normal(size=15)
X = RNG.normal(size=(20, 4))
Y = np.eye(3)[RNG.randint(3, size=20)]
OUTPUTS = naive.output_activation("cross_entropy", X @ THETA[:12].reshape(4, 3) + THETA[12:])


@pytest.fixture(params=["the engine's weights", "other weights"])
def engine(request):
    with CpuEngine(PLAN, THETA, X, Y) as engine:
        is_fixed = request.param == "other weights"
        yield FixedWeights(engine, THETA, "cpu", None) if is_fixed else engine


@pytest.mark.parametrize("weight", [None, RNG.uniform(0.1, 2, 20)])
def test_mean_loss_is_that_of_a_plain_implementation(engine, weight):
    found = mean_loss(engine, Y, OUTPUTS, weight)
    expected = np.average(naive.row_losses("cross_entropy", Y, OUTPUTS), weights=weight)
    assert found == pytest.approx(expected, rel=1e-12) and type(found) is float


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_mean_loss_of_predictions_that_are_not_finite_is_no_number(engine, value):
    outputs = OUTPUTS.copy()
    outputs[0, 0] = value
    assert np.isnan(mean_loss(engine, Y, outputs))
