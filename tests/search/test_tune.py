"""What tune returns, for each estimator that it takes, and how it ends."""

import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import (
    InputError,
    InterruptedTrainingWarning,
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularPreprocessor,
    TabularRegressor,
    tune,
)
from fastmlp.search.objective import Objective
from fastmlp.search.scoring import Scoring
from fastmlp.search.study import Study

pytest.importorskip("optuna")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*is read as numbers:fastmlp.exceptions.DataWarning"),
]
SPACE = {"learning_rate_init": "1e-3..1e-1:log"}
RNG = np.random.RandomState(0)
X = RNG.normal(size=(150, 3))
Y = X[:, 0] - X[:, 1] * X[:, 2]
FRAME = pd.DataFrame(X, columns=list("abc")).assign(d=np.where(X[:, 0] > 0, "up", "down"))
CLASSES = np.where(Y > 0.5, "high", np.where(Y < -0.5, "low", "mid"))
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 20, "random_state": 0}


def tuned(estimator, X=X, y=Y, **options):
    return tune(estimator, X, y, **{"space": SPACE, "n_trials": 4, "n_folds": 2, **options})


@pytest.mark.parametrize(
    ("estimator", "X", "y", "scoring"),
    [
        (MLPClassifier(**SMALL), X, CLASSES, "log_loss"),
        (MLPClassifier(**SMALL), csr_matrix(X), CLASSES == "mid", "log_loss"),
        (MLPClassifier(**SMALL), X, np.column_stack([X[:, 0] > 0, Y > 0]).astype(int), "accuracy"),
        (MLPRegressor(**SMALL), X.astype(np.float32), Y, "r2"),
        (MLPRegressor(**SMALL), X, np.column_stack([Y, X[:, 0]]), "r2"),
        (MLPRegressor(**SMALL, loss="quantile", quantiles=(0.1, 0.9)), X, Y, "pinball_loss"),
        (TabularClassifier(**SMALL), FRAME, pd.Series(CLASSES, name="y"), "log_loss"),
        (TabularClassifier(**SMALL), X, Y > 0, "log_loss"),
        (TabularRegressor(**SMALL), FRAME, Y, "r2"),
        (TabularRegressor(**SMALL), FRAME, pd.Series([f"{v:.3f} EUR" for v in Y]), "r2"),
        (TabularRegressor(**SMALL), FRAME, pd.DataFrame({"p": Y, "q": -Y}), "r2"),
    ],
)
def test_every_estimator(estimator, X, y, scoring):
    before = estimator.get_params()
    result = tuned(estimator, X, y)
    assert estimator.get_params() == before and not hasattr(estimator, "n_iter_")
    assert result.scoring == scoring and result.n_folds == 2
    assert [r["candidate"] for r in sorted(result.trials, key=lambda r: r["candidate"])] == [
        0, 1, 2, 3,
    ]  # fmt: skip
    best = result.best_estimator_
    assert type(best) is type(estimator)
    assert {**before, **result.best_params_} == best.get_params()
    assert len(best.predict(X)) == len(y) and np.isfinite(best.score(X, y))
    first = result.trials[0]
    assert first["state"] == "complete" and first["score"] == result.best_score_
    defaults = next(r for r in result.trials if r["start"] == "defaults")
    sign = 1 if result.is_larger_better else -1
    assert sign * result.best_score_ >= sign * defaults["score"]


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(StandardScaler(), MLPRegressor(**SMALL)),
        make_pipeline(TabularPreprocessor(), StandardScaler(), MLPRegressor(**SMALL)),
        make_pipeline("passthrough", TabularRegressor(**SMALL)),
    ],
)
def test_pipelines(pipeline):
    step = pipeline.steps[-1][0]
    space = {f"{step}__learning_rate_init": "1e-3..1e-1:log"}
    result = tuned(pipeline, FRAME if "tabular" in str(pipeline.steps) else X, Y, space=space)
    assert set(result.best_params_) <= {*space, f"{step}__members"}
    assert result.best_estimator_[-1].n_iter_ > 0
    assert not hasattr(pipeline[-1], "n_iter_")


def test_the_first_candidate_of_a_table_is_the_pack_and_others_become_several_networks():
    result = tuned(TabularRegressor(members=2), FRAME[:80], Y[:80], space={"members": "2/3"})
    assert {r["rungs"] for r in result.trials if r["start"]} == {0}
    estimator = TabularRegressor()
    objective = Objective(estimator, FRAME, Y, Scoring(estimator, Y, None), 2, None, 0)
    assert objective.rungs({}) == objective.rungs({"effort": "high"}) == [{}]
    assert objective.rungs({"alpha": 0.1}) == [
        {"max_iter": 22}, {"max_iter": 67}, {}, {"members": 8},
    ]  # fmt: skip
    assert objective.rungs({"alpha": 0.1, "members": 3, "max_iter": 6}) == [
        {"max_iter": 6}, {"max_iter": 6}, {},
    ]  # fmt: skip


def test_a_score_is_that_of_complete_fits():
    """The score of a candidate on its last rung is what cross-validation by hand gives."""
    result = tuned(MLPRegressor(**SMALL), n_folds=2, n_trials=6, refit=False)
    estimator = MLPRegressor(**SMALL)
    objective = Objective(estimator, X, Y, Scoring(estimator, Y, None), 2, None, 0)
    complete = [r for r in result.trials if r["state"] == "complete"]
    assert len(complete) > 1
    for record in complete:
        scores = [
            MLPRegressor(**{**SMALL, **record["params"]}).fit(A, a).score(B, b)
            for A, a, B, b in objective._folds
        ]
        assert record["score"] == pytest.approx(np.mean(scores), abs=1e-12)
    held = np.concatenate([b for *_, b in objective._folds])
    assert sorted(held) == sorted(Y)


def test_the_same_seed_gives_the_same_search():
    first, second, third = (
        tuned(MLPRegressor(**SMALL), n_trials=6, random_state=seed) for seed in (0, 0, 1)
    )
    without = [[{**r, "seconds": 0} for r in one.trials] for one in (first, second, third)]
    assert without[0] == without[1] != without[2]
    assert np.array_equal(first.best_estimator_.coefs_[0], second.best_estimator_.coefs_[0])


@pytest.mark.parametrize("scoring", ["accuracy", "balanced_accuracy", "roc_auc", "log_loss"])
def test_metrics(scoring):
    result = tuned(MLPClassifier(**SMALL), y=Y > 0, scoring=scoring, refit=False)
    assert result.scoring == scoring
    assert result.is_larger_better == (scoring != "log_loss")
    assert 0 <= result.best_score_ <= 1.5


def test_a_function_scores():
    def negative_error(model, X, y):
        return -float(np.abs(model.predict(X) - y).mean())

    result = tuned(MLPRegressor(**SMALL), scoring=negative_error, refit=False)
    assert result.scoring == "negative_error" and result.best_score_ < 0


@pytest.mark.parametrize(
    ("estimator", "y", "scoring"),
    [
        (MLPClassifier(), CLASSES, "r2"),
        (MLPClassifier(), CLASSES, "roc_auc"),
        (MLPRegressor(), Y, "accuracy"),
        (MLPRegressor(loss="quantile"), Y, "rmse"),
        (MLPRegressor(), Y, "nonsense"),
    ],
)
def test_metrics_of_something_else_are_refused(estimator, y, scoring):
    with pytest.raises(InputError, match=f"scoring='{scoring}'.*choose"):
        tuned(estimator, y=y, scoring=scoring)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": None}, "give one of them"),
        ({"n_trials": 0}, "n_trials must be an integer from 1 on"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"n_folds": 100}, "too few for 100 parts"),
        ({"time_limit": 0}, "time_limit must be a positive"),
        ({"time_limit": float("nan")}, "time_limit must be a positive"),
    ],
)
def test_arguments_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tuned(MLPRegressor(**SMALL), **options)


def test_errors_of_the_estimator_itself_are_raised():
    with pytest.raises(ValueError, match="NaN"):
        tuned(MLPRegressor(**SMALL), np.where(X > 2, np.nan, X))


def test_candidates_that_fail_are_worse_than_all_others():
    space = {"learning_rate_init": [1e-3, 1e30]}
    result = tuned(MLPRegressor(**SMALL, solver="sgd"), space=space, n_trials=10)
    failed = [r for r in result.trials if r["state"] == "failed"]
    assert failed and all(r["score"] is None and "Divergence" in r["error"] for r in failed)
    assert all(r["params"] == {"learning_rate_init": 1e30} for r in failed)
    assert result.best_params_.get("learning_rate_init") != 1e30


def test_candidates_that_always_fail_end_the_search():
    space = {"validation_fraction": "0.001..0.002"}
    with pytest.raises(InputError, match="the last 10 candidates failed"):
        tuned(MLPClassifier(**SMALL, early_stopping=True), y=CLASSES, space=space, n_trials=30)


@pytest.mark.parametrize(
    "estimator",
    [
        MLPRegressor(hidden_layer_sizes=(64,), max_iter=10**6, tol=0, n_iter_no_change=10**7),
        TabularRegressor(),
    ],
)
def test_the_time_limit_counts_everything(estimator):
    """A fit that would take for ever is cut, measured, and fitted again in what time is left."""
    tuned(MLPRegressor(hidden_layer_sizes=(64,), max_iter=1), n_trials=1)
    began = time.perf_counter()
    result = tune(estimator, X, Y, time_limit=2.0, n_folds=1)
    assert time.perf_counter() - began < 60  # and not for ever
    assert result.trials and result.best_estimator_.n_iter_ > 0
    assert getattr(result.best_estimator_, "time_limit", None) is None


def test_both_limits_count():
    result = tuned(MLPRegressor(**SMALL), n_trials=2, time_limit=1000.0)
    assert len(result.trials) == 2


def test_a_callback_sees_the_progress_and_ends_the_search():
    told = []

    def callback(progress):
        told.append(progress)
        return progress.n_finished == 2

    with pytest.warns(InterruptedTrainingWarning, match="Tuning interrupted"):
        result = tuned(MLPRegressor(**SMALL), n_trials=50, callback=callback)
    assert result.is_interrupted and result.best_estimator_.n_iter_ > 0
    assert told[-1].is_final and not any(p.is_final for p in told[:-1])
    assert told[-1].best_score == result.best_score_ and told[-1].scoring == "r2"
    assert {r["state"] for r in result.trials} <= {"complete", "stopped"}


def test_ctrl_c_keeps_the_best_and_leaves_nothing_running(tmp_path, monkeypatch):
    measure, calls = Objective.measure, []

    def interrupted(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(self, *args, **kwargs)

    monkeypatch.setattr(Objective, "measure", interrupted)
    study = tmp_path / "a.study"
    with pytest.warns(InterruptedTrainingWarning):
        result = tuned(MLPRegressor(**SMALL), n_trials=20, study=study)
    assert result.is_interrupted and result.best_estimator_.n_iter_ > 0
    assert not [r for r in result.trials if r["state"] == "running"]
    calls.clear()
    with pytest.raises(KeyboardInterrupt):  # before anything is known
        monkeypatch.setattr(Objective, "measure", lambda *a, **k: interrupted(*a, **k))
        calls += [(), ()]
        tuned(MLPRegressor(**SMALL), n_trials=20)
    monkeypatch.setattr(Objective, "measure", measure)
    assert len(tuned(MLPRegressor(**SMALL), n_trials=5, study=study).trials) >= 5


def test_importances_name_the_parameter_that_matters():
    space = {"learning_rate_init": "1e-5..1e-1:log", "power_t": "0.4..0.6"}
    result = tuned(MLPRegressor(**SMALL), space=space, n_trials=25, n_folds=1, refit=False)
    assert next(iter(result.importances_)) == "learning_rate_init"
    assert sum(result.importances_.values()) == pytest.approx(1)
    assert tuned(MLPRegressor(**SMALL), refit=False).importances_ == {}


def test_optuna_says_nothing(capfd):
    import optuna

    verbosity = optuna.logging.get_verbosity()
    tuned(MLPRegressor(**SMALL))
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == verbosity


def test_two_searches_in_threads():
    results = {}

    def run(seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            results[seed] = tuned(MLPRegressor(**SMALL), random_state=seed, refit=False)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0].trials[0]["score"] != results[1].trials[0]["score"]


def test_a_missing_extra_is_one_line():
    code = """
import sys
sys.modules["optuna"] = None
import numpy as np
from fastmlp import MLPRegressor, tune
try:
    tune(MLPRegressor(), np.ones((9, 2)), np.arange(9.0), n_trials=1)
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'fastmlp[tune]'" in done.stdout and done.stdout.count("\n") == 1


def test_successive_halving_keeps_a_third():
    from fastmlp.search.study import quiet

    with quiet():
        study = Study(None, {}, {}, True, 0, {})
        kept = []
        for score in [0.5, 0.4, 0.6, 0.3, 0.2, 0.1, 0.9, 0.55, 0.7]:
            candidate = study.next(None)
            study.report(candidate, [0], score)
            kept.append(study.goes_on(candidate, 0))
            study.leave(candidate)
    assert kept == [True, False, True, False, False, False, True, False, True]
