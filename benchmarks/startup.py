"""Imports and first fits, each in a fresh process."""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from fastmlp.tools.bench import REPEATS

FIT = """
from sklearn.datasets import load_iris
from {module} import MLPClassifier
import warnings
warnings.simplefilter("ignore")
X, y = load_iris(return_X_y=True)
MLPClassifier(random_state=0).fit(X, y)
"""


def _seconds(code, **environment):
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})
    return time.perf_counter() - start


def table(report):
    with tempfile.TemporaryDirectory() as cache:
        in_cache = {"NUMBA_CACHE_DIR": cache}
        _seconds(FIT.format(module="fastmlp"), **in_cache)
        codes = {
            "import fastmlp": ("import fastmlp", in_cache),
            "from fastmlp import MLPClassifier": ("from fastmlp import MLPClassifier", in_cache),
            "import sklearn.neural_network": ("import sklearn.neural_network", {}),
            "scikit-learn: import and fit iris": (FIT.format(module="sklearn.neural_network"), {}),
            "fastmlp: the same, cached code": (FIT.format(module="fastmlp"), in_cache),
            "fastmlp: the same, nothing cached": (
                FIT.format(module="fastmlp"), {"FASTMLP_CACHE": "0"}
            ),
        }  # fmt: skip
        times = {what: [] for what in codes}
        for _ in range(REPEATS):
            for what, (code, environment) in codes.items():
                times[what].append(_seconds(code, **environment))
    rows = [["a fresh process", "seconds"]]
    for what, seconds in times.items():
        rows.append([what, f"{np.median(seconds):.2f}"])
        report(str(rows[-1]))
    return rows
