"""ONNX graphs of tables of all kinds, and of networks in pipelines, predict as the models do."""

import warnings

import numpy as np
import pandas as pd
import pytest
from graphs import check_equal, run
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from fastmlp import (
    InputError,
    MLPClassifier,
    MLPRegressor,
    ModelFileError,
    TabularClassifier,
    TabularRegressor,
    save_model,
    to_onnx,
    train_table,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {"hidden_layer_sizes": (3,), "random_state": 0, "max_iter": 2, "diagnose": False}
ROWS = np.random.RandomState(0).normal(size=(60, 3))


NAMES = ["size", "größe", "名前", "a/b", "a b", "a.b", "x:0", "label", "Concat_0", "😀", "'", "%s"]
SMALL = st.floats(-5, 5).map(lambda value: round(value, 2))
NUMBERS = st.one_of(SMALL, st.sampled_from([np.nan, 0.0, -0.0, 1e30, -1e300, 5e-324]))
TEXTS = st.sampled_from(["red", "green", "RED", "name with blanks", "名", "7", None])
COLUMNS = {
    "numeric": NUMBERS,
    "whole": st.integers(-3, 3),
    "text": TEXTS,
    "rare": st.integers(0, 10**6).map(lambda i: f"v{i}"),
    "truth": st.booleans(),
    "mixed": st.one_of(TEXTS, st.integers(0, 2).map(str)),
    "absent": st.just(None),
}
TARGETS = [
    np.arange(12) % 2 == 0,
    np.arange(12) % 3 - 1,
    np.array(["ja", "nein", "名"])[np.arange(12) % 3],
    np.arange(12) * 1.5,
]


@st.composite
def tables(draw):
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    names = draw(st.permutations(NAMES))
    rows = {
        name: draw(st.lists(COLUMNS[kind], min_size=12, max_size=12))
        for name, kind in zip(names, kinds, strict=False)
    }
    return pd.DataFrame(rows), draw(st.sampled_from(TARGETS))


@settings(max_examples=40, derandomize=True, deadline=None, database=None)
@given(tables())
def test_graphs_of_any_table_predict_as_the_model(table):
    frame, target = table
    estimator = TabularRegressor if target.dtype.kind == "f" else TabularClassifier
    model = estimator(**QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(frame, target)
        except InputError:  # such as a table of constants
            return
    check_equal(model, frame)
    unknown = frame.copy()
    for column in model.columns_:
        if column["kind"] == "text":
            unknown[column["name"]] = "seen nowhere"
        elif column["kind"] == "numeric":
            unknown[column["name"]] = [np.nan, 1e308, -1e308, *[0.5] * 9]
    check_equal(model, unknown)


@pytest.mark.parametrize("n_missing", [0, 1, 2])
def test_text_without_a_frequent_level(n_missing):
    """All its levels are rare, so that they form one group; missing text may be frequent."""
    city = [None] * n_missing + list("abcdefghij")[: 10 - n_missing]
    frame = pd.DataFrame({"city": city, "size": np.arange(10) % 7, "t": list("uv") * 5})
    model = train_table(frame, **QUICK, test_size=0)
    kinds = {column["name"]: column["kind"] for column in model.columns_}
    assert kinds["city"] == "text" and len(model.preprocessor_.levels_[0]) == (n_missing > 1)
    check_equal(model, frame)


def test_no_level_at_all():
    frame = pd.DataFrame({"city": ["a", "b", "c", "d", "e", "f"], "t": list("uvuvuv")})
    model = train_table(frame, **QUICK, test_size=0)
    assert model.preprocessor_.levels_ == [[]]
    check_equal(model, frame)


def test_empty_text_is_missing_unless_it_was_a_value_of_its_own():
    frame = pd.DataFrame({"city": ["", "b", None, "a"] * 5, "t": ["u", "v", "v", "u"] * 5})
    model = train_table(frame, **QUICK, test_size=0)
    rows = frame.assign(city="")
    check_equal(model, rows)
    frame["city"] = ["c", "b", None, "a"] * 5
    model = train_table(frame, **QUICK, test_size=0)
    check_equal(model, frame.assign(city=None))


@pytest.mark.parametrize("solver", ["lbfgs", "adam", "gd"])
@pytest.mark.parametrize("target", ["t", "size"])
def test_graphs_are_well_typed_whatever_the_solver(solver, target):
    """L-BFGS leaves weights in float64 to a model whose inputs are float32."""
    frame = pd.DataFrame(ROWS, columns=["size", "weight", "height"])
    frame["t"] = np.array(["u", "v"])[np.arange(60) % 2]
    check_equal(train_table(frame, target, solver=solver, **QUICK, test_size=0), frame)


def test_infinite_inputs_are_the_largest_ones():
    """The model refuses infinite rows; the graph, which cannot, takes them for very large."""
    frame = pd.DataFrame(ROWS, columns=["size", "weight", "height"])
    model = train_table(frame, **QUICK, test_size=0)
    feed = {"size": np.array([[np.inf], [1e300]]), "weight": np.array([[-np.inf], [-1e300]])}
    out = run(to_onnx(model), feed)["prediction"]
    assert np.isfinite(out).all() and out[0] == out[1]


@pytest.mark.parametrize("name", ["\ud800", "x\udfff"])
def test_names_and_levels_that_are_no_unicode(name):
    # As objects, since pandas keeps text of other types in Arrow's UTF-8.
    names = pd.Index([name, "text", "t"], dtype=object)
    level = pd.Series(["a", "a", "b", "b"] * 5, dtype=object)
    columns = [pd.Series(np.arange(20) % 5), level, pd.Series(["u", "v"] * 10)]
    odd_name = pd.concat(columns, axis=1).set_axis(names, axis=1)
    columns[1] = pd.Series([name, name, "b", "b"] * 5, dtype=object)
    odd_level = pd.concat(columns, axis=1).set_axis(["n", "text", "t"], axis=1)
    for table in (odd_name, odd_level):
        model = train_table(table, **QUICK, test_size=0)
        with pytest.raises(InputError, match="is not Unicode"):
            to_onnx(model)


def test_dates_as_classes():
    dates = np.array(["2020-01-01", "2021-01-01"], "M8[D]")[np.arange(60) % 2]
    with pytest.raises(InputError, match="ONNX has no dates"):
        to_onnx(MLPClassifier(**QUICK).fit(ROWS, dates))


# ---- pipelines and other estimators ------------------------------------------------------

LABELS = np.arange(60) % 3
SCALERS = [
    [StandardScaler()], [StandardScaler(with_mean=False)], [StandardScaler(with_std=False)],
    [MinMaxScaler()], [MinMaxScaler((-2, 3), clip=True)], [MaxAbsScaler()],
    [MaxAbsScaler(clip=True)], [RobustScaler()], [RobustScaler(with_centering=False)],
    [RobustScaler(with_scaling=False)], ["passthrough"],
    [StandardScaler(), "passthrough", MinMaxScaler()], [],
]  # fmt: skip


@pytest.mark.parametrize("steps", SCALERS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pipelines_of_scalers(steps, dtype):
    X = (ROWS * [1, 100, 0.01] + [0, 1000, 5]).astype(dtype)
    pipeline = make_pipeline(*steps, MLPClassifier(**QUICK)).fit(X, LABELS)
    beyond = X * dtype(3)
    out = run(to_onnx(pipeline), {"X": beyond})
    np.testing.assert_allclose(out["probabilities"], pipeline.predict_proba(beyond), atol=2e-5)
    assert out["probabilities"].dtype == dtype


def test_pipelines_of_regressions_and_tables():
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(**QUICK)).fit(ROWS, ROWS[:, 0])
    out = run(to_onnx(pipeline), {"X": ROWS})["prediction"]
    np.testing.assert_allclose(out.ravel(), pipeline.predict(ROWS), atol=1e-6)
    frame = pd.DataFrame(ROWS, columns=["size", "weight", "height"])
    table = make_pipeline(TabularClassifier(**QUICK)).fit(frame, LABELS)
    assert len(to_onnx(table).graph.input) == 3


def test_pipelines_that_are_not_fitted():
    with pytest.raises(NotFittedError):
        to_onnx(make_pipeline(StandardScaler(), MLPClassifier()))


def others():
    network = MLPClassifier(**QUICK)
    frame = pd.DataFrame(ROWS, columns=["size", "weight", "height"])
    grid = {"alpha": [0.1, 0.2]}
    return {
        "pca": (make_pipeline(PCA(2), network), r"PCA.*pipeline\[-1\]\.to_sklearn\(\).*skl2onnx"),
        "other end": (make_pipeline(StandardScaler(), LogisticRegression()), "no network"),
        "scaled table": (make_pipeline(StandardScaler(), TabularClassifier(**QUICK)), "itself"),
        "search": (GridSearchCV(network, grid, cv=2), "pass its best_estimator_"),
        "calibrated": (CalibratedClassifierCV(network, cv=2), r"to_sklearn\(\).*skl2onnx"),
        "bagging": (BaggingClassifier(network, n_estimators=2), r"to_sklearn\(\).*skl2onnx"),
        "one for each": (OneVsRestClassifier(network), r"to_sklearn\(\).*skl2onnx"),
        "another": (LogisticRegression(), "from_sklearn"),
        "frame": (frame, "DataFrame"),
        "class": (MLPClassifier, "the class fastmlp.MLPClassifier itself"),
        "path": ("model.fastmlp", "load_model"),
        "nothing": (None, "NoneType"),
    }


@pytest.mark.parametrize("name", others())
def test_other_objects_get_advice(name, tmp_path):
    model, message = others()[name]
    if hasattr(model, "fit") and not isinstance(model, type):
        model.fit(ROWS, LABELS)
    with pytest.raises(InputError, match=message) as caught:
        to_onnx(model)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelFileError, match="none of the models of fastmlp") as caught:
        save_model(model, tmp_path / "model")
    assert ("joblib" in str(caught.value)) == (
        hasattr(model, "fit") and not isinstance(model, type)
    )
    assert "\n" not in str(caught.value)
