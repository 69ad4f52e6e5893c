"""``fit --checkpoint``, and what the other commands make of the file."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import QUICK, fails, run
from test_signals import bar_that

from fastmlp import load_model
from fastmlp.export.checkpoint_file import read_checkpoint
from fastmlp.tabular.pack.members import networks_of

KEPT = ("--checkpoint", "run.ckpt", "--checkpoint-every", "0")


class KilledError(BaseException):
    pass


def killed_at(monkeypatch, number):
    """Let the callback of the command end the process, as it seems, when it is called again."""

    def act(epoch):
        if epoch == number:
            raise KilledError

    with monkeypatch.context() as patched:
        bar_that(patched, act)
        with pytest.raises(KilledError):
            run("fit", "data.csv", *QUICK, *KEPT)


def weights(path):
    model = load_model(path)
    return [w for net in networks_of(model.estimator_) for w in (*net.coefs_, *net.intercepts_)]


@pytest.fixture
def half(data, monkeypatch):
    killed_at(monkeypatch, 6)
    return Path("run.ckpt")


def test_a_killed_command_goes_on_to_the_same_model(half):
    assert not Path("data.fastmlp").exists()
    result = run("fit", "data.csv", *QUICK, *KEPT, "--resume", "--jobs", "1")
    assert "no checkpoint yet" not in result.stderr and not half.exists()
    run("fit", "data.csv", *QUICK, "-o", "whole.fastmlp")
    pairs = zip(weights("data.fastmlp"), weights("whole.fastmlp"), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_a_process_that_is_killed_goes_on_to_the_same_pack(data):
    """In a process of its own, whose callback sends SIGKILL when the third network is done."""
    code = """
import contextlib, os, signal, sys
from fastmlp_cli import progress
from fastmlp_cli.main import main
@contextlib.contextmanager
def bar(quiet):
    yield lambda done: done.done == 3 and os.kill(os.getpid(), signal.SIGKILL)
progress.progress_bar = bar
main(sys.argv[1:])
"""
    pack = ("fit", "data.csv", "--members", "4", "--hidden", "6", "--epochs", "5")
    command = [sys.executable, "-c", code, *pack, *KEPT, "--jobs", "1"]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    shown = run("info", "run.ckpt").stdout
    assert "the checkpoint of a training" in shown and "networks" in shown
    run(*pack, *KEPT, "--resume")
    run(*pack, "-o", "whole.fastmlp")
    pairs = zip(weights("data.fastmlp"), weights("whole.fastmlp"), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs) and not Path("run.ckpt").exists()


def test_without_resume_a_checkpoint_is_not_replaced(half):
    before = half.read_bytes()
    message = fails("fit", "data.csv", *QUICK, *KEPT)
    assert "go on with --resume, or remove it" in message and half.read_bytes() == before


def test_resume_begins_where_there_is_no_checkpoint(data):
    result = run("fit", "data.csv", *QUICK, *KEPT, "--resume")
    assert "there is no checkpoint yet, and the training begins" in result.stderr
    assert Path("data.fastmlp").exists() and not Path("run.ckpt").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--alpha", "0.5"), "--alpha was 'auto' there, and is 0.5 here"),
        (("--set", "dropout=0.1"), "--set dropout=... was 'auto' there, and is 0.1 here"),
        (("--drop", "age"), "the name of column 1 was 'age' there"),
        (("--seed", "4"), "--seed was 0 there, and is 4 here"),
    ],
)
def test_other_commands_are_refused_in_one_line(half, args, message):
    before = half.read_bytes()
    assert message in fails("fit", "data.csv", *QUICK, *KEPT, "--resume", "--quiet", *args)
    assert half.read_bytes() == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--resume",), "--resume needs the --checkpoint"),
        (("--checkpoint-every", "5"), "--checkpoint-every needs the --checkpoint"),
        (("--checkpoint", "data.csv"), "this is another file of this command"),
        (("--checkpoint", "m", "-o", "m"), "this is another file of this command"),
        (("--checkpoint", "other.csv"), "exists and is not a checkpoint"),
        (("--checkpoint", "no/run.ckpt"), "there is no folder"),
        (("--checkpoint", "run.ckpt", "--checkpoint-every", "nan"), "nan"),
        (("--set", "checkpoint=1"), "'checkpoint' is no parameter of a model"),
    ],
)
def test_files_are_checked_before_the_table_is_read(data, monkeypatch, args, message):
    Path("other.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr("fastmlp.tabular.csv.read_table", lambda *a, **k: pytest.fail("it is read"))
    assert message in run("fit", "data.csv", *args, code=2).stderr


def test_an_interrupted_training_can_go_on(data, monkeypatch):
    with monkeypatch.context() as patched:
        bar_that(patched, lambda epoch: epoch == 3 and signal.raise_signal(signal.SIGTERM))
        result = run("fit", "data.csv", *QUICK, "--checkpoint", "run.ckpt")
    assert "--resume goes on with run.ckpt" in result.stderr
    assert load_model("data.fastmlp").report_["epochs"] == 3
    assert read_checkpoint("run.ckpt").progress["epochs"] == 3
    run("fit", "data.csv", *QUICK, "--checkpoint", "run.ckpt", "--resume")
    assert load_model("data.fastmlp").report_["epochs"] > 3 and not Path("run.ckpt").exists()


def test_info_says_how_far_the_training_has_come(half):
    shown = run("info", "run.ckpt").stdout
    assert "epochs" in shown and "loss" in shown and "TabularClassifier" in shown
    told = json.loads(run("info", "run.ckpt", "--json").stdout)
    assert told["holds"] == "checkpoint" and told["epochs"] == 5 and told["has_model"]


def test_a_checkpoint_becomes_a_model(half, data):
    result = run("export", "run.ckpt", "so-far.fastmlp")
    assert "so-far.fastmlp" in result.stdout
    assert len(load_model("so-far.fastmlp").predict(data)) == len(data)
    assert run("predict", "so-far.fastmlp", "data.csv").stdout.count("\n") == len(data) + 1
    run("evaluate", "so-far.fastmlp", "data.csv")
    run("info", "so-far.fastmlp")
    assert "exists and is not a model" in fails("export", "run.ckpt", "data.csv")


def test_a_checkpoint_becomes_a_graph(half):
    pytest.importorskip("onnx")
    run("export", "run.ckpt", "so-far.onnx")
    assert Path("so-far.onnx").stat().st_size > 100


def test_a_checkpoint_is_neither_a_model_nor_a_table(half):
    assert "the checkpoint of a fit, and not a model" in fails("predict", "run.ckpt", "data.csv")
    assert "this is a checkpoint, and not a table" in fails("fit", "run.ckpt")
    assert "is not a model of fastmlp" in fails("fit", "data.csv", *QUICK, "-o", "run.ckpt")
