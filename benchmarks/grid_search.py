"""GridSearchCV over 24 candidates with two jobs, the same grid for both libraries.

The data are as large as the UCI letter recognition table, which is not part of this
repository: 16 features, 26 classes, 20000 rows.
"""

import time
import warnings

import numpy as np
import sklearn.neural_network
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

import fastmlp

GRID = {
    "hidden_layer_sizes": [(50,), (100,), (50, 50)],
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2],
    "learning_rate_init": [1e-3, 3e-3],
}
REPEATS = 5
EPOCHS = 15


def seconds(n_rows, n_epochs, report):
    """The median time of a search by fastmlp, and by scikit-learn."""
    X, y = make_classification(
        n_rows, 16, n_informative=14, n_classes=26, n_clusters_per_class=2, random_state=0
    )
    X = X.astype(np.float32)
    peers = {"fastmlp": fastmlp, "scikit-learn": sklearn.neural_network}
    times, scores = {name: [] for name in peers}, {}
    for repeat in range(REPEATS + 1):
        for name, module in peers.items():
            model = module.MLPClassifier(max_iter=n_epochs, random_state=0)
            search = GridSearchCV(model, GRID, cv=3, n_jobs=2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                search.fit(X, y)
            scores[name] = search.best_score_
            if repeat:  # the first one starts the processes
                times[name].append(time.perf_counter() - start)
                report(f"{name}: {times[name][-1]:.2f} s, score {scores[name]:.4f}")
    assert abs(scores["fastmlp"] - scores["scikit-learn"]) < 0.01, scores
    return [np.median(times[name]) for name in peers]


def table(report):
    ours, theirs = seconds(20000, EPOCHS, report)
    return [
        [
            f"20000 x 16, 26 classes: 24 candidates, 3 folds, {EPOCHS} epochs",
            "seconds",
            "x scikit-learn",
        ],
        ["fastmlp", f"{ours:.2f}", f"{theirs / ours:.1f}"],
        ["scikit-learn", f"{theirs:.2f}", ""],
    ]
