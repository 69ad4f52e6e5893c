"""Training that diverges: a clear error, and weights that are of use."""

import re
import warnings

import numpy as np
import pytest
from helpers import fit_quietly, flat
from sklearn.exceptions import ConvergenceWarning

import fastmlp
from fastmlp import DivergenceError, MLPClassifier, MLPRegressor, TrainingWarning
from fastmlp.engines.cpu.engine import CpuEngine
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan

RNG = np.random.RandomState(0)
X = RNG.normal(size=(80, 3))
Y = X[:, 0] + 0.1 * RNG.normal(size=80)
# The rows are so few that an epoch is one step.
BAD = {
    "solver": "sgd", "learning_rate_init": 1e3, "activation": "identity", "random_state": 0,
    "hidden_layer_sizes": (4,),
}  # fmt: skip
MESSAGE = (
    r"^Solver produced non-finite parameter weights\. The input data may contain large values and "
    r"need to be preprocessed\. Training diverged in epoch (\d+): standardise X and y, lower "
    r"learning_rate_init=1000, or limit the gradient with clip_norm\.$"
)


def diverged(model, *args, **kwargs):
    with pytest.raises(DivergenceError) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fit_stops_at_once_with_the_last_finite_weights(dtype):
    model, told = MLPRegressor(**BAD), []
    error = diverged(model, X.astype(dtype), Y, callback=told.append)
    assert isinstance(error, ValueError)
    assert re.match(MESSAGE, str(error))[1] == str(model.n_iter_)
    assert 2 < model.n_iter_ < 200 and len(told) == model.n_iter_
    assert len(model.loss_curve_) == len(model.history_["loss"]) == model.n_iter_
    assert np.isfinite(model.loss_curve_[:-1]).all()
    assert np.isfinite(flat(model)).all() and np.isfinite(model.best_loss_)
    assert model.predict(X).shape == (80,)
    # The weights with which the last epoch began, or, if those had overflown, the one before.
    kept = flat(model)
    before = [fit_to(n, X.astype(dtype)) for n in (model.n_iter_ - 1, model.n_iter_ - 2)]
    expected = next(theta for theta in before if np.isfinite(theta).all())
    np.testing.assert_array_equal(kept, expected)


def fit_to(n_epochs, rows):
    model = MLPRegressor(**BAD, diagnose=False)
    try:
        model.fit(rows, Y, callback=lambda epoch: epoch.epoch == n_epochs)
    except DivergenceError:
        return np.array([np.inf])
    return flat(model)


def test_weights_that_overflow_in_the_last_step():
    # The loss before the only step is finite.
    model = MLPRegressor(**{**BAD, "learning_rate_init": 1e308}, max_iter=1)
    error = diverged(model, 1e3 * X, Y)
    assert "in epoch 1:" in str(error) and np.isfinite(model.loss_curve_).all()
    start = MLPRegressor(**{**BAD, "learning_rate_init": 1e-300}, max_iter=1)
    np.testing.assert_array_equal(flat(model), flat(fit_quietly(start, X, Y)))


def test_data_beyond_all_numbers():
    model = MLPClassifier(random_state=0)
    rows = np.finfo(float).max * RNG.uniform(size=X.shape)
    error = diverged(model, rows, Y > 0)
    assert ": standardise X, lower learning_rate_init=0.001," in str(error)
    assert np.isfinite(flat(model)).all()


def test_a_better_rate_mends_it():
    model = MLPRegressor(**BAD)
    diverged(model, X, Y)
    fit_quietly(model.set_params(learning_rate_init=0.01), X, Y)
    assert model.score(X, Y) > 0.9 and np.isfinite(model.history_["loss"]).all()


def test_partial_fit():
    model = MLPRegressor(**BAD)
    with pytest.raises(DivergenceError, match="in epoch 1"):
        for _ in range(300):
            model.partial_fit(X, Y)
    assert np.isfinite(flat(model)).all() and not hasattr(model, "_optimizer")
    assert 2 < len(model.loss_curve_) < 300


@pytest.mark.filterwarnings("ignore:overflow encountered")  # in the score
def test_early_stopping_keeps_the_best_weights_and_warns():
    model = MLPRegressor(**BAD, early_stopping=True, n_iter_no_change=300, max_iter=300)
    with pytest.warns(TrainingWarning, match=r"diverged in epoch \d+; the weights of the best"):
        model.fit(X, Y)
    best = int(np.argmax(np.nan_to_num(model.validation_scores_, nan=-np.inf)))
    assert np.isnan(model.validation_scores_[-1]) and model.n_iter_ < 300
    assert np.isfinite(flat(model)).all() and best < model.n_iter_ - 1
    # That training stopped is no mere advice.
    with pytest.warns(TrainingWarning, match="diverged in epoch"):
        model.set_params(diagnose=False).fit(X, Y)


def test_listeners_in_the_protocol_of_scikit_learn_get_the_kept_weights():
    seen = []

    class Recorder:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            seen.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            seen.append(fitted_estimator)

    model = MLPRegressor(**BAD).set_callbacks(Recorder())
    diverged(model, X, Y)
    assert seen[-1] == "teardown"
    np.testing.assert_array_equal(flat(seen[-2]), flat(model))


def test_lbfgs_keeps_the_last_finite_iterate():
    model = MLPRegressor(solver="lbfgs", random_state=0, hidden_layer_sizes=(4,))
    error = diverged(model, 1e200 * X, Y)
    assert "in iteration 1: standardise X and y." in str(error)
    assert np.isfinite(flat(model)).all() and model.loss_curve_ == []


def test_lbfgs_that_diverges_later(monkeypatch):
    calls = []
    original = CpuEngine.loss_and_gradient

    def breaking(self, theta):
        calls.append(theta.copy())
        loss, gradient = original(self, theta)
        return (np.nan, gradient) if len(calls) > 12 else (loss, gradient)

    monkeypatch.setattr(CpuEngine, "loss_and_gradient", breaking)
    model = MLPRegressor(solver="lbfgs", random_state=0, hidden_layer_sizes=(4,))
    error = diverged(model, X, Y)
    n_done = len(model.loss_curve_)
    assert n_done > 3 and f"in iteration {n_done + 1}:" in str(error)
    assert model.n_iter_ == n_done and np.isfinite(model.loss_curve_).all()
    monkeypatch.undo()
    short = MLPRegressor(solver="lbfgs", random_state=0, hidden_layer_sizes=(4,))
    short.fit(X, Y, callback=lambda epoch: epoch.epoch == n_done)
    np.testing.assert_array_equal(flat(model), flat(short))


def test_engines_keep_two_vectors():
    plan = TrainingPlan(
        (3, 5, 1), Activation.RELU, Loss.SQUARED_ERROR, Optimizer.SGD, batch_size=80
    )
    theta = RNG.normal(size=26)
    order = np.arange(80)
    with CpuEngine(plan, theta, X, Y[:, None], n_jobs=1) as engine:
        assert engine.last_finite() is None
        engine.run_epoch(order, 0.01)
        np.testing.assert_array_equal(engine.last_finite(), theta)
        second = engine.pull()
        engine.run_epoch(order, 0.01)
        np.testing.assert_array_equal(engine.last_finite(), second)
        third = engine.pull()
        engine.run_epoch(order, np.inf)
        np.testing.assert_array_equal(engine.last_finite(), third)
        engine.run_epoch(order, 0.01)  # begins with weights that are not finite
        np.testing.assert_array_equal(engine.last_finite(), third)
        engine.run_epoch(order, 0.01)
        assert engine.last_finite() is None


def test_names_are_public():
    assert issubclass(fastmlp.DivergenceError, ValueError)
    assert issubclass(fastmlp.TrainingWarning, UserWarning)
    assert not issubclass(TrainingWarning, ConvergenceWarning)
