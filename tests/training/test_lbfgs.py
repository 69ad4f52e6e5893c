"""The solver lbfgs."""

import threading

import numpy as np
import pytest
import sklearn.neural_network
from helpers import flat
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.training import lbfgs

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
CLASSIFICATION = {"binary": Y > 0, "multiclass": Y, "multilabel": np.c_[Y > 0, Y > 1].astype(int)}
REGRESSION = {"number": X[:, 0] * X[:, 1], "counts": Y}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("target", [*CLASSIFICATION, *REGRESSION])
def test_twenty_iterations_are_those_of_scikit_learn(target, activation, weighted):
    y = {**CLASSIFICATION, **REGRESSION}[target]
    params = {"hidden_layer_sizes": (8, 6), "activation": activation, "solver": "lbfgs"}
    params |= {"max_iter": 20, "random_state": 0, "alpha": 1.0}
    if target == "counts":
        params["loss"] = "poisson"
    name = "MLPClassifier" if target in CLASSIFICATION else "MLPRegressor"
    reference, model = (getattr(m, name)(**params) for m in (sklearn.neural_network, fastmlp))
    weights = {"sample_weight": np.linspace(0.5, 2, len(X))} if weighted else {}
    reference.fit(X, y, **weights)
    model.fit(X, y, **weights)
    np.testing.assert_allclose(flat(model), flat(reference), rtol=0, atol=1e-8)
    assert model.n_iter_ == reference.n_iter_ and model.t_ == reference.t_ == 0
    assert abs(model.loss_ - reference.loss_) < 1e-10
    assert len(model.loss_curve_) == model.n_iter_ and model.loss_curve_[-1] == model.loss_


def test_float32_is_fitted_in_float64_as_by_scikit_learn():
    model = MLPClassifier((5,), solver="lbfgs", max_iter=500, random_state=0)
    model.fit(X.astype(np.float32), Y)
    assert {w.dtype for w in (*model.coefs_, *model.intercepts_)} == {np.dtype(float)}
    assert model.score(X, Y) > 0.95


@pytest.mark.parametrize("limit", [{"max_iter": 3}, {"max_fun": 3}])
def test_limits_warn(limit):
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after"):
        model = MLPClassifier(solver="lbfgs", random_state=0, **limit).fit(X, Y)
        reference = sklearn.neural_network.MLPClassifier(solver="lbfgs", random_state=0, **limit)
        reference.fit(X, Y)
    assert model.n_iter_ == reference.n_iter_ <= 3
    np.testing.assert_allclose(flat(model), flat(reference), rtol=0, atol=1e-8)


def test_verbose_prints_each_iteration(capsys):
    model = MLPRegressor(solver="lbfgs", verbose=True, random_state=0, tol=0.1)
    model.fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_
    assert lines[-1] == f"Iteration {model.n_iter_}, loss = {model.loss_:.8f}"


def test_callback_ends_training():
    losses = []

    def callback(epoch):
        losses.append(epoch.loss)
        return epoch.epoch == 4

    model = MLPClassifier(solver="lbfgs", random_state=0).fit(X, Y, callback=callback)
    assert model.n_iter_ == 4 and model.loss_curve_ == losses
    assert losses == sorted(losses, reverse=True)


def test_interrupt_keeps_the_weights():
    def interrupt(epoch):
        if epoch.epoch == 5:
            raise KeyboardInterrupt

    model = MLPClassifier(solver="lbfgs", random_state=0)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, Y, callback=interrupt)
    expected = MLPClassifier(solver="lbfgs", random_state=0)
    expected.fit(X, Y, callback=lambda epoch: epoch.epoch == 5)
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert model.n_iter_ == 5


def test_warm_start_goes_on():
    model = MLPClassifier((5,), solver="lbfgs", warm_start=True, random_state=0, tol=1e-2)
    first = model.fit(X, Y).loss_
    model.set_params(tol=1e-5, max_iter=1000).fit(X, Y)
    assert model.loss_ < first and model.loss_curve_[0] > first
    # scikit-learn's cannot change to another solver.
    model.set_params(solver="adam", max_iter=2)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, Y)
    assert len(model.validation_scores_ or []) == 0 and model.t_ == 300


def test_several_outputs_minimise_what_the_gradient_is_of():
    # With the mean instead, line searches fail and the penalty counts as much as in one output.
    targets = np.c_[X[:, 0] * X[:, 1], X[:, 2], -X[:, 3]]
    params = {"solver": "lbfgs", "max_iter": 3000, "tol": 1e-6, "random_state": 0, "alpha": 0.5}
    model = MLPRegressor("squared_error", (), **params).fit(X, targets)
    # A linear model of each output by itself has the same optimum.
    alone = [MLPRegressor("squared_error", (), **params).fit(X, t) for t in targets.T]
    for i, single in enumerate(alone):
        np.testing.assert_allclose(model.coefs_[0][:, [i]], single.coefs_[0], atol=1e-3)
    predicted = model.predict(X)
    squares = sum((w**2).sum() for w in model.coefs_)
    expected = 0.5 * ((predicted - targets) ** 2).mean() + 0.25 * squares / len(X)
    assert abs(model.loss_ - expected) < 1e-12
    assert model.loss_curve_[-1] == model.loss_


def test_blas_has_one_thread_during_a_fit():
    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before, inside = threads(), []
    X, y = make_regression(60, 4, random_state=0)
    MLPRegressor(solver="lbfgs", random_state=0, diagnose=False).fit(
        X, y, callback=lambda epoch: inside.extend(threads()) or epoch.epoch == 2
    )
    assert set(inside) == {1} and threads() == before


def test_overlapping_fits_lift_the_limit_of_blas_once(monkeypatch):
    """Else the last one would restore what it found, which is the limit of the first."""
    calls = []

    class Controller:
        def limit(self, **limits):
            calls.append(limits)
            return self

        def restore_original_limits(self):
            calls.append("restored")

    monkeypatch.setattr(lbfgs, "_blas", Controller)
    X, y = make_regression(60, 4, random_state=0)
    barrier = threading.Barrier(2)

    def fit(n_iterations):
        def each(epoch):
            if epoch.epoch == 1:
                barrier.wait()
            return epoch.epoch == n_iterations

        MLPRegressor(solver="lbfgs", random_state=0, diagnose=False).fit(X, y, callback=each)

    fits = [threading.Thread(target=fit, args=(n,)) for n in (2, 20)]
    for thread in fits:
        thread.start()
    for thread in fits:
        thread.join()
    assert calls == [{"limits": 1, "user_api": "blas"}, "restored"]
