"""Callbacks in scikit-learn's protocol, which its own multilayer perceptron does not serve."""

import pickle

import numpy as np
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import Epoch, MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)


def quick():
    """A classifier that converges after two epochs."""
    return MLPClassifier(random_state=0, tol=9, n_iter_no_change=1)


class Recorder:
    """Notes every call; stops training after some epochs."""

    def __init__(self, stop_after=None):
        self.calls = []
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.calls.append(("setup", context.max_subtasks))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", None))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.calls.append((f"{context.task_name} begins", context.task_id))

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        score = None if fitted_estimator is None else fitted_estimator.score(X, y, **metadata)
        self.calls.append((f"{context.task_name} ends", score))
        return context.task_id + 1 == self.stop_after


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_every_hook_is_called(cls, solver):
    recorder = Recorder(stop_after=3)
    weight = np.linspace(1, 2, len(X))
    model = cls(random_state=0, solver=solver, max_iter=7).set_callbacks(recorder)
    model.fit(X, Y, sample_weight=weight)
    assert model.n_iter_ == 3
    names = [name for name, _ in recorder.calls]
    epochs = ["epoch begins", "epoch ends"] * 3
    assert names == ["setup", "fit begins", *epochs, "fit ends", "teardown"]
    assert recorder.calls[0] == ("setup", 7)
    # Scores are those of the weights after the epoch.
    expected = [
        cls(random_state=0, solver=solver)
        .fit(X, Y, sample_weight=weight, callback=lambda epoch, n=n: epoch.epoch == n)
        .score(X, Y, weight)
        for n in (1, 2, 3)
    ]
    assert [score for name, score in recorder.calls if name == "epoch ends"] == expected
    assert recorder.calls[-2][1] == expected[-1]


def test_early_stopping_ends_with_the_best_weights():
    recorder = Recorder()
    model = MLPClassifier(random_state=0, early_stopping=True, n_iter_no_change=3)
    model.set_callbacks(recorder).fit(X, Y)
    assert recorder.calls[-2] == ("fit ends", model.score(X, Y))


def test_teardown_comes_after_an_error_too():
    recorder = Recorder()
    with pytest.raises(ValueError, match="NaN"):
        MLPClassifier().set_callbacks(recorder).fit(np.full((4, 1), np.nan), [0, 1, 0, 1])
    assert recorder.calls[-1] == ("teardown", None)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scoring_monitor_sees_each_epoch():
    monitor = ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(random_state=0, max_iter=6).set_callbacks(monitor).fit(X, Y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 6 and scores[-1] == model.score(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_progress_bar_of_a_search(capsys):
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(random_state=0, max_iter=3))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 0.2]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, Y)
    assert "MLPClassifier - fit" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_monitor_in_the_processes_of_a_search():
    monitor = ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(random_state=0, max_iter=3).set_callbacks(monitor)
    GridSearchCV(model, {"alpha": [0.1, 0.2]}, cv=2, n_jobs=2).fit(X, Y)
    epochs = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(epochs) == (2 * 2 + 1) * 3


def test_callbacks_can_be_taken_off():
    recorder = Recorder()
    model = quick().set_callbacks(recorder).fit(X, Y)
    n_calls = len(recorder.calls)
    assert not hasattr(model, "_callback_fit_ctx")
    model.set_callbacks().fit(X, Y)
    assert len(recorder.calls) == n_calls > 0


def test_what_a_callback_is_told_has_a_public_path():
    epochs = []
    MLPClassifier(max_iter=1).fit(
        [[0.0], [1.0]], [0, 1], callback=lambda e: epochs.append(e) or True
    )
    assert type(epochs[0]) is Epoch and f"{Epoch.__module__}.{Epoch.__name__}" == "fastmlp.Epoch"
    assert pickle.loads(pickle.dumps(epochs[0])) == epochs[0]
