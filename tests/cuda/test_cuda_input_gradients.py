"""Input gradients on the GPU: against a naive network, differences, the CPU, and other launches."""

from itertools import pairwise

import naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cuda_engine import scheduled

from fastmlp import MLPClassifier, MLPRegressor, input_gradients
from fastmlp.engines import devices
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.network.weights import flatten

pytestmark = [
    pytest.mark.usefixtures("gpu"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(11, 4))
TARGETS = {
    "binary": RNG.integers(0, 2, 11),
    "classes": np.arange(11) % 3,
    "labels": RNG.integers(0, 2, (11, 3)),
    "number": RNG.normal(size=11),
    "numbers": RNG.normal(size=(11, 2)),
    "counts": RNG.poisson(2, 11),
}
LOSSES = {"binary": "binary_cross_entropy", "labels": "binary_cross_entropy",
          "classes": "cross_entropy", "counts": "poisson"}  # fmt: skip


@pytest.fixture
def no_cpu(monkeypatch):
    """The CPU computes no input gradients."""

    def fail(*args):
        raise AssertionError("the CPU was asked")

    monkeypatch.setattr("fastmlp.engines.cpu.input_gradients.input_gradients", fail)


def network(target, activation="tanh", hidden=(5,), dtype=np.float64):
    kind = MLPClassifier if target in ("binary", "classes", "labels") else MLPRegressor
    options = {"loss": "poisson"} if target == "counts" else {}
    model = kind(hidden_layer_sizes=hidden, activation=activation, max_iter=3, random_state=1,
                 **options)  # fmt: skip
    return model.fit(X.astype(dtype), TARGETS[target]).set_params(device="cuda")


def jacobians(model, target, of):
    return naive.input_jacobians(
        [w.astype(float) for w in model.coefs_], [b.astype(float) for b in model.intercepts_],
        model.activation, LOSSES.get(target, "squared_error"), X, of_preactivations=of == "score",
    )  # fmt: skip


def expected_of(model, target, of):
    """What the naive network says, in the form of the default call."""
    found = jacobians(model, target, of)
    if target == "binary":
        return np.where(model.predict(X)[:, np.newaxis], found[:, 0], -found[:, 0])
    if target == "classes":
        return found[np.arange(len(X)), model.predict(X)]
    return found[:, 0] if target == "number" or target == "counts" else found


@pytest.mark.parametrize("of", ["prediction", "score"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", TARGETS)
def test_every_output_agrees_with_a_naive_network(target, dtype, of, no_cpu):
    model = network(target, dtype=dtype)
    with scheduled(0):
        found = input_gradients(model, X.astype(dtype), of=of)
        expected = expected_of(model, target, of)
    assert found.dtype == dtype
    tolerance = {"atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(found, expected, **tolerance)


@pytest.mark.parametrize(
    "activation", [activation.name.lower() for activation in Activation if activation.is_trainable]
)
def test_every_activation_agrees_with_differences(activation, no_cpu):
    model = network("classes", activation)
    with scheduled(1):
        found = input_gradients(model, X, 1)
    model.set_params(device="cpu")
    h, columns = 1e-6, []
    for j in range(X.shape[1]):
        step = h * (np.arange(X.shape[1]) == j)
        more, less = model.predict_proba(X + step)[:, 1], model.predict_proba(X - step)[:, 1]
        columns.append((more - less) / (2 * h))
    np.testing.assert_allclose(found, np.stack(columns, axis=1), rtol=1e-5, atol=1e-8)


@settings(max_examples=12, deadline=None)
@given(
    units=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    n_rows=st.integers(1, 9),
    names=st.lists(st.sampled_from(list(Activation)), min_size=2, max_size=2),
    loss=st.sampled_from([Loss.SQUARED_ERROR, Loss.POISSON, Loss.CROSS_ENTROPY]),
    of_preactivations=st.booleans(),
    is_predicted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_all_shapes_agree_with_the_cpu(
    units, n_rows, names, loss, of_preactivations, is_predicted, seed
):
    rng = np.random.default_rng(seed)
    plan = TrainingPlan(
        tuple(units), tuple(names[: len(units) - 2]), loss, Optimizer.SGD, dtype=np.dtype(float)
    )
    coefs = [rng.normal(size=shape) / shape[0] ** 0.5 for shape in pairwise(units)]
    intercepts = [rng.normal(size=n) for n in units[1:]]
    rows = rng.normal(size=(n_rows, units[0]))
    is_predicted &= loss == Loss.CROSS_ENTROPY and units[-1] > 1
    wanted = None if is_predicted else [int(k) for k in rng.integers(0, units[-1], 2)]
    from fastmlp.engines.cuda.input_gradients import input_gradients as on_gpu

    with scheduled(seed):
        theta = flatten(coefs, intercepts, float)
        found = on_gpu(plan, theta, rows, wanted, of_preactivations)
    network = devices.prediction_network(plan, coefs, intercepts)
    arrays = *coefs, *intercepts
    expected = devices.input_gradients("cpu", network, arrays, rows, wanted, of_preactivations)
    assert found.shape == (n_rows, 1 if is_predicted else 2, units[0])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_bits_do_not_depend_on_launches(no_cpu, monkeypatch):
    """Many rows in one launch, in several, and with fewer rows in the arena at the same time."""
    from fastmlp.engines.cuda import input_gradients as module

    model = network("numbers", "gelu", (3,))
    rows = RNG.normal(size=(70, 4))
    with scheduled(2):
        found = input_gradients(model, rows)
        monkeypatch.setattr(module, "default_n_blocks", lambda: 1)
        np.testing.assert_array_equal(input_gradients(model, rows), found)
        for name, value in {
            "_LAUNCH_ROWS": 9, "_LAUNCH_BYTES": 8 * 4 * 3 * 30, "_LAUNCH_MULTIPLY_ADDS": 1,
        }.items():  # fmt: skip
            with monkeypatch.context() as patch:
                patch.setattr(module, name, value)
                some = rows[:3] if value == 1 else rows
                np.testing.assert_array_equal(input_gradients(model, some), found[: len(some)])


def test_times_input_and_quantiles(no_cpu):
    model = network("classes")
    with scheduled(3):
        plain = input_gradients(model, X)
        np.testing.assert_array_equal(input_gradients(model, X, times_input=True), plain * X)
        model = MLPRegressor("quantile", hidden_layer_sizes=(3,), quantiles=[0.1, 0.5, 0.9],
                             max_iter=2, random_state=0).fit(X, TARGETS["number"])  # fmt: skip
        order = np.argsort(model._outputs(X), axis=1)
        found = input_gradients(model.set_params(device="cuda"), X)
    unsorted = jacobians(model, "numbers", "score")
    expected = np.take_along_axis(unsorted, order[:, :, np.newaxis], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_cpu_computes_those_of_sparse_rows_and_of_a_full_gpu(request):
    model, sparse = network("classes"), sp.csr_array(X * (X > 0))
    on_sparse, on_dense = (
        input_gradients(model.set_params(device="cpu"), rows) for rows in (sparse, X)
    )
    for device in ("cuda", "auto"):
        found = input_gradients(model.set_params(device=device), sparse)
        np.testing.assert_array_equal(found, on_sparse)
    model.set_params(device="cuda")
    request.getfixturevalue("device_memory")
    np.testing.assert_array_equal(input_gradients(model, X), on_dense)
    request.getfixturevalue("full_device")
    np.testing.assert_array_equal(input_gradients(model, X), on_dense)


def test_auto_counts_the_passes_of_all_gradients(monkeypatch):
    plan = TrainingPlan((4, 5, 3), Activation.RELU, Loss.SQUARED_ERROR, Optimizer.ADAM)
    work = (4 * 5 + 5 + 5 * 3 + 3) * len(X)
    monkeypatch.setattr(devices, "_AUTO_MULTIPLY_ADDS", 3 * work)
    monkeypatch.setattr(devices, "_AUTO_MULTIPLY_ADDS_COMPILED", 2 * work)
    monkeypatch.setattr(devices, "_compiled", set())
    assert not devices._is_for_gpu("auto", plan, X, 0, 1)
    assert devices._is_for_gpu("cuda", plan, X, 0)  # predictions are another kernel
    assert not devices._is_for_gpu("auto", plan, X, 0, 1)
    assert devices._is_for_gpu("auto", plan, X, 0, 2)
    assert devices._is_for_gpu("auto", plan, X, 0, 1)
