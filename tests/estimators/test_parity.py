"""The same random_state gives scikit-learn's weights, and those of a plain implementation."""

import naive
import numpy as np
import pytest
import sklearn.neural_network
from helpers import fit_quietly, flat, team_of
from hypothesis import given, settings
from hypothesis import strategies as st

import fastmlp

N_ROWS, N_FEATURES = 101, 7  # odd, so that the last batch is short


def make_data(target, dtype=np.float64, n_rows=N_ROWS, n_features=N_FEATURES, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(dtype)
    scores = X @ rng.normal(size=(n_features, 3))
    y = {
        "binary": lambda: scores[:, 0] > 0,
        "multiclass": lambda: np.array(["a", "b", "c"])[scores.argmax(axis=1)],
        "multilabel": lambda: (scores > 0).astype(int),
        "number": lambda: scores[:, 0],
        "numbers": lambda: scores,
        "count": lambda: rng.poisson(np.exp(0.3 * scores[:, 0])),
    }[target]()
    return X, y.astype(dtype) if target in ("number", "numbers", "count") else y


def estimator_name(target):
    classes = ("binary", "multiclass", "multilabel")
    return "MLPClassifier" if target in classes else "MLPRegressor"


def both(target, **params):
    """scikit-learn's estimator and ours, not fitted."""
    name = estimator_name(target)
    params = {"max_iter": 20, "random_state": 3, **params}
    if target == "count":
        params["loss"] = "poisson"
    return [getattr(m, name)(**params) for m in (sklearn.neural_network, fastmlp)]


def assert_equal_models(reference, model, X, tolerance=1e-8):
    assert [w.shape for w in model.coefs_] == [w.shape for w in reference.coefs_]
    np.testing.assert_allclose(flat(model), flat(reference), rtol=0, atol=tolerance)
    np.testing.assert_allclose(model.loss_curve_, reference.loss_curve_, rtol=0, atol=tolerance)
    assert (model.n_iter_, model.t_) == (reference.n_iter_, reference.t_)
    for name in ("best_loss_", "best_validation_score_", "validation_scores_"):
        expected, actual = getattr(reference, name), getattr(model, name)
        if expected is None:
            assert actual is None
        else:
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
    if model.solver == "sgd":
        np.testing.assert_allclose(
            model._optimizer.learning_rate, reference._optimizer.learning_rate
        )
    if hasattr(reference, "predict_proba"):
        np.testing.assert_array_equal(model.predict(X), reference.predict(X))
        np.testing.assert_allclose(
            model.predict_proba(X), reference.predict_proba(X), rtol=0, atol=tolerance
        )
    else:
        np.testing.assert_allclose(model.predict(X), reference.predict(X), rtol=0, atol=tolerance)


SGD = {"solver": "sgd", "learning_rate_init": 0.02}
CONFIGURATIONS = {
    "adam-relu-multiclass": ("multiclass", {"hidden_layer_sizes": (11,)}),
    "adam-tanh-binary": ("binary", {"activation": "tanh", "batch_size": 17, "alpha": 0.5}),
    "adam-logistic-multilabel": ("multilabel", {"activation": "logistic", "batch_size": 13}),
    "adam-identity-number": ("number", {"activation": "identity", "hidden_layer_sizes": (5, 4)}),
    "adam-relu-numbers": ("numbers", {"hidden_layer_sizes": (9, 8, 7), "batch_size": 33}),
    "adam-relu-count": ("count", {"hidden_layer_sizes": 6, "batch_size": 10}),
    "adam-linear": ("multiclass", {"hidden_layer_sizes": (), "batch_size": 19}),
    "adam-constants": (
        "number",
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "learning_rate_init": 0.05},
    ),
    "adam-deep": ("binary", {"hidden_layer_sizes": (8, 7, 6, 5), "batch_size": 29}),
    "adam-wide": ("multiclass", {"hidden_layer_sizes": (150, 70), "batch_size": 50}),
    "adam-unshuffled": ("multiclass", {"shuffle": False, "batch_size": 20}),
    "adam-early-stopping": ("multiclass", {"early_stopping": True, "batch_size": 21}),
    "adam-early-stopping-binary": ("binary", {"early_stopping": True, "n_iter_no_change": 3}),
    "adam-early-stopping-number": ("number", {"early_stopping": True, "batch_size": 8}),
    "sgd-plain": ("multiclass", {**SGD, "momentum": 0.0, "batch_size": 9}),
    "sgd-momentum": ("binary", {**SGD, "nesterovs_momentum": False, "activation": "tanh"}),
    "sgd-nesterov": ("number", {**SGD, "batch_size": 31, "alpha": 0.01}),
    "sgd-invscaling": ("multilabel", {**SGD, "learning_rate": "invscaling", "power_t": 0.3}),
    "sgd-adaptive": (
        "numbers",
        {**SGD, "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 2, "max_iter": 40},
    ),
    "sgd-adaptive-early-stopping": (
        "multiclass",
        {**SGD, "learning_rate": "adaptive", "early_stopping": True, "n_iter_no_change": 2},
    ),
    "sgd-count": ("count", {**SGD, "activation": "logistic", "batch_size": 25}),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_fit_gives_the_weights_of_scikit_learn(name, weighted):
    target, params = CONFIGURATIONS[name]
    X, y = make_data(target)
    sample_weight = np.random.RandomState(1).uniform(0.1, 3, len(X)) if weighted else None
    reference, model = both(target, **params)
    for estimator in (reference, model):
        fit_quietly(estimator, X, y, sample_weight=sample_weight)
    assert_equal_models(reference, model, X)


@pytest.mark.parametrize("params", [{}, SGD, {**SGD, "learning_rate": "invscaling"}])
@pytest.mark.parametrize("target", ["multiclass", "multilabel", "number"])
def test_partial_fit(target, params):
    X, y = make_data(target)
    reference, model = both(target, batch_size=15, **params)
    for start in (0, 40, 70, 10):
        part = slice(start, start + 31)
        for estimator in (reference, model):
            options = {}
            if estimator_name(target) == "MLPClassifier":
                options["classes"] = np.arange(3) if y.ndim == 2 else np.unique(y)
            estimator.partial_fit(X[part], y[part], **options)
        assert model.n_iter_ == 1
    assert_equal_models(reference, model, X)


def test_partial_fit_keeps_the_optimiser_of_its_first_call():
    X, y = make_data("multiclass")
    reference, model = both("multiclass", batch_size=15)
    for estimator in (reference, model):
        estimator.partial_fit(X, y, classes=np.unique(y))
        estimator.set_params(solver="sgd", beta_1=0.5, momentum=0.1, learning_rate_init=1.0)
        estimator.partial_fit(X, y)
    np.testing.assert_allclose(flat(model), flat(reference), rtol=0, atol=1e-8)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("n_rows", "batch_size", "weighted"), [(401, 200, False), (1069, 530, True)]
)
@pytest.mark.parametrize("target", ["multiclass", "multilabel", "numbers", "count"])
def test_groups_of_rows(target, n_rows, batch_size, weighted, n_threads):
    # Many rows and few weights: gradients are summed in 2 and in 8 groups; the last batch,
    # of 1 and of 9 rows, leaves groups empty.
    X, y = make_data(target, n_rows=n_rows)
    weights = {"sample_weight": np.random.RandomState(1).uniform(size=n_rows)} if weighted else {}
    hidden = (20, 6) if target == "multiclass" else ()
    reference, model = both(
        target, hidden_layer_sizes=hidden, batch_size=batch_size, learning_rate_init=1e-3,
        solver="sgd" if weighted else "adam", max_iter=5,
    )  # fmt: skip
    fit_quietly(reference, X, y, **weights)
    with team_of(n_threads):
        fit_quietly(model, X, y, **weights)
    assert_equal_models(reference, model, X)
    expected = type(model)(**model.get_params()).set_params(n_jobs=1)
    np.testing.assert_array_equal(flat(fit_quietly(expected, X, y, **weights)), flat(model))


def test_fit_then_partial_fit():
    X, y = make_data("multiclass")
    reference, model = both("multiclass", max_iter=3)
    for estimator in (reference, model):
        fit_quietly(estimator, X, y).partial_fit(X[:50], y[:50])
    assert_equal_models(reference, model, X)


@pytest.mark.parametrize("params", [{}, SGD])
def test_warm_start(params):
    X, y = make_data("number")
    reference, model = both("number", warm_start=True, max_iter=5, batch_size=20, **params)
    for _ in range(3):
        for estimator in (reference, model):
            fit_quietly(estimator, X, y)
        assert_equal_models(reference, model, X)


@pytest.mark.parametrize("target", ["multiclass", "number", "multilabel"])
def test_float32(target):
    X, y = make_data(target, np.float32)
    reference, model = both(target, batch_size=23)
    for estimator in (reference, model):
        fit_quietly(estimator, X, y)
    assert model.coefs_[0].dtype == np.float32
    assert model.predict(X).dtype == reference.predict(X).dtype
    np.testing.assert_allclose(flat(model), flat(reference), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("target", "loss"),
    [
        ("binary", "binary_cross_entropy"),
        ("multiclass", "cross_entropy"),
        ("numbers", "squared_error"),
        ("count", "poisson"),
    ],
)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["adam", "momentum", "nesterov"])
def test_naive_implementation(target, loss, activation, solver):
    X, y = make_data(target)
    Y = y.astype(float).reshape(len(y), -1) if target != "multiclass" else (
        y[:, None] == np.unique(y)
    ).astype(float)  # fmt: skip
    common = {"batch_size": 18, "alpha": 0.02}
    if solver == "adam":
        optimizer, ours, naives = naive.Adam, {}, {"learning_rate": 0.001}
    else:
        nesterov = solver == "nesterov"
        optimizer, ours = naive.SGD, {**SGD, "nesterovs_momentum": nesterov}
        naives = {"learning_rate": 0.02, "nesterov": nesterov}
    model = both(target, hidden_layer_sizes=(6, 5), activation=activation, **common, **ours)[1]
    fit_quietly(model.set_params(max_iter=5), X, y)
    weights, biases, curve = naive.train(
        X, Y, hidden=(6, 5), activation_name=activation, loss=loss, optimizer=optimizer, seed=3,
        epochs=5, **common, **naives,
    )  # fmt: skip
    expected = np.concatenate([np.ravel(w) for w in weights + biases])
    np.testing.assert_allclose(flat(model), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.loss_curve_, curve, rtol=1e-10)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n_rows=st.integers(2, 400),
    n_features=st.integers(1, 40),
    hidden=st.lists(st.integers(1, 40), max_size=3),
    batch_size=st.integers(1, 300),
    target=st.sampled_from(["number", "numbers", "multilabel", "count", "classes"]),
    activation=st.sampled_from(["identity", "logistic", "tanh", "relu"]),
    solver=st.sampled_from(["sgd", "adam"]),
    shuffle=st.booleans(),
    n_threads=st.sampled_from([2, 3]),
)
def test_any_shape(n_rows, n_features, batch_size, target, hidden, n_threads, **params):
    if target == "classes":
        X, _ = make_data("number", n_rows=n_rows, n_features=n_features)
        y, target = np.arange(n_rows) % min(n_rows, 26), "multiclass"
    else:
        X, y = make_data(target, n_rows=n_rows, n_features=n_features)
    batch_size = min(batch_size, n_rows)
    reference, model = both(
        target, max_iter=2, hidden_layer_sizes=hidden, batch_size=batch_size,
        learning_rate_init=1e-3, **params,
    )  # fmt: skip
    fit_quietly(reference, X, y)
    with team_of(n_threads):
        fit_quietly(model, X, y)
    np.testing.assert_allclose(flat(model), flat(reference), rtol=0, atol=1e-8)
    for dtype in (np.float32, np.float64):
        one, team = fastmlp_copies(model)
        fit_quietly(one.set_params(n_jobs=1), X.astype(dtype), y)
        with team_of(n_threads):
            fit_quietly(team, X.astype(dtype), y)
            predicted = team.predict(X.astype(dtype))
        np.testing.assert_array_equal(flat(team), flat(one))
        np.testing.assert_array_equal(predicted, one.predict(X.astype(dtype)))


def fastmlp_copies(model):
    return [type(model)(**model.get_params()) for _ in range(2)]


def test_depths_beyond_one_block_and_rows_of_half_a_page():
    # 600 inputs are summed in three blocks; rows of 256 float64 numbers get a vector more.
    X, y = make_data("multiclass", n_rows=150, n_features=600)
    reference, model = both("multiclass", hidden_layer_sizes=(256, 300), max_iter=3)
    assert_equal_models(fit_quietly(reference, X, y), fit_quietly(model, X, y), X)
