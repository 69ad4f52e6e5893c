"""What a candidate is worth: short fits on some rows, measured on others."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier

from ..exceptions import DataError, DivergenceError, InterruptedTrainingWarning, collected_warnings
from ..tabular.frames import as_pandas, read_target
from ..tabular.pack.folds import stratified_folds
from ..tabular.pack.members import networks_of
from ..tabular.pack.preparation import set_parameters
from ..tabular.table import settle_table
from .models import final_of, is_pack, is_tabular
from .scoring import Scoring

# Up to so many rows there are so many folds; of more rows one part is held out.
_FOLDS = ((500, 5), (2000, 3))
_ROWS_OF_A_PART = 10_000
_FEWEST_PARTS, _MOST_PARTS = 4, 20
# Each rung trains for so many times as many epochs as the one below.
_FACTOR = 3
_FEWEST_EPOCHS, _MOST_RUNGS = 5, 3
# The last rung of a network for tables: the mean of so many, as the model will have.
_MEMBERS = 8
# Schedules that end with the last epoch, so that a longer fit is another one from the start on.
_WITH_HORIZON = {"cosine", "one_cycle", "multi_cycle"}


class Stop:
    """Ends fits when their time is over; it is the callback of each fit.

    Parameters
    ----------
    seconds_left : callable
        Returns the time that is left, which is negative where everything shall end.
    tick : callable
        It is called after each epoch or network.

    Attributes
    ----------
    is_cut : bool
        Whether the fit was ended before its end.
    """

    sees_estimator = False  # so that no epoch takes time to bring the estimator up to date

    def __init__(self, seconds_left: Callable[[], float], tick: Callable[[], None]) -> None:
        self._seconds_left, self._tick = seconds_left, tick
        self.is_cut = False

    def __call__(self, event: Any) -> bool:
        """Tell whether a fit shall end with this epoch or network."""
        self._tick()
        is_epoch = hasattr(event, "epoch")
        done, planned = (event.epoch, event.max_epochs) if is_epoch else (event.done, event.planned)
        # The next epoch takes as long as those before; a pack knows its limit of time by itself.
        ahead = event.seconds / event.epoch if is_epoch else 0.0
        if done < planned and self._seconds_left() <= ahead:
            self.is_cut = True
        return self.is_cut


@dataclass
class Measured:
    """The result of a candidate on a rung.

    Parameters
    ----------
    score : float
        The mean over folds.
    epochs : int
        All epochs of all folds.
    seconds : float
    is_cut : bool
        Whether the fits were ended early by the limit of time.
    is_short : bool
        Whether all fits ended before their last epoch by themselves, so that a higher rung would
        train the same network.
    """

    score: float
    epochs: int
    seconds: float
    is_cut: bool = False
    is_short: bool = False


# Takes parameters, a function that returns the seconds left, one that is called now and then, a
# limit of time and the number of folds: :meth:`Objective.measure`.
Measure: TypeAlias = Callable[
    [dict[str, Any], Callable[[], float], Callable[[], None], float | None, int | None], Measured
]


class Objective:
    """Fits candidates on some rows and measures them on others, which are the same for all.

    Parameters
    ----------
    estimator : estimator
    X : data frame, array-like or sparse matrix of shape (n_rows, n_columns)
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
    scoring : Scoring
    n_folds : int or None
        1 holds out one part of the rows; None depends on the rows.
    n_threads : int or None
        Of each fit; None is all.
    seed : int
        Of the folds.

    Attributes
    ----------
    n_folds : int
    train_share : float
        The share of the rows that a fit is trained on.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        scoring: Scoring,
        n_folds: int | None,
        n_threads: int | None,
        seed: int,
    ) -> None:
        self._estimator, self._scoring, self._n_threads = estimator, scoring, n_threads
        self._prefix, final = final_of(estimator)
        self._params = estimator.get_params()
        X, y = indexable(X), indexable(y)
        n_rows = X.shape[0]
        if n_folds is None:
            n_folds = next((count for most, count in _FOLDS if n_rows < most), 1)
        self.n_folds = n_folds
        n_parts = n_folds
        if n_folds == 1:
            n_parts = int(np.clip(n_rows // _ROWS_OF_A_PART, _FEWEST_PARTS, _MOST_PARTS))
        if n_rows < 2 * n_parts:
            raise DataError(
                f"{n_rows} rows are too few for {n_parts} parts with n_folds={n_folds}; there must "
                "be two rows in each"
            )
        self.train_share = 1 - 1 / n_parts
        task = "classification" if is_classifier(final) else "regression"
        parts = stratified_folds(_sortable(y, task), task, n_parts, np.random.RandomState(seed))
        table = None
        if final is estimator and is_tabular(estimator) and hasattr(X, "columns"):
            if np.ndim(y) == 1 or np.shape(y)[1] == 1:
                table = settle_table(X, read_target(final, y))
            if table is not None and table.target_form:
                table = None  # only the whole target shows how its numbers are written
        self._folds = []
        for part in range(n_folds):
            train, held = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
            learned = take(X, train) if table is None else table.rows(train)
            self._folds.append((learned, take(y, train), take(X, held), take(y, held)))

    def rungs(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what a candidate's parameters are on each rung, beside its own.

        The last one is the candidate as it will be trained on all rows. Those for fewer epochs are
        measured on one fold.

        Parameters
        ----------
        params : dict of str to object

        Returns
        -------
        list of dict
        """
        final = final_of(clone(self._estimator).set_params(**params))[1]
        if is_pack(final) and not set_parameters(final):
            return [{}]
        name = self._prefix + "max_iter"
        epochs = {**self._params, **params}[name]
        epochs = 200 if isinstance(epochs, str) else int(epochs)
        n_rungs = 1
        while n_rungs < _MOST_RUNGS and epochs / _FACTOR**n_rungs >= _FEWEST_EPOCHS:
            n_rungs += 1
        budgets = [max(1, round(epochs / _FACTOR ** (n_rungs - 1 - i))) for i in range(n_rungs)]
        # Candidates with fewer epochs begin higher, so that equal rungs are about equal work.
        rungs: list[dict[str, Any]] = [{name: budget} for budget in budgets[:-1]]
        rungs = [{name: budgets[0]}] * (_MOST_RUNGS - n_rungs) + rungs + [{}]
        return rungs + self._bag(params)

    def _bag(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rung above all epochs: several networks, where nobody has chosen how many."""
        name = self._prefix + "members"
        if {**self._params, **params}.get(name) == "auto":
            return [{name: _MEMBERS}]
        return []

    def measure(
        self,
        params: dict[str, Any],
        seconds_left: Callable[[], float],
        tick: Callable[[], None],
        limit: float | None = None,
        n_folds: int | None = None,
    ) -> Measured:
        """Fit a candidate on folds, and measure it.

        Parameters
        ----------
        params : dict of str to object
            Those of the candidate and of its rung.
        seconds_left : callable
            Returns the time until the end of the search; fits that it cuts are not measured.
        tick : callable
            It is called after each epoch or network.
        limit : float or None, default=None
            Seconds that all folds may take; what was trained until then is measured.
        n_folds : int or None, default=None
            How many folds; None is all.

        Returns
        -------
        Measured

        Raises
        ------
        KeyboardInterrupt
            When Ctrl-C ended a fit.
        ValueError
            When a parameter cannot be used, or training diverged.
        """
        began, scores, epochs, is_short = time.perf_counter(), [], 0, True
        for i, (X, y, X_held, y_held) in enumerate(self._folds[:n_folds]):
            share, left = None, seconds_left
            if limit is not None:
                now = time.perf_counter()
                share = (limit - (now - began)) / (self.n_folds - i)
                left = partial(_least, seconds_left, now + share)
            stop = Stop(left, tick)
            model = self.model(params, share)
            with collected_warnings():
                fit_model(model, X, y, stop)
                if stop.is_cut and (limit is None or seconds_left() <= 0):
                    return Measured(float("nan"), epochs, time.perf_counter() - began, is_cut=True)
                scores.append(self._scoring.score(model, X_held, y_held))
            final = final_of(model)[1]
            epochs += int(np.sum(final.n_iter_))
            is_short = is_short and not stop.is_cut and self._ended_early(final)
        if not np.all(np.isfinite(scores)):
            raise DivergenceError(f"the {self._scoring.name} is not finite")
        seconds = time.perf_counter() - began
        return Measured(float(np.mean(scores)), epochs, seconds, is_short=is_short)

    def model(self, params: dict[str, Any], time_limit: float | None = None) -> Any:
        """Return an estimator with the parameters of a candidate that is not fitted yet.

        Parameters
        ----------
        params : dict of str to object
        time_limit : float or None, default=None
            Seconds that a fit of a model for tables may take, unless it has less already.

        Returns
        -------
        estimator
        """
        model = clone(self._estimator).set_params(**params)
        settings: dict[str, Any] = {}
        if self._n_threads is not None:
            settings[self._prefix + "n_jobs"] = self._n_threads
        name = self._prefix + "time_limit"
        if time_limit is not None and name in self._params:
            own = self._params[name]
            settings[name] = max(min(time_limit, own or time_limit), 1e-3)
        return model.set_params(**settings)

    def _ended_early(self, final: Any) -> bool:
        """Tell whether a network ended before its last epoch, and would in a longer fit as well."""
        schedule = getattr(final, "lr_schedule", None)
        if is_pack(final) or not (schedule is None or isinstance(schedule, str)):
            return False
        if schedule in _WITH_HORIZON or (not hasattr(final, "estimator_") and is_tabular(final)):
            return False
        (network,) = networks_of(final.estimator_) if is_tabular(final) else [final]
        return bool(network.n_iter_ < network.max_iter)


def _least(seconds_left: Callable[[], float], end: float) -> float:
    """Return the time until the end of everything, or until an end of its own, if that is less."""
    return min(seconds_left(), end - time.perf_counter())


def fit_model(model: Any, X: Any, y: Any, callback: Callable[[Any], bool]) -> None:
    """Fit a model with a callback, which in a pipeline is that of the last step.

    Parameters
    ----------
    model : estimator
    X : data frame, Table, array-like or sparse matrix of shape (n_rows, n_columns)
    y : array-like of shape (n_rows,) or (n_rows, n_targets)
    callback : callable

    Raises
    ------
    KeyboardInterrupt
        When Ctrl-C ended the fit.
    """
    prefix, _ = final_of(model)
    with collected_warnings() as collected:
        model.fit(X, y, **{f"{prefix}callback": callback})
    if any(isinstance(warning, InterruptedTrainingWarning) for warning in collected):
        raise KeyboardInterrupt


def indexable(data: Any) -> Any:
    """Return data of which rows can be taken: a frame of pandas, an array or a sparse matrix.

    Parameters
    ----------
    data : data frame, array-like or sparse matrix

    Returns
    -------
    data frame, ndarray or sparse matrix
    """
    data = as_pandas(data)
    if issparse(data):
        return data.tocsr()
    return data if hasattr(data, "iloc") else np.asarray(data)


def take(data: Any, rows: NDArray[np.intp]) -> Any:
    """Return some rows of data.

    Parameters
    ----------
    data : data frame, ndarray or sparse matrix
        As :func:`indexable` returns it.
    rows : ndarray of int

    Returns
    -------
    data frame, ndarray or sparse matrix
    """
    return data.iloc[rows] if hasattr(data, "iloc") else data[rows]


def _sortable(y: Any, task: str) -> NDArray[Any]:
    """Return what rows are dealt out to folds by: numbers, or the names of classes."""
    values = np.asarray(y)
    if values.ndim > 1 and task == "regression":
        values = values[:, 0]
    if values.ndim > 1:
        values = np.array(["".join(map(str, row)) for row in values])
    if task == "regression":
        try:
            return values.astype(np.float64)
        except (TypeError, ValueError):
            pass  # numbers in another form
    return values.astype(str)
