import os
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest


@contextmanager
def _client(**options):
    """A client of a cluster here, which changes nothing in the environment of this process."""
    distributed = pytest.importorskip("distributed")
    before = dict(os.environ)
    try:
        with (
            distributed.LocalCluster(dashboard_address=":0", **options) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield client
    finally:
        # Dask limits the threads of libraries here, too, whenever it starts a worker.
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="package")
def client():
    """Two workers, each a process of one thread."""
    with _client(n_workers=2, threads_per_worker=1) as client:
        yield client


@pytest.fixture
def mortal():
    """Two workers that may be killed, whose tasks are not tried again."""
    with _client(n_workers=2, threads_per_worker=1) as client:
        client.cluster.scheduler.allowed_failures = 0
        yield client


@pytest.fixture(scope="package")
def threads():
    """One worker with three threads, in this process."""
    with _client(n_workers=1, threads_per_worker=3, processes=False) as client:
        yield client


@pytest.fixture(scope="package")
def table():
    """A table of numbers with gaps, text and a date, whose last column follows from them."""
    n_rows, rng = 2500, np.random.default_rng(0)
    kind, size = rng.integers(0, 3, n_rows), rng.normal(size=n_rows).round(4)
    return pd.DataFrame(
        {
            "size": np.where(rng.random(n_rows) < 0.1, np.nan, size),
            "kind": np.array(["oak", "ash", "elm"])[kind],
            "count": rng.integers(0, 9, n_rows),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n_rows), "D"),
            "y": (size + kind + 0.1 * rng.normal(size=n_rows)).round(4),
        }
    )
