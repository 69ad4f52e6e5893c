"""``fit --stream`` and ``fit --cluster`` with --checkpoint: killed, interrupted, gone on with."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import fails, run
from fastmlp_cli import stream

from fastmlp import ClusterError, load_model
from fastmlp.export.checkpoint_file import read_checkpoint
from fastmlp.streaming import training
from fastmlp.tabular.pack.members import networks_of

STREAM = ("fit", "data.csv", "--stream", "--hidden", "8", "--epochs", "5")
KEPT = ("--checkpoint", "run.ckpt", "--checkpoint-every", "0")


def weights(path):
    networks = networks_of(load_model(path).estimator_)
    return [w.tobytes() for n in networks for w in (*n.coefs_, *n.intercepts_)]


@pytest.fixture
def data(people, here):
    """So many rows that there are two shards."""
    frame = pd.concat([people] * 30, ignore_index=True)
    frame.to_csv("data.csv", index=False)
    return frame


@pytest.fixture
def act_in(monkeypatch):
    """Lets the bar of the command act in an epoch, after its first visit."""

    before = stream._progress

    def act_in(epoch, act):
        acts = [act]

        @contextmanager
        def bar(quiet):
            def told(what, share):
                if what == f"epoch {epoch}":
                    monkeypatch.setattr(stream, "_progress", before)
                    while acts:
                        acts.pop()()

            yield told, None

        monkeypatch.setattr(stream, "_progress", bar)

    return act_in


def terminate():
    signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def half(data, act_in):
    """The checkpoint of a command that was asked to end in its fourth epoch."""
    act_in(4, terminate)
    return run(*STREAM, "--checkpoint", "run.ckpt", "-o", "half.fastmlp")


def test_an_interrupted_stream_goes_on_to_the_same_model(half, data):
    assert "interrupted after 3 epochs; the weights are kept" in half.stderr
    assert "--resume goes on with run.ckpt" in half.stderr
    assert load_model("half.fastmlp").report_["epochs"] == 3
    assert "go on with --resume, or remove it" in fails(*STREAM, *KEPT)
    result = run(*STREAM, *KEPT, "--resume", "--jobs", "1")
    assert "no checkpoint yet" not in result.stderr and not Path("run.ckpt").exists()
    run(*STREAM, "-o", "whole.fastmlp")
    assert weights("data.fastmlp") == weights("whole.fastmlp") != weights("half.fastmlp")


def test_what_is_shown_and_made_of_its_checkpoint(half, data):
    shown = run("info", "run.ckpt").stdout
    assert "the checkpoint of a training" in shown and "over shards" in shown
    assert "visits" in shown and "TabularClassifier" in shown
    told = json.loads(run("info", "run.ckpt", "--json").stdout)
    assert told["epochs"] == 3 and told["visits"] == 2 and told["has_model"]
    run("export", "run.ckpt", "so-far.fastmlp")
    assert weights("so-far.fastmlp") == weights("half.fastmlp")
    assert run("predict", "so-far.fastmlp", "data.csv").stdout.count("\n") == len(data) + 1
    run("evaluate", "so-far.fastmlp", "data.csv")


def test_other_commands_are_refused_in_one_line(half):
    before = Path("run.ckpt").read_bytes()
    for args, message in {
        ("--alpha", "0.5"): "--alpha was 'auto' there, and is 0.5 here",
        ("--members", "2"): "--members was 1 there, and is 2 here",
        ("--seed", "4"): "--seed was 0 there, and is 4 here",
        ("--test-size", "0.3"): "--test-size was 0.2 there, and is 0.3 here",
        ("--drop", "age"): "the name of column 1 was 'age' there",
    }.items():
        assert message in fails(*STREAM, *KEPT, "--resume", "--quiet", *args)
    assert Path("run.ckpt").read_bytes() == before


def test_the_first_epoch_can_be_gone_on_with(data, act_in):
    act_in(1, terminate)
    result = run(*STREAM, *KEPT, code=130)
    assert "--resume goes on with run.ckpt" in result.stderr
    assert not Path("data.fastmlp").exists()
    assert read_checkpoint("run.ckpt").progress["visits"] == 2
    assert "has no model yet" in fails("export", "run.ckpt", "m.fastmlp")
    run(*STREAM, *KEPT, "--resume")
    run(*STREAM, "-o", "whole.fastmlp")
    assert weights("data.fastmlp") == weights("whole.fastmlp")


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_a_process_that_is_killed_goes_on_to_the_same_bag(data):
    code = """
import contextlib, os, signal, sys
from fastmlp_cli import stream
from fastmlp_cli.main import main
told = []
@contextlib.contextmanager
def bar(quiet):
    def act(what, share):
        told.append(what)
        if told.count("epoch 3") == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    yield act, None
stream._progress = bar
main(sys.argv[1:])
"""
    bag = (*STREAM, "--members", "2")
    command = [sys.executable, "-c", code, *bag, *KEPT]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert read_checkpoint("run.ckpt").places == ["network 1", "network 2"]
    run(*bag, *KEPT, "--resume", "--jobs", "1")
    run(*bag, "-o", "whole.fastmlp")
    assert weights("data.fastmlp") == weights("whole.fastmlp") and not Path("run.ckpt").exists()


def test_a_cluster_that_is_lost_is_told_with_the_way_to_go_on(data, act_in):
    """The clusters of the test are threads of this process, on which --stream goes on."""
    distributed = pytest.importorskip("distributed")

    def lose():
        raise ClusterError("the scheduler at tcp://a:1 was lost; start it anew")

    before = dict(os.environ)
    try:
        with distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
            dashboard_address=":0",
        ) as cluster:  # fmt: skip
            on_cluster = ("fit", "data.csv", "--cluster", cluster.scheduler_address, *STREAM[3:])
            act_in(3, lose)
            message = fails(*on_cluster, *KEPT)
            assert message.endswith("was lost; start it anew; --resume goes on with run.ckpt")
            assert read_checkpoint("run.ckpt").progress["epochs"] == 2
            content = Path("run.ckpt").read_bytes()
            run(*on_cluster, *KEPT, "--resume", "-o", "c.fastmlp")
            assert not Path("run.ckpt").exists()
    finally:
        os.environ.clear()
        os.environ.update(before)
    Path("run.ckpt").write_bytes(content)
    run(*STREAM, *KEPT, "--resume", "-o", "s.fastmlp")
    run(*STREAM, "-o", "whole.fastmlp")
    assert weights("c.fastmlp") == weights("s.fastmlp") == weights("whole.fastmlp")


def test_a_stream_that_diverges_is_no_internal_error(data, monkeypatch):
    visit = training.visit

    def diverging(rows, plan, position, seed, rate, **options):
        found = visit(rows, plan, position, seed, rate, **options)
        return found._replace(loss=np.nan) if seed[1] == 2 else found

    monkeypatch.setattr(training, "visit", diverging)
    assert fails(*STREAM, *KEPT).endswith(
        "Training diverged in epoch 3: the loss is not finite. Choose a smaller --learning-rate. "
        "run.ckpt has the epochs before, of which fastmlp export makes a model."
    )
    run("export", "run.ckpt", "so-far.fastmlp")
    assert load_model("so-far.fastmlp").n_iter_ == 2


def test_files_are_checked_before_the_table_is_read(data, monkeypatch):
    monkeypatch.setattr("fastmlp.streaming.fit.look_at", lambda *a, **k: pytest.fail("it is read"))
    for args, message in {
        ("--resume",): "--resume needs the --checkpoint",
        ("--checkpoint", "data.csv"): "this is another file of this command",
        ("--checkpoint", "no/run.ckpt"): "there is no folder",
    }.items():
        assert message in fails(*STREAM, *args)
    Path("run.ckpt").write_bytes(np.arange(9).tobytes())
    assert "exists and is not a checkpoint" in fails(*STREAM, *KEPT, "--resume")
