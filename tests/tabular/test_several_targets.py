"""Regression of several targets: each has the model that it would have alone."""

import copy
import io
import pickle
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

from fastmlp import (
    DataError,
    DataWarning,
    DivergenceError,
    InputError,
    TabularClassifier,
    TabularRegressor,
    train_table,
)
from fastmlp.exceptions import InterruptedTrainingWarning
from fastmlp.plotting import learning_curve
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.several import _share
from fastmlp.tabular.train import evaluate, read_for

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "n_jobs": 1}


def table(n_rows=60):
    chance = np.random.RandomState(0)
    x, z = chance.normal(size=(2, n_rows))
    return pd.DataFrame({"x": x, "z": z, "city": chance.choice(["Rome", "Oslo"], n_rows)})


def targets(X):
    return pd.DataFrame({"sum": 3 * X["x"] + X["z"], "growth": np.exp(X["z"]), "x^2": X["x"] ** 2})


X = table()
Y = targets(X)


@pytest.fixture(scope="module")
def pack():
    return TabularRegressor(members=2).fit(X, Y)


@pytest.fixture(scope="module")
def small():
    return fit_quietly(TabularRegressor(**SMALL), X, Y)


# ---- models ------------------------------------------------------------------------------


def test_each_target_has_the_model_that_it_would_have_alone(pack):
    predicted = pack.predict(X)
    assert predicted.shape == (60, 3) and predicted.dtype == np.float64
    for i, name in enumerate(Y):
        alone = TabularRegressor(members=2).fit(X, Y[name])
        np.testing.assert_array_equal(predicted[:, i], alone.predict(X))
        assert pack.models_[i].get_params() == alone.get_params()
        assert vars(pack.models_[i]).keys() == vars(alone).keys()
    assert pack.target_name_ == ["sum", "growth", "x^2"] and pack.target_format_ == ["", "", ""]
    assert pack.n_iter_ == sum(model.n_iter_ for model in pack.models_)
    assert pack.n_features_in_ == 3 and list(pack.feature_names_in_) == ["x", "z", "city"]
    assert not hasattr(pack, "estimator_")


def test_the_score_is_the_mean_of_r2_over_targets(pack):
    expected = r2_score(Y, pack.predict(X))
    assert pack.score(X, Y) == expected == pack.score(X, Y.to_numpy())
    assert pack.score(X, Y[["x^2", "sum", "growth"]]) == expected  # found by their names
    weight = np.linspace(0, 1, 60)
    assert pack.score(X, Y, weight) == r2_score(Y, pack.predict(X), sample_weight=weight)
    with pytest.raises(ValueError, match="y has 2 columns, and the model has 3 targets"):
        pack.score(X, Y[["sum", "x^2"]])


@pytest.mark.parametrize("kind", ["array", "list", "polars"])
def test_targets_of_any_kind_of_table(small, kind):
    polars = pytest.importorskip("polars")
    given = {
        "array": lambda: (X, Y.to_numpy()),
        "list": lambda: (X, Y.to_numpy().tolist()),
        "polars": lambda: (
            polars.DataFrame(X.to_dict("list")),
            polars.DataFrame(Y.to_dict("list")),
        ),
    }[kind]()
    model = fit_quietly(TabularRegressor(**SMALL), *given)
    np.testing.assert_array_equal(model.predict(given[0]), small.predict(X))
    assert model.target_name_ == ([*Y] if kind == "polars" else [None] * 3)
    assert model.score(*given) == small.score(X, Y)


def test_an_array_has_no_names():
    model = fit_quietly(TabularRegressor(**SMALL), X[["x", "z"]].to_numpy(), Y.to_numpy())
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 2
    assert model.predict(X[["x", "z"]].to_numpy()).shape == (60, 3)
    with pytest.warns(UserWarning, match="taken in their order") as caught:
        model.predict(X[["x", "z"]])
    assert len(caught) == 1
    with pytest.raises(ValueError, match="X has 1 features"):
        model.predict(X[["x"]].to_numpy())


def test_one_column_is_one_target():
    with pytest.warns(DataConversionWarning):
        model = TabularRegressor(members=2).fit(X, Y[["sum"]])
    assert model.predict(X).shape == (60,) and model.target_name_ == "sum"
    again = fit_quietly(model, X, Y[["sum", "x^2"]])
    assert again.predict(X).shape == (60, 2)
    fit_quietly(again, X, Y["sum"])
    assert again.predict(X).shape == (60,) and not hasattr(again, "models_")
    with pytest.raises(ValueError, match="y should be a 1d array"):
        TabularClassifier(**SMALL).fit(X, Y > 0)


def test_a_table_without_rows_has_no_predictions(small):
    assert small.predict(X[:0]).shape == (0, 3)
    with pytest.raises(NotFittedError):
        TabularRegressor().predict(X)


def test_numbers_as_text_are_read_in_the_form_of_their_target():
    written = Y.assign(growth=[f"{value:.2f} EUR" for value in Y["growth"]])
    with pytest.warns(DataWarning, match="target column 'growth' is read as numbers") as caught:
        model = TabularRegressor(members=2).fit(X, written)
    assert len(caught) == 1
    assert ["EUR" in form for form in model.target_format_] == [False, True, False]
    with pytest.warns(DataWarning):
        alone = TabularRegressor(members=2).fit(X, written["growth"])
    np.testing.assert_array_equal(model.predict(X)[:, 1], alone.predict(X))
    assert model.score(X, written) == pytest.approx(model.score(X, Y), abs=0.01)


def test_columns_are_remarked_on_once():
    noted = X.assign(price=[f"{i * 7 % 60}.5 EUR" for i in range(60)], copy=Y["x^2"])
    model = TabularRegressor(**SMALL, diagnose=False)
    with pytest.warns(UserWarning) as caught:
        model.fit(noted, Y)
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == len(set(texts))
    assert sum("price" in text for text in texts) == sum("'copy' equals" in t for t in texts) == 1
    notes = {column["name"]: column["note"] for column in model.columns_}
    assert "read as numbers" in notes["price"] and "equals the target" in notes["copy"]
    unknown = noted.assign(city="Bonn")
    with pytest.warns(DataWarning, match="city") as caught:
        model.predict(unknown)
    assert len(caught) == 1


def test_rows_are_weighted():
    weight = np.where(np.arange(60) < 30, 1.0, 0.0)
    model = fit_quietly(TabularRegressor(**SMALL), X, Y, weight)
    alone = fit_quietly(TabularRegressor(**SMALL), X, Y["growth"], weight)
    np.testing.assert_array_equal(model.predict(X)[:, 1], alone.predict(X))


def test_tools_of_scikit_learn(small):
    search = GridSearchCV(TabularRegressor(**SMALL), {"alpha": [0.1, 0.0]}, cv=2)
    fit_quietly(search, X, Y)
    assert search.predict(X).shape == (60, 3) and len(search.cv_results_["params"]) == 2
    assert vars(clone(small)) == vars(TabularRegressor(**SMALL))
    for copied in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        np.testing.assert_array_equal(copied.predict(X), small.predict(X))
    with pytest.raises(InputError, match="this model has 3 targets"):
        learning_curve(small)


# ---- what cannot be learned --------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "parameters", "message"),
    [
        (Y.assign(growth=3.0), {}, "target column 'growth' has a single value, 3.0"),
        (Y.where(Y["sum"] > 0, np.nan), {}, "target column 'sum' is missing in"),
        (Y.assign(growth=Y["growth"].where(X["x"] > 0)), {}, "target column 'growth' is missing"),
        (Y.to_numpy() * [1, 1, 0], {}, r"target column 'y\[:, 2\]' has a single value"),
        (Y.assign(growth=X["city"]), {}, "target column 'growth' has the text 'Oslo|Rome'"),
        (Y.set_axis(["a", "b", "a"], axis=1), {}, "target 'a' stands there more than once"),
        (Y, {"loss": "quantile"}, "quantiles are predicted for one target, and there are 3"),
        (Y[:50], {}, "inconsistent numbers of samples"),
        (Y, {"learning_rate_init": 1e30, "solver": "sgd"}, "^target column 'sum': .*diverged"),
    ],
)
def test_what_cannot_be_learned_leaves_the_model_of_before(small, y, parameters, message):
    model = copy.copy(small).set_params(**parameters)
    before = dict(vars(model))
    with pytest.raises((ValueError, DivergenceError), match=message):
        fit_quietly(model, X, y)
    assert vars(model) == before


# ---- callbacks, interruptions, limits ----------------------------------------------------


def test_a_callback_sees_the_estimator_of_before(small):
    model, told = copy.copy(small), []
    before = model.predict(X)

    def watch(epoch):
        np.testing.assert_array_equal(model.predict(X), before)
        assert copy.deepcopy(model).n_iter_ == 9
        with pytest.raises(ValueError, match="cannot be fitted in a callback of its own fit"):
            model.fit(X, Y)
        told.append(epoch.epoch)

    fit_quietly(model, X[["x"]], Y, callback=watch)
    assert told == [1, 2, 3] * 3
    assert model.n_features_in_ == 1

    def fail(epoch):
        if len(told) > 4:
            raise RuntimeError("no disk")
        told.append(epoch)

    told.clear()
    fitted = dict(vars(model))
    with pytest.raises(RuntimeError, match="no disk"):
        fit_quietly(model, X, Y, callback=fail)
    assert vars(model) == fitted


def test_a_callback_ends_the_training_of_all_targets():
    model = TabularRegressor(**{**SMALL, "max_iter": 20})
    fit_quietly(model, X, Y, callback=lambda epoch: epoch.epoch == 5)
    assert [one.n_iter_ for one in model.models_] == [5, 1, 1]
    assert model.predict(X).shape == (60, 3)
    assert all(one.time_limit is None for one in model.models_)


def test_an_interruption_leaves_the_least_for_the_targets_that_follow():
    calls = []

    def interrupt(done):
        calls.append(done)
        if len(calls) == 2:
            raise KeyboardInterrupt

    model = TabularRegressor(members=4, n_jobs=1)
    with pytest.warns(InterruptedTrainingWarning, match="interrupted by user") as caught:
        model.fit(X, Y, callback=interrupt)
    assert len(caught) == 1 and caught[0].filename == __file__
    trained = [sum(kind["folds"] for kind in one.estimator_.kinds) for one in model.models_]
    assert trained == [2, 1, 1] and np.isfinite(model.predict(X)).all()


def test_targets_share_the_time_that_is_left():
    fit = SimpleNamespace(time_limit=3000.0, began=time.perf_counter())
    assert _share(fit, 3, False) == pytest.approx(1000, rel=0.1)
    fit.began -= 2000
    assert _share(fit, 2, False) == pytest.approx(500, rel=0.1)
    fit.began -= 2000
    assert 0 < _share(fit, 1, False) == _share(fit, 2, True) < 1e-6
    fit.time_limit = None
    assert _share(fit, 3, False) is None


def test_a_limit_of_time_leaves_a_model_of_each_target():
    model = TabularRegressor(members=4, time_limit=1e-6).fit(X, Y)
    trained = [sum(kind["folds"] for kind in one.estimator_.kinds) for one in model.models_]
    assert max(trained) < 4 and all(one.estimator_.is_cut_short for one in model.models_)
    assert all(one.time_limit == 1e-6 for one in model.models_)
    whole = TabularRegressor(members=2, time_limit=1e6).fit(X, Y)
    np.testing.assert_array_equal(
        whole.predict(X), TabularRegressor(members=2).fit(X, Y).predict(X)
    )


# ---- tables with targets among their columns ---------------------------------------------


@pytest.fixture(scope="module")
def file():
    whole = pd.concat([Y["growth"].map("{:.2f} EUR".format), X, Y["sum"]], axis=1)
    return whole.to_csv(index=False)


@pytest.fixture(scope="module")
def trained(file):
    frame = read_table(io.StringIO(file), target=["sum", "growth"], task="regression")
    with pytest.warns(DataWarning, match="target column 'growth' is read as numbers"):
        return train_table(frame, ["sum", "growth"], members=2)


def test_targets_of_a_table_are_no_features(trained):
    report = trained.report_
    assert [column["name"] for column in trained.columns_] == ["x", "z", "city"]
    assert report["target"] == trained.target_name_ == ["sum", "growth"]
    assert report["task"] == "regression" and report["why"].startswith("for each target a pack")
    assert [part["target"] for part in report["targets"]] == ["sum", "growth"]
    for name in ("test", "baseline"):
        scores = [part[name]["r2"] for part in report["targets"]]
        assert report[name] == {"r2": np.mean(scores)}
    assert report["test"]["r2"] > 0.5 > report["baseline"]["r2"]
    assert report["networks"] == sum(part["networks"] for part in report["targets"])
    assert report["epochs"] == trained.n_iter_ == sum(p["epochs"] for p in report["targets"])


def test_a_trained_model_reads_and_measures_its_targets(trained, file):
    assert trained.target_format_[0] == "" != trained.target_format_[1]
    frame = read_for(trained, io.StringIO(file))
    measured = evaluate(trained, frame)
    assert [part["target"] for part in measured["targets"]] == ["sum", "growth"]
    assert measured["r2"] == trained.score(frame, frame[["sum", "growth"]])
    renamed = frame.rename(columns={"sum": "s", "growth": "g"})
    assert evaluate(trained, renamed, ["s", "g"])["r2"] == measured["r2"]
    with pytest.raises(DataError, match="there is no target column 'sum'"):
        evaluate(trained, renamed)
    with pytest.raises(DataError, match="the model has 2 targets, and 1 are named"):
        evaluate(trained, frame, "sum")


def test_a_table_without_names_has_targets_by_their_numbers(file):
    rows = "".join(file.splitlines(keepends=True)[1:])
    frame = read_table(io.StringIO(rows), header=False, target=["1", "5"], task="regression")
    with pytest.warns(DataWarning):
        model = train_table(frame, ["5", "1"], members=2, test_size=0)
    assert "test" not in model.report_
    features = "".join(",".join(row.split(",")[1:4]) + "\n" for row in rows.splitlines())
    np.testing.assert_array_equal(
        model.predict(read_for(model, io.StringIO(features))),
        model.predict(read_for(model, io.StringIO(rows))),
    )


@pytest.mark.parametrize(
    ("given", "parameters", "message"),
    [
        (["sum", "sum"], {}, "target 'sum' is named more than once"),
        (["sum", "none"], {}, "there is no target column 'none'"),
        ([], {}, "the list of targets is empty"),
        (["sum", "growth", "x^2"], {}, "no column but the targets; features are needed"),
        (["sum", "growth"], {"task": "classification"}, "not by task='classification'"),
        (["sum", "growth"], {"loss": "quantile"}, "quantiles are predicted for one target"),
    ],
)
def test_targets_that_a_table_cannot_have(given, parameters, message):
    with pytest.raises(InputError, match=message):
        train_table(Y, given, **parameters)


def test_text_is_no_target_beside_another():
    frame = pd.concat([X, Y], axis=1)
    with pytest.raises(DataError, match=r"'city' has the text .*several targets are one"):
        train_table(frame, ["sum", "city"])


def test_a_missing_target_is_explained_by_the_file():
    rows = "".join(f"{i},{'NA' if i == 7 else i * i % 23},{i % 5}\n" for i in range(40))
    frame = read_table(io.StringIO("a,b,c\n" + rows), target=["b", "c"], task="regression")
    with pytest.raises(DataError, match=r"'b' is missing in 1 of 40 rows .*the text 'NA' in row 8"):
        train_table(frame, ["c", "b"])
    with pytest.raises(DataError, match="column 'c' is the target, which cannot be left out"):
        read_table(io.StringIO("a,b,c\n" + rows), target=["b", "c"], drop="c")
