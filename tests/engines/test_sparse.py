"""Sparse inputs: the numbers of scikit-learn, and of the same rows when they are dense."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.neural_network
from helpers import fit_quietly, flat, use_all_threads
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.fixes import COO_CONTAINERS, CSC_CONTAINERS, CSR_CONTAINERS

import fastmlp
from fastmlp import MLPClassifier, check_gradient
from fastmlp.engines.cpu import engine


def problem(n_rows=230, n_features=90, density=0.05, dtype=np.float64, seed=0):
    rng = np.random.RandomState(seed)
    X = sp.random(n_rows, n_features, density, "csr", dtype, random_state=rng)
    return X, np.arange(n_rows) % 3


CONFIGURATIONS = {
    "default": {},
    "deep": {"hidden_layer_sizes": (40, 9), "activation": "tanh"},
    "linear": {"hidden_layer_sizes": ()},
    "sgd": {"solver": "sgd", "batch_size": 17},
    "early-stopping": {"early_stopping": True},
    "lbfgs": {"solver": "lbfgs"},
    "penalty": {"alpha": 0.3, "batch_size": 230},
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("params", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_weights_are_those_of_scikit_learn(name, params, weighted):
    X, y = problem()
    reference, model, dense = (
        getattr(module, name)(max_iter=12, random_state=1, **params)
        for module in (sklearn.neural_network, fastmlp, fastmlp)
    )
    weights = {"sample_weight": np.random.RandomState(0).uniform(size=230)} if weighted else {}
    fit_quietly(reference, X, y, **weights)
    fit_quietly(model, X, y, **weights)
    fit_quietly(dense, X.toarray(), y, **weights)
    np.testing.assert_allclose(flat(model), flat(reference), rtol=0, atol=1e-8)
    np.testing.assert_allclose(flat(model), flat(dense), rtol=0, atol=1e-8)
    for rows in (X, X[:3]):
        np.testing.assert_allclose(model.predict(rows), reference.predict(rows), atol=1e-8)
        np.testing.assert_allclose(model.predict(rows), model.predict(rows.toarray()), atol=1e-12)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_change_nothing(n_threads, monkeypatch):
    use_all_threads(monkeypatch)
    monkeypatch.setattr(engine, "default_n_threads", lambda: n_threads)
    monkeypatch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 0)
    monkeypatch.setattr(engine, "_THREAD_PREDICTION", 1)
    X, y = problem()
    params = {"hidden_layer_sizes": (45, 7), "max_iter": 5, "batch_size": 50, "random_state": 0}
    one, many = (fit_quietly(MLPClassifier(**params, n_jobs=j), X, y) for j in (1, None))
    np.testing.assert_array_equal(flat(many), flat(one))
    np.testing.assert_array_equal(many.predict_proba(X), one.predict_proba(X))


@pytest.mark.parametrize("container", [*CSR_CONTAINERS, *CSC_CONTAINERS, *COO_CONTAINERS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_format(container, dtype):
    X, y = problem(dtype=dtype)
    expected = fit_quietly(MLPClassifier(max_iter=3, random_state=0), X, y)
    model = fit_quietly(MLPClassifier(max_iter=3, random_state=0), container(X), y)
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert model.coefs_[0].dtype == dtype
    np.testing.assert_array_equal(model.predict_proba(container(X)), expected.predict_proba(X))
    model.partial_fit(container(X), y)


def test_repeated_and_unordered_entries_empty_rows_and_explicit_zeros():
    values, features = [1.0, 2.0, 0.0, 3.0, -1.0], [4, 4, 0, 2, 1]
    X = sp.csr_array((values, features, [0, 2, 2, 5, 5]), shape=(4, 6))
    y = [0, 1, 0, 1]
    model = fit_quietly(MLPClassifier(max_iter=4, random_state=0), X, y)
    expected = fit_quietly(MLPClassifier(max_iter=4, random_state=0), X.toarray(), y)
    np.testing.assert_allclose(flat(model), flat(expected), rtol=0, atol=1e-12)


def test_nothing_is_made_dense():
    X, y = problem(1500, 20_000, 20 / 20_000)
    dense = 8 * X.shape[0] * X.shape[1]
    models = [MLPClassifier((2,), max_iter=1, early_stopping=e, solver=s)
              for e, s in ((False, "adam"), (True, "sgd"), (False, "lbfgs"))]  # fmt: skip
    fit_quietly(MLPClassifier((2,), max_iter=1), X[:300], y[:300])  # compiles
    for model in models:
        tracemalloc.start()
        fit_quietly(model, X, y).partial_fit(X, y) if model.solver == "adam" else fit_quietly(
            model, X, y
        )
        model.predict(X)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < dense / 10


def test_gradient():
    X, y = problem(20, 12, 0.2)
    assert check_gradient(MLPClassifier((5, 4), alpha=0.5, random_state=0), X, y) < 1e-6


def test_values_that_are_not_finite():
    X, y = problem()
    X.data[3] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        MLPClassifier().fit(X, y)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    n_rows=st.integers(2, 50),
    n_features=st.integers(1, 150),
    hidden=st.lists(st.integers(1, 70), max_size=2),
    density=st.floats(0, 1),
    batch_size=st.integers(1, 50),
    n_jobs=st.sampled_from([1, 2]),
)
def test_any_shape(n_rows, n_features, hidden, density, batch_size, n_jobs):
    X, _ = problem(n_rows, n_features, density)
    y = np.random.RandomState(1).normal(size=(n_rows, 2))
    options = {"max_iter": 3, "random_state": 0, "batch_size": min(batch_size, n_rows)}
    sparse, dense = (
        fit_quietly(fastmlp.MLPRegressor("squared_error", hidden, n_jobs=n_jobs, **options), x, y)
        for x in (X, X.toarray())
    )
    np.testing.assert_allclose(flat(sparse), flat(dense), rtol=0, atol=1e-10)
