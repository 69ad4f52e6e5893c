"""Scores with intervals, for groups of rows, and of two models on the same rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import DataError, train_table
from fastmlp.tabular.evaluation import compare, groups_of, measure, predict_known
from fastmlp.tabular.scoring import Predicted, interval, intervals, n_samples, sampled, samples
from fastmlp.tabular.train import evaluate

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "test_size": 0}


def predictions(kind, n_rows=60, seed=0):
    """Predictions of a kind, with ties, and with labels that the model does not know."""
    rng = np.random.default_rng(seed)
    if kind == "numbers":
        return Predicted(rng.normal(size=n_rows) + 1e4, rng.normal(size=n_rows) + 1e4)
    if kind == "quantiles":
        columns = np.sort(rng.normal(size=(n_rows, 3)), axis=1)
        return Predicted(rng.normal(size=n_rows), columns, levels=(0.1, 0.5, 0.9))
    classes = np.array(["no", "yes"] if kind == "two" else ["a", "b", "c"])
    p = rng.integers(1, 6, size=(n_rows, len(classes))).astype(np.float32)
    labels = [*classes, "unknown"] if kind == "unknown" else classes
    return Predicted(rng.choice(labels, n_rows), p / p.sum(axis=1, keepdims=True), classes, 0.4)


@pytest.mark.parametrize("kind", ["numbers", "quantiles", "two", "three", "unknown"])
def test_rows_that_count_are_rows_that_are_repeated(kind):
    part = predictions(kind)
    weights = np.vstack([np.ones(60), next(samples(60))[:20]])
    found = {name: metric(weights) for name, metric in part.weighted_metrics.items()}
    assert {name: values[0] for name, values in found.items()} == pytest.approx(
        part.scores(), rel=1e-9
    )
    for i, weight in enumerate(weights):
        repeated = part.rows(np.repeat(np.arange(60), weight.astype(int)))
        assert {name: values[i] for name, values in found.items()} == pytest.approx(
            repeated.scores(), rel=1e-7
        )


def test_samples_are_the_same_however_many_are_drawn_at_a_time(monkeypatch):
    part = predictions("two")
    (whole,) = sampled([part])
    monkeypatch.setattr("fastmlp.tabular.scoring._DRAWS_AT_A_TIME", 7 * 60)
    assert [len(some) for some in samples(60)] == [7] * 142 + [6]
    (cut,) = sampled([part])
    assert all(np.array_equal(whole[name], cut[name]) for name in whole)


@pytest.mark.parametrize("kind", ["numbers", "quantiles", "two"])
def test_intervals_have_the_scores_in_them(kind):
    part = predictions(kind, 300)
    (found,), (wider,) = intervals([part], 0.9), intervals([part], 0.99)
    for name, value in part.scores().items():
        assert found[name][0] < value < found[name][1]
        assert wider[name][0] < found[name][0] and found[name][1] < wider[name][1]
    assert intervals([part], 0.9) == [found]  # always the same samples


def test_an_interval_is_as_wide_as_theory_has_it():
    rng = np.random.default_rng(0)
    n_rows = 400
    part = Predicted(rng.normal(size=n_rows), np.zeros(n_rows))
    squares = part.values**2
    low, high = intervals([part], 0.95)[0]["rmse"]
    error = 1.96 * squares.std() / np.sqrt(n_rows)
    expected = np.sqrt(squares.mean() - error), np.sqrt(squares.mean() + error)
    assert [low, high] == pytest.approx(expected, rel=0.02)


def test_what_has_no_interval():
    assert interval([], 0.9) is None and interval([np.nan, np.nan, 1.0], 0.9) is None
    assert intervals([predictions("numbers", 1)], 0.9) == [{}]
    one_class = Predicted(np.array(["a"] * 9), np.full((9, 2), 0.5), np.array(["a", "b"]))
    assert "roc_auc" not in one_class.scores()
    assert intervals([one_class], 0.9)[0]["roc_auc"] is None
    assert n_samples(20_000) == 1000 and n_samples(10**7) == 200


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=300), "age": np.arange(300) % 60})
    frame["town"] = (["Rome"] * 150 + ["Oslo"] * 100 + ["Lima"] * 45 + ["Bern"] * 3 + ["Kiev"]) + [
        None
    ]
    frame["y"] = 2 * frame["x"] + rng.normal(size=300)
    return frame


@pytest.fixture(scope="module")
def model(table):
    return train_table(table, "y", **SMALL)


def test_groups_of_values(table):
    groups = groups_of(table["town"])
    assert [(name, rows.sum()) for name, rows in groups] == [
        ("Rome", 150), ("Oslo", 100), ("Lima", 45), ("(2 other values)", 4), ("(missing)", 1)
    ]  # fmt: skip
    assert (sum(rows.astype(int) for _, rows in groups) == 1).all()
    few = groups_of(pd.Series([1.0, 1, 2, np.nan]))
    assert [(name, rows.sum()) for name, rows in few] == [("1 to 2", 3), ("(missing)", 1)]
    plain = groups_of(pd.Series([1.5] * 30 + [2] * 20 + [3]))
    assert [(name, rows.sum()) for name, rows in plain] == [("1.5", 30), ("2", 20), ("3", 1)]
    (alone,) = groups_of(pd.Series([True, True]))
    assert alone[0] == "True"


def test_numbers_are_cut_into_quarters(table):
    groups = groups_of(table["age"])
    assert [name for name, _ in groups][:2] == ["0 to 14", "above 14 to 29"]
    assert [rows.sum() for _, rows in groups] == [75] * 4
    skewed = pd.Series([0] * 90 + list(range(1, 21)) + [None])
    assert [(name, rows.sum()) for name, rows in groups_of(skewed)] == [
        ("0 to 20", 110), ("(missing)", 1)
    ]  # fmt: skip


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.lists(st.none() | st.integers(-3, 30) | st.floats(), min_size=1, max_size=60)
    | st.lists(st.none() | st.sampled_from(["a", "b", ""]) | st.booleans(), min_size=1)
)
def test_every_row_is_in_one_group_and_no_group_is_empty(values):
    groups = groups_of(pd.Series(values))
    assert (sum(rows.astype(int) for _, rows in groups) == 1).all()
    assert all(rows.any() for _, rows in groups)


def test_measures(table, model):
    found = measure(model, table, by=["town", "age"])
    plain = evaluate(model, table)
    assert {name: found[name] for name in plain} == plain
    assert found["rows"] == 300 and found["level"] == 0.95 and found["samples"] == 1000
    assert set(found["intervals"]) == set(plain)
    rome = found["groups"]["town"][0]
    assert rome["group"] == "Rome" and rome["rows"] == 150
    assert rome["rmse"] == pytest.approx(evaluate(model, table[:150])["rmse"])
    assert rome["intervals"]["rmse"][0] < rome["rmse"] < rome["intervals"]["rmse"][1]
    assert len(found["groups"]["age"]) == 4
    without = measure(model, table, level=None, by="town")
    assert without.keys() == {"rows", "groups", *plain}


def test_what_cannot_be_measured(table, model):
    with pytest.raises(DataError, match=r"no column 'towns' for `by`; .*; did you mean 'town'"):
        measure(model, table, by="towns")
    with pytest.raises(ValueError, match="level must be above 0"):
        measure(model, table, level=1)
    with pytest.raises(ValueError, match="level must be above 0"):
        compare(model, model, table, level=0)


def test_scores_outlive_ctrl_c(table, model, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.tabular.evaluation.intervals", stop)
    with pytest.warns(UserWarning, match="interrupted: the scores are complete"):
        found = measure(model, table, by="town")
    assert found["rmse"] == evaluate(model, table)["rmse"] and found["intervals"] == {}
    assert found["groups"]["town"][0]["rows"] == 150


@pytest.fixture(scope="module")
def better(table):
    return train_table(table, "y", hidden_layer_sizes=(8,), max_iter=60, test_size=0)


def test_the_better_model_is_found(table, model, better):
    found = compare(model, better, table)
    rmse = found["metrics"]["rmse"]
    assert (found["metric"], found["better"], found["task"]) == ("rmse", "b", "regression")
    assert rmse["a"] == evaluate(model, table)["rmse"]
    assert rmse["b"] == evaluate(better, table)["rmse"]
    assert rmse["interval"][0] < rmse["difference"] < rmse["interval"][1] < 0
    assert compare(better, model, table)["better"] == "a"


def test_differences_are_those_of_the_same_rows(table, model, better):
    """Rows that are hard for both do not widen the interval of the difference."""
    noisy = table.assign(y=table["y"] + 40 * (np.arange(300) % 2))
    low, high = compare(model, better, noisy)["metrics"]["mae"]["interval"]
    single = measure(model, noisy)["intervals"]["mae"]
    assert high - low < (single[1] - single[0]) / 2


def test_equal_models_cannot_be_told_apart(table, model):
    found = compare(model, model, table)
    assert found["better"] is None
    assert found["metrics"]["rmse"]["interval"] == [0, 0]
    assert compare(model, model, table[:1])["metrics"]["rmse"]["interval"] is None


def test_models_that_cannot_be_compared(table, model):
    other = train_table(table.assign(y=table["y"] > 0), "y", **SMALL)
    with pytest.raises(DataError, match="different tasks: regression and classification"):
        compare(model, other, table)
    other = train_table(table, "x", **SMALL)
    with pytest.raises(DataError, match="different targets: 'y' and 'x'"):
        compare(model, other, table)
    other = train_table(table, "y", loss="quantile", quantiles=[0.5], **SMALL)
    with pytest.raises(DataError, match="different quantiles"):
        compare(model, other, table)
    with pytest.raises(DataError, match="read different targets"):
        compare(model, model, table, table[::-1])


def test_several_targets(table):
    both = [train_table(table, names, **SMALL) for names in (["x", "y"], ["y", "x"])]
    found = measure(both[0], table, by="town")
    assert [part["target"] for part in found["targets"]] == ["x", "y"]
    assert found["intervals"]["r2"][0] < found["r2"] < found["intervals"]["r2"][1]
    assert found["intervals"]["targets"][1]["rmse"]
    assert found["targets"] == evaluate(both[0], table)["targets"]
    assert found["groups"]["town"][0]["targets"][0]["rmse"] > 0
    compared = compare(*both, table)
    assert compared["metric"] == "r2" and list(compared["metrics"]) == ["r2"]
    assert len(predict_known(both[0], table)) == 2


def test_classes(people):
    first, second = (
        train_table(people, "class", hidden_layer_sizes=(8,), max_iter=n, test_size=0)
        for n in (2, 40)
    )
    found = compare(first, second, people)
    assert found["metric"] == "log_loss" and found["better"] == "b"
    assert set(found["metrics"]) == {"accuracy", "balanced_accuracy", "log_loss", "roc_auc"}
