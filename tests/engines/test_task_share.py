"""In a task of Dask, Ray, Spark or joblib the default number of threads is the task's share."""

import sys
from math import inf
from types import ModuleType, SimpleNamespace

import pytest

from fastmlp.engines.cpu import threads
from fastmlp.engines.cpu.task_share import task_share


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch):
    monkeypatch.setattr(threads, "available_processors", lambda: 8)
    monkeypatch.setattr(threads, "_numba_limit", lambda: 8)
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("1", 1), ("3", 3), ("2,1", 2), ("100", 8), ("0", 8), ("-3", 8), ("", 8), ("many", 8)],
)
def test_of_the_environment_as_ray_spark_and_dask_set_it(setting, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    assert threads.default_n_threads() == expected
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")  # numba's own setting is the stronger one
    assert threads.default_n_threads() == 8


def module(name, monkeypatch, **contents):
    """Put a module with some contents in the place of a library."""
    library = ModuleType(name)
    vars(library).update(contents)
    monkeypatch.setitem(sys.modules, name, library)


@pytest.mark.parametrize(("n_tasks", "expected"), [(1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_of_a_worker_of_dask_that_runs_tasks_in_threads(n_tasks, expected, monkeypatch):
    worker = SimpleNamespace(state=SimpleNamespace(nthreads=n_tasks))
    module("distributed", monkeypatch, get_worker=lambda: worker)
    assert threads.default_n_threads() == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what Dask sets where it starts processes
    assert threads.default_n_threads() == 1


def test_outside_of_dasks_tasks(monkeypatch):
    def get_worker():
        raise ValueError("No worker found")

    module("distributed", monkeypatch, get_worker=get_worker)
    assert threads.default_n_threads() == 8


class TaskContext:
    """Of Spark: what `get` returns is None outside of a task."""

    running = None

    @classmethod
    def get(cls):
        return cls.running

    def cpus(self):
        return 3


@pytest.mark.parametrize(("running", "expected"), [(None, 8), (TaskContext(), 3)])
def test_of_a_task_of_spark(running, expected, monkeypatch):
    monkeypatch.setattr(TaskContext, "running", running)
    module("pyspark", monkeypatch, TaskContext=TaskContext)
    assert threads.default_n_threads() == expected


def test_of_an_older_spark_that_does_not_say(monkeypatch):
    context = SimpleNamespace(get=lambda: SimpleNamespace())
    module("pyspark", monkeypatch, TaskContext=context)
    assert threads.default_n_threads() == 8


def test_without_any_of_them():
    assert task_share(8) == inf
