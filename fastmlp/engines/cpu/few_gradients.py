"""Input gradients of few rows in one thread, with what earlier calls have prepared.

As for predictions of few rows, preparing a job takes longer than running it. On the way forward
weights are used where they lie; for the way back they are transposed each time, since they may
have changed.
"""

import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...network.plan import Activation, Loss, TrainingPlan
from . import layout as at
from . import packing
from .barrier_array import new_barrier
from .dispatch import gradient_calls
from .gradient_layout import gradient_layout
from .inputs import NO_FEATURES, NO_STARTS, aligned
from .jobs import FIELDS, LAYERS, ORDER, describe, set_size
from .library import Entry, holds_addresses
from .prediction import NetworkInPlace

# The layer table of each network, and copies of the arrays that cannot be read where they lie.
_TABLES: weakref.WeakKeyDictionary[NetworkInPlace, Any] = weakref.WeakKeyDictionary()


class _Room:
    """Where one thread at a time differentiates few rows, by any network of the same layout.

    Parameters
    ----------
    plan : TrainingPlan
        The plan of such a network.
    layout : Layout
        For one thread, with weights that lie outside of the arena.
    """

    def __init__(self, plan: TrainingPlan, layout: at.Layout) -> None:
        self._arena = aligned(layout.size, plan.dtype)
        settings = layout.settings.copy()
        settings[at.PARAMETERS] = -(self._arena.ctypes.data // plan.dtype.itemsize)
        calls = gradient_calls(plan.activations, plan.loss, plan.dtype, False)
        self._tables = layout.layers, settings, calls
        panel = int(settings[at.PANEL])
        self._transposed = [
            packing.transposed_parts(self._arena, layer, panel) for layer in layout.layers.tolist()
        ]
        self._rule = np.zeros(2, dtype=np.int64)
        self._barrier = new_barrier()  # one thread waits for no other
        self._make_buffers(1, 1, plan.layer_units[0])

    def _make_buffers(self, n_rows: int, n_units: int, n_features: int) -> None:
        """Make buffers for rows and their gradients.

        To copy a few rows takes less time than to ask for the addresses of arrays.
        """
        self._inputs = np.empty((n_rows, n_features), self._arena.dtype)
        self._units = np.empty(n_units, dtype=np.int64)
        self._gradients = np.empty((n_rows, n_units * n_features), self._arena.dtype)
        # They are in the order of the numbers in jobs.py.
        self._arrays = (
            *self._tables, self._inputs, NO_FEATURES, NO_STARTS, np.arange(n_rows),
            self._gradients, self._units, self._rule,
        )  # fmt: skip
        self._job = describe(self._arrays)
        self._call = Entry("differentiate", self._arena, self._job)

    def gradients(
        self, layers: int, coefs: Sequence[np.ndarray], X: np.ndarray, units: np.ndarray, rule: int
    ) -> np.ndarray:
        """Compute the gradients of some outputs, for each row.

        Parameters
        ----------
        layers : int
            The address of the network's layer table.
        coefs : sequence of ndarray of shape (fan_in, fan_out)
            Its weights.
        X : ndarray of shape (n_rows, n_features)
        units : ndarray of shape (n_units,), int64
        rule : int

        Returns
        -------
        ndarray of shape (n_rows, n_units * n_features)
        """
        n_rows, n_features = X.shape
        if n_rows > len(self._inputs) or units.size != self._units.size:
            self._make_buffers(n_rows, units.size, n_features)
        self._inputs[:n_rows] = X
        self._units[:], self._rule[0] = units, rule
        packing.transpose(coefs, self._transposed)
        self._job[LAYERS * FIELDS] = layers
        set_size(self._job, ORDER, n_rows)
        self._call(0, 1, self._barrier)
        return self._gradients[:n_rows].copy()


@holds_addresses
@lru_cache(maxsize=32)
def _idle_rooms(
    units: tuple[int, ...], activations: tuple[Activation, ...], loss: Loss, dtype: np.dtype
) -> list[_Room]:
    """Return the rooms of a layout in which no thread works at the moment, as for predictions."""
    return []


def gradients_of_few(
    network: NetworkInPlace,
    arrays: Sequence[np.ndarray],
    X: np.ndarray,
    units: np.ndarray,
    rule: int,
) -> np.ndarray:
    """Compute the gradients of some outputs of a network, for each of few rows.

    Parameters
    ----------
    network : NetworkInPlace
    arrays : sequence of ndarray
        All weights and then all biases, the very arrays that the network was made for.
    X : ndarray of shape (n_rows, n_features)
    units : ndarray of shape (n_units,), int64
        The numbers of the outputs, or PREDICTED.
    rule : int
        Which derivative the outputs have; see :mod:`fastmlp.engines.gradient_rules`.

    Returns
    -------
    ndarray of shape (n_rows, n_units * n_features)
    """
    plan = network.plan
    key = plan.layer_units, plan.activations, plan.loss, plan.dtype
    known = _TABLES.get(network)
    if known is None:
        layers, copied = network.placed_table(arrays, gradient_layout(*key, 1))
        known = _TABLES[network] = _idle_rooms(*key), layers, copied, layers.ctypes.data
    rooms, _, copied, address = known
    # Threads that work at once write the same numbers.
    for number, copy in copied:
        copy[...] = arrays[number]
    try:
        room = rooms.pop()
    except IndexError:  # this is the first call, or other threads have the others
        room = _Room(plan, gradient_layout(*key, 1))
    result = room.gradients(address, arrays[: len(arrays) // 2], X, units, rule)
    rooms.append(room)  # unless it was interrupted
    return result
