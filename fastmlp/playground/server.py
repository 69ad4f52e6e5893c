"""The process of the playground: a server for this machine alone."""

import logging
import socket

import uvicorn

from ..serving.app import allowed_hosts
from ..serving.server import handling, server_of
from .app import LIMITS, make_app
from .sessions import Sessions

HOST = "127.0.0.1"
_ENDS = ("SIGINT", "SIGTERM", "SIGBREAK")


def make_server(sessions: Sessions) -> uvicorn.Server:
    """Make the server; it runs until its ``should_exit`` is set."""
    return server_of(make_app(allowed_hosts(HOST), sessions), LIMITS)


def serve_playground(sock: socket.socket) -> None:
    """Serve the page in this process until a signal ends it.

    Parameters
    ----------
    sock : socket
        It is bound and listens.
    """
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    server = make_server(Sessions())
    with handling(dict.fromkeys(_ENDS, server.handle_exit)):
        server.run([sock])
