"""predict_proba for many rows; benchmarks/small.py has few rows.

Each library has a process of its own, and predicts with the same weights.
"""

import time
import warnings

import numpy as np

import fastmlp
from fastmlp.tools.bench import CASES, QUIET, REPEATS

from .apart import Apart

NAMES = ["letter", "tabular", "mnist50", "mnist256", "wide"]
ROWS = (100, 300, 1_000, 10_000)
MORE_ROWS = {"letter": (100_000, 1_000_000)}
CALLS = 7
PEERS = ["fastmlp", "scikit-learn"]


def start(peer, name):
    """Return a run that predicts all numbers of rows of a case: seconds, and a part of the results.

    The seconds are the median of some calls.
    """
    case = next(case for case in CASES if case.name == name)
    X, y = case.data("float32")
    model = fastmlp.MLPClassifier(case.units[1:-1], max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X[:1000], y[:1000])
    if peer == "scikit-learn":
        model = model.to_sklearn()
    sizes = ROWS + MORE_ROWS.get(name, ())
    X = np.resize(X, (max(sizes), X.shape[1]))

    def run():
        medians = []
        for n_rows in sizes:
            seconds = []
            for _ in range(CALLS):
                begin = time.perf_counter()
                found = model.predict_proba(X[:n_rows])
                seconds.append(time.perf_counter() - begin)
            medians.append(float(np.median(seconds)))
        return {"seconds": medians, "found": found[-999:].tolist()}

    return run


def table(report):
    rows = [["case", "network", "rows", *(f"{peer}, us" for peer in PEERS), "x scikit-learn"]]
    for case in CASES:
        if case.name not in NAMES:
            continue
        with Apart(start, PEERS[0], case.name) as ours, Apart(start, PEERS[1], case.name) as theirs:
            processes = [ours, theirs]
            np.testing.assert_allclose(*(p.run()["found"] for p in processes), atol=1e-3)
            seconds = [[], []]
            for _ in range(REPEATS):
                for process, found in zip(processes, seconds, strict=True):
                    time.sleep(QUIET)
                    found.append(process.run()["seconds"])
        for n_rows, a, b in zip(
            ROWS + MORE_ROWS.get(case.name, ()), *np.median(seconds, axis=1), strict=True
        ):
            row = [case.name, case.network, str(n_rows), f"{a * 1e6:.0f}", f"{b * 1e6:.0f}"]
            rows.append([*row, f"{b / a:.1f}"])
            report(str(rows[-1]))
    return rows
