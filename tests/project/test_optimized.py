"""Python with all optimisations: no assertions, no docstrings."""

import os
import subprocess
import sys

import pytest

CODE = """
import warnings
import numpy as np
import fastmlp

warnings.simplefilter("ignore")
X = np.linspace(-1, 1, 40).reshape(20, 2)
for estimator, y in (
    (fastmlp.MLPClassifier((4,), max_iter=2, n_jobs=1), np.arange(20) % 2),
    (fastmlp.MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, n_jobs=1), X.sum(axis=1)),
):
    print(type(estimator).__name__, estimator.fit(X, y).predict(X).shape)
"""


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_fits_without_assertions_and_docstrings(flag):
    result = subprocess.run([sys.executable, flag, "-c", CODE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["MLPClassifier (20,)", "MLPRegressor (20,)"]


@pytest.mark.parametrize("command", [[], ["fit"], ["doctor"]])
def test_help_texts_stay_without_docstrings(command):
    texts = [
        subprocess.run(
            [sys.executable, *flags, "-m", "fastmlp_cli", *command, "--help"],
            env={**os.environ, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flags in ([], ["-OO"])
    ]
    assert texts[0] == texts[1]
    assert len(texts[0].split("Options:")[0].splitlines()) > 3
