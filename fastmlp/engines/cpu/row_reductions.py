"""Operations along the rows of a block: softmax, cross-entropy, and sums.

Rows are too short for the vector loops that the compiler writes: these would take most of a row of
26 numbers one by one. Here rows are read and written up to the end of their last vector.

Vectors have 64 bytes on every machine, which makes several of its own of them where these are
shorter: so the numbers of a row are added in an order that does not depend on the machine. A row of
few numbers shares a vector with others.
"""

from contextlib import contextmanager
from math import inf

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._numba import cgutils
from .layout import ROW_BYTES
from .vector_code import I32, I64, VectorWriter
from .vector_math import write_exp, write_log


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
        return self.fold(builder.load(so_far), combine, self.n_lanes)

    def fold(self, vector, combine, width):
        """Write what combines the lanes of each part of a vector.

        Lanes are combined in pairs, always in the same order.

        Parameters
        ----------
        vector : llvmlite value
        combine : callable
            ``combine(x, y)`` writes what makes one vector of two; the order of these must not
            matter.
        width : int
            The number of lanes of a part, a power of two.

        Returns
        -------
        llvmlite value
            A vector in which all lanes of a part have the same number.
        """
        builder, half = self.builder, width // 2
        while half:
            partners = [lane ^ half for lane in range(self.n_lanes)]
            mask = ir.Constant(ir.VectorType(I32, self.n_lanes), partners)
            vector = combine(vector, builder.shuffle_vector(vector, vector, mask))
            half //= 2
        return vector

    def larger(self, x, y):
        """Write the larger numbers of two vectors; where one is not a number, any of both."""
        return self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y)

    def sum(self, row):
        """Write what sums the numbers of a row; the sum is in all lanes."""
        return self.reduce(row, self.builder.fadd, 0.0)

    @contextmanager
    def widths(self):
        """Write what a ``with`` statement encloses for each number of lanes that a row may need.

        Yields
        ------
        list of (int or None, context manager)
            For each number of lanes that holds a row, a power of two up to that of a vector, the
            manager within which the code for such rows is written; last, with None, the one for
            longer rows.
        """
        builder = self.builder
        widths = [width for width in (4, 8, 16) if width <= self.n_lanes]
        blocks = [builder.append_basic_block(f"rows_of_{width}") for width in (*widths, "many")]
        done = builder.append_basic_block("rows_done")
        for width, block in zip(widths, blocks, strict=False):
            following = builder.append_basic_block("wider")
            fits = builder.icmp_signed("<=", self.n_columns, ir.Constant(I64, width))
            builder.cbranch(fits, block, following)
            builder.position_at_end(following)
        builder.branch(blocks[-1])

        @contextmanager
        def branch(block):
            builder.position_at_end(block)
            yield
            builder.branch(done)

        yield [(w, branch(b)) for w, b in zip((*widths, None), blocks, strict=True)]
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
        writer = _RowWriter(context, builder, signature, args)
        ones, nothing = writer.constant(1.0), writer.constant(-inf)
        with writer.widths() as widths:
            for width, branch in widths:
                with branch:
                    if width is None:
                        _softmax_of_long_rows(writer)
                        continue
                    with writer.groups(width) as (numbers, mask):
                        z = builder.select(mask, writer.gather(writer.start, numbers), nothing)
                        z = builder.fsub(z, writer.fold(z, writer.larger, width))
                        z = write_exp(builder, z)
                        factor = builder.fdiv(ones, writer.fold(z, builder.fadd, width))
                        writer.scatter(builder.fmul(z, factor), writer.start, numbers)
        return context.get_dummy_value()

    i = types.int64
    return types.void(arena, i, i, i, i), codegen


def _softmax_of_long_rows(writer):
    """Write the softmax of rows that take several vectors each."""
    builder, zeros = writer.builder, writer.constant(0.0)
    total = cgutils.alloca_once(builder, writer.vector)
    with writer.rows() as (_, row):
        maximum = writer.reduce(row, writer.larger, -inf)
        builder.store(zeros, total)
        with writer.vectors(row) as (z, pointer, mask):
            z = builder.select(mask, builder.fsub(z, maximum), writer.constant(-inf))
            z = write_exp(builder, z)
            writer.store(builder, z, pointer)
            builder.store(builder.fadd(builder.load(total), z), total)
        sums = writer.fold(builder.load(total), builder.fadd, writer.n_lanes)
        factor = builder.fdiv(writer.constant(1.0), sums)
        with writer.vectors(row) as (z, pointer, _):
            writer.store(builder, builder.fmul(z, factor), pointer)


@intrinsic
def cross_entropy_rows(
    typing_context, arena, targets, row_stride, n_rows, n_columns, predictions, eps, sums, to
):  # fmt: skip
    """Compute the cross-entropies of rows of few columns, and replace predictions by deltas.

    The formulas are ``cross_entropy`` and ``delta`` of :mod:`fastmlp.network.formulas.losses`.

    Parameters
    ----------
    arena : vector
        Predictions are modified in place.
    targets, row_stride : int
        Where the first row of targets starts in the arena, and the distance of rows.
    n_rows, n_columns : int
        The columns are no more than a vector of 64 bytes has lanes.
    predictions : int
        Where the first row of predictions starts.
    eps : float
        The machine epsilon.
    sums : vector of float64
        Modified in place: gets the cross-entropy of each row.
    to : int
        The element of `sums` for the first row.
    """

    def codegen(context, builder, signature, args):
        writer = _RowWriter(context, builder, signature, args)
        predictions, eps, sums, to = args[5:]
        outputs = builder.gep(writer.data, [predictions])
        sums = context.make_array(signature.args[7])(context, builder, sums).data
        low = writer.splat(builder, eps)
        high = builder.fsub(writer.constant(1.0), low)
        zeros = writer.constant(0.0)
        with writer.widths() as widths:
            for width, branch in widths:
                with branch:
                    if width is None:
                        continue
                    with writer.groups(width) as (numbers, mask):
                        y = builder.select(mask, writer.gather(writer.start, numbers), zeros)
                        p = writer.gather(outputs, numbers)
                        writer.scatter(builder.fsub(p, y), outputs, numbers)
                        p = builder.select(builder.fcmp_ordered("<", p, low), low, p)
                        p = builder.select(builder.fcmp_ordered(">", p, high), high, p)
                        loss = builder.fmul(y, write_log(builder, p))
                        is_there = builder.fcmp_unordered("!=", y, zeros)
                        loss = builder.select(is_there, builder.fneg(loss), zeros)
                        loss = writer.fold(loss, builder.fadd, width)
                        writer.store_sums(loss, numbers, sums, to)
        return context.get_dummy_value()

    i = types.int64
    real = arena.dtype
    return types.void(arena, i, i, i, i, i, real, sums, i), codegen


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
            writer.store_sums(writer.sum(row), [number], data, to)
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
