"""Products of matrices by tiles, each of which is computed by a block of GPU threads.

While a block works on a part of both factors in shared memory, the next part is read from the
device's memory. Half of the threads take the first half of each part's depth, the others the second
half. A thread computes eight rows and four columns, so that twelve elements that it reads from
shared memory serve 32 multiply-adds. Each sum is added up in a fixed order.
"""

from typing import NamedTuple

from . import layout as at
from .blocks import N_SHARED, THREADS
from .elements import (
    add_each,
    add_products,
    four_times,
    load,
    load4,
    load_apart,
    repeated,
    store4,
    store_apart,
    zeros,
)
from .jit import compile_device
from .jit import inside_kernels as cuda

GROUP = at.GROUP
# Number of rows, and of columns, of a tile: half of a block's threads compute 8 x 4 elements each.
EDGE = 32 if THREADS == 64 else 64
assert 2 * (EDGE // 8) * (EDGE // 4) == THREADS
# Depth of the parts in shared memory, with which a thread reads four elements of each factor.
DEPTH = 4 * THREADS // EDGE
# Distance of rows in shared memory: a multiple of four, but not of the number of banks.
STRIDE = EDGE + 4
# Number of elements of one part of both factors. There is memory for two parts, which take turns.
# In the end the sums lie there.
_PART = 2 * DEPTH * STRIDE
N_TILE_SHARED = max(N_SHARED, 2 * _PART, EDGE * STRIDE)
# Distance of the rows that a thread reads, or takes in the end, and the number that it takes.
ROWS_APART = THREADS // EDGE
ELEMENTS = EDGE * EDGE // THREADS


@compile_device
def _add_depth(k, sums, shared, a, b):
    """Add the products at one place of the depth."""
    rows = load4(shared, a + k * STRIDE) + load4(shared, a + k * STRIDE + EDGE // 2)
    return add_products(sums, rows, load4(shared, b + k * STRIDE))


_add_part = repeated(_add_depth, DEPTH // 2)


@compile_device
def _add_to(shared, to, sums):
    """Add four numbers to four elements of shared memory."""
    store4(shared, to, add_each(load4(shared, to), sums))


@compile_device
def _fetch_groups(arena, factors, first):
    """Read a column of a group of rows of each factor, for sums over the rows of a batch.

    Both factors lie in groups of rows. `first` is the first row of the part, and `factors.depth`
    the number of rows.
    """
    group, last = first // GROUP + cuda.threadIdx.x // EDGE, (factors.depth - 1) // GROUP
    if group > last:
        return zeros(4, arena), zeros(4, arena)
    inside = GROUP * group
    a, b = factors.a + inside * factors.a_width, factors.b + inside * factors.b_width
    return load4(arena, a), load4(arena, b)


@compile_device
def _keep_groups(shared, to, fetched):
    """Write the elements to shared memory that :func:`_fetch_groups` has read."""
    thread = cuda.threadIdx.x
    to += thread // EDGE * GROUP * STRIDE + thread % EDGE
    store_apart(shared, to, STRIDE, fetched[0])
    store_apart(shared, to + DEPTH * STRIDE, STRIDE, fetched[1])


@compile_device
def _fetch_if(number, arena, b, b_width, k, last):
    """Read an element of row k + number * ROWS_APART of the second factor; zero below the last."""
    (value,) = zeros(1, arena)
    k += number * ROWS_APART
    if k <= last:
        value = load(arena, b + k * b_width)
    return value


_fetch_each_if = four_times(_fetch_if)


@compile_device
def _fetch_rows(arena, factors, first):
    """Read four elements of activations, or deltas, and four of weights.

    A thread reads a column of a group of rows of the first factor, and elements of a column of the
    second one that lie ROWS_APART rows apart. `first` is the first row of weights of the part.
    """
    thread, last, b_width = cuda.threadIdx.x, factors.depth - 1, factors.b_width
    k_a, k_b = first + thread % DEPTH, first + thread // EDGE
    if first + DEPTH <= factors.depth:
        return load4(arena, factors.a + GROUP * k_a), load_apart(
            arena, factors.b + k_b * b_width, ROWS_APART * b_width
        )
    of_a = load4(arena, factors.a + GROUP * min(k_a, last))
    if k_a > last:
        of_a = zeros(4, arena)
    return of_a, _fetch_each_if(arena, factors.b, b_width, k_b, last)


@compile_device
def _keep_rows(shared, to, fetched):
    """Write the elements to shared memory that :func:`_fetch_rows` has read."""
    thread = cuda.threadIdx.x
    store4(shared, to + thread % DEPTH * STRIDE + thread // DEPTH * GROUP, fetched[0])
    to += DEPTH * STRIDE + thread // EDGE * STRIDE + thread % EDGE
    store_apart(shared, to, ROWS_APART * STRIDE, fetched[1])


class TileFactors(NamedTuple):
    """The two factors of a product, of which a block computes a tile.

    Attributes
    ----------
    a, b : int
        Places in the arena at which the calling thread begins to read each factor.
    a_width, b_width : int
        Number of columns of each factor. The first one is used only for sums over the rows of a
        batch.
    depth : int
        Number of products that make an element of the result.
    """

    a: int
    b: int
    a_width: int
    b_width: int
    depth: int


@compile_device
def _place_in_tile():
    """Find the half of the depth that a thread adds up, and its first row and column."""
    half, in_half = cuda.threadIdx.x // (THREADS // 2), cuda.threadIdx.x % (THREADS // 2)
    # Eight threads lie side by side, and the next eight below them.
    across = in_half // (EDGE // 8 * 8)
    return half, in_half % (EDGE // 8 * 8) // 8 * GROUP, (across * 8 + in_half % 8) * 4


@compile_device
def _leave_sums(shared, half, to, sums):
    """Add up the sums of both halves of the depth; each thread has eight rows of four elements."""
    below = to + EDGE // 2 * STRIDE
    if half == 0:
        store4(shared, to, sums[0:4])
        store4(shared, to + STRIDE, sums[4:8])
        store4(shared, to + 2 * STRIDE, sums[8:12])
        store4(shared, to + 3 * STRIDE, sums[12:16])
        store4(shared, below, sums[16:20])
        store4(shared, below + STRIDE, sums[20:24])
        store4(shared, below + 2 * STRIDE, sums[24:28])
        store4(shared, below + 3 * STRIDE, sums[28:32])
    cuda.syncthreads()
    if half == 1:
        _add_to(shared, to, sums[0:4])
        _add_to(shared, to + STRIDE, sums[4:8])
        _add_to(shared, to + 2 * STRIDE, sums[8:12])
        _add_to(shared, to + 3 * STRIDE, sums[12:16])
        _add_to(shared, below, sums[16:20])
        _add_to(shared, below + STRIDE, sums[20:24])
        _add_to(shared, below + 2 * STRIDE, sums[24:28])
        _add_to(shared, below + 3 * STRIDE, sums[28:32])
    cuda.syncthreads()


def _tile_product(fetch, keep):
    """Make a device function that computes a tile of a product.

    Parameters
    ----------
    fetch : device function
        It takes ``(arena, factors, first)`` and reads the thread's elements of a part.
    keep : device function
        It takes ``(shared, to, fetched)`` and writes these elements to shared memory.

    Returns
    -------
    device function
        It takes ``(shared, arena, factors, sums_columns)``.
    """

    @compile_device
    def multiply_tile(shared, arena, factors, sums_columns):
        """Write a tile to shared memory, where row i begins at i * STRIDE.

        If `sums_columns` is true, each of the first EDGE threads gets the sum of a column of the
        second factor as the result.
        """
        thread = cuda.threadIdx.x
        half, row, column = _place_in_tile()
        from_a = half * (DEPTH // 2) * STRIDE + row
        from_b = (DEPTH + half * (DEPTH // 2)) * STRIDE + column
        sums = zeros(32, arena)
        (column_sum,) = zeros(1, arena)
        fetched = fetch(arena, factors, 0)
        part = 0
        for first in range(0, factors.depth, DEPTH):
            keep(shared, part, fetched)
            cuda.syncthreads()
            if first + DEPTH < factors.depth:
                fetched = fetch(arena, factors, first + DEPTH)
            sums = _add_part(0, sums, shared, part + from_a, part + from_b)
            if sums_columns and thread < EDGE:
                for k in range(min(DEPTH, factors.depth - first)):
                    column_sum += load(shared, part + (DEPTH + k) * STRIDE + thread)
            part = _PART - part
        cuda.syncthreads()
        _leave_sums(shared, half, row * STRIDE + column, sums)
        return column_sum

    return multiply_tile


# Computes a tile of activations, or deltas, times weights.
multiply = _tile_product(_fetch_rows, _keep_rows)
# Computes a tile of inputs times deltas, summed over the rows of a batch.
multiply_over_batch = _tile_product(_fetch_groups, _keep_groups)
