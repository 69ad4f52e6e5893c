"""Candidates that are measured on the workers of a cluster; the study stays in this process."""

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..cluster.calls import Calls, sendable
from ..cluster.clients import out_of_memory
from ..exceptions import ClusterError
from .objective import Measure, Measured, Objective


@contextmanager
def measuring_on(client: Any, objective: Objective, study: Path | None) -> Iterator[Measure]:
    """Give a function that measures candidates on a cluster.

    Parameters
    ----------
    client : distributed.Client
    objective : Objective
    study : Path or None
        The file of the study, for the message when the cluster is lost.

    Yields
    ------
    callable
        It does the same as :meth:`Objective.measure`.

    Raises
    ------
    ClusterError
        When the cluster is lost, or its memory is too small for the first candidate.
    InputError
        When the objective cannot be sent to workers.
    """
    calls = Calls(client, objective)
    try:
        yield _OnWorkers(calls).measure
    except MemoryError as error:
        raise out_of_memory(error) from None
    except ClusterError as error:
        if study is None:
            raise
        raise ClusterError(
            f"{error}; {study} keeps what was tried, and the same search goes on with it"
        ) from None
    finally:
        calls.close()


class _OnWorkers:
    """Measures each candidate by a call on a worker."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def measure(
        self,
        params: dict[str, Any],
        seconds_left: Callable[[], float],
        tick: Callable[[], None],
        limit: float | None = None,
        n_folds: int | None = None,
    ) -> Measured:
        """Fit a candidate on folds, and measure it; see :meth:`Objective.measure`.

        The time of the search is looked at here, since the clock of a worker may differ, and
        nobody knows when a task begins.
        """

        def is_wanted() -> bool:
            tick()
            return seconds_left() > 0

        began = time.perf_counter()
        found = self._calls.call(_measured, params, limit, n_folds, is_wanted=is_wanted)
        if isinstance(found, Exception):
            raise found
        if found is None:
            return Measured(float("nan"), 0, time.perf_counter() - began, is_cut=True)
        assert isinstance(found, Measured)
        return found


def _measured(
    objective: Objective,
    is_wanted: Callable[[], bool],
    params: dict[str, Any],
    limit: float | None,
    n_folds: int | None,
) -> Measured | Exception:
    """Measure a candidate on a worker.

    An error is returned, since Dask logs one that is raised, and a candidate may fail.
    """

    def seconds_left() -> float:
        return float("inf") if is_wanted() else float("-inf")

    try:
        return objective.measure(params, seconds_left, lambda: None, limit, n_folds)
    except Exception as error:
        found = sendable(error)
        found.add_note("On the worker:\n" + "".join(traceback.format_exception(error)))
        return found
