"""Many networks at once."""

import threading
from typing import TypeVar, get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from helpers import flat
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

import fastmlp.estimators.fit_many
from fastmlp import MLPClassifier, MLPRegressor, fit_many
from fastmlp.engines.cpu import engine
from fastmlp.engines.cpu.threads import at_most, default_n_threads
from fastmlp.estimators.base import BaseMLP
from fastmlp.exceptions import InterruptedTrainingWarning

X, Y = load_iris(return_X_y=True)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def candidates():
    sizes = [(5,), (100,), (30, 20), ()]
    networks = [MLPClassifier(s, max_iter=9, random_state=i) for i, s in enumerate(sizes)]
    return [*networks, MLPRegressor(max_iter=9, random_state=0, n_jobs=2, early_stopping=True)]


@pytest.mark.parametrize("n_jobs", [1, 2, None])
def test_results_are_those_of_single_fits(n_jobs):
    sample_weight = np.linspace(1, 2, len(X))
    alone = [clone(model).fit(X, Y, sample_weight) for model in candidates()]
    together = candidates()
    assert fit_many(together, X, Y, sample_weight, n_jobs=n_jobs) == together
    for model, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(flat(model), flat(expected))
        assert model.loss_curve_ == expected.loss_curve_
    assert together[-1].n_jobs == 2


def test_as_many_threads_as_jobs(monkeypatch):
    monkeypatch.setattr(engine, "default_n_threads", lambda: 3)
    everyone = threading.Barrier(3, timeout=60)
    seen = []

    class Meeting(MLPClassifier):
        def fit(self, *args, **kwargs):
            everyone.wait()  # all three are here at once
            seen.append(threading.current_thread().name)
            return self

    fit_many([Meeting() for _ in range(3)], X, Y)
    assert len(set(seen)) == 3


def test_the_limit_is_that_of_the_thread():
    before = default_n_threads()
    with at_most(1):
        assert default_n_threads() == 1
    assert default_n_threads() == before


def test_a_failure_is_raised_when_the_others_are_fitted():
    models = [MLPClassifier(max_iter=2), MLPClassifier(alpha=-1), MLPClassifier(max_iter=2)]
    with pytest.raises(ValueError, match="alpha"):
        fit_many(models, X, Y)
    assert models[0].n_iter_ == models[2].n_iter_ == 2


def test_interrupt_keeps_what_was_learned(monkeypatch):
    started = threading.Event()

    class Started(MLPClassifier):
        def fit(self, X, y, sample_weight, callback):
            def tell(epoch):
                started.set()
                return callback(epoch)

            return super().fit(X, y, sample_weight, callback=tell)

    endless = {"max_iter": 10**9, "n_iter_no_change": np.inf}
    models = [Started(**endless), MLPClassifier(**endless)]

    class Interrupting(fastmlp.estimators.fit_many.ThreadPoolExecutor):
        """Ctrl-C comes while the first result is waited for."""

        interrupts = []  # noqa: RUF012

        def submit(self, *args):
            future = super().submit(*args)
            wait_for_it = future.exception

            def interrupt():
                future.exception = wait_for_it
                assert started.wait(60)
                raise KeyboardInterrupt

            if not self.interrupts:
                self.interrupts.append(future)
                future.exception = interrupt
            return future

    monkeypatch.setattr(fastmlp.estimators.fit_many, "ThreadPoolExecutor", Interrupting)
    with pytest.warns(InterruptedTrainingWarning, match="interrupted by user"):
        assert fit_many(models, X, Y, n_jobs=1) == models
    assert models[0].n_iter_ > 0 and models[0].predict(X).shape == (150,)
    with pytest.raises(NotFittedError):
        models[1].predict(X)


def test_bad_lists():
    with pytest.raises(TypeError, match="got Ridge"):
        fit_many([MLPClassifier(), Ridge()], X, Y)
    model = MLPClassifier()
    with pytest.raises(ValueError, match="occurs twice"):
        fit_many([model, model], X, Y)
    with pytest.raises(ValueError, match="n_jobs must be"):
        fit_many([model], X, Y, n_jobs=0)
    assert fit_many([], X, Y) == []


@pytest.mark.parametrize(
    "rows, is_shared",
    [(X.astype(np.uint8), True), (X.tolist(), True), (sp.csc_array(X.astype(int)), True),
     (X, True), (pd.DataFrame(X, columns=list("abcd")), False)],
)  # fmt: skip
def test_rows_are_converted_once(rows, is_shared):
    seen = []

    class Seeing(MLPClassifier):
        def fit(self, X, *args, **kwargs):
            seen.append(X)
            return super().fit(X, *args, **kwargs)

    models = [Seeing(max_iter=2, random_state=seed) for seed in range(2)]
    fit_many(models, rows, Y)
    assert seen[0] is seen[1]
    assert seen[0] is rows or (is_shared and seen[0].dtype == np.float64)
    assert hasattr(models[0], "feature_names_in_") is not is_shared
    for model in models:
        np.testing.assert_array_equal(flat(model), flat(clone(model).fit(rows, Y)))


@pytest.mark.parametrize(
    "rows, message",
    [(X + 1j, "Complex data"), (X[0], "Expected 2D array, got 1D"), ([[1], [2, 3]], "sequence"),
     (X * np.nan, "contains NaN.\nMLPClassifier"),
     (pd.DataFrame(X, columns=["a", 1, 2, 3]), "names")],
)  # fmt: skip
def test_each_fit_says_what_is_wrong_with_the_rows(rows, message):
    models = [MLPClassifier(max_iter=2), MLPClassifier(alpha=-1)]
    with pytest.raises((TypeError, ValueError), match=message):
        fit_many(models, rows, Y)
    with pytest.raises(ValueError, match="alpha"):
        fit_many(models[::-1], rows, Y)


def test_configuration_of_scikit_learn_holds_in_the_threads():
    rows = X.copy()
    rows[0, 0] = np.inf
    with (
        sklearn.config_context(assume_finite=True),
        pytest.raises(ValueError, match="non-finite parameter weights"),
    ):
        fit_many([MLPClassifier(max_iter=1)], rows, Y)
    with pytest.raises(ValueError, match="contains infinity"):
        fit_many([MLPClassifier(max_iter=1)], rows, Y)


def test_a_fit_that_fails_early_leaves_no_engine_behind(monkeypatch):
    """Where networks share a GPU, each gets a way to open its engine, for this fit alone."""
    opened = []

    class Slot:
        def __enter__(self):
            return self

        def __exit__(self, *exc_info):
            pass

        def open(self, engine_class, *arguments):
            opened.append(engine_class)
            return engine_class(*arguments)

    class Group:
        def __init__(self, n_fits, n_turns):
            pass

        def slot(self):
            return Slot()

    class Failing(MLPClassifier):
        def fit(self, X, y, sample_weight=None, **options):
            raise RuntimeError("before anything was trained")

    module = fastmlp.estimators.fit_many
    monkeypatch.setattr(module, "fit_group", Group)
    models = [Failing(device="auto"), MLPClassifier(max_iter=2, device="auto", diagnose=False)]
    with pytest.raises(RuntimeError, match="before anything"):
        fit_many(models, X, Y)
    assert opened == [engine.CpuEngine]
    assert not any("_open_engine" in vars(model) for model in models)


def test_type_checkers_know_the_class_of_what_comes_back():
    """A list of classifiers comes back as such: parameter and result share a type variable."""
    hints = get_type_hints(fit_many)
    (given,) = get_args(hints["estimators"])
    assert isinstance(given, TypeVar) and hints["return"] == list[given]
    assert given.__bound__ is BaseMLP
    for cls in (MLPClassifier, MLPRegressor):
        assert {"coefs_", "history_", "n_iter_"} <= get_type_hints(cls).keys()


@pytest.mark.parametrize("n_started", [0, 1, 2])
def test_without_more_threads_the_others_or_the_caller_fit(n_started, monkeypatch):
    start, started = threading.Thread.start, []

    def start_some(thread):
        if len(started) == n_started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(engine, "default_n_threads", lambda: 3)
    expected = [flat(one.fit(X, Y)) for one in candidates()]
    monkeypatch.setattr(threading.Thread, "start", start_some)
    fitted = fit_many(candidates(), X, Y)
    assert len(started) == n_started
    for one, theta in zip(fitted, expected, strict=True):
        np.testing.assert_array_equal(flat(one), theta)
