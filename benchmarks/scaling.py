"""A training step by one thread and by two, in turn; and rows by the million.

Shares are those of numpy's product of two matrices by as many threads, in the same turn.
"""

import time

import numpy as np
from threadpoolctl import threadpool_limits

from fastmlp import MLPClassifier
from fastmlp.tools.bench import CASES, QUIET, REPEATS, Case, estimator_run, product_rate


def table(report):
    rows = [["case", "1 thread, us", "2 threads, us", "ratio", "share of 1", "share of 2"]]
    for case in CASES:
        runs = {
            n: estimator_run(lambda n=n, **kw: MLPClassifier(n_jobs=n, **kw), case, "float32")
            for n in (1, 2)
        }
        losses = {n: run()[1] for n, run in runs.items()}
        assert losses[1] == losses[2], "results depend on the number of threads"
        times = {n: [] for n in runs}
        rates = {n: [] for n in runs}
        for _ in range(REPEATS):
            for n, run in runs.items():
                time.sleep(QUIET)
                times[n].append(run()[0] / case.n_steps * 1e6)
                with threadpool_limits(n):
                    rates[n].append(product_rate("float32"))
        one, two = (np.median(times[n]) for n in (1, 2))
        shares = [
            f"{case.flop / np.median(times[n]) / 1e3 / np.median(rates[n]):.0%}" for n in (1, 2)
        ]
        rows.append([case.name, f"{one:.0f}", f"{two:.0f}", f"{one / two:.2f}", *shares])
        report(str(rows[-1]))
    for n_rows in (1_000, 10_000, 100_000, 1_000_000):
        case = Case("rows", 200, n_rows, (16, 100, 26), max(3, 100_000 // n_rows))
        run = estimator_run(MLPClassifier, case, "float32")
        run()
        time.sleep(QUIET)
        seconds = np.median([run()[0] for _ in range(REPEATS)])
        per_row = seconds / case.n_epochs / n_rows * 1e9
        rows.append([f"letter's net, {n_rows} rows", "", f"{per_row:.0f} ns a row", "", "", ""])
        report(str(rows[-1]))
    return rows
