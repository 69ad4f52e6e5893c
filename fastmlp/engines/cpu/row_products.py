"""Sums of products of two rows of numbers.

As in row_reductions.py vectors have 64 bytes on every machine, so that products are added in an
order that does not depend on it.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._numba import cgutils
from .layout import ROW_BYTES
from .vector_code import I64, VectorWriter


@intrinsic
def product_of_rows(typing_context, arena, a, b, size):
    """Add up the products of the numbers of two rows; nothing beyond them is read.

    Parameters
    ----------
    arena : vector
        It is only read.
    a, b : int
        Where both rows start in the arena.
    size : int
        Their number of elements.

    Returns
    -------
    number of the arena's type
    """

    def codegen(context, builder, signature, args):
        element = context.get_data_type(signature.args[0].dtype)
        itemsize = 4 if isinstance(element, ir.FloatType) else 8
        writer = VectorWriter(builder.module, element, ROW_BYTES // itemsize)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        rows, size = [builder.gep(data, [place]) for place in args[1:3]], args[3]
        so_far, n_lanes = (
            cgutils.alloca_once(builder, writer.vector),
            ir.Constant(I64, writer.n_lanes),
        )
        builder.store(writer.constant(0.0), so_far)

        def add(load, first):
            x, y = (load(builder.gep(row, [first])) for row in rows)
            builder.store(writer.multiply_add(builder, x, y, builder.load(so_far)), so_far)

        n_full = builder.sdiv(size, n_lanes)
        with cgutils.for_range(builder, n_full) as loop:
            add(lambda place: writer.load(builder, place), builder.mul(loop.index, n_lanes))
        first = builder.mul(n_full, n_lanes)
        with builder.if_then(builder.icmp_signed("<", first, size)):
            mask = writer.first_lanes(builder, builder.sub(size, first))
            add(lambda place: writer.load_first(builder, place, mask), first)
        total = writer.fold(builder, builder.load(so_far), builder.fadd, writer.n_lanes)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    i = types.int64
    return arena.dtype(arena, i, i, i), codegen
