"""Sums over the squares, or the absolute values, of the weights of a block.

A block of weights has as many columns as the machine's vectors make a panel. Its sums must not
depend on that, so that there is one for each patch of a block: some columns, which are the same
ones on every machine, of all of its rows.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._numba import cgutils
from .layout import patch_columns
from .vector_code import I32, I64, VectorWriter, lanes_of

# Rows that are summed apart, so that additions do not wait for each other.
_N_SUMS = 4


class _PatchWriter(VectorWriter):
    """A writer of the sums over the patches of one block.

    Parameters
    ----------
    context, builder, signature, args
        The arguments of the ``codegen`` of an intrinsic; see :func:`_patch_sums`.
    """

    def __init__(self, context, builder, signature, args):
        element = context.get_data_type(signature.args[0].dtype)
        size = 4 if isinstance(element, ir.FloatType) else 8
        self.columns = patch_columns(size)
        # Patches that are narrower than a vector are summed together.
        super().__init__(builder.module, element, max(lanes_of(element), self.columns))
        self.context, self.builder = context, builder
        self.dtype, self.sums_dtype = signature.args[0].dtype, signature.args[5].dtype
        arena, start, self.rows, self.width, self.n_patches, sums, self.to = args
        data = context.make_array(signature.args[0])(context, builder, arena).data
        self.start = builder.gep(data, [start])
        self.sums = context.make_array(signature.args[5])(context, builder, sums).data

    def write(self, accumulate):
        """Write the sums over all patches, and add them to ``sums[to :]``.

        Parameters
        ----------
        accumulate : callable
            ``accumulate(x, total)`` writes what adds one term for each lane of x to a vector.
        """
        builder, n_lanes = self.builder, ir.Constant(I64, self.n_lanes)
        totals = [cgutils.alloca_once(builder, self.vector) for _ in range(_N_SUMS)]
        whole = builder.and_(self.rows, ir.Constant(I64, -_N_SUMS))
        n_chunks = builder.add(self.width, ir.Constant(I64, self.n_lanes - 1))
        with cgutils.for_range(builder, builder.sdiv(n_chunks, n_lanes)) as chunks:
            column = builder.mul(chunks.index, n_lanes)
            mask = self.first_lanes(builder, builder.sub(self.width, column))
            first = builder.gep(self.start, [column])

            def add_row(row, number, mask=mask, first=first):
                pointer = builder.gep(first, [builder.mul(row, self.width)])
                x = builder.select(mask, self.load(builder, pointer), self.constant(0.0))
                total = builder.load(totals[number])
                builder.store(accumulate(x, total), totals[number])

            for total in totals:
                builder.store(self.constant(0.0), total)
            n_fours = builder.sdiv(whole, ir.Constant(I64, _N_SUMS))
            with cgutils.for_range(builder, n_fours) as fours:
                row = builder.mul(fours.index, ir.Constant(I64, _N_SUMS))
                for number in range(_N_SUMS):
                    add_row(builder.add(row, ir.Constant(I64, number)), number)
            for number in range(_N_SUMS - 1):
                row = builder.add(whole, ir.Constant(I64, number))
                with builder.if_then(builder.icmp_signed("<", row, self.rows)):
                    add_row(row, number)
            a, b, c, d = (builder.load(total) for total in totals)
            self._add_patches(column, builder.fadd(builder.fadd(a, b), builder.fadd(c, d)))

    def _add_patches(self, column, vector):
        """Write what adds up the lanes of each patch of a vector, always in the same order."""
        builder = self.builder
        half = self.columns // 2
        while half:
            partners = [lane ^ half for lane in range(self.n_lanes)]
            mask = ir.Constant(ir.VectorType(I32, self.n_lanes), partners)
            vector = builder.fadd(vector, builder.shuffle_vector(vector, vector, mask))
            half //= 2
        before = builder.sdiv(column, ir.Constant(I64, self.columns))
        for number in range(self.n_lanes // self.columns):
            patch = builder.add(before, ir.Constant(I64, number))
            with builder.if_then(builder.icmp_signed("<", patch, self.n_patches)):
                lane = builder.extract_element(vector, ir.Constant(I32, number * self.columns))
                lane = self.context.cast(builder, lane, self.dtype, self.sums_dtype)
                pointer = builder.gep(self.sums, [builder.add(self.to, patch)])
                builder.store(builder.fadd(builder.load(pointer), lane), pointer)


def _patch_sums(accumulate):
    """Make an intrinsic that sums a function of the numbers of each patch of a block.

    Parameters
    ----------
    accumulate : callable
        ``accumulate(writer, x, total)`` writes what adds one term for each lane of x to a vector.

    Returns
    -------
    numba intrinsic
        ``(arena, start, rows, width, n_patches, sums, to)``. `start` is the place of the block in
        the arena; its `rows` rows of `width` numbers lie one after the other. The sums of the first
        `n_patches` patches are added to ``sums[to :]``. Further ones are padding.
    """

    def add_patch_sums(typing_context, arena, start, rows, width, n_patches, sums, to):
        def codegen(context, builder, signature, args):
            writer = _PatchWriter(context, builder, signature, args)
            writer.write(lambda x, total: accumulate(writer, x, total))
            return context.get_dummy_value()

        i = types.int64
        return types.void(arena, i, i, i, i, sums, i), codegen

    return intrinsic(add_patch_sums)


add_squares = _patch_sums(lambda writer, x, total: writer.multiply_add(writer.builder, x, x, total))
add_absolutes = _patch_sums(
    lambda writer, x, total: writer.builder.fadd(writer.absolute(writer.builder, x), total)
)
