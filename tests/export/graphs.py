"""Graphs of ONNX are run, and compared with the models that they were made of."""

import warnings

import numpy as np
import pandas as pd
import pytest

from fastmlp import to_onnx

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def run(graph, feed):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def feed_of(model, frame):
    feed = {}
    for column in model.columns_:
        values = frame[[column["name"]]]
        if column["kind"] == "numeric":
            feed[str(column["name"])] = values.to_numpy(float, na_value=np.nan)
        elif column["kind"] == "text":
            text = [[""] if pd.isna(value) else [str(value)] for [value] in values.to_numpy(object)]
            feed[str(column["name"])] = np.array(text, dtype=object)
    return feed


def check_equal(model, frame):
    """Compare the outputs of the graph with the predictions of the model."""
    feed = feed_of(model, frame)
    out = {name.removesuffix("_output"): value for name, value in run(to_onnx(model), feed).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of huge numbers, and of text that no row had
        label = model.predict(frame)
        expected = model.predict_proba(frame) if hasattr(model, "classes_") else None
    if expected is None:
        np.testing.assert_allclose(out["prediction"].ravel(), label, rtol=1e-4, atol=1e-5)
        return
    np.testing.assert_allclose(out["probabilities"], expected, atol=1e-5)
    is_clear = np.ptp(np.sort(expected, axis=1)[:, -2:], axis=1) > 1e-5
    np.testing.assert_array_equal(np.asarray(out["label"])[is_clear], label[is_clear])
    assert set(np.asarray(out["label"]).tolist()) <= set(model.classes_.tolist())
