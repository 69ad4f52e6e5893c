"""Calls of functions on workers, with one object that each worker gets once."""

import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..exceptions import ClusterError, InputError
from .clients import Watch, distributed, errors_of, send

# How often a caller is asked whether it still wants the result, and the cluster is looked at.
_SECONDS_BETWEEN_QUESTIONS = 0.2
_SECONDS_BETWEEN_LOOKS = 2.0


class Calls:
    """Calls functions on the workers of a cluster; several threads may do so at once.

    Dask keeps the pickle of the object with the scheduler, and makes the object of it again where
    a worker that had it is lost. A call on that worker is then made again, on another one.

    Parameters
    ----------
    client : distributed.Client
    value : object
        What all functions are called with.

    Raises
    ------
    ClusterError
        When a worker cannot read the object, and when the cluster is lost.
    InputError
        When the object cannot be sent to another process.
    """

    def __init__(self, client: Any, value: Any) -> None:
        from dask import config

        self._client, self._watch = client, Watch(client)
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        # How many calls run on each worker.
        self._busy: Counter[str] = Counter()
        pickled = _pickled(value)
        with errors_of(client):
            with config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
                self._value = send(client, pickle.loads, pickled)
            self._wait(self._value, lambda: True)
            error = self._value.exception()
            if isinstance(error, distributed().KilledWorker | MemoryError | ClusterError):
                raise error
        if error is not None:
            raise ClusterError(
                f"a worker cannot read what is sent to it ({type(error).__name__}: {error}); all "
                "machines need the same packages and modules"
            )

    def close(self) -> None:
        """Let the workers forget the object."""
        self._value.release()

    def call(
        self, function: Callable[..., Any], *args: Any, is_wanted: Callable[[], bool]
    ) -> Any | None:
        """Call a function on a worker, and wait for what it returns.

        Parameters
        ----------
        function : callable
            ``function(value, is_wanted, *args)``, where `value` is the object, and `is_wanted`
            tells on the worker whether somebody still waits for the result.
        *args : object
        is_wanted : callable
            Is asked several times a second, and says whether to go on with waiting. Where it does
            not, or raises an exception, the call on the worker is given up.

        Returns
        -------
        object
            None where it was given up.

        Raises
        ------
        ClusterError
            When the cluster is lost.
        MemoryError
            When several workers in turn died of the call.
        """
        library = distributed()
        with errors_of(self._client), self._named_when_lost(), self._chosen_worker() as worker:
            future = send(
                self._client, _called, function, self._value, args,
                workers=worker, allow_other_workers=True,
            )  # fmt: skip
            try:
                return self._result(future, is_wanted)
            except library.KilledWorker as error:
                n_died = error.allowed_failures + 1
            finally:
                future.release()
        raise MemoryError(f"{n_died} workers in turn died of it")

    @contextmanager
    def _named_when_lost(self) -> Iterator[None]:
        """Say that the cluster is lost where that is why Dask raises something else."""
        try:
            yield
        except Exception:
            self._watch.look()
            raise

    @contextmanager
    def _chosen_worker(self) -> Iterator[list[str]]:
        """Choose the worker with the most threads that are free.

        Dask itself prefers workers that have the object already, for a long time if it is large.
        It takes another worker where the chosen one is lost.
        """
        with self._lock:
            n_free = Counter(self._client.nthreads())
            n_free.subtract({worker: self._busy[worker] for worker in n_free})
            chosen = [worker for worker, _ in n_free.most_common(1)]
            self._busy.update(chosen)
        try:
            yield chosen
        finally:
            with self._lock:
                self._busy.subtract(chosen)

    def _result(self, future: Any, is_wanted: Callable[[], bool]) -> Any | None:
        """Return the result of a future, or None where it is not wanted any more."""
        while self._wait(future, is_wanted):
            try:
                return future.result(timeout=_SECONDS_BETWEEN_LOOKS)
            except TimeoutError:
                if future.status == "error":  # the task itself raised it
                    raise
                # The worker was lost with the result, and the function is called again.
                self._look()
        return None

    def _wait(self, future: Any, is_wanted: Callable[[], bool]) -> bool:
        """Wait for a future, as long as it is wanted, and tell whether it is done."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        while is_wanted():
            if done.wait(_SECONDS_BETWEEN_QUESTIONS):
                return True
            self._look()
        return False

    def _look(self) -> None:
        """Look whether the cluster is still there, unless another thread has just done so."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked < _SECONDS_BETWEEN_LOOKS:
                return
            self._looked = now
        self._watch.look()


def _pickled(value: Any) -> bytes:
    """Pickle an object, with the functions of scripts and notebooks in it.

    Dask would do so as well, but it logs a traceback where that fails.
    """
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:  # an object may raise anything there
        raise InputError(
            f"what is measured cannot be sent to workers ({type(error).__name__}: {error}); leave "
            "out functions and objects that belong to this process"
        ) from None


def sendable(error: Exception) -> Exception:
    """Return an error, or one of a standard kind in its place that another process can read.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    Exception
    """
    import cloudpickle

    try:
        pickle.loads(cloudpickle.dumps(error))
    except Exception:  # a class of a user may raise anything there
        kinds = (
            kind for kind in (ValueError, OverflowError, MemoryError) if isinstance(error, kind)
        )
        return next(kinds, RuntimeError)(f"{type(error).__name__}: {error}")
    return error


def _called(function: Callable[..., Any], value: Any, args: tuple[Any, ...]) -> Any:
    """Call a function in a task."""
    return function(value, _wanted_here(), *args)


def _wanted_here() -> Callable[[], bool]:
    """Return a function that tells whether the result of this task is still wanted.

    A task that is released, or whose client is gone, is marked on its worker as cancelled.
    """
    library = distributed()
    worker = library.get_worker()
    key = worker.get_current_task()
    ends = {library.Status.closing, library.Status.closed, library.Status.failed}

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled" and worker.status not in ends

    return is_wanted
