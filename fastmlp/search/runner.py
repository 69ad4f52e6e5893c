"""The search itself: candidates are tried one after the other, or some at a time in threads."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any

from ..exceptions import ClusterError, DivergenceError, InputError
from ..training.signals import WaitingSignals
from .objective import Measure, Measured, Objective
from .owners import SECONDS_BETWEEN_SIGNS
from .result import Progress

if TYPE_CHECKING:
    from .study import Candidate, Study

# The share of the time that the first candidate may take, so that there is a result in time.
_SHARE_OF_FIRST = 0.35
# The model is trained on all rows at last, which may take longer than its last fit has shown. So
# much of all time may then be added to what is left of it.
_RESERVE, _LARGEST_SHARE_OF_RESERVE, _SHARE_OF_DELAY = 1.3, 0.5, 0.08
_SECONDS_BETWEEN_TICKS = 0.5
# So many candidates that fail in a row, and none that does not, are no accident.
_MOST_FAILURES = 10
DEFAULTS, HIGH_EFFORT = "defaults", "effort=high"
# A pack of high effort takes about ten times as long as the default one, and half of the time is
# left for the others.
_COST_OF_HIGH_EFFORT = 20


class Runner:
    """Tries candidates until the time or their number is reached.

    Parameters
    ----------
    study : Study
    objective : Objective
    scoring : str
        The name of the metric.
    n_trials : int or None
    time_limit : float or None
        Seconds for everything, the last fit on all rows included.
    has_refit : bool
        Whether there will be such a fit.
    callback : callable or None
        It is told of the progress; the search ends when it returns True.

    Attributes
    ----------
    is_interrupted : bool
        Whether Ctrl-C or the callback ended the search.
    """

    def __init__(
        self,
        study: "Study",
        objective: Objective,
        scoring: str,
        n_trials: int | None,
        time_limit: float | None,
        has_refit: bool,
        callback: Callable[[Progress], Any] | None,
    ) -> None:
        self._study, self._objective, self._scoring = study, objective, scoring
        self._measure_fits: Measure = objective.measure
        self._n_trials, self._time_limit, self._has_refit = n_trials, time_limit, has_refit
        self._callback = callback
        self._began = self._ticked = time.perf_counter()
        self._lock = threading.Lock()
        self._must_end = threading.Event()
        # What the last fit of each candidate has taken that was tried to the end here.
        self._last_seconds: dict[int, float] = {}
        self._reserve = 0.0
        self._n_failed = 0
        # Whether the cluster was lost. What was being tried there then stays in the study as after
        # the end of a process, so that the next search goes on with it.
        self._is_abandoned = False
        self.is_interrupted = False

    @property
    def seconds(self) -> float:
        """Time since the search began."""
        return time.perf_counter() - self._began

    def seconds_left(self) -> float:
        """Return the time until the end of the search."""
        if self._must_end.is_set():
            return float("-inf")
        if self._time_limit is None:
            return float("inf")
        return self._time_limit - self._reserve - self.seconds

    def seconds_of_last_fit(self) -> float | None:
        """Return how long the fit of the best candidate on all rows may take; None for any time."""
        if self._time_limit is None:
            return None
        return max(0.0, self._time_limit - self.seconds) + _SHARE_OF_DELAY * self._time_limit

    def run(self, n_jobs: int, measure: Measure) -> None:
        """Search.

        Parameters
        ----------
        n_jobs : int
            Number of candidates that are tried at a time.
        measure : callable
            The method of the objective, or a function that does the same elsewhere.

        Raises
        ------
        ClusterError
            When candidates are measured on a cluster that is lost.
        InputError
            When no candidate can be trained.
        """
        self._measure_fits = measure
        try:
            if n_jobs == 1:
                self._work()
                return
            with ThreadPoolExecutor(n_jobs, "fastmlp-tune") as pool:
                try:
                    with WaitingSignals():  # see its notes on locks
                        works = [pool.submit(self._work) for _ in range(n_jobs)]
                    wait(works)
                except BaseException:
                    self._must_end.set()
                    raise
            for work in works:
                work.result()
        except KeyboardInterrupt:
            self._must_end.set()
            self.is_interrupted = True

    def _work(self) -> None:
        """Try candidates in this thread until the end."""
        try:
            while self.seconds_left() > 0:
                candidate = self._study.next(self._n_trials, self._left_out())
                if candidate is None:
                    return
                self._try(candidate)
                self._tell()
        except BaseException:
            self._must_end.set()
            raise

    def _left_out(self) -> list[str]:
        """Return which of the first candidates would take too long."""
        first = self._last_seconds.get(0)
        if first is None or self.seconds_left() > _COST_OF_HIGH_EFFORT * first:
            return []
        return [HIGH_EFFORT]

    def _try(self, candidate: "Candidate") -> None:
        """Fit and measure a candidate as long as it is among the best."""
        try:
            self._climb(candidate)
            self._n_failed = 0
        except ClusterError:
            self._is_abandoned = True
            raise
        except (ValueError, OverflowError, MemoryError) as error:
            self._study.leave(candidate, error=f"{type(error).__name__}: {error}")
            if candidate.start == DEFAULTS:
                raise
            self._n_failed += not isinstance(error, DivergenceError)
            if self._n_failed >= _MOST_FAILURES:
                raise InputError(f"the last {_MOST_FAILURES} candidates failed: {error}") from error
        except BaseException:
            self._study.leave(candidate, is_cut=True)
            raise

    def _climb(self, candidate: "Candidate") -> None:
        rungs = self._objective.rungs(candidate.params)
        if candidate.start:  # it is what others are compared with
            measured = self._measure(candidate, 0, {}, self._limit_of_first(candidate))
            if measured is not None:
                self._complete(candidate, measured.score, measured.seconds)
            return
        seconds = candidate.seconds  # those of the last rung, if they are measured here
        for rung, changed in enumerate(rungs):
            if rung not in candidate.scores:
                measured = self._measure(candidate, rung, changed)
                if measured is None:
                    return
                seconds = measured.seconds
                self._study.report(candidate, self._equal(rungs, rung, measured), measured.score)
            if rung + 1 < len(rungs) and not self._study.goes_on(candidate, rung):
                self._study.leave(candidate)
                return
        self._complete(candidate, candidate.scores[len(rungs) - 1], seconds)

    def _equal(self, rungs: list[dict[str, Any]], rung: int, measured: Measured) -> list[int]:
        """Return the rungs, from one on, that have the score which was measured on it."""
        equal = {i for i in range(rung, len(rungs)) if rungs[i] == rungs[rung]}
        if measured.is_short:  # more epochs change nothing
            is_first_fold = _is_of_fewer_epochs(rungs[rung]) and self._objective.n_folds > 1
            equal |= {
                i
                for i in range(rung, len(rungs))
                if _is_of_fewer_epochs(rungs[i]) or (not rungs[i] and not is_first_fold)
            }
        return sorted(equal)

    def _measure(
        self,
        candidate: "Candidate",
        rung: int,
        changed: dict[str, Any],
        limit: float | None = None,
    ) -> Measured | None:
        """Measure a candidate on a rung; None where the search ended meanwhile."""
        tick = partial(self._tick, candidate, [time.monotonic()])
        params = {**candidate.params, **changed}
        measured = self._measure_fits(
            params, self.seconds_left, tick, limit, 1 if _is_of_fewer_epochs(changed) else None
        )
        candidate.seconds += measured.seconds
        if measured.is_cut:
            if not self._is_abandoned:
                self._study.leave(candidate, is_cut=True)
            return None
        candidate.epochs[str(rung)] = measured.epochs
        return measured

    def _limit_of_first(self, candidate: "Candidate") -> float | None:
        if self._time_limit is None or candidate.start != DEFAULTS:
            return None
        return _SHARE_OF_FIRST * self._time_limit

    def _complete(self, candidate: "Candidate", score: float, seconds: float) -> None:
        """Write down that a candidate was tried to the end; its last fit took so many seconds."""
        self._study.complete(candidate, score)
        self._last_seconds[candidate.number] = seconds
        best = self._study.best()
        if self._time_limit is None or not self._has_refit or best is None:
            return
        seconds = self._last_seconds.get(best.number, best.seconds) / self._objective.n_folds
        self._reserve = min(
            _RESERVE * seconds / self._objective.train_share,
            _LARGEST_SHARE_OF_RESERVE * self._time_limit,
        )

    def _tick(self, candidate: "Candidate", signed: list[float]) -> None:
        """Do what has to be done from time to time while a candidate is fitted."""
        if time.monotonic() - signed[0] > SECONDS_BETWEEN_SIGNS:
            signed[0] = time.monotonic()
            self._study.give_sign(candidate)
        if self._callback is not None and (
            time.perf_counter() - self._ticked > _SECONDS_BETWEEN_TICKS
        ):
            self._tell()

    def _tell(self) -> None:
        """Tell the callback how far the search has come."""
        if self._callback is None or self._must_end.is_set():
            return
        with self._lock:
            self._ticked = time.perf_counter()
            if self._callback(self._progress()):
                self.is_interrupted = True
                self._must_end.set()

    def tell_end(self) -> None:
        """Tell the callback that the search has ended, and that the last fit begins."""
        if self._callback is not None:
            self._callback(self._progress(is_final=True))

    def _progress(self, is_final: bool = False) -> Progress:
        left = None if self._time_limit is None else max(0.0, self.seconds_left())
        return Progress(
            self._study.n_finished(),
            self._n_trials,
            self._scoring,
            self._study.best_score(),
            self.seconds,
            left,
            is_final,
        )


def _is_of_fewer_epochs(rung: dict[str, Any]) -> bool:
    """Tell whether a rung trains a candidate for fewer epochs than it has."""
    return any(name.endswith("max_iter") for name in rung)
