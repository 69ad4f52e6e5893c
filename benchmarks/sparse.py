"""A sparse matrix like one of word counts: one epoch of both libraries."""

import time
import warnings

import numpy as np
import scipy.sparse as sp
import sklearn.neural_network

import fastmlp

N_ROWS, N_FEATURES, PER_ROW, N_CLASSES = 20_000, 50_000, 100, 5
REPEATS = 5


def text_like(dtype):
    """Rows of 100 entries; the k-th feature is about 1 / k as frequent as the first one."""
    rng = np.random.default_rng(0)
    features = np.exp(rng.uniform(0, np.log(N_FEATURES + 1), (N_ROWS, 2 * PER_ROW))).astype(int) - 1
    rows = [rng.permutation(np.unique(row))[:PER_ROW] for row in features]
    starts = np.cumsum([0, *map(len, rows)])
    values = rng.uniform(0.5, 1.5, starts[-1]).astype(dtype)
    X = sp.csr_array((values, np.concatenate(rows), starts), shape=(N_ROWS, N_FEATURES))
    teacher = rng.normal(size=(N_FEATURES, N_CLASSES))
    return X, (X @ teacher).argmax(axis=1)


def table(report):
    rows = [["text-like, 20000 x 50000, 100 units", "entries a row", "fastmlp, ms a step",
             "scikit-learn, ms a step", "x scikit-learn"]]  # fmt: skip
    peers = {"fastmlp": fastmlp, "scikit-learn": sklearn.neural_network}
    for dtype in ("float64", "float32"):
        X, y = text_like(dtype)
        times, losses = {name: [] for name in peers}, {}
        for repeat in range(REPEATS + 1):
            for name, module in peers.items():
                model = module.MLPClassifier(max_iter=1, random_state=0, shuffle=False)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    start = time.perf_counter()
                    model.fit(X, y)
                losses[name] = model.loss_
                if repeat:  # the first one may compile
                    times[name].append((time.perf_counter() - start) / (N_ROWS / 200) * 1e3)
                    report(f"{dtype}: {name} {times[name][-1]:.2f} ms, loss {losses[name]:.6f}")
        assert abs(losses["fastmlp"] - losses["scikit-learn"]) < 1e-4, losses
        ours, theirs = (np.median(times[name]) for name in peers)
        entries = X.nnz / N_ROWS
        rows.append(
            [dtype, f"{entries:.0f}", f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.1f}"]
        )
    return rows
