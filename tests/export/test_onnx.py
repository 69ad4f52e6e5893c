"""ONNX graphs, run by onnxruntime."""

import builtins

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.preprocessing import LabelBinarizer

from fastmlp import (
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularPreprocessor,
    TabularRegressor,
    export_onnx,
    to_onnx,
)
from fastmlp.exceptions import InputError
from fastmlp.network.plan import Activation
from fastmlp.tabular.train import train_table

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

X, LABELS = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (9, 6), "tol": 0.1, "n_iter_no_change": 1, "random_state": 0}


def run(model, feed):
    session = ort.InferenceSession(to_onnx(model).SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def feed_of(model, frame):
    """The inputs of a table's graph."""
    feed = {}
    for column in model.columns_:
        name = column["name"]
        if column["kind"] == "numeric":
            feed[name] = frame[[name]].to_numpy(float, na_value=np.nan)
        elif column["kind"] == "text":
            feed[name] = frame[[name]].fillna("").astype(str).to_numpy(object)
    return feed


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "y",
    [LABELS, LABELS > 0, np.array(["a", "b", "c"])[LABELS], LABELS * 0 + 4,
     LabelBinarizer().fit_transform(LABELS)],
    ids=["integers", "truth", "text", "single", "multilabel"],
)  # fmt: skip
def test_classifier(y, dtype, activation):
    inputs = X.astype(dtype)
    model = MLPClassifier(activation=activation, **QUICK).fit(inputs, y)
    out = run(model, {"X": inputs})
    np.testing.assert_array_equal(out["label"], model.predict(inputs))
    np.testing.assert_allclose(out["probabilities"], model.predict_proba(inputs), atol=1e-5)
    assert out["probabilities"].dtype == dtype


@pytest.mark.parametrize(
    "activation",
    [
        *(activation.name.lower() for activation in Activation if activation.is_trainable),
        ["silu", "identity"],
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations(activation, dtype):
    inputs = X.astype(dtype)
    model = MLPClassifier(activation=activation, **QUICK).fit(inputs, LABELS)
    probabilities = run(model, {"X": inputs})["probabilities"]
    np.testing.assert_allclose(probabilities, model.predict_proba(inputs), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threshold_units(dtype):
    coefs = [np.ones((4, 2), dtype), np.array([[1], [-1]], dtype)]
    intercepts = [np.array([-0.5, -1.5], dtype), np.array([-0.5], dtype)]
    model = MLPClassifier.from_weights(coefs, intercepts, activation="step")
    inputs = np.random.RandomState(0).randint(0, 2, (30, 4)).astype(dtype)
    inputs[0] = [0.5, 0, 0, 0]  # a sum of exactly 0
    probabilities = run(model, {"X": inputs})["probabilities"]
    np.testing.assert_allclose(probabilities, model.predict_proba(inputs), atol=1e-6)


def test_several_quantiles_are_sorted():
    levels = (0.1, 0.2, 0.3, 0.4, 0.5)
    model = MLPRegressor("quantile", quantiles=levels, random_state=0, max_iter=1, tol=9)
    with pytest.warns(match="Maximum iterations"):
        model.fit(X, LABELS)
    out = run(model, {"X": X})["prediction"]
    # After one epoch the network's own outputs are in any order.
    assert (np.diff(model._outputs(X)) < 0).any() and (np.diff(out) >= 0).all()
    np.testing.assert_allclose(out, model.predict(X), atol=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("y", [LABELS, X[:, :2]], ids=["one", "two"])
def test_regressor(y, loss):
    model = MLPRegressor(loss, **QUICK).fit(X, y)
    out = run(model, {"X": X})
    expected = model.predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(out["prediction"], expected, atol=1e-5)


@pytest.mark.parametrize("target", ["class", "city", "member", "income"])
def test_table_with_missing_and_unknown_values(people, target):
    frame = people[people[target].notna()]
    model = train_table(frame, target, max_iter=5, test_size=0, random_state=0)
    rows = frame.copy()
    columns = set(rows.columns) - {target}
    if "city" in columns:
        rows.loc[rows.index[3], "city"] = "Atlantis"
    if "age" in columns:
        rows["age"] = rows["age"].astype(float)
        rows.loc[rows.index[:2], "age"] = [np.nan, 1e9]
    out = run(model, feed_of(model, rows))
    if target == "income":
        np.testing.assert_allclose(out["prediction"].ravel(), model.predict(rows), rtol=1e-5)
        return
    np.testing.assert_array_equal(out["label"], model.predict(rows))
    np.testing.assert_allclose(out["probabilities"], model.predict_proba(rows), atol=1e-5)


def test_numbers_alone(concrete_csv, tmp_path):
    frame = pd.read_csv(concrete_csv)
    model = train_table(frame, max_iter=5)
    export_onnx(model, tmp_path / "model.onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx")
    out = session.run(None, feed_of(model, frame))[0]
    np.testing.assert_allclose(out.ravel(), model.predict(frame), rtol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_column_names_that_the_graph_uses_itself(people):
    names = {"age": "label", "city": "probabilities", "income": "Concat_0", "job": "constant_0"}
    frame = people.rename(columns=names)
    model = train_table(frame, "class", max_iter=3, test_size=0)
    out = run(model, feed_of(model, frame))
    np.testing.assert_array_equal(out["label_output"], model.predict(frame))
    np.testing.assert_allclose(
        out["probabilities_output"], model.predict_proba(frame), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("names", [{"age": 1, "income": "1"}, {"age": ""}])
def test_column_names_that_cannot_be_inputs(people, names):
    model = train_table(people.rename(columns=names), "class", max_iter=1, test_size=0)
    with pytest.raises(InputError, match="is empty or occurs twice"):
        to_onnx(model)


def test_other_models_are_refused():
    with pytest.raises(InputError, match=r"got a sklearn.*Ridge; convert scikit-learn's networks"):
        to_onnx(Ridge())
    with pytest.raises(InputError, match="takes the models of fastmlp"):
        to_onnx(TabularPreprocessor())


def test_without_the_package_the_remedy_is_named(monkeypatch):
    real_import = builtins.__import__

    def no_onnx(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    model = MLPRegressor(**QUICK).fit(X, LABELS)
    monkeypatch.setattr(builtins, "__import__", no_onnx)
    with pytest.raises(InputError, match=r"pip install 'fastmlp\[onnx\]'"):
        to_onnx(model)


def test_what_is_not_fitted_is_refused():
    for model in (MLPRegressor(), TabularClassifier(), TabularRegressor()):
        with pytest.raises(ValueError, match="not fitted"):
            to_onnx(model)
