"""Sends data that do not fit the device in chunks, each while the chunk before it is trained on."""

from collections.abc import Iterator

import numpy as np
from numba import cuda

from ...network.plan import TrainingPlan
from .arguments import Rows
from .network import to_device

# Largest number of bytes of a chunk. Copying it takes many times longer than starting the copy.
_CHUNK_BYTES = 2**27


class _Half:
    """Memory for one chunk on the device, with pinned memory of the same size on the host.

    Parameters
    ----------
    widths : list of int
        Number of columns of each array of the data.
    n_rows : int
        Largest number of rows of a chunk.
    dtype : numpy.dtype
    """

    def __init__(self, widths: list[int], n_rows: int, dtype: np.dtype) -> None:
        # Memory of zero bytes cannot be pinned.
        self.host = [
            (cuda.pinned_array if width else np.empty)((n_rows, width), dtype) for width in widths
        ]
        self.device = [cuda.device_array(max(1, n_rows * width), dtype) for width in widths]
        self.sent, self.trained = cuda.event(), cuda.event()


def bytes_of_a_step(plan: TrainingPlan) -> int:
    """Compute how many bytes the rows of one step take in both halves together."""
    width = plan.layer_units[0] + plan.n_outputs + 1
    return 2 * plan.batch_size * (plan.dtype.itemsize * width + 8)


def rows_of_a_chunk(plan: TrainingPlan, n_bytes: float, most_steps: int) -> int:
    """Compute the number of rows of a chunk, which has whole batches.

    Parameters
    ----------
    plan : TrainingPlan
    n_bytes : float
        Memory for both halves; at least that of a step.
    most_steps : int
        Largest number of steps that are queued on the device at a time.

    Returns
    -------
    int
    """
    n_steps = int(min(n_bytes, 2 * _CHUNK_BYTES) // bytes_of_a_step(plan))
    return plan.batch_size * max(1, min(n_steps, most_steps))


class Chunks:
    """The rows of a fit, which stay on the host.

    Their memory has two halves. While the network is trained on one half, rows for the other half
    are gathered in the order of the epoch and sent. Copies and kernels run in two streams, and
    events keep a half from being overwritten before its copy, or the training on it, has ended.

    Parameters
    ----------
    plan : TrainingPlan
    X : ndarray of shape (n_rows, n_features)
    Y : ndarray of shape (n_rows, n_outputs)
    sample_weight : ndarray of shape (n_rows,) or None
    n_rows : int
        Number of rows of a chunk.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        X: np.ndarray,
        Y: np.ndarray,
        sample_weight: np.ndarray | None,
        n_rows: int,
    ) -> None:
        weight = (
            np.empty((len(X), 0)) if sample_weight is None else np.reshape(sample_weight, (-1, 1))
        )
        self._sources = X, Y, weight
        self._n_rows = n_rows
        widths = [source.shape[1] for source in self._sources]
        self._halves = [_Half(widths, n_rows, plan.dtype) for _ in range(2)]
        self._places = to_device(np.arange(n_rows), np.int64)
        self._copying, self.computing = cuda.stream(), cuda.stream()

    def of_epoch(self, order: np.ndarray) -> Iterator[tuple[int, Rows]]:
        """Send the chunks of an epoch one after the other.

        A chunk may be used in the stream ``computing``, which waits until its copy has ended.

        Parameters
        ----------
        order : ndarray of shape (n_rows,), int64

        Yields
        ------
        first : int
            Place of the chunk's first row in the order.
        rows : Rows
            The rows of the chunk on the device.
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
            X, Y, sample_weight = half.device
            yield first, Rows(X, Y, sample_weight, self._places[: rows.size])
            half.trained.record(self.computing)


def _gather(source: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
    """Copy some rows, and convert them to the type of `out`."""
    if source.dtype == out.dtype:
        np.take(source, rows, axis=0, out=out, mode="clip")  # mode "clip" needs no buffer
    else:
        out[:] = source[rows]
