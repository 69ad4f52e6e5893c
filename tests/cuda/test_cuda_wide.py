"""Wide networks: products of matrices by tiles."""

import numpy as np
import pytest
from helpers import loss_and_gradient
from test_cuda_engine import compare, cuda_engine, problem, scheduled

from fastmlp.network.plan import Activation, Loss, Optimizer

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.fixture(autouse=True)
def everything_is_wide(monkeypatch):
    from fastmlp.engines.cuda import wide

    monkeypatch.setattr(wide, "_WIDE_UNITS", 1)
    monkeypatch.setattr(wide, "_WIDE_MULTIPLY_ADDS", 1)


@pytest.mark.parametrize(
    ("units", "n_rows", "batch_size"),
    [
        ((5, 9, 6, 3), 13, 5),
        ((1, 1, 1), 3, 2),
        ((33, 34, 40, 2), 70, 66),
        ((8, 32, 32, 65), 32, 32),
    ],
)
@pytest.mark.parametrize("activation", [Activation.RELU, Activation.TANH])
def test_steps_equal_the_cpus(units, n_rows, batch_size, activation):
    # Not Adam, whose first steps magnify the rounding of small gradients.
    arguments = problem(
        units, n_rows, batch_size, optimizer=Optimizer.NESTEROV, activation=activation
    )
    compare(*arguments, tolerance=5e-6, n_epochs=2)


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("optimizer", [Optimizer.SGD, Optimizer.ADAM])
def test_losses_solvers_and_weights_in_float64(loss, optimizer):
    arguments = problem(loss=loss, optimizer=optimizer, dtype=np.float64)
    weight = np.linspace(0.5, 2, 13)
    compare(*arguments, sample_weight=weight, tolerance=1e-12, n_epochs=2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip_norm": 0.5, "max_norm": 0.9, "l1": 0.1, "dropout": (0.3, 0.3), "loss": Loss.MARGIN},
    ],
)
@pytest.mark.parametrize("n_outputs", [3, 40])
def test_any_number_of_blocks_and_any_order_of_threads_give_the_same_bits(
    simulator, options, n_outputs
):
    # 40 outputs are too many for the phase that computes those of a narrow layer.
    plan, theta, X, Y = problem((7, 70, 40, n_outputs), n_rows=50, batch_size=38, **options)
    results = []
    for n_blocks, seed, is_cooperative in [
        (1, 0, False),
        (3, 1, False),
        (1, 2, True),
        (3, 3, True),
    ]:
        from scheduler import scheduled

        with scheduled(seed):
            network = cuda_engine(
                plan, theta, X, Y, n_blocks=n_blocks, is_cooperative=is_cooperative
            )
            loss = network.run_epoch(np.arange(50), 0.01)
            results.append([loss, *network.pull(), *network.outputs(X).ravel()])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_rows_in_chunks_give_the_same_bits(monkeypatch):
    from fastmlp.engines.cuda import engine

    arguments = problem(n_rows=23)
    results = []
    for is_resident in (True, False):
        monkeypatch.setattr(engine, "has_room", lambda n_bytes, answer=is_resident: answer)
        monkeypatch.setattr(engine, "check_room", lambda n_bytes: None)
        monkeypatch.setattr(engine, "rows_of_a_chunk", lambda *args: 10)
        with scheduled(0):
            network = cuda_engine(*arguments)
            results.append([network.run_epoch(np.arange(23)[::-1], 0.01), *network.pull()])
    np.testing.assert_array_equal(results[0], results[1])


def test_what_is_wide(monkeypatch):
    from fastmlp.engines.cuda import wide

    monkeypatch.undo()
    for units, batch_size, answer in [
        ((784, 512, 512, 10), 1024, True), ((784, 512, 512, 10), 200, False),
        ((784, 512, 100, 10), 10**5, False), ((784, 10), 10**6, False),
        ((20, 4096, 4096, 1), 64, True),
    ]:  # fmt: skip
        plan, *_ = problem((2, 2, 2), batch_size=batch_size)
        object.__setattr__(plan, "layer_units", units)
        assert wide.is_wide(plan) == answer


def test_gradient():
    plan, theta, X, Y = problem(dtype=np.float64, optimizer=Optimizer.GRADIENT, batch_size=13)
    with scheduled(0):
        loss, gradient = cuda_engine(plan, theta, X, Y).loss_and_gradient(theta)
    expected_loss, expected = loss_and_gradient(plan, theta, X, Y)
    assert abs(loss - expected_loss) < 1e-13
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_wide_networks_do_not_join_a_group():
    """Their sums have another order there."""
    from fastmlp import MLPRegressor, fit_many

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 6)), rng.normal(size=40)
    models = [
        MLPRegressor(
            hidden_layer_sizes=(20, 5), batch_size=20, max_iter=1, random_state=seed, device="cuda"
        )
        for seed in range(2)
    ]
    with scheduled(0):
        expected = [model.fit(X, y).coefs_[0] for model in models]
        fit_many(models, X, y)
    for model, coefs in zip(models, expected, strict=True):
        np.testing.assert_array_equal(model.coefs_[0], coefs)
