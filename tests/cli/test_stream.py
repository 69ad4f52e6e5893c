"""``fastmlp fit --stream``: what it prints, writes and refuses."""

import json
from pathlib import Path

import pytest
from commands import QUICK, fails, on_terminal, run

from fastmlp import load_model


def test_a_table_that_streams(data, here):
    shown = run("fit", "data.csv", "--stream", *QUICK, "-o", "m.fastmlp")
    assert "one network, because the table streams" in shown.stdout
    assert "target: 'class', the last column" in shown.stderr
    assert "task: classification" in shown.stderr and "accuracy" in shown.stdout
    assert run("predict", "m.fastmlp", "data.csv").stdout.count("\n") == 121
    report = json.loads(run("fit", "data.csv", "--stream", *QUICK, "--json").stdout)
    assert report["rows"] == 120 and report["layers"][1] == 8
    assert report["train_rows"] + report["test_rows"] == 120
    options = ("--set", "dropout=0.1", "--target", "age", "--cache", ".", "--jobs", "1", "--drop")
    run("fit", "data.csv", "--stream", *QUICK, *options, "city", "-o", "m.fastmlp")
    assert load_model("m.fastmlp").estimator_.dropout == 0.1
    assert {path.name for path in here.iterdir()} == {"data.csv", "data.fastmlp", "m.fastmlp"}


def test_what_cannot_stream(data):
    for args, message in {
        ("--cache", "."): "--cache needs the --stream whose rows it is for",
        ("--stream", "--refit"): "--refit cannot be used with --stream; use --test-size 0",
        ("--stream", "--report", "r.html"): "--report cannot be used with --stream; fastmlp report",
        ("--stream", "--target", "age", "--target", "city"): "trains for one target",
        ("--stream", "--time-limit", "3"): "--time-limit cannot be used where a table streams",
        ("--stream", "--effort", "high"): "--effort cannot be used here: a pack needs the table",
        ("--stream", "--cache", "none"): "none: there is no such folder for --cache",
        ("--stream", "--target", "colour"): "data.csv: there is no target column 'colour'",
    }.items():
        assert message in fails("fit", "data.csv", *args)
    assert "it has to be in files, and not in -" in fails("fit", "-", "--stream")
    assert not Path("data.fastmlp").exists()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_progress_of_a_stream(data):
    code, table, shown = on_terminal("fit", "data.csv", "--stream", *QUICK)
    assert code == 0 and "accuracy" in table
    assert "reading" in shown and "writing shards" in shown
    assert "epoch 20: loss" in shown and "Traceback" not in shown
