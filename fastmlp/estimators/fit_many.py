"""Many networks at once, one on each thread of the CPU or on each block of a GPU."""

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn import config_context, get_config
from sklearn.utils import check_array

from ..engines.devices import fit_group, host_array, is_device_array, open_engine
from ..exceptions import InterruptedTrainingWarning, warn_user
from ._sklearn import get_feature_names
from .base import BaseMLP

# Networks that are trained together on a GPU, each by a thread that mostly waits.
_MOST_TOGETHER = 512
# Memory for the copies of the data that their fits make.
_BYTES_TOGETHER = 2**32


def fit_many(
    estimators: Sequence[BaseMLP],
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    n_jobs: int | None = None,
) -> list[BaseMLP]:
    """Fit estimators on the same data, each on a thread of its own.

    For networks too small to share a step among threads this is faster than fitting them one
    after the other; and, unlike processes, threads need not be started anew and sent the data.
    The results are those of fitting each by itself, unless estimators share a ``RandomState``
    object, which they then draw from in any order.

    On a GPU small networks are trained together, one launch an epoch for all: a step of one of
    n networks may have up to ``2**18 * min(n, 128)`` multiply-adds, which is parameters times
    rows of a batch. Larger ones take turns there.

    Parameters
    ----------
    estimators : sequence of MLPClassifier and MLPRegressor
        Different objects; fitted in place. Each uses one thread, whatever its ``n_jobs``.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Converted to floats once for all, except data frames, whose columns' names fits take.
        Also an array on the GPU, as for :meth:`fastmlp.MLPClassifier.fit`.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,), optional
    n_jobs : int or None, default=None
        Estimators that are fitted at a time; None is numba's limit of threads, and 512 of
        those that share a GPU, fewer where they would take more than 4 GiB for their copies of
        the data (early stopping makes one), or where so many threads cannot be started.

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
    fastmlp.exceptions.InterruptedTrainingWarning
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
    from ..engines.cpu.engine import resolve_n_threads
    from ..engines.cpu.threads import at_most

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
    X, y, sample_weight = _as_fits_read(X), host_array(y), host_array(sample_weight)
    told_to_stop, config = threading.Event(), get_config()

    def stops(epoch: Any) -> bool:
        return told_to_stop.is_set()

    def fit(estimator: BaseMLP, slot: Any = None) -> None:
        with at_most(1), config_context(**config):
            if told_to_stop.is_set():
                return
            if slot is not None:
                # A subclass may have a fit of its own: it need not know how the engine is opened.
                estimator._open_engine = partial(open_engine, slot=slot)
            with slot or nullcontext():
                estimator.fit(X, y, sample_weight, callback=stops)

    futures: dict[int, Future] = {}
    with ThreadPoolExecutor(n_threads, "fastmlp-fit") as pool:
        try:
            sharing = []
            for estimator in estimators:
                if estimator.device == "cpu" or issparse(X) or is_device_array(X):
                    futures[id(estimator)] = pool.submit(fit, estimator)
                else:
                    sharing.append(estimator)
            most = _MOST_TOGETHER if n_jobs is None or n_jobs < 0 else min(n_jobs, _MOST_TOGETHER)
            while sharing:
                group = sharing[: _n_together(sharing[:most], X, y)]
                shared = fit_group(len(group), n_threads) if len(group) > 1 else None
                if shared is None:
                    for estimator in group:
                        futures[id(estimator)] = pool.submit(fit, estimator)
                elif not _fit_together(group, shared, fit, told_to_stop, futures):
                    most = (len(group) + 1) // 2
                    continue
                sharing = sharing[len(group) :]
            failures = _failures(estimators, futures)
        except KeyboardInterrupt:
            told_to_stop.set()
            failures = _failures(estimators, futures)
            warn_user("Training interrupted by user.", InterruptedTrainingWarning)
        except BaseException:
            told_to_stop.set()
            raise
    for failure in failures:
        if failure is not None:
            raise failure
    return estimators


def _failures(estimators: list[BaseMLP], futures: dict[int, Future]) -> list[BaseException | None]:
    """What the fits raised, None for nothing, in the order of the estimators."""
    return [futures[id(e)].exception() for e in estimators if id(e) in futures]


def _as_fits_read(X: Any) -> Any:
    """X as each fit would convert it; as it is where a fit needs more, or would refuse it."""
    if not is_device_array(X):
        # Fits say what is wrong with X.
        with suppress(TypeError, ValueError):
            if get_feature_names(X) is None:
                types = [np.float64, np.float32]
                return check_array(X, accept_sparse="csr", dtype=types, ensure_all_finite=False)
    return X


def _n_together(estimators: list[BaseMLP], X: Any, y: Any) -> int:
    """How many of the first estimators there is memory for; at least one."""
    n_X, n_y = (math.prod(getattr(array, "shape", ())) for array in (X, y))
    size = getattr(getattr(X, "dtype", None), "itemsize", 8)
    is_converted = not isinstance(X, np.ndarray)
    n_bytes = 0
    for number, estimator in enumerate(estimators):
        # Rows that are held out leave a copy of the others, with y as given and as targets.
        is_split = bool(estimator.early_stopping)
        n_bytes += size * ((is_converted + is_split) * n_X + 2 * is_split * n_y)
        if n_bytes > _BYTES_TOGETHER:
            return max(1, number)
    return len(estimators)


def _fit_together(
    estimators: list[BaseMLP],
    group: Any,
    fit: Callable[..., None],
    told_to_stop: threading.Event,
    futures: dict[int, Future],
) -> bool:
    """Fit a group in as many threads; return False where these cannot be started.

    Fits of a group wait for each other: they begin when all have threads, and each thread leaves
    its own slot.
    """
    all_have_threads = threading.Event()
    slots: list[Any] = []

    def fit_in_slot(number: int) -> None:
        all_have_threads.wait()
        if slots:
            fit(estimators[number], slots[number])

    with ThreadPoolExecutor(len(estimators), "fastmlp-fit") as pool:
        try:
            try:
                for number, estimator in enumerate(estimators):
                    futures[id(estimator)] = pool.submit(fit_in_slot, number)
            except RuntimeError:
                all_have_threads.set()
                return False
            slots[:] = [group.slot() for _ in estimators]
            all_have_threads.set()
            wait([futures[id(estimator)] for estimator in estimators])
        except BaseException:
            told_to_stop.set()
            all_have_threads.set()
            raise
    return True
