"""Tables: reading, deciding the task, preparing columns, measuring."""

import gzip

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from fastmlp import TabularModel
from fastmlp.exceptions import DataError
from fastmlp.tabular.metrics import baseline_metrics
from fastmlp.tabular.model import squash
from fastmlp.tabular.tables import (
    decide_task,
    frequent_levels,
    level_codes,
    read_table,
)

SMALL = {"hidden": (8,), "max_epochs": 30}


def kinds(model):
    return {column["name"]: column["kind"] for column in model.columns_}


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 50, "classification"),
        ([True, False] * 50, "classification"),
        ([0, 1] * 50, "classification"),
        (list(range(10)) * 10, "classification"),
        (list(range(100)), "regression"),
        ([0.5, 1.5] * 50, "regression"),
        ([1.0, 2.0] * 50, "classification"),
        ([1, 2, 3, 4], "regression"),
    ],
)
def test_task_is_decided_by_the_target(values, task):
    decided, reason = decide_task(pd.Series(values))
    assert decided == task and reason


def test_columns_are_sorted_out_and_said(people):
    model = TabularModel(**SMALL).fit(people)
    assert kinds(model) == {
        "age": "numeric", "city": "text", "income": "numeric", "job": "text",
        "planet": "dropped", "nothing": "dropped", "name": "dropped", "member": "numeric",
        "class": "target",
    }  # fmt: skip
    dropped = model.report_["dropped_columns"]
    assert dropped["planet"] == "constant"
    assert dropped["nothing"] == "all values are missing"
    assert "identifier" in dropped["name"]
    # age, income with its indicator, member; three cities; two jobs and missing.
    assert model.report_["inputs"] == 4 + 3 + 3


def test_classification_of_a_mixed_table(people):
    model = TabularModel("class", hidden=(16,)).fit(people)
    assert model.task_ == "classification" and list(model.classes_) == ["old", "young"]
    assert model.report_["test"]["accuracy"] > 0.9 > model.report_["baseline"]["accuracy"]
    assert model.evaluate(people)["accuracy"] > 0.9
    probabilities = model.predict_proba(people)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(
        model.predict(people), model.classes_[probabilities.argmax(axis=1)]
    )


def test_regression_beats_the_mean_by_far(concrete_csv):
    frame = read_table(concrete_csv)
    model = TabularModel(hidden=(64,), max_epochs=100).fit(frame)
    assert model.task_ == "regression" and model.target_ == "target"
    assert model.report_["test"]["r2"] > 0.75
    assert abs(model.report_["baseline"]["r2"]) < 0.1
    assert model.report_["rows"] == 1030 and model.report_["test_rows"] == 206
    scores = model.evaluate(frame)
    residual = frame["target"] - model.predict(frame)
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)))
    assert scores["mae"] == pytest.approx(np.mean(np.abs(residual)))


def test_target_may_stand_anywhere_and_columns_may_be_shuffled(people):
    model = TabularModel("income", "regression", **SMALL).fit(people.dropna(subset="income"))
    assert model.target_ == "income" and kinds(model)["class"] == "text"
    shuffled = people[people.columns[::-1]].assign(extra=1)
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(people))


def test_integer_labels_stay_integers():
    frame = pd.DataFrame({"x": np.arange(60) % 6, "label": np.arange(60) % 3 * 10})
    model = TabularModel(**SMALL).fit(frame)
    assert model.predict(frame).dtype.kind == "i"
    assert set(model.predict(frame)) <= {0, 10, 20}


def test_new_data_with_unknown_levels_and_missing_values(people):
    model = TabularModel(**SMALL).fit(people)
    new = people.head(4).assign(
        city=["Rome", "Paris", None, "Oslo"], income=None, age=[20, None, 30, 40]
    )
    assert len(model.predict(new)) == 4


def test_rare_levels_share_one_input():
    city = ["big", "other"] * 40 + [f"village {i}" for i in range(20)]
    frame = pd.DataFrame({"city": city, "y": np.linspace(0, 1, 100)})
    model = TabularModel(**SMALL, test_size=0).fit(frame)
    assert model.report_["inputs"] == 3


def test_levels_and_their_codes():
    column = pd.Series(["b", "a", "a", None, "b", "c", "b", None, "d"])
    assert frequent_levels(column, fewest=2) == ["b", "(missing)", "a"]
    assert frequent_levels(column, fewest=1, most=3) == ["b", "(missing)"]
    assert frequent_levels(column, fewest=1, most=5) == ["b", "(missing)", "a", "c", "d"]
    codes = level_codes(pd.Series(["a", None, "new", "b"]), ["b", "(missing)", "a"])
    np.testing.assert_array_equal(codes, [2, 1, 3, 0])
    assert list(level_codes(pd.Series([None, None], dtype=object), ["b"])) == [1, 1]


def test_rare_and_unknown_levels_are_the_same_to_the_network(people):
    people["city"] = ["Rome", "Oslo"] * 55 + ["Lima", "Kiel", "Bern", "Pisa", "Graz"] * 2
    people.loc[110:, "city"] = [f"village {i}" for i in range(10)]
    model = TabularModel(**SMALL, test_size=0).fit(people)
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
    model = TabularModel(**SMALL).fit(frame)
    kept = {name: kind for name, kind in kinds(model).items() if kind != "dropped"}
    assert kept == {"month": "text", "count": "numeric", "y": "target"}
    dropped = model.report_["dropped_columns"]
    assert dropped["day"].startswith("dates") and dropped["time"].startswith("dates")
    assert "identifier" in dropped["person"] and "identifier" in dropped["ticket"]
    assert "numbers of rows" in dropped["Unnamed: 0"]


def test_text_that_is_mostly_numbers_is_remarked():
    power = [str(i % 40) if i % 10 else "?" for i in range(100)]
    frame = pd.DataFrame({"power": power, "size": ["a", "b"] * 50, "y": np.arange(100) / 2})
    columns = TabularModel(**SMALL, test_size=0).fit(frame).columns_
    assert "'?' (10 rows)" in columns[0]["note"] and "--na '?'" in columns[0]["note"]
    assert columns[1]["note"] == ""


def test_names_that_are_integers():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(80, 4)))
    frame[1] = ["u", "v"] * 40
    for target in (0, 3):
        model = TabularModel(target, **SMALL).fit(frame)
        assert model.report_["inputs"] == 4 and len(model.predict(frame)) == 80


def test_index_of_the_frame_does_not_matter(people):
    named = people.set_axis([f"row {i}" for i in range(len(people))])
    model = TabularModel(**SMALL).fit(named)
    expected = TabularModel(**SMALL).fit(people).predict(people)
    np.testing.assert_array_equal(model.predict(named), expected)
    with pytest.raises(DataError, match="has the text 'x' in row 2"):
        model.predict(named.assign(age=["1", "x"] * 60))


def test_truth_values_with_missing_ones(tmp_path, people):
    model = TabularModel(**SMALL).fit(people)
    people.astype({"member": object}).assign(member=[True, None, False] * 40).to_csv(
        tmp_path / "new.csv", index=False
    )
    frame = model.read(tmp_path / "new.csv")
    assert frame["member"].dtype == "boolean" and len(model.predict(frame)) == 120
    assert kinds(TabularModel(**SMALL).fit(frame))["member"] == "numeric"


def test_categories_of_integers_stay_integers():
    frame = pd.DataFrame({"x": np.arange(60.0) % 6, "label": pd.Categorical([3, 1, 2] * 20)})
    model = TabularModel(**SMALL).fit(frame)
    assert model.task_ == "classification" and model.classes_.tolist() == [1, 2, 3]


def test_values_far_out_do_not_overflow(people):
    model = TabularModel(**SMALL).fit(people)
    far, farther = (model.predict_proba(people.assign(age=age)) for age in (1e30, 1e300))
    np.testing.assert_array_equal(far, farther)


def test_report_says_how_training_ended(people):
    report = TabularModel(**SMALL).fit(people).report_
    assert report["epochs"] == 30 and not report["converged"] and not report["interrupted"]
    report = TabularModel(hidden=(8,), patience=2, learning_rate=0.1).fit(people).report_
    assert report["converged"] and report["epochs"] < 200


def test_unfitted_models_say_so(people):
    for method in ("predict", "predict_proba", "evaluate"):
        with pytest.raises(NotFittedError, match="call fit first"):
            getattr(TabularModel(), method)(people)


def test_classes_with_one_member():
    frame = pd.DataFrame({"x": np.arange(50.0), "y": ["a", "b"] * 24 + ["c", "d"]})
    model = TabularModel(**SMALL).fit(frame)
    assert model.report_["test_rows"] == 10
    model = TabularModel(**SMALL, test_size=0, early_stopping=True).fit(frame)
    assert "test" not in model.report_ and list(model.classes_) == ["a", "b", "c", "d"]


def test_same_seed_same_model(people):
    a, b = (TabularModel(**SMALL, random_state=1).fit(people) for _ in range(2))
    np.testing.assert_array_equal(a.predict_proba(people), b.predict_proba(people))


def test_baseline_is_that_of_the_training_part():
    metrics = baseline_metrics("classification", np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert metrics["log_loss"] == pytest.approx(-np.log([2 / 3, 1 / 3, 1 / 3]).mean())
    metrics = baseline_metrics("regression", np.array([1.0, 3.0]), np.array([2.0, 4.0]))
    assert metrics["rmse"] == pytest.approx(np.sqrt(2))


def test_squash_is_the_identity_near_zero_and_bounded():
    x = np.array([-1e9, -0.01, 0, 0.01, 1e9])
    np.testing.assert_allclose(squash(x), [-3, -0.01, 0, 0.01, 3], rtol=1e-5)


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
        TabularModel(**SMALL).fit(change(people))


def test_wrong_columns_are_named(people):
    with pytest.raises(DataError, match="no target column 'colour'; the columns are age"):
        TabularModel("colour").fit(people)
    with pytest.raises(DataError, match=r"has the text 'young' in row \d+; regression needs"):
        TabularModel("class", "regression").fit(people)
    model = TabularModel(**SMALL).fit(people)
    with pytest.raises(DataError, match="missing columns: 'age', 'income'"):
        model.predict(people.drop(columns=["age", "income"]))
    with pytest.raises(DataError, match="column 'age' has the text 'forty' in row 3"):
        model.predict(people.assign(age=["1", "2", "forty", *["3"] * 117]))
    with pytest.raises(DataError, match="the class 'ancient', which the model does not know"):
        model.evaluate(people.assign(**{"class": "ancient"}))
    with pytest.raises(DataError, match="no target column"):
        model.evaluate(people.drop(columns="class"))
    regression = TabularModel("age", "regression", **SMALL).fit(people)
    with pytest.raises(DataError, match="no class probabilities"):
        regression.predict_proba(people)


# ---- reading files -----------------------------------------------------------------------


def write(tmp_path, content, name="data.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("a,b,c\n", "a header but no row"),
        ("a,b,a\n1,2,3\n", "line 1: column name 'a' stands there more than once"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 fields where the header has 2"),
        ("a,b,c\n1,2,3\n4,5\n", "line 3: 2 fields where the header has 3"),
        ("a,b\n1,2,3\n1,2,3\n", "line 2: 3 fields where the header has 2"),
        ("name,b\ncaf\xe9,2\n".encode("latin-1"), "not utf-8 text.*--encoding"),
        (b"a,b\n1,2,3\n\xff,2\n", "not utf-8 text|line 2: 3 fields"),
        (b"a,b\n1,2\n1,2,3\n\xff,2\n", "not utf-8 text|line 3: 3 fields"),
        (b"\x00\x01\x02\xff\xfe", "not utf-8 text|cannot be read|no row below it"),
        ("a,b\n1,2,3\n1,2\n", "line 2: 3 fields where the header has 2"),
        ('a,b\n1,"2\n3,4\n', "cannot be read as CSV"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as error:
        read_table(write(tmp_path, content))
    assert "data.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["data.csv.gz", "data.csv.bz2", "data.csv.xz", "data.csv.zip"])
def test_broken_archives(tmp_path, name):
    with pytest.raises(DataError, match="cannot be read"):
        read_table(write(tmp_path, "no archive", name))
    pd.DataFrame({"a": np.arange(5000) * 7919 % 5000, "b": 1.5}).to_csv(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    middle = len(whole) // 2
    for broken in (whole[:middle], whole[:middle] + bytes(200) + whole[middle + 200 :]):
        with pytest.raises(DataError, match="cannot be read"):
            read_table(write(tmp_path, broken, name))


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_short_rows_of_compressed_files(tmp_path, ending):
    path = tmp_path / f"data.csv{ending}"
    pd.Series(["1,2", "3"], name="a,b").to_csv(path, index=False, quoting=3, escapechar=None,
                                               sep=";")  # fmt: skip
    with pytest.raises(DataError, match="line 3: 1 field where the header has 2"):
        read_table(path)


def test_unknown_encoding_and_separator(tmp_path):
    path = write(tmp_path, "a,b\n1,2\n")
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        read_table(path, encoding="klingon")
    with pytest.raises(DataError, match="single character"):
        read_table(path, separator="::")


def test_blank_lines_marks_and_nameless_columns(tmp_path):
    frame = read_table(write(tmp_path, "\ufeff,a ,\n0,1,x\n\n   \n1,2,\n"))
    assert list(frame) == ["Unnamed: 0", "a", "Unnamed: 2"]
    assert frame["a"].tolist() == [1, 2] and frame["Unnamed: 2"].isna().tolist() == [False, True]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="folder"):
        read_table(tmp_path)


def test_reading_options(tmp_path):
    content = "name;x\ncaf\xe9;?\nbar;2\n".encode("latin-1")
    frame = read_table(write(tmp_path, content), separator=";", encoding="latin-1", na_values=["?"])
    assert list(frame["name"]) == ["café", "bar"] and np.isnan(frame["x"][0])
    packed = write(tmp_path, gzip.compress(b'a,b\n"1,5",\n2,x\n'), "data.csv.gz")
    frame = read_table(packed)
    assert list(frame["a"]) == ["1,5", "2"] and frame["b"].isna()[0]


def test_further_options_reach_the_estimator(concrete_csv):
    frame = pd.read_csv(concrete_csv)
    options = {"dropout": 0.1, "loss": "huber", "clip_norm": 1.0}
    model = TabularModel(activation=("gelu", "tanh"), max_epochs=2, options=options).fit(frame)
    params = model.estimator_.get_params()
    assert {name: params[name] for name in options} == options
    assert params["activation"] == ("gelu", "tanh")


def test_poisson_targets_are_scaled_and_not_shifted(concrete_csv):
    frame = pd.read_csv(concrete_csv)
    model = TabularModel(options={"loss": "poisson"}, random_state=1).fit(frame)
    assert model.target_mean_ == 0 and (model.predict(frame) > 0).all()
    assert model.report_["test"]["r2"] > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1}, "set 'alpha' by its own option"),
        ({"drop": 1}, "no option 'drop' for regression; the options are: .*dropout"),
        ({"verbose": True}, "no option 'verbose'"),
        ({"dropout": 2}, "training failed: The 'dropout' parameter"),
        ({"loss": "quantile", "quantiles": [0.1, 0.9]}, "a model for each"),
    ],
)
def test_options_that_cannot_be(concrete_csv, options, message):
    with pytest.raises(DataError, match=message):
        TabularModel(options=options).fit(pd.read_csv(concrete_csv))
