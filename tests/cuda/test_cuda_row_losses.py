"""Losses of rows that are not trained on: the GPU's are the CPU's."""

import numpy as np
import pytest
from test_cuda_engine import cuda_engine, problem, quartic, quartic_derivative, scheduled

from fastmlp import MLPClassifier
from fastmlp.engines.cpu.row_losses import row_losses
from fastmlp.estimators.holdout import mean_loss
from fastmlp.network.plan import Loss

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", list(Loss))
def test_losses_equal_the_cpus(loss, dtype, monkeypatch):
    from fastmlp.engines.cuda import row_losses as module

    plan, theta, X, Y = problem(loss=loss, dtype=dtype)
    P = np.random.default_rng(2).dirichlet(np.ones(3), len(X)).astype(dtype)
    if loss != Loss.POISSON:  # in Python 0 / 0 is an error
        P[0] = 1.0, 0.0, 0.0
    expected = row_losses(plan, Y, P)
    with cuda_engine(plan, theta, X, Y) as engine:
        found = engine.row_losses(Y, P)
        monkeypatch.setattr(module, "_ROWS", 5)  # of which the last launch has three
        in_pieces = engine.row_losses(Y, P)
    assert found.dtype == np.float64 and found.shape == (len(X),)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(in_pieces, found)


def test_mean_loss_of_the_engines_predictions():
    plan, theta, X, Y = problem()
    with cuda_engine(plan, theta, X, Y) as engine:
        outputs = engine.outputs(X)
        found = mean_loss(engine, Y, outputs, np.linspace(0.1, 2, len(X)))
    weight = np.linspace(0.1, 2, len(X))
    assert found == pytest.approx(np.average(row_losses(plan, Y, outputs), weights=weight))


def test_few_kernels_of_custom_losses_are_kept():
    from fastmlp.engines.cuda import row_losses as module

    def loss_of(power):
        return lambda y, p: (p - y) ** power

    module._custom_kernel.cache_clear()
    for power in range(20):
        module._custom_kernel(loss_of(power), quartic_derivative)
    kept = module._custom_kernel.cache_info().currsize
    assert kept == module.MOST_KEPT
    module._custom_kernel.cache_clear()
    module._custom_kernel(quartic, quartic_derivative)
    module._custom_kernel(quartic, quartic_derivative)
    assert module._custom_kernel.cache_info().hits == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_validation_losses_of_a_fit_are_the_cpus():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)

    def validation_losses(device):
        model = MLPClassifier((5,), max_iter=3, batch_size=10, random_state=0, device=device)
        return model.fit(X, y, eval_set=(X[:9], y[:9])).history_["validation_loss"]

    with scheduled(0):
        found = validation_losses("cuda")
    assert found == pytest.approx(validation_losses("cpu"), rel=1e-9)
