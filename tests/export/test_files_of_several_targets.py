"""Files and graphs of regressors with several targets."""

import numpy as np
import pandas as pd
import pytest
from crafted import QUICK, Crafted, plain, refused
from graphs import feed_of, run
from packs import TABLE, TARGETS, with_pack

from fastmlp import TabularRegressor, load_model, save_model, to_onnx, train_table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Y = pd.DataFrame({"first": TARGETS["numbers"], "second": np.exp(TARGETS["numbers"])})


@pytest.fixture(scope="module")
def file(folder):
    frame = pd.concat([TABLE, Y], axis=1)
    save_model(train_table(frame, ["first", "second"], members=2), folder / "several")
    return folder / "several"


@pytest.fixture
def crafted(file):
    return Crafted(file)


def test_a_saved_model_is_the_same(file, tmp_path):
    model = load_model(file)
    save_model(model, tmp_path / "again")
    again = load_model(tmp_path / "again")
    assert again.report_ == model.report_ and again.target_name_ == ["first", "second"]
    assert vars(again).keys() == vars(model).keys()
    np.testing.assert_array_equal(again.predict(TABLE), model.predict(TABLE))
    assert model.predict(TABLE).shape == (60, 2) and again.score(TABLE, Y) > 0.5


WRONG_VALUES = {
    "models_": [], "target_name_": ["first"], "target_format_": [""], "n_iter_": 7,
    "columns_": [], ("columns_", 0, "kind"): "text",
    "n_features_in_": 3, ("models_", 0): 1, ("target_name_", 0): "other",
    ("models_", 0, "target_name_"): "other", ("models_", 0, "n_iter_"): -1,
    ("models_", 1, "models_"): [1, 2], ("models_", 1, "preprocessor_"): None,
    ("models_", 1, "target_scale_"): "x", ("models_", 1, "columns_", 0, "name"): "other",
    ("report_", "target"): "first", ("report_", "targets"): [],
    ("report_", "targets", 0, "target"): "second", ("report_", "targets", 0, "test"): {"r2": 1},
    ("report_", "targets", 0, "networks"): "x", ("report_", "targets", 0, "layers"): None,
}  # fmt: skip


@pytest.mark.parametrize("names", WRONG_VALUES, ids=str)
def test_values_that_do_not_fit_are_refused(crafted, tmp_path, names):
    value = WRONG_VALUES[names]
    crafted.put(plain(value), *(names if isinstance(names, tuple) else (names,)))
    crafted.drop_unused()
    refused(crafted.write(tmp_path / "evil"))


def test_models_that_do_not_fit_each_other_are_refused(crafted, tmp_path):
    one = crafted.copy()
    one.schema["content"]["content"]["models_"]["content"].pop()
    one.drop_unused()
    refused(one.write(tmp_path / "one"), "`models_` are fewer than two")
    nested = crafted.copy()
    nested.put(crafted.node(), "models_", 0)
    refused(nested.write(tmp_path / "nested"), "models_")
    lacking = crafted.copy()
    part = lacking.node("report_", "targets", 1)
    del part["content"]["pack"]
    part["key_types"]["content"].pop()
    refused(lacking.write(tmp_path / "lacking"), "`report_` is about no packs")


def test_a_single_target_has_no_report_on_several(table, tmp_path):
    table.put(plain([]), "report_", "targets")
    refused(table.write(tmp_path / "evil"), "`report_` is about another model")


def test_a_graph_predicts_all_targets():
    model = TabularRegressor((3,), **QUICK).fit(TABLE, Y)
    for one, name in zip(model.models_, Y, strict=True):
        encoding = {} if name == "first" else {"bin_edges": "quantile"}
        with_pack(one, TABLE, Y[name].to_numpy(), **encoding)
    graph = to_onnx(model)
    names = [column.name for column in graph.graph.input]
    assert names == ["size", "weight", "flag", "colour", "city", "side"]  # once for all targets
    out = run(graph, feed_of(model, TABLE))
    assert out.keys() == {"prediction"} and out["prediction"].dtype == np.float64
    np.testing.assert_allclose(out["prediction"], model.predict(TABLE), rtol=1e-4, atol=1e-5)
