"""Register tile of the matrix product."""

from .jit import compile_kernel

TILE_ROWS = 12
VECTOR_BYTES = 64


def lanes(dtype):
    """Elements of a vector register."""
    return VECTOR_BYTES // dtype.itemsize


@compile_kernel
def tile(
    rows,
    width,
    depth,
    a,
    a_start,
    a_row,
    a_col,
    b_start,
    b_row,
    c_start,
    c_row,
    init_start,
    init_row,
):
    """C = init + A B for a tile of at most TILE_ROWS rows and two vectors of columns."""
    for i in range(rows):
        c = a[c_start + i * c_row : c_start + i * c_row + width]
        bias = a[init_start + i * init_row : init_start + i * init_row + width]
        for j in range(width):
            c[j] = bias[j]
        for k in range(depth):
            x = a[a_start + i * a_row + k * a_col]
            b = a[b_start + k * b_row : b_start + k * b_row + width]
            for j in range(width):
                c[j] += x * b[j]
