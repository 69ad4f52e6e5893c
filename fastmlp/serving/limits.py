"""What a server takes, and the errors that tell a client what it did wrong."""

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    Attributes
    ----------
    body : int
        Bytes of a request's body.
    rows : int
        Rows of a request.
    seconds : float
        Time for a request's body to arrive, and then for its answer.
    waiting : int
        Requests that may wait for their predictions.
    connections : int
        Connections that are open at once.
    keep_alive : int
        Seconds that a connection stays open without a request.
    """

    body: int = 8 * MIB
    rows: int = 10_000
    seconds: float = 30.0
    waiting: int = 512
    connections: int = 1024
    keep_alive: int = 5


class RequestError(Exception):
    """A request that is not answered with predictions.

    Parameters
    ----------
    status : int
        The status of HTTP.
    message : str
        What is wrong, and what to do.
    headers : dict of str to str, optional
        Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


def busy(message: str) -> RequestError:
    """Return the error of a server that has too much to do at the moment."""
    return RequestError(503, message, {"Retry-After": "1"})
