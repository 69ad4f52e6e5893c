"""A block of GPU threads: how many they are, what they share, and their sums."""

from . import layout as at
from .jit import compile_device
from .jit import inside_kernels as cuda
from .support import is_simulated

# Threads of a block, and those that run in step, with neighbouring columns of a matrix. The
# simulator pays for each thread by itself.
THREADS, LANES = (64, 8) if is_simulated() else (256, 32)
WARPS = THREADS // LANES

# Elements of the shared array in which threads leave parts of sums for each other: the larger of
# what the two phases of a step need.
_OF_ROWS = WARPS * at.GROUP * (4 * LANES + 8)
_OF_WEIGHTS = 4 * at.TILE * (at.TILE + 5)
N_SHARED = max(_OF_ROWS, _OF_WEIGHTS)
# Bytes at a multiple of which it begins: quadruples are read at once. The simulator knows none.
ALIGNMENT = None if is_simulated() else 16


@compile_device
def block_sum(sums, value):
    """Sum of a number of each thread of a block, in a fixed order, through a shared array."""
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
    """Sum of all values in float64, by one block, in a fixed order."""
    total = 0.0
    for i in range(cuda.threadIdx.x, values.size, THREADS):
        total += values[i]
    return block_sum(sums, total)
