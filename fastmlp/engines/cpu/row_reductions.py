"""Operations along the rows of a block: softmax and sums.

Rows are too short for the vector loops that the compiler writes: these would take most of a row of
26 numbers one by one. Here rows are read and written up to the end of their last vector.

Vectors have 64 bytes on every machine, which makes several of its own of them where these are
shorter: so the numbers of a row are added in an order that does not depend on the machine. A row of
few numbers shares a vector with others.
"""

from contextlib import contextmanager
from functools import reduce
from math import inf

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._numba import cgutils
from .layout import ROW_BYTES
from .vector_code import I32, I64, VectorWriter
from .vector_math import write_exp


class _RowWriter(VectorWriter):
    """A writer of loops over the rows of a block and over the vectors of a row.

    Parameters
    ----------
    context, builder, signature, args
        The arguments of an intrinsic's ``codegen``. The intrinsic's own arguments begin with
        arena, start, row_stride, n_rows and n_columns.
    """

    def __init__(self, context, builder, signature, args):
        element = context.get_data_type(signature.args[0].dtype)
        itemsize = 4 if isinstance(element, ir.FloatType) else 8
        super().__init__(builder.module, element, ROW_BYTES // itemsize)
        self.context, self.builder = context, builder
        self.data = context.make_array(signature.args[0])(context, builder, args[0]).data
        self.start = builder.gep(self.data, [args[1]])
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
            A vector with the same number in all lanes.
        """
        builder, identity = self.builder, self.constant(identity)
        so_far = cgutils.alloca_once(builder, self.vector)
        builder.store(identity, so_far)
        with self.vectors(row) as (vector, _, mask):
            vector = builder.select(mask, vector, identity)
            builder.store(combine(builder.load(so_far), vector), so_far)
        return self.fold(builder, builder.load(so_far), combine, self.n_lanes)

    def larger(self, x, y):
        """Write the larger numbers of two vectors; where one is not a number, any of both."""
        return self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y)

    def by_length(self, of_groups, of_vectors, of_many):
        """Write code for rows of any length, which takes one of several ways.

        Parameters
        ----------
        of_groups : callable
            ``of_groups(width)`` writes the way of rows that have so few numbers that each needs
            `width` lanes, a power of two up to those of a vector.
        of_vectors : callable or None
            ``of_vectors(number)`` writes the way of rows of this number of vectors, which is more
            than one. None where `of_many` is the way of these, too.
        of_many : callable
            ``of_many()`` writes the way of longer rows.
        """
        builder = self.builder
        ways = [(w, of_groups, w) for w in (4, 8, 16) if w <= self.n_lanes]
        if of_vectors is not None:
            ways += [(number * self.n_lanes, of_vectors, number) for number in (2, 3, 4)]
        done = builder.append_basic_block("rows_done")
        for most, way, argument in ways:
            fits = builder.icmp_signed("<=", self.n_columns, ir.Constant(I64, most))
            here = builder.append_basic_block(f"rows_of_{most}")
            longer = builder.append_basic_block("longer_rows")
            builder.cbranch(fits, here, longer)
            builder.position_at_end(here)
            way(argument)
            builder.branch(done)
            builder.position_at_end(longer)
        of_many()
        builder.branch(done)
        builder.position_at_end(done)

    @contextmanager
    def groups(self, width):
        """Write a loop over groups of rows that share a vector.

        Parameters
        ----------
        width : int
            The number of lanes for each row.

        Yields
        ------
        numbers : list of llvmlite values
            The numbers of the rows. Where too few are left, the last one is repeated.
        mask : llvmlite value
            Which lanes belong to a row.
        """
        builder, n = self.builder, self.n_lanes // width
        lanes = [lane % width for lane in range(self.n_lanes)]
        lanes = ir.Constant(ir.VectorType(I64, self.n_lanes), lanes)
        mask = builder.icmp_signed("<", lanes, self.splat(builder, self.n_columns))
        last = builder.sub(self.n_rows, ir.Constant(I64, 1))
        n_groups = builder.add(self.n_rows, ir.Constant(I64, n - 1))
        with cgutils.for_range(builder, builder.sdiv(n_groups, ir.Constant(I64, n))) as loop:
            first = builder.mul(loop.index, ir.Constant(I64, n))
            numbers = []
            for i in range(n):
                number = builder.add(first, ir.Constant(I64, i))
                is_there = builder.icmp_signed("<", number, self.n_rows)
                numbers.append(builder.select(is_there, number, last))
            yield numbers, mask

    def gather(self, start, numbers):
        """Write what loads the first numbers of some rows into one vector.

        Parameters
        ----------
        start : llvmlite value
            A pointer to the first element of the first row.
        numbers : list of llvmlite values
            The numbers of the rows, a power of two of them.

        Returns
        -------
        llvmlite value
        """
        builder = self.builder
        part = ir.VectorType(self.element, self.n_lanes // len(numbers)).as_pointer()
        parts = []
        for number in numbers:
            pointer = builder.gep(start, [builder.mul(number, self.row_stride)])
            parts.append(builder.load(builder.bitcast(pointer, part), align=self.size))
        while len(parts) > 1:
            n = 2 * parts[0].type.count
            mask = ir.Constant(ir.VectorType(I32, n), list(range(n)))
            parts = [
                builder.shuffle_vector(x, y, mask)
                for x, y in zip(parts[::2], parts[1::2], strict=True)
            ]
        return parts[0]

    def scatter(self, vector, start, numbers):
        """Write what stores the parts of a vector as the first numbers of some rows.

        Parameters
        ----------
        vector : llvmlite value
        start, numbers
            As for :meth:`gather`.
        """
        builder, width = self.builder, self.n_lanes // len(numbers)
        part = ir.VectorType(self.element, width).as_pointer()
        for i, number in enumerate(numbers):
            mask = ir.Constant(ir.VectorType(I32, width), list(range(i * width, (i + 1) * width)))
            piece = builder.shuffle_vector(vector, vector, mask)
            pointer = builder.gep(start, [builder.mul(number, self.row_stride)])
            builder.store(piece, builder.bitcast(pointer, part), align=self.size)

    def store_sums(self, vector, numbers, sums, to):
        """Write the first lane of each part of a vector to a vector of float64.

        Parameters
        ----------
        vector : llvmlite value
        numbers : list of llvmlite values
            The numbers of the rows that have a part each.
        sums : llvmlite value
            A pointer to the vector of float64.
        to : llvmlite value
            The element of `sums` for the first row.
        """
        builder, width = self.builder, self.n_lanes // len(numbers)
        for i, number in enumerate(numbers):
            total = builder.extract_element(vector, ir.Constant(I32, i * width))
            if self.size == 4:
                total = builder.fpext(total, ir.DoubleType())
            builder.store(total, builder.gep(sums, [builder.add(to, number)]))


class _SoftmaxWriter(_RowWriter):
    """A writer of the softmax of rows of several lengths.

    The lanes beyond a row are minus infinity until they are the powers of e, and then zero.
    """

    def of_groups(self, width):
        """Write the softmax of rows that share a vector; see :meth:`by_length`."""
        builder = self.builder
        with self.groups(width) as (numbers, mask):
            z = builder.select(mask, self.gather(self.start, numbers), self.constant(-inf))
            z = write_exp(builder, builder.fsub(z, self.fold(self.builder, z, self.larger, width)))
            factor = self.inverse(self.fold(self.builder, z, builder.fadd, width))
            self.scatter(builder.fmul(z, factor), self.start, numbers)

    def of_vectors(self, number):
        """Write the softmax of rows that stay in registers; see :meth:`by_length`."""
        builder, n_lanes = self.builder, self.n_lanes
        in_last = builder.sub(self.n_columns, ir.Constant(I64, (number - 1) * n_lanes))
        mask = self.first_lanes(builder, in_last)
        with self.rows() as (_, row):
            pointers = [builder.gep(row, [ir.Constant(I64, i * n_lanes)]) for i in range(number)]
            z = [self.load(builder, pointer) for pointer in pointers]
            z[-1] = builder.select(mask, z[-1], self.constant(-inf))
            maximum = self.fold(self.builder, reduce(self.larger, z), self.larger, n_lanes)
            z = [write_exp(builder, builder.fsub(vector, maximum)) for vector in z]
            factor = self.inverse(
                self.fold(self.builder, reduce(builder.fadd, z), builder.fadd, n_lanes)
            )
            for vector, pointer in zip(z, pointers, strict=True):
                self.store(builder, builder.fmul(vector, factor), pointer)

    def of_many(self):
        """Write the softmax of rows of any number of vectors."""
        builder = self.builder
        total = cgutils.alloca_once(builder, self.vector)
        with self.rows() as (_, row):
            maximum = self.reduce(row, self.larger, -inf)
            builder.store(self.constant(0.0), total)
            with self.vectors(row) as (z, pointer, mask):
                z = builder.select(mask, builder.fsub(z, maximum), self.constant(-inf))
                z = write_exp(builder, z)
                self.store(builder, z, pointer)
                builder.store(builder.fadd(builder.load(total), z), total)
            factor = self.inverse(
                self.fold(builder, builder.load(total), builder.fadd, self.n_lanes)
            )
            with self.vectors(row) as (z, pointer, _):
                self.store(builder, builder.fmul(z, factor), pointer)

    def inverse(self, x):
        """Write one divided by x."""
        return self.builder.fdiv(self.constant(1.0), x)


@intrinsic
def softmax_rows(typing_context, arena, start, row_stride, n_rows, n_columns):
    """Replace each row by its softmax, and its padding by zeros.

    Parameters
    ----------
    arena : vector
        Modified in place.
    start, row_stride : int
        Where the first row starts in the arena, and the distance of rows.
    n_rows, n_columns : int
    """

    def codegen(context, builder, signature, args):
        softmax = _SoftmaxWriter(context, builder, signature, args)
        softmax.by_length(softmax.of_groups, softmax.of_vectors, softmax.of_many)
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
        zeros = writer.constant(0.0)

        def of_groups(width):
            with writer.groups(width) as (numbers, mask):
                x = builder.select(mask, writer.gather(writer.start, numbers), zeros)
                writer.store_sums(writer.fold(builder, x, builder.fadd, width), numbers, data, to)

        def of_many():
            with writer.rows() as (number, row):
                total = writer.reduce(row, builder.fadd, 0.0)
                writer.store_sums(total, [number], data, to)

        writer.by_length(of_groups, None, of_many)
        return context.get_dummy_value()

    i = types.int64
    return types.void(arena, i, i, i, i, sums, i), codegen


@intrinsic
def nonzero_lanes(typing_context, arena, start):
    """Find the lanes of a vector of 64 bytes that are not zero.

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
        element = context.get_data_type(signature.args[0].dtype)
        itemsize = 4 if isinstance(element, ir.FloatType) else 8
        writer = VectorWriter(builder.module, element, ROW_BYTES // itemsize)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        vector = writer.load(builder, builder.gep(data, [args[1]]))
        mask = builder.fcmp_unordered("!=", vector, writer.constant(0.0))
        return builder.zext(builder.bitcast(mask, ir.IntType(writer.n_lanes)), I64)

    return types.int64(arena, types.int64), codegen


@intrinsic
def lowest_bit(typing_context, bits):
    """Return the number of the lowest bit of an integer that is set, or 64 where none is.

    Parameters
    ----------
    bits : int

    Returns
    -------
    int
    """

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), False))

    return types.int64(types.int64), codegen


@intrinsic
def n_bits(typing_context, bits):
    """Count the bits of an integer that are set.

    Parameters
    ----------
    bits : int

    Returns
    -------
    int
    """

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen
