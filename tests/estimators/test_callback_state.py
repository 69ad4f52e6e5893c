"""What an estimator is while it is fitted: for its callbacks, and for other threads."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
from helpers import fit_quietly, flat
from sklearn.utils.validation import check_is_fitted

from fastmlp import MLPClassifier, MLPRegressor, fit_many, load_model, save_model
from fastmlp.engines.cpu import engine
from fastmlp.estimators import inputs
from fastmlp.estimators.transaction import whole
from fastmlp.exceptions import CustomLossError

RNG = np.random.RandomState(3)
X = RNG.randn(90, 4)
LABELS = np.array(["no", "yes"])[(X[:, 0] * X[:, 1] > 0).astype(int)]
NUMBERS = X[:, 0] - X[:, 2] ** 2
PLAIN = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 1, "diagnose": False}


def made(cls, **params):
    return cls(**{**PLAIN, **params}), LABELS if cls is MLPClassifier else NUMBERS


def stopped_at(n_epochs, cls, **params):
    """The same fit, which has ended after some epochs."""
    model, y = made(cls, **params)
    return model.fit(X, y, callback=lambda epoch: epoch.epoch == n_epochs)


def look(model, y):
    """Everything that people look at in a callback."""
    seen = {"score": model.score(X, y), "predict": model.predict(X), "theta": flat(model)}
    if isinstance(model, MLPClassifier):
        seen |= {"proba": model.predict_proba(X), "classes": model.classes_}
    names = ("loss_", "n_iter_", "loss_curve_", "best_loss_", "t_", "n_layers_", "out_activation_")
    seen |= {name: copy.copy(getattr(model, name)) for name in names}
    return {**seen, "losses": list(model.history_["loss"])}


def assert_same(seen, expected):
    assert seen.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(seen[name], value), name


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "lbfgs"},
        {"dropout": 0.3, "lr_schedule": "cosine"},
    ],
    ids=str,
)
def test_a_callback_sees_the_model_as_if_the_fit_had_ended(cls, params):
    model, y = made(cls, **params)
    seen = []

    def watch(epoch):
        check_is_fitted(model)
        seen.append(look(model, y))
        assert model.n_iter_ == epoch.epoch and model.loss_ == epoch.loss

    fit_quietly(model, X, y, callback=watch)
    assert len(seen) == 5
    for n_epochs, state in enumerate(seen, 1):
        assert_same(state, look(stopped_at(n_epochs, cls, **params), y))


def test_it_sees_the_current_weights_not_those_that_are_kept_at_the_end():
    seen = []
    for params in ({}, {"swa_start": 2}):
        model, y = made(MLPClassifier, **params)
        fit_quietly(model, X, y, callback=lambda epoch, model=model: seen.append(flat(model)))
    assert np.array_equal(seen[:5], seen[5:])
    assert not np.array_equal(flat(model), seen[-1])

    model, y = made(MLPClassifier, early_stopping=True, max_iter=30, learning_rate_init=0.1)

    def watch(epoch):
        assert model.score(X[:20], y[:20]) == epoch.validation_score
        assert model.validation_scores_[-1] == epoch.validation_score
        assert model.best_validation_score_ == max(model.validation_scores_)

    fit_quietly(model, X[20:], y[20:], eval_set=(X[:20], y[:20]), callback=watch)
    assert model.n_iter_ > 3


def test_warm_starts_and_refits():
    model, y = made(MLPClassifier, warm_start=True)
    fit_quietly(model, X, y)
    seen = []
    fit_quietly(model, X, y, callback=lambda epoch: seen.append((flat(model), model.n_iter_)))
    once = fit_quietly(made(MLPClassifier, max_iter=5, warm_start=True)[0], X, y)
    once.fit(X, y, callback=lambda epoch: epoch.epoch == 2)
    assert np.array_equal(seen[1][0], flat(once)) and seen[1][1] == 2
    # Another network, other classes and other features: nothing of the former ones is left.
    model.set_params(warm_start=False, hidden_layer_sizes=(3, 2))
    shapes = []

    def watch(epoch):
        shapes.append([w.shape for w in model.coefs_])
        assert model.classes_.tolist() == [0, 1, 2] and model.n_features_in_ == 3
        assert set(model.predict(X[:, :3])) <= {0, 1, 2}

    fit_quietly(model, X[:, :3], np.arange(90) % 3, callback=watch)
    assert shapes == [[(3, 3), (3, 2), (2, 3)]] * 5


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_copies_and_pickles_are_independent_models(solver, tmp_path):
    model, y = made(MLPClassifier, solver=solver)
    copies = {2: [], 4: []}

    def keep(epoch):
        if epoch.epoch in copies:
            path = tmp_path / f"{epoch.epoch}.fastmlp"
            save_model(model, path)
            pickled = pickle.loads(pickle.dumps(model))
            copies[epoch.epoch] += [copy.deepcopy(model), copy.copy(model), pickled]
            copies[epoch.epoch].append(load_model(path))

    fit_quietly(model, X, y, callback=keep)
    for n_epochs, kept in copies.items():
        stopped = stopped_at(n_epochs, MLPClassifier, solver=solver)
        expected = look(stopped, y)
        assert len(kept) == 4
        for other in kept:
            assert_same(look(other, y), expected)
            assert vars(other).keys() == vars(stopped).keys()
        if solver == "adam":  # the optimiser's memory is copied with the model
            next_epoch = flat(stopped.partial_fit(X, y))
            for other in kept:
                assert np.array_equal(flat(other.partial_fit(X, y)), next_epoch)


def test_nothing_of_it_stays():
    def fitted(callback):
        model, y = made(MLPClassifier)
        return fit_quietly(model, X, y, callback=callback)

    def watch(epoch):
        look(watched[0], LABELS)

    watched = [made(MLPClassifier)[0]]
    fit_quietly(watched[0], X, LABELS, callback=watch)
    plain = fitted(None)
    assert list(vars(watched[0])) == list(vars(plain))
    assert len(pickle.dumps(watched[0])) == len(pickle.dumps(plain))
    assert all(w.flags.writeable for w in watched[0].coefs_)
    assert np.array_equal(flat(watched[0]), flat(plain))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_are_copied_only_where_they_are_read(solver, monkeypatch):
    counts = []
    pull = engine.CpuEngine._pull

    def counted(self, vector=None):
        counts.append(vector)
        return pull(self, vector)

    monkeypatch.setattr(engine.CpuEngine, "_pull", counted)

    def n_copies(callback):
        counts.clear()
        model, y = made(MLPClassifier, solver=solver)
        fit_quietly(model, X, y, callback=callback and callback(model, y))
        return len(counts)

    without = n_copies(None)
    assert n_copies(lambda model, y: lambda epoch: None) == without
    reads = n_copies(lambda model, y: lambda epoch: model.coefs_ is None or model.score(X, y) < 0)
    assert reads == without + (0 if solver == "lbfgs" else 5)  # L-BFGS has its weights at hand


def test_what_a_callback_must_not_do():
    model, y = made(MLPClassifier)
    fit_quietly(model, X, y)
    before = flat(model)
    attempts = {
        "has assigned coefs_, which": lambda: setattr(model, "coefs_", [X]),
        "has assigned loss_": lambda: setattr(model, "loss_", 1.0),
        "read-only": lambda: model.coefs_[0].fill(0),
        "callback of its own fit": lambda: model.fit(X, y),
    }  # fmt: skip
    for message, attempt in attempts.items():
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, callback=lambda epoch, attempt=attempt: attempt())
        assert np.array_equal(flat(model), before) and model.n_iter_ == 5
    assert "_shown_epoch" not in vars(model)


def test_own_attributes_of_a_callback_stay():
    model, y = made(MLPClassifier)
    for _ in range(2):
        model.best_ = 0.0

        def keep(epoch):
            model.best_ = max(model.best_, model.score(X, y))
            model.verbose = False

        fit_quietly(model, X, y, callback=keep)
        assert model.best_ >= model.score(X, y) > 0.5


@pytest.mark.parametrize("fails", [False, True])
def test_an_end_by_an_exception(fails):
    model, y = made(MLPClassifier)
    fit_quietly(model, X, y)
    before, keys = flat(model), list(vars(model))
    seen = []

    def watch(epoch):
        seen.append(flat(model))
        if epoch.epoch == 3:
            raise RuntimeError("no disk") if fails else KeyboardInterrupt

    model.set_params(random_state=2)
    if fails:
        with pytest.raises(RuntimeError, match="no disk"):
            model.fit(X, y, callback=watch)
        assert np.array_equal(flat(model), before) and model.n_iter_ == 5
    else:
        with pytest.warns(UserWarning, match="interrupted"):
            model.fit(X, y, callback=watch)
        assert np.array_equal(flat(model), seen[2]) and model.n_iter_ == 3
    assert sorted(vars(model)) == sorted(keys)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_custom_loss_that_fails_in_a_callback_is_none_of_the_fit(solver):
    """A callback may fit other networks, whose errors are like any other exception there."""
    model, y = made(MLPRegressor, solver=solver)
    before = flat(fit_quietly(model, X, y))
    error = CustomLossError("of another fit")

    def callback(epoch):
        raise error

    with pytest.raises(CustomLossError) as caught:
        model.fit(X, -y, callback=callback)
    assert caught.value is error
    np.testing.assert_array_equal(flat(model), before)


def test_a_first_fit_that_fails_leaves_nothing():
    model, y = made(MLPClassifier)

    def fail(epoch):
        raise RuntimeError(f"{model.n_iter_} epochs")

    with pytest.raises(RuntimeError, match="1 epochs"):
        model.fit(X, y, callback=fail)
    assert vars(model).keys() == vars(made(MLPClassifier)[0]).keys()


def test_callbacks_of_scikit_learn_see_it_too():
    class Watch:
        def __init__(self):
            self.begins, self.ends = [], []

        def setup(self, estimator, context): ...

        def teardown(self, estimator, context): ...

        def on_fit_task_begin(self, estimator, context):
            if context.task_name == "epoch":
                self.begins.append((estimator.n_iter_, flat(estimator)))

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_name == "epoch":
                self.ends.append((estimator.n_iter_, flat(estimator)))
                assert np.array_equal(flat(fitted_estimator), flat(estimator))
                assert fitted_estimator.n_iter_ == estimator.n_iter_

    y = LABELS
    watches = [Watch(), Watch()]
    models = [made(MLPClassifier)[0].set_callbacks(watch) for watch in watches]
    fit_quietly(models[0], X, y)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        fit_many(models[1:], X, y)
    for watch in watches:
        assert [n for n, _ in watch.begins] == [0, 1, 2, 3, 4]
        assert [n for n, _ in watch.ends] == [1, 2, 3, 4, 5]
        for n_epochs, theta in watch.ends:
            assert np.array_equal(theta, flat(stopped_at(n_epochs, MLPClassifier)))
        for (_, before), (_, after) in zip(watch.begins[1:], watch.ends[:-1], strict=True):
            assert np.array_equal(before, after)


# ---- other threads ---------------------------------------------------------------------------


def states_of(model, run):
    """The states that another thread may find, as seen at each line that runs in a fit.

    Each is made of the very objects, so that a mixture of two states is another one.
    """
    states = []

    def trace(frame, event, argument):
        if "fastmlp" not in frame.f_code.co_filename:
            return None
        attributes = dict(vars(model))
        names = ("classes_", "coefs_", "intercepts_", "_label_binarizer", "n_iter_", "loss_curve_")
        state = [attributes.get(name) for name in names]
        if not states or any(a is not b for a, b in zip(states[-1], state, strict=True)):
            states.append(state)
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return states


def test_other_threads_meet_the_old_model_or_the_new_one():
    model, y = made(MLPClassifier)
    fit_quietly(model, X, y)
    before = model.coefs_
    states = states_of(model, lambda: fit_quietly(model, X, np.arange(90) % 3))
    assert len(states) == 2
    assert states[0][1] is before and states[1][1] is model.coefs_
    assert len(states[0][0]) == 2 and len(states[1][0]) == 3


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("bad", ["rows", "labels"])
def test_a_rejected_batch_does_not_hide_the_model(method, bad):
    model, y = made(MLPClassifier)
    fit_quietly(model, X, y)
    rows = np.full((4, 4), np.nan) if bad == "rows" else X[:4]
    labels = y[:4] if bad == "rows" else np.array([np.nan, 1.0, 2.0, 3.0])

    def run():
        with pytest.raises(ValueError):
            getattr(model, method)(rows, labels)

    assert len(states_of(model, run)) == 1


def test_a_prediction_is_of_one_model_while_its_weights_are_exchanged(monkeypatch):
    model, y = made(MLPClassifier)
    fit_quietly(model, X, y)
    old = model.predict(X)
    other = np.array(["a", "b", "c"])[np.arange(90) % 3]
    read = inputs.read_features

    def refit_meanwhile(estimator, rows):
        monkeypatch.undo()
        fit_quietly(model, X[:, :4], other)
        return read(estimator, rows)

    monkeypatch.setattr(inputs, "read_features", refit_meanwhile)
    assert np.array_equal(model.predict(X), old)
    assert set(model.predict(X)) <= set(other)


def test_a_thread_of_a_callback_sees_the_epoch_and_later_ones_do_not_tear_it():
    """A thread that has begun to read in a callback goes on when training does."""
    model, y = made(MLPClassifier)
    fit_quietly(model, X, y)
    views = []

    def watch(epoch):
        views.append(whole(model))
        if epoch.epoch % 2:
            reader = threading.Thread(target=lambda: flat(model))
            reader.start()
            reader.join()

    before = flat(model)
    model.set_params(random_state=2)
    fit_quietly(model, X, y, callback=watch)
    expected = [
        flat(stopped_at(1, MLPClassifier, random_state=2)),
        flat(stopped_at(3, MLPClassifier, random_state=2)),
    ]
    # Epochs that nobody has looked at are the former state: that of the last look before.
    for view, n_epochs, theta in zip(views, (1, 1, 3, 3), np.repeat(expected, 2, 0), strict=False):
        assert np.array_equal(flat(view), theta) and not np.array_equal(theta, before)
        assert view.n_iter_ == len(view.loss_curve_) == n_epochs
