"""What kernels and device functions take, packed into named tuples.

numba passes a named tuple to a kernel as if its elements were arguments of their own, and inside
kernels the compiler sees through it: packing costs no instructions and no registers.
"""

from typing import Any, NamedTuple

from . import layout as at
from .jit import compile_device


class Network(NamedTuple):
    """A network in the memory of the device; :mod:`fastmlp.engines.cuda.layout` says what is where.

    A launch that trains many networks takes their tables stacked, with one more dimension in front.
    All of them share the arena.

    Attributes
    ----------
    arena : device array of shape (n_elements,), float32 or float64
        Parameters, optimiser state, activations, deltas and sums.
    layers : device array of shape (n_layers, LAYER_FIELDS), int64
    settings : device array of shape (N_SETTINGS,), int64
    constants : device array of shape (N_CONSTANTS,), of the arena's dtype
    """

    arena: Any
    layers: Any
    settings: Any
    constants: Any


class Rows(NamedTuple):
    """The data of a fit on the device, matrices as vectors of their elements, row by row.

    Attributes
    ----------
    X : device array of shape (n_rows * n_features,), of the arena's dtype
    Y : device array of shape (n_rows * n_outputs,), of the arena's dtype
    sample_weight : device array of shape (n_rows,), of the arena's dtype
        A single element, which is never read, where rows have no weights.
    order : device array of shape (n_in_order,), int64
        Numbers of rows, in the order in which batches are cut.
    """

    X: Any
    Y: Any
    sample_weight: Any
    order: Any


class StepRecord(NamedTuple):
    """What the steps of an epoch are given, and what they leave for its sums.

    Attributes
    ----------
    step_scalars : device array of shape (n_steps, N_STEP_SCALARS)
        What changes from step to step, such as the learning rate.
    row_losses : device array of shape (n_in_order,)
    penalties : device array of shape (n_steps,)
    gradient_norms : device array of shape (n_steps,)
    """

    step_scalars: Any
    row_losses: Any
    penalties: Any
    gradient_norms: Any


class Block(NamedTuple):
    """The block of threads that is running, and how many work on the same network.

    Attributes
    ----------
    number : int
        From 0 to `count` - 1.
    count : int
    shared : array in shared memory, of the arena's dtype
        At least as many elements as the phase that gets it says.
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
        Number of rows that were trained on before, by which dropout's masks are drawn.
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
        Zero or less for a team of threads without work.
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
