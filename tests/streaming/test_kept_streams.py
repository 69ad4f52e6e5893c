"""Training over shards that ends before its time goes on from its checkpoint, to the same bits."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly

from fastmlp import (
    Checkpoint,
    DivergenceError,
    InputError,
    ModelFileError,
    TabularRegressor,
    load_model,
    save_model,
    train_files,
)
from fastmlp.export.checkpoint_file import read_checkpoint, write_checkpoint
from fastmlp.streaming import training
from fastmlp.streaming.digests import sums_of_columns
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.pack.members import networks_of
from fastmlp.tabular.train import train_table

QUICK = {"hidden_layer_sizes": (6,), "max_iter": 4, "test_size": 0.1}

# The numbers of the visits after which the process is killed, of four shards in each epoch; or, as
# ("write", n), in the middle of the n-th file, of which each epoch has one more.
CASES = {
    "adam": ({}, [1, 4]),
    "sgd": ({"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1}, [13]),
    "adamw": ({"solver": "adamw", "weight_decay": 0.01, "dropout": 0.2}, [5, ("write", 7)]),
    "early stopping": ({"early_stopping": True, "n_iter_no_change": 1, "tol": 0.5}, [9]),
    "plateau": ({"lr_schedule": "plateau", "early_stopping": False}, [("write", 12)]),
    "cycles": ({"lr_schedule": "multi_cycle", "solver": "rmsprop"}, [11]),
    "members": ({"members": 2, "max_iter": 2}, [6, 11]),
    "classes": ({"target": "kind"}, [14]),
}
SCRIPT = """
import json, os, signal, sys
from fastmlp import Checkpoint, train_files
from fastmlp.tabular.pack.members import networks_of

cases, quick = json.loads(sys.argv[1]), json.loads(sys.argv[2])

def trained(options, **further):
    model = train_files("t.csv", **{"max_iter": 4, "tol": 0.0, **quick, **options, **further})
    networks = networks_of(model.estimator_)
    report = {k: v for k, v in model.report_.items() if k not in ("seconds", "pack")}
    return [[[w.tolist() for w in n.coefs_] for n in networks], repr(report), model.n_iter_]

def killed(options, moment):
    visits, writes = [], []

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def told(what, share):
        if what.startswith("epoch"):
            visits.append(what)
            if len(visits) == moment:
                kill()

    def write(handle):
        writes.append(handle)
        if moment == ["write", (len(writes) + 1) // 2] and len(writes) % 2:
            kill()

    os.fsync = write  # the system has what a killed process has written, without waiting
    trained(options, n_jobs=2, told=told, checkpoint=Checkpoint("run.ckpt", 0))
    os._exit(0)

for name, (options, moments) in cases.items():
    visits = []
    whole = trained(options, told=lambda *shown: visits.append(shown))
    visits = [shown for shown in visits if shown[0].startswith("epoch")]
    for moment in moments:
        pid = os.fork()
        if pid == 0:
            try:
                killed(options, moment)
            finally:
                os._exit(1)
        status, again = os.waitpid(pid, 0)[1], []
        told = lambda *shown: again.append(shown)
        is_same = trained(options, n_jobs=1, told=told, checkpoint="run.ckpt") == whole
        again = [shown for shown in again if shown[0].startswith("epoch")]
        print(json.dumps({
            "of": name, "moment": moment, "was_killed": os.WIFSIGNALED(status), "is_same": is_same,
            "n_lost": len(again) + moment - len(visits) if type(moment) is int else 0,
            "is_same_end": again == visits[len(visits) - len(again):],
            "is_left": os.path.exists("run.ckpt"),
        }), flush=True)
"""


def table(n_rows=4500):
    """A table of a number, of text, and of a target that follows from them."""
    rng = np.random.default_rng(0)
    kind, size = rng.integers(0, 3, n_rows), rng.normal(size=n_rows).round(3)
    names = np.array(["oak", "ash", "elm"])[kind]
    return pd.DataFrame({"size": size, "kind": names, "y": (size + kind).round(3)})


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    return tmp_path


def bits(model):
    return [w.tobytes() for n in networks_of(model.estimator_) for w in (*n.coefs_, *n.intercepts_)]


class LostError(Exception):
    pass


def lost_in(epoch, error=LostError):
    """Whoever is told ends training as a fault would, after the first visit of an epoch."""

    def told(what, share):
        if what == f"epoch {epoch}":
            raise error

    return told


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The checkpoint of a training that has ended in its third epoch."""
    folder = tmp_path_factory.mktemp("half")
    table().to_csv(folder / "t.csv", index=False)
    with pytest.raises(LostError):
        train_files(folder / "t.csv", **QUICK, told=lost_in(3), checkpoint=folder / "run.ckpt")
    return (folder / "run.ckpt").read_bytes()


@pytest.fixture
def half(content):
    Path("run.ckpt").write_bytes(content)
    return "run.ckpt"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_streams_that_are_killed_go_on_to_the_same_bits():
    quick = {"hidden_layer_sizes": [6], "test_size": 0.1}
    command = [sys.executable, "-c", SCRIPT, json.dumps(CASES), json.dumps(quick)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == sum(len(moments) for _, moments in CASES.values())
    for moment in found:
        assert moment["was_killed"] and moment["is_same"] and not moment["is_left"], moment
        assert moment["is_same_end"] and moment["n_lost"] == 0, moment


@pytest.mark.parametrize(("epoch", "members"), [(1, 1), (3, 2)])
def test_an_interrupt_waits_for_a_visit_and_leaves_a_checkpoint(epoch, members):
    options = {**QUICK, "members": members}

    def interrupt(what, share):
        if what == f"epoch {epoch}":
            signal.raise_signal(signal.SIGINT)

    whole = train_files("t.csv", **options)
    model = train_files("t.csv", **options, told=interrupt, checkpoint="run.ckpt")
    assert model.report_["interrupted"] and model.report_["epochs"] == epoch - 1
    progress = read_checkpoint("run.ckpt").progress
    assert progress["epochs"] == epoch - 1 and progress["visits"] == 2
    if epoch == 1:
        with pytest.raises(ModelFileError, match="has no model yet"):
            Checkpoint("run.ckpt").model()
    else:
        assert bits(Checkpoint("run.ckpt").model()) == bits(model)
    again = train_files("t.csv", **options, checkpoint="run.ckpt")
    assert bits(again) == bits(whole) and not os.path.exists("run.ckpt")
    assert not again.report_["interrupted"]


def test_an_interrupt_keeps_the_networks_of_a_checkpoint():
    """As of a cluster, which trains them all at once."""
    options = {**QUICK, "members": 2}
    with pytest.raises(LostError):
        train_files("t.csv", **options, told=lost_in(3), checkpoint="run.ckpt")
    kept = read_checkpoint("run.ckpt")
    state = kept.states[0]
    kept.places.append("network 2")
    kept.states.append(state)
    write_checkpoint(kept, "run.ckpt")
    told = lost_in(3, KeyboardInterrupt)
    model = train_files("t.csv", **options, told=told, checkpoint="run.ckpt")
    assert model.report_["networks"] == 2 and model.n_iter_ == 4


def test_a_complete_training_is_not_trained_again_where_its_file_stays():
    kept = Checkpoint("run.ckpt", 0, keep=True)
    model = train_files("t.csv", **QUICK, members=2, checkpoint=kept)
    again = train_files("t.csv", **QUICK, members=2, told=lost_in(1), checkpoint=kept)
    assert bits(again) == bits(model) and os.path.exists("run.ckpt")
    for name in ("validation_score", "epochs", "converged", "test"):
        assert again.report_[name] == model.report_[name]


def test_short_trainings_write_nothing(monkeypatch):
    monkeypatch.setattr(
        "fastmlp.export.checkpoint_file.write_checkpoint", lambda *a: pytest.fail("written")
    )
    train_files("t.csv", **QUICK, checkpoint="run.ckpt")


def test_a_callback_that_ends_training_completes_it(half):
    model = train_files("t.csv", **QUICK, callback=lambda epoch: True, checkpoint=half)
    assert model.n_iter_ == 3 and not os.path.exists(half)


@pytest.mark.parametrize(("epoch", "visit"), [(1, 1), (2, 3)])
def test_a_network_that_a_callback_has_ended_is_not_trained_again(epoch, visit):
    """It ends each network after two epochs; the process is lost while the second one trains."""
    options, calls, visits = {**QUICK, "members": 2}, [], []

    def stops(found):
        calls.append(found.epoch)
        return len(calls) in (2, 4)

    whole = train_files("t.csv", **options, callback=stops)
    assert calls == [1, 2, 1, 2] and whole.report_["converged"]
    calls.clear()

    def told(what, share):
        visits.extend([what] if what.startswith("epoch") else [])
        if visits[8:].count(f"epoch {epoch}") == visit:
            raise LostError

    with pytest.raises(LostError):
        train_files("t.csv", **options, callback=stops, told=told, checkpoint="run.ckpt")
    again = train_files("t.csv", **options, callback=stops, checkpoint="run.ckpt")
    assert bits(again) == bits(whole) and calls == [1, 2, 1, 2]


def test_a_signal_in_the_last_callback_acts_when_the_file_is_written():
    epochs = []

    def act(number, frame):
        epochs.append(read_checkpoint("run.ckpt").progress["epochs"])

    def callback(epoch):
        if epoch.epoch == QUICK["max_iter"]:
            signal.raise_signal(signal.SIGTERM)

    former = signal.signal(signal.SIGTERM, act)
    try:
        train_files("t.csv", **QUICK, callback=callback, checkpoint="run.ckpt")
    finally:
        signal.signal(signal.SIGTERM, former)
    assert epochs == [4]


def test_the_model_so_far_is_an_ordinary_one(half):
    model = Checkpoint(half).model()
    save_model(model, "m.fastmlp")
    frame = read_table("t.csv")
    assert np.array_equal(load_model("m.fastmlp").predict(frame), model.predict(frame))
    two = train_files("t.csv", **{**QUICK, "max_iter": 2})
    best = max(two.estimator_.validation_scores_)
    assert bits(model) == bits(two) and model.estimator_.best_validation_score_ == best


def test_a_bag_so_far_has_the_networks_that_have_begun():
    options = {**QUICK, "max_iter": 2, "members": 3}
    visits = []

    def told(what, share):
        visits.extend([what] if what.startswith("epoch") else [])
        if len(visits) == 14:  # after an epoch and a half of the second one
            raise LostError

    with pytest.raises(LostError):
        train_files("t.csv", **options, told=told, checkpoint="run.ckpt")
    model = Checkpoint("run.ckpt").model()
    assert [member.network.n_iter_ for member in model.estimator_.members] == [2, 1]
    whole = train_files("t.csv", **options)
    first = [networks_of(one.estimator_)[0].coefs_[0].tobytes() for one in (model, whole)]
    assert first[0] == first[1]
    assert model.predict(read_table("t.csv")).shape == (4500,)
    assert bits(train_files("t.csv", **options, checkpoint="run.ckpt")) == bits(whole)


def test_a_network_that_diverges_leaves_the_epochs_before(monkeypatch):
    visit = training.visit

    def diverging(data, plan, position, seed, rate, **options):
        found = visit(data, plan, position, seed, rate, **options)
        return found._replace(loss=np.nan) if seed[1] == 2 else found

    monkeypatch.setattr(training, "visit", diverging)
    with pytest.raises(DivergenceError) as caught:
        train_files("t.csv", **QUICK, checkpoint="run.ckpt")
    assert str(caught.value) == (
        "Training diverged in epoch 3: the loss is not finite. Choose a smaller "
        "learning_rate_init. run.ckpt has the epochs before, of which fastmlp export makes a model."
    )
    assert Checkpoint("run.ckpt").model().n_iter_ == 2


# ---- other trainings ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"alpha": 0.5}, "`alpha` was 'auto' there, and is 0.5 here"),
        ({"hidden_layer_sizes": (7,)}, r"`hidden_layer_sizes` was \(6\) there, and is \(7\) here"),
        ({"members": 2}, "`members` was 1 there, and is 2 here"),
        ({"random_state": 4}, "`random_state` was 0 there, and is 4 here"),
        ({"test_size": 0.2}, "`test_size` was 0.1 there, and is 0.2 here"),
        ({"target": "size"}, "the target was 'y' there, and is 'size' here"),
        ({"drop": "size"}, "the name of column 1 was 'size' there, and is 'kind' here"),
        ({"n_sample": 100}, r"that columns are learned from was \d+ there, and is 100 here"),
    ],
)
def test_other_parameters_are_refused_before_rows_are_dealt(half, options, difference):
    told = []
    with pytest.raises(InputError, match=difference):
        train_files(
            "t.csv", **{**QUICK, **options}, told=lambda *a: told.append(a), checkpoint=half
        )
    assert not any(what == "writing shards" for what, _ in told)
    assert os.path.exists(half)


def reversed_rows(frame):
    return frame.iloc[::-1]


def one_value(frame):
    return frame.assign(size=frame["size"].where(frame.index != 4000, 0.125))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (one_value, "the digest of column 'size' was"),
        (reversed_rows, "the digest of column 'size' was"),
        (lambda f: f.assign(size=-f["size"]), "the digest of column 'size' was"),
        (lambda f: f.replace("oak", "elk"), "the digest of column 'kind' was"),
        (lambda f: f.assign(y=f["y"].where(f.index != 7, 1.25)), "the digest of the target was"),
        (lambda f: f.iloc[1:], "the number of rows was 4500 there, and is 4499 here"),
        (lambda f: f.rename(columns={"size": "SIZE"}), "the name of column 1 was 'size' there"),
    ],
)
def test_other_rows_are_refused_by_their_first_difference(half, change, difference):
    change(table()).to_csv("t.csv", index=False)
    with pytest.raises(InputError, match=difference):
        train_files("t.csv", **QUICK, checkpoint=half)


def test_the_rows_may_lie_in_other_files(half):
    whole = train_files("t.csv", **QUICK)
    rows = table()
    rows[:100].to_csv("a.csv", index=False)
    rows[100:].to_csv("b.csv", index=False)
    found = train_files(["a.csv", "b.csv"], n_rows=700, cache=".", **QUICK, checkpoint=half)
    assert bits(found) == bits(whole)


def test_trainings_in_memory_and_over_shards_are_told_apart(half):
    frame = read_table("t.csv")
    options = {"hidden_layer_sizes": (6,), "max_iter": 4}
    with pytest.raises(InputError, match="fit: the way of training was over shards there, and is"):
        train_table(frame, checkpoint=half, **options)
    kept = Checkpoint("m.ckpt", 0, keep=True)
    fit_quietly(TabularRegressor(**options), frame.drop(columns="y"), frame["y"], checkpoint=kept)
    with pytest.raises(InputError, match="the way of training was missing there, and is over sh"):
        train_files("t.csv", **QUICK, checkpoint="m.ckpt")


def test_files_that_are_damaged_or_foreign_are_refused_before_the_table_is_read(half):
    content = Path(half).read_bytes()
    for damaged in (content[:-30], content[: len(content) // 2], b"y\n1\n"):
        Path(half).write_bytes(damaged)
        with pytest.raises(ModelFileError, match=r"is not a checkpoint|damaged") as error:
            train_files("none.csv", checkpoint=half)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_visits": 5}, "more visits than there are shards"),
        ({"theta": np.zeros(3, np.float32)}, "its weights or rows are not those of this fit"),
        ({"order": np.arange(3)}, "its weights or rows are not those of this fit"),
    ],
)
def test_states_that_do_not_fit_are_refused(half, changes, message):
    kept = read_checkpoint(half)
    for name, value in changes.items():
        setattr(kept.states[0], name, value)
    write_checkpoint(kept, half)
    with pytest.raises(InputError, match=message):
        train_files("t.csv", **QUICK, checkpoint=half)


# ---- sums of columns ---------------------------------------------------------------------


def test_sums_of_parts_add_up_to_those_of_the_whole():
    rng = np.random.default_rng(0)
    tables = [
        rng.normal(size=(9000, 3)),
        rng.integers(0, 200, (9000, 2)).astype(np.uint8),
        rng.integers(-5, 5, (9000, 1)).astype(np.int32),
    ]
    whole = sums_of_columns(50, tables)
    assert whole.dtype == np.uint64 and whole.shape == (6,)
    for cuts in ([1], [0, 4096], [100, 101, 8000]):
        edges = [0, *cuts, 9000]
        parts = [sums_of_columns(50 + i, [one[i:j] for one in tables]) for i, j in pairwise(edges)]
        assert np.array_equal(np.sum(parts, axis=0), whole)
    assert (sums_of_columns(51, tables) != whole).all()


def test_sums_tell_values_apart_that_differ_in_few_bits():
    """Signs and small whole numbers, which are only the highest bits of a float."""
    rng = np.random.default_rng(0)
    for values in (rng.choice([-1.0, 1.0], 300), rng.integers(0, 3, 300).astype(float)):
        seen = {int(sums_of_columns(0, [values[:, None]])[0])}
        for _ in range(3000):
            other = values.copy()
            i, j = rng.choice(np.flatnonzero(other != 0), 2, replace=False)
            other[[i, j]] = -other[[i, j]] if rng.random() < 0.5 else other[[j, i]]
            if (other != values).any():
                assert int(sums_of_columns(0, [other[:, None]])[0]) not in seen
