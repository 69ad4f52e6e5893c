"""A fit that is killed at any moment goes on from its checkpoint, to the same bits."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

# Each moment is an epoch whose callback kills the process, or, as ("write", n), the n-th time that
# a file has been written and not yet renamed.
NETWORKS = {
    "adam": ("C()", [1, 2, 11]),
    "sgd": (
        "C(solver='sgd', nesterovs_momentum=True, learning_rate='adaptive')",
        [7, ("write", 4)],
    ),
    "gd": ("C(solver='gd')", [5]),
    "adagrad": ("C(solver='adagrad')", [3]),
    "rmsprop": ("C(solver='rmsprop', weight_decay=0.01)", [8]),
    "adamw": ("C(solver='adamw', class_weight='balanced')", [9]),
    "nadam": ("C(solver='nadam', clip_norm=0.5, l1=0.001)", [4]),
    "early stopping": ("C(early_stopping=True, n_iter_no_change=9, dropout=0.2)", [6, 10]),
    "averaging": ("C(swa_start=4, solver='sgd', lr_schedule='cosine')", [3, 8]),
    "plateau": ("R(lr_schedule='plateau', early_stopping=True, scoring='loss')", [("write", 7)]),
    "cycles": ("R(lr_schedule='multi_cycle', early_stopping=True, monitor=True)", [4]),
    "no shuffle": ("R(shuffle=False, dropout=0.3, max_norm=1.0)", [6]),
}
TABLES = {
    "pack": ("TabularClassifier(members=4, hidden_layer_sizes=(5,), max_iter=6)", [1, 3]),
    "kinds": ("TabularRegressor(members=6)", [("write", 5)]),
    "targets": ("TabularRegressor(hidden_layer_sizes=(5,), max_iter=6)", [3, 9]),
}
SCRIPT = """
import json, os, signal, sys, warnings
import numpy as np
import pandas as pd
from fastmlp import Checkpoint, MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

warnings.simplefilter("ignore")
path, cases = sys.argv[1], json.loads(sys.argv[2])
rng = np.random.default_rng(0)
X = rng.normal(size=(90, 4))
labels, numbers = (X[:, 0] + X[:, 1] > 0.4).astype(int), X @ [1.0, 2.0, -1.0, 0.5]
table = pd.DataFrame(X, columns=list("abcd")).assign(e=np.where(X[:, 0] > 0, "x", "y"))
COMMON = dict(hidden_layer_sizes=(6,), max_iter=14, random_state=1, tol=0.0)
C = lambda **options: MLPClassifier(**COMMON | options)
R = lambda **options: MLPRegressor(**COMMON | options)

def fit(code, n_jobs, **options):
    model = eval(code).set_params(n_jobs=n_jobs)
    if code.startswith("Tab"):
        several = np.column_stack([numbers, -numbers]) if "max_iter" in code else numbers
        return model.fit(table, labels if "Classifier" in code else several, **options)
    return model.fit(X, labels if code.startswith("C") else numbers, X[:, 3] ** 2, **options)

def told(model):
    if hasattr(model, "preprocessor_") or hasattr(model, "models_"):
        rows = getattr(model, "predict_proba", model.predict)(table)
        return [np.asarray(rows).tobytes(), model.n_iter_]
    history = {name: values for name, values in model.history_.items() if name != "seconds"}
    memory = model._optimizer.step, model._optimizer.first, model._optimizer.second
    return [repr([w.tolist() for w in (*model.coefs_, *model.intercepts_)]), repr(history),
            repr(model.validation_scores_), model.loss_curve_, model.n_iter_, repr(memory)]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def killed(code, moment):
    events, writes, fsync = [], [], os.fsync

    def event(what):
        events.append(what)
        if len(events) == moment:
            kill()

    def write(handle):
        writes.append(handle)
        if moment == ["write", (len(writes) + 1) // 2] and len(writes) % 2:
            kill()
        fsync(handle)

    os.fsync = write
    fit(code, 2, callback=event, checkpoint=Checkpoint(path, every=0))
    os._exit(0)

for name, (code, moments) in cases.items():
    whole = told(fit(code, None))
    for moment in moments:
        pid = os.fork()
        if pid == 0:
            try:
                killed(code, moment)
            finally:
                os._exit(1)
        status = os.waitpid(pid, 0)[1]
        events, had_file = [], os.path.exists(path)
        again = fit(code, 1, callback=events.append, checkpoint=path)
        first = getattr(events[0], "epoch", None) if events else None
        print(json.dumps({
            "of": name, "moment": moment, "was_killed": os.WIFSIGNALED(status), "first": first,
            "had_file": had_file, "is_same": told(again) == whole, "is_left": os.path.exists(path),
        }), flush=True)
"""


def moments_of(cases, folder):
    """What became of each fit that was killed, and of the one that went on with it."""
    command = [sys.executable, "-c", SCRIPT, str(folder / "fit.ckpt"), json.dumps(cases)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == sum(len(moments) for _, moments in cases.values())
    return found


def test_networks_go_on_to_the_same_bits(tmp_path):
    for moment in moments_of(NETWORKS, tmp_path):
        assert moment["was_killed"] and moment["is_same"] and not moment["is_left"], moment
        at = moment["moment"]
        assert moment["had_file"] == (at != 1), moment
        # The epoch in whose callback it was killed is the first one that is trained again. The
        # write that was killed is that of an epoch, which is trained again as well.
        assert moment["first"] == (at if isinstance(at, int) else at[1]), moment


def test_packs_and_several_targets_go_on_to_the_same_bits(tmp_path):
    for moment in moments_of(TABLES, tmp_path):
        assert moment["was_killed"] and moment["is_same"] and not moment["is_left"], moment
        assert moment["had_file"], moment


def test_there_are_twenty_moments():
    cases = {**NETWORKS, **TABLES}
    assert sum(len(moments) for _, moments in cases.values()) >= 20
