"""Functions that read and write elements of arrays, and add up products in registers.

Places are never negative, so these functions skip numba's test for a negative index. Four elements
that begin at a multiple of four are read or written at once; in the arena these are the four rows
of a group (see :mod:`fastmlp.engines.cuda.layout`). Products are always added by fused
multiply-adds, so that kernels with different options compute the same bits.
"""

import numpy as np

from .jit import compile_device
from .support import is_simulated

if is_simulated():

    def load(array, place):
        """Read an element."""
        return array[place]

    def store(array, place, value):
        """Set an element."""
        array[place] = value

    def load4(array, place):
        """Read four elements, the first one at a multiple of four, as a tuple."""
        return tuple(array[place : place + 4])

    def store4(array, place, values):
        """Set four elements, the first one at a multiple of four."""
        array[place : place + 4] = values

    def quotient(a, b):
        """Compute a // b of numbers from 0 to 2^32 - 1."""
        return a // b

    def zeros(count, like):
        """Make a tuple of `count` zeros of the type of an array's elements."""
        return (like.dtype.type(0),) * count

    def add_each(a, b):
        """Add two tuples, element by element."""
        with np.errstate(all="ignore"):
            return tuple([x + y for x, y in zip(a, b, strict=True)])

    def add_products(sums, a, b):
        """Add the product of each of `a` and each of `b` to its own sum, those of a[0] first."""
        with np.errstate(all="ignore"):  # sums of columns beyond a matrix are never used
            products = [x * y for x in a for y in b]
            return tuple([total + product for total, product in zip(sums, products, strict=True)])

else:
    from llvmlite import ir
    from numba import types
    from numba.cuda.extending import intrinsic

    _INDEX = ir.IntType(64)

    def _pointer(context, builder, array_type, array, place_type, place):
        """Build the pointer to an element of an array."""
        data = context.make_array(array_type)(context, builder, array).data
        place = context.cast(builder, place, place_type, types.int64)
        return builder.gep(data, [place], inbounds=True)

    def _quadruple(context, builder, array_type, array, place_type, place):
        """Build the pointer to four elements of an array, and their type as a vector."""
        pointer = _pointer(context, builder, array_type, array, place_type, place)
        vector = ir.VectorType(context.get_data_type(array_type.dtype), 4)
        return builder.bitcast(pointer, vector.as_pointer(pointer.type.addrspace)), vector

    @intrinsic
    def load(typing_context, array, place):
        """Read an element."""

        def codegen(context, builder, signature, args):
            pointer = _pointer(context, builder, array, args[0], place, args[1])
            return builder.load(pointer)

        return array.dtype(array, place), codegen

    @intrinsic
    def store(typing_context, array, place, value):
        """Set an element."""

        def codegen(context, builder, signature, args):
            pointer = _pointer(context, builder, array, args[0], place, args[1])
            builder.store(context.cast(builder, args[2], value, array.dtype), pointer)
            return context.get_dummy_value()

        return types.void(array, place, value), codegen

    @intrinsic
    def load4(typing_context, array, place):
        """Read four elements, the first one at a multiple of four, as a tuple."""
        result = types.UniTuple(array.dtype, 4)

        def codegen(context, builder, signature, args):
            pointer, _ = _quadruple(context, builder, array, args[0], place, args[1])
            vector = builder.load(pointer, align=16)
            elements = [builder.extract_element(vector, _INDEX(i)) for i in range(4)]
            return context.make_tuple(builder, result, elements)

        return result(array, place), codegen

    @intrinsic
    def store4(typing_context, array, place, values):
        """Set four elements, the first one at a multiple of four."""

        def codegen(context, builder, signature, args):
            pointer, vector = _quadruple(context, builder, array, args[0], place, args[1])
            value = ir.Constant(vector, ir.Undefined)
            for i in range(4):
                element = builder.extract_value(args[2], i)
                value = builder.insert_element(value, element, _INDEX(i))
            builder.store(value, pointer, align=16)
            return context.get_dummy_value()

        return types.void(array, place, values), codegen

    @intrinsic
    def quotient(typing_context, a, b):
        """Compute a // b of numbers from 0 to 2^32 - 1; in 64 bits it would be a function call."""

        def codegen(context, builder, signature, args):
            a32, b32 = (
                context.cast(builder, value, kind, types.uint32)
                for value, kind in zip(args, signature.args, strict=True)
            )
            return builder.zext(builder.udiv(a32, b32), _INDEX)

        return types.int64(a, b), codegen

    @intrinsic
    def zeros(typing_context, count, like):
        """Make a tuple of `count` zeros of the type of an array's elements."""
        if not isinstance(count, types.Literal):
            return None  # numba asks again with the type of the literal
        result = types.UniTuple(like.dtype, count.literal_value)

        def codegen(context, builder, signature, args):
            zero = context.get_constant(like.dtype, 0)
            return context.make_tuple(builder, result, [zero] * result.count)

        return result(count, like), codegen

    @intrinsic
    def add_each(typing_context, a, b):
        """Add two tuples, element by element."""

        def codegen(context, builder, signature, args):
            elements = [
                builder.fadd(*(builder.extract_value(value, i) for value in args))
                for i in range(a.count)
            ]
            return context.make_tuple(builder, a, elements)

        return a(a, b), codegen

    @intrinsic
    def add_products(typing_context, sums, a, b):
        """Add the product of each of `a` and each of `b` to its own sum, those of a[0] first."""

        def codegen(context, builder, signature, args):
            totals, left, right = (
                [builder.extract_value(value, i) for i in range(kind.count)]
                for value, kind in zip(args, signature.args, strict=True)
            )
            for i in range(len(totals)):
                x, y = left[i // len(right)], right[i % len(right)]
                totals[i] = builder.fma(x, y, totals[i])
            return context.make_tuple(builder, sums, totals)

        return sums(sums, a, b), codegen


@compile_device
def add_product(total, a, b):
    """Compute total + a * b, rounded once."""
    return add_products((total,), (a,), (b,))[0]


@compile_device
def load_apart(array, place, apart):
    """Read four elements that lie `apart` places from each other, as a tuple."""
    return (
        load(array, place), load(array, place + apart), load(array, place + 2 * apart),
        load(array, place + 3 * apart),
    )  # fmt: skip


@compile_device
def store_apart(array, place, apart, values):
    """Set four elements that lie `apart` places from each other."""
    store(array, place, values[0])
    store(array, place + apart, values[1])
    store(array, place + 2 * apart, values[2])
    store(array, place + 3 * apart, values[3])


def four_times(function):
    """Make a device function that calls another one with each number from 0 to 3.

    Parameters
    ----------
    function : device function
        It takes ``(number, *args)``.

    Returns
    -------
    device function
        It takes ``(*args)`` and returns a tuple of the four results.
    """

    @compile_device
    def call(*args):
        return function(0, *args), function(1, *args), function(2, *args), function(3, *args)

    return call


def repeated(step, count):
    """Make a device function that calls another one `count` times, without a loop.

    Parameters
    ----------
    step : device function
        It takes ``(number, sums, *args)`` and returns the new sums.
    count : int

    Returns
    -------
    device function
        It takes ``(first, sums, *args)`` and returns the sums after all calls, whose numbers are
        counted from `first` on.
    """
    if count == 1:
        return step
    others = repeated(step, count - 1)

    @compile_device
    def call(first, sums, *args):
        return others(first + 1, step(first, sums, *args), *args)

    return call
