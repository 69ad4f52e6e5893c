"""A training step by one thread, two, four and so on, in turn; and rows by the million.

Shares are those of numpy's product of two matrices by as many threads, in the same turn and in
processes of their own.
"""

import time
from contextlib import ExitStack
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from fastmlp import MLPClassifier
from fastmlp.engines.devices import cpu_threads
from fastmlp.tools.bench import CASES, QUIET, REPEATS, Case, estimator_run, product_rate

from .apart import Apart

BY_DEFAULT = None


def counts():
    """Powers of two up to the threads that a fit may use, and what it chooses by itself."""
    most = cpu_threads(None)
    return [2**k for k in range(most.bit_length()) if 2**k < most] + [most, BY_DEFAULT]


def start_product(n_threads):
    """Return the run of numpy's product by so many threads, which wait busily after it."""
    threadpool_limits(n_threads)
    return partial(product_rate, "float32")


def table(report):
    with ExitStack() as stack:
        return _table(report, lambda n: stack.enter_context(Apart(start_product, n)).run)


def _table(report, product_by):
    threads = counts()
    fixed = [n for n in threads if n is not BY_DEFAULT]
    ends = sorted({fixed[0], fixed[-1]})
    times_header = [f"{n} thread{'s' * (n > 1)}, us" for n in fixed] + ["by default, us"]
    products = {n: product_by(n) for n in ends}
    rows = [["case", *times_header, "ratio", *(f"share of {n}" for n in ends)]]
    for case in CASES:
        runs = {
            n: estimator_run(lambda n=n, **kw: MLPClassifier(n_jobs=n, **kw), case, "float32")
            for n in threads
        }
        losses = [run()[1] for run in runs.values()]
        assert len(set(losses)) == 1, "results depend on the number of threads"
        times = {n: [] for n in threads}
        rates = {n: [] for n in ends}
        for _ in range(REPEATS):
            for n, run in runs.items():
                time.sleep(QUIET)
                times[n].append(run()[0] / case.n_steps * 1e6)
            for n, product in products.items():
                rates[n].append(product())
        found = {n: np.median(of_count) for n, of_count in times.items()}
        shares = [f"{case.flop / found[n] / 1e3 / np.median(rates[n]):.0%}" for n in ends]
        ratio = f"{found[1] / min(found.values()):.2f}"
        rows.append([case.name, *(f"{us:.0f}" for us in found.values()), ratio, *shares])
        report(str(rows[-1]))
    for n_rows in (1_000, 10_000, 100_000, 1_000_000):
        case = Case("rows", 200, n_rows, (16, 100, 26), max(3, 100_000 // n_rows))
        run = estimator_run(MLPClassifier, case, "float32")
        run()
        time.sleep(QUIET)
        seconds = np.median([run()[0] for _ in range(REPEATS)])
        per_row = f"{seconds / case.n_epochs / n_rows * 1e9:.0f} ns a row"
        name = f"letter's net, {n_rows} rows"
        rows.append([name, *[""] * len(fixed), per_row, *[""] * (1 + len(ends))])
        report(str(rows[-1]))
    return rows
