"""A team of threads that runs one kernel together, with barriers between its phases.

The calling thread and its workers are ordinary threads inside a compiled function that does not
hold the interpreter lock. numba's ``prange`` would start one or two parallel regions in each step,
where a team is handed a whole epoch at once. A team also works after a fork and beside any number
of other fits, and needs none of numba's threading layers.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from ...exceptions import DeviceError, warn_user
from .barrier_array import NO_END, give_up, new_barrier, prepare
from .processors import available_processors
from .task_share import task_share

_warned: list[bool] = []  # whether _warn_of_few_threads has warned
_limit = threading.local()
_NO_LIMIT = sys.maxsize


def _numba_limit() -> int:
    """Return the number of threads that numba may use.

    It is what ``numba.set_num_threads`` has set, or else numba's setting NUMBA_NUM_THREADS.
    ``numba.get_num_threads`` would launch a threading layer, so it is called only where one runs
    already, as it does after ``set_num_threads``. Where numba is not imported, the setting is what
    it would then be.

    Raises
    ------
    DeviceError
        When the setting is no number of threads.
    """
    numba: Any = sys.modules.get("numba")
    if not hasattr(numba, "get_num_threads"):  # not imported, or not yet wholly
        return _numba_setting()
    try:
        numba.threading_layer()
    except ValueError:
        return numba.config.NUMBA_NUM_THREADS
    return numba.get_num_threads()


@cache
def _numba_setting() -> int:
    """Return the number of threads that numba's settings allow, as numba reads it once."""
    setting = os.environ.get("NUMBA_NUM_THREADS")
    if setting is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if not setting.strip().isdecimal() or int(setting) < 1:
        raise DeviceError(
            f"NUMBA_NUM_THREADS must be a positive whole number, got {setting!r}; set another one, "
            "or unset it"
        )
    return int(setting)


def default_n_threads() -> int:
    """Return the number of threads of a fit that asks for no number.

    It is the number of threads that numba may use, which joblib lowers in its workers. Unless the
    environment sets that number, it is no larger than the number of processors that this process
    may use at present, and than the share of a task of another library. Inside :func:`at_most` it
    is no larger than the limit there.
    """
    return min(_numba_limit(), *_limits_of_others(), getattr(_limit, "n_threads", _NO_LIMIT))


def _limits_of_others() -> tuple[int, int]:
    """Return what the system and the library whose task this is allow, unless a number is set."""
    if "NUMBA_NUM_THREADS" in os.environ:
        return _NO_LIMIT, _NO_LIMIT
    processors = available_processors()
    return processors, int(min(task_share(processors), _NO_LIMIT))


def why_no_more() -> str:
    """Say in words what limits :func:`default_n_threads`."""
    processors, share = _limits_of_others()
    if _numba_limit() <= min(processors, share):
        return "numba's limit"
    if share < processors:
        return "OMP_NUM_THREADS, or the share of a task of another library"
    return "what the system allows this process at present"


@contextmanager
def at_most(n_threads: int) -> Iterator[None]:
    """Limit the number of threads of each fit that this thread starts in the context."""
    before = getattr(_limit, "n_threads", _NO_LIMIT)
    _limit.n_threads = min(n_threads, before)
    try:
        yield
    finally:
        _limit.n_threads = before


class Team:
    """Threads that call the same function with their own number.

    The threads are started by the first call that needs them. Where the system has no more threads
    to give, the team is smaller than was asked for.

    Parameters
    ----------
    n_threads : int
        Number of threads. The calling thread is one of them, and has the number 0.
    """

    # The process in which the workers run; None where none do.
    _process: int | None = None
    # Whether the system has no more threads to give.
    _is_complete = False

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self.barrier = new_barrier()
        self._workers: list[threading.Thread] = []
        self._inboxes: list[SimpleQueue[_Job | None]] = []

    def start(self, n_threads: int | None = None) -> int:
        """Start other threads, where not as many as are wanted run in this process.

        Threads do not survive a fork, so that they are started again in a forked child.

        Parameters
        ----------
        n_threads : int or None
            How many threads are wanted, the calling one included; None for all of the team.

        Returns
        -------
        int
            The number of threads that can be had, no larger than what is wanted.
        """
        wanted = self.n_threads if n_threads is None else n_threads
        if self._process != os.getpid():
            self._workers, self._inboxes, self._is_complete = [], [], False
            self._process = os.getpid()
        if len(self._workers) + 1 < wanted and not self._is_complete:
            try:
                while len(self._workers) + 1 < wanted and self._start_worker():
                    pass
            except BaseException:
                self.close()
                raise
            if len(self._workers) + 1 < wanted:
                self._is_complete = True
                _warn_of_few_threads(len(self._workers) + 1, wanted)
        return min(wanted, len(self._workers) + 1)

    def _start_worker(self) -> bool:
        """Start one more thread, and return whether the system has given one."""
        inbox: SimpleQueue[_Job | None] = SimpleQueue()
        number = len(self._workers) + 1
        worker = threading.Thread(
            target=_work, args=(number, inbox, self.barrier), name=f"fastmlp-{number}", daemon=True
        )
        # They are noted first: an interrupt may come when the thread runs already.
        self._inboxes.append(inbox)
        self._workers.append(worker)
        try:
            worker.start()
        except KeyError as error:
            # Python's own, where a signal's handler raises just after the thread has begun.
            raise error.__context__ or error from None
        except (RuntimeError, MemoryError):
            inbox.put(None)  # a signal's handler may have raised it, after the thread was started
            del self._workers[-1], self._inboxes[-1]
            return False
        return True

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        keeps: object = (),
        n_threads: int | None = None,
        patience: int = NO_END,
        may_be_fewer: bool = False,
    ) -> Any:
        """Call ``function(number, n_threads, barrier, *args)`` in some threads at once.

        Parameters
        ----------
        function : callable
            The function to call.
        *args
            Its further arguments.
        keeps : object
            What must not be freed before the last thread is done, even after an interrupt.
        n_threads : int or None
            The number of threads; None for all of the team.
        patience : int
            How often threads may go to sleep before the function may end early; see
            :mod:`fastmlp.engines.cpu.barrier_array`.
        may_be_fewer : bool
            Whether the work is done as soon as the threads have returned that have begun it. It
            takes a while until a thread runs, longer where other processes are busy.

        Returns
        -------
        object
            What the function returns in the calling thread.

        Raises
        ------
        BaseException
            When the function raises it in any of the threads.
        """
        wanted = self.n_threads if n_threads is None else n_threads
        n_threads = 1 if wanted == 1 else self.start(wanted)
        if n_threads == 1:
            return function(0, 1, self.barrier, *args)
        prepare(self.barrier, patience)
        job = _Job(function, (n_threads, self.barrier, *args), n_threads - 1, keeps)
        inboxes = self._inboxes[: n_threads - 1]
        try:
            for inbox in inboxes:
                inbox.put(job)
            result = function(0, n_threads, self.barrier, *args)
            if may_be_fewer:
                job.withdraw()
            return result
        except BaseException:
            give_up(self.barrier)
            for inbox in inboxes:  # a worker does its part of a job only once
                inbox.put(job)
            raise
        finally:
            self._wait_for(job)
            job.forget()

    def _wait_for(self, job: "_Job") -> None:
        """Wait until all workers have done their part of a job, and raise what one has raised.

        A first interrupt is put off until then, because the workers use the caller's arrays. A
        second one is not.
        """
        try:
            job.done.wait()
        except BaseException:  # Ctrl-C, or what the handler of another signal raises
            give_up(self.barrier)
            job.done.wait()
            raise
        if job.failures:
            raise job.failures[0]

    def close(self) -> None:
        """End the workers, and wait until they have ended."""
        try:
            self._dismiss()
        except BaseException:  # an interrupt, which may have come before all were dismissed
            self._dismiss()
            raise

    def _dismiss(self) -> None:
        if self._process == os.getpid():
            self._tell_workers_to_end()
            for worker in self._workers:
                if worker.is_alive():
                    worker.join()
        self._workers, self._inboxes, self._process = [], [], None

    def _tell_workers_to_end(self) -> None:
        for inbox in self._inboxes:
            inbox.put(None)

    def __del__(self) -> None:
        # An interrupt may come just before `close` begins, which then never runs.
        if self._process is not None and self._process == os.getpid():
            self._tell_workers_to_end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


# Teams whose threads wait for a next call, as many as were used at the same time.
_idle_teams: list[Team] = []


@contextmanager
def borrowed_team() -> Iterator[Team]:
    """Lend a team whose threads stay for the next call, as it takes long to start them.

    Yields
    ------
    Team
        Nobody else uses it in the context. How many threads run is to be said with each call.
    """
    try:
        team = _idle_teams.pop()
    except IndexError:  # this is the first call, or other threads have the others
        team = Team(1)
    try:
        yield team
    except BaseException:
        team.close()
        raise
    if team._is_complete:  # the system may have more threads to give by the next call
        team.close()
    else:
        _idle_teams.append(team)


def _warn_of_few_threads(n_threads: int, n_wanted: int) -> None:
    """Warn, once in a process, that the system has not given as many threads as were wanted."""
    if not _warned:
        _warned.append(True)
        warn_user(
            f"the system gave {n_threads} of {n_wanted} threads; results are the same, but take "
            "longer. Raise its limit of processes or of memory, or set n_jobs=1"
        )


class _Job:
    """A call of one function by all threads of a team.

    Parameters
    ----------
    function : callable
        The function, whose first argument is the number of the thread.
    args : tuple
        Its further arguments.
    n_workers : int
        Number of threads besides the calling one.
    keeps : object
        What must not be freed before the job.

    Attributes
    ----------
    failures : list of BaseException
        What the function has raised in workers.
    done : threading.Event
        It is set as soon as all workers have done their part.
    """

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], n_workers: int, keeps: object
    ) -> None:
        self.function, self.args, self.keeps = function, args, keeps
        self.failures: list[BaseException] = []
        self.done = threading.Event()
        self._working = set(range(1, n_workers + 1))
        self._begun: set[int] = set()
        self._lock = threading.Lock()

    def work(self, number: int, barrier: np.ndarray) -> None:
        """Do the part of one worker, once, and make the whole team give up where it fails.

        Parameters
        ----------
        number : int
            The number of the worker.
        barrier : ndarray of shape (BARRIER_SIZE,), int64
            The barrier of the team; modified in place where the worker fails.
        """
        with self._lock:
            if number not in self._working:
                if not self._working:  # an interrupt may have kept `withdraw` from saying so
                    self.done.set()
                return
            self._begun.add(number)
        try:
            self.function(number, *self.args)
        except BaseException as error:
            give_up(barrier)
            self.failures.append(error)
        with self._lock:
            self._working.discard(number)
            if not self._working:
                self.done.set()

    def withdraw(self) -> None:
        """Let no more workers begin; those that have begun finish their parts."""
        with self._lock:
            self._working &= self._begun
            if not self._working:
                self.done.set()

    def forget(self) -> None:
        """Let go of all arrays when the job is done; a worker keeps its last job as it waits."""
        del self.function, self.args, self.keeps


def _work(number: int, inbox: SimpleQueue[_Job | None], barrier: np.ndarray) -> None:
    """Do the part of one worker in each job of its inbox, until that holds None.

    Parameters
    ----------
    number : int
        The number of the worker.
    inbox : SimpleQueue of _Job or None
    barrier : ndarray of shape (BARRIER_SIZE,), int64
        The barrier of the team.
    """
    while (job := inbox.get()) is not None:
        job.work(number, barrier)
