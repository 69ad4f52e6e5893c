"""What X, y and weights may be, and how metadata and names travel."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from helpers import flat
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.metrics import get_scorer
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)
QUICK = {"max_iter": 3, "n_iter_no_change": 1, "tol": 1e9, "random_state": 0}


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def memory_mapped(array, folder):
    path = folder / "X.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize(
    "convert",
    [
        lambda x, _: x.tolist(),
        lambda x, _: pd.DataFrame(x),
        lambda x, _: pl.DataFrame(x, schema=list("abcd")),
        memory_mapped,
        lambda x, _: read_only(x),
        lambda x, _: np.asfortranarray(x),
        lambda x, _: x.astype(x.dtype.newbyteorder()),
        lambda x, _: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x, _: x.astype(np.longdouble),
    ],
    ids=["list", "pandas", "polars", "memmap", "read-only", "fortran", "byte-order", "strided",
         "long-double"],
)  # fmt: skip
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_array_likes(cls, convert, tmp_path):
    expected = cls(**QUICK).fit(X, Y)
    inputs = convert(X, tmp_path)
    model = cls(**QUICK).fit(inputs, Y)
    np.testing.assert_array_equal(flat(model), flat(expected))
    np.testing.assert_array_equal(model.predict(inputs), expected.predict(X))
    for m, rows in ((model, inputs), (expected, X)):
        m.partial_fit(rows, Y)
    np.testing.assert_array_equal(flat(model), flat(expected))


@pytest.mark.parametrize(
    "convert", [list, pd.Series, pl.Series, read_only, lambda y: y.astype(">i8")]
)
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_targets(cls, convert):
    expected = cls(**QUICK).fit(X, Y)
    np.testing.assert_array_equal(flat(cls(**QUICK).fit(X, convert(Y))), flat(expected))


@pytest.mark.parametrize("convert", [list, pd.Series, read_only])
def test_weights(convert):
    weight = np.linspace(1, 2, len(X))
    expected = MLPClassifier(**QUICK).fit(X, Y, weight)
    model = MLPClassifier(**QUICK).fit(X, Y, convert(weight))
    np.testing.assert_array_equal(flat(model), flat(expected))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, bool, np.float16])
def test_other_types_become_float64(dtype):
    inputs = X.astype(dtype)
    model = MLPClassifier(**QUICK).fit(inputs, Y)
    expected = MLPClassifier(**QUICK).fit(inputs.astype(float), Y)
    np.testing.assert_array_equal(flat(model), flat(expected))
    assert model.coefs_[0].dtype == np.float64


def test_names_of_features_are_kept_and_compared():
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = MLPRegressor(**QUICK).fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"a": "z"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


def test_output_of_transformers_may_be_frames():
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    columns = make_column_transformer((StandardScaler(), ["a", "b"]), remainder="passthrough")
    model = make_pipeline(columns, MLPClassifier(**QUICK)).set_output(transform="pandas")
    model.fit(frame, Y)
    assert model[-1].feature_names_in_[0] == "standardscaler__a"
    assert model.predict(frame).shape == (150,)


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_metadata_is_routed(cls):
    weight = np.linspace(1, 2, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        model = cls(**QUICK).set_fit_request(sample_weight=True)
        scorer = get_scorer("accuracy" if cls is MLPClassifier else "r2")
        result = cross_validate(
            make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model),
            X, Y, cv=[(np.arange(149), [149, 0])], params={"sample_weight": weight},
            return_estimator=True, scoring=scorer.set_score_request(sample_weight=False),
        )  # fmt: skip
    fitted = result["estimator"][0][-1]
    scaled = StandardScaler().fit_transform(X[:149])
    expected = clone(model).fit(scaled, Y[:149], weight[:149])
    np.testing.assert_array_equal(flat(fitted), flat(expected))
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_score_request(sample_weight=True).set_partial_fit_request(sample_weight=True)


def test_tags_tell_the_truth():
    classifier, regressor = (c().__sklearn_tags__() for c in (MLPClassifier, MLPRegressor))
    assert classifier.input_tags.sparse and regressor.input_tags.sparse
    assert classifier.classifier_tags.multi_label and regressor.target_tags.multi_output
    assert not classifier.input_tags.allow_nan and not regressor.input_tags.allow_nan


def test_html_shows_the_parameters():
    html = MLPClassifier(alpha=0.125).fit(X, Y, callback=lambda epoch: True)._repr_html_()
    assert "MLPClassifier" in html and "0.125" in html
