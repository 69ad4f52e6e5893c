"""Operations along the rows of a block, with one vector accumulator for each row.

Rows are too short for the vector loops that the compiler writes: these would take most of a row of
26 numbers one by one. Here rows are read and written up to the end of their last vector.
"""

from contextlib import contextmanager
from math import inf

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._numba import cgutils
from .vector_code import I64, VectorWriter


class _RowWriter(VectorWriter):
    """A writer of loops over the rows of a block and over the vectors of a row.

    Parameters
    ----------
    context, builder, signature, args
        The arguments of an intrinsic's ``codegen``. The intrinsic's own arguments begin with
        arena, start, row_stride, n_rows and n_columns.
    """

    def __init__(self, context, builder, signature, args):
        super().__init__(builder.module, context.get_data_type(signature.args[0].dtype))
        self.builder = builder
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        self.start = builder.gep(data, [args[1]])
        self.row_stride, self.n_rows, self.n_columns = args[2:5]

    @contextmanager
    def rows(self):
        """Write a loop over rows, whose body is what the ``with`` statement encloses.

        Yields
        ------
        number, pointer : llvmlite values
            The number of a row, and a pointer to its first element.
        """
        with cgutils.for_range(self.builder, self.n_rows) as loop:
            offset = self.builder.mul(loop.index, self.row_stride)
            yield loop.index, self.builder.gep(self.start, [offset])

    @contextmanager
    def vectors(self, row):
        """Write a loop over a row's vectors, whose body is what the ``with`` statement encloses.

        Parameters
        ----------
        row : llvmlite value
            A pointer to the row's first element.

        Yields
        ------
        vector, pointer, mask : llvmlite values
            The vector, a pointer to its first element, and which of its lanes belong to the row.
        """
        builder, n_lanes = self.builder, ir.Constant(I64, self.n_lanes)
        padded = builder.add(self.n_columns, ir.Constant(I64, self.n_lanes - 1))
        with cgutils.for_range(builder, builder.sdiv(padded, n_lanes)) as loop:
            column = builder.mul(loop.index, n_lanes)
            pointer = builder.gep(row, [column])
            mask = self.first_lanes(builder, builder.sub(self.n_columns, column))
            yield self.load(builder, pointer), pointer, mask

    def reduce(self, row, combine, identity):
        """Write what combines all numbers of a row into one.

        Parameters
        ----------
        row : llvmlite value
            A pointer to the row's first element.
        combine : callable
            ``combine(x, y)`` writes what makes one vector of two.
        identity : float
            The number that lanes beyond the row have instead of theirs.

        Returns
        -------
        llvmlite value
        """
        builder, identity = self.builder, self.constant(identity)
        so_far = cgutils.alloca_once(builder, self.vector)
        builder.store(identity, so_far)
        with self.vectors(row) as (vector, _, mask):
            vector = builder.select(mask, vector, identity)
            builder.store(combine(builder.load(so_far), vector), so_far)
        return self.fold(builder, builder.load(so_far), combine)

    def maximum(self, row):
        """Write what finds the largest number of a row; where one is not a number, any of them."""

        def larger(x, y):
            return self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y)

        return self.reduce(row, larger, -inf)

    def sum(self, row):
        """Write what sums the numbers of a row."""
        return self.reduce(row, self.builder.fadd, 0.0)


@intrinsic
def subtract_row_maxima(typing_context, arena, start, row_stride, n_rows, n_columns):
    """Subtract from each row its maximum, and make the padding minus infinity.

    Parameters
    ----------
    arena : vector
        Modified in place.
    start, row_stride : int
        Where the first row starts in the arena, and the distance of rows.
    n_rows, n_columns : int
    """

    def codegen(context, builder, signature, args):
        writer = _RowWriter(context, builder, signature, args)
        with writer.rows() as (_, row):
            maximum = writer.splat(builder, writer.maximum(row))
            with writer.vectors(row) as (vector, pointer, mask):
                difference = builder.fsub(vector, maximum)
                vector = builder.select(mask, difference, writer.constant(-inf))
                writer.store(builder, vector, pointer)
        return context.get_dummy_value()

    i = types.int64
    return types.void(arena, i, i, i, i), codegen


@intrinsic
def divide_by_row_sums(typing_context, arena, start, row_stride, n_rows, n_columns):
    """Divide each row by its sum.

    Parameters
    ----------
    arena : vector
        Modified in place.
    start, row_stride : int
        Where the first row starts in the arena, and the distance of rows.
    n_rows, n_columns : int
    """

    def codegen(context, builder, signature, args):
        writer = _RowWriter(context, builder, signature, args)
        with writer.rows() as (_, row):
            one = ir.Constant(writer.element, 1.0)
            factor = writer.splat(builder, builder.fdiv(one, writer.sum(row)))
            with writer.vectors(row) as (vector, pointer, _):
                writer.store(builder, builder.fmul(vector, factor), pointer)
        return context.get_dummy_value()

    i = types.int64
    return types.void(arena, i, i, i, i), codegen


@intrinsic
def row_sums(typing_context, arena, start, row_stride, n_rows, n_columns, sums, to):
    """Write the sum of each row to ``sums[to :]``.

    Parameters
    ----------
    arena : vector
        It is only read.
    start, row_stride : int
        Where the first row starts in the arena, and the distance of rows.
    n_rows, n_columns : int
    sums : vector of float64
        Modified in place.
    to : int
        The element of `sums` for the first row.
    """

    def codegen(context, builder, signature, args):
        writer = _RowWriter(context, builder, signature, args)
        sums, to = args[5:]
        data = context.make_array(signature.args[5])(context, builder, sums).data
        with writer.rows() as (number, row):
            total = context.cast(
                builder, writer.sum(row), signature.args[0].dtype, signature.args[5].dtype
            )
            builder.store(total, builder.gep(data, [builder.add(to, number)]))
        return context.get_dummy_value()

    i = types.int64
    return types.void(arena, i, i, i, i, sums, i), codegen


@intrinsic
def nonzero_lanes(typing_context, arena, start):
    """Find the lanes of one vector that are not zero.

    Parameters
    ----------
    arena : vector
    start : int
        Where the vector starts in the arena.

    Returns
    -------
    int
        Its bit i is set where lane i of the vector is not zero.
    """

    def codegen(context, builder, signature, args):
        writer = VectorWriter(builder.module, context.get_data_type(signature.args[0].dtype))
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        vector = writer.load(builder, builder.gep(data, [args[1]]))
        mask = builder.fcmp_unordered("!=", vector, writer.constant(0.0))
        return builder.zext(builder.bitcast(mask, ir.IntType(writer.n_lanes)), I64)

    return types.int64(arena, types.int64), codegen


@intrinsic
def lowest_bit(typing_context, bits):
    """Return the number of the lowest bit of an integer that is set; at least one must be.

    Parameters
    ----------
    bits : int

    Returns
    -------
    int
    """

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), True))

    return types.int64(types.int64), codegen
