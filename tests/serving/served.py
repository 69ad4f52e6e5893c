"""A server in a thread, and a client of it."""

import contextlib
import threading
import time
import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning

from fastmlp import DataWarning

pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

QUICK = {"hidden_layer_sizes": (8,), "max_iter": 3, "diagnose": False}


def fitted(cls, frame, y, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return cls(**{**QUICK, **parameters}).fit(frame, y)


@contextlib.contextmanager
def serving(model, **settings):
    """Serve a model at a free port, in a thread; the value is a client of it, and the state."""
    from fastmlp.serving.app import Settings, State, allowed_hosts
    from fastmlp.serving.batching import Served
    from fastmlp.serving.server import address_of, bind, make_server

    settings.setdefault("hosts", allowed_hosts("127.0.0.1"))
    state = State(Served("model", model), Settings(**settings))
    sock, server = bind("127.0.0.1", 0), make_server(state)
    address = address_of(sock, "127.0.0.1")
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        with httpx.Client(base_url=address, timeout=30) as client:
            yield client, state
    finally:
        server.should_exit = True
        thread.join()


def rows_of(frame):
    """The rows of a frame as a client sends them."""
    records = frame.to_dict("records")
    return [{k: (None if v != v else v) for k, v in row.items()} for row in records]


@contextlib.contextmanager
def held_answers(state, monkeypatch):
    """Let rows wait until the second of two events is set; the first tells that some have come."""
    begun, goes_on, read = threading.Event(), threading.Event(), state.batcher._read

    def held(*arguments):
        begun.set()
        assert goes_on.wait(30)
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(state.batcher, "_read", held)
        yield begun, goes_on
