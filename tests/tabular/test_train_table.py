"""From a table to a measured model: target, task, columns, metrics and the report."""

import warnings
from inspect import signature

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPRegressor, TabularClassifier, TabularPreprocessor, TabularRegressor
from fastmlp.estimators.parameters import invalid_parameter
from fastmlp.exceptions import DataError, DataWarning, InputError, TrainingWarning
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.metrics import baseline_metrics
from fastmlp.tabular.train import evaluate, read_for, train_table

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 30}


def kinds(model):
    return {column["name"]: column["kind"] for column in model.columns_}


def test_columns_are_sorted_out_and_said(people):
    model = train_table(people, **SMALL)
    assert kinds(model) == {
        "age": "numeric", "city": "text", "income": "numeric", "job": "text",
        "planet": "dropped", "nothing": "dropped", "name": "dropped", "member": "numeric",
            }  # fmt: skip
    dropped = model.report_["dropped_columns"]
    assert dropped["planet"] == "constant"
    assert dropped["nothing"] == "all values are missing"
    assert "identifier" in dropped["name"]
    # age, income with its indicator, member; three cities; two jobs and missing.
    assert model.report_["inputs"] == 4 + 3 + 3


def test_classification_of_a_mixed_table(people):
    model = train_table(people, "class", hidden_layer_sizes=(16,))
    assert is_classifier(model) and list(model.classes_) == ["old", "young"]
    assert model.report_["test"]["accuracy"] > 0.9 > model.report_["baseline"]["accuracy"]
    assert evaluate(model, people)["accuracy"] > 0.9
    probabilities = model.predict_proba(people)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(
        model.predict(people), model.classes_[probabilities.argmax(axis=1)]
    )


def test_regression_beats_the_mean_by_far(concrete_csv):
    frame = read_table(concrete_csv)
    model = train_table(frame, hidden_layer_sizes=(64,), max_iter=100)
    assert is_regressor(model) and model.target_name_ == "target"
    assert model.report_["test"]["r2"] > 0.75
    assert abs(model.report_["baseline"]["r2"]) < 0.1
    assert model.report_["rows"] == 1030 and model.report_["test_rows"] == 206
    scores = evaluate(model, frame)
    residual = frame["target"] - model.predict(frame)
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)))
    assert scores["mae"] == pytest.approx(np.mean(np.abs(residual)))


def test_target_may_stand_anywhere_and_columns_may_be_shuffled(people):
    model = train_table(people.dropna(subset="income"), "income", "regression", **SMALL)
    assert model.target_name_ == "income" and kinds(model)["class"] == "text"
    shuffled = people[people.columns[::-1]].assign(extra=1)
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(people))


def test_integer_labels_stay_integers():
    frame = pd.DataFrame({"x": np.arange(60) % 6, "label": np.arange(60) % 3 * 10})
    model = train_table(frame, **SMALL)
    assert model.predict(frame).dtype.kind == "i"
    assert set(model.predict(frame)) <= {0, 10, 20}


def test_new_data_with_unknown_levels_and_missing_values(people):
    model = train_table(people, **SMALL)
    new = people.head(4).assign(
        city=["Rome", "Paris", None, "Oslo"], income=None, age=[20, None, 30, 40]
    )
    assert len(model.predict(new)) == 4


def test_rare_levels_share_one_input():
    city = ["big", "other"] * 40 + [f"village {i}" for i in range(20)]
    frame = pd.DataFrame({"city": city, "y": np.linspace(0, 1, 100)})
    model = train_table(frame, **SMALL, test_size=0)
    assert model.report_["inputs"] == 3


def test_rare_and_unknown_levels_are_the_same_to_the_network(people):
    people["city"] = ["Rome", "Oslo"] * 55 + ["Lima", "Kiel", "Bern", "Pisa", "Graz"] * 2
    people.loc[110:, "city"] = [f"village {i}" for i in range(10)]
    model = train_table(people, **SMALL, test_size=0)
    rare, unknown, common = (
        model.predict_proba(people.head(3).assign(city=city))
        for city in ("village 1", "nowhere", "Rome")
    )
    np.testing.assert_array_equal(rare, unknown)
    assert not np.array_equal(rare, common)


def test_columns_of_no_use():
    n = 200
    frame = pd.DataFrame({
        "Unnamed: 0": range(n),
        "day": pd.date_range("2024-01-01", periods=n).astype(str),
        "time": pd.date_range("2024-01-01", periods=n),
        "month": [f"2024-0{i % 9 + 1}-01" for i in range(n)],
        "person": [f"p{i if i else 1}" for i in range(n)],
        "ticket": [f"t{i}" if i % 9 else None for i in range(n)],
        "count": range(n),
        "y": [i % 7 * 0.5 for i in range(n)],
    })  # fmt: skip
    with pytest.warns(DataWarning, match="^column 'count' counts the rows; leave it out unless"):
        model = train_table(frame, **SMALL)
    kept = {name: kind for name, kind in kinds(model).items() if kind != "dropped"}
    assert kept == {
        "day": "date",
        "time": "date",
        "month": "text",
        "count": "numeric",
    }
    dropped = model.report_["dropped_columns"]
    assert "identifier" in dropped["person"] and "identifier" in dropped["ticket"]
    assert "numbers of rows" in dropped["Unnamed: 0"]


def test_text_that_is_mostly_numbers_is_remarked():
    power = [str(i % 40) if i % 10 else "?" for i in range(100)]
    frame = pd.DataFrame({"power": power, "size": ["a", "b"] * 50, "y": np.arange(100) / 2})
    with pytest.warns(DataWarning, match="^column 'power' is taken as text, but most") as caught:
        columns = train_table(frame, **SMALL, test_size=0).columns_
    assert len(caught) == 1
    assert "'?' (10 rows)" in columns[0]["note"] and "na_values=['?']" in columns[0]["note"]
    assert columns[1]["note"] == ""


def test_names_that_are_integers():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(80, 4)))
    frame[1] = ["u", "v"] * 40
    for target in (0, 3):
        model = train_table(frame, target, **SMALL)
        assert model.report_["inputs"] == 3 and len(model.predict(frame)) == 80


def test_index_of_the_frame_does_not_matter(people):
    named = people.set_axis([f"row {i}" for i in range(len(people))])
    model = train_table(named, **SMALL)
    expected = train_table(people, **SMALL).predict(people)
    np.testing.assert_array_equal(model.predict(named), expected)
    with pytest.raises(DataError, match="has the text 'x' in row 2"):
        model.predict(named.assign(age=["1", "x"] * 60))


def test_truth_values_with_missing_ones(tmp_path, people):
    model = train_table(people, **SMALL)
    people.astype({"member": object}).assign(member=[True, None, False] * 40).to_csv(
        tmp_path / "new.csv", index=False
    )
    frame = read_for(model, tmp_path / "new.csv")
    assert frame["member"].dtype == "boolean" and len(model.predict(frame)) == 120
    assert kinds(train_table(frame, **SMALL))["member"] == "numeric"


def test_categories_of_integers_stay_integers():
    frame = pd.DataFrame({"x": np.arange(60.0) % 6, "label": pd.Categorical([3, 1, 2] * 20)})
    model = train_table(frame, **SMALL)
    assert is_classifier(model) and model.classes_.tolist() == [1, 2, 3]


def test_values_far_out_do_not_overflow(people):
    model = train_table(people, **SMALL)
    far, farther = (model.predict_proba(people.assign(age=age)) for age in (1e30, 1e300))
    np.testing.assert_array_equal(far, farther)


def test_report_says_how_training_ended(people):
    report = train_table(people, **SMALL).report_
    assert report["epochs"] == 30 and not report["converged"] and not report["interrupted"]
    report = train_table(
        people, hidden_layer_sizes=(8,), n_iter_no_change=2, learning_rate_init=0.1
    ).report_
    assert report["converged"] and report["epochs"] < 200


def test_classes_with_one_member():
    frame = pd.DataFrame({"x": np.arange(50.0), "y": ["a", "b"] * 24 + ["c", "d"]})
    model = train_table(frame, **SMALL)
    assert model.report_["test_rows"] == 10
    model = train_table(frame, **SMALL, test_size=0, early_stopping=True)
    assert "test" not in model.report_ and list(model.classes_) == ["a", "b", "c", "d"]


def test_same_seed_same_model(people):
    a, b = (train_table(people, **SMALL, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(a.predict_proba(people), b.predict_proba(people))


def test_baseline_is_that_of_the_training_part():
    metrics = baseline_metrics("classification", np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert metrics["log_loss"] == pytest.approx(-np.log([2 / 3, 1 / 3, 1 / 3]).mean())
    metrics = baseline_metrics("regression", np.array([1.0, 3.0]), np.array([2.0, 4.0]))
    assert metrics["rmse"] == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(**{"class": "same"}), "a single class, same"),
        (lambda f: f.assign(**{"class": [None, *f["class"][1:]]}), "missing in 1 of 120 rows"),
        (lambda f: f[["planet", "class"]], "no feature column is left"),
        (lambda f: f.assign(age=[*f["age"][1:], np.inf]), "infinite"),
        (lambda f: f.head(1), "single class|too few"),
        (lambda f: f.head(0), "no rows"),
        (lambda f: f.to_numpy(), "DataFrame is needed, not a ndarray"),
        (lambda f: pd.concat([f, f["age"]], axis=1), "'age' stands there more than once"),
        (lambda f: f[["age", "name"]], "'name' is text with 120 different values"),
        (lambda f: f.assign(y=2.5), "single value, 2.5"),
        (lambda f: f.assign(y=[np.inf, *[0.5, 2] * 59, 1]), "'y' is infinite in row 1"),
    ],
)
def test_tables_that_cannot_be_learned_from(people, change, message):
    with pytest.raises(DataError, match=message):
        train_table(change(people), **SMALL)


def test_wrong_columns_are_named(people):
    with pytest.raises(DataError, match="no target column 'colour'; the columns are 'age'"):
        train_table(people, "colour")
    with pytest.raises(DataError, match=r"has the text 'young' in row \d+; regression needs"):
        train_table(people, "class", "regression")
    model = train_table(people, **SMALL)
    with pytest.raises(DataError, match="missing columns: 'age', 'income'"):
        model.predict(people.drop(columns=["age", "income"]))
    with pytest.raises(DataError, match="column 'age' has the text 'forty' in row 3"):
        model.predict(people.assign(age=["1", "2", "forty", *["3"] * 117]))
    with pytest.raises(DataError, match="the class 'ancient', which the model does not know"):
        evaluate(model, people.assign(**{"class": "ancient"}))
    with pytest.raises(DataError, match="no target column"):
        evaluate(model, people.drop(columns="class"))
    regression = train_table(people, "age", "regression", **SMALL)
    assert not hasattr(regression, "predict_proba")


def test_further_options_reach_the_estimator(concrete_csv):
    frame = pd.read_csv(concrete_csv)
    options = {"dropout": 0.1, "loss": "huber", "clip_norm": 1.0}
    model = train_table(frame, activation=("gelu", "tanh"), max_iter=2, **options)
    params = model.estimator_.get_params()
    assert {name: params[name] for name in options} == options
    assert params["activation"] == ("gelu", "tanh")


def test_poisson_targets_are_scaled_and_not_shifted(concrete_csv):
    frame = pd.read_csv(concrete_csv)
    model = train_table(frame, loss="poisson", random_state=1)
    assert model.target_mean_ == 0 and (model.predict(frame) > 0).all()
    assert model.report_["test"]["r2"] > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": 1}, "no parameter 'drop' for regression; did you mean `dropout`"),
        ({"foo": 1}, "no parameter 'foo' for regression; TabularRegressor has others"),
        ({"verbose": True}, "no parameter 'verbose'"),
        ({"label_smoothing": 0.1}, "no parameter 'label_smoothing' for regression"),
        ({"class_weight": "balanced"}, "class weights are for classification"),
        (
            {"dropout": 2},
            "^dropout must be 'auto', a number of at least 0 and below 1 or a list, got 2$",
        ),
        ({"init": "foo"}, "^init must be 'glorot_normal', .* or 'sklearn', got 'foo'$"),
        ({"diagnose": 5}, "^diagnose must be True or False, got 5$"),
        ({"n_jobs": 0}, "at most -1 or an integer of at least 1, got 0|or None"),
        ({"activation": ("tanh",)}, "^activation has 1 entries"),
        ({"scoring": "neg_log_los", "early_stopping": True}, "is no score .* mean 'neg_log_loss'"),
        ({"solver": "sgd", "learning_rate_init": 1e30}, "non-finite"),
        ({"loss": "quantile", "quantiles": [0.9, 0.1]}, "in increasing order"),
    ],
)
def test_options_that_cannot_be(concrete_csv, options, message):
    with pytest.raises(InputError, match=message) as error:
        train_table(pd.read_csv(concrete_csv), **options)
    assert not isinstance(error.value, DataError)  # nothing is wrong with the table
    assert len(str(error.value)) < 400


def test_all_constraints_of_parameters_can_be_described():
    for cls in (TabularClassifier, TabularRegressor):
        for name in signature(cls).parameters:
            said = invalid_parameter(cls(**{name: 1j}))
            assert said.startswith(f"{name} must be ") and said.endswith(", got 1j")
        assert invalid_parameter(cls()) is None


def test_task_and_share_of_the_test_are_checked(people):
    with pytest.raises(ValueError, match="task must be auto, classification or regression, got 'c"):
        train_table(people, task="clustering")
    for share in (1, -0.1):
        with pytest.raises(ValueError, match="test_size must be at least 0 and less than 1"):
            train_table(people, test_size=share)
    with pytest.raises(DataError, match=r"too few to hold out test_size=0\.999; use"):
        train_table(people, "age", "regression", test_size=0.999)
    with pytest.raises(DataError, match=r"fractions.*; use task='regression'"):
        train_table(people.assign(y=np.arange(120) / 8), task="classification")
    with pytest.raises(DataError, match=r"needs numbers \(or use task='classification'\)"):
        train_table(people, "city", "regression")


def test_interruption_is_known_by_its_category(people):
    """Not by a word: any other warning may have it."""

    def interrupt(epoch):
        if epoch.epoch == 2:
            raise KeyboardInterrupt
        warnings.warn("not interrupted at all", TrainingWarning, stacklevel=1)

    with pytest.warns(TrainingWarning, match="not interrupted at all") as caught:
        report = train_table(people, **SMALL, callback=interrupt).report_
    assert report["interrupted"] and not report["converged"] and report["epochs"] == 2
    assert {warning.category for warning in caught} == {TrainingWarning}
    assert {warning.filename for warning in caught} == {__file__}

    def warn(epoch):
        warnings.warn("not interrupted at all", TrainingWarning, stacklevel=1)
        return epoch.epoch == 2

    with pytest.warns(TrainingWarning, match="not interrupted at all"):
        report = train_table(people, **SMALL, callback=warn).report_
    assert not report["interrupted"] and report["epochs"] == 2


def test_what_a_callback_fits_is_another_fit(people):
    """Its warnings are shown, and say nothing about the table's own fit."""

    def compare(epoch):
        MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit([[0.0], [1.0]], [0.0, 1.0])

    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(1\)"):
        report = train_table(people, **{**SMALL, "tol": 1e9}, callback=compare).report_
    assert report["converged"] and report["epochs"] > 1


def test_metrics_are_those_of_rows_that_were_held_out(people):
    model = train_table(people, **SMALL)
    whole = train_table(people, **SMALL, test_size=0)
    assert (whole.report_["train_rows"], whole.report_["test_rows"]) == (120, 0)
    assert "test" not in whole.report_ and "baseline" not in whole.report_
    assert (model.report_["train_rows"], model.report_["test_rows"]) == (96, 24)
    assert evaluate(model, people, "class") == evaluate(model, people)
    nameless = people.rename(columns={"class": "group"})
    assert evaluate(model, nameless, "group") == evaluate(model, people)


def test_frames_of_polars(people):
    frame = pl.DataFrame(
        {name: [None if pd.isna(value) else value for value in people[name]] for name in people}
    )
    model = train_table(frame, **SMALL)
    assert evaluate(model, frame) == evaluate(train_table(people, **SMALL), people)


def test_report_comes_in_the_order_of_a_fit(people):
    assert list(train_table(people, **SMALL).report_) == [
        "rows", "train_rows", "test_rows", "target", "task", "task_reason", "numeric_columns",
        "text_columns", "date_columns", "words_columns", "dropped_columns", "inputs",
        "layers", "epochs", "seconds", "loss",
        "validation_score", "why", "converged", "interrupted", "test", "baseline",
    ]  # fmt: skip


def test_a_note_of_the_user_on_a_frame_is_not_taken_for_ours(people):
    people.attrs["reading"] = "by hand"
    model = train_table(people, **SMALL)
    assert model.reading_ == {} and model.na_values_ == []
    assert "city" in TabularPreprocessor().fit(people).feature_names_in_


def test_measurements_without_a_name_are_no_numbers_of_rows():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"Unnamed: 0": rng.normal(size=40), "Unnamed: 1": rng.permutation(40)})
    fitted = TabularPreprocessor().fit(frame)
    assert [column["kind"] for column in fitted.columns_] == ["numeric", "dropped"]
    assert fitted.columns_[1]["reason"] == "numbers of rows, without a name"


def test_a_table_of_the_target_alone(tmp_path):
    with pytest.raises(DataError, match="no column but the target 'y'; features are needed"):
        train_table(pd.DataFrame({"y": range(9)}))
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    with pytest.raises(DataError, match="column 'y' is the target, which cannot be left out"):
        read_table(tmp_path / "t.csv", target="y", drop=["y"])
