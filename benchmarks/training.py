"""Microseconds a training step, peers in turn, equal losses asserted first."""

import importlib.util
import time

import numpy as np

from .cases import CASES
from .peers import NEEDS, PEERS

REPEATS = 5
# Seconds before each timing: thread pools of the other peers spin for a while after their work.
QUIET = 0.5
# Relative difference of the last epoch's loss to scikit-learn's.
TOLERANCE = {"float32": 1e-2, "float64": 1e-3}


def available_peers(names=None):
    """Peers whose packages are installed, of those named."""
    chosen = names or list(PEERS)
    return [p for p in chosen if p not in NEEDS or importlib.util.find_spec(NEEDS[p])]


def sgemm_rate(dtype, size=2048):
    """GFLOP/s of numpy's matrix product, the median of some runs."""
    a = np.random.default_rng(0).normal(size=(size, size)).astype(dtype)
    out = a @ a
    seconds = []
    for _ in range(REPEATS + 2):
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / np.median(seconds) / 1e9


def measure(case, dtype, peers, report):
    """Median microseconds a step of each peer, and the rate of numpy's product beside them."""
    runs, cold = {}, {}
    for name in peers:
        start = time.perf_counter()
        runs[name] = PEERS[name](case, dtype)
        _, loss = runs[name]()
        cold[name] = time.perf_counter() - start
        report(f"{case.name} {dtype}: {name} loss {loss:.6f}, first run {cold[name]:.1f} s")
        if name == peers[0]:
            expected = loss
        elif abs(loss - expected) > TOLERANCE[dtype] * max(abs(expected), 0.01):
            raise AssertionError(f"{case.name}: {name} has loss {loss}, not {expected}")
    seconds = {name: [] for name in peers}
    rates = []
    for _ in range(REPEATS):
        for name in peers:
            time.sleep(QUIET)
            seconds[name].append(runs[name]()[0])
        time.sleep(QUIET)
        rates.append(sgemm_rate(dtype))
    medians = {name: np.median(values) / case.n_steps * 1e6 for name, values in seconds.items()}
    return medians, cold, float(np.median(rates))


def table(dtype, peers, cases=None, report=print):
    """Lines of a Markdown table over all cases."""
    head = ["case", "batch", "network", *[f"{p}, µs" for p in peers]]
    frameworks = [p for p in peers if p in NEEDS]
    with_sklearn = "scikit-learn" in peers
    head += ["× scikit-learn"] * with_sklearn + ["× best framework"] * bool(frameworks)
    head += ["GFLOP/s", "numpy sgemm", "share"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for case in CASES:
        if cases and case.name not in cases:
            continue
        medians, _, rate = measure(case, dtype, peers, report)
        ours = medians["fastmlp"]
        row = [case.name, str(case.batch_size), case.network]
        row += [f"{medians[p]:.0f}" for p in peers]
        if with_sklearn:
            row.append(f"{medians['scikit-learn'] / ours:.1f}")
        if frameworks:
            row.append(f"{min(medians[p] for p in frameworks) / ours:.1f}")
        gflops = case.flop / ours / 1e3
        row += [f"{gflops:.0f}", f"{rate:.0f}", f"{gflops / rate:.0%}"]
        lines.append("| " + " | ".join(row) + " |")
        report(lines[-1])
    return lines
