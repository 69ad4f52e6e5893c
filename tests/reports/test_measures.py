"""Metrics with intervals: equal to those of the tables, and the intervals hold what they say."""

import numpy as np
import pandas as pd
import pytest

from fastmlp import train_table
from fastmlp.reports.quality import measure
from fastmlp.reports.texts import count, listed, number, percent, shown, with_interval
from fastmlp.reports.writing import report_on_table
from fastmlp.tabular import evaluation
from fastmlp.tabular.metrics import classification_metrics, regression_metrics
from fastmlp.tabular.quantiles import quantile_metrics
from fastmlp.tabular.scoring import Predicted

random = np.random.default_rng(0)


def formulas(said):
    """The metrics of all rows by the formulas that samples are measured with."""
    weights = np.ones((1, len(said.values)))
    return {name: float(metric(weights)[0]) for name, metric in said.weighted_metrics.items()}


@pytest.mark.parametrize("n_classes", [2, 4])
def test_metrics_of_classes_are_those_of_tables(n_classes):
    codes = random.integers(0, n_classes, 200)
    shares = random.dirichlet(np.ones(n_classes), 200).round(2) + 0.01  # with ties
    shares /= shares.sum(axis=1, keepdims=True)
    found = formulas(Predicted(codes, shares, np.arange(n_classes)))
    known = classification_metrics(codes, shares, np.arange(n_classes))
    assert found.keys() == known.keys()
    assert found == pytest.approx(known, abs=1e-9)


def test_certain_probabilities_cost_what_they_cost_in_tables():
    codes, shares = np.array([0, 0, 1]), np.array([[1.0, 0], [0, 1], [1e-9, 1 - 1e-9]])
    for exact in (shares, shares.astype(np.float32)):
        known = classification_metrics(codes, exact, np.arange(2))
        assert formulas(Predicted(codes, exact, np.arange(2))) == pytest.approx(known, rel=1e-12)


def test_a_class_that_the_model_does_not_know_is_wrong():
    codes = np.array([0, 1, 1, 0, -1, -1])
    shares = random.dirichlet([1, 1], 6)
    labels = np.array([0, 1, 1, 0, 7, 7])
    found = measure({"model": Predicted(codes, shares, np.arange(2))})["model"]
    known = classification_metrics(labels, shares, np.arange(2), codes >= 0)
    assert {n: m.value for n, m in found.items()} == pytest.approx(known)
    assert formulas(Predicted(codes, shares, np.arange(2))) == pytest.approx(known)


def test_metrics_of_numbers_are_those_of_tables():
    y, predicted = random.normal(1e6, 1, (2, 150))
    known = regression_metrics(y, predicted)
    assert formulas(Predicted(y, predicted)) == pytest.approx(known, rel=1e-6)


def test_metrics_of_quantiles_are_those_of_tables():
    y, predicted = random.normal(size=90), random.normal(size=(90, 2))
    known = quantile_metrics(y, predicted, [0.1, 0.9])
    assert formulas(Predicted(y, predicted, levels=(0.1, 0.9))) == pytest.approx(known)


def test_intervals_hold_the_truth_as_often_as_they_say():
    inside = 0
    for _ in range(100):
        errors = random.normal(size=80)
        low, high = measure({"model": Predicted(np.zeros(80), errors)})["model"]["mae"].interval()
        inside += low <= np.sqrt(2 / np.pi) <= high
    assert 85 <= inside <= 100


def test_draws_of_several_models_are_the_same():
    y = random.normal(size=60)
    said = Predicted(y, y + 1 + random.normal(size=60) / 9)
    same = measure({"model": said, "other": said})
    assert same["model"]["rmse"].minus(same["other"]["rmse"]).interval() == (0, 0)


def test_one_row_and_one_class_have_no_interval_where_nothing_varies():
    found = measure({"model": Predicted(np.ones(1), np.zeros(1))})["model"]
    assert np.isnan(found["r2"].value) and np.isnan(found["r2"].interval()).all()
    said = Predicted(np.zeros(5, dtype=int), np.full((5, 2), 0.5), np.arange(2))
    assert "roc_auc" not in measure({"model": said})["model"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567.8, "1,234,568"), (0.12345, "0.1235"), (-2.5, "\N{MINUS SIGN}2.5"),
     (1.5e12, "1.5e+12"), (1e-7, "1e\N{MINUS SIGN}07"), (float("nan"), "\N{EN DASH}"),
     (None, "\N{EN DASH}"), (-0.0, "0")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_intervals_have_the_digits_that_they_are_worth():
    assert with_interval(0.85312, 0.84, 0.8661) == ("0.853", "0.840 to 0.866")
    assert with_interval(15361.9, 13301.6, 17690.6) == ("15,362", "13,302 to 17,691")
    assert with_interval(-0.00001, -0.02, 0.02) == (
        "0.000",
        "\N{MINUS SIGN}0.020 to 0.020",
    )
    assert with_interval(0.5, 0.5, 0.5) == ("0.5", "")


def test_words():
    assert [percent(x) for x in (0, 0.0001, 0.123, 0.9999, 1)] == [
        "0 %", "< 0.1 %", "12.3 %", "> 99.9 %", "100 %",
    ]  # fmt: skip
    assert count(1, "row") == "1 row" and count(2000, "class", "classes") == "2,000 classes"
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefghij"), 4) == "a, b, c and 7 more"
    assert shown("\u202ea\nb\ud800") == "\\u202ea\\nb\\ud800" and shown("ab" * 9, 5) == "abab…"


@pytest.mark.parametrize("kind", ["numbers", "two", "three", "quantiles"])
def test_reports_have_the_numbers_of_evaluate(kind, tmp_path):
    x = random.normal(size=(90, 2))
    y = x[:, 0] + random.normal(size=90)
    labels = {"two": y > 1, "three": np.digitize(y, [-1, 1])}
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": labels.get(kind, y)})
    if kind in labels:
        frame["y"] = "class " + frame["y"].astype(str)
    loss = {"loss": "quantile", "quantiles": [0.1, 0.9]} if kind == "quantiles" else {}
    model = train_table(frame, "y", hidden_layer_sizes=(4,), max_iter=9, test_size=0, **loss)
    found = report_on_table(model, frame, tmp_path / "page.html")["metrics"]
    known = evaluation.measure(model, frame)
    assert found.keys() == known["intervals"].keys()
    for name, one in found.items():
        assert one["value"] == pytest.approx(known[name], rel=1e-9)
        assert [one["low"], one["high"]] == pytest.approx(known["intervals"][name], rel=1e-9)
