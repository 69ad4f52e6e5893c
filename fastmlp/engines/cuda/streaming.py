"""Rows that do not fit the device's memory: sent in chunks, while the chunk before is trained."""

import numpy as np
from numba import cuda

from .arguments import Rows
from .network import to_device

# Bytes of a chunk: many times what starting a copy costs.
_CHUNK_BYTES = 2**27


class _Half:
    """Room for one chunk on the device, with its pinned double on the host."""

    def __init__(self, widths, n_rows, dtype):
        # Memory of zero bytes cannot be pinned.
        self.host = [
            (cuda.pinned_array if width else np.empty)((n_rows, width), dtype) for width in widths
        ]
        self.device = [cuda.device_array(max(1, n_rows * width), dtype) for width in widths]
        self.sent, self.trained = cuda.event(), cuda.event()


def bytes_of_a_step(plan):
    """Memory for the rows of one step in both halves."""
    width = plan.layer_units[0] + plan.n_outputs + 1
    return 2 * plan.batch_size * (plan.dtype.itemsize * width + 8)


def rows_of_a_chunk(plan, n_bytes, most_steps):
    """Rows of a chunk, which are whole batches.

    Parameters
    ----------
    plan : TrainingPlan
    n_bytes : float
        Room for both halves, at least that of a step.
    most_steps : int
        Steps that shall be queued on the device at a time.
    """
    n_steps = int(min(n_bytes, 2 * _CHUNK_BYTES) // bytes_of_a_step(plan))
    return plan.batch_size * max(1, min(n_steps, most_steps))


class Chunks:
    """The rows of a fit, which stay on the host.

    Two halves take turns: one is trained on, while rows for the other are gathered in the
    order of the epoch and sent. Copies and kernels have a stream each, and events keep a half
    from being overwritten before its copy, or its training, is done.

    Parameters
    ----------
    plan : TrainingPlan
    X : ndarray of shape (n_rows, n_features)
    Y : ndarray of shape (n_rows, n_outputs)
    sample_weight : ndarray of shape (n_rows,) or None
    n_rows : int
        Rows of a chunk.
    """

    def __init__(self, plan, X, Y, sample_weight, n_rows):
        weight = (
            np.empty((len(X), 0)) if sample_weight is None else np.reshape(sample_weight, (-1, 1))
        )
        self._sources = X, Y, weight
        self._n_rows = n_rows
        widths = [source.shape[1] for source in self._sources]
        self._halves = [_Half(widths, n_rows, plan.dtype) for _ in range(2)]
        self._places = to_device(np.arange(n_rows), np.int64)
        self._copying, self.computing = cuda.stream(), cuda.stream()

    def of_epoch(self, order):
        """Chunk by chunk, when it will be there for the stream ``computing``.

        Yields
        ------
        first : int
            Place of the chunk in the order.
        rows : Rows
            On the device.
        """
        for number, first in enumerate(range(0, order.size, self._n_rows)):
            half = self._halves[number % 2]
            rows = order[first : first + self._n_rows]
            half.sent.synchronize()
            for source, host in zip(self._sources, half.host, strict=True):
                _gather(source, rows, host[: rows.size])
            half.trained.wait(self._copying)
            for host, device in zip(half.host, half.device, strict=True):
                if host.size:
                    elements = host[: rows.size].reshape(-1)
                    device[: elements.size].copy_to_device(elements, stream=self._copying)
            half.sent.record(self._copying)
            half.sent.wait(self.computing)
            yield first, Rows(*half.device, self._places[: rows.size])
            half.trained.record(self.computing)


def _gather(source, rows, out):
    """Copy some rows, to the type of `out`."""
    if source.dtype == out.dtype:
        np.take(source, rows, axis=0, out=out, mode="clip")  # which needs no buffer
    else:
        out[:] = source[rows]
