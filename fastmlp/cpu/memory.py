"""Borrowed views: slices without bounds, negative indices or reference counts."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


def _borrow(context, builder, array_type, data, size):
    """A one-dimensional array over `size` elements from `data`, which it does not own."""
    view = context.make_array(array_type)(context, builder)
    itemsize = context.get_constant(
        types.intp, context.get_abi_sizeof(context.get_data_type(array_type.dtype))
    )
    shape = cgutils.pack_array(builder, [size])
    strides = cgutils.pack_array(builder, [itemsize])
    populate_array(view, data, shape, strides, itemsize, meminfo=None)
    return view._getvalue()


@intrinsic
def view(typing_context, array, start, size):
    """``array[start : start + size]`` of a contiguous vector, which must outlive the view."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return _borrow(
            context, builder, signature.return_type, builder.gep(data, [args[1]]), args[2]
        )

    result = types.Array(array.dtype, 1, "C")
    return result(array, types.int64, types.int64), codegen


@intrinsic
def row_view(typing_context, matrix, row):
    """``matrix[row]`` of a C-contiguous matrix, which must outlive the view."""

    def codegen(context, builder, signature, args):
        source = context.make_array(signature.args[0])(context, builder, args[0])
        n_columns = builder.extract_value(source.shape, 1)
        offset = builder.mul(args[1], n_columns)
        data = builder.gep(source.data, [offset])
        return _borrow(context, builder, signature.return_type, data, n_columns)

    result = types.Array(matrix.dtype, 1, "C")
    return result(matrix, types.int64), codegen


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the cache line of an element that will be read soon."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte = ir.IntType(8).as_pointer()
        i32 = ir.IntType(32)
        name = "llvm.prefetch.p0i8"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32]), name
        )
        pointer = builder.bitcast(builder.gep(data, [args[1]]), byte)
        # For reading, into the level-2 cache, as data.
        builder.call(function, [pointer, i32(0), i32(2), i32(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen
