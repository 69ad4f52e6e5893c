"""ONNX graphs of packs, and of all groups of inputs, predict as the models do."""

import warnings

import numpy as np
import pandas as pd
import pytest
from graphs import check_equal, feed_of, run
from packs import TABLE, TARGETS, fitted, with_pack

from fastmlp import InputError, TabularClassifier, load_model, save_model, to_onnx

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def odd_rows(n_rows=200):
    """Rows with missing values, outliers, and text that training did not have."""
    chance = np.random.RandomState(1)
    rows = TABLE.iloc[chance.randint(len(TABLE), size=n_rows)].reset_index(drop=True)
    for name in ("size", "weight"):
        values = chance.normal(size=n_rows) * 10.0 ** chance.randint(-3, 10, size=n_rows)
        rows[name] = np.where(chance.rand(n_rows) < 0.2, np.nan, values)
    rows["colour"] = chance.choice(["red", "green", "pink", None], size=n_rows)
    rows["city"] = [f"city {i}" for i in chance.randint(40, size=n_rows)]
    rows.loc[::9, "city"] = None
    rows["flag"] = chance.choice([0.0, 1.0, np.nan, 7.0], size=n_rows)
    rows["side"] = chance.choice(["left", "right", "middle"], size=n_rows)
    return rows


@pytest.fixture(scope="module", params=TARGETS)
def model(request):
    return fitted(request.param)


def test_graphs_of_packs_predict_as_the_model(model):
    assert list(model.preprocessor_.groups_) == ["tree", "base", "bins", "linear"]
    assert all(start < stop for start, stop in model.preprocessor_.groups_.values())
    assert any(table.shape[1] for table in model.preprocessor_.level_means_)
    assert model.preprocessor_.is_binary_.any()
    assert [t.shape[1] for t in model.preprocessor_.level_inputs_].count(1) == 1
    check_equal(model, TABLE)
    check_equal(model, TABLE[:1])
    check_equal(model, odd_rows())


def test_members_that_are_alike_are_computed_together(model):
    """The number of nodes grows with the kinds, and not with the members."""
    graph = to_onnx(model).graph
    n_products = sum(node.op_type == "MatMul" for node in graph.node)
    kinds = {member.kind: len(member.network.coefs_) for member in model.estimator_.members}
    assert n_products == sum(kinds.values())


@pytest.mark.parametrize("edges", ["quantile", "tree"])
def test_graphs_with_some_of_the_groups(edges):
    model = TabularClassifier((3,), random_state=0, max_iter=2).fit(TABLE, TARGETS["two"])
    check_equal(with_pack(model, TABLE, TARGETS["two"], bin_edges=edges), odd_rows())
    check_equal(with_pack(model, TABLE, TARGETS["two"], n_bins=0, linear=False), odd_rows())
    numbers = TABLE[["size", "weight", "flag"]]
    model = TabularClassifier((3,), random_state=0, max_iter=2).fit(numbers, TARGETS["two"])
    model = with_pack(model, numbers, TARGETS["two"], bin_edges=edges, target_means=False)
    check_equal(model, odd_rows())
    text = TABLE[["city"]]
    model = TabularClassifier((3,), random_state=0, max_iter=2).fit(text, TARGETS["two"])
    check_equal(with_pack(model, text, TARGETS["two"], bin_edges=edges), odd_rows())


def test_levels_that_have_a_mean_but_no_input_of_their_own():
    model = TabularClassifier((3,), random_state=0, max_iter=2).fit(TABLE, TARGETS["two"])
    model = with_pack(model, TABLE, TARGETS["two"], max_levels=3)
    city = [column["name"] for column in model.columns_ if column["kind"] == "text"].index("city")
    prepared = model.preprocessor_
    assert len(prepared.level_inputs_[city]) < len(prepared.level_means_[city])
    check_equal(model, odd_rows())


def test_graphs_of_packs_from_a_file(model, tmp_path):
    save_model(model, tmp_path / "model")
    check_equal(load_model(tmp_path / "model"), odd_rows())


def test_members_of_different_forms_are_told_apart(model):
    """A kind of which some members have other layers is computed in parts."""
    pack = model.estimator_
    found = {m.network.activation for m in pack.members}
    kinds = [member.kind for member in pack.members]
    try:
        for member in pack.members:
            member.kind = "all"
        weights, pack.weights = pack.weights, {"all": 1.0}
        assert len(found) > 1
        check_equal(model, odd_rows())
    finally:
        pack.weights = weights
        for member, kind in zip(pack.members, kinds, strict=True):
            member.kind = kind


def test_thresholds_of_labels_are_in_the_graph():
    model = fitted("two")
    rows = odd_rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of text that no row had
        probabilities = model.predict_proba(rows)[:, 1]
        model.threshold_ = float(np.median(probabilities) + 1e-4)
        expected = model.predict(rows)
    assert 0.2 < np.mean(expected) < 0.8
    assert np.any(expected != (probabilities > 0.5))
    label = run(to_onnx(model), feed_of(model, rows))["label"]
    is_clear = np.abs(probabilities - model.threshold_) > 1e-5
    np.testing.assert_array_equal(label[is_clear], expected[is_clear])


@pytest.mark.parametrize(("kind", "holds"), [("date", "dates"), ("words", "free text")])
def test_columns_that_onnx_cannot_read_are_refused(kind, holds):
    model = fitted("two")
    model.preprocessor_.columns_[2]["kind"] = kind
    with pytest.raises(
        InputError, match=f"column 'colour' holds {holds}, which an ONNX graph cannot"
    ):
        to_onnx(model)


def test_means_of_numbers_are_in_the_graph():
    chance = np.random.RandomState(5)
    n_rows = 1500
    places = chance.randint(20, size=n_rows)
    frame = pd.DataFrame(
        {
            "size": chance.normal(size=n_rows),
            "amount": places / 3,
            "city": chance.choice(["a", "b", "c"], n_rows),
        }
    )
    y = np.where((places * 7 % 20 < 10) ^ (chance.rand(n_rows) < 0.1), "no", "yes")
    model = TabularClassifier((3,), random_state=0, max_iter=2).fit(frame, y)
    model = with_pack(model, frame, y, number_means=True)
    assert model.preprocessor_.number_mean_columns_.tolist() == [1]
    rows = frame.head(50).assign(amount=np.r_[np.arange(-2, 24) / 3, [np.nan] * 24])
    check_equal(model, frame)
    check_equal(model, rows)
