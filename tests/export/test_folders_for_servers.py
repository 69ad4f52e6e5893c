"""Folders for MLflow and for Triton: loaded by MLflow, and run by onnxruntime."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from crafted import ROWS
from graphs import feed_of
from packs import TABLE, fitted

from fastmlp import (
    InputError,
    MLPClassifier,
    ModelFileError,
    TabularClassifier,
    TabularRegressor,
    export_mlflow,
    export_triton,
    load_model,
)
from fastmlp.export import files, mlflow
from fastmlp.tabular.predictions import predictions

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {"hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 2, "diagnose": False}
ODD = ["it's", '"; x: [', "größe 日本 😀", "a: b # c", "\x7f", "line\nbreak"]
FRAME = pd.DataFrame(
    {
        **{name: np.random.RandomState(i).normal(size=60) for i, name in enumerate(ODD)},
        "whole": np.arange(60) % 7,
        "city": np.array(["Rome", "Oslo", "?"])[np.arange(60) % 3],
        "always": "the same",
    }
)


@pytest.fixture(scope="module")
def classifier():
    labels = pd.Series(np.array(["yes", "no"])[np.arange(60) % 2], name="it's")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TabularClassifier(**QUICK).fit(FRAME, labels)


def loaded_by_mlflow(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow itself
        pyfunc = pytest.importorskip("mlflow.pyfunc", reason="mlflow is not installed")
        return pyfunc.load_model(str(path))


def test_mlflow_loads_the_folder_and_predicts(classifier, tmp_path):
    export_mlflow(classifier, tmp_path / "m")
    model = loaded_by_mlflow(tmp_path / "m")
    columns = [column.name for column in model.metadata.signature.inputs.inputs]
    assert columns == [*ODD, "whole", "city"]
    rows = FRAME.copy()
    rows.loc[3, "city"] = None
    rows.loc[4, ODD[0]] = np.nan
    found = model.predict(rows[columns])
    pd.testing.assert_frame_equal(found, predictions(classifier, rows, proba=True))
    assert list(found) == model.metadata.signature.outputs.input_names()
    with pytest.raises(Exception, match="city"):
        model.predict(rows.drop(columns="city"))


def test_mlflow_predicts_numbers_and_by_networks(tmp_path):
    frame = TABLE[["city", "side"]].assign(size=ROWS[:, 0])
    targets = pd.DataFrame({"a": ROWS[:, 1], "b": ROWS[:, 2]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tables = TabularRegressor(**QUICK).fit(frame, targets)
    network = MLPClassifier(**QUICK).fit(ROWS, np.arange(60) % 3)
    export_mlflow(tables, tmp_path / "tables")
    export_mlflow(network, tmp_path / "network")
    found = loaded_by_mlflow(tmp_path / "tables").predict(frame)
    np.testing.assert_array_equal(found, tables.predict(frame))
    found = loaded_by_mlflow(tmp_path / "network").predict(ROWS)
    np.testing.assert_array_equal(found, network.predict(ROWS))


def test_the_loader_of_mlflow_and_the_signature(classifier, tmp_path):
    """As above, without MLflow."""
    export_mlflow(classifier, tmp_path / "m")
    names = {"MLmodel", "model.fastmlp", "requirements.txt", "python_env.yaml", "conda.yaml"}
    assert {path.name for path in (tmp_path / "m").iterdir()} == names
    model = mlflow._load_pyfunc(str(tmp_path / "m" / "model.fastmlp"))
    expected = predictions(classifier, FRAME, proba=True)
    pd.testing.assert_frame_equal(model.predict(FRAME), expected)
    text = (tmp_path / "m" / "MLmodel").read_text(encoding="ascii")
    assert "loader_module: fastmlp.export.mlflow\n" in text
    lines = dict(line.strip().split(": ", 1) for line in text.splitlines() if ": '" in line)
    inputs, outputs = (json.loads(lines[k][1:-1].replace("''", "'")) for k in ("inputs", "outputs"))
    kinds = {column["name"]: column["type"] for column in inputs}
    assert kinds == {**dict.fromkeys([*ODD, "whole"], "any"), "city": "string"}
    assert [column["type"] for column in outputs] == ["string", "float", "float"]
    assert [column["name"] for column in outputs] == list(expected)
    assert "fastmlp==" in (tmp_path / "m" / "requirements.txt").read_text()


# ---- Triton ------------------------------------------------------------------------------


def parsed(path):
    """The configuration, read by the parser of protobuf with the fields that Triton has."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    types = ["INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32",
             "INT64", "FP16", "FP32", "FP64", "STRING"]  # fmt: skip
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="t", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(types):
        kinds.value.add(name=f"TYPE_{name}", number=number)
    repeated, optional = 3, 1
    for message, fields in {
        "Reshape": [("shape", 1, 3, repeated, "")],
        "Tensor": [("name", 1, 9, optional, ""), ("data_type", 2, 14, optional, ".t.DataType"),
                   ("dims", 3, 3, repeated, ""), ("reshape", 4, 11, optional, ".t.Reshape")],
        "Batching": [],
        "Config": [("platform", 2, 9, optional, ""), ("max_batch_size", 4, 5, optional, ""),
                   ("input", 5, 11, repeated, ".t.Tensor"),
                   ("output", 6, 11, repeated, ".t.Tensor"),
                   ("dynamic_batching", 11, 11, optional, ".t.Batching")],
    }.items():  # fmt: skip
        described = file.message_type.add(name=message)
        for name, number, kind, label, of in fields:
            field = described.field.add(name=name, number=number, type=kind, label=label)
            if of:
                field.type_name = of
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Config"))()
    text_format.Parse(path.read_text(encoding="ascii"), config)
    return config, types


def described(tensors, types):
    """Names, types and shapes as Triton joins them with a dimension for the batch."""
    found = {}
    for tensor in tensors:
        dims = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
        found[tensor.name] = types[tensor.data_type], list(dims)
    return found


@pytest.mark.parametrize("name", ["labels", "two", "numbers", "odd names"])
def test_the_configuration_agrees_with_the_graph(name, classifier, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model, frame = (classifier, FRAME) if name == "odd names" else (fitted(name), TABLE)
    export_triton(model, tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").rglob("*")) == [
        "1", "config.pbtxt", "model.onnx",
    ]  # fmt: skip
    config, types = parsed(tmp_path / "m" / "config.pbtxt")
    assert config.platform == "onnxruntime_onnx" and config.max_batch_size > 1
    assert config.HasField("dynamic_batching")
    session = runtime.InferenceSession(tmp_path / "m" / "1" / "model.onnx")
    of_triton = {
        "tensor(double)": "FP64", "tensor(float)": "FP32", "tensor(string)": "STRING",
        "tensor(int64)": "INT64", "tensor(bool)": "BOOL",
    }  # fmt: skip
    for tensors, values in (
        (config.input, session.get_inputs()),
        (config.output, session.get_outputs()),
    ):
        expected = {v.name: (of_triton[v.type], v.shape[1:]) for v in values}
        assert described(tensors, types) == expected
        assert all(len(tensor.dims) for tensor in tensors)
    outputs = dict(
        zip((o.name for o in config.output), session.run(None, feed_of(model, frame)), strict=True)
    )
    if name == "numbers":
        expected = model.predict(frame)
        np.testing.assert_allclose(outputs["prediction"].ravel(), expected, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(frame), atol=1e-5)


# ---- folders -----------------------------------------------------------------------------


def test_folders_appear_whole_or_not_at_all(classifier, tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for path, message in (
        (full, "this folder is not empty"),
        (tmp_path / "file", "is no folder"),
        (tmp_path / "none" / "m", "there is no folder"),
        ("a\0b", "zero byte"),
    ):
        for export in (export_mlflow, export_triton):
            with pytest.raises(InputError, match=message):
                export(classifier, path)
    (tmp_path / "empty").mkdir()
    export_mlflow(classifier, tmp_path / "empty")
    assert load_model(tmp_path / "empty" / "model.fastmlp").classes_.tolist() == ["no", "yes"]

    def fail(*args):
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(mlflow, "save_model", fail)
    with pytest.raises(OSError, match=r"No space left on device.*new"):
        export_mlflow(classifier, tmp_path / "new")
    with pytest.raises(InputError, match="takes the models of fastmlp"):
        export_mlflow(FRAME, tmp_path / "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_pipelines_are_no_model_files(tmp_path):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**QUICK)).fit(ROWS, ROWS[:, 0] > 0)
    with pytest.raises(ModelFileError, match="Pipeline"):
        export_mlflow(pipeline, tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(files.fcntl is None, reason="there are no locks of files")
def test_what_killed_writers_left_is_removed(tmp_path):
    left = tmp_path / f".fastmlp-{files._this_machine()}-0123456789abcdef.part"
    left.mkdir()
    (left / "model").write_text("a part")
    with (
        files.folder_written_aside(tmp_path / "one") as one,
        files.folder_written_aside(tmp_path / "two") as two,
    ):
        assert not left.exists() and one.exists() and two.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
