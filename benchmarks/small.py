"""Predictions of a few rows, and fits of small tables: what is not arithmetic.

scikit-learn runs beside, in turn and in the same process, and equal results are asserted first.
"""

import os
import time
import warnings
from functools import partial

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_iris

import fastmlp
from fastmlp.engines.cpu import threads, vector_unit
from fastmlp.estimators.prediction import outputs
from fastmlp.tools.bench import QUIET, REPEATS

from . import grid_search

CALLS = 501
EPOCHS = 1000
NETWORKS = {"iris": (4, 100, 3), "letter": (16, 100, 26)}


def table(report):
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    where = f"{os.cpu_count()} cores, vectors of {vector_unit.HOST.n_bytes * 8} bits, {load}"
    rows = [[where, "fastmlp", "scikit-learn", "x scikit-learn"]]

    def add(name, ours, theirs, text):
        rows.append([name, text(ours), text(theirs), f"{theirs / ours:.1f}"])
        report(str(rows[-1]))

    for dtype in ("float32", "float64"):
        for name, units in NETWORKS.items():
            _predictions(name, units, dtype, add)
    _frames(add)
    _fits(add, rows, report)
    ours, theirs = grid_search.seconds(6000, 8, report)
    add("GridSearchCV, 24 candidates, 2 jobs, 6000 x 16, 8 epochs", ours, theirs, "{:.2f} s".format)
    return rows


def _quietly(function, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def _medians(functions, repeats, clock=time.perf_counter):
    """The median time of each function, called in turn."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    time.sleep(QUIET)
    for _ in range(repeats):
        for function, found in zip(functions, times, strict=True):
            start = clock()
            function()
            found.append(clock() - start)
    return np.median(times, axis=1)


def _microseconds(seconds):
    return f"{seconds * 1e6:.0f} us"


def _predictions(name, units, dtype, add):
    """Time methods of our models and of scikit-learn's, which have the same weights."""
    draw = np.random.RandomState(0)
    X, y = draw.normal(size=(1000, units[0])).astype(dtype), draw.randint(0, units[-1], 1000)
    options = {"hidden_layer_sizes": units[1:-1], "max_iter": 1, "random_state": 0}
    classifier = _quietly(fastmlp.MLPClassifier(**options).fit, X, y)
    regressor = _quietly(fastmlp.MLPRegressor(**options).fit, X, X[:, 0])
    for method, model in (
        ("predict_proba", classifier),
        ("predict", classifier),
        ("predict", regressor),
    ):
        peer = model.to_sklearn()
        for n_rows in (1, 10, 100):
            calls = [partial(getattr(m, method), X[:n_rows]) for m in (model, peer)]
            np.testing.assert_allclose(*(call() for call in calls), rtol=1e-3, atol=1e-5)
            title = f"{type(model).__name__}.{method}, {name}'s net, {dtype}, rows: {n_rows}"
            add(title, *_medians(calls, CALLS), _microseconds)
    if dtype == "float32":
        calls = [partial(outputs, classifier, X[:1], classifier), partial(peer.predict, X[:1])]
        add(f"outputs without checks of X, {name}'s net, one row", *_medians(calls, CALLS),
            _microseconds)  # fmt: skip


def _frames(add):
    """Time predictions of data frames, whose columns are compared with those of the fit."""
    import pandas as pd

    draw = np.random.RandomState(0)
    X = pd.DataFrame(draw.normal(size=(200, 16)), columns=[f"c{i}" for i in range(16)])
    model = _quietly(fastmlp.MLPClassifier((100,), max_iter=1).fit, X, draw.randint(0, 26, 200))
    peer = model.to_sklearn()
    for n_rows in (1, 100):
        calls = [partial(m.predict, X[:n_rows]) for m in (model, peer)]
        np.testing.assert_array_equal(*(call() for call in calls))
        add(f"predict of a data frame, rows: {n_rows}", *_medians(calls, CALLS), _microseconds)


def _fits(add, rows, report):
    """Time fits of iris by the CPU, and find what a fit and a step of it cost."""
    X, y = load_iris(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)

    def fit(module, dtype, n_epochs):
        options = {"max_iter": n_epochs, "random_state": 0, "tol": 0.0, "n_iter_no_change": 10**9}
        return _quietly(module.MLPClassifier(**options).fit, X.astype(dtype), y)

    modules = fastmlp, sklearn.neural_network
    for dtype in ("float32", "float64"):
        losses = [fit(module, dtype, EPOCHS).loss_ for module in modules]
        np.testing.assert_allclose(*losses, rtol=1e-2 if dtype == "float32" else 1e-6)
        calls = [partial(fit, module, dtype, 1) for module in modules]
        once = _medians(calls, 51, time.process_time)
        calls = [partial(fit, module, dtype, 1 + EPOCHS) for module in modules]
        with _TimeInKernels() as in_kernels:
            steps = (_medians(calls, REPEATS, time.process_time) - once) / EPOCHS
        add(f"fixed cost of a fit, iris, {dtype}", *(once - steps), lambda s: f"{s * 1e3:.2f} ms")
        add(f"a step of iris, {dtype}", *steps, lambda s: f"{s * 1e6:.1f} us")
        python = steps[0] - in_kernels.seconds / ((REPEATS + 1) * (1 + EPOCHS))
        rows.append([f"of which Python, {dtype}", f"{python * 1e6:.1f} us", "", ""])
        report(str(rows[-1]))


class _TimeInKernels:
    """The CPU time in the kernels of all fits in the context; those of iris have one thread."""

    def __enter__(self):
        self.seconds, self._run = 0.0, threads.Team.run

        def run(team, *args, **kwargs):
            start = time.thread_time()
            try:
                return self._run(team, *args, **kwargs)
            finally:
                self.seconds += time.thread_time() - start

        threads.Team.run = run
        return self

    def __exit__(self, *exc_info):
        threads.Team.run = self._run
