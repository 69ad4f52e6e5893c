"""Model files made with intent: each known trick is refused in one line, and nothing is run."""

import io
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from crafted import (
    FRAME,
    LABELS,
    QUICK,
    ROWS,
    Crafted,
    each_array,
    node,
    npy,
    object_node,
    plain,
    refused,
    type_node,
)
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from fastmlp import (
    MLPClassifier,
    ModelFileError,
    TabularPreprocessor,
    TabularRegressor,
    load_model,
    save_model,
)
from fastmlp.schedules import Plateau

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
    ("preprocessor_", "level_inputs_", 0), ("estimator_", "coefs_", 1), ("predict",),
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
    net, frame = table.node("estimator_"), table.node("preprocessor_")
    swaps = [
        (net, "preprocessor_"), (frame, "estimator_"), (frame, "preprocessor_", "scales_"),
        (net, "preprocessor_", "level_inputs_"), (net, "alpha"), (net, "report_"),
        (frame, "lr_schedule"), (frame, "columns_", 0), (net, "estimator_", "_optimizer"),
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
    table.put(plain("1.234,5 EUR"), "columns_", 0, "number_format")
    table.put(plain("1.234,5 EUR"), "preprocessor_", "columns_", 0, "number_format")
    table.put(plain({"decimal": ",", "header": False, "n_columns": 4, "new": 1}), "reading_")
    table.put(plain("x"), "report_", "delimiter")
    model = load_model(table.write(tmp_path / "later"))
    assert model.notes_ == {"x": [1, "a", None, 0.5, True]}
    assert model.columns_[0]["number_format"] == "1.234,5 EUR" and model.report_["delimiter"] == "x"
    save_model(model, tmp_path / "again")


# ---- values ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.ones(2), np.ones((2, 2), np.uint32), np.ones(2, bool)])
def test_hashes_of_rows_are_a_vector_of_unsigned_integers(table, tmp_path, value):
    table.change_array(value, "trained_rows_")
    refused(table.write(tmp_path / "evil"), "trained_rows_` is no array with 1 dimension")


N = np.nan
WRONG_VALUES = {
    "alpha": -1, "activation": "sin", "hidden_layer_sizes": "x", "n_jobs": 0, "device": "tpu",
    "solver": None, "lr_schedule": "x", "random_state": -1, "loss": "hinge", "n_features_in_": 4,
    "n_iter_": -1, "target_name_": [1], "columns_": [], "report_": {}, "na_values_": "x",
    "classes": 1, "target_format_": [1],
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
    ("preprocessor_", "_sklearn_output_config"): {"transform": "pandas"},
    ("preprocessor_", "columns_", 0, "kind"): "text",
    ("preprocessor_", "columns_", 0, "name"): "weight",
    ("preprocessor_", "columns_", 0, "reason"): 1,
    ("preprocessor_", "scaling"): "none", ("preprocessor_", "n_bins"): -1,
    ("preprocessor_", "level_inputs_"): [], ("preprocessor_", "level_means_"): [],
    ("preprocessor_", "fill_values_"): None, ("preprocessor_", "scales_"): [1.0, 1.0],
    ("preprocessor_", "groups_", "base"): [0, 6],
    ("preprocessor_", "groups_", "base", 0): 1, ("preprocessor_", "groups_", "base", 1): 7,
    ("preprocessor_", "groups_", "bins"): 1, ("preprocessor_", "groups_"): [],
    ("report_", "layers"): [1, 2, 3], ("report_", "task"): "regression",
    ("report_", "seconds"): "x", ("report_", "test"): {"accuracy": "x"},
    ("report_", "dropped_columns"): ["x"], ("report_", "numeric_columns"): None,
    ("report_", "date_columns"): -1, ("preprocessor_", "date_parts_"): [["seconds"]],
    ("preprocessor_", "word_terms_"): [[1]], ("preprocessor_", "word_components_"): [1],
    ("preprocessor_", "columns_", 0, "date_form"): "year first",
}  # fmt: skip


@pytest.mark.parametrize("names", WRONG_VALUES, ids=str)
def test_values_that_do_not_fit_are_refused(table, tmp_path, names):
    value = WRONG_VALUES[names]
    names = names if isinstance(names, tuple) else (names,)
    table.put(plain(value), *names)
    refused(table.write(tmp_path / "evil"))


READINGS = [
    "x", [], {"decimal": 5}, {"header": "no"}, {"header": False}, {"n_columns": 10**9},
    {"header": False, "n_columns": 2.5}, {"header": False, "n_columns": -1}, {"text": 5},
    {"text": [1, [2]]}, {"text": "ab"}, {"na_values": [1]},
]  # fmt: skip


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_readings_that_no_table_has_are_refused(table, tmp_path, reading):
    table.put(plain(reading), "reading_")
    refused(table.write(tmp_path / "evil"), "reading_")


@pytest.mark.parametrize("form", ["7", "x", "$", "1,000", "1.234,5 EUR EUR"])
def test_forms_of_numbers_that_nobody_reads_are_refused(table, tmp_path, form):
    crafted = table.copy()
    for owner in ((), ("preprocessor_",)):
        crafted.put(plain(form), *owner, "columns_", 0, "number_format")
    refused(crafted.write(tmp_path / "evil"), "number_format.* is no form of numbers")
    table.put(plain(form), "target_format_")
    refused(table.write(tmp_path / "evil"), "target_format_` is no form of numbers")


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
    ("preprocessor_", "fill_values_"): [np.ones(3), np.array([N, 1]), np.ones(2, int)],
    ("preprocessor_", "centres_"): [np.ones(3), np.array([np.inf, 1]), np.ones((2, 1))],
    ("preprocessor_", "scales_"): [np.ones(3), np.array([N, 1]), np.ones(2, int)],
    ("preprocessor_", "is_binary_"): [np.ones(3, bool), np.ones(2)],
    ("preprocessor_", "indicator_columns_"): [
        np.array([2]), np.array([-1]), np.array([0, 0]), np.array([1, 0]), np.array([0.0]),
        np.array([0, 1]), np.array([10**12]),
    ],
    ("preprocessor_", "indicator_values_"): [np.ones(2), np.ones((2, 2)), np.ones((1, 3))],
    ("preprocessor_", "level_inputs_", 0): [
        np.ones((5, 3), "f4"), np.ones((0, 3), "f4"), np.ones((4, 2), "f4"), np.ones((4, 3)),
        np.ones(3, "f4"), np.ones((4, 3), int),
    ],
    ("preprocessor_", "level_means_", 0): [np.ones((3, 1), "f4"), np.ones((4, 1), "f4")],
    ("preprocessor_", "piece_columns_"): [np.zeros(1, int), np.zeros(0)],
    ("preprocessor_", "piece_starts_"): [np.zeros(1)],
    ("preprocessor_", "piece_widths_"): [np.ones(1)],
    ("preprocessor_", "linear_columns_"): [np.zeros(1, int)],
    ("preprocessor_", "linear_means_"): [np.zeros(1)],
}  # fmt: skip


@each_array(WRONG_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(table, tmp_path, names, value):
    table.members[table.node(*names)["file"]] = npy(value)
    refused(table.write(tmp_path / "evil"))


def test_pieces_stand_among_the_numbers(tmp_path):
    """Pieces of positive width, of a number that the preprocessor has."""
    settings = {"n_bins": 4, "bin_edges": "both", "target_means": 2, "linear": True}
    prepared = TabularPreprocessor(**settings).fit(FRAME[["size", "weight", "colour"]], LABELS)
    save_model(prepared, tmp_path / "model")
    good = Crafted(tmp_path / "model")
    load_model(good.write(tmp_path / "good"))
    n = len(prepared.piece_columns_)
    for name, value in (
        ("piece_columns_", np.full(n, 2)), ("piece_columns_", np.full(n, -1)),
        ("piece_widths_", np.zeros(n)), ("piece_widths_", np.full(n, N)),
        ("piece_starts_", np.full(n, N)), ("linear_columns_", np.array([0, 0])),
        ("linear_columns_", np.array([0, 2])), ("linear_scales_", np.full(2, N)),
    ):  # fmt: skip
        crafted = good.copy()
        crafted.members[crafted.node(name)["file"]] = npy(value)
        refused(crafted.write(tmp_path / "evil"), name)
    crafted = good.copy()
    _, stop = prepared.groups_["bins"]
    crafted.put(plain(stop - 1), "groups_", "bins", 1)
    refused(crafted.write(tmp_path / "evil"), "groups_")


def test_parts_of_dates_and_words_fit_each_other(tmp_path):
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=60, freq="31h"),
            "text": [f"one of {i % 5} and {i // 5} of {i}" for i in range(60)],
        }
    )
    save_model(prepared := TabularPreprocessor().fit(frame), tmp_path / "model")
    good, n = Crafted(tmp_path / "model"), len(prepared.word_terms_[0])
    shape = prepared.word_components_[0].shape
    for names, value in (
        (("word_terms_", 0), np.full(n, 2**13)), (("word_terms_", 0), np.arange(n) - 1),
        (("word_terms_", 0), np.zeros(n, int)), (("word_weights_", 0), np.ones(n + 1)),
        (("word_weights_", 0), np.full(n, N)), (("word_components_", 0), np.ones((n, 3))),
        (("word_components_", 0), np.full(shape, N)),
    ):  # fmt: skip
        crafted = good.copy()
        crafted.members[crafted.node(*names)["file"]] = npy(value)
        refused(crafted.write(tmp_path / "evil"))
    for names, node_ in (
        (("date_parts_", 0, 0), plain("minute")), (("date_parts_", 0), plain(["seconds"])),
        (("date_parts_",), plain([])), (("columns_", 0, "kind"), plain("words")),
        (("word_terms_",), plain([])),
    ):  # fmt: skip
        crafted = good.copy()
        crafted.put(node_, *names)
        refused(crafted.write(tmp_path / "evil"))


def test_weights_may_have_any_value(table, tmp_path):
    """A diverged network is its owner's own; there is no number that does harm."""
    for value in (N, np.inf, -0.0, 3e38):
        table.change_array(np.full((6, 4), value, np.float32), "estimator_", "coefs_", 0)
        model = load_model(table.write(tmp_path / "odd"))
        if np.isfinite(value):
            assert model.predict(FRAME).shape == (60,)
            continue
        with pytest.raises(ValueError, match="coefs_ and intercepts_ hold values that are not"):
            model.predict(FRAME)


def test_fortran_order_is_read_as_it_is(network, tmp_path):
    expected = load_model(network.write(tmp_path / "model")).predict_proba(ROWS)
    [member] = {network.node("coefs_", 0)["file"]}
    w = np.load(io.BytesIO(network.members[member]))
    network.members[member] = npy(np.asfortranarray(w))
    found = load_model(network.write(tmp_path / "model"))
    np.testing.assert_array_equal(found.predict_proba(ROWS), expected)


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
    model.preprocessor_.scales_ = len
    with pytest.raises(ModelFileError, match=r"`preprocessor_\.scales_` holds objects"):
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
