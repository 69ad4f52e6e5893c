"""Input gradients of networks: against a naive network, central differences and other threads."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import naive
import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly, imported_by
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix

from fastmlp import DataWarning, InputError, MLPClassifier, MLPRegressor, input_gradients
from fastmlp.engines.cpu import engine
from fastmlp.network.plan import Activation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 5))
ACTIVATIONS = [activation.name.lower() for activation in Activation if activation.is_trainable]
TARGETS = {
    "binary": RNG.integers(0, 2, 23),
    "classes": np.arange(23) % 3,
    "labels": RNG.integers(0, 2, (23, 3)),
    "number": RNG.normal(size=23),
    "numbers": RNG.normal(size=(23, 2)),
    "counts": RNG.poisson(2, 23),
}
LOSSES = {"binary": "binary_cross_entropy", "labels": "binary_cross_entropy",
          "classes": "cross_entropy", "counts": "poisson"}  # fmt: skip


def network(target, activation="tanh", hidden=(7, 6), dtype=np.float64, **options):
    kind = MLPClassifier if target in ("binary", "classes", "labels") else MLPRegressor
    if target == "counts":
        options["loss"] = "poisson"
    options = {"max_iter": 3, "random_state": 1, **options}
    model = kind(hidden_layer_sizes=hidden, activation=activation, **options)
    return fit_quietly(model, X.astype(dtype), TARGETS[target])


def jacobians(model, target, of="prediction", rows=X):
    """What the naive network says, of the probability of each class or of each output."""
    found = naive.input_jacobians(
        [w.astype(float) for w in model.coefs_], [b.astype(float) for b in model.intercepts_],
        model.activation, LOSSES.get(target, "squared_error"), rows,
        of_preactivations=of == "score",
    )  # fmt: skip
    return np.concatenate([-found, found], axis=1) if target == "binary" else found


def each_output(model, target, given=X, **options):
    """Gradients of all classes or outputs, one after the other, as the naive network has them."""
    if target in ("binary", "classes"):
        return np.stack([input_gradients(model, given, k, **options) for k in model.classes_], 1)
    n_outputs = model.n_outputs_
    return np.stack(
        [input_gradients(model, given, output=k, **options) for k in range(n_outputs)], 1
    )


def differences(function, h=1e-6):
    """Central differences of a function of X with a column for each output."""
    columns = []
    for j in range(X.shape[1]):
        step = h * (np.arange(X.shape[1]) == j)
        columns.append((function(X + step) - function(X - step)) / (2 * h))
    return np.stack(columns, axis=-1).reshape(len(X), -1, X.shape[1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_three_oracles_agree(target, activation):
    model = network(target, activation)
    found = each_output(model, target)
    np.testing.assert_allclose(found, jacobians(model, target), rtol=1e-9, atol=1e-12)
    predict = getattr(model, "predict_proba", model.predict)
    np.testing.assert_allclose(found, differences(predict), rtol=1e-5, atol=1e-8)
    scores = each_output(model, target, of="score")
    np.testing.assert_allclose(scores, jacobians(model, target, "score"), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("hidden", [(), (1,), (40,), (3, 17, 4)])
@pytest.mark.parametrize("target", ["binary", "classes", "numbers"])
def test_shapes_of_networks(target, hidden):
    activation = ["tanh", "gelu", "relu"][: len(hidden)] if len(hidden) == 3 else "silu"
    model = network(target, activation, hidden)
    found = each_output(model, target)
    np.testing.assert_allclose(found, jacobians(model, target), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("target", ["binary", "classes"])
def test_by_default_it_is_the_predicted_class(target):
    model = network(target, max_iter=30)
    predicted = model.predict(X)
    assert len(np.unique(predicted)) > 1
    for of in ("prediction", "score"):
        all_classes = each_output(model, target, of=of)
        expected = all_classes[np.arange(len(X)), predicted]
        np.testing.assert_array_equal(input_gradients(model, X, of=of), expected)


def test_classes_are_called_by_their_labels():
    names = np.array(["ape", "bee", "cat"])[TARGETS["classes"]]
    model = fit_quietly(MLPClassifier((4,), max_iter=3, random_state=0), X, names)
    found = np.stack([input_gradients(model, X, name) for name in ("ape", "bee", "cat")], axis=1)
    np.testing.assert_allclose(found, differences(model.predict_proba), rtol=1e-5, atol=1e-8)
    # Probabilities sum to one, whatever the inputs.
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-15)


def test_several_outputs_are_given_at_once():
    model = network("numbers")
    found = input_gradients(model, X)
    assert found.shape == (len(X), 2, X.shape[1])
    np.testing.assert_array_equal(found, each_output(model, "numbers"))
    assert input_gradients(network("number"), X).shape == X.shape
    assert input_gradients(network("labels"), X).shape == (len(X), 3, X.shape[1])


def test_times_input():
    for target in ("classes", "numbers"):
        model = network(target)
        plain = input_gradients(model, X)
        inputs = X if plain.ndim == 2 else X[:, np.newaxis]
        expected = plain * inputs
        np.testing.assert_array_equal(input_gradients(model, X, times_input=True), expected)
        given = csr_matrix(X)
        sparse = input_gradients(model, given, times_input=True)
        found = sparse if plain.ndim == 3 else [sparse]
        for k, matrix in enumerate(found):
            assert type(matrix) is csr_matrix
            assert not np.shares_memory(matrix.indices, given.indices)
            one = expected[:, k] if plain.ndim == 3 else expected
            np.testing.assert_allclose(matrix.toarray(), one, rtol=1e-12, atol=1e-15)


@settings(max_examples=40, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 40), max_size=2),
    n_features=st.integers(1, 40),
    n_rows=st.integers(1, 12),
    density=st.sampled_from([0, 0.1, 0.5, 1]),
    dtype=st.sampled_from([np.float32, np.float64]),
    of=st.sampled_from(["prediction", "score"]),
    is_class=st.booleans(),
    seed=st.integers(0, 99),
)
def test_gradients_of_entries_are_the_dense_ones_there(
    hidden, n_features, n_rows, density, dtype, of, is_class, seed
):
    rng = np.random.default_rng(seed)
    target = "binary" if is_class else "numbers"
    model = network(target, "silu", (2,), dtype)
    units = [n_features, *hidden, model.n_outputs_]
    model.n_features_in_ = n_features
    model.coefs_ = [rng.normal(size=shape).astype(dtype) for shape in pairwise(units)]
    model.intercepts_ = [rng.normal(size=n).astype(dtype) for n in units[1:]]
    rows = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < density)
    rows = csr_array(rows.astype(dtype))
    if rows.nnz:
        rows.data[0] = 0  # an entry all the same
    found = input_gradients(model, rows, of=of, times_input=True)
    expected = input_gradients(model, rows, of=of)
    found, expected = ([found], [expected]) if is_class else (found, expected.swapaxes(0, 1))
    tolerance = (
        {"rtol": 1e-3, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
    )
    for matrix, gradients in zip(found, expected, strict=True):
        assert matrix.dtype == dtype and matrix.nnz == rows.nnz
        np.testing.assert_array_equal(matrix.indices, rows.indices)
        np.testing.assert_array_equal(matrix.indptr, rows.indptr)
        np.testing.assert_allclose(matrix.toarray(), gradients * rows.toarray(), **tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_of_entries_do_not_depend_on_threads_and_places(monkeypatch, dtype):
    """Also with pieces of work, and where weights are copied since a page ends after them."""
    from fastmlp.engines.cpu import input_gradients as on_cpu
    from fastmlp.engines.cpu import prediction

    rows = RNG.normal(size=(3001, 5)).astype(dtype)
    rows = csr_array(rows * (np.abs(rows) > 0.7))
    model = network("classes", hidden=(19, 11), dtype=dtype).set_params(n_jobs=1)
    alone = input_gradients(model, rows, times_input=True).data
    monkeypatch.setattr(engine, "_THREAD_PREDICTION", 1)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 3)
    monkeypatch.setattr(on_cpu, "_PIECE_MULTIPLY_ADDS", 1)
    monkeypatch.setattr(prediction, "_PAGE", 1)
    model.set_params(n_jobs=3).coefs_ = [w.copy() for w in model.coefs_]
    np.testing.assert_array_equal(input_gradients(model, rows, times_input=True).data, alone)


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_entries_in_any_order_and_in_one_place(target):
    """Also of another type than the weights, since a conversion by SciPy puts them in order."""
    features, starts = np.array([4, 1, 3, 3, 0, 2, 0]), np.array([0, 3, 4, 7])
    given = csr_array((RNG.normal(size=7), features, starts), shape=(3, 5))
    for dtype in (np.float32, np.float64):
        model = network(target, dtype=dtype)
        found = input_gradients(model, given, times_input=True)
        dense = input_gradients(model, given.toarray(), times_input=True)
        parts = [found] if target == "classes" else found
        expected = [dense] if target == "classes" else dense.swapaxes(0, 1)
        for matrix, one in zip(parts, expected, strict=True):
            np.testing.assert_array_equal(matrix.indices, features)
            np.testing.assert_allclose(matrix.toarray(), one, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(given.indices, features)


def test_room_after_the_last_entry_is_not_read():
    model, rows = network("classes"), csr_array(X * (X > 0))
    expected = input_gradients(model, rows, times_input=True)
    rows = csr_array((np.append(rows.data, np.nan), np.append(rows.indices, 0), rows.indptr))
    assert (input_gradients(model, rows, times_input=True) != expected).nnz == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", TARGETS)
def test_sparse_rows(target, dtype):
    model = network(target, "gelu", dtype=dtype)
    rows = (X * (np.abs(X) > 0.7)).astype(dtype)
    found = each_output(model, target, csr_matrix(rows))
    assert found.dtype == dtype
    tolerance = {"rtol": 1e-3, "atol": 1e-5} if dtype == np.float32 else {"atol": 1e-12}
    np.testing.assert_allclose(
        found, jacobians(model, target, rows=rows.astype(float)), **tolerance
    )
    np.testing.assert_allclose(found, each_output(model, target, rows), **tolerance)


@settings(max_examples=40, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 70), max_size=2),
    n_features=st.integers(1, 70),
    n_rows=st.integers(1, 40),
    dtype=st.sampled_from([np.float32, np.float64]),
    is_copied=st.booleans(),
    seed=st.integers(0, 99),
)
def test_few_rows_have_the_bits_of_many(hidden, n_features, n_rows, dtype, is_copied, seed):
    """What is kept for the next call is used by another network, and when weights have changed."""
    from fastmlp.engines.cpu import input_gradients as on_cpu
    from fastmlp.engines.cpu import prediction

    rng = np.random.default_rng(seed)
    model = network("classes", "gelu", (2,), dtype)
    units = [n_features, *hidden, model.n_outputs_]
    model.n_features_in_ = n_features
    rows = rng.normal(size=(n_rows, n_features)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        if is_copied:
            patch.setattr(prediction, "_PAGE", 1)
        for _ in range(2):
            model.coefs_ = [rng.normal(size=shape).astype(dtype) for shape in pairwise(units)]
            model.intercepts_ = [rng.normal(size=n).astype(dtype) for n in units[1:]]
            for _ in range(2):
                found = [input_gradients(model, rows, k) for k in (None, 1)]
                with patch.context() as other:
                    other.setattr(on_cpu, "_FEW_NUMBERS", 0)
                    many = [input_gradients(model, rows, k) for k in (None, 1)]
                np.testing.assert_array_equal(found, many)
                np.testing.assert_array_equal(input_gradients(model, rows[-1:], 1), found[1][-1:])
                model.coefs_[0] *= 2


def test_a_large_network_leaves_no_memory_behind():
    model = network("number", hidden=(2, 2), dtype=np.float32, n_jobs=1)
    units = [5, 1000, 1100, 1]
    model.coefs_ = [np.zeros(shape, np.float32) for shape in pairwise(units)]
    model.intercepts_ = [np.zeros(n, np.float32) for n in units[1:]]
    tracemalloc.start()
    try:
        input_gradients(model, X[:1])
        assert tracemalloc.get_traced_memory()[0] < 1_000_000 < tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_threads_that_ask_at_once():
    models = [network("classes", "tanh", (9, 5)), network("numbers", "tanh", (9, 5))]
    expected = [input_gradients(model, X) for model in models]

    def ask(number):
        return [input_gradients(models[number % 2], X) for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(ask, range(4))):
            for one in found:
                np.testing.assert_array_equal(one, expected[number % 2])


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_threads(monkeypatch, dtype, is_sparse):
    """Many blocks of rows, in one thread and in several, in one piece and in small ones."""
    from fastmlp.engines.cpu import input_gradients as on_cpu

    model = network("classes", hidden=(19, 11), dtype=dtype)
    rows = RNG.normal(size=(3001, 5)).astype(dtype)
    rows[np.abs(rows) < 0.3] = 0
    given = csr_matrix(rows) if is_sparse else rows
    alone = input_gradients(model.set_params(n_jobs=1), given)
    monkeypatch.setattr(engine, "_THREAD_PREDICTION", 1)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 3)
    for n_jobs in (2, 3):
        found = input_gradients(model.set_params(n_jobs=n_jobs), given)
        np.testing.assert_array_equal(found, alone)
    monkeypatch.setattr(on_cpu, "_PIECE_MULTIPLY_ADDS", 1)
    np.testing.assert_array_equal(input_gradients(model, given), alone)
    np.testing.assert_array_equal(input_gradients(model, given[1500:1501]), alone[1500:1501])


def test_it_does_not_matter_how_weights_and_rows_lie():
    model = network("classes")
    found = input_gradients(model, X)
    model.coefs_ = [np.asfortranarray(w) for w in model.coefs_]
    wide = np.repeat(X, 2, axis=1)
    np.testing.assert_array_equal(input_gradients(model, wide[:, ::2]), found)


def test_without_a_gpu_the_cpu_computes_them(monkeypatch):
    monkeypatch.setattr("fastmlp.engines.cuda.support.why_not", lambda: "there is none")
    model = network("classes")
    found = input_gradients(model, X)
    for device in ("cuda", "auto"):
        np.testing.assert_array_equal(input_gradients(model.set_params(device=device), X), found)


def test_quantiles_are_differentiated_in_their_order():
    model = MLPRegressor("quantile", hidden_layer_sizes=(5,), quantiles=[0.1, 0.5, 0.9],
                         activation="tanh", max_iter=2, random_state=0)  # fmt: skip
    model = fit_quietly(model, X, TARGETS["number"])
    assert (np.diff(model._outputs(X), axis=1) < 0).any()
    found = input_gradients(model, X)
    np.testing.assert_allclose(found, differences(model.predict), rtol=1e-5, atol=1e-8)
    for k in range(3):
        np.testing.assert_array_equal(input_gradients(model, X, output=k), found[:, k])
        score = input_gradients(model, X, output=k, of="score")
        np.testing.assert_allclose(score, differences(model._outputs)[:, k], rtol=1e-5, atol=1e-8)
    sparse = input_gradients(model, csr_array(X), times_input=True)
    for k, matrix in enumerate(sparse):
        np.testing.assert_allclose(matrix.toarray(), found[:, k] * X, rtol=1e-12, atol=1e-15)
        one = input_gradients(model, csr_array(X), output=k, times_input=True)
        assert (one != matrix).nnz == 0


def test_dropout_is_left_out():
    model = network("classes", dropout=0.5)
    found = each_output(model, "classes")
    np.testing.assert_allclose(found, jacobians(model, "classes"), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("classes", {"class_": 7}, "class_=7 is none of the model's classes: 0, 1, 2"),
        ("classes", {"class_": pd.NA}, "class_=<NA> is none of the model's classes"),
        ("classes", {"class_": []}, "none of the model's classes"),
        ("classes", {"class_": [0, 1, 2]}, "none of the model's classes"),
        ("classes", {"output": 1}, "use class_ for a classifier"),
        ("numbers", {"class_": 1}, "this is a regressor; use output"),
        ("labels", {"class_": 1}, "several labels; use output"),
        ("numbers", {"output": 2}, "output=2 is none of the outputs 0 to 1"),
        ("numbers", {"output": -1}, "output=-1 is none of the outputs 0 to 1"),
        ("numbers", {"output": True}, "output must be the number of an output, got True"),
        ("numbers", {"output": "a"}, "output must be the number of an output, got 'a'"),
    ],
)
def test_what_is_not_there_is_refused(target, options, message):
    with pytest.raises(InputError, match=message):
        input_gradients(network(target), X, **options)


def test_bad_input_is_refused():
    model = network("classes")
    with pytest.raises(ValueError, match="of must be 'prediction' or 'score', got 'logit'"):
        input_gradients(model, X, of="logit")
    with pytest.raises(ValueError, match="X has 4 features"):
        input_gradients(model, X[:, 1:])
    with pytest.raises(ValueError, match="not fitted"):
        input_gradients(MLPClassifier(), X)
    narrow = network("classes", dtype=np.float32)
    with pytest.raises(ValueError, match="float32"):
        input_gradients(narrow, np.full((1, 5), 1e300))
    one = fit_quietly(MLPClassifier((3,), max_iter=2), X, np.zeros(len(X), dtype=int))
    with pytest.raises(InputError, match="a single class"):
        input_gradients(one, X)


def test_infinite_gradients_are_told():
    model = network("counts", "identity", ())
    model.coefs_ = [np.full((5, 1), 400.0)]
    with pytest.warns(DataWarning, match="of 1 of 2 rows are not finite, of row 1 first"):
        input_gradients(model, np.array([[0.0] * 5, [1.0] * 5]))
    with pytest.warns(DataWarning, match="of 1 of 3 rows are not finite, of row 2 first"):
        input_gradients(model, csr_array(np.diag([1e-9, 1e-9, 2, 0, 0])[:3]), times_input=True)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_infinite_products_are_told_once(form):
    """Also where the gradients themselves are finite, and where infinity meets zero."""
    model = network("number", hidden=())
    model.coefs_ = [np.full((5, 1), 1e300)]
    with pytest.warns(DataWarning, match="of 1 of 2 rows are not finite, of row 1 first") as told:
        found = input_gradients(model, form([[1.0] * 5, [0, 0, 0, 0, 1e10]]), times_input=True)
    assert len(told) == 1 and found[1, 4] == np.inf and found[0, 0] == 1e300
    model = network("counts", "identity", ())
    model.coefs_ = [np.full((5, 1), 400.0)]
    with pytest.warns(DataWarning, match="of 1 of 1 rows") as told:
        input_gradients(model, form([[1.0, 1, 1, 1, 0]]), times_input=True)
    assert len(told) == 1


def test_no_compiler_is_imported():
    code = """
import warnings
import numpy as np
from fastmlp import MLPClassifier, input_gradients
warnings.simplefilter("ignore")
X = np.linspace(-1, 1, 40).reshape(20, 2)
input_gradients(MLPClassifier((4,), max_iter=2).fit(X, np.arange(20) % 2), X)
"""
    imported_by(code)  # leaves what it has to compile in the cache
    assert "numba" not in imported_by(code)
