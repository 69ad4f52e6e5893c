"""Kernels of custom losses are kept for a while, and those that are in use for as long as that."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from test_cuda_engine import cuda_engine, problem, scheduled

from fastmlp import CustomLossError, DivergenceError, MLPRegressor
from fastmlp.network.plan import Loss

N_KEPT = 16


def custom_loss(scale):
    """The functions of a squared error; other ones for each call."""

    def value(y, p):
        return scale * (p - y) ** 2

    def derivative(y, p):
        return 2 * scale * (p - y)

    return value, derivative


@pytest.fixture
def engine_of():
    """Makes an engine for a custom loss, and a weak reference to the loss."""
    arguments = problem(loss=Loss.CUSTOM)

    def make(scale):
        plan = replace(arguments[0], custom_loss=custom_loss(scale))
        return cuda_engine(plan, *arguments[1:]), weakref.ref(plan.custom_loss[0])

    return make


def trained(engine):
    engine.run_epoch(np.arange(13), 0.01)
    return engine.pull()


def test_kernels_of_the_latest_custom_losses_are_kept(simulator, engine_of):
    with scheduled(0):
        losses = [engine_of(1.0 + i)[1] for i in range(N_KEPT + 5)]
        gc.collect()
        assert [i for i, loss in enumerate(losses) if loss() is not None] == [*range(5, 21)]


def test_kernels_of_an_engine_are_not_forgotten(simulator, engine_of):
    with scheduled(0):
        engine, loss = engine_of(0.5)
        kernels = [weakref.ref(kernel) for kernel in engine._kernels.values()]
        for i in range(N_KEPT + 1):
            engine_of(1.0 + i)
        gc.collect()
        assert loss() is not None and all(kernel() is not None for kernel in kernels)
        np.testing.assert_array_equal(trained(engine), trained(engine_of(0.5)[0]))
        del engine
        gc.collect()
        assert loss() is None


def test_a_custom_loss_that_is_used_again_is_among_the_latest(simulator, engine_of):
    from fastmlp.engines.cuda.kernels import training_kernels
    from fastmlp.engines.cuda.specialization import training_specialization

    with scheduled(0):
        engine, _ = engine_of(0.5)
        specialization, dtype = training_specialization(engine.plan), engine.plan.dtype
        kernels = training_kernels(dtype, specialization)
        for i in range(2 * N_KEPT):
            engine_of(1.0 + i)
            if i % (N_KEPT - 1) == 0:
                assert training_kernels(dtype, specialization) is kernels
        for i in range(N_KEPT):
            engine_of(1.0 + i)
        assert training_kernels(dtype, specialization) is not kernels


def test_kernels_without_a_custom_loss_stay():
    from fastmlp.engines.cuda.specialization import specialized, training_specialization

    made = []
    make = specialized(lambda dtype, specialization: made.append(dtype) or object())
    plain = training_specialization(problem()[0])
    first = make("float32", plain)
    for i in range(N_KEPT + 1):
        make("float32", replace(plain, custom_loss=custom_loss(i)))
    assert make("float32", plain) is first
    assert make("float64", plain) is not first
    assert make("float32", plain.without_custom_loss()) is first
    assert len(made) == N_KEPT + 3


def test_machine_code_of_forgotten_losses_is_freed(monkeypatch):
    """As far as that shows without a GPU: nothing of numba's refers to it."""
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    from fastmlp.engines.cuda import specialization
    from fastmlp.engines.cuda.support import is_simulated

    if is_simulated():
        pytest.skip("the simulator compiles nothing")
    from types import SimpleNamespace

    from numba.cuda import codegen, compiler, dispatcher
    from test_cuda_compile import ordinary, signature

    from fastmlp.engines.cuda.kernels import training_kernels

    device = SimpleNamespace(compute_capability=(9, 0))
    for module in (compiler, dispatcher):
        monkeypatch.setattr(module, "get_current_device", lambda: device)
    monkeypatch.setattr(
        codegen.CUDACodeLibrary, "_ensure_cc", lambda library, cc: cc or (9, 0, "a")
    )
    monkeypatch.setattr(codegen.JITCUDACodegen, "magic_tuple", lambda _: ((13, 0), (9, 0)))
    monkeypatch.setattr(dispatcher._Kernel, "bind", lambda kernel: kernel._codelibrary.get_cubin())
    monkeypatch.setattr(specialization, "MOST_KEPT", 1)
    dtype, alive = np.dtype(np.float32), []
    for scale in (1.0, 2.0):
        plan = replace(ordinary(), loss=Loss.CUSTOM, custom_loss=custom_loss(scale))
        choice = specialization.training_specialization(plan)
        kernel = training_kernels(dtype, choice)["train_rows"]
        compiled = kernel.compile(signature("train_rows", "float32"))
        alive.append([*map(weakref.ref, (plan.custom_loss[0], kernel, compiled._codelibrary))])
    del plan, choice, kernel, compiled
    gc.collect()
    assert [[one() is not None for one in refs] for refs in alive] == [[False] * 3, [True] * 3]


def partial_costs(in_value):
    """A squared error whose value, or else its derivative, raises an exception for target 3."""
    costs = (1.0, 5.0, 2.0)

    def value(y, p):
        return (costs[int(y)] if in_value else 1.0) * (p - y) ** 2

    def derivative(y, p):
        return 2 * (1.0 if in_value else costs[int(y)]) * (p - y)

    return value, derivative


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("in_value", [True, False])
@pytest.mark.parametrize("options", [{}, {"clip_value": 0.1}, {"clip_norm": 0.1}, {"max_norm": 1}])
def test_a_loss_that_raises_is_an_error(simulator, in_value, options):
    """No option makes a number of the NaN that stands for an exception on the device."""
    X = np.arange(12.0).reshape(6, 2) / 12
    y = np.array([0, 1, 2, 0, 1, 3.0])
    model = MLPRegressor(
        partial_costs(in_value), hidden_layer_sizes=(3,), max_iter=2, batch_size=6,
        random_state=0, device="cuda", diagnose=False, **options,
    )  # fmt: skip
    with scheduled(0), pytest.raises((CustomLossError, DivergenceError)):
        model.fit(X, y)
    with scheduled(0):
        y[-1] = 2
        assert np.isfinite(model.set_params(max_iter=1).fit(X, y).loss_)
