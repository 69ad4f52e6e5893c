"""A tile of a product of matrices, by a block of GPU threads.

Parts of both factors lie in shared memory, while the next ones are on their way. Half of the
threads take one half of each part's depth, half the other; a thread has eight rows and four
columns, so that twelve elements that it reads from there serve 32 multiply-adds. Every sum is in
one order.
"""

from functools import cache

from . import layout as at
from .blocks import N_SHARED, THREADS
from .elements import add_products, load, load4, repeated, store, store4, zeros
from .jit import compile_device
from .jit import inside_kernels as cuda

GROUP = at.GROUP
# Rows and columns of a tile: as many times 8 x 4 as half a block has threads.
EDGE = 32 if THREADS == 64 else 64
assert 2 * (EDGE // 8) * (EDGE // 4) == THREADS
# Depth of the parts in shared memory: a thread brings four elements of each factor.
DEPTH = 4 * THREADS // EDGE
# How far apart rows begin there: a multiple of four, but not of the number of banks.
STRIDE = EDGE + 4
# Elements of one part of both factors; two take turns. In the end the sums lie there.
_PART = 2 * DEPTH * STRIDE
N_TILE_SHARED = max(N_SHARED, 2 * _PART, EDGE * STRIDE)
# Rows of a tile between those that a thread brings, or takes in the end; and how many it takes.
ROWS_APART = THREADS // EDGE
ELEMENTS = EDGE * EDGE // THREADS


@compile_device
def _add_depth(k, sums, shared, a, b):
    """Add the products of one element of the depth."""
    rows = load4(shared, a + k * STRIDE) + load4(shared, a + k * STRIDE + EDGE // 2)
    return add_products(sums, rows, load4(shared, b + k * STRIDE))


_add_part = repeated(_add_depth, DEPTH // 2)


@compile_device
def _keep_columns(shared, to, values):
    """Write four elements that are of one column."""
    store(shared, to, values[0])
    store(shared, to + STRIDE, values[1])
    store(shared, to + 2 * STRIDE, values[2])
    store(shared, to + 3 * STRIDE, values[3])


@compile_device
def _add_to(shared, to, sums):
    """Add to four elements."""
    s0, s1, s2, s3 = load4(shared, to)
    store4(shared, to, (s0 + sums[0], s1 + sums[1], s2 + sums[2], s3 + sums[3]))


@cache
def _tile_product(is_gradient):
    """A tile of a product: of activations and weights, or inputs and deltas over the batch."""
    if is_gradient:
        # Both factors lie in groups of rows, over which the sums go. A thread brings a column of a
        # group of each.
        @compile_device
        def fetch(arena, a, b, a_width, b_width, first, depth):
            group, last = first // GROUP + cuda.threadIdx.x // EDGE, (depth - 1) // GROUP
            if group > last:
                return zeros(4, arena), zeros(4, arena)
            inside = GROUP * group
            return load4(arena, a + inside * a_width), load4(arena, b + inside * b_width)

        @compile_device
        def keep(shared, to, fetched):
            thread = cuda.threadIdx.x
            to += thread // EDGE * GROUP * STRIDE + thread % EDGE
            _keep_columns(shared, to, fetched[0])
            _keep_columns(shared, to + DEPTH * STRIDE, fetched[1])

    else:
        # A thread brings a column of a group of rows of the first factor, and four elements of the
        # second, some rows apart.
        @compile_device
        def fetch_all(arena, a, b, b_width, k_a, k_b):
            place, apart = b + k_b * b_width, ROWS_APART * b_width
            return load4(arena, a + GROUP * k_a), (
                load(arena, place), load(arena, place + apart), load(arena, place + 2 * apart),
                load(arena, place + 3 * apart),
            )  # fmt: skip

        @compile_device
        def fetch_if(arena, b, b_width, k, last):
            (value,) = zeros(1, arena)
            if k <= last:
                value = load(arena, b + k * b_width)
            return value

        @compile_device
        def fetch(arena, a, b, a_width, b_width, first, depth):
            thread, last = cuda.threadIdx.x, depth - 1
            k_a, k_b = first + thread % DEPTH, first + thread // EDGE
            if first + DEPTH <= depth:
                return fetch_all(arena, a, b, b_width, k_a, k_b)
            of_a = load4(arena, a + GROUP * min(k_a, last))
            if k_a > last:
                of_a = zeros(4, arena)
            return of_a, (
                fetch_if(arena, b, b_width, k_b, last),
                fetch_if(arena, b, b_width, k_b + ROWS_APART, last),
                fetch_if(arena, b, b_width, k_b + 2 * ROWS_APART, last),
                fetch_if(arena, b, b_width, k_b + 3 * ROWS_APART, last),
            )

        @compile_device
        def keep(shared, to, fetched):
            thread = cuda.threadIdx.x
            store4(shared, to + thread % DEPTH * STRIDE + thread // DEPTH * GROUP, fetched[0])
            to += DEPTH * STRIDE + thread // EDGE * STRIDE + thread % EDGE
            b0, b1, b2, b3 = fetched[1]
            store(shared, to, b0)
            store(shared, to + ROWS_APART * STRIDE, b1)
            store(shared, to + 2 * ROWS_APART * STRIDE, b2)
            store(shared, to + 3 * ROWS_APART * STRIDE, b3)

    @compile_device
    def multiply_tile(shared, arena, a, b, a_width, b_width, depth, sums_columns):
        """Leave a tile in shared memory, where row i begins at i * STRIDE.

        `a` and `b` are where this thread begins to bring elements. The sum of a column of the
        second factor is returned, if wanted, to the first threads.
        """
        thread = cuda.threadIdx.x
        half, in_half = thread // (THREADS // 2), thread % (THREADS // 2)
        # Eight threads side by side, and the next ones below them.
        across = in_half // (EDGE // 8 * 8)
        row, column = in_half % (EDGE // 8 * 8) // 8 * GROUP, (across * 8 + in_half % 8) * 4
        from_a = half * (DEPTH // 2) * STRIDE + row
        from_b = (DEPTH + half * (DEPTH // 2)) * STRIDE + column
        sums = zeros(32, arena)
        (column_sum,) = zeros(1, arena)
        fetched = fetch(arena, a, b, a_width, b_width, 0, depth)
        part = 0
        for first in range(0, depth, DEPTH):
            keep(shared, part, fetched)
            cuda.syncthreads()
            if first + DEPTH < depth:
                fetched = fetch(arena, a, b, a_width, b_width, first + DEPTH, depth)
            sums = _add_part(0, sums, shared, part + from_a, part + from_b)
            if sums_columns and thread < EDGE:
                for k in range(min(DEPTH, depth - first)):
                    column_sum += load(shared, part + (DEPTH + k) * STRIDE + thread)
            part = _PART - part
        cuda.syncthreads()
        to = row * STRIDE + column
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
        return column_sum

    return multiply_tile


multiply, multiply_over_batch = _tile_product(is_gradient=False), _tile_product(is_gradient=True)
