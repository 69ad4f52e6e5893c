"""A training step beside busy neighbours: one thread, all threads, and a number that adapts."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
from sklearn.neural_network import MLPClassifier as SklearnClassifier

from fastmlp import MLPClassifier
from fastmlp.engines.cpu import engine
from fastmlp.engines.cpu.barrier_array import NO_END
from fastmlp.engines.cpu.thread_count import Job
from fastmlp.engines.devices import cpu_threads
from fastmlp.tools.bench import CASES, QUIET, REPEATS, estimator_run

NEIGHBOURS = (0, 1, 2, 4)
# The case that scikit-learn trains as well; it takes minutes beside four neighbours.
WITH_SKLEARN = "iris"


class AllThreads:
    """What chooses all threads for every job, in the place of what adapts."""

    def __init__(self, most):
        self._job = Job(most, NO_END, NO_END)

    def next_job(self):
        return self._job

    def record(self, *measured):
        pass


def one_thread(**options):
    return MLPClassifier(n_jobs=1, **options)


def runs_of(case):
    """Functions that train the case, by name."""
    one = estimator_run(one_thread, case, "float32")
    adaptive = estimator_run(MLPClassifier, case, "float32")

    def fixed():
        with (
            mock.patch.object(engine, "take_count", lambda network, most, plan: AllThreads(most)),
            mock.patch.object(engine, "keep_count", lambda *choice: None),
            mock.patch.object(engine, "share_of", lambda n_processors: n_processors),
        ):
            return adaptive()

    runs = {"1 thread": one, "all threads": fixed, "adaptive": adaptive}
    if case.name == WITH_SKLEARN:
        runs["scikit-learn"] = estimator_run(SklearnClassifier, case, "float32")
    return runs


@contextmanager
def busy_neighbours(number) -> Iterator[None]:
    """Keep some processes busy."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(number)]
    try:
        time.sleep(QUIET)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def load():
    """How many processes want to run, as Linux counts them; a question mark elsewhere."""
    try:
        return Path("/proc/loadavg").read_text().split()[3].split("/")[0]
    except OSError:
        return "?"


def measure(names, neighbours, repeats, report):
    """Microseconds a step: yields case, number of neighbours, load, and medians by name."""
    for case in CASES:
        if case.name not in names:
            continue
        runs = runs_of(case)
        losses = {name: run()[1] for name, run in runs.items() if name != "scikit-learn"}
        assert len(set(losses.values())) == 1, "results depend on the number of threads"
        for number in neighbours:
            times = {name: [] for name in runs}
            with busy_neighbours(number):
                seen = load()
                for _ in range(repeats):
                    for name, run in runs.items():
                        seconds, loss = run()
                        assert name == "scikit-learn" or loss == losses["1 thread"]
                        times[name].append(seconds / case.n_steps * 1e6)
            medians = {name: float(np.median(values)) for name, values in times.items()}
            report(f"{case.name}, {number} neighbours, load {seen}: {medians}")
            yield case, number, seen, medians


def table(report, names=tuple(case.name for case in CASES), neighbours=NEIGHBOURS, repeats=REPEATS):
    columns = ["1 thread", "all threads", "adaptive", "scikit-learn"]
    header = ["case", "neighbours", "running", *(f"{name}, us" for name in columns)]
    rows = [[*header, "adaptive / better of both"]]
    for case, number, seen, medians in measure(names, neighbours, repeats, report):
        better = min(medians["1 thread"], medians["all threads"])
        values = [f"{medians[name]:.0f}" if name in medians else "" for name in columns]
        rows.append(
            [case.name, str(number), seen, *values, f"{medians['adaptive'] / better:.2f}"]
        )
    report(f"{cpu_threads(None)} threads are all of them here")
    return rows
