"""Searches whose candidates are measured on workers: the same candidates, and what can fail."""

import contextlib
import gc
import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import InterruptedTrainingWarning, MLPRegressor, TabularClassifier, tune
from fastmlp.cluster import calls, clients, tasks
from fastmlp.cluster.calls import Calls
from fastmlp.exceptions import ClusterError, InputError

distributed = pytest.importorskip("distributed")
pytest.importorskip("optuna")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SPACE = {"learning_rate_init": "1e-3..1e-1:log"}
RNG = np.random.RandomState(0)
X = RNG.normal(size=(150, 3))
Y = X[:, 0] - X[:, 1] * X[:, 2]
FRAME = pd.DataFrame(X, columns=list("abc")).assign(d=np.where(X[:, 0] > 0, "up", "down"))
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 20, "random_state": 0}
# One that trains until somebody ends it.
ENDLESS = MLPRegressor(
    hidden_layer_sizes=(4,), max_iter=10**9, tol=0, n_iter_no_change=10**9, random_state=0
)


def tuned(client, estimator=None, X=X, y=Y, **options):
    estimator = estimator or MLPRegressor(**SMALL)
    return tune(
        estimator, X, y, client=client,
        **{"space": SPACE, "n_trials": 6, "n_folds": 2, "refit": False, **options},
    )  # fmt: skip


def candidates(result):
    """All that is known of the candidates but their times, in the order of their numbers."""
    found = sorted(result.trials, key=lambda record: record["candidate"])
    return [{k: v for k, v in record.items() if k != "seconds"} for record in found]


def fails(error, client, **options):
    with pytest.raises(error) as caught:
        tuned(client, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def is_idle(client):
    """Whether no task runs, which is waited for, since a task ends with its epoch."""
    while any(client.run(lambda dask_worker: dask_worker.state.executing_count).values()):
        time.sleep(0.01)
    return True


@pytest.mark.parametrize(
    ("estimator", "rows", "target", "options"),
    [
        (MLPRegressor(**SMALL), X, Y, {}),
        (
            make_pipeline(StandardScaler(), MLPRegressor(**SMALL)), X, Y,
            {"space": {"mlpregressor__alpha": "1e-5..1:log"}},
        ),
        (TabularClassifier(**SMALL), FRAME, pd.Series(Y > 0, name="y"), {"n_folds": 1}),
    ],
)  # fmt: skip
def test_one_candidate_at_a_time_is_the_search_of_one_machine(
    client, estimator, rows, target, options
):
    found = [
        candidates(tuned(one, estimator, rows, target, **options, n_jobs=1))
        for one in (None, client)
    ]
    assert found[0] == found[1] and len(found[0]) == 6


def test_as_many_candidates_at_a_time_as_workers_have_threads(client, threads, monkeypatch):
    most, chosen = 0, set()
    choose = Calls._chosen_worker

    @contextlib.contextmanager
    def noted(self):
        nonlocal most
        with choose(self) as worker:
            most = max(most, sum(self._busy.values()))
            chosen.update(worker)
            yield worker

    monkeypatch.setattr(Calls, "_chosen_worker", noted)
    for cluster, n_threads in ((client, 2), (threads, 3)):
        most = 0
        chosen.clear()
        result = tuned(cluster, n_trials=10)
        assert [r["candidate"] for r in candidates(result)] == list(range(10))
        assert {r["state"] for r in result.trials} <= {"complete", "stopped"}
        assert most == n_threads and chosen == set(cluster.nthreads())
    most = 0
    tuned(threads, n_jobs=2)
    assert most == 2


def test_the_best_is_trained_here_and_the_workers_forget_the_rows(client):
    others = set(client.who_has())  # of data that other tests have made
    result = tuned(client, refit=True)
    assert result.best_estimator_.n_iter_ == 20
    assert len(result.best_estimator_.predict(X)) == len(X)
    while client.who_has().keys() - others:
        time.sleep(0.01)


def test_a_worker_that_is_killed_loses_no_candidate(client, tmp_path):
    """It dies in the middle of the search, while it measures a candidate."""

    def score(model, A, b):
        with open(tmp_path / "calls", "a+") as file:
            file.write(".")
            n_calls = file.tell()
        if n_calls == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return model.score(A, b)

    before = set(client.run(os.getpid).values())
    found = candidates(tuned(client, scoring=score, n_jobs=1))
    client.wait_for_workers(2)
    assert len(before - set(client.run(os.getpid).values())) == 1
    assert found == candidates(tuned(None, scoring=score))


def test_what_fails_is_the_candidate(client):
    space = {"learning_rate_init": [1e-3, 1e30]}
    result = tuned(client, MLPRegressor(**SMALL, solver="sgd"), space=space, n_trials=10)
    failed = [r for r in result.trials if r["state"] == "failed"]
    assert failed and all("DivergenceError" in r["error"] for r in failed)
    assert result.best_params_.get("learning_rate_init") != 1e30
    with pytest.raises(ValueError, match="NaN") as caught:
        tuned(client, X=np.where(X > 2, np.nan, X))
    assert "On the worker:" in caught.value.__notes__[0] and ", line " in caught.value.__notes__[0]


class _TwoWordsError(ValueError):
    """An error that can be written, but not be read again."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def test_errors_that_another_process_cannot_read(client, capfd):
    def picky(model, A, b):
        if model.alpha == 2.0:
            raise _TwoWordsError("too", "large")
        if model.tol == 2.0:
            error = KeyError("odd")
            error.lock = threading.Lock()
            raise error
        return model.score(A, b)

    options = {"scoring": picky, "n_trials": 4, "n_jobs": 1, "space": {"alpha": [1.0, 2.0]}}
    result = tuned(client, **options)
    failed = {r["error"] for r in result.trials if r["state"] == "failed"}
    assert failed == {"ValueError: _TwoWordsError: too large"}
    with pytest.raises(RuntimeError, match="KeyError: 'odd'") as caught:
        tuned(client, MLPRegressor(**SMALL, tol=2.0), **options)
    assert "On the worker:" in caught.value.__notes__[0]
    assert capfd.readouterr().err == ""


def test_a_candidate_of_which_workers_die(mortal):
    """One is failed by it, as one that does not fit in this process's memory."""

    def deadly(model, A, b):
        if model.alpha == 2.0 or model.tol == 2.0:
            os.kill(os.getpid(), signal.SIGKILL)
        return model.score(A, b)

    options = {"scoring": deadly, "n_jobs": 1, "space": {"alpha": [1.0, 2.0]}}
    result = tuned(mortal, n_trials=4, **options)
    failed = {r["error"] for r in result.trials if r["state"] == "failed"}
    assert failed == {"MemoryError: 1 workers in turn died of it"}
    estimator = MLPRegressor(**SMALL, tol=2.0)
    message = fails(ClusterError, mortal, estimator=estimator, **options)
    assert "not enough memory (1 workers in turn died of it); give workers more" in message


def test_the_limit_of_time_ends_fits_on_workers(client, threads):
    tuned(client, n_trials=1)  # compiles what the fits need
    for cluster in (client, threads):
        result = tuned(cluster, ENDLESS, n_trials=None, time_limit=2.0, n_folds=1)
        assert [r["start"] for r in result.trials if r["state"] == "complete"] == ["defaults"]
        assert is_idle(cluster)  # or the test would never end


def test_ctrl_c_ends_fits_on_workers(threads, tmp_path):
    def callback(progress):
        if progress.n_finished and not progress.is_final:
            raise KeyboardInterrupt

    with pytest.warns(InterruptedTrainingWarning):
        result = tuned(
            threads, n_trials=20, callback=callback, study=tmp_path / "a.study", refit=True
        )
    assert result.is_interrupted and result.best_estimator_.n_iter_ > 0
    assert not [r for r in result.trials if r["state"] == "running"]
    with pytest.raises(KeyboardInterrupt):  # before anything is known
        tuned(threads, ENDLESS, callback=lambda progress: callback(progress) or True)
    assert is_idle(threads)


def _until_it_is_unwanted(value, is_wanted):
    while is_wanted():
        time.sleep(0.01)


def test_a_client_that_is_gone_wants_nothing(client):
    """Also of a process that was killed: its connection ends, too."""
    other = distributed.Client(client.scheduler.address, set_as_default=False)
    made = Calls(other, 0)
    running = other.submit(calls._called, _until_it_is_unwanted, made._value, (), pure=False)
    while not any(client.run(lambda dask_worker: dask_worker.state.executing_count).values()):
        time.sleep(0.01)
    assert not running.done()  # kept until here, since a future that nobody holds is released
    other.close()
    assert is_idle(client)


def _quick_at_first(value, is_wanted, folder):
    with open(folder / "calls", "a+") as file:
        file.write(".")
        n_calls = file.tell()
    if n_calls > 1:
        _until_it_is_unwanted(value, is_wanted)
    return value


def test_a_worker_that_dies_before_its_result_is_fetched(client, tmp_path, monkeypatch):
    """While it is computed again, the caller is asked as before."""
    pids = client.run(os.getpid)
    wait = Calls._wait

    def waited(self, future, is_wanted):
        is_done = wait(self, future, is_wanted)
        if is_done and pids:
            (worker,) = client.who_has(future)[future.key]
            os.kill(pids[worker], signal.SIGKILL)
            pids.clear()
        return is_done

    made = Calls(client, 0)
    monkeypatch.setattr(Calls, "_wait", waited)
    path = tmp_path / "calls"
    found = made.call(
        _quick_at_first,
        tmp_path,
        is_wanted=lambda: not path.exists() or path.stat().st_size < 2,
    )
    assert found is None and path.stat().st_size == 2
    client.wait_for_workers(2)
    assert is_idle(client)
    gc.collect()  # Dask logs what was given up, which is not to happen while pytest ends


def _has(version):
    """Let a worker have another version of fastmlp, or its own for None."""
    tasks.versions.cache_clear()
    if version:
        tasks.versions()["fastmlp"] = version


def test_workers_that_joined_later_have_to_have_the_same_versions(client):
    client.run(_has, "0.0")
    try:
        with pytest.raises(ClusterError) as caught:
            Calls(client, 0)
    finally:
        client.run(_has, None)
    assert str(caught.value).startswith("the worker tcp://")
    assert "has fastmlp 0.0, and the process that trains has" in str(caught.value)


@pytest.mark.parametrize("what", ["client", "scheduler"])
def test_a_cluster_that_is_lost_leaves_the_study(what, tmp_path):
    cluster = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
    client = distributed.Client(cluster, set_as_default=False)
    study = tmp_path / "a.study"

    def callback(progress):
        if progress.n_finished == 2 and client.status == "running":
            (client if what == "client" else cluster).close()

    options = {"n_jobs": 1, "study": study}
    message = fails(ClusterError, client, callback=callback, **options)
    assert "client was closed" in message or ("scheduler" in message and "was lost" in message)
    assert message.endswith(f"{study} keeps what was tried, and the same search goes on with it")
    client.close()
    cluster.close()
    assert candidates(tuned(None, **options)) == candidates(tuned(None))


def test_a_cluster_whose_workers_are_all_lost(threads, monkeypatch):
    monkeypatch.setattr(calls, "_SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(clients, "_SECONDS_WITHOUT_WORKERS", 0.0)
    n_threads = threads.nthreads

    def callback(progress):
        monkeypatch.setattr(threads, "nthreads", lambda: {})

    message = fails(ClusterError, threads, estimator=ENDLESS, callback=callback)
    assert "has had no workers for a minute" in message and ".study" not in message
    monkeypatch.setattr(threads, "nthreads", n_threads)
    assert is_idle(threads)


def test_clients_that_cannot_be_used(threads, monkeypatch):
    assert "must be a distributed.Client, not a str" in fails(ClusterError, "tcp://a:1")
    client = distributed.Client(threads.scheduler.address, set_as_default=False)
    client.close()
    assert "the client is closed" in fails(ClusterError, client)
    monkeypatch.setattr(threads, "nthreads", lambda: {})
    assert "has no workers; start some" in fails(ClusterError, threads)


class _OnlyHere:
    """A metric that another process cannot read."""

    __name__ = "only_here"

    def __init__(self):
        self.process = os.getpid()

    def __call__(self, model, A, b):
        return model.score(A, b)

    def __setstate__(self, state):
        if os.getpid() != state["process"]:
            raise ModuleNotFoundError("No module named 'mine'")
        self.__dict__.update(state)


def test_what_cannot_be_sent(client, capfd):
    lock = threading.Lock()

    def locked(model, A, b):
        with lock:
            return model.score(A, b)

    message = fails(InputError, client, scoring=locked)
    assert "cannot be sent to workers (TypeError: cannot pickle '_thread.lock' object)" in message
    assert capfd.readouterr().err == ""
    message = fails(ClusterError, client, scoring=_OnlyHere())
    assert "a worker cannot read what is sent to it (ModuleNotFoundError: No module" in message
