"""Ctrl-C while work is handed over to threads acts when they have it."""

import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from fastmlp import TabularRegressor
from fastmlp.exceptions import InterruptedTrainingWarning
from fastmlp.tabular.ahead import work_behind


@pytest.fixture
def interrupted(monkeypatch):
    """The second submission to a pool of threads is interrupted; gives the numbers of all."""
    submit, submitted = ThreadPoolExecutor.submit, []

    def interrupted_submit(self, *args):
        if len(submitted) == 1:
            signal.raise_signal(signal.SIGINT)
        submitted.append(len(submitted) + 1)
        return submit(self, *args)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted_submit)
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield submitted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, former)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_pack_of_networks(n_jobs, interrupted):
    X = np.random.default_rng(0).normal(size=(600, 3))
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = TabularRegressor(random_state=0, n_jobs=n_jobs)
    with pytest.warns(InterruptedTrainingWarning):
        model.fit(frame, X[:, 0] * X[:, 1])
    assert interrupted == [1, 2]
    assert model.estimator_.members
    assert np.isfinite(model.predict(frame)).all()


def test_work_behind(interrupted):
    done = []
    with pytest.raises(KeyboardInterrupt):
        list(work_behind(done.append, iter([1, 2, 3])))
    assert done == interrupted == [1, 2]
