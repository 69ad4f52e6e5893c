"""The CUDA engine against the CPU's: on a GPU, or small shapes in the simulator."""

from contextlib import nullcontext

import numpy as np
import pytest
from helpers import loss_and_gradient

from fastmlp.engines.cpu.engine import CpuEngine
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.network.weights import initialise

pytestmark = pytest.mark.usefixtures("gpu")


def scheduled(seed):
    """The scheduler of whole grids in the simulator; nothing on a GPU."""
    from fastmlp.engines.cuda.support import is_simulated

    if not is_simulated():
        return nullcontext()
    from scheduler import scheduled

    return scheduled(seed)


def quartic(y, p):
    return (p - y) ** 4 / 4


def quartic_derivative(y, p):
    return (p - y) ** 3


def constants_of(loss, n_outputs):
    """What a plan has to have for a loss."""
    if loss == Loss.CUSTOM:
        return {"custom_loss": (quartic, quartic_derivative)}
    if loss in (Loss.QUANTILE, Loss.HUBER, Loss.MARGIN, Loss.BINARY_MARGIN):
        first, last = (0.2, 0.7) if loss == Loss.QUANTILE else (0.6, 0.6)
        return {"loss_parameters": tuple(np.linspace(first, last, n_outputs))}
    return {}


def problem(units=(5, 9, 6, 3), n_rows=13, batch_size=5, dtype=np.float32, **options):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, units[0])).astype(dtype)
    Y = np.eye(units[-1], dtype=dtype)[rng.integers(0, units[-1], n_rows)]
    choices = {"activation": Activation.RELU, "loss": Loss.CROSS_ENTROPY}
    choices |= {"optimizer": Optimizer.ADAM, "alpha": 0.1, **options}
    choices = constants_of(choices["loss"], units[-1]) | choices
    plan = TrainingPlan(
        tuple(units), batch_size=batch_size, momentum=0.9, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
        dtype=np.dtype(dtype), **choices,
    )  # fmt: skip
    theta = initialise(units, plan.activation, np.random.RandomState(0), plan.dtype)
    return plan, theta, X, Y


def cuda_engine(*args, **options):
    from fastmlp.engines.cuda.engine import CudaEngine

    return CudaEngine(*args, **options)


def compare(plan, theta, X, Y, sample_weight=None, tolerance=2e-6, n_epochs=1, **options):
    """Both engines after some epochs; losses, parameters and states are equal to rounding."""
    order = np.random.default_rng(1).permutation(len(X))
    cpu = CpuEngine(plan, theta, X, Y, sample_weight)
    with scheduled(0):
        gpu = cuda_engine(plan, theta, X, Y, sample_weight, **options)
        for _ in range(n_epochs):
            loss = cpu.run_epoch(order, 0.01)
            assert abs(gpu.run_epoch(order, 0.01) - loss) < tolerance * max(1, abs(loss))
            if plan.monitors_gradient:
                assert gpu.gradient_norm == pytest.approx(cpu.gradient_norm, rel=tolerance)
        state = gpu.state()
        outputs = gpu.outputs(X)
    assert state[0] == cpu.step
    scale = np.abs(cpu.pull()).max()
    np.testing.assert_allclose(gpu.pull(), cpu.pull(), rtol=0, atol=30 * tolerance * scale)
    for vector, expected in zip(state[1:], cpu.state()[1:], strict=True):
        np.testing.assert_allclose(vector, expected, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(outputs, cpu.outputs(X), rtol=0, atol=50 * tolerance)
    cpu.__exit__()


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("activation", list(Activation))
def test_three_steps_equal_the_cpus(activation, loss):
    # Each pair of an optimiser and a loss, and of an optimiser and an activation, occurs.
    optimizer = list(Optimizer)[(3 * activation + loss) % len(Optimizer)]
    arguments = problem(
        activation=activation, loss=loss, optimizer=optimizer, dtype=np.float64, batch_size=6
    )
    compare(*arguments, tolerance=1e-11)


@pytest.mark.parametrize("loss", list(Loss))
def test_three_steps_of_float32_equal_the_cpus(loss):
    activation = (Activation.RELU, Activation(loss))
    compare(*problem(activation=activation, loss=loss, optimizer=Optimizer.NESTEROV))


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_optimizers_of_float32_equal_the_cpus(optimizer):
    compare(*problem(optimizer=optimizer, activation=Activation.TANH), tolerance=1e-5)


@pytest.mark.parametrize(
    ("units", "n_rows", "batch_size"),
    [((1, 1), 1, 1), ((1, 1, 1), 3, 2), ((3, 40, 2), 9, 9), ((20, 70, 3), 6, 4), ((2, 130), 5, 3),
     ((33, 17, 65, 2), 7, 5)],
)  # fmt: skip
@pytest.mark.parametrize("is_cooperative", [False, True])
def test_odd_shapes(units, n_rows, batch_size, is_cooperative):
    # Not Adam, whose first steps magnify the rounding of small gradients.
    arguments = problem(units, n_rows, batch_size, optimizer=Optimizer.NESTEROV)
    compare(*arguments, is_cooperative=is_cooperative, n_blocks=3)


def test_predictions_between_epochs_follow_the_parameters(monkeypatch):
    from fastmlp.engines.cuda import network
    from fastmlp.engines.cuda.engine import outputs

    monkeypatch.setattr(network, "_PREDICTED_ROWS", 5)
    sent = []
    send = network.to_device
    monkeypatch.setattr(network, "to_device", lambda *args: sent.append(1) or send(*args))
    plan, theta, X, Y = problem()
    with scheduled(0):
        engine = cuda_engine(plan, theta, X, Y)
        for n_sent in (3, 3, 6):  # the rows stay on the device, until there are others
            X = X if n_sent == 3 else X[::-1].copy()
            engine.run_epoch(np.arange(len(X)), 0.01)
            predicted = engine.outputs(X)
            assert len(sent) == n_sent
            np.testing.assert_array_equal(predicted, outputs(plan, engine.pull(), X.copy()))
            del sent[n_sent:]
        monkeypatch.setattr(network, "_KEPT_BYTES", 0)
        np.testing.assert_array_equal(engine.outputs(X.copy()), predicted)


def test_memory_for_predictions_and_penalties():
    from fastmlp.engines.cuda.layout import BEYOND, device_layout
    from fastmlp.network.weights import n_parameters

    plan, *_ = problem((5, 9, 3))
    n_theta = n_parameters(plan.layer_units)
    # Rows in groups of four; places that are read four at a time begin at multiples of four.
    assert n_theta % 4 == 0
    assert device_layout(plan, 7, is_trained=False).size == n_theta + 8 * (5 + 9 + 3) + BEYOND
    # Of two matrices each has one tile; the second matrix has a transposed copy.
    size = 3 * n_theta + 8 * (5 + 2 * 9 + 3) + 28 + 2 + BEYOND
    assert device_layout(plan, 7).size == size


def test_data_that_do_not_fit_the_network():
    plan, theta, X, Y = problem()
    with pytest.raises(ValueError, match="do not fit units"):
        cuda_engine(plan, theta, X[:, :4], Y)
    with pytest.raises(ValueError, match="do not fit units"):
        cuda_engine(plan, theta, X, Y[:5])


def test_float64_equals_to_its_rounding():
    compare(*problem(dtype=np.float64), tolerance=1e-13, n_epochs=2)


def test_a_penalty_that_is_zero_in_float32_is_none(simulator, monkeypatch):
    from fastmlp.engines.cuda import engine

    def unknown(size, dtype):  # as memory on a device is
        fill = np.nan if np.issubdtype(dtype, np.floating) else 7
        return engine.cuda.to_device(np.full(size, fill, dtype))

    monkeypatch.setattr(engine.cuda, "device_array", unknown)
    compare(*problem(alpha=1e-50, optimizer=Optimizer.SGD), is_cooperative=True)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_sample_weights(alpha):
    arguments = problem(alpha=alpha, loss=Loss.BINARY_CROSS_ENTROPY)
    weight = np.random.default_rng(2).uniform(0.1, 2, len(arguments[2])).astype(np.float32)
    compare(*arguments, sample_weight=weight, n_epochs=2)


def test_too_little_memory_is_said(device_memory):
    device_memory.free = 1000
    with pytest.raises(ValueError, match=r"need 0\.0 GiB, and 0\.0 GiB are free on the GPU"):
        cuda_engine(*problem())


def test_memory_that_waits_to_be_freed_is_room(device_memory):
    from fastmlp.engines.cuda.network import has_room

    device_memory.free, device_memory.pending = 1000, 1000
    assert has_room(1000) and not device_memory.events
    assert has_room(1500) and device_memory.events
    assert not has_room(2001)


def test_some_memory_is_reserved(monkeypatch):
    from types import SimpleNamespace

    from numba import cuda

    from fastmlp.engines.cuda.network import free_bytes, has_room

    for free, usable in ((2**30, 0.95 * 2**30 - 2**28), (2**28, 0), (np.inf, np.inf)):
        context = SimpleNamespace(get_memory_info=lambda free=free: (free, 2**40))
        monkeypatch.setattr(cuda, "current_context", lambda context=context: context)
        assert free_bytes() == usable and has_room(usable)
        assert has_room(usable + 1) == (usable == np.inf)


def test_the_end_of_a_fit_gives_memory_back(device_memory):
    from weakref import ref

    device_memory.free = 2**30
    with scheduled(0), cuda_engine(*problem()) as engine:
        engine.run_epoch(np.arange(13), 0.1)
        engine.outputs(np.zeros((3, 5), np.float32))
        arrays = [ref(engine._network.arena), *map(ref, engine._data)]
        assert not device_memory.events
    assert device_memory.events and [array() for array in arrays] == [None] * 4


def test_other_errors_of_the_driver_stay_what_they_are():
    from fastmlp.engines.cuda.network import memory_errors
    from fastmlp.exceptions import DeviceError

    with pytest.raises(RuntimeError, match="CUDA_ERROR_ILLEGAL_ADDRESS"), memory_errors():
        raise RuntimeError("Call to cuMemAlloc results in CUDA_ERROR_ILLEGAL_ADDRESS")
    with pytest.raises(DeviceError, match="use device='cpu'") as error, memory_errors():
        raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: The API call failed ...")
    assert "\n" not in str(error.value)


def test_weights_of_a_batch_that_sum_to_zero():
    arguments = problem()
    weight = np.r_[np.zeros(5), np.ones(8)]
    with scheduled(0), pytest.raises(ValueError, match="sum to zero"):
        cuda_engine(*arguments, weight).run_epoch(np.arange(13), 0.1)


def test_gradient():
    plan, theta, X, Y = problem(dtype=np.float64, optimizer=Optimizer.GRADIENT, batch_size=13)
    with scheduled(0):
        loss, gradient = cuda_engine(plan, theta, X, Y).loss_and_gradient(theta)
    expected_loss, expected = loss_and_gradient(plan, theta, X, Y)
    assert abs(loss - expected_loss) < 1e-13
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13)


def test_state_goes_from_engine_to_engine():
    plan, theta, X, Y = problem()
    order = np.arange(len(X))
    with scheduled(0):
        one = cuda_engine(plan, theta, X, Y)
        for _ in range(2):
            one.run_epoch(order, 0.01)
        first = cuda_engine(plan, theta, X, Y)
        first.run_epoch(order, 0.01)
        second = cuda_engine(plan, theta, X, Y)
        second.push(first.pull(), first.state())
        second.run_epoch(order, 0.01)
    np.testing.assert_array_equal(second.pull(), one.pull())


@pytest.mark.parametrize("loss", [Loss.CROSS_ENTROPY, Loss.SQUARED_ERROR])
def test_any_number_of_blocks_and_any_order_of_threads_give_the_same_bits(loss, simulator):
    from scheduler import scheduled

    plan, theta, X, Y = problem((7, 20, 5, 3), n_rows=11, batch_size=9, loss=loss)
    results = []
    for n_blocks, seed, is_cooperative in [(1, 0, False), (1, 1, True), (3, 2, True), (5, 3, True),
                                           (5, 4, True), (4, 5, False)]:  # fmt: skip
        with scheduled(seed):
            engine = cuda_engine(
                plan, theta, X, Y, n_blocks=n_blocks, is_cooperative=is_cooperative
            )
            loss_value = engine.run_epoch(np.arange(11), 0.01)
            results.append([loss_value, *engine.pull(), *engine.outputs(X).ravel()])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("units", [(7, 20, 3), (70, 50, 9), (3, 20), (5, 6, 4, 2)])
@pytest.mark.parametrize("loss", [Loss.CROSS_ENTROPY, Loss.MARGIN, Loss.SQUARED_ERROR])
def test_groups_of_rows_of_blocks_and_of_warps_give_the_same_bits(units, loss, simulator):
    from scheduler import scheduled

    plan, theta, X, Y = problem(
        units, n_rows=45, batch_size=42, loss=loss, dropout=(0.4,) * (len(units) - 2)
    )
    results = []
    for n_blocks in (1, 11):  # eleven groups
        with scheduled(n_blocks):
            engine = cuda_engine(plan, theta, X, Y, n_blocks=n_blocks)
            results.append([engine.run_epoch(np.arange(45), 0.01), *engine.pull()])
    np.testing.assert_array_equal(*results)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_last_finite_parameters_are_kept():
    plan, theta, X, Y = problem(optimizer=Optimizer.SGD)
    order = np.arange(len(X))
    with scheduled(0):
        engine = cuda_engine(plan, theta, X, Y)
        assert engine.last_finite() is None
        engine.run_epoch(order, 0.01)
        np.testing.assert_array_equal(engine.last_finite(), theta)
        second = engine.pull()
        engine.run_epoch(order, np.inf)
        np.testing.assert_array_equal(engine.last_finite(), second)
        engine.run_epoch(order, 0.01)  # begins with parameters that are not finite
        np.testing.assert_array_equal(engine.last_finite(), second)
        engine.run_epoch(order, 0.01)
        assert engine.last_finite() is None
