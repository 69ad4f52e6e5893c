"""The scikit-learn contract of both estimators."""

import inspect
import pickle

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPClassifier, MLPRegressor

CLASSES = [MLPClassifier, MLPRegressor]
SHARED_EXTRAS = [
    "n_jobs", "device", "init", "momentum_form", "rmsprop_decay", "weight_decay", "l1", "max_norm",
    "dropout", "clip_value", "clip_norm", "lr_schedule", "scoring", "swa_start", "monitor",
    "diagnose",
]  # fmt: skip
EXTRAS = {
    MLPClassifier: ["class_weight", *SHARED_EXTRAS, "loss", "label_smoothing", "rho"],
    MLPRegressor: [*SHARED_EXTRAS, "huber_delta", "quantiles"],
}


@pytest.fixture
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture
def numbers():
    X, y = make_regression(80, 5, noise=1, random_state=0)
    return X, y / y.std()


def quick(cls, **params):
    """An estimator that stops, without a warning, after three epochs at most."""
    return cls(**{"max_iter": 3, "n_iter_no_change": 1, "tol": 1e9, "random_state": 0, **params})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")
@parametrize_with_checks([MLPClassifier(max_iter=20), MLPRegressor(max_iter=20)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", CLASSES)
def test_signature_is_that_of_scikit_learn(cls):
    ours = inspect.signature(cls).parameters
    theirs = inspect.signature(getattr(sklearn.neural_network, cls.__name__)).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    assert list(ours)[len(theirs) :] == EXTRAS[cls]
    for name, parameter in theirs.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)
    for name in EXTRAS[cls]:
        assert ours[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert name in cls.__doc__


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("cls", CLASSES)
def test_attributes_are_those_of_scikit_learn(cls, early_stopping, iris):
    reference = quick(getattr(sklearn.neural_network, cls.__name__), early_stopping=early_stopping)
    model = quick(cls, early_stopping=early_stopping)
    for estimator in (reference, model):
        estimator.fit(*iris)
    public = {n for n in vars(reference) if n.endswith("_")}
    assert public <= set(vars(model))
    for name in public - {"coefs_", "intercepts_"}:
        expected, actual = getattr(reference, name), getattr(model, name)
        if isinstance(expected, float):
            assert isinstance(actual, float), name
        else:
            assert type(actual) is type(expected), name
    assert model.out_activation_ == reference.out_activation_
    assert (model.n_layers_, model.n_outputs_) == (reference.n_layers_, reference.n_outputs_)
    assert getattr(model, "loss", None) == getattr(reference, "loss", None)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pipeline_and_searches(iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(max_iter=300, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    grid = {"mlpclassifier__hidden_layer_sizes": [(1,), (40,)]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.9
    assert search.best_params_["mlpclassifier__hidden_layer_sizes"] == (40,)


@pytest.mark.parametrize("cls", CLASSES)
def test_clone_keeps_parameters_and_drops_the_fit(cls, iris):
    model = quick(cls, alpha=0.3, n_jobs=2).fit(*iris)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "coefs_")


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_pickle_continues_exactly(solver, iris):
    X, y = iris
    model = quick(MLPClassifier, solver=solver).partial_fit(X, y, classes=[0, 1, 2])
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    for estimator in (model, copy):
        estimator.partial_fit(X, y)
    np.testing.assert_array_equal(copy.coefs_[0], model.coefs_[0])


def test_labels_of_any_type(iris):
    X, y = iris
    for labels in (np.array(["x", "y", "z"])[y], y * 10 - 5, y == 1, y.astype(float)):
        model = MLPClassifier((30,), learning_rate_init=0.02, tol=1e-3, random_state=0)
        model.fit(X, labels)
        assert model.predict(X).dtype == labels.dtype
        assert model.score(X, labels) > 0.9


def test_multilabel():
    X, Y = make_multilabel_classification(200, 8, n_classes=3, random_state=0)
    model = MLPClassifier((40,), learning_rate_init=0.01, random_state=0)
    model.fit(X, Y, callback=lambda epoch: epoch.epoch == 150)
    assert model.out_activation_ == "logistic"
    assert model.predict(X).shape == Y.shape
    assert (model.predict(X) == Y).mean() > 0.85
    assert model.predict_proba(X).shape == Y.shape


def test_single_class():
    X = np.eye(4)
    model = quick(MLPClassifier).fit(X, ["only"] * 4)
    assert list(model.predict(X)) == ["only"] * 4
    assert model.predict_proba(X).shape == (4, 2)


def test_probability_of_one_half_is_the_first_class():
    model = quick(MLPClassifier, hidden_layer_sizes=()).fit(np.eye(2), [0, 1])
    model.coefs_ = [np.zeros((2, 1))]
    model.intercepts_ = [np.zeros(1)]
    np.testing.assert_array_equal(model.predict_proba(np.eye(2)), 0.5)
    np.testing.assert_array_equal(model.predict(np.eye(2)), 0)


def test_several_outputs_of_a_regression(numbers):
    X, y = numbers
    model = MLPRegressor(hidden_layer_sizes=(50,), learning_rate_init=0.02, random_state=0)
    Y = np.c_[y, -2 * y]
    assert model.fit(X, Y).predict(X).shape == Y.shape
    assert model.score(X, Y) > 0.95
    with pytest.warns(match="column-vector"):
        assert quick(MLPRegressor).fit(X, y[:, None]).predict(X).shape == y.shape


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, ValueError, "hidden_layer_sizes must be > 0"),
        ({"hidden_layer_sizes": (3.5,)}, TypeError, "must be integers"),
        ({"activation": "swish"}, ValueError, "activation"),
        ({"solver": "newton"}, ValueError, "solver"),
        ({"alpha": -1}, ValueError, "alpha"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"learning_rate_init": 0}, ValueError, "learning_rate_init"),
        ({"momentum": 2}, ValueError, "momentum"),
        ({"beta_1": 1.0}, ValueError, "beta_1"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
        ({"random_state": np.random.default_rng(0)}, ValueError, "random_state"),
        ({"early_stopping": True, "validation_fraction": 0.001}, ValueError, "too small"),
    ],
)
def test_parameters_that_cannot_be_honoured(cls, params, error, message, iris):
    with pytest.raises(error, match=message):
        quick(cls, **params).fit(*iris)


@pytest.mark.parametrize("cls", CLASSES)
def test_batch_larger_than_the_data_is_clipped(cls, iris):
    with pytest.warns(match="Got `batch_size` less than 1 or larger"):
        large = quick(cls, batch_size=1000).fit(*iris)
    np.testing.assert_array_equal(large.coefs_[0], quick(cls, batch_size=150).fit(*iris).coefs_[0])


def test_not_converged(iris):
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPClassifier(max_iter=2).fit(*iris)


@pytest.mark.parametrize("cls", CLASSES)
def test_not_fitted(cls, iris):
    with pytest.raises(NotFittedError):
        cls().predict(iris[0])


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(cls, bad, iris):
    X, y = iris
    X[3, 1] = bad
    with pytest.raises(ValueError, match="contains"):
        quick(cls).fit(X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_divergence_is_an_error(numbers):
    X, y = numbers
    model = MLPRegressor(solver="sgd", learning_rate_init=1e6, max_iter=20, random_state=0)
    with pytest.raises(ValueError, match=r"non-finite parameter weights.*learning_rate_init"):
        model.fit(X * 1e3, y)


def test_weights_of_a_batch_that_sum_to_zero(numbers):
    X, y = numbers
    weight = np.r_[np.zeros(40), np.ones(40)]
    model = quick(MLPRegressor, batch_size=20, shuffle=False)
    with pytest.raises(ValueError, match="sample weights of a mini-batch sum to zero"):
        model.fit(X, y, sample_weight=weight)


def test_sample_weight_counts_rows(numbers):
    X, y = numbers
    weight = np.tile([2.0, 1.0], 40)
    repeated = np.repeat(np.arange(80), weight.astype(int))
    params = {"batch_size": 120, "shuffle": False, "alpha": 0.0, "max_iter": 5}
    with pytest.warns(UserWarning):
        weighted = MLPRegressor(**params, random_state=0).fit(X, y, sample_weight=weight)
        copied = MLPRegressor(**params, random_state=0).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.coefs_[0], copied.coefs_[0], atol=1e-10)


def test_partial_fit_rules(iris):
    X, y = iris
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        quick(MLPClassifier).partial_fit(X, y)
    model = quick(MLPClassifier).partial_fit(X[:50], y[:50], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"not in `self.classes_`"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="does not support early_stopping"):
        quick(MLPClassifier, early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    for cls in CLASSES:
        assert hasattr(cls(solver="sgd"), "partial_fit")
        assert not hasattr(cls(solver="lbfgs"), "partial_fit")


def test_warm_start_needs_the_same_classes(iris):
    X, y = iris
    model = quick(MLPClassifier, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start can only be used where"):
        model.fit(X, np.where(y == 2, 1, y))


def test_warm_start_may_switch_to_early_stopping(iris):
    model = quick(MLPClassifier, warm_start=True).fit(*iris)
    model.set_params(early_stopping=True, tol=1e-4).set_params(n_iter_no_change=2, max_iter=50)
    model.fit(*iris)
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_warm_start_counts_afresh(iris):
    # scikit-learn's counter goes on, so that a second fit stops after one epoch.
    model = quick(MLPClassifier, warm_start=True, max_iter=50, n_iter_no_change=5).fit(*iris)
    assert model.fit(*iris).n_iter_ == 6


def test_warm_start_keeps_the_best_weights_of_all_fits(iris):
    # scikit-learn's second fit changes the weights that it kept as the best.
    model = MLPClassifier(warm_start=True, early_stopping=True, max_iter=100, random_state=0)
    before = [w.copy() for w in model.fit(*iris).coefs_]
    model.set_params(learning_rate_init=1e-9, tol=0.5).fit(*iris)
    for w, kept in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(w, kept)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_may_switch_the_solver(iris):
    # scikit-learn's lacks attributes then.
    model = MLPClassifier(warm_start=True, max_iter=3, random_state=0)
    for solver in ("lbfgs", "adam", "lbfgs", "sgd"):
        loss = model.set_params(solver=solver).fit(*iris).loss_
    assert loss == model.loss_curve_[-1] and len(model.loss_curve_) == 12


def test_warm_start_of_another_network_is_an_error(iris):
    # scikit-learn ignores the new sizes.
    model = quick(MLPClassifier, warm_start=True).fit(*iris)
    with pytest.raises(ValueError, match=r"not the network that was fitted, of \[100\] units"):
        model.set_params(hidden_layer_sizes=(50, 50)).fit(*iris)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_targets", [(1, 3), (3, 1), (1, 5000)])
def test_another_number_of_targets_is_an_error(n_targets, numbers):
    X, y = numbers
    before, after = (np.tile(y[:, None], (1, n)) for n in n_targets)
    before, after = (t.ravel() if t.shape[1] == 1 else t for t in (before, after))
    for solver in ("adam", "lbfgs"):
        model = quick(MLPRegressor, warm_start=True, solver=solver).fit(X, before)
        with pytest.raises(ValueError, match=f"y has {n_targets[1]} outputs"):
            model.fit(X, after)
        if solver == "adam":
            with pytest.raises(ValueError, match=f"y has {n_targets[1]} outputs"):
                model.partial_fit(X, after)
        assert model.predict(X).shape == before.shape


def test_another_loss_needs_a_new_fit(numbers):
    X, y = numbers
    model = quick(MLPRegressor, warm_start=True).fit(X, y - y.min())
    expected = model.predict(X)
    model.set_params(loss="poisson")
    np.testing.assert_array_equal(model.predict(X), expected)
    with pytest.raises(ValueError, match="needs the output activation exp"):
        model.fit(X, y - y.min())
    model.set_params(warm_start=False).fit(X, y - y.min())
    assert model.out_activation_ == "exp" and model.predict(X).min() > 0


def test_weights_that_do_not_fit_together_are_an_error(numbers):
    model = quick(MLPRegressor).fit(*numbers)
    model.intercepts_[0] = model.intercepts_[0][:2]
    with pytest.raises(
        ValueError, match=r"coefs_\[0\] has shape \(5, 100\) and intercepts_\[0\] \(2,\)"
    ):
        model.predict(numbers[0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_partial_fit_after_lbfgs_forgets_the_old_optimiser(numbers):
    X, y = numbers
    model = quick(MLPRegressor, hidden_layer_sizes=(50,)).fit(X, y)
    model.set_params(solver="lbfgs", hidden_layer_sizes=(7,)).fit(X, y)
    fresh = quick(MLPRegressor, hidden_layer_sizes=(7,), solver="lbfgs").fit(X, y)
    for m in (model, fresh):
        m.set_params(solver="adam").partial_fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], fresh.coefs_[0])


def test_warnings_point_to_the_caller(iris):
    X, y = iris

    def interrupt(epoch):
        raise KeyboardInterrupt

    with pytest.warns(UserWarning) as caught:
        MLPClassifier(max_iter=1, batch_size=1000).fit(X, y)
        MLPClassifier(batch_size=1000).partial_fit(X, y, classes=[0, 1, 2])
        for solver in ("adam", "lbfgs"):
            MLPClassifier(solver=solver).fit(X, y, callback=interrupt)
        MLPClassifier(max_iter=1).fit(X, y[:, None])
    assert len(caught) >= 7
    assert {warning.filename for warning in caught} == {__file__}


def test_partial_fit_with_warm_start_takes_part_of_the_classes(iris):
    X, y = iris
    model = quick(MLPClassifier, warm_start=True).partial_fit(X, y, classes=[0, 1, 2])
    model.partial_fit(X[:60], y[:60])
    assert model.t_ == 210


def test_negative_counts_are_an_error(iris):
    X, y = iris
    with pytest.raises(ValueError, match=r"negative.*not possible for loss='poisson'"):
        MLPRegressor("poisson").fit(X, y - 1.0)


def test_callback(iris):
    epochs = []

    def callback(epoch):
        epochs.append(epoch)
        return epoch.epoch == 4

    model = MLPClassifier(early_stopping=True, random_state=0).fit(*iris, callback=callback)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4] and model.n_iter_ == 4
    assert [epoch.loss for epoch in epochs] == model.loss_curve_
    assert [epoch.validation_score for epoch in epochs] == model.validation_scores_
    assert epochs[0].max_epochs == 200 and epochs[0].learning_rate == 0.001
    assert 0 < epochs[0].seconds <= epochs[3].seconds


def test_interrupt_keeps_the_weights(iris):
    X, y = iris

    def interrupt(epoch):
        if epoch.epoch == 5:
            raise KeyboardInterrupt

    model = MLPClassifier(random_state=0)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, y, callback=interrupt)
    expected = MLPClassifier(random_state=0).fit(X, y, callback=lambda epoch: epoch.epoch == 5)
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert model.n_iter_ == 5


def test_verbose_prints_each_epoch(iris, capsys):
    quick(MLPClassifier, verbose=True, early_stopping=True).fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 1, loss = ")
    assert lines[1].startswith("Validation score: ")


@pytest.mark.parametrize("n_jobs", [1, 2, -1, None])
def test_threads_do_not_change_results(n_jobs, numbers):
    X, y = numbers
    params = {"hidden_layer_sizes": (200, 100), "batch_size": 64, "max_iter": 3}
    model = quick(MLPRegressor, **params, n_jobs=n_jobs).fit(X, y)
    expected = quick(MLPRegressor, **params, n_jobs=1).fit(X, y)
    for w, e in zip(model.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(w, e)
    large = np.tile(X, (3000, 1))
    np.testing.assert_array_equal(model.predict(large), expected.predict(large))


def test_predictions_of_many_rows_equal_those_of_one(iris):
    X, y = iris
    model = quick(MLPClassifier, hidden_layer_sizes=(30, 20)).fit(X, y)
    one_by_one = np.vstack([model.predict_proba(row[None]) for row in X])
    np.testing.assert_array_equal(model.predict_proba(X), one_by_one)
