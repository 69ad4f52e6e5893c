"""The choice of the number of threads, which changes while a network is trained.

Results do not depend on the number of threads, so that it may follow what the machine has to spare.
A :class:`ThreadCount` is told how long each job took. It tries a neighbouring number now and then,
seldom where nothing disturbs the threads, and keeps the one whose steps take less time. What trials
cost is counted, and limited to a small part of the whole.

This module imports no compiler.
"""

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic, perf_counter, thread_time
from typing import NamedTuple

from ..forks import hold_at_fork
from .barrier_array import NO_END

# Seconds over which the speed of a number of threads is remembered.
_MEMORY = 0.5
# Where threads wait for more than this share of the time, something disturbs them.
_IDLE_SHARE = 0.1
# Seconds from one trial to the next: at first, and at most, since each trial that is lost doubles
# them. The second pair is for fewer threads while nothing disturbs those that run.
_INTERVALS, _QUIET_INTERVALS = (0.1, 1.0), (0.25, 4.0)
# Seconds of a trial, where something disturbs the threads and where nothing does: a system lets
# one of several threads run for some 3 to 10 milliseconds at a time.
_TRIAL, _QUIET_TRIAL = 0.1, 0.004
# A trial ends early where steps take so many times as long, after so many seconds.
_HOPELESS = ((2.0, 0.02), (1.4, 0.03), (1.15, 0.06))
# By this factor steps must take less time for another number of threads to be chosen; and for a
# smaller number while something disturbs the threads, because more threads then have a larger share
# of the processors, and what is measured is uncertain.
_BETTER, _SURELY_BETTER = 0.95, 0.87
# The share of time that trials may cost, and the seconds that they may cost in advance.
_BUDGET, _ADVANCE = 0.03, 0.002
# Seconds after more threads were begun that do not count: a system that wakes a thread may need
# some time to find it a processor of its own.
_SETTLING = 0.04
# Seconds of a job while something disturbs the threads.
_PIECE = 0.02
# The number of naps after which a job ends early, at first.
_PATIENCE = 8

# A wait of so many seconds between two jobs is no other process's turn.
_LONGEST_WAIT = 0.05
# So many choices are kept, for so many seconds, for a next fit of the same network.
_MOST_KEPT, _KEPT_SECONDS = 16, 10.0


class Job(NamedTuple):
    """What the next job shall be."""

    n_threads: int
    """The number of threads."""
    most_steps: int
    """The largest number of steps, at least 1."""
    patience: int
    """The number of naps after which it may end early."""


class _Speed:
    """The time of a step with one number of threads, over the last few tenths of a second."""

    def __init__(self) -> None:
        self.n_steps = self.seconds = 0.0

    def add(self, n_steps: int, seconds: float) -> None:
        kept = max(0.0, 1 - seconds / _MEMORY)
        self.n_steps = self.n_steps * kept + n_steps
        self.seconds = self.seconds * kept + seconds

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return self.seconds / self.n_steps


def ladder(most: int) -> list[int]:
    """Return the numbers of threads that are tried, in ascending order.

    Each is by at most a half larger than the one before, and the last one is `most`.
    """
    counts = {most}
    power = 1
    while power < most:
        counts |= {power, min(power + power // 2, most)}
        power *= 2
    return sorted(counts)


class ThreadCount:
    """Chooses the number of threads of each job of a training.

    Parameters
    ----------
    counts : list of int
        The numbers of threads to choose from, in ascending order; see :func:`ladder`.
    first : int
        The one to begin with.
    """

    def __init__(self, counts: list[int], first: int) -> None:
        self._counts = counts
        self._speeds = [_Speed() for _ in counts]
        self._best = counts.index(first)
        self._n_allowed = len(counts)
        self._trial: int | None = None
        self._patience = _PATIENCE
        # Seconds: of all jobs, of the last jobs and of their threads' waiting, of lost trials.
        self._time = self._idle = self._lost = 0.0
        self._recent = 1e-9
        self._tried_at = 0.0
        self._goes_up = False
        self._settling = _SETTLING if first > 1 else 0.0
        self.begin_again()

    def begin_again(self) -> None:
        """Try other numbers as soon as at first, since the load of the machine may have changed."""
        self._interval, self._quiet_interval = _INTERVALS[0], _QUIET_INTERVALS[0]

    @property
    def n_threads(self) -> int:
        """The number of threads that is best as far as is known."""
        return self._counts[self._best]

    @property
    def _is_quiet(self) -> bool:
        """Whether nothing disturbs the threads."""
        return self._idle <= _IDLE_SHARE * self._recent

    def next_job(self, most: int) -> Job:
        """Say what the next job shall be.

        Parameters
        ----------
        most : int
            The largest number of threads that can be had at present.

        Returns
        -------
        Job
        """
        self._n_allowed = max(1, bisect_right(self._counts, most))
        if self._best >= self._n_allowed:
            self._best, self._trial = self._n_allowed - 1, None
        if self._trial is not None and self._trial >= self._n_allowed:
            self._trial = None
        best, trial = self._speeds[self._best], self._trial
        if trial is None:
            n_threads = self.n_threads
            if not best.n_steps or (self._is_quiet and n_threads > 1):
                return Job(n_threads, NO_END, self._patience if n_threads > 1 else NO_END)
            return Job(n_threads, max(1, int(_PIECE / best.step)), NO_END)
        speed = self._speeds[trial]
        seconds = min(self._trial_seconds - speed.seconds, _PIECE)
        step = speed.step if speed.n_steps else best.step
        return Job(self._counts[trial], max(1, int(seconds / step)), NO_END)

    @property
    def _trial_seconds(self) -> float:
        return _QUIET_TRIAL if self._is_quiet else _TRIAL

    def record(self, n_steps: int, seconds: float, idle: float, is_early: bool) -> None:
        """Note how long the job took that :meth:`next_job` has asked for.

        Parameters
        ----------
        n_steps : int
            The number of steps that were done.
        seconds : float
            The time that they took.
        idle : float
            The part of it in which the calling thread waited, for others of the team or for a
            processor.
        is_early : bool
            Whether the job ended early, because threads had slept too often.
        """
        if is_early and self._trial is None and self._is_quiet:
            self._patience = min(4 * self._patience, NO_END)
        self._time += seconds
        if self._settling > 0:
            self._settling -= seconds
            return
        kept = max(0.0, 1 - seconds / _MEMORY)
        self._idle, self._recent = self._idle * kept + idle, self._recent * kept + seconds
        if self._trial is not None:
            self._speeds[self._trial].add(n_steps, seconds)
            self._judge(self._trial)
            return
        self._speeds[self._best].add(n_steps, seconds)
        self._consider_a_trial()

    def _consider_a_trial(self) -> None:
        """Begin a trial of a neighbouring number where it is time for one and they cost little."""
        if self._lost > _BUDGET * self._time + _ADVANCE:
            return
        waited = self._time - self._tried_at
        lower = self._best - 1
        higher = self._best + 1 if self._best + 1 < self._n_allowed else -1
        goes_up = higher >= 0 and (self._goes_up or lower < 0 or self._is_quiet)
        is_calm = self._is_quiet and not goes_up
        if waited < (self._quiet_interval if is_calm else self._interval):
            return
        trial = higher if goes_up else lower
        if trial < 0:
            return
        self._trial, self._goes_up = trial, not goes_up
        self._speeds[trial] = _Speed()
        self._settling = _SETTLING if trial > self._best else 0.0

    def _judge(self, trial: int) -> None:
        """End a trial where it is decided."""
        speed = self._speeds[trial]
        ratio = speed.step / self._speeds[self._best].step
        is_over = speed.seconds >= self._trial_seconds
        if not is_over and not any(
            ratio > worse and speed.seconds >= seconds for worse, seconds in _HOPELESS
        ):
            return
        self._trial, self._tried_at = None, self._time
        is_unsure = trial < self._best and not self._is_quiet
        if is_over and ratio < (_SURELY_BETTER if is_unsure else _BETTER):
            self._goes_up = trial > self._best  # the next one in the same direction may be better
            self._best, self._patience = trial, _PATIENCE
            self.begin_again()
            return
        self._lost += max(0.0, speed.seconds * (1 - 1 / ratio))
        self._interval = min(2 * self._interval, _INTERVALS[1])
        self._quiet_interval = min(2 * self._quiet_interval, _QUIET_INTERVALS[1])


_kept: OrderedDict[Hashable, tuple[float, ThreadCount]] = OrderedDict()
_lock = Lock()
hold_at_fork(_lock, innermost=True)
#: The fits that run an epoch at the moment, in any thread of this process.
running: set[object] = set()
if hasattr(os, "register_at_fork"):  # the threads that run them are not in the child
    os.register_at_fork(after_in_child=running.clear)


def share_of(n_processors: int) -> int:
    """Return how many threads each of the fits that run in this process can have.

    Each would be faster with more threads as long as the others have fewer, and all are slower. A
    single fit has as many as it was given.
    """
    return max(1, n_processors // len(running)) if len(running) > 1 else NO_END


def take_count(network: Hashable, most: int, plan: Callable[[list[int]], int]) -> ThreadCount:
    """Return what chooses the number of threads, with what an earlier fit has learned.

    Parameters
    ----------
    network : hashable
        What the time of a step depends on.
    most : int
        The largest number of threads.
    plan : callable
        Chooses one of some numbers of threads to begin with, where nothing is known.

    Returns
    -------
    ThreadCount
        Nobody else uses it until :func:`keep_count` gets it back.
    """
    with _lock:
        at, count = _kept.pop((network, most), (0.0, None))
    if count is None or monotonic() - at > _KEPT_SECONDS:
        counts = ladder(most)
        return ThreadCount(counts, plan(counts) if most > 1 else 1)
    count.begin_again()
    return count


def keep_count(network: Hashable, most: int, count: ThreadCount) -> None:
    """Keep what a fit has learned for the next one of the same network."""
    with _lock:
        _kept[network, most] = monotonic(), count
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)


class Stopwatch:
    """Measures jobs, and the time for which the calling thread had to wait before them.

    A system that lets another process run often does so between jobs, when the thread asks it for
    something.
    """

    def __init__(self) -> None:
        self._ended = self._had_run = 0.0

    def start(self) -> None:
        """Note that a job begins."""
        begins, has_run = perf_counter(), thread_time()
        waited = (begins - self._ended) - (has_run - self._had_run)
        # Whatever else the thread has waited for, before a first job or in between, took longer.
        self._waited = waited if 0 < waited < _LONGEST_WAIT else 0.0
        self._begins, self._has_run = begins, has_run

    def stop(self) -> tuple[float, float]:
        """Return the seconds of the job, and the part of them in which the thread waited."""
        self._ended, self._had_run = perf_counter(), thread_time()
        seconds = self._ended - self._begins
        idle = max(0.0, seconds - (self._had_run - self._has_run))
        return seconds + self._waited, idle + self._waited
