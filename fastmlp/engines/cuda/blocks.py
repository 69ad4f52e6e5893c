"""The size of a block of GPU threads and of its shared memory, and sums over its threads."""

from . import layout as at
from .jit import compile_device
from .jit import inside_kernels as cuda
from .support import is_simulated

# Number of threads of a block, and of a warp, whose threads run in step and take neighbouring
# columns of a matrix. The numbers are smaller in the simulator, where each thread costs time.
THREADS, LANES = (64, 8) if is_simulated() else (256, 32)
WARPS = THREADS // LANES

# Number of elements of the shared array, in which threads leave parts of sums for each other. It is
# the larger of the numbers that the two phases of a step need.
_OF_ROWS = WARPS * at.GROUP * (4 * LANES + 8)
_OF_WEIGHTS = 4 * at.TILE * (at.TILE + 5)
N_SHARED = max(_OF_ROWS, _OF_WEIGHTS)
# The shared array begins at a multiple of this many bytes, so that four elements are read at once.
# The simulator has no alignment.
ALIGNMENT = None if is_simulated() else 16


@compile_device
def block_sum(sums, value):
    """Add up one number of each thread of a block, in a fixed order.

    Parameters
    ----------
    sums : array of THREADS elements in shared memory
    value : float
        The number of the calling thread.

    Returns
    -------
    float
        The sum, in every thread.
    """
    thread = cuda.threadIdx.x
    sums[thread] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if thread < half:
            sums[thread] += sums[thread + half]
        cuda.syncthreads()
        half //= 2
    total = sums[0]
    cuda.syncthreads()
    return total


@compile_device
def total_of(sums, values):
    """Add up all elements of an array in float64, by one block, in a fixed order.

    Parameters
    ----------
    sums : array of THREADS elements in shared memory, float64
    values : array of shape (n_values,)

    Returns
    -------
    float
        The sum, in every thread.
    """
    total = 0.0
    for i in range(cuda.threadIdx.x, values.size, THREADS):
        total += values[i]
    return block_sum(sums, total)
