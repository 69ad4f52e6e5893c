"""Model files made with intent: each known trick is refused in one line, and nothing is run."""

import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from crafted import Crafted, node, npy, object_node, plain, type_node
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from fastmlp import (
    MLPClassifier,
    MLPRegressor,
    ModelFileError,
    TabularPreprocessor,
    TabularRegressor,
    load_model,
    save_model,
    train_table,
)
from fastmlp.export.model_file import read_manifest
from fastmlp.schedules import Plateau

ROWS = np.random.RandomState(0).normal(size=(60, 4))
LABELS = np.array(["no", "yes", "maybe"])[np.arange(60) % 3]
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(60) % 7 == 0, np.nan, ROWS[:, 0]),
        "weight": ROWS[:, 1],
        "colour": np.array(["red", "green", None])[np.arange(60) % 3],
        "kind": LABELS,
    }
)
QUICK = {"random_state": 0, "max_iter": 3, "diagnose": False}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def table_file(folder):
    save_model(train_table(FRAME, hidden_layer_sizes=(4,), **QUICK), folder / "table")
    return folder / "table"


@pytest.fixture(scope="module")
def network_file(folder):
    model = MLPClassifier((4,), lr_schedule=Plateau(), early_stopping=True, **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_model(model.fit(ROWS, LABELS), folder / "network")
    return folder / "network"


@pytest.fixture
def table(table_file):
    return Crafted(table_file)


@pytest.fixture
def network(network_file):
    return Crafted(network_file)


def refused(path, match="."):
    """The message of the refusal: one line, without any warning before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelFileError, match=match) as caught:
            load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 700
    return message


def test_what_is_written_again_without_a_change_is_loaded(table, network, tmp_path):
    for crafted in (table, network):
        model = load_model(crafted.write(tmp_path / "model"))
        assert model.predict(FRAME if crafted is table else ROWS).shape == (60,)


# ---- types -------------------------------------------------------------------------------

RUN = plain(["touch", "run"])
TRICKS = {
    "a function": node("os", "system", "FunctionNode"),
    "a ufunc": node("numpy", "add", "FunctionNode"),
    "a type": type_node("subprocess", "Popen"),
    "a constructor": node("subprocess", "Popen", "ConstructorFromReduceNode", content=RUN),
    "a method": node(
        "builtins", "str", "MethodNode", content={"func": "format", "obj": plain("{0.x}")}
    ),
    "an operator": node("operator", "methodcaller", "OperatorFuncNode", attrs=RUN),
    "a partial": node(
        "functools",
        "partial",
        "PartialNode",
        content=dict.fromkeys(("func", "args", "kwds", "namespace"), plain({})),
    ),
    "a reference": node("fastmlp", "MLPClassifier", "CachedNode"),
    "a slice": node(
        "builtins", "slice", "SliceNode", content=dict.fromkeys(("start", "stop", "step"))
    ),
    "a set": node("builtins", "set", "SetNode", content=[]),
    "bytes": node("builtins", "bytes", "BytesNode", file="fastmlp.json"),
    "a bytearray": node("builtins", "bytearray", "BytearrayNode", file="fastmlp.json"),
    "a default": node(
        "collections", "defaultdict", "DefaultDictNode",
        content={"main": plain({}), "default_factory": type_node("subprocess", "Popen")},
    ),
    "a generator": node("numpy.random._generator", "Generator", "RandomGeneratorNode", content={}),
    "a mask": node("numpy.ma", "MaskedArray", "MaskedArrayNode", content={}),
    "a sparse matrix": node("scipy.sparse", "csr_matrix", "SparseMatrixNode", file="0.npz"),
    "a tree": node("sklearn.tree._tree", "Tree", "TreeNode"),
    "a loss": node("sklearn._loss._loss", "CyHuberLoss", "LossNode"),
    "a forest": node("quantile_forest", "QuantileForest", "QuantileForestNode"),
    "a vectorizer": object_node(
        "sklearn.feature_extraction.text", "CountVectorizer", input=plain("filename")
    ),
    "an svc": object_node("sklearn.svm._classes", "SVC"),
    "a dummy": object_node("sklearn.dummy", "DummyClassifier"),
    "a pipeline": object_node("sklearn.pipeline", "Pipeline", steps=plain([])),
    "another class of this package": object_node("fastmlp", "DataError"),
    "a module of this package": object_node("fastmlp.schedules", "Schedule"),
    "another loader": node("fastmlp", "MLPClassifier", "ConstructorFromReduceNode", content=RUN),
    "a subclass of list": node("numpy", "ndarray", "ListNode", content=[]),
    "a matrix": node("numpy", "matrix", "NdArrayNode", type="numpy", file="7.npy"),
    "an object called as a method": object_node("builtins", "object"),
    "no class": {"__module__": "builtins", "__loader__": "ListNode", "content": []},
    "no node": 7,
    "an unknown loader": node("builtins", "str", "FutureNode"),
    "a class that is no text": {**plain(1), "__class__": ["str"]},
}  # fmt: skip
PLACES = [
    ("alpha",), ("estimator_",), ("preprocessor_",), ("report_", "test"), ("columns_", 0),
    ("preprocessor_", "encoder_", "categories_", 0), ("estimator_", "coefs_", 1), ("predict",),
    ("estimator_", "_optimizer", "schedule"), ("estimator_", "_random_state"), ("callbacks",),
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_only_the_types_of_models_are_read(table, tmp_path, monkeypatch, trick):
    monkeypatch.chdir(tmp_path)
    for place in PLACES:
        crafted = table.copy()
        crafted.put(TRICKS[trick], *place)
        refused(crafted.write(tmp_path / "evil"))
    if isinstance(TRICKS[trick], dict):
        table.schema = {**TRICKS[trick], "protocol": 2, "_skops_version": "0.16.0"}
        refused(table.write(tmp_path / "evil"))
    assert [path.name for path in tmp_path.iterdir()] == ["evil"]


@pytest.mark.parametrize("protocol", [0, 1, 3, -1, True, 2.0, "2", None, 10**30, [2]])
def test_only_one_protocol_is_known(table, tmp_path, protocol):
    table.schema["protocol"] = protocol
    refused(table.write(tmp_path / "evil"), "protocol")


def test_objects_stand_in_their_places_alone(table, tmp_path):
    """Types of the list that stand where another belongs."""
    net, encoder = table.node("estimator_"), table.node("preprocessor_", "encoder_")
    scaler, frame = table.node("preprocessor_", "scaler_"), table.node("preprocessor_")
    swaps = [
        (net, "preprocessor_"), (frame, "estimator_"), (encoder, "preprocessor_", "scaler_"),
        (scaler, "preprocessor_", "imputer_"), (net, "preprocessor_", "encoder_"),
        (net, "alpha"), (scaler, "lr_schedule"), (net, "report_"), (scaler, "columns_", 0),
        (encoder, "estimator_", "_label_binarizer"), (net, "estimator_", "_optimizer"),
        (table.schema, "estimator_"), (net, "target_name_"), (net, "new_"),
        (plain(None), "estimator_"), (plain([]), "preprocessor_"),
    ]  # fmt: skip
    for what, *names in swaps:
        crafted = table.copy()
        crafted.put(what, *names)
        refused(crafted.write(tmp_path / "evil"))


@pytest.mark.parametrize(
    "name",
    [
        "predict", "predict_proba", "fit", "_inputs", "_outputs", "transform", "__class__",
        "__dict__", "__reduce__", "__setstate__", "__getstate__", "__sklearn_tags__",
        "_validate_params", "_parameter_constraints", "_get_tags", "_skl_callbacks",
        "_callback_fit_ctx", "_metadata_request", "_sklearn_auto_wrap_output_keys", "_open_engine",
        "_more_tags", "score", "set_output", "get_params", "_", "x y", "", "classes_",
        "_repr_html_",
    ],
)  # fmt: skip
@pytest.mark.parametrize("owner", [(), ("estimator_",), ("preprocessor_",)], ids=str)
def test_attributes_hide_no_methods(table, tmp_path, owner, name):
    if owner and name == "classes_":  # a name that hides nothing there
        return
    for value in (plain(1), plain({"transform": "default"}), plain([])):
        crafted = table.copy()
        crafted.put(value, *owner, name)
        message = refused(crafted.write(tmp_path / "evil"), "is no attribute of a")
        assert f"{'.'.join(owner)}.{name}".strip(".") in message


def test_new_attributes_of_tables_are_plain(table, tmp_path):
    """A later version may note more about a table."""
    table.put(plain({"x": [1, "a", None, 0.5, True]}), "notes_")
    table.put(plain("1,000"), "columns_", 0, "number_format")
    table.put(plain("1,000"), "preprocessor_", "columns_", 0, "number_format")
    table.put(plain("x"), "report_", "delimiter")
    model = load_model(table.write(tmp_path / "later"))
    assert model.notes_ == {"x": [1, "a", None, 0.5, True]}
    assert model.columns_[0]["number_format"] == "1,000" and model.report_["delimiter"] == "x"
    save_model(model, tmp_path / "again")


# ---- values ------------------------------------------------------------------------------

N = np.nan
WRONG_VALUES = {
    "alpha": -1, "activation": "sin", "hidden_layer_sizes": "x", "n_jobs": 0, "device": "tpu",
    "solver": None, "lr_schedule": "x", "random_state": -1, "loss": "hinge", "n_features_in_": 4,
    "n_iter_": -1, "target_name_": [1], "columns_": [], "report_": {}, "na_values_": "x",
    "classes": 1, "target_format_": [1], "decimal_": 1,
    ("columns_", 0, "number_format"): 1, ("columns_", 0, "rare_share"): "x",
    ("estimator_", "n_outputs_"): 2, ("estimator_", "n_layers_"): 4,
    ("estimator_", "n_features_in_"): 5, ("estimator_", "out_activation_"): "logistic",
    ("estimator_", "coefs_"): [], ("estimator_", "intercepts_"): [[0.0]],
    ("estimator_", "activation"): ["relu", "relu"], ("estimator_", "alpha"): "x",
    ("estimator_", "loss_curve_"): ["x"], ("estimator_", "history_"): [],
    ("estimator_", "_optimizer", "constants", "optimizer"): 7,
    ("estimator_", "_optimizer", "constants", "momentum"): N,
    ("estimator_", "_optimizer", "constants", "layer_units"): 7,
    ("estimator_", "_optimizer", "step"): -1,
    ("estimator_", "_optimizer", "first"): None,
    ("estimator_", "_optimizer", "schedule", "horizon"): 0,
    ("estimator_", "_optimizer", "schedule", "learning_rate"): N,
    ("estimator_", "_optimizer", "schedule", "schedule"): "constant",
    ("estimator_", "_random_state", "bit_generator"): "seed",
    ("estimator_", "_random_state", "state", "pos"): 625,
    ("estimator_", "_random_state", "has_gauss"): 2,
    ("estimator_", "_label_binarizer", "y_type_"): "multilabel-indicator",
    ("estimator_", "_label_binarizer", "neg_label"): -1,
    ("estimator_", "_label_binarizer", "sparse_output"): True,
    ("preprocessor_", "levels_"): [], ("preprocessor_", "levels_", 0): ["green", "green"],
    ("preprocessor_", "encoder_"): None, ("preprocessor_", "imputer_"): None,
    ("preprocessor_", "_sklearn_output_config"): {"transform": "pandas"},
    ("preprocessor_", "columns_", 0, "kind"): "text",
    ("preprocessor_", "columns_", 0, "name"): "weight",
    ("preprocessor_", "columns_", 0, "reason"): 1,
    ("preprocessor_", "imputer_", "strategy"): "constant",
    ("preprocessor_", "imputer_", "missing_values"): 0,
    ("preprocessor_", "imputer_", "add_indicator"): False,
    ("preprocessor_", "imputer_", "n_features_in_"): 3,
    ("preprocessor_", "imputer_", "indicator_"): None,
    ("preprocessor_", "imputer_", "indicator_", "features"): "all",
    ("preprocessor_", "scaler_", "with_mean"): False,
    ("preprocessor_", "scaler_", "n_samples_seen_"): "x",
    ("preprocessor_", "encoder_", "handle_unknown"): "error",
    ("preprocessor_", "encoder_", "sparse_output"): True,
    ("preprocessor_", "encoder_", "_n_features_outs"): [1],
    ("preprocessor_", "encoder_", "drop_idx_"): 0,
    ("preprocessor_", "encoder_", "_sklearn_output_config"): {"transform": "pandas"},
    ("report_", "layers"): [1, 2, 3], ("report_", "task"): "regression",
    ("report_", "seconds"): "x", ("report_", "test"): {"accuracy": "x"},
    ("report_", "dropped_columns"): ["x"], ("report_", "numeric_columns"): None,
}  # fmt: skip


@pytest.mark.parametrize("names", WRONG_VALUES, ids=str)
def test_values_that_do_not_fit_are_refused(table, tmp_path, names):
    value = WRONG_VALUES[names]
    names = names if isinstance(names, tuple) else (names,)
    table.put(plain(value), *names)
    refused(table.write(tmp_path / "evil"))


WRONG_ARRAYS = {
    ("estimator_", "coefs_", 0): [
        np.ones((6, 5), np.float32), np.ones((2, 4), np.float32), np.ones(24, np.float32),
        np.ones((6, 4), np.float16), np.ones((6, 4)), np.ones((6, 4), int), np.ones((0, 4), "f4"),
        np.ones((6, 4), ">f4"), np.ones((6, 4), complex), np.ones((6, 4, 1), "f4"),
        np.zeros((6, 4), "f4,f4"), np.full((6, 4), "x"), np.float32(1), np.zeros((6, 4), bool),
        np.zeros((6, 4), "S1"), np.zeros((6, 4), "V4"), np.zeros((6, 4), np.longdouble),
        np.zeros((6, 4), "m8[s]"),
    ],
    ("estimator_", "intercepts_", 0): [np.ones(5, "f4"), np.ones((4, 1), "f4"), np.ones(4)],
    ("estimator_", "classes_"): [np.array(["a"]), np.array(["no", "maybe", "yes"])],
    ("estimator_", "_optimizer", "first"): [np.ones(3, "f4"), np.ones((1, 43), "f4")],
    ("estimator_", "_random_state", "state", "key"): [np.ones(3, np.uint32), np.ones(624)],
    ("preprocessor_", "imputer_", "statistics_"): [np.ones(3), np.array([N, 1]), np.ones(2, int)],
    ("preprocessor_", "imputer_", "indicator_", "features_"): [
        np.array([2]), np.array([-1]), np.array([0, 0]), np.array([1, 0]), np.array([0.0]),
        np.array([0, 1]), np.array([10**12]),
    ],
    ("preprocessor_", "imputer_", "_fit_dtype", "file"): [np.ones(0, "f4"), np.ones(0, "O")],
    ("preprocessor_", "scaler_", "mean_"): [np.ones(2), np.ones(4), np.ones((3, 1))],
    ("preprocessor_", "scaler_", "scale_"): [np.ones(2), np.ones(3, int)],
    ("preprocessor_", "encoder_", "categories_", 0): [
        np.array([0.0, 1, 9]), np.array([2.0, 1, 0]), np.array([0.0, 1]), np.array([0.0, 0.5, 1]),
        np.array([N, 1, 2]), np.zeros(0), np.arange(3),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("names", "value"),
    [(names, value) for names, values in WRONG_ARRAYS.items() for value in values],
    ids=lambda part: getattr(part, "dtype", None) and f"{part.dtype}{part.shape}",
)
def test_arrays_that_do_not_fit_are_refused(table, tmp_path, names, value):
    if names[-1] == "file":
        member = table.node(*names[:-1])["content"]["file"]
    else:
        member = table.node(*names)["file"]
    if value.dtype == object:
        file = io.BytesIO()
        np.save(file, value, allow_pickle=True)
        table.members[member] = file.getvalue()
    else:
        table.members[member] = npy(value)
    refused(table.write(tmp_path / "evil"))


def test_weights_may_have_any_value(table, tmp_path):
    """A diverged network is its owner's own; there is no number that does harm."""
    for value in (N, np.inf, -0.0, 3e38):
        table.change_array(np.full((6, 4), value, np.float32), "estimator_", "coefs_", 0)
        model = load_model(table.write(tmp_path / "odd"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert model.predict(FRAME).shape == (60,)


def test_fortran_order_is_read_as_it_is(network, tmp_path):
    expected = load_model(network.write(tmp_path / "model")).predict_proba(ROWS)
    [member] = {network.node("coefs_", 0)["file"]}
    w = np.load(io.BytesIO(network.members[member]))
    network.members[member] = npy(np.asfortranarray(w))
    found = load_model(network.write(tmp_path / "model"))
    np.testing.assert_array_equal(found.predict_proba(ROWS), expected)


# ---- members -----------------------------------------------------------------------------


def header(shape, descr="<f4", order="False"):
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


LYING = {
    "more than there is": header((6, 4)) + bytes(95),
    "less than there is": header((6, 4)) + bytes(97),
    "an overflow": header((2**33, 2**33)) + bytes(96),
    "an overflow to zero": header((2**62, 4)),
    "negative sizes": header((-6, -4)) + bytes(96),
    "a truth value as size": header("(True, 24)") + bytes(96),
    "a size that is a float": header("(6.0, 4)") + bytes(96),
    "many sizes": header((1,) * 70) + bytes(4),
    "nothing but a header": header((6, 4)),
    "nothing": b"",
    "no array": b"PK\x03\x04" + bytes(200),
    "a pickle": b"\x80\x04\x8c\x05posix\x94.",
    "objects": header((1,), "|O") + b"\x80\x04cposix\nsystem\n(S'touch run'\ntR.",
    "numbers of Python 2": header("(6L, 4L)") + bytes(96),
    "an expression": header("(3 * 2, 4)") + bytes(96),
    "a header without an end": header((6, 4))[:40],
    "a header of no size": b"\x93NUMPY\x01\x00",
    "no expression": header("__import__('os').system('touch run')") + bytes(96),
    "a long header": header("(" * 5000 + ")" * 5000) + bytes(96),
    "an unknown version": b"\x93NUMPY\x09\x00" + header((6, 4))[8:] + bytes(96),
    "text without characters": header((2**40,), "<U0"),
    "text that is no Unicode": header((3,), "<U1") + b"\xff" * 12,
    "text in halves": header((3,), "<U1") + struct.pack("<III", 0xD800, 65, 66),
    "odd truth values": header((3,), "|b1") + b"\x00\x01\x02",
}


@pytest.mark.parametrize("name", LYING)
@pytest.mark.parametrize("names", [("estimator_", "coefs_", 0), ("estimator_", "classes_")])
def test_arrays_that_lie_about_themselves(table, tmp_path, monkeypatch, names, name):
    monkeypatch.chdir(tmp_path)
    table.members[table.node(*names)["file"]] = LYING[name]
    refused(table.write(tmp_path / "evil"))
    assert not Path("run").exists()


@pytest.mark.parametrize(
    "name",
    ["../../x.npy", "/etc/x", "a/", "x.npy", "1.npz", "1.bin", "1.pkl", "SCHEMA.JSON", "1.npy ",
     "\u0661.npy", "1.npy\x00.py", "schema.json/x", "1.npy", "__init__.py"],
)  # fmt: skip
def test_members_that_belong_to_no_model(table, tmp_path, name):
    path = table.write(tmp_path / "evil")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, npy(np.ones(3)))
    refused(path)


def test_members_that_are_missing(table, tmp_path):
    for name in [*table.members, "schema.json"]:
        path = table.write(tmp_path / "whole")
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "evil", "w") as archive:
            for other in whole.namelist():
                if other != name:
                    archive.writestr(other, whole.read(other))
        refused(tmp_path / "evil")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["schema.json", "fastmlp.json", None])
def test_members_that_are_there_twice(table, tmp_path, name):
    path = table.write(tmp_path / "evil")
    with zipfile.ZipFile(path, "a") as archive:
        name = name or table.node("estimator_", "coefs_", 0)["file"]
        archive.writestr(name, archive.read(name))
    refused(path)


def test_what_surrounds_the_archive(table, tmp_path):
    path = table.write(tmp_path / "evil")
    whole = path.read_bytes()
    for content in (b"#!/bin/sh\n" + whole, whole + b"\0", whole + whole, whole[:-1]):
        path.write_bytes(content)
        refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"hello"
    refused(path)
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    refused(path)


@pytest.mark.parametrize(("at", "value"), [(6, 1), (6, 0x40), (8, 12), (8, 14), (8, 99), (8, 9)])
def test_encrypted_members_and_other_compressions(table, tmp_path, at, value):
    path = table.write(tmp_path / "evil")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("schema.json").header_offset
        start = archive.start_dir
    struct.pack_into("<H", content, offset + at, value)
    central = content.index(b"schema.json", start) - 46
    struct.pack_into("<H", content, central + at + 2, value)
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("field", [16, 20, 24, 42])  # the checksum, two sizes, the offset
@pytest.mark.parametrize("value", [0, 1, 100, 2**31, 2**32 - 1])
def test_a_directory_that_lies(table, tmp_path, field, value):
    path = table.write(tmp_path / "evil")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    name = table.node("estimator_", "coefs_", 0)["file"].encode()
    struct.pack_into("<I", content, content.index(name, start) - 46 + field, value)
    path.write_bytes(content)
    refused(path)


# ---- JSON --------------------------------------------------------------------------------


def written(table, path, schema=None, manifest=None):
    """Write a file with other text in the place of its schema or manifest."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(table.schema) if schema is None else schema
        archive.writestr("schema.json", text)
        for name, content in table.members.items():
            archive.writestr(name, manifest if manifest and name == "fastmlp.json" else content)
    return path


def test_schemas_that_are_no_json(table, tmp_path):
    text = json.dumps(table.schema)
    twice = text.replace('{"__class__"', '{"protocol": 2, "__class__"', 1)
    twice = twice if twice.count('"protocol"') == 2 else '{"protocol": 2, ' + text[1:]
    for schema in (
        "[1]", "7", "null", "", "{}", text[:-1], text + "}", twice, text.encode("utf-16"),
        b"\xff\xfe", b"\xef\xbb\xbf" + text.encode(), "[" * 200_000 + "]" * 200_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000, "1" * 50_000,
        text.replace('"protocol": 2', '"protocol": NaN'), '{"__loader__": Infinity}',
    ):  # fmt: skip
        refused(written(table, tmp_path / "evil", schema))


def test_deep_nesting(table, tmp_path):
    deep = plain(1)
    for _ in range(200):
        deep = {**plain([]), "content": [deep]}
    table.put(deep, "notes_")
    refused(table.write(tmp_path / "evil"), "nested too deeply")


@pytest.mark.parametrize(
    "content",
    ["[1]", '{"a": 1}', "x", "", "1" * 5000, str(2**65), str(-(2**65)), '"\\ud800"', 7, None, ["1"],
     "[" * 100_000],
)  # fmt: skip
def test_values_are_single_values(table, tmp_path, content):
    for names in (("alpha",), ("notes_",), ("columns_", 0, "name")):
        crafted = table.copy()
        crafted.put({**plain(1), "content": content}, *names)
        refused(crafted.write(tmp_path / "evil"))


def test_keys_of_dicts(table, tmp_path):
    odd = plain({"a": 1})
    for kind in (type_node("subprocess", "Popen"), type_node("builtins", "eval"), plain("str"), 7,
                 type_node("builtins", "int"), type_node("builtins", "bool"),
                 type_node("numpy", "int64"), node("os", "system", "FunctionNode")):  # fmt: skip
        odd["key_types"]["content"] = [kind]
        table.put(odd, "notes_")
        refused(table.write(tmp_path / "evil"))
    two = plain({1: "a", 2: "b"})
    two["content"] = {"1": plain("a"), "01": plain("b")}
    table.put(two, "notes_")
    refused(table.write(tmp_path / "evil"), "has a key twice")
    two["key_types"]["content"].pop()
    refused(table.write(tmp_path / "evil"), "other keys than it says")


def test_one_identity_for_several_objects_makes_no_difference(table, tmp_path):
    """Nothing is looked up by identities, so that they can lead nowhere."""
    expected = load_model(table.write(tmp_path / "model")).predict_proba(FRAME)
    todo = [table.schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if "__id__" in part:
                part["__id__"] = 1
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    model = load_model(table.write(tmp_path / "model"))
    np.testing.assert_array_equal(model.predict_proba(FRAME), expected)
    table.schema["__id__"] = [1]
    refused(table.write(tmp_path / "evil"), "identity")


@pytest.mark.parametrize(
    "change",
    [{"format": 1.0}, {"format": True}, {"format": "1"}, {"fastmlp": 1}, {"fastmlp": ""},
     {"fastmlp": "0.1.0\x1b]0;x\x07"}, {"created": "x" * 101}, {"created": "2026\n"},
     {"scikit-learn": "1.9\u202e"}, {"scikit-learn": None}, {"holds": ["MLPClassifier"]},
     {"created": "\x9b2J"}],
    ids=str,
)  # fmt: skip
def test_words_of_the_manifest_can_be_shown(table, tmp_path, change):
    manifest = json.dumps({**json.loads(table.members["fastmlp.json"]), **change})
    path = written(table, tmp_path / "evil", manifest=manifest)
    refused(path, "not a model written by fastmlp")
    with pytest.raises(ModelFileError, match="not a model written by fastmlp"):
        read_manifest(path)


def test_the_manifest_holds_what_the_file_holds(table, tmp_path):
    manifest = {**json.loads(table.members["fastmlp.json"]), "holds": "MLPClassifier"}
    refused(written(table, tmp_path / "evil", manifest=json.dumps(manifest)), "another model")


def test_models_that_have_not_been_fitted(table, tmp_path):
    table.remove("estimator_")
    refused(table.write(tmp_path / "evil"))


# ---- sizes -------------------------------------------------------------------------------

BOMB, SMALL = 160, 100  # MiB


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="needs limits of memory")
@pytest.mark.parametrize("kind", ["array", "manifest", "schema", "dense schema"])
def test_bombs_take_no_memory(table, tmp_path, kind):
    zeros = bytes(2**20)
    path = tmp_path / "bomb"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in table.members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                if kind == "manifest" and name == "fastmlp.json":
                    for _ in range(BOMB):
                        member.write(zeros.replace(b"\0", b" "))
                if kind == "array" and name == table.node("estimator_", "coefs_", 0)["file"]:
                    content = header((BOMB * 2**18,))
                member.write(content)
                if kind == "array" and b"descr" in content[:20] and len(content) == 128:
                    for _ in range(BOMB if str(BOMB * 2**18).encode() in content else 0):
                        member.write(zeros)
        with archive.open("schema.json", "w", force_zip64=True) as member:
            if kind == "schema":
                for _ in range(BOMB):
                    member.write(zeros.replace(b"\0", b" "))
            if kind == "dense schema":
                member.write(b"[" + b"[]," * (8 * 2**20) + b"0]")
            else:
                member.write(json.dumps(table.schema).encode())
    assert path.stat().st_size < 2**20
    code = (
        "import resource, sys, fastmlp\n"
        "from fastmlp.export.model_file import read_manifest\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for read in (fastmlp.load_model, read_manifest):\n"
        "    try:\n"
        "        read(sys.argv[1])\n"
        "    except fastmlp.ModelFileError as error:\n"
        "        print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    first, *_, grown = run.stdout.splitlines()
    assert str(path) in first and int(grown) < SMALL * 1024, run.stderr


def test_models_that_compress_well_are_written_and_loaded(tmp_path, monkeypatch):
    """Weights of zeros are written in a way that does not look like an attack."""
    monkeypatch.setattr("fastmlp.export.archive._ALWAYS_ALLOWED", 2**17)
    model = MLPRegressor(hidden_layer_sizes=(4,), **QUICK).fit(ROWS, ROWS[:, 0])
    wide = 100_000
    model.coefs_ = [np.zeros((4, wide), np.float32), np.zeros((wide, 1), np.float32)]
    model.intercepts_ = [np.zeros(wide, np.float32), np.zeros(1, np.float32)]
    del model._optimizer
    save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model").coefs_[0].shape == (4, wide)


# ---- saving ------------------------------------------------------------------------------


def changed(model, **attributes):
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"alpha": -1}, "alpha must be"),
        ({"coefs_": (1, 2)}, "`coefs_`"),
        ({"n_outputs_": 5}, "`n_outputs_`"),
        ({"predict": 1}, "`predict` is no attribute"),
        ({"scoring": len}, "`scoring` holds objects of type builtins.len"),
        ({"class_weight": {(1, 2): 1}}, "`class_weight` cannot be written"),
        ({"lr_schedule": type("Mine", (Plateau,), {})()}, "`lr_schedule` holds objects of type"),
        ({"out_activation_": "sin"}, "`out_activation_` is unknown"),
        ({"_metadata_request": object()}, "_metadata_request"),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, dict) else "",
)
def test_what_cannot_be_loaded_is_not_saved(network_file, tmp_path, attributes, message):
    model = changed(load_model(network_file), **attributes)
    with pytest.raises(ModelFileError, match=message):
        save_model(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_inner_parts_are_named(table_file, tmp_path):
    model = load_model(table_file)
    model.estimator_.coefs_[0] = model.estimator_.coefs_[0].astype(np.float64)
    with pytest.raises(ModelFileError, match=r"`estimator_\.coefs_` has arrays of several types"):
        save_model(model, tmp_path / "model")
    model = load_model(table_file)
    model.preprocessor_.scaler_ = len
    with pytest.raises(ModelFileError, match=r"`preprocessor_\.scaler_` holds objects"):
        save_model(model, tmp_path / "model")


def test_keys_and_labels_keep_their_types(tmp_path):
    for labels in (np.arange(60) % 2 == 0, np.arange(60) % 3 - 1, (np.arange(60) % 3) * 0.5 * 2,
                   np.array(["2020-01-01", "2021-01-01"], "M8[D]")[np.arange(60) % 2],
                   LABELS.astype(object)):  # fmt: skip
        weight = {label: 1.0 + i for i, label in enumerate(np.unique(labels))}
        weight = None if labels.dtype.kind == "M" else weight
        model = MLPClassifier((3,), class_weight=weight, **QUICK)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(ROWS, labels)
        save_model(model, tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert loaded.class_weight == weight and loaded.classes_.dtype == model.classes_.dtype
        if weight:
            assert [type(key) for key in loaded.class_weight] == [type(key) for key in weight]
        np.testing.assert_array_equal(loaded.predict(ROWS), model.predict(ROWS))


# ---- by chance ---------------------------------------------------------------------------


def predictions(model):
    if isinstance(model, TabularPreprocessor):
        return model.transform(FRAME)
    return model.predict(FRAME if hasattr(model, "preprocessor_") else ROWS)


def mutated_bytes(content, chance):
    content = bytearray(content)
    at, kind = (
        chance.randrange(len(content)),
        chance.choice(["flip", "cut", "double", "zeros", "swap"]),
    )
    if kind == "flip":
        content[at] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[at : at + chance.choice([1, 100, 10**9])]
    elif kind == "double":
        content[at:at] = content[max(0, at - 100) : at]
    elif kind == "zeros":
        content[at : at + 50] = bytes(len(content[at : at + 50]))
    else:
        other = chance.randrange(len(content))
        content[at : at + 20], content[other : other + 20] = (
            content[other : other + 20],
            content[at : at + 20],
        )
    return bytes(content)


VALUES = [
    "null", "true", "0", "1", "-1", "3", "7", "1e308", "NaN", "-Infinity", '"relu"', '"x"', '""',
    "2147483648", "18446744073709551615", '"pandas"', "0.5", '"softmax"', '"multiclass"',
]  # fmt: skip


def parts_of(schema):
    found, todo = [], [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            found += [(part, key) for key in part]
            todo += part.values()
        elif isinstance(part, list):
            found += [(part, i) for i in range(len(part))]
            todo += part
    return found


def mutated_schema(crafted, chance):
    crafted = crafted.copy()
    parts = parts_of(crafted.schema)
    for _ in range(chance.choice([1, 1, 2])):
        (part, key), (other, of_other) = chance.choice(parts), chance.choice(parts)
        kind = chance.choice(["remove", "value", "value", "copy", "rename"])
        if kind == "remove":
            part.pop(key) if key in part or (isinstance(part, list) and key < len(part)) else None
        elif kind == "value":
            leaves = [(p, k) for p, k in parts if isinstance(p, dict) and k == "content"
                      and isinstance(p.get(k), str)]  # fmt: skip
            part, key = chance.choice(leaves)
            part[key] = chance.choice(VALUES)
        elif kind == "copy":
            try:
                part[key] = json.loads(json.dumps(other[of_other]))
            except (KeyError, IndexError, ValueError, RecursionError):
                continue
        elif isinstance(part, dict) and key in part and isinstance(part[key], str):
            part[key] = chance.choice(["ObjectNode", "ListNode", "builtins", "list", "float32"])
    return crafted


@pytest.mark.parametrize("seed", range(4))
def test_files_changed_by_chance_are_refused_or_predict(table_file, network_file, folder, seed):
    chance = random.Random(seed)
    path, n_loaded = folder / f"changed{seed}", 0
    for step in range(100):
        source = chance.choice([table_file, network_file])
        if step % 2:
            path.write_bytes(mutated_bytes(source.read_bytes(), chance))
        else:
            mutated_schema(Crafted(source), chance).write(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = load_model(path)
            except ModelFileError:
                continue
            n_loaded += 1
            try:
                assert len(predictions(model)) == 60
            except ValueError as error:  # such as a device that is not there
                assert str(error)
    assert n_loaded < 80


def test_estimators_of_scikit_learn_inside_a_model_are_neither_written_nor_read(
    table_file, tmp_path
):
    """A vectorizer reads files, and a machine with a wrong count of classes ends the process."""
    words = ColumnTransformer([("w", CountVectorizer(input="filename"), 0)])
    machine = SVC().fit(ROWS, LABELS)
    for name, part in {
        "estimator_": machine,
        "preprocessor_": Pipeline([("c", words)]),
        "new_": DummyClassifier(),
    }.items():
        model = load_model(table_file)
        setattr(model, name, part)
        with pytest.raises(ModelFileError, match=rf"`{name}` holds .* not loaded for safety"):
            save_model(model, tmp_path / "model")
        skops.io.dump(model, tmp_path / "evil")
        with zipfile.ZipFile(table_file) as good, zipfile.ZipFile(tmp_path / "evil", "a") as evil:
            evil.writestr("fastmlp.json", good.read("fastmlp.json"))
        refused(tmp_path / "evil", rf"`{name}` holds .* not loaded for safety")
    assert not (tmp_path / "model").exists()


def test_other_files_that_are_no_models(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        refused(path, "no ordinary file")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(f"{tmp_path}/x\0")
    regressor = TabularRegressor((3,), **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regressor.fit(FRAME, ROWS[:, 0])
    save_model(regressor, tmp_path / "model")
    assert load_model(tmp_path / "model").predict(FRAME).shape == (60,)
