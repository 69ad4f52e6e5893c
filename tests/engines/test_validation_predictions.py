"""Predictions of the CPU's engine while it trains, as validation makes them."""

import numpy as np
import pytest
import scipy.sparse as sp

from fastmlp.engines.cpu.engine import CpuEngine, outputs
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.network.weights import n_parameters


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_network_in_training_predicts_as_one_that_was_pulled(dtype, is_sparse):
    """The same bits, whether weights lie in panels or as matrices, and after each epoch anew."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 5)).astype(dtype)
    for activation, loss in ((Activation.RELU, Loss.CROSS_ENTROPY), (Activation.TANH, Loss.HUBER)):
        plan = TrainingPlan(
            (5, 33, 20, 3), activation, loss, Optimizer.ADAM, batch_size=64, dtype=np.dtype(dtype),
            beta_1=0.9, beta_2=0.999, epsilon=1e-8, loss_parameters=(1.0,) * 3,
        )  # fmt: skip
        Y = np.eye(3)[rng.integers(0, 3, 700)]
        theta = rng.normal(size=n_parameters(plan.layer_units))
        rows = sp.csr_array(X * (X > 0)) if is_sparse else X
        with CpuEngine(plan, theta, rows, Y) as engine:
            for some in (rows[:1], rows[:90], rows):  # few rows, and many
                for _ in range(2):
                    engine.run_epoch(rng.permutation(700), 0.01)
                    found = engine.outputs(some)
                    expected = outputs(plan, engine.pull(), some)
                    np.testing.assert_array_equal(found, expected)
                assert engine.outputs(some) is not engine.outputs(some)
            with pytest.raises(ValueError, match="does not fit a network of 5 inputs"):
                engine.outputs(rows[:, :4])
