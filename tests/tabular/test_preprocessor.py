"""The preprocessor of tables by itself."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import TabularPreprocessor
from fastmlp.exceptions import DataError
from fastmlp.tabular.encoders.scaling import squash


@parametrize_with_checks(
    [
        TabularPreprocessor(),
        TabularPreprocessor(n_bins=4, linear=True),
        TabularPreprocessor(n_bins=4, bin_edges="both", target_means=True, scaling="standard"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def features(people):
    return people.drop(columns="class")


def test_squash_is_the_identity_near_zero_and_bounded():
    x = np.array([-1e9, -0.01, 0, 0.01, 1e9])
    np.testing.assert_allclose(squash(x), [-3, -0.01, 0, 0.01, 3], rtol=1e-5)


def in_polars(frame):
    return pl.DataFrame(
        {name: [None if pd.isna(value) else value for value in frame[name]] for name in frame}
    )


def test_numbers_and_names(features):
    prepared = TabularPreprocessor().fit(features)
    inputs = prepared.transform(features)
    assert inputs.dtype == np.float32 and inputs.shape == (120, 10)
    assert list(prepared.get_feature_names_out()) == [
        "age", "income", "member", "missing_income", "city_Lima", "city_Oslo", "city_Rome",
        "job_clerk", "job_cook", "job_(missing)",
    ]  # fmt: skip
    columns = dict(zip(prepared.get_feature_names_out(), inputs.T, strict=True))
    first, third = features["age"].quantile([0.25, 0.75])
    age = (features["age"] - features["age"].median()) / (third - first)
    np.testing.assert_allclose(columns["age"], squash(age), rtol=1e-6)
    first, median, third = features["income"].quantile([0.25, 0.5, 0.75])
    income = (features["income"].fillna(median) - median) / (third - first)
    np.testing.assert_allclose(columns["income"], squash(income), rtol=1e-5, atol=1e-6)
    member = np.where(features["member"].to_numpy(), 1.0, -1.0)
    np.testing.assert_array_equal(columns["member"], member)
    np.testing.assert_array_equal(columns["city_Oslo"] > 0, features["city"] == "Oslo")
    np.testing.assert_array_equal(columns["missing_income"] > 0, features["income"].isna())
    assert set(columns["job_cook"]) == {0, 1}
    np.testing.assert_array_equal(inputs, TabularPreprocessor().fit_transform(features))


def test_numbers_can_be_standardised(features):
    prepared = TabularPreprocessor(scaling="standard").fit(features)
    columns = dict(
        zip(prepared.get_feature_names_out(), prepared.transform(features).T, strict=True)
    )
    age = (features["age"] - features["age"].mean()) / features["age"].std(ddof=0)
    np.testing.assert_allclose(columns["age"], squash(age), rtol=1e-6)


def test_rare_levels_have_a_name(features):
    features["city"] = ["Rome", "Oslo"] * 55 + [f"village {i}" for i in range(10)]
    names = TabularPreprocessor().fit(features[["city"]]).get_feature_names_out()
    assert list(names) == ["city_Oslo", "city_Rome", "city_(other)"]


def test_columns_are_described(features):
    columns = TabularPreprocessor().fit(features).columns_
    assert [column["name"] for column in columns] == list(features)
    assert [column["kind"] for column in columns] == [
        "numeric", "text", "numeric", "text", "dropped", "dropped", "dropped", "numeric",
    ]  # fmt: skip
    assert columns[4]["reason"] == "constant" and columns[0]["reason"] == ""


def test_polars_and_arrays(features):
    prepared = TabularPreprocessor().fit(features)
    expected = prepared.transform(features)
    frame = in_polars(features)
    np.testing.assert_array_equal(prepared.transform(frame), expected)
    other = TabularPreprocessor().fit(frame)
    assert list(other.feature_names_in_) == list(features) and other.columns_ == prepared.columns_
    np.testing.assert_array_equal(other.transform(frame), expected)
    for rows in (features.to_numpy(dtype=object), features.to_numpy(dtype=object).tolist()):
        other = TabularPreprocessor().fit(rows)
        np.testing.assert_array_equal(other.transform(rows), expected)
        assert other.n_features_in_ == 8 and not hasattr(other, "feature_names_in_")
        assert other.get_feature_names_out()[0] == "x0"
        assert other.get_feature_names_out(list(features))[0] == "age"
    # An array has its columns in the order of the frame of training.
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        inputs = prepared.transform(features.to_numpy(dtype=object))
    np.testing.assert_array_equal(inputs, expected)
    with pytest.raises(ValueError, match="has 3 features, but TabularPreprocessor is expecting 8"):
        other.transform(np.zeros((4, 3)))


def test_truth_values_and_dates_of_polars():
    frame = pl.DataFrame({"member": [True, None, False] * 10, "size": [1, None, 3] * 10,
                          "day": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 30),
                                               eager=True)})  # fmt: skip
    kinds = [column["kind"] for column in TabularPreprocessor().fit(frame).columns_]
    assert kinds == ["numeric", "numeric", "date"]


def test_in_a_pipeline_and_a_search(people, features):
    pipeline = make_pipeline(TabularPreprocessor(), LogisticRegression())
    assert cross_val_score(pipeline, features, people["class"], cv=3).min() > 0.9
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 10]}, cv=3)
    assert search.fit(features, people["class"]).score(features, people["class"]) > 0.9


def test_output_as_a_frame(features):
    prepared = TabularPreprocessor().fit(features)
    expected = prepared.transform(features)
    frame = clone(prepared).set_output(transform="pandas").fit_transform(features.set_index("name"))
    assert list(frame) == list(prepared.get_feature_names_out()) and frame.index[2] == "person 2"
    np.testing.assert_array_equal(frame.to_numpy(), expected)
    with sklearn.config_context(transform_output="polars"):
        assert TabularPreprocessor().fit(features).transform(features).columns == list(frame)


def test_a_failed_fit_changes_nothing(features):
    prepared = TabularPreprocessor().fit(features)
    before = dict(vars(prepared))
    with pytest.raises(DataError, match="infinite"):
        prepared.fit(features[["age"]].assign(size=np.inf, weight=[np.inf, *range(119)]))
    assert vars(prepared) == before
    fresh = TabularPreprocessor()
    with pytest.raises(DataError, match="no feature column is left"):
        fresh.fit(features[["planet", "nothing"]])
    assert vars(fresh) == vars(TabularPreprocessor())
    with pytest.raises(NotFittedError, match="not fitted yet"):
        fresh.transform(features)


def test_a_fit_forgets_the_one_before(features):
    prepared = TabularPreprocessor().fit(features).fit(features[["age"]].to_numpy())
    assert not hasattr(prepared, "feature_names_in_") and prepared.n_features_in_ == 1
    assert prepared.level_inputs_ == [] and prepared.levels_ == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"a": []}), "no rows"),
        (pd.DataFrame(index=range(3)), "no rows or no columns"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "'a' stands there more than once"),
        (pd.DataFrame({"a": [1, 2j]}), "column 'a' has complex numbers"),
        (pd.DataFrame({"a": [[1], [2]]}), "column 'a' holds a list, which is neither"),
        (pd.DataFrame({"a": [1]}), "has 1 sample"),
        (np.array([1.0, 2.0]), "Expected 2D array, got 1D array"),
        (np.array([[1.0], [np.inf]]), "contains infinity"),
        (pd.Series([1.0, 2.0]), "2-dimensional container"),
        (None, "Expected 2D array"),
    ],
)
def test_what_is_no_table(table, message):
    with pytest.raises(ValueError, match=message):
        TabularPreprocessor().fit(table)


def test_names_of_other_columns_are_refused(features):
    prepared = TabularPreprocessor().fit(features)
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        prepared.get_feature_names_out(list(features)[::-1])
    with pytest.raises(ValueError, match="should have length equal"):
        prepared.get_feature_names_out(["a"])
