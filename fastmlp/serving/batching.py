"""One thread that predicts for all requests: it takes all that wait, and asks the model once.

No time is waited for more requests. Since the bits of a prediction do not depend on the rows beside
it, no client can tell.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..exceptions import InputError, collected_warnings
from ..tabular.batches import Predictions, predict_tables, read_table_rows
from ..tabular.few_rows import ReadRows
from .bodies import Table
from .limits import RequestError, busy
from .metrics import Metrics
from .schema import Schema, schema_of

_log = logging.getLogger("fastmlp.serving")
_MOST_ROWS = 1024


class Served:
    """A model that is served, with what clients see of it.

    Parameters
    ----------
    name : str
    model : TabularClassifier or TabularRegressor
    """

    def __init__(self, name: str, model: Any) -> None:
        self.name, self.model, self.schema = name, model, schema_of(model)
        # Kernels are found, or compiled, before the first request.
        row = {column.name: column.example for column in self.schema.columns}
        with collected_warnings():
            predict_tables(model, [read_table_rows(model, [row])])


@dataclass
class _Job:
    """A request that waits for its answer."""

    served: Served
    read: Callable[[Served], Table]
    write: Callable[[Predictions, Schema, Table, str], bytes]
    future: "asyncio.Future[tuple[bytes, int]]"
    table: Table | None = None
    rows: list[ReadRows] | None = None


class Batcher:
    """The thread that predicts, and the requests that wait for it.

    Parameters
    ----------
    most_waiting : int
        Requests that may wait; for more there is an error.
    metrics : Metrics
        Where waiting requests and predicted rows are counted.
    """

    def __init__(self, most_waiting: int, metrics: Metrics) -> None:
        self._most, self._metrics = most_waiting, metrics
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._n_waiting = 0
        self._thread = threading.Thread(target=self._run, name="fastmlp predictions", daemon=True)
        self._thread.start()

    async def answer(
        self,
        served: Served,
        read: Callable[[Served], Table],
        write: Callable[[Predictions, Schema, Table, str], bytes],
    ) -> tuple[bytes, int]:
        """Read a request, predict its rows, and write the answer.

        Parameters
        ----------
        served : Served
        read, write : callable
            They are called in the thread.

        Returns
        -------
        body : bytes
        n_rows : int

        Raises
        ------
        RequestError
            When the request is refused, or too many wait.
        """
        if self._n_waiting >= self._most:
            raise busy("too many requests wait; try again later")
        future = asyncio.get_running_loop().create_future()
        self._change_waiting(1)
        try:
            self._jobs.put(_Job(served, read, write, future))
            return await future
        finally:
            self._change_waiting(-1)

    def _change_waiting(self, by: int) -> None:
        self._n_waiting += by
        self._metrics.set_waiting(self._n_waiting)

    def close(self) -> None:
        """Finish all that waits, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        with collected_warnings() as collected:
            while (job := self._jobs.get()) is not None:
                found: list[tuple[_Job, Any]] = []
                ends = self._do(job, found)
                _deliver(found)
                collected.clear()
                if ends:
                    return

    def _do(self, job: _Job, found: list[tuple[_Job, Any]]) -> bool:
        """Do a job and those that wait behind it; return whether there will be no more."""
        jobs, n_rows, ends = [], 0, False
        following: _Job | None = job
        while following is not None:
            if not following.future.cancelled() and self._read(following, found):
                jobs.append(following)
                assert following.rows is not None
                n_rows += len(following.rows[0].numbers)
            if n_rows >= _MOST_ROWS:
                break
            try:
                following = self._jobs.get_nowait()
            except queue.Empty:
                break
            ends = following is None
        for served in dict.fromkeys(job.served for job in jobs):  # one, unless it was replaced
            _predict(served, [job for job in jobs if job.served is served], found, self._metrics)
        return ends

    def _read(self, job: _Job, found: list[tuple[_Job, Any]]) -> bool:
        """Read the rows of a request; return whether they can be predicted."""
        try:
            job.table = job.read(job.served)
            job.rows = read_table_rows(job.served.model, job.table.rows)
        except Exception as error:
            found.append((job, _as_answer(error)))
            return False
        return True


def _predict(
    served: Served, jobs: list[_Job], found: list[tuple[_Job, Any]], metrics: Metrics
) -> None:
    """Predict the rows of requests for one model; where that fails, those of each request alone."""
    try:
        tables = [job.rows for job in jobs if job.rows is not None]
        predicted = predict_tables(served.model, tables)
        metrics.count_batch(len(jobs), sum(len(one.values) for one in predicted))
        for job, predictions in zip(jobs, predicted, strict=True):
            assert job.table is not None
            body = job.write(predictions, served.schema, job.table, served.name)
            found.append((job, (body, len(predictions.values))))
    except Exception as error:
        done = {id(job) for job, _ in found}
        left = [job for job in jobs if id(job) not in done]
        if len(jobs) == 1:
            found.append((jobs[0], _as_answer(error)))
            return
        for job in left:
            _predict(served, [job], found, metrics)


def _as_answer(error: Exception) -> RequestError:
    """Return the error that a client sees."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, InputError | ValueError):
        text = str(error).replace(
            "(name marks of missing values with `na_values`)", "(null is a missing value)"
        )
        return RequestError(400, text)
    _log.error("internal error, %s", type(error).__name__)
    return RequestError(500, "internal error")


def _deliver(found: list[tuple[_Job, Any]]) -> None:
    """Give answers and errors to those who wait for them, loop by loop."""

    def deliver(answers: list[tuple[_Job, Any]]) -> None:
        for job, answer in answers:
            if job.future.done():  # nobody waits any more
                continue
            if isinstance(answer, RequestError):
                job.future.set_exception(answer)
            else:
                job.future.set_result(answer)

    if found:
        loop = found[0][0].future.get_loop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, found)
