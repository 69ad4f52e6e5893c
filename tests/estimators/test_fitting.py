"""What a fit leaves behind: attributes, records and warnings, however it ends."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from helpers import fit_quietly, flat
from sklearn.datasets import load_iris

from fastmlp import (
    InterruptedTrainingWarning,
    MLPClassifier,
    MLPRegressor,
    check_gradient,
)
from fastmlp.training import loop

X, Y = load_iris(return_X_y=True)


def test_check_gradient_leaves_the_classes_of_a_fitted_classifier():
    model = fit_quietly(MLPClassifier((5,), max_iter=3, random_state=0), X, Y)
    before = vars(model).copy()
    two = Y < 2
    assert check_gradient(model, X[two], Y[two]) < 1e-6
    assert vars(model).keys() == before.keys()
    for name, value in before.items():
        assert vars(model)[name] is value, name
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


def test_check_gradient_refuses_classes_that_a_fitted_classifier_does_not_know():
    two = Y < 2
    model = fit_quietly(MLPClassifier((5,), max_iter=3, random_state=0), X[two], Y[two])
    with pytest.raises(ValueError, match="classes not in"):
        check_gradient(model, X, Y)


def test_quantiles_are_predicted_as_they_were_fitted():
    model = MLPRegressor("quantile", (5,), quantiles=[0.1, 0.5, 0.9], max_iter=1, random_state=1)
    fit_quietly(model, X, X[:, 0])
    expected, score = model.predict(X), model.score(X, X[:, 0])
    assert (np.diff(expected) >= 0).all()
    assert (np.diff(model._outputs(X)) < 0).any()  # which sorting has mended
    model.set_params(loss="squared_error", quantiles=0.5)
    np.testing.assert_array_equal(model.predict(X), expected)
    assert model.score(X, X[:, 0]) == score
    with pytest.raises(ValueError, match="several quantiles"):
        model.to_sklearn()


def test_one_output_is_not_sorted_after_quantiles_are_set():
    model = fit_quietly(MLPRegressor(hidden_layer_sizes=(5,), max_iter=3), X, X[:, :2])
    expected = model.predict(X)
    model.set_params(loss="quantile", quantiles=[0.1, 0.9])
    np.testing.assert_array_equal(model.predict(X), expected)


def interrupted_after(n_lines):
    """A trace function that presses Ctrl-C at the n-th line that runs in the epoch loop."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if frame.f_code.co_filename != loop.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == n_lines:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.parametrize("early_stopping", [False, True])
def test_records_agree_wherever_training_is_interrupted(early_stopping):
    options = {"early_stopping": early_stopping, "monitor": True, "diagnose": False}
    model = MLPClassifier((4,), max_iter=2, random_state=0, **options)
    n_interrupted = 0
    for n_lines in range(1, 400, 3):
        kept = None
        sys.settrace(interrupted_after(n_lines))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kept = model.fit(X, Y)
        except KeyboardInterrupt:
            continue  # before the first epoch, or when all was over: nothing is kept
        finally:
            sys.settrace(None)
        n_epochs = len(kept.loss_curve_)
        n_interrupted += n_epochs < 2
        assert kept.n_iter_ == n_epochs
        assert all(len(numbers) == n_epochs for numbers in kept.history_.values())
        n_rows = 135 if early_stopping else 150
        assert kept.t_ == n_rows * n_epochs
        if early_stopping:
            assert len(kept.validation_scores_) == n_epochs
            best = max(kept.validation_scores_, default=-np.inf)
            assert kept.best_validation_score_ == best
            assert (kept._best_coefs is None) == (n_epochs == 0)
        else:
            assert kept.best_loss_ == min(kept.loss_curve_, default=np.inf)
    assert n_interrupted > 20


def test_interrupted_partial_fit_warns_at_its_caller(monkeypatch):
    model = MLPClassifier((4,), random_state=0).partial_fit(X, Y, classes=[0, 1, 2])
    before = flat(model)

    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.EpochLoop, "_run_epochs", interrupt)
    with pytest.warns(InterruptedTrainingWarning, match="interrupted by user") as caught:
        model.partial_fit(X, Y)
    assert {warning.filename for warning in caught} == {__file__}
    np.testing.assert_array_equal(flat(model), before)


def test_a_failed_fit_leaves_no_targets_behind():
    model = MLPClassifier((4,), class_weight={"unknown": 2.0})
    with pytest.raises(ValueError):
        model.fit(X, Y)
    assert not [name for name in vars(model) if name.endswith("_") or name == "_label_binarizer"]


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


HIDE = """
import sklearn.neural_network, sklearn.pipeline  # they need the names themselves
import sklearn.utils.validation as validation
NAMES = "_check_sample_weight", "_check_y", "_get_feature_names"
kept = {name: vars(validation).pop(name) for name in NAMES}
import numpy as np
from fastmlp.estimators import _sklearn
vars(validation).update(kept)  # scikit-learn's own functions call them
for name in NAMES:
    assert vars(_sklearn)[name[1:]].__module__ == "fastmlp.estimators._sklearn"
from fastmlp import MLPRegressor, fit_many
X = np.linspace(0, 1, 40).reshape(20, 2)
weight = np.arange(20.0)
models = [MLPRegressor(max_iter=2, solver="gd", diagnose=False) for _ in range(2)]
fit_many(models, X, X[:, 0], weight)
try:
    models[0].fit(X, X[:, 0], weight[:-1])
except ValueError as error:
    print(error)
"""


def test_private_names_that_scikit_learn_may_drop_have_substitutes():
    result = run("import warnings; warnings.simplefilter('ignore')\n" + HIDE)
    assert result.returncode == 0, result.stderr
    assert "inconsistent numbers of samples" in result.stdout


def test_private_names_without_a_substitute_are_named_with_the_remedy():
    result = run(
        "import sklearn.neural_network, sklearn.utils._param_validation as p; del p.Interval; "
        "import fastmlp; fastmlp.MLPClassifier"
    )
    assert result.returncode == 1
    assert "has no sklearn.utils._param_validation.Interval" in result.stderr
    assert "pip install 'scikit-learn>=" in result.stderr
