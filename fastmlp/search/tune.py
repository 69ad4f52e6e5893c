"""tune, which searches for the parameters of an estimator that predict unseen rows best."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sklearn.base import clone

from ..engines.devices import cpu_threads
from ..estimators.checkpoints import digest, parameters_of
from ..exceptions import (
    InputError,
    InterruptedTrainingWarning,
    collected_warnings,
    warn_user,
)
from ..tabular.checkpoints import fingerprint as fingerprint_of_table
from .models import final_of, is_pack, is_tabular
from .objective import Measure, Objective, Stop, indexable
from .result import Progress, TuningResult
from .runner import DEFAULTS, HIGH_EFFORT, Runner
from .scoring import Scorer, Scoring
from .space import Space, read_space
from .spaces import own_space


def tune(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    space: Mapping[str, Any] | None = None,
    n_trials: int | None = None,
    time_limit: float | None = None,
    scoring: str | Scorer | None = None,
    n_folds: int | None = None,
    random_state: int = 0,
    n_jobs: int | None = None,
    client: Any = None,
    study: str | os.PathLike[str] | None = None,
    callback: Callable[[Progress], Any] | None = None,
    refit: bool = True,
) -> TuningResult:
    """Search for the parameters of an estimator that predict unseen rows best.

    The first candidate is the estimator as it is, so that the result is no worse on the rows that
    candidates are measured on. The others are drawn by Optuna's TPE sampler. Each is first fitted
    for few epochs, and only the best third goes on to three times as many, up to all; each of
    these fits is complete, with a learning rate schedule of its own. A network for tables that is
    left at last becomes several, whose mean is the model. At the end the best candidate is fitted
    on all rows. Needs ``pip install 'fastmlp[tune]'``.

    Parameters
    ----------
    estimator : estimator
        An MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor, or a pipeline of
        scikit-learn that ends in one. It is not changed.
    X : data frame, array-like or sparse matrix of shape (n_rows, n_columns)
        What the estimator takes. Rows for a final test must not be among these.
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
    space : dict, default=None
        What is searched of each parameter: a text such as ``'1e-4..3e-2:log'``, ``'0..0.4'`` or
        ``'64/128,64'``, a list of choices, or a dict with 'low', 'high' and 'log'. The names are
        those of ``estimator.get_params()``, which in a pipeline begin with the name of a step.
        None is a space of our own, by the task and the number of rows, of parameters that the
        estimator has not been given.
    n_trials : int, default=None
        Number of candidates, those of an earlier search in `study` included.
    time_limit : float, default=None
        Seconds for everything, the last fit included. Either this or `n_trials` is needed; with
        both the one that is reached first ends the search.
    scoring : str or callable, default=None
        The metric: 'log_loss', 'accuracy', 'balanced_accuracy' or 'roc_auc' for classes, 'r2',
        'rmse' or 'mae' for numbers, 'pinball_loss' for quantiles, or a function
        ``(estimator, X, y)`` of which larger is better. None is the first one of its kind.
    n_folds : int, default=None
        Number of folds of the rows; each candidate is fitted once for each fold, and measured on
        it. 1 holds out one part. None is 5 below 500 rows, 3 below 2000, and 1 from there on.
    random_state : int, default=0
        Seed of the folds and of the candidates.
    n_jobs : int, default=None
        Number of candidates that are tried at a time, in threads that share the processors. None
        is 1, and with a `client` the number of threads of its workers. With more than one, which
        candidates are drawn depends on which ones are done first.
    client : distributed.Client, default=None
        A cluster of Dask on whose workers candidates are tried. The rows are sent to each of them
        once. The study and the last fit on all rows stay in this process. Where a worker is lost,
        its candidates are tried again on others. Needs ``pip install 'fastmlp[dask]'``.
    study : str or Path, default=None
        File that keeps all candidates while they are tried. A search that was killed at any
        moment goes on with it, and several processes may share it. It must belong to the same
        search: estimator, data, space and metric. None keeps nothing.
    callback : callable, default=None
        It is called with a ``fastmlp.search.result.Progress`` after each candidate, about each
        second, and before the last fit; the search ends when it returns True.
    refit : bool, default=True
        Whether the best candidate is fitted on all rows at the end.

    Returns
    -------
    TuningResult
        A ``fastmlp.search.result.TuningResult`` with ``best_estimator_``, ``best_params_``,
        ``best_score_``, ``trials`` and ``importances_``.

    Raises
    ------
    ImportError
        When Optuna is not installed, or Dask for a `client`.
    ClusterError
        When the cluster cannot be used, and when it is lost. A `study` keeps what was tried.
    InputError
        When the space, the metric or the study cannot be used, or no candidate could be trained.
    TypeError
        When the estimator is not one of these.
    ValueError
        When another argument cannot be used, and where ``fit`` of the estimator raises it.
    KeyboardInterrupt
        When Ctrl-C came before there was a candidate to return, or during the last fit.

    Warns
    -----
    fastmlp.exceptions.InterruptedTrainingWarning
        After Ctrl-C. The result is the best until then.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier, tune
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"hidden_layer_sizes": "8/16/32", "learning_rate_init": "1e-3..1e-1:log"}
    >>> result = tune(MLPClassifier(max_iter=50), X, y, space=space, n_trials=5)
    >>> result.best_estimator_.score(X, y) > 0.9
    True
    """
    result = search(
        estimator,
        X,
        y,
        _fitted if refit else None,
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
    if result.is_interrupted:
        warn_user("Tuning interrupted by user.", InterruptedTrainingWarning)
    return result


def search(
    estimator: Any,
    X: Any,
    y: Any,
    finish: Callable[[Any, Any, Any, float | None], Any] | None,
    *,
    space: Mapping[str, Any] | None,
    n_trials: int | None,
    time_limit: float | None,
    scoring: str | Scorer | None,
    n_folds: int | None,
    random_state: int,
    n_jobs: int | None,
    client: Any,
    study: str | os.PathLike[str] | None,
    callback: Callable[[Progress], Any] | None,
) -> TuningResult:
    """Search, and let the best model be trained as the caller wants it; see :func:`tune`.

    Parameters
    ----------
    estimator, X, y : object
    finish : callable or None
        ``finish(model, X, y, seconds)`` returns the model with the best parameters, trained in the
        time that is left, or None without a limit. None leaves it as it is.
    space, n_trials, time_limit, scoring, n_folds, random_state, n_jobs, client, study : object
    callback : callable or None
        See :func:`tune`.

    Returns
    -------
    TuningResult
    """
    _check_arguments(n_trials, time_limit, n_folds, n_jobs)
    final_of(estimator)
    study_module = _study_module()
    n_jobs, n_threads = _shares(n_jobs, client)
    scored = Scoring(estimator, y, scoring)
    n_rows = indexable(X).shape[0]
    known = read_space(own_space(estimator, n_rows) if space is None else space, estimator)
    objective = Objective(estimator, X, y, scored, n_folds, n_threads, random_state)
    path = None if study is None else Path(study)
    about = {} if path is None else _about(estimator, X, y, known, scored, objective, random_state)
    with study_module.quiet():
        kept = study_module.Study(
            path, known, _starts(estimator, space), scored.is_larger_better, random_state, about
        )
        runner = Runner(
            kept, objective, scored.name, n_trials, time_limit, finish is not None, callback
        )
        try:
            with _measuring(objective, client, path) as measure:
                runner.run(n_jobs, measure)
        finally:
            kept.close()
        best = kept.best()
        if best is None:
            if runner.is_interrupted:
                raise KeyboardInterrupt
            raise InputError(
                f"no candidate could be tried to its end within time_limit={time_limit}; allow "
                "more time"
            )
        # The defaults are what they are; others are what their last rung was.
        last = {} if best.start else objective.rungs(best.params)[-1]
        params = {**best.params, **last}
        runner.tell_end()
        model = clone(estimator).set_params(**params)
        if finish is not None:
            model = finish(model, X, y, runner.seconds_of_last_fit())
        score = kept.best_score()
        assert score is not None
        records, importances = kept.records(), kept.importances()
    return TuningResult(
        model,
        params,
        score,
        records,
        importances,
        scored.name,
        scored.is_larger_better,
        objective.n_folds,
        round(runner.seconds, 3),
        runner.is_interrupted,
    )


def _check_arguments(
    n_trials: int | None, time_limit: float | None, n_folds: int | None, n_jobs: int | None
) -> None:
    if n_trials is None and time_limit is None:
        raise ValueError("tune ends at n_trials or time_limit; give one of them, or both")
    for name, value in (("n_trials", n_trials), ("n_folds", n_folds), ("n_jobs", n_jobs)):
        if value is not None and (isinstance(value, bool) or value != int(value) or value < 1):
            raise ValueError(f"{name} must be an integer from 1 on, got {value!r}")
    if time_limit is not None and not 0 < time_limit < float("inf"):
        raise ValueError(f"time_limit must be a positive number of seconds, got {time_limit!r}")


def _study_module() -> Any:
    """Import Optuna, and what is made of it."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ImportError(
            "tuning needs the package optuna; install it with: pip install 'fastmlp[tune]'"
        ) from None
    from . import study

    return study


def _shares(n_jobs: int | None, client: Any) -> tuple[int, int | None]:
    """Return how many candidates are tried at a time, and how many threads each of them has.

    None is all threads. A task of Dask finds out by itself which share of its worker it has.
    """
    if client is not None:
        from ..cluster.clients import usable_client

        n_threads = sum(usable_client(client).nthreads().values())
        return n_threads if n_jobs is None else n_jobs, None
    if n_jobs is None or n_jobs == 1:
        return 1, None
    return n_jobs, max(1, cpu_threads(None) // n_jobs)


def _measuring(
    objective: Objective, client: Any, study: Path | None
) -> AbstractContextManager[Measure]:
    """Give the function that measures candidates, here or on the workers of a cluster."""
    if client is None:
        return nullcontext(objective.measure)
    from .workers import measuring_on

    return measuring_on(client, objective, study)


def _starts(estimator: Any, space: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return the candidates that come first, by what they are called."""
    starts: dict[str, dict[str, Any]] = {DEFAULTS: {}}
    prefix, final = final_of(estimator)
    if space is None and is_pack(estimator) and final.effort == "default":
        starts[HIGH_EFFORT] = {prefix + "effort": "high"}
    return starts


def _about(
    estimator: Any,
    X: Any,
    y: Any,
    space: Space,
    scoring: Scoring,
    objective: Objective,
    random_state: int,
) -> dict[str, str]:
    """Describe a search, so that a study is gone on with by the same one alone."""
    X, y = indexable(X), indexable(y)
    if hasattr(X, "columns"):
        found = fingerprint_of_table(estimator, X, [y], None)
    else:
        parts = [X.data, X.indices, X.indptr] if hasattr(X, "indptr") else [X]
        found = parameters_of(estimator)
        found |= {"the shape of X": str(X.shape), "the digest of X": digest(parts)}
        found["the digest of y"] = digest([y])
    found["the metric"] = scoring.name
    found["the number of folds"] = str(objective.n_folds)
    found["`random_state` of the search"] = str(random_state)
    return found | {f"the space of `{name}`": str(part) for name, part in space.items()}


def _fitted(model: Any, X: Any, y: Any, seconds: float | None) -> Any:
    """Fit a model on all rows, in the time that is left.

    Raises
    ------
    KeyboardInterrupt
        When Ctrl-C ended the fit.
    """
    prefix, final = final_of(model)
    arguments, own_limit = {}, getattr(final, "time_limit", None)
    if seconds is not None:
        end = time.perf_counter() + seconds
        if is_tabular(final):
            final.set_params(time_limit=max(min(seconds, own_limit or seconds), 1e-3))
        else:
            stop = Stop(lambda: end - time.perf_counter(), lambda: None)
            arguments[f"{prefix}callback"] = stop
    with collected_warnings() as collected:
        model.fit(X, y, **arguments)
    if any(isinstance(warning, InterruptedTrainingWarning) for warning in collected):
        raise KeyboardInterrupt
    for warning in collected:
        warn_user(warning)
    fitted = final_of(model)[1]
    if is_tabular(fitted):
        fitted.time_limit = own_limit  # the model is not that of a hurry
    return model
