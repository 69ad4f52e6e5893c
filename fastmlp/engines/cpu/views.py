"""Borrowed views: arrays in kernels over memory that they do not own.

They are slices without checks of bounds, negative indices or reference counts.

The arrays that Python passes to a kernel are borrowed as well: it passes their addresses, in one
vector that is called a job. To unpack a dozen of array objects would make a call take some 2 us
longer, and the compilation of its kernel 0.2 s.
"""

from numba import types
from numba.extending import intrinsic

from .._numba import array_of, cgutils, populate_array
from . import layout as at
from .jobs import FIELDS
from .vector_code import VectorWriter
from .vector_unit import HAS_MASKS, HOST


def _borrow(context, builder, array_type, data, *sizes):
    """Write what makes a C-contiguous array over memory that it does not own.

    Parameters
    ----------
    context, builder
        The arguments of an intrinsic's ``codegen``.
    array_type : numba type
        The type of the array.
    data : llvmlite value
        A pointer to the first element.
    *sizes : llvmlite values
        The shape.

    Returns
    -------
    llvmlite value
    """
    view = context.make_array(array_type)(context, builder)
    itemsize = context.get_constant(
        types.intp, context.get_abi_sizeof(context.get_data_type(array_type.dtype))
    )
    steps = [itemsize]
    for size in reversed(sizes[1:]):
        steps.insert(0, builder.mul(steps[0], size))
    shape = cgutils.pack_array(builder, sizes)
    strides = cgutils.pack_array(builder, steps)
    populate_array(view, data, shape, strides, itemsize, meminfo=None)
    return array_of(view)


def _array_at(job, number, like, n_dimensions):
    """Make the signature and the ``codegen`` of an intrinsic that reads an array from a job.

    Parameters
    ----------
    job, number, like : numba types
        The types of the intrinsic's arguments.
    n_dimensions : int
        Number of dimensions of the array.

    Returns
    -------
    signature : numba signature
    codegen : function
    """
    dtype = like.dtype if isinstance(like, types.Array) else like.instance_type
    result = types.Array(dtype, n_dimensions, "C")

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        first = builder.mul(args[1], args[1].type(FIELDS))
        address, *shape = (
            builder.load(builder.gep(data, [builder.add(first, first.type(i))]))
            for i in range(1 + n_dimensions)
        )
        element = context.get_data_type(dtype)
        pointer = builder.inttoptr(address, element.as_pointer())
        return _borrow(context, builder, result, pointer, *shape)

    return result(job, types.int64, like), codegen


@intrinsic
def vector_at(typing_context, job, number, like):
    """Borrow a vector of a job.

    Parameters
    ----------
    job : vector of int64
        A job that ``jobs.describe`` has made.
    number : int
        The number of the vector among the arrays of the job.
    like : array or NumPy scalar type
        An array with elements of the vector's type, or that type.

    Returns
    -------
    vector
    """
    return _array_at(job, number, like, 1)


@intrinsic
def matrix_at(typing_context, job, number, like):
    """Borrow a matrix of a job.

    Parameters
    ----------
    job : vector of int64
        A job that ``jobs.describe`` has made.
    number : int
        The number of the matrix among the arrays of the job.
    like : array or NumPy scalar type
        An array with elements of the matrix's type, or that type.

    Returns
    -------
    matrix
    """
    return _array_at(job, number, like, 2)


@intrinsic
def vector_from(typing_context, pointer):
    """Borrow the vector that starts at a pointer; its size, which is not known, is given as 0."""

    def codegen(context, builder, signature, args):
        size = context.get_constant(types.intp, 0)
        return _borrow(context, builder, signature.return_type, args[0], size)

    return types.Array(pointer.dtype, 1, "C")(pointer), codegen


@intrinsic
def pointer_to(typing_context, array):
    """Return a pointer to an array's first element."""

    def codegen(context, builder, signature, args):
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def arrays_of(typing_context, network):
    """Borrow the arena, layers, settings and calls of a network.

    The sizes of the arena and of calls, and the number of rows of layers, are not known here:
    they are given as 0. That is why numba's checks of bounds are refused: to them, each element of
    these arrays is out of range.

    Parameters
    ----------
    network : Network

    Returns
    -------
    arena : vector of the network's dtype
    layers : matrix of int64
    settings : vector of int64
    calls : vector of uint64
    """
    real, layers, settings, calls = (network[i].dtype for i in range(4))
    arrays = [types.Array(real, 1, "C"), types.Array(layers, 2, "C")]
    arrays += [types.Array(settings, 1, "C"), types.Array(calls, 1, "C")]
    shapes = (0,), (0, at.LAYER_FIELDS), (at.N_SETTINGS,), (0,)

    def codegen(context, builder, signature, args):
        views = [
            _borrow(
                context, builder, array, pointer, *map(context.get_value_type(types.intp), shape)
            )
            for array, pointer, shape in zip(
                arrays, cgutils.unpack_tuple(builder, args[0]), shapes, strict=True
            )
        ]
        return context.make_tuple(builder, signature.return_type, views)

    return types.Tuple(arrays)(network), codegen


@intrinsic
def view(typing_context, array, start, size):
    """Borrow a piece of a vector, ``array[start : start + size]``.

    Parameters
    ----------
    array : vector
        It must not be freed while the view is used.
    start, size : int

    Returns
    -------
    vector
    """

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return _borrow(
            context, builder, signature.return_type, builder.gep(data, [args[1]]), args[2]
        )

    result = types.Array(array.dtype, 1, "C")
    return result(array, types.int64, types.int64), codegen


@intrinsic
def row_view(typing_context, matrix, row):
    """Borrow a row of a matrix, ``matrix[row]``.

    Parameters
    ----------
    matrix : matrix
        It must not be freed while the view is used.
    row : int

    Returns
    -------
    vector
    """

    def codegen(context, builder, signature, args):
        source = context.make_array(signature.args[0])(context, builder, args[0])
        n_columns = builder.extract_value(source.shape, 1)
        offset = builder.mul(args[1], n_columns)
        data = builder.gep(source.data, [offset])
        return _borrow(context, builder, signature.return_type, data, n_columns)

    result = types.Array(matrix.dtype, 1, "C")
    return result(matrix, types.int64), codegen


@intrinsic
def copy_elements(typing_context, to, to_start, source, source_start, size):
    """Copy a piece of a vector, ``to[to_start :][:size] = source[source_start :][:size]``.

    Mostly a row of a full panel is copied, which a few vector instructions do. They also copy
    shorter rows where the machine has masks of lanes.

    Parameters
    ----------
    to : vector
        Modified in place.
    to_start : int
    source : vector
        It has the same type as `to`.
    source_start, size : int
    """

    def codegen(context, builder, signature, args):
        to_type, _, source_type, _, _ = signature.args
        to, to_start, source, source_start, size = args
        target = builder.gep(context.make_array(to_type)(context, builder, to).data, [to_start])
        origin = context.make_array(source_type)(context, builder, source).data
        origin = builder.gep(origin, [source_start])
        itemsize = context.get_abi_sizeof(context.get_data_type(to_type.dtype))
        panel = size.type(2 * HOST.n_bytes // itemsize)
        with builder.if_else(builder.icmp_signed("==", size, panel)) as (full, other):
            with full:
                cgutils.raw_memcpy(builder, target, origin, panel, itemsize)
            with other:
                if not HAS_MASKS:
                    cgutils.raw_memcpy(builder, target, origin, size, itemsize)
                else:
                    is_short = builder.icmp_signed("<", size, panel)
                    with builder.if_else(is_short) as (short, long):
                        with short:
                            writer = VectorWriter(builder.module, target.type.pointee)
                            for number in range(2):
                                first = size.type(number * writer.n_lanes)
                                mask = writer.first_lanes(builder, builder.sub(size, first))
                                source_here = builder.gep(origin, [first])
                                target_here = builder.gep(target, [first])
                                writer.copy_first(builder, source_here, target_here, mask)
                        with long:
                            cgutils.raw_memcpy(builder, target, origin, size, itemsize)
        return context.get_dummy_value()

    i = types.int64
    return types.void(to, i, source, i, i), codegen
