"""Predictions on the CPU, for which weights are used where they lie.

A prediction of a few rows takes microseconds, less than a copy of the weights. Kernels find every
number by its distance from the start of the arena, and so can read arrays outside of it, too.
"""

import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import issparse

from ...network.plan import Activation, Loss, TrainingPlan
from ...network.weights import n_parameters
from ..engine import Matrix, SomeRows
from . import layout as at
from . import packing
from .barrier_array import new_barrier
from .dispatch import prediction_calls
from .inputs import NO_FEATURES, NO_STARTS, aligned, input_arrays
from .jobs import FIELDS, LAYERS, ORDER, OUTPUTS, VALUES, describe, set_array, set_size
from .library import Entry, holds_addresses
from .threads import borrowed_team
from .vector_unit import HOST

# Weights are packed where so many rows use them and they need so many bytes, which is more than the
# level-2 cache has. They are used as they are in all other predictions.
_MANY_ROWS, _LARGE = 4000, 4_000_000
# Predictions with more numbers of inputs and outputs have memory of their own, which they free.
_MOST_KEPT = 1_000_000
# So many numbers of X are copied rather than asked for their address.
_FEW_NUMBERS = 10_000
# Long predictions are handed over in parts of about this many multiply-adds, so that Ctrl-C acts
# soon.
_PIECE_MULTIPLY_ADDS = 5_000_000_000
# No processor has smaller pages.
_PAGE = 4096


# Copies of weights and biases, each with the number of its array.
_Copies: TypeAlias = list[tuple[int, np.ndarray]]


class NetworkInPlace:
    """The :class:`fastmlp.engines.engine.PredictionNetwork` of the CPU.

    A change inside an array changes the next prediction. The arrays are not kept alive, so that
    whoever asks for outputs gives them again.

    Parameters
    ----------
    plan : TrainingPlan
        The plan of the network; its optimiser and batch size do not matter.
    coefs : sequence of ndarray of shape (fan_in, fan_out)
        For each layer its weights, C-contiguous and of the plan's dtype.
    intercepts : sequence of ndarray of shape (fan_out,)
        For each layer its biases, in the same form.

    Attributes
    ----------
    plan : TrainingPlan
    n_parameters : int
    """

    def __init__(
        self, plan: TrainingPlan, coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray]
    ) -> None:
        self.plan = plan
        self.n_parameters = n_parameters(plan.layer_units)
        arrays = *coefs, *intercepts
        self._known = [(weakref.ref(a), (a.shape, a.strides, a.dtype)) for a in arrays]
        addresses = np.array([array.ctypes.data for array in arrays])
        # Places are counted in elements from address 0, and the arena's own place is taken off.
        self._places = addresses // plan.dtype.itemsize
        self._tables: tuple[at.Layout | None, Any] = None, None
        # What predictions of few rows share. It is set whole, since threads may do so at once.
        self._few: tuple[list[_Room], np.ndarray, _Copies, int] | None = None
        # Kernels read whole vectors, up to a vector beyond the end of an array. That may be
        # memory which the process does not have, unless it is on the same page.
        last = addresses + [array.nbytes - 1 for array in arrays]
        crosses = last // _PAGE != (last + HOST.n_bytes) // _PAGE
        self._copied = [int(number) for number in np.flatnonzero(crosses)]
        self._room_for_copies = sum(arrays[number].size for number in self._copied)
        self._room_for_copies += HOST.n_bytes // plan.dtype.itemsize

    def is_of(self, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
        """Tell whether these are the very arrays that the network predicts with."""
        if len(coefs) != len(intercepts) or len(coefs) + len(intercepts) != len(self._known):
            return False
        for array, (known, form) in zip((*coefs, *intercepts), self._known, strict=True):
            if array is None or array is not known():
                return False
            # Users can also change how an array reads its memory.
            if (array.shape, array.strides, array.dtype) != form:
                return False
        return True

    def outputs(self, arrays: Sequence[np.ndarray], X: Matrix, n_threads: int) -> np.ndarray:
        """Compute the activations of the output layer.

        Parameters
        ----------
        arrays : sequence of ndarray
            All weights and then all biases, the very arrays that the network was made for.
        X : ndarray or scipy.sparse matrix of shape (n_rows, n_features)
        n_threads : int

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
        """
        plan, n_rows = self.plan, X.shape[0]
        is_large = self.n_parameters * plan.dtype.itemsize > _LARGE
        is_packed = is_large and n_rows > _MANY_ROWS
        n_numbers = n_rows * (plan.layer_units[0] + plan.n_outputs)
        is_little = n_numbers <= _MOST_KEPT and n_rows * self.n_parameters <= _PIECE_MULTIPLY_ADDS
        if n_threads == 1 and is_little and not (is_packed or issparse(X)):
            return self._outputs_of_few(arrays, X)
        n_threads, layout = _layout(plan, X, n_threads, is_packed)
        if is_packed:
            arena = aligned(layout.size, plan.dtype)
            n_layers, start = len(layout.layers), int(layout.settings[at.PARAMETERS])
            packing.pack_layers(arrays[:n_layers], arrays[n_layers:], arena, start, layout)
            tables = layout.layers, layout.settings
        else:
            arena, tables = self.arena_in_place(arrays, layout)
        return RowPrediction(plan, tables, arena, X, n_threads, arrays).outputs()

    def _outputs_of_few(self, arrays: Sequence[np.ndarray], X: np.ndarray) -> np.ndarray:
        """Compute the outputs of few rows in one thread, with what earlier calls have prepared."""
        few = self._few
        if few is None:
            plan = self.plan
            rooms = _idle_rooms(plan.layer_units, plan.activations, plan.loss, plan.dtype)
            layers, copied = self.placed_table(arrays, _layout(plan, X, 1, False)[1])
            few = self._few = rooms, layers, copied, layers.ctypes.data
        rooms, _, copied, address = few
        # Threads that predict at once write the same numbers.
        for number, copy in copied:
            copy[...] = arrays[number]
        try:
            room = rooms.pop()
        except IndexError:  # this is the first prediction, or other threads have the others
            room = _Room(self.plan, _layout(self.plan, X, 1, False)[1])
        result = room.predict(address, X)
        rooms.append(room)  # unless it was interrupted
        return result

    def placed_table(
        self, arrays: Sequence[np.ndarray], layout: at.Layout
    ) -> tuple[np.ndarray, _Copies]:
        """Make a layer table by which kernels find the arrays from address 0.

        Parameters
        ----------
        arrays : sequence of ndarray
            All weights, and then all biases.
        layout : Layout

        Returns
        -------
        layers : ndarray of shape (n_layers, LAYER_FIELDS), int64
        copies : list of (int, ndarray)
            The number of each array that has to be copied, each time before it is read, and what
            it is copied to.
        """
        layers = layout.layers.copy()
        room = aligned(self._room_for_copies, self.plan.dtype)
        places, copies = self._copied_to(
            arrays, room, 0, room.ctypes.data // self.plan.dtype.itemsize
        )
        self._set_places(layers, places)
        return layers, copies

    def arena_in_place(
        self,
        arrays: Sequence[np.ndarray],
        layout: at.Layout,
        allocate: Callable[..., np.ndarray] = np.empty,
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Make an arena, and the tables by which kernels find the arrays from it.

        Parameters
        ----------
        arrays : sequence of ndarray
            All weights, and then all biases.
        layout : Layout
        allocate : callable
            As for :func:`fastmlp.engines.cpu.inputs.aligned`.

        Returns
        -------
        arena : ndarray of shape (n_elements,)
            It has the arrays that cannot be read where they are.
        tables : tuple of ndarray
            The layer table, of shape (n_layers, LAYER_FIELDS), and the settings, of shape
            (N_SETTINGS,); both of int64.
        """
        arena = aligned(layout.size + self._room_for_copies, self.plan.dtype, allocate)
        known, layers = self._tables
        if known is not layout:
            layers = layout.layers.copy()
            self._set_places(layers, self._places)
            self._tables = layout, layers
        origin = arena.ctypes.data // self.plan.dtype.itemsize
        settings = layout.settings.copy()
        settings[at.PARAMETERS] = -origin
        if self._copied:
            layers = layers.copy()
            places, copies = self._copied_to(arrays, arena, layout.size, origin)
            for number, copy in copies:
                copy[...] = arrays[number]
            self._set_places(layers, places)
        return arena, (layers, settings)

    def _copied_to(
        self, arrays: Sequence[np.ndarray], to: np.ndarray, end: int, origin: int
    ) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
        """Find room for copies of the arrays that cannot be read where they are.

        Parameters
        ----------
        arrays : sequence of ndarray
            All weights, and then all biases.
        to : ndarray of shape (n_elements,)
            What has the room.
        end : int
            The element of `to` where the room begins.
        origin : int
            The place of the first element of `to`.

        Returns
        -------
        places : ndarray of shape (n_arrays,), int64
            Where each array, or its copy, is read.
        copies : list of (int, ndarray)
            The number of each array that has to be copied, and the view of `to` that it is copied
            to.
        """
        places, copies = self._places.copy(), []
        for number in self._copied:
            array = arrays[number]
            copies.append((number, to[end : end + array.size].reshape(array.shape)))
            places[number] = origin + end
            end += array.size
        return places, copies

    @staticmethod
    def _set_places(layers: np.ndarray, places: np.ndarray) -> None:
        """Write the places of all weights, and then of all biases, into a layer table."""
        layers[:, at.WEIGHTS], layers[:, at.BIASES] = places.reshape(2, -1)


class _Room:
    """Where one thread at a time predicts few rows, by any network of the same layout.

    To prepare a job takes several times as long as to predict one row.

    Parameters
    ----------
    plan : TrainingPlan
        The plan of such a network.
    layout : Layout
        For one thread, with weights that lie outside of the arena.
    """

    def __init__(self, plan: TrainingPlan, layout: at.Layout) -> None:
        self._arena = aligned(layout.size, plan.dtype, np.empty)
        settings = layout.settings.copy()
        settings[at.PARAMETERS] = -(self._arena.ctypes.data // plan.dtype.itemsize)
        calls = prediction_calls(plan.activations, plan.loss, plan.dtype, False)
        self._tables = layout.layers, settings, calls
        self._barrier = new_barrier()  # one thread waits for no other
        self._make_buffers(1, plan.layer_units[0], plan.n_outputs)

    def _make_buffers(self, n_rows: int, n_features: int, n_outputs: int) -> None:
        """Make buffers for rows and their outputs.

        To copy a few rows takes less time than to ask for the addresses of arrays.
        """
        self._inputs = np.empty((n_rows, n_features), self._arena.dtype)
        self._address = self._inputs.ctypes.data
        self._outputs = np.empty((n_rows, n_outputs), self._arena.dtype)
        self._job = describe(
            (*self._tables, self._inputs, NO_FEATURES, NO_STARTS, NO_STARTS, self._outputs)
        )
        self._call = Entry("predict", self._arena, self._job)

    def predict(self, layers: int, X: np.ndarray) -> np.ndarray:
        """Compute the activations of the output layer.

        Parameters
        ----------
        layers : int
            The address of the network's layer table.
        X : ndarray of shape (n_rows, n_features)

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
        """
        n_rows = len(X)
        if n_rows > len(self._inputs):
            self._make_buffers(n_rows, X.shape[1], self._outputs.shape[1])
        address = self._address
        if X.size > _FEW_NUMBERS and X.dtype == self._inputs.dtype and X.flags.c_contiguous:
            address = X.ctypes.data
        else:
            self._inputs[:n_rows] = X
        self._job[VALUES * FIELDS] = address
        self._job[LAYERS * FIELDS] = layers
        set_size(self._job, OUTPUTS, n_rows)
        self._call(0, 1, self._barrier)
        return self._outputs[:n_rows].copy()


@holds_addresses
@lru_cache(maxsize=32)
def _idle_rooms(
    units: tuple[int, ...], activations: tuple[Activation, ...], loss: Loss, dtype: np.dtype
) -> list[_Room]:
    """Return the rooms of a layout in which no thread predicts at the moment.

    Whoever takes one out puts it back after the prediction. All networks of the layout share the
    list, so that there are no more rooms than threads that predict at once.
    """
    return []


class RowPrediction:
    """The prediction of some rows, which can be repeated when the network's weights have changed.

    Parameters
    ----------
    plan : TrainingPlan
    tables : tuple of ndarray
        The layer table and the settings, by which kernels find the weights from the arena.
    arena : ndarray of shape (n_elements,)
        It has a block of rows for each thread.
    X : ndarray, scipy.sparse matrix or SomeRows of shape (n_rows, n_features)
        Its values must not change.
    n_threads : int
    keeps : object
        What holds the weights.
    """

    def __init__(
        self,
        plan: TrainingPlan,
        tables: tuple[np.ndarray, np.ndarray],
        arena: np.ndarray,
        X: Matrix | SomeRows,
        n_threads: int,
        keeps: object,
    ) -> None:
        n_rows, order = X.shape[0], NO_STARTS
        block = int(tables[1][at.BLOCK_ROWS])
        self._piece = _rows_of_a_piece(plan, X, n_threads * block)
        if isinstance(X, SomeRows):
            X, order = X.X, X.numbers
        elif issparse(X):
            order = np.arange(n_rows)
        is_sparse = issparse(X)
        calls = prediction_calls(plan.activations, plan.loss, plan.dtype, is_sparse)
        inputs = input_arrays(X, plan.dtype)
        self._shape, self._dtype = (n_rows, plan.n_outputs), plan.dtype
        self._n_threads = n_threads
        # They are in the order of the numbers in jobs.py; the outputs come last.
        described = *tables, calls, *inputs, order, np.empty((0, plan.n_outputs), plan.dtype)
        self._job = describe(described)
        self._call = Entry("predict", arena, self._job)
        self._keeps = described, keeps
        # The array of the job that long predictions take in parts, with its number.
        self._whole = (ORDER, order) if order.size else (VALUES, inputs[0])

    def outputs(self) -> np.ndarray:
        """Compute the activations of the output layer with the current weights.

        A long prediction is handed to the threads in parts, so that Ctrl-C acts between them.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
        """
        result = np.empty(self._shape, self._dtype)
        n_rows, piece, job = len(result), self._piece, self._job
        set_array(job, OUTPUTS, result)
        with borrowed_team() as team:
            for first in range(0, n_rows, piece):
                if n_rows > piece:
                    rows = slice(first, first + piece)
                    number, whole = self._whole
                    set_array(job, number, whole[rows])
                    set_array(job, OUTPUTS, result[rows])
                team.run(
                    self._call, keeps=(self._keeps, result), n_threads=self._n_threads,
                    may_be_fewer=True,
                )  # fmt: skip
        return result


def prediction_in_training(
    plan: TrainingPlan, trained: np.ndarray, start: int, X: Matrix | SomeRows, n_threads: int
) -> RowPrediction:
    """Prepare the prediction of some rows by a network that is in training.

    Parameters
    ----------
    plan : TrainingPlan
    trained : ndarray of shape (n_elements,)
        The arena of the training, in which weights lie in panels. They are used where they lie.
    start : int
        Where the first parameter lies in it.
    X : ndarray, scipy.sparse matrix or SomeRows of shape (n_rows, n_features)
        Its values must not change.
    n_threads : int

    Returns
    -------
    RowPrediction
    """
    if isinstance(X, SomeRows) and X.X.dtype != plan.dtype:
        X = X[:]  # a copy of few rows instead of a conversion of all
    n_threads, layout = _layout(plan, X, n_threads, True)
    arena = aligned(layout.size, plan.dtype, np.empty)
    settings = layout.settings.copy()
    # Places are distances from the start of the arena, also those of numbers outside of it.
    distance = (trained.ctypes.data - arena.ctypes.data) // plan.dtype.itemsize
    settings[at.PARAMETERS] = distance + start
    return RowPrediction(plan, (layout.layers, settings), arena, X, n_threads, trained)


def _layout(
    plan: TrainingPlan, X: Matrix | SomeRows, n_threads: int, is_packed: bool
) -> tuple[int, at.Layout]:
    """Return how many of the threads have work in a prediction, and its layout for so many."""
    is_sparse = issparse(_matrix(X))
    # Threads take blocks of rows: where there are fewer of these, no more threads have work.
    block = at.block_rows(plan.layer_units[is_sparse:], plan.dtype.itemsize)
    n_threads = max(1, min(n_threads, -(-X.shape[0] // block)))
    return n_threads, at.prediction_layout(
        plan.layer_units, plan.activation, plan.loss, plan.dtype, n_threads, is_packed, is_sparse
    )


def _matrix(X: Matrix | SomeRows) -> Matrix:
    """Return X, or the matrix that it is rows of."""
    return X.X if isinstance(X, SomeRows) else X


def _rows_of_a_piece(plan: TrainingPlan, X: Matrix | SomeRows, multiple: int) -> int:
    """Compute how many rows are handed over at once, a multiple of what the threads share."""
    units, n_rows, matrix = plan.layer_units, X.shape[0], _matrix(X)
    work = n_rows * n_parameters(units)
    if issparse(matrix):
        n_entries = matrix.nnz * n_rows // max(1, matrix.shape[0])
        work += (n_entries - n_rows * units[0]) * units[1]
    n_pieces = max(1, -(-work // _PIECE_MULTIPLY_ADDS))
    return max(1, -(-n_rows // (multiple * n_pieces))) * multiple
