"""Calls of one compiled kernel by another through its address.

A kernel that calls another one directly is compiled together with a copy of it, and so on
up: the innermost loops would be optimised again for each caller. Through an address each
kernel is compiled once, in a fraction of the time.
"""

from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic


def address(kernel, *signature):
    """Compile a kernel for a signature, or load it from the cache, and return its address.

    Parameters
    ----------
    kernel : numba dispatcher
        It must return nothing and raise nothing.
    *signature : numba types

    Returns
    -------
    int
    """
    if signature not in kernel.overloads:
        kernel.compile(signature)
    result = kernel.overloads[signature]
    return result.library.get_pointer_to_function(result.fndesc.llvm_func_name)


def _argument_type(given):
    if isinstance(given, types.Integer):
        return types.int64
    if isinstance(given, types.Float):
        return types.float64
    if isinstance(given, types.Array) and given.layout == "C" and given.mutable:
        return given
    raise TypingError(f"a kernel called by address cannot take {given}")


@intrinsic
def call(typing_context, address, *args):
    """Call the kernel at `address`: integers are passed as int64, floats as float64."""
    given = args[0] if len(args) == 1 and isinstance(args[0], types.BaseTuple) else args
    wanted = tuple(_argument_type(argument) for argument in given)

    def codegen(context, builder, signature, values):
        values_given = cgutils.unpack_tuple(builder, values[1], len(wanted))
        converted = [
            context.cast(builder, value, source, target)
            for value, source, target in zip(values_given, given, wanted, strict=True)
        ]
        function_type = context.call_conv.get_function_type(types.none, wanted)
        pointer = builder.inttoptr(values[0], function_type.as_pointer())
        context.call_conv.call_function(builder, pointer, types.none, wanted, converted)
        return context.get_dummy_value()

    return types.void(types.int64, types.StarArgTuple(given)), codegen
