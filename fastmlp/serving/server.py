"""The process that serves a model: its socket, its signals, and its workers."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from ..exceptions import InputError, collected_warnings
from ..export.model_file import load_model
from .app import Settings, State, make_app
from .batching import Served
from .limits import Limits
from .metrics import Metrics, bytes_of_counts

_log = logging.getLogger("fastmlp.serving")
_ENDS = ("SIGINT", "SIGTERM", "SIGBREAK")
_RELOAD = "SIGHUP"
_SECONDS_BETWEEN_STARTS = 1.0


@dataclass
class Plan:
    """What a server does.

    Attributes
    ----------
    path : Path
        The model file.
    name : str
        What clients call the model.
    settings : Settings
    is_quiet : bool
        Whether there is no line for each request.
    """

    path: Path
    name: str
    settings: Settings
    is_quiet: bool = False


def load_served(plan: Plan) -> Served:
    """Load the model of a plan, and predict a row with it.

    Raises
    ------
    InputError
        When the file holds no model of a table.
    """
    with collected_warnings():
        model = load_model(plan.path)
    if not hasattr(model, "target_name_"):
        raise InputError(
            f"{plan.path}: holds a bare {type(model).__name__}, which predicts no target of a table"
        )
    return Served(plan.name, model)


def bind(host: str, port: int) -> socket.socket:
    """Open the socket of a server; port 0 is one that is free.

    Raises
    ------
    InputError
        When there is no such address, or another program has the port.
    """
    found = None
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        found = socket.socket(family, kind, protocol)
        if sys.platform != "win32":  # where it would let two programs have one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except (OSError, UnicodeError) as error:
        if found is not None:
            found.close()
        words = getattr(error, "strerror", None) or error
        raise InputError(f"{host}, port {port}: cannot be served at: {words}") from None
    found.set_inheritable(True)
    return found


def address_of(sock: socket.socket, host: str) -> str:
    """Return the address of a server, as people type it."""
    port = sock.getsockname()[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(
    plan: Plan,
    sock: socket.socket,
    served: Served | None = None,
    counts: Any = None,
    place: int = 0,
) -> None:
    """Serve a model in this process until a signal ends it; requests that came are finished.

    Parameters
    ----------
    plan : Plan
    sock : socket
    served : Served, optional
        The model, where it has been loaded.
    counts, place : object
        What all processes of this server share to count requests, and the part of this one; see
        :class:`fastmlp.serving.metrics.Metrics`.
    """
    write_log(plan)
    served = load_served(plan) if served is None else served
    state = State(served, plan.settings, Metrics(counts, place))
    server = make_server(state)

    def reload(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=_reload, args=(plan, state), daemon=True).start()

    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent, server), daemon=True).start()
    handlers: dict[str, Any] = dict.fromkeys(_ENDS, server.handle_exit)
    with handling({**handlers, _RELOAD: reload}):
        server.run([sock])


def make_server(state: State) -> uvicorn.Server:
    """Make the server of an application; it runs until its ``should_exit`` is set."""
    return server_of(make_app(state), state.settings.limits)


def server_of(app: Any, limits: Limits) -> uvicorn.Server:
    """Make a server for any application, with these limits."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        lifespan="on",
        ws="none",
        limit_concurrency=limits.connections,
        timeout_keep_alive=limits.keep_alive,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
        server_header=False,
        proxy_headers=False,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """A server whose signals are those of :func:`serve`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone; uvicorn would send them again when it has ended."""
        yield


def _reload(plan: Plan, state: State) -> None:
    """Replace the model by what the file holds now, if that is a model."""
    try:
        state.served = load_served(plan)
    except (InputError, OSError) as error:
        _log.error("the model stays as it was: %s", error)
    else:
        _log.warning("the model was loaded again from %s", plan.path)


@contextmanager
def handling(handlers: dict[str, Any]) -> Iterator[None]:
    """Handle some signals in the block, by their names; a system may lack some of them."""
    former = {}
    if threading.current_thread() is threading.main_thread():
        for name, handler in handlers.items():
            if hasattr(signal, name):
                number = getattr(signal, name)
                former[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def write_log(plan: Plan) -> None:
    """Let lines about requests and errors go to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    _log.handlers[:] = [handler]
    _log.propagate = False
    _log.setLevel(logging.WARNING if plan.is_quiet else logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


# ---- workers -----------------------------------------------------------------------------


def _end_with(parent: Any, server: uvicorn.Server) -> None:
    """End a worker when its parent has ended, even where that could not tell it to.

    The parent holds one end of a pipe, which the system closes with its process.
    """
    parent.join()
    _log.error("the process that started this worker has ended, and so does the worker")
    server.should_exit = True


def serve_in_workers(plan: Plan, sock: socket.socket, n_workers: int) -> None:
    """Serve a model in several processes, and start one again that dies.

    They are started anew rather than forked, since a fork of a process that has used a GPU, or has
    threads, is not to be relied on.
    """
    write_log(plan)
    context = multiprocessing.get_context("spawn")
    end = threading.Event()
    workers: list[Any] = []
    counts = context.RawArray("b", bytes_of_counts(n_workers))

    def start(place: int) -> Any:
        arguments = (plan, sock, None, counts, place)
        worker = context.Process(target=serve, args=arguments, name="fastmlp serve")
        worker.start()
        return worker

    def send(name: str) -> None:
        for worker in workers:
            if worker.is_alive() and hasattr(signal, name):
                os.kill(worker.pid, getattr(signal, name))

    handlers: dict[str, Callable[[int, FrameType | None], None]] = {
        **dict.fromkeys(_ENDS, lambda number, frame: end.set()),
        _RELOAD: lambda number, frame: send(_RELOAD),
    }
    with handling(handlers):
        workers += [start(place) for place in range(n_workers)]
        while not end.wait(0.2):
            for place, worker in enumerate(workers):
                if not worker.is_alive() and not end.is_set():
                    _log.error("a worker has ended with the code %s", worker.exitcode)
                    time.sleep(_SECONDS_BETWEEN_STARTS)
                    workers[place] = start(place)
        for worker in workers:
            worker.terminate()  # sends SIGTERM, which lets it finish
        for worker in workers:
            worker.join()
