"""What a search has found."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """What a callback of :func:`fastmlp.tune` is told, after each candidate and about each second.

    Parameters
    ----------
    n_finished : int
        Number of candidates that were tried, or given up early.
    n_trials : int or None
        How many there will be.
    scoring : str
        The metric.
    best_score : float or None
        The best score so far of a candidate that was tried to the end.
    seconds : float
        Time since the search began.
    seconds_left : float or None
        Time until its end; None where there is no limit.
    is_final : bool, default=False
        Whether the search has ended, and the best candidate is about to be fitted on all rows.
    """

    n_finished: int
    n_trials: int | None
    scoring: str
    best_score: float | None
    seconds: float
    seconds_left: float | None
    is_final: bool = False


@dataclass(frozen=True)
class TuningResult:
    """What :func:`fastmlp.tune` returns.

    Parameters
    ----------
    best_estimator_ : estimator
        It has the best parameters, and is fitted on all rows, unless ``refit=False`` was given.
    best_params_ : dict of str to object
        What differs from the parameters of the estimator that was tuned; empty where its own are
        the best.
    best_score_ : float
        The metric of the best candidate on rows that it was not trained on.
    trials : list of dict
        All candidates, the best ones first. A ``pandas.DataFrame`` can be made of it.

        - 'candidate': its number.
        - 'state': 'complete', 'stopped' early for its scores, 'failed', 'interrupted', or
          'running' in another process.
        - 'score', 'rungs', 'epochs', 'seconds': the metric after the last fit, the number of
          fits, their epochs, and the time that all fits took.
        - 'params': what differs from the parameters of the estimator.
        - 'start': 'defaults' for these; '' for candidates that were drawn.
        - 'error': why it failed.
    importances_ : dict of str to float
        The share of the differences between scores that each parameter explains, the largest
        first; empty where too few candidates were tried.
    scoring : str
        The metric.
    is_larger_better : bool
        Whether a larger metric is better.
    n_folds : int
        Number of folds that candidates were measured on.
    seconds : float
        Time of the search.
    is_interrupted : bool
        Whether Ctrl-C or a callback ended it.
    """

    best_estimator_: Any
    best_params_: dict[str, Any]
    best_score_: float
    trials: list[dict[str, Any]]
    importances_: dict[str, float]
    scoring: str
    is_larger_better: bool
    n_folds: int
    seconds: float
    is_interrupted: bool
