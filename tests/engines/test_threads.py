"""The team of threads: barriers, failures, forks, and many teams at once."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import weakref

import joblib
import numpy as np
import pytest
from helpers import close_idle_teams, fit_quietly, flat, use_all_threads

from fastmlp import MLPClassifier
from fastmlp.engines.cpu import engine, threads
from fastmlp.engines.cpu.threads import Team, default_n_threads


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 40))
    return X, X[:, :4].argmax(axis=1)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Teams of two, also on a machine with one core."""
    use_all_threads(monkeypatch)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 2)


def fit(problem, n_jobs, **params):
    # Large enough a step for a team of two.
    model = MLPClassifier((64, 64), random_state=0, max_iter=3, tol=0, n_jobs=n_jobs, **params)
    with pytest.warns(match="Maximum iterations"):
        return model.fit(*problem)


def test_every_member_runs_with_its_number():
    seen = []
    with Team(3) as team:
        team.run(lambda number, n_threads, barrier, x: seen.append((number, n_threads, x)), "x")
    assert sorted(seen) == [(0, 3, "x"), (1, 3, "x"), (2, 3, "x")]


def test_failure_of_a_member_is_raised_and_the_team_goes_on():
    def fail(number, n_threads, barrier):
        if number == 1:
            raise ArithmeticError("member 1")

    with Team(2) as team:
        with pytest.raises(ArithmeticError, match="member 1"):
            team.run(fail)
        team.run(lambda *args: None)


def test_a_member_that_has_not_begun_is_not_waited_for():
    is_held, may_go, seen = threading.Event(), threading.Event(), []

    def hold(number, *args):
        if number == 1:
            is_held.set()
            may_go.wait()

    with Team(2) as team:
        first = threading.Thread(target=team.run, args=(hold,))
        first.start()
        is_held.wait()
        team.run(lambda number, *args: seen.append(number), may_be_fewer=True)
        may_go.set()
        first.join()
        team.run(lambda number, *args: seen.append(number))
    assert sorted(seen) == [0, 0, 1]  # the member does only its part of the last job


def test_members_of_a_borrowed_team_stay_for_the_next_call():
    def members():
        found = set()
        with threads.borrowed_team() as team:
            team.run(lambda *args: found.add(threading.get_ident()), n_threads=3)
        return found

    close_idle_teams()
    assert members() == members()
    with threads.borrowed_team() as one, threads.borrowed_team() as other:
        assert one is not other
    with pytest.raises(ArithmeticError), threads.borrowed_team() as broken:
        raise ArithmeticError
    assert broken not in threads._idle_teams
    assert workers() == []


def test_members_that_wait_keep_no_array():
    array = np.zeros(3)
    is_kept = weakref.ref(array)
    with Team(2) as team:
        team.run(lambda *args: None, array, keeps=array)
        del array
        gc.collect()
        assert is_kept() is None


def test_an_interrupt_while_members_are_withdrawn_leaves_nobody_waiting(monkeypatch):
    job = threads._Job(lambda *args: None, (), 1, ())
    with monkeypatch.context() as patch:
        patch.setattr(job.done, "set", lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            job.withdraw()
    job.work(1, threads.new_barrier())
    assert job.done.is_set()


def test_members_leave_when_the_team_is_closed():
    before = threading.active_count()
    with Team(4) as team:
        team.run(lambda *args: None)
        assert threading.active_count() == before + 3
    assert threading.active_count() == before


def workers():
    """Threads of teams that have not ended; the very last steps of a thread are waited for."""
    close_idle_teams()
    found = [thread for thread in threading.enumerate() if thread.name.startswith("fastmlp-")]
    for thread in found:
        if thread.is_alive():
            thread.join(10)
    return [thread.name for thread in found if thread.is_alive()]


def failing_start(number, error, is_started):
    """A `Thread.start` that raises an error for one worker, before it starts or just after."""
    start = threading.Thread.start

    def start_some(thread):
        if thread.name != f"fastmlp-{number}":
            return start(thread)
        if is_started:
            start(thread)
        raise error

    return start_some


@pytest.fixture
def warned(monkeypatch):
    """The warning of few threads, which otherwise comes once in a process."""
    monkeypatch.setattr(threads, "_warned", [])


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_without_more_threads_the_team_is_smaller(failing, error, monkeypatch, warned):
    monkeypatch.setattr(threading.Thread, "start", failing_start(failing, error, False))
    seen = []
    with Team(4) as team:
        with pytest.warns(UserWarning, match=f"gave {failing} of 4 threads"):
            assert team.start() == failing
        for _ in range(2):
            team.run(lambda number, n_threads, barrier: seen.append((number, n_threads)))
    assert sorted(seen) == sorted(2 * [(number, failing) for number in range(failing)])
    assert workers() == []
    with Team(4) as team:  # of which it is said once
        assert team.start() == failing


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("is_started", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), TimeoutError()])
def test_an_exception_while_workers_start_leaves_none(failing, is_started, error, monkeypatch):
    with Team(4) as team:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", failing_start(failing, error, is_started))
            with pytest.raises(type(error)):
                team.run(lambda *args: None)
        assert workers() == []
        seen = []
        team.run(lambda number, n_threads, barrier: seen.append(number))
        assert sorted(seen) == [0, 1, 2, 3]
    assert workers() == []


def test_the_exception_of_a_handler_is_not_hidden_by_one_of_python(monkeypatch):
    """Where it comes just after a thread has begun, `Thread.start` does not find its own note."""
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        try:
            raise TimeoutError
        except TimeoutError:
            raise KeyError(thread)  # noqa: B904

    with Team(2) as team:
        with monkeypatch.context() as patch, pytest.raises(TimeoutError):
            patch.setattr(threading.Thread, "start", interrupted)
            team.run(lambda *args: None)
        assert workers() == []
        team.run(lambda *args: None)


def test_a_team_that_is_never_closed_ends_with_its_last_reference():
    team = Team(3)
    team.run(lambda *args: None)
    del team
    gc.collect()
    assert workers() == []


def test_an_interrupt_while_workers_are_dismissed_leaves_none(monkeypatch):
    team = Team(3)
    team.run(lambda *args: None)
    tell, calls = Team._tell_workers_to_end, []

    def interrupted(self):
        calls.append(self)
        if len(calls) == 1:
            raise KeyboardInterrupt
        tell(self)

    monkeypatch.setattr(Team, "_tell_workers_to_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        team.close()
    assert workers() == []


@pytest.mark.parametrize(("batch_size", "failing"), [(200, 1), (60, 1), (60, 2), (60, 3)])
def test_fewer_threads_train_and_predict_the_same(
    problem, batch_size, failing, monkeypatch, warned
):
    monkeypatch.setattr(engine, "default_n_threads", lambda: 4)
    monkeypatch.setattr(engine, "_THREAD_PREDICTION", 1)
    options = {"random_state": 0, "max_iter": 3, "tol": 0, "batch_size": batch_size}
    expected = fit_quietly(MLPClassifier((64, 64), **options), *problem)
    probabilities = expected.predict_proba(problem[0])
    error = RuntimeError("can't start new thread")
    monkeypatch.setattr(threading.Thread, "start", failing_start(failing, error, False))
    model = MLPClassifier((64, 64), **options)
    with pytest.warns(UserWarning, match=f"gave {failing} of [24] threads"):
        model.fit(*problem, callback=lambda epoch: epoch.epoch == 3)
    np.testing.assert_array_equal(flat(model), flat(expected))
    np.testing.assert_array_equal(model.predict_proba(problem[0]), probabilities)
    assert workers() == []


@pytest.mark.parametrize("batch_size", [200, 60])  # summed in groups of rows, and not
def test_a_second_thread_changes_nothing(problem, batch_size):
    one, two = (fit(problem, n_jobs, batch_size=batch_size) for n_jobs in (1, 2))
    np.testing.assert_array_equal(flat(one), flat(two))
    assert one.loss_curve_ == two.loss_curve_
    np.testing.assert_array_equal(one.predict_proba(problem[0]), two.predict_proba(problem[0]))


def test_four_fits_at_once(problem):
    expected = flat(fit(problem, 1))
    models = [MLPClassifier((64, 64), random_state=0, max_iter=3, tol=0) for _ in range(4)]
    threads = [threading.Thread(target=_fit_quietly, args=(m, *problem)) for m in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model in models:
        np.testing.assert_array_equal(flat(model), expected)


def _fit_quietly(model, X, y):
    # A callback that ends training: no warning, which another thread could not catch.
    model.fit(X, y, callback=lambda epoch: epoch.epoch == 3)


def test_threading_backend_of_joblib(problem):
    expected = flat(fit(problem, 1))
    models = [MLPClassifier((64, 64), random_state=0, max_iter=4, tol=0) for _ in range(4)]
    joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(_fit_quietly)(model, *problem) for model in models
    )
    for model in models:
        np.testing.assert_array_equal(flat(model), expected)


def test_joblib_workers_share_the_cores():
    limits = joblib.Parallel(n_jobs=2)(joblib.delayed(default_n_threads)() for _ in range(2))
    assert limits == [max(1, joblib.cpu_count() // 2)] * 2


def _fit_in_child(problem, queue):
    model = MLPClassifier((64, 64), random_state=0, max_iter=4, tol=0)
    _fit_quietly(model, *problem)
    queue.put(flat(model))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_fit_in_a_forked_child(problem):
    expected = flat(fit(problem, 2))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_fit_in_child, args=(problem, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(), expected)
    child.join()
    assert child.exitcode == 0


FIT = """
import warnings
import numpy as np
from fastmlp import MLPClassifier
from fastmlp.engines.cpu import threads
sizes = []
class Team(threads.Team):
    def __init__(self, n_threads):
        sizes.append(n_threads)
        super().__init__(n_threads)
from fastmlp.engines.cpu import engine
engine.Team = Team
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(300, 40))
MLPClassifier((64, 64), max_iter=2, batch_size=60).fit(X, X[:, :4].argmax(axis=1))
print(sizes[0])
"""


def fit_in_a_process(before="", after="", **environment):
    """Threads of a fit in a fresh process, between two pieces of code."""
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_NUM_THREADS"} | environment
    result = subprocess.run(
        [sys.executable, "-c", before + FIT + after], env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return int(result.stdout)


NOT_LAUNCHED = """
import numba
try:
    raise SystemExit(f"numba launched {numba.threading_layer()}")
except ValueError:
    pass
"""


def test_numbas_threading_layer_is_not_launched():
    assert fit_in_a_process(after=NOT_LAUNCHED, NUMBA_NUM_THREADS="2") == 2


def test_a_threading_layer_that_is_missing_does_not_matter():
    # Where TBB is installed, this layer would do no harm, and must not be launched either.
    assert fit_in_a_process(
        after=NOT_LAUNCHED, NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER="tbb"
    ) == 2  # fmt: skip


def test_numbas_setting_of_threads_is_the_limit():
    assert fit_in_a_process(NUMBA_NUM_THREADS="3") == 3
    assert fit_in_a_process(NUMBA_NUM_THREADS="1") == 1


def test_set_num_threads_is_honoured():
    before = "import numba; numba.set_num_threads({})\n"
    assert fit_in_a_process(before.format(1), NUMBA_NUM_THREADS="3") == 1
    assert fit_in_a_process(before.format(2), NUMBA_NUM_THREADS="3") == 2


def test_inner_max_num_threads_of_joblib():
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=3):
        limits = joblib.Parallel()(joblib.delayed(default_n_threads)() for _ in range(2))
    assert limits == [3, 3]
