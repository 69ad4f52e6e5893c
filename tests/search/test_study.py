"""Studies: what a killed process leaves, several processes at once, and files of other kinds."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from fastmlp import InputError, MLPClassifier, tune
from fastmlp.search import owners
from fastmlp.search.journal import StudyLock

pytest.importorskip("optuna")

SPACE = {"hidden_layer_sizes": "4/8/4,4", "learning_rate_init": "1e-3..1e-1:log"}
N_TRIALS = 12
SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from test_study import search
search({path!r})
"""


def rows():
    X = np.random.RandomState(0).normal(size=(120, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] ** 2 > 1).astype(int)


def search(path=None, n_trials=N_TRIALS, data=None, **options):
    """The candidates of a small search in the order of their numbers, without their times."""
    X, y = data or rows()
    model = MLPClassifier((4,), max_iter=45, n_iter_no_change=100, random_state=0, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = tune(
            model, X, y, n_trials=n_trials, study=path, refit=False, n_folds=1,
            **{"space": SPACE, **options},
        )  # fmt: skip
    found = sorted(result.trials, key=lambda record: record["candidate"])
    return [{k: v for k, v in record.items() if k != "seconds"} for record in found]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The candidates of a search that nothing interrupted, and the journal of it."""
    path = tmp_path_factory.mktemp("study") / "whole.study"
    return search(path), path.read_bytes()


def finished(journal):
    """Numbers that Optuna has given to the trials that a journal says are complete or pruned."""
    states = {}
    for line in journal.splitlines():
        operation = json.loads(line)
        if operation["op_code"] == 6:
            states[operation["trial_id"]] = operation["state"]
    return {trial for trial, state in states.items() if state in (1, 2)}


def test_a_file_changes_nothing(whole):
    assert whole[0] == search()
    assert {record["state"] for record in whole[0]} == {"complete", "stopped"}


@pytest.mark.parametrize("seed", range(10))
def test_a_process_killed_at_any_byte_loses_nothing(whole, seed, tmp_path):
    """The journal is cut at a random byte, which is what kill -9 can leave of a write."""
    records, journal = whole
    path = tmp_path / "cut.study"
    cut = random.Random(seed).randrange(1, len(journal))
    path.write_bytes(journal[:cut])
    before = finished(journal[: journal[:cut].rfind(b"\n") + 1])
    assert search(path) == records
    after = path.read_bytes()
    assert after.endswith(b"\n") and before <= finished(after)


def test_a_process_that_is_killed(whole, tmp_path):
    path = tmp_path / "killed.study"
    script = SCRIPT.format(folder=os.path.dirname(__file__), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script])
    while process.poll() is None and not (path.exists() and path.stat().st_size > 5000):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.stat().st_size > 0
    assert search(path) == whole[0]


def test_two_processes_share_a_study(tmp_path):
    path = tmp_path / "shared.study"
    script = SCRIPT.format(folder=os.path.dirname(__file__), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script])
    while process.poll() is None and not (path.exists() and path.stat().st_size > 3000):
        time.sleep(0.001)
    search(path)
    assert process.wait() == 0
    found = search(path)
    assert [record["candidate"] for record in found] == list(range(N_TRIALS))
    assert {record["state"] for record in found} <= {"complete", "stopped"}
    reports = [json.loads(line) for line in path.read_bytes().splitlines()]
    scores = [(r["trial_id"], r["step"]) for r in reports if r["op_code"] == 7]
    assert len(scores) == len(set(scores))  # nothing was fitted twice


def test_threads_try_each_candidate_once():
    found = search(n_jobs=3)
    assert [record["candidate"] for record in found] == list(range(N_TRIALS))
    assert {record["state"] for record in found} <= {"complete", "stopped"}


def test_more_candidates_are_added_to_a_study(whole, tmp_path):
    path = tmp_path / "more.study"
    path.write_bytes(whole[1])
    more = search(path, n_trials=N_TRIALS + 2)
    assert more[:N_TRIALS] == whole[0] and len(more) == N_TRIALS + 2
    assert search(path, n_trials=3) == more


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": (rows()[0] + 1, rows()[1])}, "digest of X"),
        ({"data": (rows()[0], 1 - rows()[1])}, "digest of y"),
        ({"space": {**SPACE, "alpha": "0..1"}}, "space of `alpha` was none"),
        ({"scoring": "accuracy"}, "the metric was log_loss, and here it is accuracy"),
        ({"random_state": 1}, "`random_state` of the search was 0"),
    ],
)
def test_another_search_is_refused(whole, changed, message, tmp_path):
    path = tmp_path / "other.study"
    path.write_bytes(whole[1])
    with pytest.raises(InputError, match=f"study of another search, in which .*{message}"):
        search(path, **changed)
    assert path.read_bytes() == whole[1]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n3", b"{}", b"PK\3\4"])
def test_other_files_are_refused_and_kept(content, tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no study"):
        search(path)
    assert path.read_bytes() == content


def test_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="this is a folder"):
        search(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        search(tmp_path / "none" / "a.study")


def test_a_damaged_study_is_one_line(whole, tmp_path):
    path = tmp_path / "damaged.study"
    lines = whole[1].splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], b'{"op_code":4,\n', *lines[5:]]))
    with pytest.raises(InputError, match="the study is damaged"):
        search(path)


def test_the_lock_cuts_off_a_torn_line_only(tmp_path):
    path = tmp_path / "lines"
    for content, kept in ((b"", b""), (b"ab\ncd", b"ab\n"), (b"ab\n", b"ab\n"), (b"abc", b"")):
        path.write_bytes(content)
        lock = StudyLock(str(path))
        lock.acquire()
        lock.acquire()
        lock.release()
        lock.release()
        assert path.read_bytes() == kept
    path.write_bytes(b"first\n" + b"x" * 200_000)
    lock.acquire()
    lock.release()
    assert path.read_bytes() == b"first\n"


def test_who_is_gone():
    owners.begin("here")
    try:
        sign = owners.sign_of("here")
        assert not owners.is_gone(sign)
        assert owners.is_gone({**sign, "search": "another"})
        assert owners.is_gone(None)
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        assert owners.is_gone({**sign, "process": ended.pid, "started": "1"})
        elsewhere = {**sign, "machine": "elsewhere"}
        assert not owners.is_gone(elsewhere)
        assert owners.is_gone({**elsewhere, "seen": time.time() - 4000})
    finally:
        owners.end("here")
    assert owners.is_gone(sign)
