"""What several test files do with estimators and engines."""

import os
import subprocess
import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmlp.engines.cpu import engine, threads
from fastmlp.engines.cpu.barrier_array import NO_END
from fastmlp.engines.cpu.thread_count import Job
from fastmlp.network.plan import Optimizer


def imported_by(code):
    """Modules loaded after some code ran in a fresh interpreter."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def environment_with_own_folder():
    """The environment of a process that finds modules in the folder of its program."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def flat(model):
    """All weights and biases of a fitted estimator, in one vector."""
    return np.concatenate([np.ravel(w) for w in (*model.coefs_, *model.intercepts_)])


def fit_quietly(model, *args, **kwargs):
    """Fit, without a word where the limit of epochs ends training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*args, **kwargs)


def loss_and_gradient(plan, theta, X, Y, sample_weight=None):
    """Loss of all rows as one batch, and its gradient, on the CPU; for a plan that trains."""
    plan = replace(plan, optimizer=Optimizer.GRADIENT, batch_size=X.shape[0])
    with engine.CpuEngine(plan, theta, X, Y, sample_weight) as opened:
        return opened.loss_and_gradient(theta)


class AllThreads:
    """Chooses all threads for every job, whatever they are told of the time that it takes."""

    def __init__(self, most):
        self.job = Job(most, NO_END, NO_END)

    def next_job(self, most):
        return self.job

    def record(self, *measured):
        pass


def use_all_threads(monkeypatch):
    """Keep the number of threads of all fits from changing."""
    choose_threads(monkeypatch, AllThreads)


def choose_threads(monkeypatch, chooser):
    """Let `chooser(most)` say how many threads each job of all fits gets."""
    monkeypatch.setattr(engine, "take_count", lambda network, most, plan: chooser(most))
    monkeypatch.setattr(engine, "keep_count", lambda network, most, count: None)
    monkeypatch.setattr(engine, "share_of", lambda n_processors: NO_END)


def close_idle_teams():
    """End the threads that wait for a next prediction."""
    while threads._idle_teams:
        threads._idle_teams.pop().close()


@contextmanager
def team_of(n_threads):
    """All fits get this many threads, however little work there is."""
    with pytest.MonkeyPatch.context() as patch:
        use_all_threads(patch)
        patch.setattr(engine, "default_n_threads", lambda: n_threads)
        patch.setattr(engine, "_TEAM_MULTIPLY_ADDS", 0)
        patch.setattr(engine, "_THREAD_PREDICTION", 1)
        yield
