"""Named tuples that hold the arguments of kernels and device functions.

numba passes the elements of a named tuple to a kernel like separate arguments, and inside kernels
the compiler takes the tuple apart again. So packing costs no instructions and no registers.
"""

from typing import Any, NamedTuple, TypeAlias

from . import layout as at
from .jit import compile_device

# An array in the memory of the device. numba-cuda has no types for it.
DeviceArray: TypeAlias = Any


class Network(NamedTuple):
    """A network in the memory of the device.

    :mod:`fastmlp.engines.cuda.layout` describes the arena and the tables. A launch that trains many
    networks takes their tables stacked, with one more dimension in front, and one arena for all.

    Attributes
    ----------
    arena : device array of shape (n_elements,), float32 or float64
        Parameters, optimiser state, activations, deltas and sums.
    layers : device array of shape (n_layers, LAYER_FIELDS), int64
    settings : device array of shape (N_SETTINGS,), int64
    constants : device array of shape (N_CONSTANTS,), of the arena's dtype
    """

    arena: DeviceArray
    layers: DeviceArray
    settings: DeviceArray
    constants: DeviceArray


class Rows(NamedTuple):
    """The data of a fit on the device; a matrix is a vector of its elements, row by row.

    Attributes
    ----------
    X : device array of shape (n_rows * n_features,), of the arena's dtype
    Y : device array of shape (n_rows * n_outputs,), of the arena's dtype
    sample_weight : device array of shape (n_rows,), of the arena's dtype
        A single element, which is never read, where rows have no weights.
    order : device array of shape (n_in_order,), int64
        Numbers of rows, in the order in which batches are cut.
    """

    X: DeviceArray
    Y: DeviceArray
    sample_weight: DeviceArray
    order: DeviceArray


class StepRecord(NamedTuple):
    """The numbers that each step of an epoch reads, and those that it leaves for the sums.

    Attributes
    ----------
    step_scalars : device array of shape (n_steps, N_STEP_SCALARS)
        Numbers that change from step to step, such as the learning rate.
    row_losses : device array of shape (n_in_order,)
        The loss of each row in the order of the epoch.
    penalties : device array of shape (n_steps,)
        The penalty of each step, times the rows of its batch.
    gradient_norms : device array of shape (n_steps,)
        The norm of the gradient of each step.
    """

    step_scalars: DeviceArray
    row_losses: DeviceArray
    penalties: DeviceArray
    gradient_norms: DeviceArray


class Block(NamedTuple):
    """The block of threads that runs a phase of a step.

    Attributes
    ----------
    number : int
        Number of the block among those that work on the same network, from 0 to `count` - 1.
    count : int
        Number of blocks that work on the same network.
    shared : array in shared memory, of the arena's dtype
        It has at least as many elements as the phase needs.
    """

    number: Any
    count: Any
    shared: Any


class Batch(NamedTuple):
    """The rows of a step.

    Attributes
    ----------
    step : int
    n_rows : int
    seen : int
        Number of rows that were trained on before, which dropout's masks depend on.
    """

    step: int
    n_rows: int
    seen: int


class Group(NamedTuple):
    """Up to four rows of a batch that lie together in memory.

    Attributes
    ----------
    first : int
        Place of the first row in the batch.
    n_rows : int
        Number of rows; zero or less where the threads have no rows to work on.
    """

    first: int
    n_rows: int


@compile_device
def rows_of_step(settings, n_in_order, step):
    """Count the rows of a step: the last batch of an epoch may be smaller than the others."""
    return min(settings[at.BATCH_SIZE], n_in_order - step * settings[at.BATCH_SIZE])


@compile_device
def batch_of_step(settings, n_in_order, step, steps_done):
    """Find the batch of a step; `steps_done` steps came before the first one of this order."""
    batch_size = settings[at.BATCH_SIZE]
    start = step * batch_size
    return Batch(step, min(batch_size, n_in_order - start), start + steps_done * batch_size)
