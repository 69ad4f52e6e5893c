"""``evaluate`` with intervals and groups, ``compare``, and the card of ``info``."""

import json
from pathlib import Path

import pandas as pd
import pytest
from commands import QUICK, fails, run


@pytest.fixture
def models(data):
    """Two models of the same table; the second one has learned more."""
    run("fit", "data.csv", *QUICK, "--epochs", "2", "-o", "a.fastmlp", "--quiet")
    run("fit", "data.csv", *QUICK, "--epochs", "60", "-o", "b.fastmlp", "--quiet")
    return "a.fastmlp", "b.fastmlp"


def test_evaluate_shows_intervals_and_groups(data, model):
    shown = run("evaluate", model, "data.csv", "--by", "city", "--by", "age").stdout
    assert "value     95 % interval" in shown and "accuracy" in shown
    assert "Rome    40" in shown and "above 56 to 69" in shown
    data["age"] = [10 + i % 11 for i in range(120)]
    data.loc[0, "city"] = "Pisa"
    data.to_csv("data.csv", index=False)
    shown = run("evaluate", model, "data.csv", "--by", "city", "--level", "0.8").stdout
    assert "80 % interval" in shown and "1*" in shown and "* fewer than 20 rows" in shown
    shown = run("evaluate", model, "data.csv", "--by", "city", "--level", "0").stdout
    assert "interval" not in shown and "Pisa" in shown


def test_evaluate_as_json(data, model):
    found = json.loads(run("evaluate", model, "data.csv", "--by", "city", "--json").stdout)
    assert found["rows"] == 120 and found["target"] == "class" and found["level"] == 0.95
    low, high = found["intervals"]["log_loss"]
    assert low < found["log_loss"] < high
    assert [g["group"] for g in found["groups"]["city"]] == ["Rome", "Oslo", "Lima"]


def test_columns_of_groups_are_named(data, model):
    message = fails("evaluate", model, "data.csv", "--by", "citty")
    assert message.startswith("fastmlp: data.csv: there is no column 'citty' for --by; the columns")
    assert message.endswith("; did you mean 'city'?")
    assert "--level" in run("evaluate", model, "data.csv", "--level", "1", code=2).stderr


def test_several_targets_have_intervals(data):
    data = data.fillna({"income": 2000})
    data.to_csv("data.csv", index=False)
    run("fit", "data.csv", "--target", "age", "--target", "income", *QUICK, "-o", "m.fastmlp")
    shown = run("evaluate", "m.fastmlp", "data.csv", "--by", "city").stdout
    assert "interval" in shown and "\nincome  " in shown and "Oslo    40" in shown


def test_compare_says_which_is_better(data, models):
    shown = run("compare", *models, "data.csv").stdout
    assert "B is better: its log loss is lower by" in shown and "95 % interval" in shown
    assert (
        "A is better: its log loss is lower by" in run("compare", *models[::-1], "data.csv").stdout
    )
    found = json.loads(run("compare", *models, "data.csv", "--json").stdout)
    assert found["better"] == "b" and found["metrics"]["log_loss"]["interval"][1] < 0
    assert (found["a"], found["b"], found["rows"]) == (*models, 120)


def test_a_line_says_when_a_model_was_trained_on_the_rows(data, models):
    shown = run("evaluate", "a.fastmlp", "data.csv").stderr
    assert shown == (
        "fastmlp: a.fastmlp was trained on about 80 % of these rows, so its scores are too good; "
        "measure it on others\n"
    )
    new = data.assign(age=data["age"] + 0.5, name=[f"other {i}" for i in range(len(data))])
    new.to_csv("new.csv", index=False)
    assert run("evaluate", "a.fastmlp", "new.csv").stderr == ""
    run("fit", "data.csv", *QUICK, "--test-size", "0", "-o", "all.fastmlp", "--quiet")
    shown = run("compare", "a.fastmlp", "all.fastmlp", "data.csv", "--json").stderr.splitlines()
    assert "a.fastmlp was trained on about 80 % of" in shown[0] and len(shown) == 2
    assert "all.fastmlp was trained on these rows, so its scores are too good" in shown[1]
    assert run("compare", "a.fastmlp", "all.fastmlp", "new.csv").stderr == ""


def test_compare_says_what_cannot_be_told(data, models):
    assert (
        "A and B have the same log loss"
        in run("compare", "a.fastmlp", *models[:1], "data.csv").stdout
    )
    data[:1].to_csv("one.csv", index=False)
    assert "cannot be told which is better: the rows are too few" in run(
        "compare", *models, "one.csv"
    ).stdout  # fmt: skip


def test_compare_reads_standard_input_once(data, models):
    import subprocess
    import sys

    command = [sys.executable, "-m", "fastmlp_cli", "compare", *models, "-"]
    done = subprocess.run(command, input=Path("data.csv").read_bytes(), capture_output=True)
    assert b"B is better" in done.stdout and done.returncode == 0


def test_models_that_cannot_be_compared(data, models):
    run("fit", "data.csv", "--target", "age", *QUICK, "-o", "age.fastmlp", "--quiet")
    run("fit", "data.csv", "--target", "job", "--drop", "class", *QUICK, "-o", "j.fastmlp", code=2)
    assert fails("compare", "a.fastmlp", "age.fastmlp", "data.csv") == (
        "fastmlp: a.fastmlp and age.fastmlp: the models have different tasks: classification and "
        "regression"
    )
    run("fit", "data.csv", "--target", "member", *QUICK, "-o", "member.fastmlp", "--quiet")
    assert "different targets: 'class' and 'member'" in fails(
        "compare", "a.fastmlp", "member.fastmlp", "data.csv"
    )
    assert "this is the model" in fails("compare", "data.csv", "a.fastmlp", "b.fastmlp")


def test_names_of_groups_reach_no_terminal_as_they_are(data, model):
    hostile = "\x1b]0;title\x07"
    pd.concat([data] * 2).assign(**{f"c{hostile}": [hostile] * 200 + ["b"] * 40}).to_csv(
        "data.csv", index=False
    )
    shown = run("evaluate", model, "data.csv", "--by", f"c{hostile}")
    assert r"c\x1b]0;title\x07" in shown.stdout and "\x1b" not in shown.stdout
    assert "\x1b" not in fails("evaluate", model, "data.csv", "--by", f"d{hostile}")


def test_info_is_a_card(data, model):
    shown = run("info", model).stdout
    for part in ("measured  on 24 rows that were held out", " parameters", "city (3 levels)",
                 "baseline", "Limits\n- Its scores are of 24 rows"):  # fmt: skip
        assert part in shown
    found = json.loads(run("info", model, "--json").stdout)
    assert found["bytes"] == model.stat().st_size and found["card"]["task"] == "classification"
    assert found["layers"] == found["card"]["layers"][0]
