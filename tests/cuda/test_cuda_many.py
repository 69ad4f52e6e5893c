"""Many networks in one launch: ``fit_many`` on the GPU."""

import copy
import threading
import warnings
import weakref
from concurrent.futures import Future

import numpy as np
import pytest
from sklearn.base import clone

from fastmlp import MLPClassifier, MLPRegressor, fit_many
from fastmlp.engines.cuda.support import is_simulated
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

pytestmark = [
    pytest.mark.usefixtures("gpu"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 23)
WEIGHT = RNG.uniform(0.5, 2, 23)


@pytest.fixture(autouse=True)
def threads_in_any_order():
    """In the simulator, the scheduler of whole grids; on a GPU nothing."""
    if not is_simulated():
        yield
        return
    from scheduler import scheduled

    with scheduled(0):
        yield


@pytest.fixture
def launches(monkeypatch):
    """Blocks of each launch of a group, as they come."""
    from fastmlp.engines.cuda import kernel_group

    blocks = []

    def counting(dtype, specialization):
        found = dict(kernels(dtype, specialization))
        train_many = found["train_many"]

        class Counting:
            def __getitem__(self, shape):
                blocks.append(shape[0])
                return train_many[shape]

        return found | {"train_many": Counting()}

    kernels = kernel_group.training_kernels
    monkeypatch.setattr(kernel_group, "training_kernels", counting)
    return blocks


def network(cls=MLPClassifier, sizes=(6,), **options):
    choices = {"max_iter": 2, "batch_size": 8, "random_state": 0, "device": "cuda", **options}
    return cls(hidden_layer_sizes=sizes, **choices)


def mixed():
    """Networks of different shape, loss, solver, batches, length and data."""
    return [
        network(sizes=(6,), max_iter=4),
        network(sizes=(9, 4), activation="tanh", solver="sgd", random_state=1),
        network(MLPRegressor, (20,), batch_size=23, alpha=0.3),
        network(sizes=(), activation="logistic", batch_size=5, max_iter=3, alpha=0),
        network(sizes=(4, 4, 4), solver="sgd", nesterovs_momentum=False, learning_rate="adaptive"),
        network(sizes=(7,), early_stopping=True, validation_fraction=0.3, max_iter=3),
        network(MLPRegressor, (3,), loss="poisson", shuffle=False, learning_rate_init=0.1),
        network(class_weight="balanced", early_stopping=True, validation_fraction=0.2),
        network(sizes=(3,), early_stopping=True, validation_fraction=0.3, scoring="loss"),
    ]


def in_time(function, *args, **kwargs):
    """Call a function; an error where it hangs, which would end no other way."""
    result = Future()

    def call():
        try:
            result.set_result(function(*args, **kwargs))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return result.result(300)


def learned(model):
    values = [*model.coefs_, *model.intercepts_, model.loss_curve_, [model.n_iter_]]
    if model.validation_scores_ is not None:
        values.append(model.validation_scores_)
    return np.concatenate([np.ravel(value) for value in values])


@pytest.mark.parametrize("sample_weight", [None, WEIGHT])
def test_results_are_those_of_single_fits(sample_weight, launches):
    alone = [clone(model).fit(X, Y, sample_weight) for model in mixed()]
    assert not launches
    together = mixed()
    assert fit_many(together, X, Y, sample_weight) == together
    for model, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(learned(model), learned(expected))
        np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    # Each epoch is one launch, of a block for each network that still trains.
    n_epochs = [model.n_iter_ for model in alone]
    assert launches == [sum(n > epoch for n in n_epochs) for epoch in range(max(n_epochs))]


def test_rows_held_out_by_number_are_those_of_single_fits(launches):
    stopping = {"early_stopping": True, "scoring": "loss", "batch_size": 5}
    cases = [
        network(**stopping),
        network(dropout=0.3, random_state=1, **stopping),
        network(MLPRegressor, (4,)),
        network(),
    ]
    held_out = [[1, 5, 20], np.arange(15, 20), [3, 2], None]
    models = [clone(model) for model in cases]
    fit_many(models, X, Y, WEIGHT, held_out=held_out)
    assert max(launches) == len(models)
    for model, case, held in zip(models, cases, held_out, strict=True):
        rest = np.setdiff1d(np.arange(len(X)), [] if held is None else held)
        eval_set = None if held is None else (X[held], Y[held], WEIGHT[held])
        expected = clone(case).fit(X[rest], Y[rest], WEIGHT[rest], eval_set=eval_set)
        np.testing.assert_array_equal(learned(model), learned(expected))
        assert model.history_.get("validation_loss") == expected.history_.get("validation_loss")


@pytest.mark.parametrize("n_asked", [0, 2, 4])
def test_networks_that_never_begin_keep_nobody_waiting(n_asked):
    """A stop may be requested when some networks of a group wait for the others already."""
    asked = []

    def should_stop():
        asked.append(True)
        return len(asked) > n_asked

    models = [network(random_state=seed, max_iter=50) for seed in range(3)]
    told = []
    in_time(
        fit_many, models, X, Y, callback=lambda *which: told.append(which), should_stop=should_stop
    )
    assert not told
    n_begun = sum(hasattr(model, "coefs_") for model in models)
    assert n_begun == min(n_asked, 3) if n_asked < 3 else n_begun >= 1


def test_float64_networks_have_launches_of_their_own(launches):
    models = [network(random_state=seed, warm_start=True) for seed in range(3)]
    models[1].fit(X.astype(np.float64), Y)
    expected = [copy.deepcopy(model).fit(X, Y) for model in models]
    fit_many(models, X, Y)
    assert sorted(launches) == [1, 1, 2, 2]
    assert [model.coefs_[0].dtype for model in models] == [np.float32, np.float64, np.float32]
    for model, other in zip(models, expected, strict=True):
        np.testing.assert_array_equal(learned(model), learned(other))


def test_long_epochs_are_several_launches(monkeypatch, launches):
    monkeypatch.setattr(
        "fastmlp.engines.cuda.kernel_group._LAUNCH_MULTIPLY_ADDS", 3 * 2 * 8 * (6 * 6 + 7 * 3)
    )
    models = [network(max_iter=1), network(sizes=(40,), max_iter=1)]
    expected = [clone(model).fit(X, Y) for model in models]
    fit_many(models, X, Y)
    assert launches == [2, 2, 1]  # of two steps and one of the first, of single ones of the second
    for model, other in zip(models, expected, strict=True):
        np.testing.assert_array_equal(learned(model), learned(other))


def test_large_networks_and_other_solvers_train_alone(monkeypatch, launches):
    monkeypatch.setattr("fastmlp.engines.cuda.grouped._BLOCK_MULTIPLY_ADDS", 400)
    models = [network(sizes=(50,)), network(MLPRegressor, (3,), solver="lbfgs"),
              network(), network(random_state=1), network(device="auto", sizes=(2,)),
              network(device="cpu")]  # fmt: skip
    expected = [clone(model).fit(X, Y) for model in models]
    fit_many(models, X, Y, n_jobs=None)
    assert set(launches) == {2}
    for model, other in zip(models, expected, strict=True):
        np.testing.assert_array_equal(learned(model), learned(other))


def test_networks_beyond_the_memory_train_alone(monkeypatch, launches):
    from fastmlp.engines.cuda import grouped

    monkeypatch.setattr(grouped, "free_bytes", lambda: 2 * 4 * (23 * 5 + 23 * 3 + 2 * 600))
    models = [network(random_state=seed) for seed in range(5)]
    expected = [clone(model).fit(X, Y) for model in models]
    fit_many(models, X, Y)
    assert 2 <= max(launches) < 5
    for model, other in zip(models, expected, strict=True):
        np.testing.assert_array_equal(learned(model), learned(other))


def test_equal_data_are_sent_once():
    from fastmlp.engines.cuda.kernel_group import Data, KernelGroup

    group = KernelGroup(np.dtype(np.float32))
    n_bytes = group.n_bytes(data=[Data(X, np.float32), Data(Y, np.float32)])
    assert n_bytes == 4 * (X.size + Y.size)
    places = [group._place(Data(array, np.float32)) for array in (X, Y, X.tolist(), X + 1)]
    assert places == [0, X.size, 0, X.size + Y.size]
    assert group.n_bytes(data=[Data(X.copy(), np.float32)]) == group.n_bytes()


def test_shared_data_are_looked_at_once(monkeypatch):
    from fastmlp.engines.cuda import grouped

    seen = []
    data = grouped.Data
    monkeypatch.setattr(grouped, "Data", lambda *args: seen.append(args[0]) or data(*args))
    fit_many([network(random_state=seed) for seed in range(4)], X, Y)
    assert sum(array is X or array.base is X for array in seen) == 1


def test_equal_data_are_kept_once_and_until_they_are_sent():
    from fastmlp.engines.cuda.grouped import FitGroup

    grouped = FitGroup(1, 1)
    first, second = (grouped._data(array, np.float32) for array in (Y, Y.copy()))
    assert first.elements is second.elements
    alive = weakref.ref(first.elements)
    del first, second
    assert alive() is not None
    with pytest.raises(RuntimeError):
        in_time(grouped.run_epoch, "an engine of no group", None)
    assert alive() is None


def test_data_that_cannot_be_sent_fail_everyone(monkeypatch):
    from fastmlp.engines.cuda import grouped

    def fail(array, dtype):
        raise MemoryError("no room for a copy")

    monkeypatch.setattr(grouped, "Data", fail)
    models = [network(random_state=seed) for seed in range(3)]
    with pytest.raises(MemoryError, match="no room"):
        fit_many(models, X, Y)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_so_many_at_a_time(n_jobs, launches):
    models = [network(random_state=seed, max_iter=1) for seed in range(5)]
    expected = [clone(model).fit(X, Y) for model in models]
    fit_many(models, X, Y, n_jobs=n_jobs)
    assert launches == {2: [2, 2], 3: [3, 2]}[n_jobs]  # one that is left over has the GPU alone
    for model, other in zip(models, expected, strict=True):
        np.testing.assert_array_equal(learned(model), learned(other))


def test_as_many_at_a_time_as_there_is_memory_for(monkeypatch, launches):
    from fastmlp.estimators import fit_many as module

    copied = 0.3 * 4 * (X.size + 2 * Y.size)
    monkeypatch.setattr(module, "_BYTES_TOGETHER", 2.5 * copied)
    stopping = {"early_stopping": True, "validation_fraction": 0.3, "max_iter": 1}
    models = [network(random_state=seed, **stopping) for seed in range(3)]
    models += [network(random_state=seed, max_iter=1) for seed in range(4)]
    expected = [clone(model).fit(X, Y) for model in models]
    fit_many(models, X, Y)
    assert launches == [2, 5]
    for model, other in zip(models, expected, strict=True):
        np.testing.assert_array_equal(learned(model), learned(other))


def test_a_failure_is_raised_when_the_others_are_fitted(launches):
    def weights_that_vanish():
        weight = np.ones(23)
        weight[:8] = 0
        return weight

    models = [network(), network(shuffle=False), network(alpha=-1), network(random_state=1)]
    with pytest.raises(ValueError, match="sum to zero"):
        fit_many(models, X, Y, weights_that_vanish())
    assert launches == [2, 2] and models[0].n_iter_ == models[3].n_iter_ == 2
    assert not hasattr(models[2], "coefs_")


def test_a_failing_launch_fails_everyone(monkeypatch):
    from fastmlp.engines.cuda import grouped

    def fail(group, epochs):
        raise MemoryError(f"of {len(epochs)}")

    monkeypatch.setattr(grouped.KernelGroup, "run", fail)
    with pytest.raises(MemoryError, match="of 3"):
        fit_many([network(random_state=seed) for seed in range(3)], X, Y)


def test_interrupt_keeps_what_was_learned(monkeypatch):
    from fastmlp.estimators import fit_many as module

    all_train = threading.Barrier(4, timeout=60)
    met = []

    class Endless(MLPClassifier):
        def fit(self, X, y, sample_weight, callback):
            def tell(epoch):
                if epoch.epoch == 1:
                    all_train.wait()
                return callback(epoch)

            return super().fit(X, y, sample_weight, callback=tell)

    def interrupt(futures):
        met.append(all_train.wait())
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "wait", interrupt)
    models = [network(Endless, random_state=seed, max_iter=10**9, n_iter_no_change=np.inf)
              for seed in range(3)]  # fmt: skip
    with pytest.warns(UserWarning, match="interrupted by user"):
        fit_many(models, X, Y)
    assert met and all(model.n_iter_ > 0 and len(model.predict(X)) == 23 for model in models)


@pytest.mark.parametrize("has_begun", [False, True])
def test_interrupt_before_all_have_begun(has_begun, monkeypatch):
    from fastmlp.estimators import fit_many as module

    class Interrupted(module.ThreadPoolExecutor):
        n_submitted = 0

        def submit(self, *args):
            self.n_submitted += 1
            if self.n_submitted < 3:
                return super().submit(*args)
            if has_begun:
                super().submit(*args)  # and nobody learns of it
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "ThreadPoolExecutor", Interrupted)
    models = [network(random_state=seed, max_iter=10**9, n_iter_no_change=np.inf)
              for seed in range(3)]  # fmt: skip
    with pytest.warns(UserWarning, match="interrupted by user"):
        in_time(fit_many, models, X, Y)
    assert not any(hasattr(model, "coefs_") for model in models)


@pytest.mark.parametrize("most, expected", [(4, [3, 3]), (2, [2, 2, 2]), (1, []), (0, [])])
def test_groups_are_smaller_where_threads_cannot_be_started(most, expected, monkeypatch, launches):
    start = threading.Thread.start

    def start_few(thread):
        n_fits = sum("fastmlp-fit" in other.name for other in threading.enumerate())
        if "fastmlp-fit" in thread.name and n_fits == most:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_few)
    models = [network(random_state=seed, max_iter=1) for seed in range(6)]
    in_time(fit_many, models, X, Y, n_jobs=6)
    assert launches == expected
    monkeypatch.undo()
    for model in models:
        np.testing.assert_array_equal(learned(model), learned(clone(model).fit(X, Y)))


def test_fits_inside_a_fit():
    """A second engine in one fit trains alone."""

    class Twice(MLPClassifier):
        def fit(self, X, y, sample_weight, callback):
            super().fit(X, y, sample_weight, callback=callback)
            return super().fit(X, y, sample_weight, callback=callback)

    models = [network(Twice, random_state=seed) for seed in range(2)]
    fit_many(models, X, Y)
    for seed, model in enumerate(models):
        np.testing.assert_array_equal(learned(model), learned(network(random_state=seed).fit(X, Y)))


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_fits_inside_a_callback(device, launches):
    """The group waits for the fit whose callback fits another network."""
    inner = [network(device=device, random_state=seed) for seed in range(2)]

    class Nested(MLPClassifier):
        def fit(self, X, y, sample_weight, callback):
            def tell(epoch):
                inner[self.random_state].fit(X, y)
                return callback(epoch)

            return super().fit(X, y, sample_weight, callback=tell)

    models = [network(Nested, random_state=seed) for seed in range(2)]
    in_time(fit_many, models, X, Y)
    assert launches == [2, 2]
    for seed, (model, other) in enumerate(zip(models, inner, strict=True)):
        expected = network(random_state=seed)
        np.testing.assert_array_equal(learned(model), learned(expected.fit(X, Y)))
        expected.set_params(device=device)
        np.testing.assert_array_equal(learned(other), learned(expected.fit(X, Y)))


def test_nobody_waits_for_an_epoch_that_nobody_runs():
    from fastmlp.engines.cuda.grouped import FitGroup

    with pytest.raises(RuntimeError, match="has left the group"):
        in_time(FitGroup(1, 1).run_epoch, "an engine of no group", None)


def test_warnings_are_those_of_single_fits():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_many([network(random_state=seed) for seed in range(3)], X, Y)
    assert {str(warning.message).split(":")[0] for warning in caught} == {"Stochastic Optimizer"}


@pytest.mark.parametrize("sample_weight, total", [(None, 23), (WEIGHT, WEIGHT.sum())])
def test_an_engine_in_a_group_keeps_the_contract(sample_weight, total):
    from fastmlp.engines.cuda.engine import CudaEngine
    from fastmlp.engines.cuda.grouped import FitGroup, GroupedEngine
    from fastmlp.network.weights import n_parameters

    plan = TrainingPlan((5, 4, 1), Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM)
    theta = np.zeros(n_parameters(plan.layer_units))
    with FitGroup(1, 1).slot() as slot:
        arguments = plan, theta, X, Y.reshape(-1, 1).astype(float), sample_weight, None
        with slot.open(CudaEngine, *arguments) as engine:
            assert isinstance(engine, GroupedEngine)
            assert engine.total_weight == total
            with pytest.raises(NotImplementedError, match="L-BFGS"):
                engine.loss_and_gradient(theta)
