"""Counts of what a server has done, which Prometheus and others collect.

Each process of a server counts in a part of memory that all of them share, so that any of them can
tell the sum. Labels have few values, all of them known before: whatever clients send, there are no
more series than that.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Addresses as they are routed; all that are not found are one.
ROUTES = (
    "/", "/openapi.json", "/metrics", "/v2", "/v2/health/live", "/v2/health/ready", "/ping",
    "/health", "/v2/models/{name}", "/v2/models/{name}/ready", "/v2/models/{name}/infer",
    "/predict", "/invocations", "other",
)  # fmt: skip
_STATUSES = ("200", "400", "401", "404", "405", "408", "413", "415", "421", "500", "503", "other")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# A histogram has a number for each bound, one for what is above them all, and its sum.
_COUNTS = np.dtype([
    ("requests", "f8", (len(ROUTES), len(_STATUSES))),
    ("seconds", "f8", (len(ROUTES), len(_SECONDS) + 2)),
    ("batches", "f8", len(_REQUESTS) + 2),
    ("rows", "f8"),
    ("waiting", "f8"),
])  # fmt: skip
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def bytes_of_counts(n_workers: int) -> int:
    """Return how much memory the counts of some processes take.

    Parameters
    ----------
    n_workers : int

    Returns
    -------
    int
    """
    return n_workers * _COUNTS.itemsize


class Metrics:
    """The counts of one process, and the sums over all of them.

    Parameters
    ----------
    shared : buffer of :func:`bytes_of_counts` bytes, default=None
        Where all processes count; None is for this one alone.
    place : int, default=0
        Which part of it is this process's. One that takes the place of another goes on with its
        counts.
    """

    def __init__(self, shared: Any = None, place: int = 0) -> None:
        if shared is None:
            shared = bytearray(bytes_of_counts(1))
        self._all: NDArray[Any] = np.frombuffer(shared, _COUNTS)
        self._own: Any = self._all[place]
        self._own["waiting"] = 0

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Parameters
        ----------
        route : str
            One of `ROUTES`.
        status : int
        seconds : float
            From its headers to its answer.
        """
        column = _STATUSES.index(str(status)) if str(status) in _STATUSES else -1
        place = ROUTES.index(route)
        self._own["requests"][place, column] += 1
        _observe(self._own["seconds"][place], _SECONDS, seconds)

    def count_batch(self, n_requests: int, n_rows: int) -> None:
        """Count requests whose rows were predicted in one call of the model.

        Parameters
        ----------
        n_requests, n_rows : int
        """
        _observe(self._own["batches"], _REQUESTS, n_requests)
        self._own["rows"] += n_rows

    def set_waiting(self, n_waiting: int) -> None:
        """Note how many requests wait for their predictions.

        Parameters
        ----------
        n_waiting : int
        """
        self._own["waiting"] = n_waiting

    def text(self) -> str:
        """Write the sums over all processes in the text format of Prometheus.

        Returns
        -------
        str
            Requests and times of the routes that were asked, and all else.
        """
        total = {name: self._all[name].sum(axis=0) for name in _COUNTS.names or ()}
        lines = list(_header("requests_total", "counter", "Requests by route and status."))
        lines += [
            f'fastmlp_requests_total{{route="{route}",status="{status}"}} {_number(count)}'
            for route, counts in zip(ROUTES, total["requests"], strict=True)
            for status, count in zip(_STATUSES, counts, strict=True)
            if count
        ]
        name = "request_duration_seconds"
        lines += _header(name, "histogram", "Time from the headers of a request to its answer.")
        for route, cells in zip(ROUTES, total["seconds"], strict=True):
            if cells[:-1].any():
                lines += _histogram(name, _SECONDS, cells, f'route="{route}"')
        lines += _header("predicted_rows_total", "counter", "Rows that were predicted.")
        lines.append(f"fastmlp_predicted_rows_total {_number(total['rows'])}")
        name = "batch_requests"
        lines += _header(name, "histogram", "Requests that were predicted in one call.")
        lines += _histogram(name, _REQUESTS, total["batches"])
        lines += _header("waiting_requests", "gauge", "Requests that wait for their predictions.")
        lines.append(f"fastmlp_waiting_requests {_number(total['waiting'])}")
        return "\n".join(lines) + "\n"


def _observe(cells: Any, bounds: Sequence[float], value: float) -> None:
    """Count a value in a histogram."""
    cells[bisect_left(bounds, value)] += 1
    cells[-1] += value


def _header(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP fastmlp_{name} {about}"
    yield f"# TYPE fastmlp_{name} {kind}"


def _histogram(
    name: str, bounds: Sequence[float], cells: NDArray[Any], label: str = ""
) -> Iterator[str]:
    """Write a histogram; each bucket holds what those below it do."""
    counts = np.cumsum(cells[:-1])
    before = f"{label}," if label else ""
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        yield f'fastmlp_{name}_bucket{{{before}le="{bound}"}} {_number(count)}'
    labels = f"{{{label}}}" if label else ""
    yield f"fastmlp_{name}_sum{labels} {_number(cells[-1])}"
    yield f"fastmlp_{name}_count{labels} {_number(counts[-1])}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
