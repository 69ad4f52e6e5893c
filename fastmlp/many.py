"""Many networks at once, one on each thread."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

from sklearn import config_context, get_config

from .base import BaseMLP


def fit_many(estimators, X, y, sample_weight=None, *, n_jobs=None):
    """Fit estimators on the same data, each on a thread of its own.

    For networks too small to share a step among threads this is faster than fitting them one
    after the other; and, unlike processes, threads need not be started anew and sent the data.
    The results are those of fitting each by itself, unless estimators share a ``RandomState``
    object, which they then draw from in any order. Those on a GPU take turns there.

    Parameters
    ----------
    estimators : sequence of MLPClassifier and MLPRegressor
        Different objects; fitted in place. Each uses one thread, whatever its ``n_jobs``.
    X : array-like or sparse matrix of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,), optional
    n_jobs : int or None, default=None
        Estimators that are fitted at a time; None is numba's limit of threads.

    Returns
    -------
    list of MLPClassifier and MLPRegressor
        The estimators.

    Raises
    ------
    TypeError
        When something else is among the estimators.
    ValueError
        When one estimator occurs twice; and what ``fit`` raises for the first one that fails,
        after all others were fitted.

    Warns
    -----
    UserWarning
        After Ctrl-C: estimators in training keep what they have learned, others stay unfitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier, fit_many
    >>> X, y = load_iris(return_X_y=True)
    >>> seeds = [MLPClassifier(max_iter=500, random_state=seed) for seed in range(4)]
    >>> [model.score(X, y) > 0.9 for model in fit_many(seeds, X, y)]
    [True, True, True, True]
    """
    from .cpu.engine import resolve_n_threads
    from .cpu.threads import at_most

    estimators = list(estimators)
    for estimator in estimators:
        if not isinstance(estimator, BaseMLP):
            raise TypeError(
                f"fit_many takes MLPClassifier and MLPRegressor, got {type(estimator).__name__}"
            )
    if len({id(estimator) for estimator in estimators}) < len(estimators):
        raise ValueError("an estimator occurs twice; pass a clone of it")
    n_threads = resolve_n_threads(n_jobs)
    if n_threads < 1:
        raise ValueError(f"n_jobs must be None or an integer other than 0, got {n_jobs}")
    told_to_stop, config = threading.Event(), get_config()

    def fit(estimator):
        if told_to_stop.is_set():
            return
        with at_most(1), config_context(**config):
            estimator.fit(X, y, sample_weight, callback=lambda epoch: told_to_stop.is_set())

    futures = []
    with ThreadPoolExecutor(n_threads, "fastmlp-fit") as pool:
        try:
            futures += [pool.submit(fit, estimator) for estimator in estimators]
            failures = [future.exception() for future in futures]
        except KeyboardInterrupt:
            told_to_stop.set()
            failures = [future.exception() for future in futures]
            warnings.warn("Training interrupted by user.", stacklevel=2)
    for failure in failures:
        if failure is not None:
            raise failure
    return estimators
