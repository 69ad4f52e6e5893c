"""TabularClassifier and TabularRegressor, as scikit-learn uses estimators."""

import ast
import inspect
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from helpers import fit_quietly
from numpydoc.docscrape import get_doc_object
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastmlp
from fastmlp import (
    DataError,
    DivergenceError,
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularPreprocessor,
    TabularRegressor,
)
from fastmlp.exceptions import InterruptedTrainingWarning
from fastmlp.tabular.base import _SINGLE_NETWORK

CLASSES = {TabularClassifier: MLPClassifier, TabularRegressor: MLPRegressor}
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.01}


# Their tags say that text and missing values are welcome, so that all checks apply.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        TabularClassifier(max_iter=20),
        TabularRegressor(max_iter=20),
        TabularClassifier(members=1),
        TabularRegressor(members=2),
    ],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": "rows that are repeated make other "
        "mini-batches, and columns are prepared as if all rows had the same weight"
    },
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def features(people):
    return people.drop(columns="class")


@pytest.fixture
def concrete(concrete_csv):
    frame = pd.read_csv(concrete_csv)
    return frame.drop(columns="target"), frame["target"]


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_are_those_of_the_network(cls):
    ours = inspect.signature(cls).parameters
    theirs = inspect.signature(CLASSES[cls]).parameters
    of_packs = {"effort", "members", "time_limit"}
    if cls is TabularClassifier:
        of_packs.add("threshold")
    assert set(theirs) - set(ours) == {"verbose", "warm_start"}
    assert set(ours) - set(theirs) == of_packs
    shared = ours.keys() & theirs.keys()
    others = {name for name in shared if ours[name].default != theirs[name].default}
    assert others == {
        "hidden_layer_sizes", "activation", "solver", "alpha", "learning_rate_init", "max_iter",
        "n_iter_no_change", "tol", "beta_2", "dropout", "validation_fraction", "early_stopping",
        "random_state",
    }  # fmt: skip
    # In a single network 'auto' is the default of the network, with two exceptions.
    network = CLASSES[cls]()
    single = {**_SINGLE_NETWORK, "hidden_layer_sizes": (100,), "n_iter_no_change": 10}
    assert single == {name: getattr(network, name) for name in single}
    for name in ours:
        assert name in cls.__doc__
    assert set(cls._parameter_constraints) == set(ours)
    assert "<shared" not in cls.__doc__ and "{network}" not in cls.__doc__


def test_a_regressor_is_its_parts(concrete):
    X, y = concrete
    model = fit_quietly(TabularRegressor(max_iter=100), X, y)
    inputs = TabularPreprocessor().fit_transform(X)
    network = MLPRegressor(
        hidden_layer_sizes=(128, 64), batch_size=20, max_iter=100,
        early_stopping=True, n_iter_no_change=12,
        random_state=0,
    )  # fmt: skip
    scale = y.std(ddof=0)
    fit_quietly(network, inputs, ((y - y.mean()) / scale).to_numpy(np.float32))
    expected = network.predict(inputs).astype(float) * scale + y.mean()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)
    assert model.n_iter_ == network.n_iter_ and model.score(X, y) > 0.9


def test_a_classifier_is_its_parts(people, features):
    model = fit_quietly(TabularClassifier(max_iter=20), features, people["class"])
    inputs = TabularPreprocessor().fit_transform(features)
    network = MLPClassifier((128, 64), batch_size=16, max_iter=20, random_state=0)
    fit_quietly(network, inputs, people["class"])
    np.testing.assert_array_equal(model.predict_proba(features), network.predict_proba(inputs))
    np.testing.assert_array_equal(
        model.predict_log_proba(features), network.predict_log_proba(inputs)
    )
    assert list(model.classes_) == ["old", "young"]
    assert model.score(features, people["class"]) == np.mean(
        model.predict(features) == people["class"]
    )


@pytest.mark.parametrize("cls", CLASSES)
def test_every_parameter_is_documented_with_its_default(cls):
    defaults = {k: p.default for k, p in inspect.signature(cls).parameters.items()}
    entries = get_doc_object(cls)["Parameters"]
    names = [name for entry in entries for name in entry.name.split(", ")]
    assert names == list(defaults)  # in this order, each once
    for entry in entries:
        assert "object" not in entry.type and len(" ".join(entry.desc)) > 10
        said = re.search(r"defaults?[ =](.*)$", entry.type)[1]
        values = [ast.literal_eval(value) for value in said.split(" and ")]
        assert values == [defaults[name] for name in entry.name.split(", ")], entry.name


def test_documentation_says_why_a_table_has_a_seed():
    assert "the same table gives the same model" in " ".join(TabularClassifier.__doc__.split())


@pytest.mark.parametrize("cls", CLASSES)
def test_sample_weights_reach_the_network(cls, concrete):
    X, y = concrete
    y = y > 35 if cls is TabularClassifier else y
    weight = np.random.default_rng(0).uniform(0, 2, len(X))
    settings = {**SMALL, "early_stopping": False}
    model = fit_quietly(cls(**settings), X, y, weight)
    network = clone(model.estimator_)
    targets = model._encode(model._target(pd.Series(y)))
    fit_quietly(network, model.preprocessor_.transform(X), targets, weight)
    plain = fit_quietly(cls(**settings), X, y)
    ones = fit_quietly(cls(**settings), X, y, sample_weight=np.ones(len(X)))
    found, expected, without, alike = (
        each.coefs_[0] for each in (model.estimator_, network, plain.estimator_, ones.estimator_)
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(alike, without, rtol=1e-3, atol=1e-5)
    assert not np.allclose(found, without, rtol=1e-3, atol=1e-5)
    assert model.score(X, y, sample_weight=weight) != model.score(X, y)


@pytest.mark.parametrize("cls", CLASSES)
def test_rows_without_weight_do_not_count(cls, concrete):
    """Targets of rows that weigh nothing may be anything."""
    X, y = concrete
    is_wrong = np.arange(len(y)) % 2 == 0
    y = (y > y.median()).to_numpy() if cls is TabularClassifier else y.to_numpy()
    other = y.copy()
    # The same values in another order, since targets are scaled by the mean of all.
    other[is_wrong] = other[is_wrong][::-1]
    models = [
        fit_quietly(cls(**SMALL, early_stopping=False), X, target, ~is_wrong * 1.0)
        for target in (y, other)
    ]
    np.testing.assert_allclose(*(model.predict(X) for model in models), rtol=1e-3)


def test_bad_sample_weights_change_nothing(concrete):
    model = TabularRegressor(**SMALL)
    for weight, message in (([1.0, 2.0], "sample_weight"), (np.full(1030, np.nan), "NaN")):
        with pytest.raises(ValueError, match=message):
            model.fit(*concrete, sample_weight=weight)
        assert vars(model) == vars(TabularRegressor(**SMALL))


@pytest.mark.parametrize("given", ["auto", True, False])
@pytest.mark.parametrize("n_rows", [200, 300])
def test_early_stopping_and_batch_size_depend_on_the_rows(n_rows, given):
    X = pd.DataFrame({"x": np.arange(n_rows) * 1.0})
    stop = {"callback": lambda epoch: True}
    model = TabularRegressor(50, early_stopping=given).fit(X, np.sin(X["x"]), **stop)
    expected = n_rows == 300 if given == "auto" else given
    assert model.estimator_.early_stopping is expected
    assert model.estimator_.batch_size == 16
    assert (model.early_stopping, model.batch_size) == (given, "auto")


def test_batches_are_a_fiftieth_of_the_rows_and_never_more_than_all():
    def batch(n_rows, **parameters):
        X = pd.DataFrame({"x": np.arange(n_rows) * 1.0})
        model = TabularRegressor(hidden_layer_sizes=(2,), **parameters)
        return model.fit(X, np.sin(X["x"]), callback=lambda epoch: True).estimator_.batch_size

    assert batch(2000) == 40 and batch(20000) == 256
    assert batch(10) == 10 and batch(10, batch_size=50) == 10
    assert batch(100, batch_size=99, early_stopping=True) == 90
    assert batch(100, batch_size=99, early_stopping=False) == 99
    assert batch(500, solver="gd") == "auto"


def test_averages_of_weights_need_no_held_out_rows(concrete):
    model = fit_quietly(TabularRegressor(swa_start=2, max_iter=3), *concrete)
    assert not model.estimator_.early_stopping


def test_clone_and_parameters(features, people):
    model = TabularClassifier(alpha=0.1, dropout=[0.1, 0], class_weight={"old": 2, "young": 1})
    copy = clone(model)
    assert copy.get_params() == model.get_params() and copy is not model
    assert copy.set_params(max_iter=3).max_iter == 3 and model.max_iter == "auto"
    fitted = fit_quietly(copy, features, people["class"])
    assert fitted.get_params() == clone(fitted).get_params()
    assert not hasattr(clone(fitted), "estimator_") and not hasattr(clone(fitted), "classes_")
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(features), fitted.predict_proba(features))
    with pytest.raises(TypeError, match="unexpected keyword argument 'patience'"):
        TabularClassifier(patience=3)
    with pytest.raises(ValueError, match="Invalid parameter 'patience'"):
        model.set_params(patience=3)


def test_one_hidden_layer_may_be_a_number_and_a_regression_has_no_classes(concrete):
    X, y = concrete
    model = fit_quietly(TabularClassifier(hidden_layer_sizes=10, max_iter=2), X, y > 35)
    assert model.estimator_.coefs_[0].shape[1] == 10 and len(model.classes_) == 2
    assert not hasattr(fit_quietly(TabularRegressor(max_iter=1), X, y), "classes_")
    assert not hasattr(clone(model), "target_format_")


def test_search_and_cross_validation(concrete):
    X, y = concrete
    X = X.assign(kind=np.where(X["age"] > 28, "old", None))
    model = TabularRegressor(**SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(model, {"alpha": [1e-4, 1e-2], "hidden_layer_sizes": [(8,), (16,)]},
                              cv=3)  # fmt: skip
        assert search.fit(X, y).best_score_ > 0.6
        scores = cross_validate(model, X, y, cv=3, scoring=["r2", "neg_mean_absolute_error"])
        assert scores["test_r2"].min() > 0.6
        labels = np.where(y > y.median(), "strong", "weak")
        classifier = TabularClassifier(**SMALL)
        scores = cross_validate(classifier, X, labels, cv=3, scoring=["roc_auc", "neg_log_loss"])
        assert scores["test_roc_auc"].min() > 0.8


def test_in_a_pipeline(people, features):
    def with_age_of_clerks(frame):
        return frame.assign(clerk=np.where(frame["job"] == "clerk", frame["age"], None))

    pipeline = make_pipeline(FunctionTransformer(with_age_of_clerks), TabularClassifier(**SMALL))
    fit_quietly(pipeline, features, people["class"])
    assert pipeline.score(features, people["class"]) > 0.9
    network = MLPClassifier(**{**SMALL, "max_iter": 60}, random_state=0)
    parts = make_pipeline(TabularPreprocessor(), network)
    fit_quietly(parts, features, people["class"])
    assert parts.score(features, people["class"]) > 0.9


def test_configuration_of_outputs_does_not_matter(people, features):
    expected = fit_quietly(TabularClassifier(**SMALL), features, people["class"])
    with sklearn.config_context(transform_output="pandas"):
        model = fit_quietly(TabularClassifier(**SMALL), features, people["class"])
        probabilities = model.predict_proba(features)
    np.testing.assert_array_equal(probabilities, expected.predict_proba(features))
    assert not hasattr(model.estimator_, "feature_names_in_")


def test_polars_and_lists(people, features):
    expected = fit_quietly(TabularClassifier(**SMALL), features, people["class"])
    columns = {
        name: [None if pd.isna(value) else value for value in features[name]] for name in features
    }
    frame, y = pl.DataFrame(columns), pl.Series("class", list(people["class"]))
    model = fit_quietly(TabularClassifier(**SMALL), frame, y)
    np.testing.assert_array_equal(model.predict(frame), expected.predict(features))
    assert model.target_name_ == "class" and model.score(frame, y) > 0.9
    assert fit_quietly(model, features, list(people["class"])).target_name_ is None
    with pytest.warns(DataConversionWarning):
        fit_quietly(model, features, people[["class"]])
    assert model.target_name_ == "class"


def test_labels_of_all_kinds(features):
    for values in ([1, 2], [2.0, 3.0], [True, False], ["a", "b"], [b"a", b"b"]):
        y = np.array([values[i % 2] for i in range(120)])
        for given in (y, y.astype(object), pd.Series(y), pd.Series(y, dtype="category")):
            model = fit_quietly(TabularClassifier(**SMALL), features, given)
            assert set(model.predict(features)) <= set(model.classes_)
            assert 0 <= model.score(features, given) <= 1
    dates = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"] * 60))
    model = fit_quietly(TabularClassifier(**SMALL), features, dates)
    assert model.score(features, dates) > 0.4


@pytest.mark.parametrize(
    ("change", "y", "message"),
    [
        (lambda X: X.head(0), [], "no rows"),
        (lambda X: X[[]], [0, 1] * 60, "no columns"),
        (lambda X: X.head(5), [0, 1] * 60, r"inconsistent numbers of samples: \[5, 120\]"),
        (lambda X: X, [0, 1, None] * 40, "y is missing in 40 of 120 rows .the first is row 3."),
        (lambda X: X, pd.Series([0, np.nan] * 60, name="z"), "'z' is missing in 60 of 120 rows"),
        (
            lambda X: X,
            [1] * 120,
            r"y has a single (class|value), 1(\.0)?; there is nothing to learn",
        ),
        (lambda X: X, [0, np.inf] * 60, "y is infinite in row 2"),
        (lambda X: X, None, "requires y to be passed, but the target y is None"),
        (lambda X: X, np.zeros((120, 2)), r"y should be a 1d array|y\[:, 0\]. has a single value"),
        (lambda X: pd.concat([X, X["age"]], axis=1), [0, 1] * 60, "'age' stands there more than"),
        (lambda X: X[["planet"]], [0, 1] * 60, "no feature column is left"),
    ],
)
@pytest.mark.parametrize("cls", CLASSES)
def test_bad_input_is_said_and_changes_nothing(cls, people, features, change, y, message):
    good = people["age"] > 40
    model = fit_quietly(cls(**SMALL), features, good)
    before = dict(vars(model))
    for estimator, state in ((model, before), (cls(**SMALL), vars(cls(**SMALL)))):
        with pytest.raises(ValueError, match=message):
            estimator.fit(change(features), y)
        assert vars(estimator) == state
    assert 0 <= model.score(features, good) <= 1


def test_targets_of_the_other_kind(people, features):
    message = (
        "y has fractions, which are no class labels; TabularRegressor takes them .Unknown label"
    )
    with pytest.raises(DataError, match=message):
        TabularClassifier().fit(features, np.arange(120) / 7)
    message = "'class' has the text 'young' in row 1; regression needs .*TabularClassifier takes"
    with pytest.raises(DataError, match=message):
        TabularRegressor().fit(features, people["class"])
    with pytest.raises(DataError, match="text with 120 different values in 120 rows"):
        TabularClassifier().fit(features, people["name"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dropout": 2}, "The 'dropout' parameter of TabularRegressor must"),
        ({"early_stopping": "often"}, "The 'early_stopping' parameter of TabularRegressor must"),
        ({"batch_size": 0}, "The 'batch_size' parameter of TabularRegressor must"),
        ({"activation": ("tanh", "relu", "elu")}, "activation has 3 entries"),
        ({"loss": "quantile", "quantiles": [0.9, 0.1]}, "in increasing order"),
        ({"solver": "gd", "batch_size": 5}, "solver='gd' takes all rows in each step"),
        (
            {"lr_schedule": "step", "learning_rate": "adaptive", "solver": "sgd"},
            "are two schedules",
        ),
    ],
)
def test_bad_parameters_are_said_and_change_nothing(concrete, parameters, message):
    model = TabularRegressor(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(*concrete)
    assert vars(model) == vars(TabularRegressor(**parameters))


def test_divergence_leaves_the_estimator_as_it_was(concrete):
    model = fit_quietly(TabularRegressor(**SMALL), *concrete)
    before = dict(vars(model))
    model.set_params(learning_rate_init=1e30, solver="sgd", early_stopping=False)
    with pytest.raises(DivergenceError) as error:
        model.fit(*concrete)
    assert error.value.__notes__ == []  # it keeps no finite weights of that fit
    changed = {"learning_rate_init": 1e30, "solver": "sgd", "early_stopping": False}
    assert vars(model) == {**before, **changed}


def test_interruptions_are_warned_of_and_keep_what_was_learned(concrete):
    def interrupt(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    model = TabularRegressor(**SMALL)
    with pytest.warns(InterruptedTrainingWarning, match="interrupted by user") as caught:
        model.fit(*concrete, callback=interrupt)
    assert model.n_iter_ == 2 and model.predict(concrete[0]).shape == (1030,)
    assert [warning.filename for warning in caught] == [__file__] * len(caught)
    with pytest.warns(InterruptedTrainingWarning):
        MLPRegressor(**SMALL).fit(*concrete, callback=interrupt)
    with pytest.warns(InterruptedTrainingWarning):
        MLPRegressor(**SMALL, solver="lbfgs").fit(*concrete, callback=interrupt)


def test_warnings_of_a_fit_name_the_line_that_called_it(features, people):
    with pytest.warns(ConvergenceWarning) as caught:
        TabularClassifier(hidden_layer_sizes=(8,), max_iter=2).fit(features, people["class"])
    assert [warning.filename for warning in caught] == [__file__]


def test_warnings_come_after_the_attributes_are_set(concrete):
    with pytest.warns(ConvergenceWarning) as caught:
        TabularRegressor(hidden_layer_sizes=(8,), max_iter=2).fit(*concrete)
    assert {warning.filename for warning in caught} == {__file__}
    model = TabularRegressor(hidden_layer_sizes=(8,), max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            model.fit(*concrete)
    assert model.n_iter_ == 2 and len(model.predict(concrete[0])) == 1030


def test_a_fit_forgets_the_one_before(people, features):
    model = fastmlp.train_table(people, **SMALL)
    assert "test" in model.report_ and model.feature_names_in_[0] == "age"
    fit_quietly(model, people[["age"]].to_numpy(), people["class"].to_numpy())
    for name in ("report_", "na_values_", "feature_names_in_"):
        assert not hasattr(model, name)
    assert model.n_features_in_ == 1 and model.target_name_ is None


def test_what_is_not_fitted_says_so(features):
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(TabularClassifier(), method)(features)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        TabularRegressor().predict(features)


def test_counts_and_outliers(concrete):
    X, y = concrete
    model = TabularRegressor(loss="poisson").fit(X, y)
    assert model.target_mean_ == 0 and model.target_scale_ == pytest.approx(y.std(ddof=0))
    assert (model.predict(X) > 0).all()
    model = TabularRegressor(loss="huber", huber_delta=0.5, effort="low").fit(X, y)
    assert model.target_mean_ == pytest.approx(y.mean()) and model.estimator_.huber_delta == 0.5
    low, high = (
        TabularRegressor(loss="quantile", quantiles=level, effort="low").fit(X, y).predict(X)
        for level in (0.1, 0.9)
    )
    assert np.mean(y < low) < 0.3 and np.mean(y < high) > 0.7


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fits_in_threads_leave_the_filters_of_warnings_alone(features, people):
    """The filters belong to the process: a fit that changed them would mix up those of others."""
    before = warnings.filters[:], warnings.showwarning
    models = [TabularClassifier(**SMALL) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda model: model.fit(features, people["class"]), models))
    assert (warnings.filters, warnings.showwarning) == before


def test_warnings_as_errors_keep_what_was_learned(features, people):
    model = TabularClassifier(hidden_layer_sizes=(8,), max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            model.fit(features, people["class"])
    assert len(model.predict(features)) == len(features)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [int, bool])
def test_labels_in_a_series_of_objects_keep_their_type(dtype, features):
    labels = (np.arange(len(features)) % 2).astype(dtype)
    y = pd.Series(labels, dtype=object)
    model = TabularClassifier(**SMALL).fit(features, y)
    assert model.classes_.dtype == np.dtype(dtype)
    assert model.score(features, labels) == model.score(features, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_numbers_in_a_series_of_objects_are_numbers(concrete):
    X, y = concrete
    expected = TabularRegressor(**SMALL).fit(X, y).predict(X)
    found = TabularRegressor(**SMALL).fit(X, y.astype(object)).predict(X)
    np.testing.assert_array_equal(found, expected)


def test_a_schedule_that_the_solver_would_ignore_is_refused(concrete):
    with pytest.raises(ValueError, match="learning_rate='adaptive' is a schedule for solver='sgd'"):
        TabularRegressor(learning_rate="adaptive").fit(*concrete)


def test_a_dict_of_one_row_is_put_into_a_list():
    X = pd.DataFrame({"a": np.arange(40) % 7, "b": list("pq") * 20})
    model = fit_quietly(TabularClassifier(hidden_layer_sizes=(4,), max_iter=2), X, X["a"] > 3)
    with pytest.raises(DataError, match="a single value for each column; put it into a list"):
        model.predict({"a": 1, "b": "p"})
    assert len(model.predict([{"a": 1, "b": "p"}])) == 1


def test_an_array_of_bytes_has_the_labels_of_their_text():
    X, y = np.arange(40.0)[:, None], np.array([b"no", b"yes"] * 20)
    model = fit_quietly(TabularClassifier(hidden_layer_sizes=(4,), max_iter=2), X, y)
    assert model.classes_.tolist() == ["no", "yes"] and 0 <= model.score(X, y) <= 1
