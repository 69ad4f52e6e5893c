"""The register tile of the matrix product, emitted as vector instructions.

The product is C = init + A B. A tile of C has at most `TILE_ROWS` rows, and is one or two vectors
wide. Where half a vector takes half the time, the last one can be half a vector. Accumulators stay
in registers for the whole sum. Step k of the sum loads row k of the right-hand matrix; then, for
each row of the tile, it broadcasts one element of the left-hand matrix and multiplies and adds. The
sum of every element runs over k in order, whatever the shape of the tile, so that results do not
depend on how a matrix is cut into tiles.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._numba import cgutils
from .arguments import Matrix, Size, StridedMatrix
from .jit import compile_kernel
from .vector_code import I32, I64, VectorWriter
from .vector_unit import HOST, TILE_ROWS

# The numbers of rows of the tiles that are compiled. A tile with another number of rows is made of
# several of these, where each number is used at most once.
_HEIGHTS = [height for height in (12, 8, 6, 4, 2, 1) if height <= TILE_ROWS]
# Whether half a vector takes half the time, as where processors do 512 bits in two halves.
_HAS_HALVES = HOST.n_bytes == 64


class _TileWriter(VectorWriter):
    """A writer of the functions of one element type into a module."""

    def _declare(self, name):
        """Declare a function with the arguments of a tile, which the compiler does not inline.

        Parameters
        ----------
        name : str

        Returns
        -------
        llvmlite.ir.Function
        """
        p = self.pointer
        signature = ir.FunctionType(ir.VoidType(), [I64, p, I64, I64, p, I64, p, I64, p, I64])
        function = ir.Function(self.module, signature, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        return function

    def function(self, rows, parts):
        """Write the function that computes tiles of one shape, if the module does not have it yet.

        Parameters
        ----------
        rows : int
            The number of rows of the tile.
        parts : sequence of int
            The number of lanes of each vector in a row of the tile: one or two vectors, of which
            the last one may be half a vector. The row is written up to the end of a whole vector,
            with zeros in place of the other half.

        Returns
        -------
        llvmlite.ir.Function
            ``(depth, a, a_row, a_col, b, b_row, c, c_row, init, init_row)``, where `a`, `b`, `c`
            and `init` are pointers to the first elements of the matrices A, B and C and of the
            initial sums, and the others are distances of their rows and columns.
        """
        name = f"fastmlp_tile_{rows}x{'_'.join(map(str, parts))}_{self.suffix}"
        function = self.module.globals.get(name)
        if function is not None:
            return function
        p = self.pointer
        function = self._declare(name)
        depth, a, a_row, a_col, b, b_row, c, c_row, init, init_row = function.args

        entry = function.append_basic_block("entry")
        loop = function.append_basic_block("loop")
        done = function.append_basic_block("done")

        builder = ir.IRBuilder(entry)
        # What writes the vectors of each column of vectors, and where the column starts.
        columns = [
            (VectorWriter(self.module, self.element, lanes), ir.Constant(I64, j * self.n_lanes))
            for j, lanes in enumerate(parts)
        ]

        def load_row(builder, row):
            return [part.load(builder, builder.gep(row, [j])) for part, j in columns]

        start = []
        for i in range(rows):
            row = builder.gep(init, [builder.mul(init_row, ir.Constant(I64, i))])
            start.append(load_row(builder, row))
        # There is one pointer for each three rows. The other two rows are reached by an index that
        # is added to it, so that there are enough registers for all pointers.
        bases = [
            builder.gep(a, [builder.mul(a_row, ir.Constant(I64, i))]) for i in range(0, rows, 3)
        ]
        twice = builder.shl(a_row, ir.Constant(I64, 1))
        builder.branch(loop)

        builder = ir.IRBuilder(loop)
        k = builder.phi(I64)
        b_k = builder.phi(p)
        a_k = [builder.phi(p) for _ in bases]
        sums = [[builder.phi(part.vector) for part, _ in columns] for _ in range(rows)]
        b_row_k = load_row(builder, b_k)
        new_sums = []
        for i in range(rows):
            pointer = a_k[i // 3]
            if i % 3:
                pointer = builder.gep(pointer, [a_row if i % 3 == 1 else twice])
            x = builder.load(pointer, align=self.size)
            new_sums.append(
                [
                    part.multiply_add(builder, part.splat(builder, x), y, z)
                    for (part, _), y, z in zip(columns, b_row_k, sums[i], strict=True)
                ]
            )
        next_k = builder.add(k, ir.Constant(I64, 1))
        next_b = builder.gep(b_k, [b_row])
        # The compiler must not see how the pointers advance: it would compute the address of each
        # row from that of the row before, and tiles of half a vector would wait for the last one.
        hidden = ir.InlineAsm(ir.FunctionType(p, [p]), "", "=r,0")
        next_a = [builder.call(hidden, [builder.gep(pointer, [a_col])]) for pointer in a_k]
        builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, done)

        k.add_incoming(ir.Constant(I64, 0), entry)
        k.add_incoming(next_k, loop)
        b_k.add_incoming(b, entry)
        b_k.add_incoming(next_b, loop)
        for phi, first, following in zip(a_k, bases, next_a, strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(following, loop)
        for i in range(rows):
            for phi, first, following in zip(sums[i], start[i], new_sums[i], strict=True):
                phi.add_incoming(first, entry)
                phi.add_incoming(following, loop)

        builder = ir.IRBuilder(done)
        for i in range(rows):
            row = builder.gep(c, [builder.mul(c_row, ir.Constant(I64, i))])
            for value, (part, j) in zip(new_sums[i], columns, strict=True):
                if part.n_lanes < self.n_lanes:
                    value = self._with_zeros(builder, value)
                self.store(builder, value, builder.gep(row, [j]))
        builder.ret_void()
        return function

    def _with_zeros(self, builder, half):
        """Write what makes a whole vector of half a vector and of zeros."""
        lanes = ir.Constant(ir.VectorType(I32, self.n_lanes), list(range(self.n_lanes)))
        return builder.shuffle_vector(half, ir.Constant(half.type, None), lanes)

    def write_shapes(self, builder, size, *operands):
        """Write the choice of the narrowest tiles that hold the width, and what computes them.

        Parameters
        ----------
        builder : llvmlite.ir.IRBuilder
        size : sequence of llvmlite values
            The rows, width and depth of the product.
        *operands : sequences of llvmlite values
            They are passed on to :meth:`write_tiles`.
        """
        n, half = self.n_lanes, self.n_lanes // 2
        shapes = [(n, n), (n, half), (n,), (half,)] if _HAS_HALVES else [(n, n), (n,)]

        def write(wide, *others):
            if not others:
                self.write_tiles(builder, wide, size, *operands)
                return
            is_wide = builder.icmp_signed(">", size[1], ir.Constant(I64, sum(others[0])))
            with builder.if_else(is_wide) as (then, otherwise):
                with then:
                    self.write_tiles(builder, wide, size, *operands)
                with otherwise:
                    write(*others)

        write(*shapes)

    def write_tiles(self, builder, parts, size, a, b, c, init):
        """Write calls of the function with the most rows that fits, until no row is left.

        Parameters
        ----------
        builder : llvmlite.ir.IRBuilder
        parts : sequence of int
            The number of lanes of each vector in a row of the tile; see :meth:`function`.
        size : sequence of llvmlite values
            The rows, width and depth of the product.
        a, b, c, init : sequences of llvmlite values
            A pointer to the first element of the matrix, the distance of its rows and, for `a`,
            the distance of its columns.
        """
        rows, _, depth = size
        (a, a_row, a_col), (b, b_row), (c, c_row), (init, init_row) = a, b, c, init
        done = ir.Constant(I64, 0)
        for height in _HEIGHTS:
            fits = builder.icmp_signed(">=", builder.sub(rows, done), ir.Constant(I64, height))
            before = builder.block
            with builder.if_then(fits):
                pointers = (
                    builder.gep(start, [builder.mul(done, row)])
                    for start, row in ((a, a_row), (c, c_row), (init, init_row))
                )
                a_here, c_here, init_here = pointers
                builder.call(
                    self.function(height, parts),
                    [depth, a_here, a_row, a_col, b, b_row, c_here, c_row, init_here, init_row],
                )
                more = builder.add(done, ir.Constant(I64, height))
                inside = builder.block
            following = builder.phi(I64)
            following.add_incoming(done, before)
            following.add_incoming(more, inside)
            done = following


@intrinsic
def transpose_square(typing_context, arena, source, source_row, to, to_row):
    """Transpose a square in registers, and write it to another place.

    The square has as many rows and columns as a vector has lanes. In stage s, rows i and i + 2^s
    exchange halves of every group of 2^(s + 1) lanes.

    Parameters
    ----------
    arena : vector
        Modified in place.
    source, source_row : int
        Where the square starts in the arena, and the distance of its rows.
    to, to_row : int
        Where the transposed square starts in the arena, and the distance of its rows.
    """

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        _, source, source_row, to, to_row = args
        writer = _TileWriter(builder.module, context.get_data_type(signature.args[0].dtype))
        n = writer.n_lanes
        rows = []
        for i in range(n):
            offset = builder.add(source, builder.mul(source_row, ir.Constant(I64, i)))
            rows.append(writer.load(builder, builder.gep(data, [offset])))
        mask_type = ir.VectorType(ir.IntType(32), n)
        half = 1
        while half < n:
            # The new row of `low` takes lane j from its own row where bit `half` of j is 0, and
            # else a lane from its partner; that of `high` does so the other way round.
            low = [j if not j & half else n + (j ^ half) for j in range(n)]
            high = [j | half if not j & half else n + j for j in range(n)]
            for i in range(n):
                if i & half:
                    continue
                x, y = rows[i], rows[i | half]
                rows[i] = builder.shuffle_vector(x, y, ir.Constant(mask_type, low))
                rows[i | half] = builder.shuffle_vector(x, y, ir.Constant(mask_type, high))
            half *= 2
        for i in range(n):
            offset = builder.add(to, builder.mul(to_row, ir.Constant(I64, i)))
            writer.store(builder, rows[i], builder.gep(data, [offset]))
        return context.get_dummy_value()

    i = types.int64
    return types.void(arena, i, i, i, i), codegen


@intrinsic
def tile(typing_context, arena, size, a, b, c, init):
    """Compute C = init + A B for matrices in the arena, where C is no larger than a tile.

    The rows of C are written up to the end of their last vector. What lies there is zero, or else
    computed from what lies beyond the width of B and of the initial sums.

    Parameters
    ----------
    arena : vector
        C is modified in place.
    size : Size
        It has at most `TILE_ROWS` rows, a width of at most two vectors, and a depth of at least 1.
    a : StridedMatrix
    b, c, init : Matrix
        The initial sums are a row that is repeated, or a matrix of the size of C.
    """

    def codegen(context, builder, signature, args):
        array_type = signature.args[0]
        data = context.make_array(array_type)(context, builder, args[0]).data
        element = context.get_data_type(array_type.dtype)
        writer = _TileWriter(builder.module, element)
        size = cgutils.unpack_tuple(builder, args[1])
        operands = []
        for operand in args[2:]:
            start, *steps = cgutils.unpack_tuple(builder, operand)
            operands.append((builder.gep(data, [start]), *steps))
        writer.write_shapes(builder, size, *operands)
        return context.get_dummy_value()

    return types.void(arena, size, a, b, c, init), codegen


# The number of rows of the right-hand matrix that stay in the level-1 cache while all tiles use
# them.
DEPTH_BLOCK = 256


@compile_kernel
def multiply(arena, size, a, b, c, init):
    """Compute C = init + A B for matrices in the arena, where C is no wider than a panel.

    Rows of C are written up to the end of their last vector; see :func:`tile`.

    Parameters
    ----------
    arena : vector
        C is modified in place.
    size : Size
        It has any number of rows, a width of at most two vectors, and a depth of at least 1.
    a : StridedMatrix
    b, c, init : Matrix
        The initial sums are a row that is repeated, or a matrix of the size of C.
    """
    rows, width, depth = size
    n_blocks = (depth + DEPTH_BLOCK - 1) // DEPTH_BLOCK
    block = (depth + n_blocks - 1) // n_blocks
    for k in range(0, depth, block):
        if k > 0:
            init = c  # go on with the sum so far
        for row in range(0, rows, TILE_ROWS):
            first = a.start + row * a.row_step + k * a.column_step
            tile(
                arena,
                Size(min(TILE_ROWS, rows - row), width, min(block, depth - k)),
                StridedMatrix(first, a.row_step, a.column_step),
                Matrix(b.start + k * b.row_step, b.row_step),
                Matrix(c.start + row * c.row_step, c.row_step),
                Matrix(init.start + row * init.row_step, init.row_step),
            )
