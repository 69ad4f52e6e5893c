"""The command line with several targets."""

import json

import numpy as np
import pandas as pd
import pytest
from commands import QUICK, fails, run

from fastmlp import load_model

BOTH = ("--target", "sum", "--target", "price")


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chance = np.random.RandomState(0)
    frame = pd.DataFrame(chance.normal(size=(60, 2)), columns=["x", "z"])
    price = [f"{value:.2f} EUR" for value in np.exp(frame["z"])]
    frame = frame.assign(sum=3 * frame["x"] + frame["z"], price=price, one=1)
    frame.to_csv("data.csv", index=False)
    return frame


def test_every_command_takes_models_of_several_targets(table):
    result = run("fit", "data.csv", *BOTH, "--members", "2")
    assert "targets   sum, price" in result.stdout and "for each target a pack" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[-3:]] == [
        "target", "sum", "price",
    ]  # fmt: skip
    assert "baseline RMSE" in result.stdout and "(choose with" not in result.stderr
    shown = run("info", "data.fastmlp").stdout
    assert result.stdout.splitlines()[-3:] == shown.splitlines()[-3:]
    assert len(run("evaluate", "data.fastmlp", "data.csv").stdout.splitlines()) == 6
    rows = run("predict", "data.fastmlp", "data.csv").stdout.splitlines()
    assert rows[0] == "sum,price" and len(rows) == 61
    table.drop(columns=["price", "sum"]).to_csv("new.csv", index=False)
    assert run("predict", "data.fastmlp", "new.csv").stdout.splitlines() == rows
    predicted = load_model("data.fastmlp").predict(table)
    np.testing.assert_array_equal(
        [[float(number) for number in row.split(",")] for row in rows[1:]], predicted
    )
    pytest.importorskip("onnx")
    run("export", "data.fastmlp", "data.onnx")


def test_json_of_several_targets(table):
    report = json.loads(run("fit", "data.csv", *BOTH, *QUICK, "--quiet", "--json").stdout)
    assert report["target"] == ["sum", "price"]
    assert [part["target"] for part in report["targets"]] == report["target"]
    assert report["test"]["r2"] == pytest.approx(
        np.mean([part["test"]["r2"] for part in report["targets"]])
    )
    measured = json.loads(run("evaluate", "data.fastmlp", "data.csv", "--json").stdout)
    assert measured["rows"] == 60 and measured["target"] == report["target"]
    assert {*measured["targets"][0]} == {"target", "r2", "rmse", "mae"}
    shown = json.loads(run("info", "data.fastmlp", "--json").stdout)
    assert shown["report"]["targets"] == report["targets"] and shown["layers"] == [2, 8, 1]


def test_the_limit_of_epochs_is_that_of_one_target(table):
    result = run("fit", "data.csv", *BOTH, "--hidden", "4", "--epochs", "3")
    assert "stopped at the limit of 3 epochs" in result.stderr
    assert "network   2-4-1" in result.stdout and "epochs    6" in result.stdout
    result = run("fit", "data.csv", "--target", BOTH[1], "--members", "2", "--epochs", "3")
    assert "stopped at the limit of 3 epochs" in result.stderr and "epochs    6" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "sum"), "target 'sum' is named more than once"),
        (("--target", "one"), "target column 'one' has a single value"),
        (("--target", "y"), "there is no target column 'y'"),
        (("--target", "z", "--drop", "z"), "column 'z' is the target, which cannot be left out"),
        (("--target", "z", "--task", "classification"), "not by --task classification"),
        (("--target", "z", "--quantiles", "0.1,0.9"), "quantiles are predicted for one target"),
    ],
)
def test_targets_that_cannot_be_learned(table, options, message):
    assert message in fails("fit", "data.csv", "--target", "sum", *options)
