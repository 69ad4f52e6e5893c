"""Short epochs, of which training hands several to the engine at once."""

import numpy as np
import pytest
from helpers import fit_quietly

from fastmlp import DivergenceError, MLPClassifier, MLPRegressor
from fastmlp.engines.cpu.engine import CpuEngine
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.network.weights import initialise

rng = np.random.RandomState(0)
X = rng.normal(size=(45, 4))
Y = rng.randint(0, 3, 45)


@pytest.fixture
def lengths(monkeypatch):
    """The number of epochs of each call of the engine."""
    found = []
    run_epochs = CpuEngine.run_epochs

    def noting(self, orders, learning_rate):
        found.append(len(orders))
        return run_epochs(self, orders, learning_rate)

    monkeypatch.setattr(CpuEngine, "run_epochs", noting)
    return found


def state_of(generator):
    name, keys, *rest = generator.get_state()
    return name, keys.tobytes(), *rest


def record(model):
    weights = [array.tobytes() for array in (*model.coefs_, *model.intercepts_)]
    optimizer = getattr(model, "_optimizer", None)
    if optimizer is not None:
        weights += [optimizer.step, optimizer.first.tobytes(), optimizer.second.tobytes()]
    rates = model.history_["learning_rate"]
    return (
        weights, model.loss_curve_, model.n_iter_, model.t_, model.best_loss_, rates,
        model._no_improvement_count, state_of(model.random_state),
    )  # fmt: skip


def watched(epoch):
    """A callback, so that each epoch is run by itself."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_iter": 7},
        {"tol": 0.0, "n_iter_no_change": 10**9, "max_iter": 70},
        {"tol": 0.05, "n_iter_no_change": 3},
        {"tol": 10.0, "n_iter_no_change": 1},
        {"solver": "sgd", "learning_rate_init": 0.8, "n_iter_no_change": 2, "batch_size": 7},
        {"solver": "nadam", "batch_size": 13, "weight_decay": 0.1, "shuffle": False},
        {"solver": "sgd", "momentum_form": "average", "clip_norm": 0.1, "dropout": 0.3},
    ],
)
def test_epochs_run_together_are_those_run_one_by_one(options, lengths):
    models = []
    for callback in (None, watched):
        model = MLPClassifier((6,), **{"max_iter": 40, **options})
        model.random_state = np.random.RandomState(3)
        models.append(record(fit_quietly(model, X, Y, callback=callback)))
        assert (max(lengths) > 1) == (callback is None)
        lengths.clear()
    assert models[0] == models[1]


def test_a_loss_that_is_not_finite_ends_the_epochs_of_a_call(lengths):
    models = []
    for callback in (None, watched):
        model = MLPRegressor(hidden_layer_sizes=(6,), solver="sgd", learning_rate_init=3.0)
        model.set_params(activation="identity", random_state=np.random.RandomState(3))
        with pytest.raises(DivergenceError) as error:
            model.fit(X, X[:, 0], callback=callback)
        models.append((str(error.value), record(model)))
        n_asked, n_run = sum(lengths), len(model.loss_curve_)
        assert (n_asked > n_run) == (callback is None)
        lengths.clear()
    assert models[0] == models[1]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_epochs", [2, 5])
def test_threads_run_several_epochs_as_single_ones(n_jobs, n_epochs):
    plan = TrainingPlan(
        (20, 60, 3), Activation.RELU, Loss.CROSS_ENTROPY, Optimizer.ADAM, batch_size=150,
        beta_1=0.9, beta_2=0.999, epsilon=1e-8, dtype=np.dtype(np.float32),
    )  # fmt: skip
    draw = np.random.RandomState(1)
    rows = draw.normal(size=(260, 20)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[draw.randint(0, 3, 260)]
    theta = initialise(plan.layer_units, plan.activation, draw, plan.dtype)
    orders = np.array([draw.permutation(260) for _ in range(n_epochs)])
    results = []
    for together in (True, False):
        with CpuEngine(plan, theta, rows, targets, n_jobs=n_jobs) as engine:
            assert engine.epochs_at_once >= n_epochs
            engine.run_epoch(orders[-1], 0.01)
            if together:
                losses = engine.run_epochs(orders, 0.01)
            else:
                losses = [engine.run_epoch(order, 0.01) for order in orders]
            step, *memory = engine.state()
            vectors = (*memory, engine.pull(), engine.last_finite())
            results.append((losses, step, [vector.tobytes() for vector in vectors]))
    assert results[0] == results[1]


def test_the_rows_kept_are_those_of_the_start_of_an_epoch_that_overflows():
    plan = TrainingPlan(
        (2, 1), (), Loss.SQUARED_ERROR, Optimizer.SGD, batch_size=4, dtype=np.dtype(np.float64)
    )
    rows, targets = np.ones((4, 2)), np.ones((4, 1))
    order = np.arange(4)
    kept = []
    for together in (True, False):
        with CpuEngine(plan, np.full(3, 0.5), rows, targets) as engine:
            if together:
                losses = engine.run_epochs(np.tile(order, (20, 1)), 1e40)
            else:
                losses = [engine.run_epoch(order, 1e40)]
                while np.isfinite(losses[-1]):
                    losses.append(engine.run_epoch(order, 1e40))
            kept.append((losses[:-1], engine.step, engine.last_finite().tolist()))
    assert 1 < len(losses) < 20
    assert kept[0] == kept[1]


def test_the_time_of_epochs_run_together_adds_up(lengths):
    model = fit_quietly(MLPClassifier((6,), max_iter=9, random_state=0), X, Y)
    assert lengths == [9]
    assert len(model.history_["seconds"]) == 9 and min(model.history_["seconds"]) > 0
