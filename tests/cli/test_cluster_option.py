"""``fastmlp fit --cluster``: the model of --stream, what is printed, and what is refused."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from commands import QUICK, fails, run

from fastmlp import load_model

distributed = pytest.importorskip("distributed")

from fastmlp.cluster import tables, tasks  # noqa: E402


@pytest.fixture(scope="module")
def address():
    before = dict(os.environ)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
        dashboard_address=":0",
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address
    os.environ.clear()
    os.environ.update(before)


def weights(path):
    networks = [member.network for member in load_model(path).estimator_.members]
    return [w.tobytes() for network in networks for w in network.coefs_]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_cluster_trains_the_model_of_a_stream(data, address, ending):
    frame = pd.read_csv("data.csv")
    for i, part in enumerate([frame[:30], frame[30:35], frame[35:]]):
        write = part.to_csv if ending == "csv" else part.to_parquet
        write(f"part-{i}.{ending}", index=False)
    options = (*QUICK, "--members", "2", "--json")
    shown = run("fit", f"part-?.{ending}", "--cluster", address, *options, "-o", "c.fastmlp")
    streamed = run("fit", f"part-?.{ending}", "--stream", *options, "-o", "s.fastmlp")
    assert weights("c.fastmlp") == weights("s.fastmlp")
    reports = [json.loads(one.stdout) for one in (shown, streamed)]
    for name in ("rows", "train_rows", "test", "baseline", "loss", "validation_score", "columns"):
        assert reports[0].get(name) == reports[1].get(name)
    assert reports[0]["why"].startswith("2 networks of one kind, whose mean predicts, because the")
    assert "part" not in shown.stderr


def test_several_networks_unless_options_say_more(data, address, monkeypatch):
    monkeypatch.setattr(tables, "_NETWORKS", 2)
    report = json.loads(run("fit", "data.csv", "--cluster", address, "--json").stdout)
    assert report["networks"] == 2 and report["rows"] == 120
    shown = run("fit", "data.csv", "--cluster", address, *QUICK)
    assert "with --members 8 as many" not in shown.stderr  # there is a single worker
    assert "one network, because the table lies on a cluster" in shown.stdout


def test_what_a_cluster_cannot_do(data, address):
    for args, message in {
        ("--stream",): "--stream is for one machine, and --cluster for several; leave out one",
        ("--cache", "."): "--cache needs the --stream",
        ("--refit",): "--refit cannot be used with --cluster; use --test-size 0",
        ("--report", "r.html"): "--report cannot be used with --cluster",
        ("--target", "age", "--target", "city"): "--cluster trains for one target",
        ("--time-limit", "3"): "--time-limit cannot be used on a cluster",
        ("--class-weight", "balanced"): "--class-weight cannot be used on a cluster",
        ("--effort", "high"): "--effort cannot be used here",
        ("--target", "colour"): "data.csv: there is no target column 'colour'",
    }.items():
        assert message in fails("fit", "data.csv", "--cluster", address, *args)
    assert "not in -" in fails("fit", "-", "--cluster", address)
    assert "no scheduler of Dask answers at nowhere" in fails(
        "fit", "data.csv", "--cluster", "nowhere"
    )
    assert not Path("data.fastmlp").exists()


def test_files_of_which_one_lacks_a_column_or_a_target(data, address):
    frame = pd.read_csv("data.csv")
    frame.to_csv("part-1.csv", index=False)
    frame.drop(columns="city").to_csv("part-2.csv", index=False)
    assert "no column 'city'" in fails("fit", "part-?.csv", "--cluster", address)
    frame.assign(**{"class": frame["class"].where(frame.index != 3)}).to_csv(
        "part-2.csv", index=False
    )
    assert "'class' is missing in row 124" in fails("fit", "part-?.csv", "--cluster", address)


def test_files_that_a_worker_does_not_have(data, address, monkeypatch):
    monkeypatch.setattr(tasks.os.path, "exists", lambda path: False)
    assert "all machines of the cluster need it" in fails("fit", "data.csv", "--cluster", address)


def test_a_search_on_a_cluster_is_that_of_one_machine(data, address):
    pytest.importorskip("optuna")
    options = (
        "--trials", 4, "--jobs", 1, "--folds", 1, "--set", "max_iter=10", "--json",
        "--set", "hidden_layer_sizes=[4]", "--search", "learning_rate_init=1e-3..1e-1:log",
    )  # fmt: skip
    found = []
    for more in ((), ("--cluster", address, "--study", "a.study")):
        found.append(json.loads(run("tune", "data.csv", *options, *more).stdout)["trials"])
        for record in found[-1]:
            del record["seconds"]
    assert found[0] == found[1]
    assert load_model("data.fastmlp").report_["test_rows"] > 0
    assert json.loads(run("tune", "data.csv", *options, "--study", "a.study").stdout)
    assert "no scheduler of Dask answers at nowhere" in fails(
        "tune", "data.csv", "--cluster", "nowhere"
    )
