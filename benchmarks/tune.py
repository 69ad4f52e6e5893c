"""Compare ``fastmlp.tune`` with RandomizedSearchCV at equal time: ``python -m benchmarks.tune``."""

import json
import time
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pandas as pd
from scipy.stats import loguniform, uniform
from sklearn.base import is_classifier
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import (
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    train_test_split,
)
from sklearn.pipeline import make_pipeline

from fastmlp import MLPClassifier, MLPRegressor, TabularPreprocessor, tune
from fastmlp.search.space import Choice, read_space
from fastmlp.search.spaces import own_space
from fastmlp.tools.bench import hardware

RESULTS = Path(__file__).parent / "results"
TABLES = ("satellite", "spambase", "cells_segmentation", "ames", "diamonds")


def distributions(space):
    """The same space in the words of scikit-learn."""
    found = {}
    for name, part in space.items():
        if isinstance(part, Choice):
            found[name] = list(part.values)
        elif part.log:
            found[name] = loguniform(part.low, part.high)
        else:
            found[name] = uniform(part.low, part.high - part.low)
    return found


def table(folder, name, most_rows):
    """The rows to learn from and those that judge."""
    path = next(p for p in folder.iterdir() if p.name.split(".csv")[0] == name)
    frame = pd.read_csv(path)
    X, y = frame.iloc[:, :-1], frame.iloc[:, -1]
    is_class = y.dtype.kind not in "f" and y.nunique() <= 30
    if is_class:
        y = y.astype(str)
    stratify = y if is_class else None
    parts = train_test_split(X, y, test_size=0.2, random_state=0, stratify=stratify)
    X_train, X_test, y_train, y_test = parts
    if len(X_train) > most_rows:
        chosen = np.random.RandomState(0).permutation(len(X_train))[:most_rows]
        X_train, y_train = X_train.iloc[chosen], y_train.iloc[chosen]
    return is_class, X_train, X_test, y_train, y_test


def make_estimator(is_class):
    """One network behind the preprocessing of tables, with early stopping."""
    settings = {"max_iter": 200, "early_stopping": True, "n_iter_no_change": 12, "random_state": 0}
    if is_class:
        return make_pipeline(TabularPreprocessor(), MLPClassifier(**settings))
    return make_pipeline(TabularPreprocessor(), MLPRegressor(**settings))


def folds(is_class, n_rows):
    """As tune has them: several folds of few rows, otherwise one part that is held out."""
    n_folds = 5 if n_rows < 500 else 3 if n_rows < 2000 else 1
    if n_folds > 1:
        return (StratifiedKFold if is_class else KFold)(n_folds, shuffle=True, random_state=0)
    share = 1 / np.clip(n_rows // 10_000, 4, 20)
    return (StratifiedShuffleSplit if is_class else ShuffleSplit)(
        1, test_size=share, random_state=0
    )


def random_search(estimator, X, y, space, seconds):
    """RandomizedSearchCV, one candidate at a time until the time is over, the defaults first.

    The best one is fitted on all rows in the same time.
    """
    began, best, n_tried, reserve = time.perf_counter(), (-np.inf, {}), 0, 0.0
    scoring = "neg_log_loss" if is_classifier(estimator) else "r2"
    cv = folds(is_classifier(estimator), len(X))
    name = next(iter(space))
    defaults = {name: [estimator.get_params()[name]]}
    while time.perf_counter() - began < seconds - reserve:
        drawn = space if n_tried else defaults
        search = RandomizedSearchCV(
            estimator, drawn, n_iter=1, scoring=scoring, cv=cv, random_state=n_tried, refit=False
        )
        search.fit(X, y)
        n_tried += 1
        if search.best_score_ > best[0]:
            best = search.best_score_, search.best_params_
            reserve = 1.3 * float(search.cv_results_["mean_fit_time"][0]) / 0.75
    return estimator.set_params(**best[1]).fit(X, y), n_tried, best[1]


def error(model, X, y, is_class):
    """The log loss, or the root mean squared error over the standard deviation."""
    if is_class:
        return float(log_loss(y, model.predict_proba(X).astype(float), labels=model.classes_))
    return float(root_mean_squared_error(y, model.predict(X)) / np.std(y))


def compare(folder, name, seconds, most_rows):
    """Both searches on one table."""
    is_class, X, X_test, y, y_test = table(folder, name, most_rows)
    if not is_class:  # the inputs are standardised, and so is what is learned
        mean, scale = y.mean(), y.std()
        y, y_test = (y - mean) / scale, (y_test - mean) / scale
    estimator = make_estimator(is_class)
    estimator.fit(X.iloc[:200], y.iloc[:200])  # compiles
    space = read_space(own_space(estimator, len(X)), estimator)
    found = {"table": name, "rows": len(X), "is_class": is_class}
    found["defaults"] = error(make_estimator(is_class).fit(X, y), X_test, y_test, is_class)
    began = time.perf_counter()
    model, found["random_trials"], found["random_params"] = random_search(
        estimator, X, y, distributions(space), seconds
    )
    found["random_seconds"] = time.perf_counter() - began
    found["random"] = error(model, X_test, y_test, is_class)
    began = time.perf_counter()
    estimator = make_estimator(is_class)
    result = tune(estimator, X, y, time_limit=seconds)
    found["tune_seconds"] = time.perf_counter() - began
    found["tune"] = error(result.best_estimator_, X_test, y_test, is_class)
    found["tune_trials"] = len(result.trials)
    found["tune_params"] = result.best_params_
    return found


def report(found, seconds):
    """The table of results."""
    lines = [
        "| table | rows | error | defaults | RandomizedSearchCV | candidates | seconds | "
        "fastmlp.tune | candidates | seconds |",
        "|" + "---|" * 10,
    ]
    for one in found:
        metric = "log loss" if one["is_class"] else "RMSE / sd"
        cells = [
            one["table"], str(one["rows"]), metric, f"{one['defaults']:.4f}",
            f"{one['random']:.4f}", str(one["random_trials"]), f"{one['random_seconds']:.0f}",
            f"{one['tune']:.4f}", str(one["tune_trials"]), f"{one['tune_seconds']:.0f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    n_better = sum(one["tune"] < one["random"] for one in found)
    first, second = hardware()
    note = (
        f"{first}; {second}, optuna {version('optuna')}; {date.today()}. {seconds:g} seconds each, "
        f"the last fit on all rows included; errors on a fifth of the rows that no search has "
        f"seen; smaller is better. `tune` is better on {n_better} of {len(found)} tables."
    )
    return f"# A search for parameters at equal time\n\n{note}\n\n" + "\n".join(lines) + "\n"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tables", default=",".join(TABLES), show_default=True)
@click.option("--seconds", default=40.0, show_default=True, help="Of each search.")
@click.option("--most-rows", default=10_000, show_default=True, help="To learn from.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder that keeps results.")
def main(folder, tables, seconds, most_rows, cache):
    """Search with RandomizedSearchCV and with tune on the tables of FOLDER.

    Both search the same space of the same pipeline, by the same metric, on folds of the same
    sizes. Tables whose results are in --cache are not measured again.
    """
    warnings.simplefilter("ignore")
    found = []
    for name in tables.split(","):
        kept = None if cache is None else cache / f"{name}.json"
        if kept is not None and kept.exists():
            found.append(json.loads(kept.read_text()))
            continue
        found.append(compare(folder, name, seconds, most_rows))
        click.echo(found[-1], err=True)
        if kept is not None:
            cache.mkdir(exist_ok=True)
            kept.write_text(json.dumps(found[-1], default=str))
    text = report(found, seconds)
    (RESULTS / "tune.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
