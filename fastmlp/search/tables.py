"""Tuning a model of a whole table, as the command line does it."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..exceptions import InputError
from ..tabular.problem import read_problem
from ..tabular.train import make_estimator, train_table
from .result import Progress, TuningResult
from .scoring import Scorer
from .tune import search


def tune_table(
    frame: Any,
    target: Any = None,
    task: str = "auto",
    *,
    test_size: float = 0.2,
    random_state: int = 0,
    na_values: str | Sequence[str] = (),
    space: Mapping[str, Any] | None = None,
    n_trials: int | None = None,
    time_limit: float | None = None,
    scoring: str | Scorer | None = None,
    n_folds: int | None = None,
    n_jobs: int | None = None,
    client: Any = None,
    study: str | os.PathLike[str] | None = None,
    callback: Callable[[Progress], Any] | None = None,
    **parameters: Any,
) -> TuningResult:
    """Hold out test rows, tune a model of a table on the others, and measure the best one.

    Parameters
    ----------
    frame : data frame
        A frame of pandas or polars, with the target among its columns.
    target, task, test_size, na_values : object
        See :func:`fastmlp.train_table`.
    random_state : int, default=0
        Seed of the split, of the search and of the training.
    space, n_trials, time_limit, scoring, n_folds, n_jobs, client, study, callback : object
        See :func:`fastmlp.tune`.
    **parameters
        Parameters of :class:`fastmlp.TabularClassifier` or :class:`fastmlp.TabularRegressor` that
        all candidates have.

    Returns
    -------
    TuningResult
        Its model has the ``report_`` of :func:`fastmlp.train_table`, with the metrics on the test
        rows, which no candidate has seen.

    Raises
    ------
    DataError
        When the table cannot be learned from.
    ClusterError
        When the cluster of `client` cannot be used, and when it is lost.
    InputError
        When a parameter, the space or the study cannot be used.
    KeyboardInterrupt
        When Ctrl-C came before there was a candidate to return, or during the last fit.
    """
    problem = read_problem(frame, target, task, test_size, random_state)
    estimator = make_estimator(problem.task, {**parameters, "random_state": random_state})

    def finish(model: Any, X: Any, y: Any, seconds: float | None) -> Any:
        """Train the best model on all rows but those for the test, and measure it on these."""
        given = model.get_params(deep=False)
        del given["random_state"]
        if seconds is not None:
            own = given["time_limit"]
            given["time_limit"] = max(min(seconds, own or seconds), 1e-3)
        return train_table(
            frame, target, task, test_size=test_size, random_state=random_state,
            na_values=na_values, **given,
        )  # fmt: skip

    try:
        result = search(
            estimator,
            problem.features.iloc[problem.train],
            problem.learned(problem.train),
            finish,
            space=space,
            n_trials=n_trials,
            time_limit=time_limit,
            scoring=scoring,
            n_folds=n_folds,
            random_state=random_state,
            n_jobs=n_jobs,
            client=client,
            study=study,
            callback=callback,
        )
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(str(error)) from error
    model = result.best_estimator_
    if model.report_["interrupted"]:
        raise KeyboardInterrupt
    model.time_limit = estimator.time_limit  # the model is not that of a hurry
    return dataclasses.replace(result, best_estimator_=model)
