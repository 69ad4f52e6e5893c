"""Options of a fit on the GPU: the numbers of the CPU's engine, whatever the launches."""

import copy

import numpy as np
import pytest
from sklearn.base import clone
from test_cuda_engine import compare, cuda_engine, problem, quartic, quartic_derivative, scheduled

from fastmlp import MLPClassifier, MLPRegressor, fit_many
from fastmlp.engines.cpu.engine import CpuEngine
from fastmlp.network.plan import Activation, Loss, Optimizer

pytestmark = [
    pytest.mark.usefixtures("gpu"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

OPTIONS = {
    "l1": {"l1": 0.3},
    "l1 and no l2": {"l1": 0.3, "alpha": 0.0},
    "clip_value": {"clip_value": 0.02},
    "clip_norm": {"clip_norm": 0.1},
    "clip_norm of a norm below": {"clip_norm": 100.0, "weight_decay": 1.0},
    "max_norm": {"max_norm": 0.9},
    "weight_decay": {"weight_decay": 2.0},
    "averages_gradients": {"averages_gradients": True},
    "monitors_gradient": {"monitors_gradient": True},
    "dropout": {"dropout": (0.4, 0.0), "seed": 5},
    "dropout of units that keep nothing": {"dropout": (0.0, 0.3), "activation": Activation.GELU},
    "a tiny probability": {"dropout": (1e-11, 1e-11)},
}
EVERYTHING = {
    "l1": 0.1, "clip_value": 0.05, "clip_norm": 0.2, "max_norm": 1.1, "weight_decay": 1.0,
    "averages_gradients": True, "monitors_gradient": True, "dropout": (0.3, 0.2),
    "seed": 2**32 - 1, "activation": (Activation.SILU, Activation.SELU), "loss": Loss.QUANTILE,
    "optimizer": Optimizer.NADAM,
}  # fmt: skip
WITH_EVERYTHING = {**OPTIONS, "everything": EVERYTHING}


def option_problem(name, **more):
    """Six steps in two epochs."""
    choices = {"optimizer": Optimizer.NESTEROV, **WITH_EVERYTHING[name], **more}
    return problem(n_rows=16, batch_size=6, dtype=np.float64, **choices)


def trained_by_cpu(plan, theta, X, Y):
    with CpuEngine(plan, theta, X, Y) as engine:
        engine.run_epoch(np.arange(len(X)), 0.01)
        return engine.pull()


@pytest.mark.parametrize("is_cooperative", [False, True])
@pytest.mark.parametrize("name", WITH_EVERYTHING)
def test_option_equals_the_cpus(name, is_cooperative):
    arguments = option_problem(name)
    compare(
        *arguments, np.linspace(0.5, 2, 16), tolerance=1e-12, n_epochs=2,
        is_cooperative=is_cooperative, n_blocks=3,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name in OPTIONS if name not in ("monitors_gradient", "a tiny probability")]
)
def test_options_here_have_an_effect(name):
    plain = problem(n_rows=16, batch_size=6, dtype=np.float64, optimizer=Optimizer.NESTEROV)
    difference = trained_by_cpu(*option_problem(name)) - trained_by_cpu(*plain)
    assert np.abs(difference).max() > 1e-5


@pytest.mark.parametrize("name", WITH_EVERYTHING)
def test_option_of_float32(name):
    arguments = problem(
        n_rows=16, batch_size=6, **{"optimizer": Optimizer.NESTEROV, **WITH_EVERYTHING[name]}
    )
    compare(*arguments, tolerance=1e-5)


@pytest.mark.parametrize("name", WITH_EVERYTHING)
def test_option_of_wide_networks(name, monkeypatch):
    from fastmlp.engines.cuda import wide

    monkeypatch.setattr(wide, "_WIDE_UNITS", 1)
    monkeypatch.setattr(wide, "_WIDE_MULTIPLY_ADDS", 1)
    choices = {"optimizer": Optimizer.NESTEROV, **WITH_EVERYTHING[name]}
    arguments = problem((5, 36, 33, 3), 16, 12, np.float64, **choices)
    compare(*arguments, tolerance=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": Optimizer.GRADIENT, "l1": 0.1, "batch_size": 13},
        {"units": (5, 3), "clip_norm": 0.1, "max_norm": 0.5},
        {"units": (40, 70, 2), "clip_norm": 0.1, "max_norm": 0.5, "dropout": (0.5,)},
        {"loss": Loss.CUSTOM, "optimizer": Optimizer.ADAGRAD, "activation": Activation.ELU},
    ],
)
def test_other_combinations(options):
    compare(*problem(dtype=np.float64, **options), tolerance=1e-12)


def test_masks_after_many_steps():
    """Counters of rows beyond 32 bits."""
    plan, theta, X, Y = problem(
        n_rows=16, batch_size=6, dtype=np.float64, optimizer=Optimizer.SGD, dropout=(0.5, 0.5)
    )
    zeros = np.zeros_like(theta)
    results = []
    for n_steps in (0, 2**32 // 6 - 1):
        with scheduled(0), CpuEngine(plan, theta, X, Y) as cpu:
            gpu = cuda_engine(plan, theta, X, Y)
            for engine in (cpu, gpu):
                engine.push(theta, (n_steps, zeros, zeros))
                engine.run_epoch(np.arange(16), 0.1)
            np.testing.assert_allclose(gpu.pull(), cpu.pull(), rtol=0, atol=1e-13)
            results.append(gpu.pull())
    assert np.abs(results[0] - results[1]).max() > 1e-3


@pytest.mark.parametrize("name", ["everything", "clip_norm", "max_norm", "dropout"])
def test_any_number_of_blocks_and_any_order_of_threads_give_the_same_bits(name, simulator):
    from scheduler import scheduled

    plan, theta, X, Y = problem((7, 20, 18, 3), n_rows=11, batch_size=9, **WITH_EVERYTHING[name])
    results = []
    for n_blocks, seed, is_cooperative in [(1, 0, False), (1, 1, True), (3, 2, True), (5, 3, True),
                                           (5, 4, True), (3, 5, False)]:  # fmt: skip
        with scheduled(seed):
            engine = cuda_engine(
                plan, theta, X, Y, n_blocks=n_blocks, is_cooperative=is_cooperative
            )
            loss = engine.run_epoch(np.arange(11), 0.01)
            results.append([loss, engine.gradient_norm or 0.0, *engine.pull(), *engine.state()[2]])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_norm_of_the_gradient_is_measured_if_wanted():
    for options, is_wanted in [({}, False), ({"l1": 0.1}, False), ({"clip_norm": 9.0}, True)]:
        with scheduled(0):
            engine = cuda_engine(*problem(**options))
            engine.run_epoch(np.arange(13), 0.01)
        assert (engine.gradient_norm is not None) == is_wanted


def test_only_what_a_plan_needs_is_compiled():
    from fastmlp.engines.cuda.specialization import (
        Specialization,
        prediction_specialization,
        training_specialization,
    )

    def specialization(**options):
        return training_specialization(problem(**options)[0])

    assert specialization() == Specialization(
        frozenset([Activation.RELU]), frozenset([Loss.CROSS_ENTROPY]), frozenset([Optimizer.ADAM])
    )
    assert specialization(units=(3, 8, 2), alpha=0.7, batch_size=3) == specialization()
    both = specialization() | specialization(dropout=(0.0, 0.1), loss=Loss.POISSON, l1=0.1)
    assert both.losses == {Loss.CROSS_ENTROPY, Loss.POISSON}
    assert both.drops_units and both.keeps_derivatives and both.penalises_absolutes
    assert not (both.clips_values or both.clips_norms or both.limits_columns)
    assert prediction_specialization(
        problem(loss=Loss.HUBER, l1=0.1)[0]
    ) == prediction_specialization(problem(loss=Loss.SQUARED_ERROR, optimizer=Optimizer.SGD)[0])


RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 23)


def network(cls=MLPClassifier, **options):
    choices = {"hidden_layer_sizes": (6,), "max_iter": 2, "batch_size": 8, "random_state": 0}
    return cls(**choices | {"device": "cuda"} | options)


def networks_with_options():
    """The first three share what their kernels can do with the others."""
    return [
        network(),
        network(dropout=0.3, activation="gelu"),
        network(hidden_layer_sizes=(9, 4), activation=("tanh", "silu"), solver="adamw"),
        network(clip_norm=0.1, monitor=True, solver="nadam"),
        network(MLPRegressor, loss="quantile", quantiles=[0.1, 0.9], max_norm=0.7),
        network(MLPRegressor, l1=0.1, clip_value=0.05, solver="rmsprop", monitor=True),
        network(loss="margin", solver="sgd", momentum_form="average", monitor=True, dropout=0.5),
    ]


def learned(model):
    norms = model.history_.get("gradient_norm", [])
    values = [*model.coefs_, *model.intercepts_, model.loss_curve_, norms]
    return np.concatenate([np.ravel(value) for value in values])


def test_networks_with_options_train_together(monkeypatch):
    from fastmlp.engines.cuda import grouped

    groups = []
    run = grouped.KernelGroup.run
    monkeypatch.setattr(grouped.KernelGroup, "run", lambda group, epochs: (
        groups.append(len(epochs)), run(group, epochs))[1])  # fmt: skip
    custom = [
        network(MLPRegressor, loss=(quartic, quartic_derivative), random_state=seed)
        for seed in range(2)
    ]
    together = [*networks_with_options(), *custom]
    with scheduled(0):
        alone = [clone(model).fit(X, Y) for model in together]
        assert not groups
        fit_many(together, X, Y)
        for model, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(learned(model), learned(expected))
            np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    assert sorted(groups) == [2, 2, 7, 7]


def test_estimators_learn_what_they_learn_on_the_cpu():
    for model in networks_with_options():
        expected = clone(model).set_params(device="cpu").fit(X.astype(float), Y)
        with scheduled(0):
            model.fit(X.astype(float), Y)
        np.testing.assert_allclose(learned(model), learned(expected), rtol=0, atol=1e-10)


def test_masks_go_on_in_partial_fit():
    model = network(dropout=0.5, solver="sgd", shuffle=False)
    with scheduled(0):
        gpu, cpu = copy.deepcopy(model), clone(model).set_params(device="cpu")
        for _ in range(3):
            for one in (gpu, cpu):
                one.partial_fit(X.astype(float), Y, classes=np.unique(Y))
    np.testing.assert_allclose(learned(gpu), learned(cpu), rtol=0, atol=1e-12)


def test_predictions_drop_nothing():
    from fastmlp.engines.cuda.engine import outputs

    plan, theta, X, Y = problem(dropout=(0.5, 0.5))
    with scheduled(0):
        engine = cuda_engine(plan, theta, X, Y)
        engine.run_epoch(np.arange(13), 0.01)
        predicted = engine.outputs(X)
        np.testing.assert_array_equal(predicted, engine.outputs(X.copy()))
        np.testing.assert_array_equal(predicted, outputs(plan, engine.pull(), X))
