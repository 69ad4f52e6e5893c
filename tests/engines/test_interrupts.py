"""Exceptions at any moment, as signals raise them, leave no thread, no lock and no wrong number."""

import gc
import random
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
from helpers import close_idle_teams, flat, use_all_threads

from fastmlp import MLPClassifier, fit_many
from fastmlp.engines.cpu import engine, threads
from fastmlp.training import lbfgs

RNG = np.random.RandomState(5)
X = RNG.normal(size=(250, 40))
Y = X[:, :4].argmax(axis=1)
OPTIONS = {"hidden_layer_sizes": (48, 48), "random_state": 0, "max_iter": 3, "tol": 0}


class AlarmError(Exception):
    """What the handler of a signal raises."""


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """Teams of two, for all steps and predictions, also on a machine with one core."""
    use_all_threads(monkeypatch)
    monkeypatch.setattr(engine, "default_n_threads", lambda: 2)
    monkeypatch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 1)
    monkeypatch.setattr(engine, "_THREAD_PREDICTION", 1)


def workers():
    """Names of threads of teams and of `fit_many` that do not end."""
    close_idle_teams()
    found = [one for one in threading.enumerate() if one.name.startswith("fastmlp")]
    if found:
        gc.collect()  # of teams that an interrupt kept from being closed
    for one in found:
        if one.is_alive():
            one.join(30)
    return [one.name for one in found if one.is_alive()]


def raising_after(n_lines, error):
    """A trace function that raises an error at the n-th line that runs in the module of teams."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        code = frame.f_code
        if code.co_filename != threads.__file__ or code.co_name == "__del__":
            return None
        if event == "line":
            seen += 1
            if seen == n_lines:
                sys.settrace(None)
                raise error
        return trace

    return trace


def team_is_interrupted(n_lines, error):
    """Use a team, raise an error at one of its lines, and return whether there was such a line."""
    sys.settrace(raising_after(n_lines, error))
    try:
        with threads.Team(3) as team:
            for _ in range(2):
                team.run(lambda number, n_threads, barrier: number)
    except type(error):
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.mark.parametrize("error", [KeyboardInterrupt, AlarmError])
def test_no_line_of_a_team_leaves_a_thread_when_it_raises(error):
    n_lines = 1
    while team_is_interrupted(n_lines, error()):
        assert workers() == [], f"after line {n_lines}"
        n_lines += 1
    assert n_lines > 50
    seen = []
    with threads.Team(3) as team:
        team.run(lambda number, n_threads, barrier: seen.append(number))
    assert sorted(seen) == [0, 1, 2]


def fit():
    return flat(MLPClassifier(batch_size=50, **OPTIONS).fit(X, Y))


def fit_by_lbfgs():
    return flat(MLPClassifier(solver="lbfgs", **OPTIONS).fit(X, Y))


def fit_in_parts():
    model = MLPClassifier(batch_size=50, **OPTIONS)
    for _ in range(3):
        model.partial_fit(X, Y, classes=range(4))
    return flat(model)


def fit_two():
    models = [MLPClassifier(batch_size=50, **OPTIONS) for _ in range(2)]
    fitted = [model for model in fit_many(models, X, Y) if hasattr(model, "coefs_")]
    return np.concatenate([np.empty(0), *map(flat, fitted)])  # an interrupt may leave none


def predict():
    if not hasattr(predict, "model"):
        predict.model = MLPClassifier(batch_size=50, **OPTIONS).fit(X, Y)
    return predict.model.predict_proba(np.tile(X, (4, 1)))


# Python's own words for a thread whose start was interrupted before it ran.
@pytest.mark.filterwarnings("ignore:.*Thread._bootstrap:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timers")
@pytest.mark.parametrize("error", [KeyboardInterrupt, AlarmError])
@pytest.mark.parametrize("work", [fit, fit_by_lbfgs, fit_in_parts, fit_two, predict])
def test_a_signal_at_any_moment_leaves_no_trace(work, error):
    def interrupt(number, frame):
        raise error

    draw = random.Random(work.__name__ + error.__name__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = work()
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            for _ in range(15):
                try:
                    signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-4, 0.03))
                    work()
                except error:
                    pass
                finally:
                    disarm()
                assert lbfgs.one_blas_thread.n_inside == 0
        finally:
            signal.signal(signal.SIGALRM, before)
        assert workers() == []
        np.testing.assert_array_equal(work(), expected)


def disarm():
    """Stop the timer, whose last signal may come while this is done."""
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
    except (KeyboardInterrupt, AlarmError):
        signal.setitimer(signal.ITIMER_REAL, 0)
