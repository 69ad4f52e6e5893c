"""The client of a cluster: whether it can be used, and waiting for its tasks."""

import logging
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from ..exceptions import ClusterError
from . import tasks

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_WITHOUT_WORKERS = 60.0


def distributed() -> Any:
    """Import Dask's scheduler.

    Raises
    ------
    ImportError
        When it is not installed; the message says how to get it.
    """
    try:
        import distributed
    except ImportError:
        raise ImportError(
            "a cluster needs the package distributed; install it with: pip install 'fastmlp[dask]'"
        ) from None
    return distributed


def usable_client(client: Any) -> Any:
    """Return a client that has workers with the packages of this process.

    Parameters
    ----------
    client : distributed.Client or None
        None is the one that was made last.

    Raises
    ------
    ClusterError
        When there is no client, when it is closed or asynchronous, when it has no workers, and
        when versions differ.
    """
    library = distributed()
    if client is None:
        try:
            client = library.default_client()
        except ValueError:
            raise ClusterError(
                "there is no cluster; make one with distributed.Client(...) and pass it as `client`"
            ) from None
    if not isinstance(client, library.Client):
        raise ClusterError(f"`client` must be a distributed.Client, not a {type(client).__name__}")
    if client.asynchronous:
        raise ClusterError("an asynchronous client cannot be used; leave out asynchronous=True")
    if client.status != "running":
        raise ClusterError("the client is closed; make a new distributed.Client(...)")
    with errors_of(client):
        if not client.nthreads():
            raise ClusterError(
                f"the cluster at {address_of(client)} has no workers; start some, such as with: "
                f"dask worker {address_of(client)}"
            )
        _check_versions(client)
    return client


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler.

    Parameters
    ----------
    address : str
        Such as tcp://host:8786.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ClusterError
        When there is none.
    """
    library = distributed()
    try:
        addressing = library.comm.addressing
        addressing.parse_host_port(addressing.parse_address(address)[1])
        client = library.Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ClusterError(
            f"no scheduler of Dask answers at {address}; start one with: dask scheduler ({reason})"
        ) from None
    logger = logging.getLogger("distributed.client")
    level = logger.level
    # Where the scheduler is lost, the client logs tracebacks beside our error.
    logger.setLevel(logging.CRITICAL)
    try:
        yield client
    finally:
        client.close()
        logger.setLevel(level)


def address_of(client: Any) -> str:
    """Return the address of a client's scheduler."""
    return str(client.scheduler.addr) if client.scheduler is not None else "its address"


def _check_versions(client: Any) -> None:
    """Raise ClusterError when a worker has other versions of packages than this process."""
    ours = tasks.versions()
    for address, theirs in client.run(tasks.versions, on_error="return").items():
        if isinstance(theirs, OSError):
            continue  # the worker was lost at this moment
        if isinstance(theirs, Exception):  # of an import, in whatever Dask wraps it
            raise ClusterError(
                f"the worker {address} cannot import what training needs ({theirs}); install "
                f"fastmlp=={ours['fastmlp']} on all workers"
            )
        tasks.check_versions(address, theirs, ours)


def send(client: Any, task: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Submit a task, which fails on a worker that has other versions of packages.

    Workers may have joined since :func:`usable_client` has looked at them.

    Parameters
    ----------
    client : distributed.Client
    task : callable
        A function that workers can import.
    *arguments
        Its arguments, among which futures may be.
    **options
        Of ``client.submit``, such as `workers`.

    Returns
    -------
    Future
    """
    key = f"{task.__name__}-{uuid4().hex}"
    return client.submit(tasks.checked, tasks.versions(), task, *arguments, key=key, **options)


@contextmanager
def errors_of(client: Any) -> Iterator[None]:
    """Say in one line what has happened to a cluster."""
    library = distributed()
    try:
        yield
    except library.KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers in turn died of the same task, most likely for "
            "lack of memory; give workers more memory, or fewer threads each"
        ) from None
    except MemoryError as error:
        raise out_of_memory(error) from None
    except CancelledError as error:
        if client.status != "running":
            raise ClusterError(_lost(client)) from None
        reason = str(error).replace("\n", " ") or "cancelled"
        raise ClusterError(f"training on the cluster was cancelled ({reason})") from None
    except (library.comm.CommClosedError, TimeoutError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ClusterError(f"{_lost(client)} ({reason})") from None


def out_of_memory(error: MemoryError) -> ClusterError:
    """Return the error of a cluster on which a worker has raised one for want of memory."""
    return ClusterError(
        f"a worker has not enough memory ({str(error) or 'MemoryError'}); give workers more "
        "memory, or fewer threads each"
    )


def _lost(client: Any) -> str:
    if client.status in ("closed", "closing"):
        return "the client was closed while the cluster trained"
    return (
        f"the scheduler at {address_of(client)} was lost; start it and its workers anew, and then "
        "the training"
    )


class Watch:
    """Looks whether there still is a cluster.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._since: float | None = None

    def look(self) -> None:
        """Look at the cluster, which is done from time to time.

        Raises
        ------
        ClusterError
            When the scheduler is lost, and when there have been no workers for a minute.
        """
        client = self._client
        if client.status != "running":
            raise ClusterError(_lost(client))
        if client.nthreads():
            self._since = None
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > _SECONDS_WITHOUT_WORKERS:
            raise ClusterError(
                f"the cluster at {address_of(client)} has had no workers for a minute; start "
                "some, and then the training anew"
            )


class Completed:
    """Futures in the order in which they are done.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._count = 0

    def add(self, future: Any) -> None:
        """Wait for another future."""
        self._count += 1
        future.add_done_callback(self._done.put)

    def __iter__(self) -> Iterator[Any]:
        while self._count:
            future = self._next()
            self._count -= 1
            yield future

    def _next(self) -> Any:
        """Wait for the next future, as long as there is a cluster.

        Raises
        ------
        ClusterError
            When the scheduler is lost, and when there have been no workers for a minute.
        """
        watch = Watch(self._client)
        while True:
            try:
                return self._done.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                watch.look()


def results_of(client: Any, futures: Sequence[Any], told: Any = None, what: str = "") -> list[Any]:
    """Wait for futures, and return their results in their order.

    Parameters
    ----------
    client : distributed.Client
    futures : sequence of Future
    told : callable or None, default=None
        ``told(what, share)`` is called as they are done.
    what : str, default=''

    Returns
    -------
    list
    """
    completed = Completed(client)
    for future in futures:
        completed.add(future)
    for i, future in enumerate(completed):
        if future.status == "error":
            future.result()
        if told is not None:
            told(what, (i + 1) / len(futures))
    return list(client.gather(list(futures)))
