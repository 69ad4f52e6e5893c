"""predict_proba for many rows; benchmarks/small.py has few rows."""

import time
import warnings
from functools import partial

import numpy as np
import sklearn.neural_network

import fastmlp
from fastmlp.tools.bench import CASES, QUIET, REPEATS

LETTER = next(case for case in CASES if case.name == "letter")


def _median(function):
    function()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return np.median(seconds)


def table(report):
    X, y = LETTER.data("float32")
    models = []
    for module in (fastmlp, sklearn.neural_network):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = module.MLPClassifier(LETTER.units[1:-1], max_iter=2, random_state=0)
            models.append(model.fit(X, y))
    X = np.tile(X, (-(-1_000_000 // len(X)), 1))
    np.testing.assert_allclose(*(m.predict_proba(X[:999]) for m in models), atol=1e-3)
    rows = [["rows", "fastmlp", "scikit-learn", "x scikit-learn"]]
    for n_rows in (1_000, 10_000, 100_000, 1_000_000):
        time.sleep(QUIET)
        part = X[:n_rows]
        ours, theirs = (_median(partial(m.predict_proba, part)) for m in models)
        rows.append([str(n_rows), f"{ours * 1e6:.0f} us", f"{theirs * 1e6:.0f} us",
                     f"{theirs / ours:.1f}"])  # fmt: skip
        report(str(rows[-1]))
    return rows
