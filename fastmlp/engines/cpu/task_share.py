"""The share of the processors that belongs to the task of another library in which a fit runs.

Libraries that run many tasks at once give each of them a number of processors. joblib's processes,
Ray and Spark write it into the environment. Dask does so in the processes that it starts; where it
runs tasks in threads of this process, its worker is asked. Tasks of other thread pools, such as
joblib's, share the processors while they train: see :mod:`fastmlp.engines.cpu.thread_count`.
"""

import os
import sys
from math import inf


def task_share(n_processors: int) -> float:
    """Return how many threads the running task may have.

    Parameters
    ----------
    n_processors : int
        The number of processors of this process.

    Returns
    -------
    float
        At least 1; infinite where no library has given the task a share.
    """
    return max(1, min(_share_of_environment(), _share_in_dask(n_processors), _share_in_spark()))


def _share_of_environment() -> float:
    """Return what OMP_NUM_THREADS allows at the first level; infinite where it says no number."""
    first, _, _ = os.environ.get("OMP_NUM_THREADS", "").partition(",")
    return int(first) if first.strip().isdecimal() and int(first) > 0 else inf


def _share_in_dask(n_processors: int) -> float:
    """Divide the processors among the tasks that a worker of Dask runs at once in this process."""
    distributed = sys.modules.get("distributed")
    try:
        worker = distributed.get_worker() if distributed else None
    except ValueError:  # this is no task of Dask
        worker = None
    state = getattr(worker, "state", None)
    return n_processors // state.nthreads if state else inf


def _share_in_spark() -> float:
    """Return the number of processors of the running task of Spark."""
    pyspark = sys.modules.get("pyspark")
    context = pyspark.TaskContext.get() if pyspark else None
    return context.cpus() if hasattr(context, "cpus") else inf
