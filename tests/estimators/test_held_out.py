"""Rows of ``fit_many`` that are held out by their numbers, its callback, and its end by request."""

import threading

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import flat
from sklearn.base import clone
from sklearn.datasets import load_iris

from fastmlp import MLPClassifier, MLPRegressor, fit_many
from fastmlp.engines.cpu import engine
from fastmlp.exceptions import InterruptedTrainingWarning

X, Y = load_iris(return_X_y=True)
WEIGHT = np.linspace(1, 3, len(X))
RNG = np.random.default_rng(0)
SCATTERED = RNG.permutation(len(X))[:40]
RANGE = np.arange(30, 70)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
QUICK = {"max_iter": 6, "batch_size": 17, "random_state": 3, "diagnose": False}


def others(held):
    return np.setdiff1d(np.arange(len(X)), held)


def fitted_apart(model, held, rows=X, y=Y, weight=None):
    """Fit a clone on the other rows alone, with the held rows as its `eval_set`."""
    rest = others(held)
    own, held_weight = (None, ()) if weight is None else (weight[rest], (weight[held],))
    eval_set = rows[held], y[held], *held_weight
    return clone(model).fit(rows[rest], y[rest], own, eval_set=eval_set)


def assert_equal_fits(model, expected):
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert model.loss_curve_ == expected.loss_curve_
    assert (model.t_, model.n_iter_) == (expected.t_, expected.n_iter_)
    assert model.validation_scores_ == expected.validation_scores_
    for name in ("validation_score", "validation_loss", "dead_units"):
        assert model.history_.get(name) == expected.history_.get(name)


CASES = {
    "stopped early": MLPClassifier((9,), early_stopping=True, **QUICK),
    "by loss": MLPClassifier((9, 5), early_stopping=True, scoring="loss", dropout=0.2, **QUICK),
    "by a scorer": MLPClassifier((9,), early_stopping=True, scoring="accuracy", **QUICK),
    "losses alone": MLPClassifier((9,), solver="sgd", monitor=True, **QUICK),
    "auto": MLPClassifier((9,), max_iter=6, random_state=3, early_stopping=True),
    "unshuffled": MLPClassifier((9,), shuffle=False, early_stopping=True, **QUICK),
    "whole batches": MLPClassifier((9,), solver="gd", max_iter=5, random_state=0),
    "lbfgs": MLPClassifier((9,), solver="lbfgs", max_iter=5, random_state=0),
    "balanced": MLPClassifier((9,), class_weight="balanced", early_stopping=True, **QUICK),
    "numbers": MLPRegressor(hidden_layer_sizes=(9,), early_stopping=True, **QUICK),
    "quantiles": MLPRegressor(
        hidden_layer_sizes=(9,), loss="quantile", quantiles=[0.1, 0.9], **QUICK
    ),
}


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_those_of_a_fit_of_the_other_rows(dtype, weight):
    rows = X.astype(dtype)
    for held in (SCATTERED, RANGE):
        models = [clone(model) for model in CASES.values()]
        fit_many(models, rows, Y, weight, held_out=[held] * len(models))
        for model, case in zip(models, CASES.values(), strict=True):
            assert_equal_fits(model, fitted_apart(case, held, rows, Y, weight))


def test_each_has_rows_of_its_own_or_none():
    models = [clone(CASES["stopped early"]) for _ in range(3)]
    fit_many(models, X, Y, held_out=[SCATTERED, None, list(RANGE)])
    assert_equal_fits(models[0], fitted_apart(CASES["stopped early"], SCATTERED))
    assert_equal_fits(models[1], clone(CASES["stopped early"]).fit(X, Y))
    assert_equal_fits(models[2], fitted_apart(CASES["stopped early"], RANGE))


def test_sparse_rows():
    rows = sp.csr_array(X * (X > 2))
    model = clone(CASES["balanced"])
    fit_many([model], rows, Y, held_out=[SCATTERED])
    assert_equal_fits(model, fitted_apart(CASES["balanced"], SCATTERED, rows))


def test_multilabel_targets():
    labels = np.stack([Y == 0, X[:, 0] > 5.8], axis=1).astype(int)
    case = MLPClassifier((9,), class_weight="balanced", early_stopping=True, **QUICK)
    model = clone(case)
    fit_many([model], X, labels, held_out=[SCATTERED])
    assert_equal_fits(model, fitted_apart(case, SCATTERED, X, labels))


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1.0, 1: 2.0, 2: 3.0}])
def test_a_class_that_is_held_out_wholly_is_known(class_weight):
    held = np.flatnonzero(Y == 1)
    model = MLPClassifier((9,), class_weight=class_weight, early_stopping=True, **QUICK)
    fit_many([model], X, Y, held_out=[held])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X).shape == (150, 3)
    assert len(model.history_["validation_loss"]) == model.n_iter_


def test_the_rows_to_train_on_are_not_copied(monkeypatch):
    seen = []

    class Seeing(engine.CpuEngine):
        def __init__(self, plan, theta, X, *arguments):
            seen.append(X)
            super().__init__(plan, theta, X, *arguments)

    monkeypatch.setattr(engine, "CpuEngine", Seeing)
    fit_many([clone(CASES["numbers"])], X, Y, held_out=[SCATTERED])
    assert len(seen) == 1 and np.shares_memory(seen[0], X)


@pytest.mark.parametrize(
    "held_out, message",
    [
        ([], "held_out has 0 entries for 1 estimators"),
        ([[1], [2]], "held_out has 2 entries for 1 estimators"),
        ([[0, 150]], r"held_out\[0\] has row 150, and the 150 rows count from 0"),
        ([[3, -1]], r"held_out\[0\] has row -1"),
        ([[3, 4, 3]], r"held_out\[0\] has row 3 more than once"),
        ([np.arange(150)], "leaves none to train on"),
        ([[]], "must be a vector of row numbers, or None"),
        ([[0.5]], "got float64"),
        ([Y == 0], "use np.flatnonzero of a mask"),
        ([[[1, 2]]], r"of shape \(1, 2\)"),
    ],
)
def test_rows_that_cannot_be_held_out(held_out, message):
    model = MLPClassifier((3,), max_iter=2)
    with pytest.raises(ValueError, match=message):
        fit_many([model], X, Y, held_out=held_out)
    assert not hasattr(model, "coefs_")


def test_rows_that_cannot_be_scored():
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2)
    with pytest.raises(ValueError, match=r"held_out has one row, and R.2 needs two"):
        fit_many([model], X, Y, held_out=[[1]])
    weight = np.ones(len(X))
    weight[RANGE] = 0
    with pytest.raises(ValueError, match="weights of the rows of held_out are all zero"):
        fit_many([model], X, Y, weight, held_out=[RANGE])


def test_a_fit_of_its_own_must_keep_the_rows():
    class Fewer(MLPClassifier):
        def fit(self, X, y, *args, **kwargs):
            return super().fit(X[:100], y[:100], *args, **kwargs)

    with pytest.raises(ValueError, match="held_out is for 150 rows, and X has 100"):
        fit_many([Fewer((3,), max_iter=2)], X, Y, held_out=[[120, 121]])


# ---- callback, and ends by request ---------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_callback_is_told_of_each_estimator_once(n_jobs, monkeypatch):
    monkeypatch.setattr(engine, "default_n_threads", lambda: 2)
    models = [MLPClassifier((3,), max_iter=i + 1, random_state=0) for i in range(5)]
    told, inside = [], threading.Lock()

    def tell(model, number):
        assert inside.acquire(blocking=False)  # one call at a time
        assert model is models[number] and model.n_iter_ == number + 1
        told.append(number)
        inside.release()

    fit_many(models, X, Y, n_jobs=n_jobs, callback=tell)
    assert sorted(told) == list(range(5))


def test_the_callback_ends_the_others():
    models = [MLPClassifier((3,), max_iter=2) for _ in range(3)]
    told = []

    def tell(model, number):
        told.append(number)
        return number == 1

    assert fit_many(models, X, Y, n_jobs=1, callback=tell) == models
    assert told == [0, 1] and not hasattr(models[2], "coefs_")


def test_an_error_of_the_callback_ends_all():
    models = [MLPClassifier((3,), max_iter=2) for _ in range(2)]

    def fail(model, number):
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fit_many(models, X, Y, n_jobs=1, callback=fail)
    assert not hasattr(models[1], "coefs_")


def test_a_failed_fit_is_not_complete():
    models = [MLPClassifier((3,), alpha=-1), MLPClassifier((3,), max_iter=2)]
    told = []
    with pytest.raises(ValueError, match="alpha"):
        fit_many(models, X, Y, n_jobs=1, callback=lambda model, number: told.append(number))
    assert told == [1]


def test_a_stop_by_request_tells_complete_from_cut_short_and_never_begun():
    asked = []

    def should_stop():
        asked.append(True)
        return len(asked) > 6

    kinds = {"early_stopping": True, "scoring": "loss", "random_state": 0, "n_iter_no_change": 99}
    models = [MLPClassifier((3,), max_iter=n, **kinds) for n in (2, 50, 50)]
    told = []

    def tell(model, number):
        told.append(number)

    held = [SCATTERED] * 3
    fit_many(models, X, Y, n_jobs=1, held_out=held, callback=tell, should_stop=should_stop)
    assert told == [0]
    assert models[0].n_iter_ == 2
    # Asked before each fit, and after each epoch but the last of a fit.
    assert models[1].n_iter_ == 4
    assert models[1].best_validation_score_ == max(models[1].validation_scores_)
    assert not hasattr(models[2], "coefs_")
    # Nobody is asked again once the answer was yes.
    assert len(asked) == 7


def test_the_last_epoch_completes_a_fit_though_a_stop_comes_during_it():
    began = []

    def should_stop():
        began.append(True)
        return len(began) > 1

    told = []
    model = MLPClassifier((3,), max_iter=1)
    tell = lambda model, number: told.append(number)  # noqa: E731
    fit_many([model], X, Y, callback=tell, should_stop=should_stop)
    assert told == [0]


def test_an_error_of_the_request_ends_all():
    def fail():
        raise RuntimeError("no clock")

    models = [MLPClassifier((3,), max_iter=2) for _ in range(2)]
    with pytest.raises(RuntimeError, match="no clock"):
        fit_many(models, X, Y, n_jobs=1, should_stop=fail)
    assert not any(hasattr(model, "coefs_") for model in models)


def test_a_stop_by_request_is_no_interruption(recwarn):
    fit_many([MLPClassifier((3,), max_iter=9)], X, Y, should_stop=lambda: True)
    assert not [w for w in recwarn if issubclass(w.category, InterruptedTrainingWarning)]
