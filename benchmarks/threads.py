"""A training step beside busy neighbours, and a step by up to 64 threads by counting.

One thread, all threads for every job, and the number that adapts train in turn.
"""

import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
from sklearn.neural_network import MLPClassifier as SklearnClassifier

from fastmlp import MLPClassifier
from fastmlp.engines.cpu import engine, layout
from fastmlp.engines.cpu.barrier_array import NO_END
from fastmlp.engines.cpu.thread_count import Job, ladder
from fastmlp.engines.cpu.thread_plan import planned_threads, step_nanoseconds
from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
from fastmlp.tools.bench import CASES, QUIET, REPEATS, TOLERANCE, estimator_run

NEIGHBOURS = (0, 1, 2, 4)
# Runs are longer than in the other tables by this factor: a system lets one of several processes
# run for up to 10 ms at a time.
LONGER = 5
# The case that scikit-learn trains as well, and its epochs: each takes 0.1 s beside neighbours.
WITH_SKLEARN, SKLEARN_EPOCHS = "iris", 50


class AllThreads:
    """What chooses all threads for every job, in the place of what adapts."""

    def __init__(self, most):
        self._job = Job(most, NO_END, NO_END)

    def next_job(self, most):
        return self._job

    def record(self, *measured):
        pass


def one_thread(**options):
    return MLPClassifier(n_jobs=1, **options)


def with_all_threads(run):
    """Make a run's function into one that uses all threads for every job."""

    def fixed():
        with (
            mock.patch.object(engine, "take_count", lambda network, most, plan: AllThreads(most)),
            mock.patch.object(engine, "keep_count", lambda network, most, count: None),
        ):
            return run()

    return fixed


def runs_of(case):
    """Functions that train the case, and their numbers of steps, by name; their results agree."""
    adaptive = estimator_run(MLPClassifier, case, "float32")
    runs = {
        "1 thread": estimator_run(one_thread, case, "float32"),
        "all threads": with_all_threads(adaptive),
        "adaptive": adaptive,
    }
    losses = {run()[1] for run in runs.values()}
    assert len(losses) == 1, "results depend on the number of threads"
    steps = dict.fromkeys(runs, case.n_steps)
    if case.name == WITH_SKLEARN:
        short = replace(case, n_epochs=SKLEARN_EPOCHS)
        runs["scikit-learn"] = estimator_run(SklearnClassifier, short, "float32")
        steps["scikit-learn"] = short.n_steps
        loss, ours = (
            run()[1] for run in (runs["scikit-learn"], estimator_run(one_thread, short, "float32"))
        )
        assert abs(loss - ours) <= TOLERANCE["float32"] * abs(ours)
    return runs, steps


# Ends with the process that started it, even one that was killed.
_BUSY = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True: pass
"""


@contextmanager
def busy_neighbours(number):
    """Keep some processes busy."""
    command = [sys.executable, "-c", _BUSY]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(number)]
    try:
        time.sleep(QUIET)
        yield
    finally:
        for process in processes:
            process.stdin.close()
            process.kill()
            process.wait()


def running():
    """How many processes and threads want to run, as Linux counts them; empty elsewhere."""
    try:
        return Path("/proc/loadavg").read_text().split()[3].split("/")[0]
    except OSError:
        return ""


def measure(case, number, runs, steps, repeats):
    """Microseconds a step beside some neighbours, the median by name, and what wanted to run."""
    times = {name: [] for name in runs}
    with busy_neighbours(number):
        seen = running()
        for _ in range(repeats):
            for name, run in runs.items():
                times[name].append(run()[0] / steps[name] * 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}, seen


def table(report, names=None, neighbours=NEIGHBOURS, repeats=REPEATS, longer=LONGER):
    columns = ["1 thread", "all threads", "adaptive", "scikit-learn"]
    header = ["case", "neighbours", "running", *(f"{name}, us" for name in columns)]
    rows = [[*header, "adaptive / better of both"]]
    for case in CASES:
        if names and case.name not in names:
            continue
        case = replace(case, n_epochs=longer * case.n_epochs)
        runs, steps = runs_of(case)
        for number in neighbours:
            medians, seen = measure(case, number, runs, steps, repeats)
            better = min(medians["1 thread"], medians["all threads"])
            values = [f"{medians[name]:.0f}" if name in medians else "" for name in columns]
            row = [case.name, str(number), seen, *values, f"{medians['adaptive'] / better:.2f}"]
            rows.append(row)
            report(str(row))
    return rows


def plan_table(report):
    """Microseconds of a step by count, for machines with more cores; nothing is measured."""
    counts = (1, 2, 4, 8, 16, 32, 64)
    rows = [["case", "groups", "blocks", *(f"{n}, us" for n in counts), "first of 8, 16, 64"]]
    for case in CASES:
        plan = TrainingPlan(
            case.units, Activation.RELU, Loss.CROSS_ENTROPY, Optimizer.ADAM,
            dtype=np.dtype("float32"), batch_size=case.batch_size,
        )  # fmt: skip
        laid_out = layout.training_layout(plan, 1)
        times = [f"{step_nanoseconds(plan, laid_out, n) / 1e3:.0f}" for n in counts]
        first = [str(planned_threads(plan, laid_out, ladder(most))) for most in (8, 16, 64)]
        groups = laid_out.settings[layout.N_GROUPS]
        rows.append([case.name, str(groups), str(laid_out.n_blocks), *times, ", ".join(first)])
        report(str(rows[-1]))
    return rows
