"""Packs on the command line: options, what is printed, and the progress bar."""

import json
import os
import re
import signal

import numpy as np
import pandas as pd
import pytest
from commands import on_terminal, run

from fastmlp import load_model


@pytest.fixture
def table(here):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=50), "kind": rng.choice(["a", "b"], 50)})
    frame["y"] = (frame["x"].abs() + (frame["kind"] == "a")).round(3)
    frame.to_csv("table.csv", index=False)
    return frame


def test_fit_prints_the_kinds_of_a_pack(table):
    result = run("fit", "table.csv", "--members", "2")
    assert "a pack, because no parameter of a network is set; --members 2" in result.stdout
    lines = result.stdout.splitlines()
    header = next(i for i, line in enumerate(lines) if line.startswith("kind "))
    assert lines[header].split() == ["kind", "weight", "networks", "inputs", "epochs", "RMSE"]
    end = next(i for i, line in enumerate(lines) if line.startswith("together "))
    weights = [float(line.split()[1]) for line in lines[header + 1 : end]]
    assert sum(weights) == pytest.approx(1, abs=0.02) and weights == sorted(weights)[::-1]
    assert "networks  " in result.stdout and "R2" in result.stdout


def test_effort_and_options_of_a_network(table):
    low = json.loads(run("fit", "table.csv", "--effort", "low", "--json").stdout)
    assert low["networks"] == 1 and "effort='low'" in low["why"]
    one = run("fit", "table.csv", "--hidden", "5", "--epochs", "3").stdout
    assert "one network, because --hidden and --epochs are set" in one
    assert "kind " not in one and "-5-1" in one
    equal = run("fit", "table.csv", "--hidden", "5", "--epochs", "3", "--members", "2").stdout
    assert re.search(r"^network\s+1\.00\s+2 ", equal, re.MULTILINE)


def test_a_limit_of_time_is_said(table):
    result = run("fit", "table.csv", "--time-limit", "0.001")
    assert "the time limit left out networks that were planned (see --time-limit)" in result.stderr
    assert "(see --time-limit)" not in run("fit", "table.csv", "--members", "1").stderr


def test_bad_options(table):
    for option, value in (("--effort", "much"), ("--members", "0"), ("--time-limit", "0")):
        assert option in run("fit", "table.csv", option, value, code=2).stderr
    message = run("fit", "table.csv", "--set", "members=3", code=2).stderr
    assert "'members' is set by --members" in message


def test_the_progress_bar_counts_networks(table):
    code, _, shown = on_terminal("fit", "table.csv", "--members", "2")
    assert code == 0 and "3/3 networks" in shown and "s left" in shown and "loss=" in shown


def test_a_threshold_can_be_set(table):
    table.assign(y=np.where(table["y"] > 1.2, "yes", "no")).to_csv("table.csv", index=False)
    run("fit", "table.csv", "--members", "1", "--set", "threshold=f1", "-o", "f1.fastmlp")
    run("fit", "table.csv", "--members", "1", "--set", 'threshold={"no": 1, "yes": 3}')


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pack_keeps_its_networks(here, number):
    noise = np.random.default_rng(0).normal(size=(1200, 9)).round(4)
    pd.DataFrame(noise).add_prefix("x").to_csv("noise.csv", index=False)
    options = ["--effort", "high", "--test-size", "0.1"]
    code, table, shown = on_terminal("fit", "noise.csv", *options, number=number)
    assert code == 0 and "Traceback" not in shown, shown
    n_networks = int(re.search(r"interrupted after (\d+) networks? of a pack; they", shown)[1])
    report = load_model("noise.fastmlp").report_
    assert sum(kind["folds"] for kind in report["pack"]) == n_networks < 64
    assert report["interrupted"] and report["cut_short"] and "R2" in table
