"""Calls of one compiled kernel by another through its address.

A kernel that calls another one directly is compiled together with a copy of that kernel and of all
that it calls, so that the innermost loops would be optimised again for each caller. A kernel that
is called through its address is compiled once, and all kernels together take a fraction of the
time.

Machine code does not check what a call passes, so that a wrong argument would corrupt memory
silently. Both sides therefore follow one table, :data:`fastmlp.engines.cpu.slots.SIGNATURES`:
:func:`address` compiles a kernel for the signature of its slot, and :func:`call` is checked against
the signature of the slot that it names while its caller is compiled.
"""

from functools import cache
from weakref import WeakKeyDictionary

from numba import from_dtype, types
from numba.extending import intrinsic

from .._numba import TypingError, address_of, call_at, cgutils
from .slots import FIELDS, N_LAYER_SLOTS, NAMES, SIGNATURES, Kind, is_of_layer

_FIXED_TYPES = {
    Kind.INTEGER: types.int64,
    Kind.DOUBLES: types.Array(types.float64, 1, "C"),
    Kind.INTEGERS: types.Array(types.int64, 1, "C"),
    Kind.FEATURES: types.Array(types.int32, 1, "C"),
    Kind.TO_INTEGERS: types.CPointer(types.int64),
    Kind.TO_ADDRESSES: types.CPointer(types.uint64),
}
_ADDRESSES = types.Array(types.uint64, 1, "C")

# The addresses that each kernel has, by slot and dtype, as long as the kernel is in use. LLVM would
# look for them under a lock, each time a network is opened.
_known = WeakKeyDictionary()


def numba_type(kind, real):
    """Return the numba type of an argument.

    Parameters
    ----------
    kind : Kind or class
        An element of a signature.
    real : numba type
        The type of the network's numbers.

    Returns
    -------
    numba type
    """
    if kind is Kind.REALS:
        return types.Array(real, 1, "C")
    if kind is Kind.REAL_MATRIX:
        return types.Array(real, 2, "C")
    if kind is Kind.TO_REALS:
        return types.CPointer(real)
    if kind in FIELDS:
        return types.BaseTuple.from_types([numba_type(k, real) for k in FIELDS[kind]], kind)
    return _FIXED_TYPES[kind]


@cache
def signature(slot, dtype):
    """Return the numba types of the arguments of a slot's kernel.

    Parameters
    ----------
    slot : int
        A slot of :mod:`fastmlp.engines.cpu.slots`.
    dtype : numpy.dtype
        The type of the network's numbers.

    Returns
    -------
    tuple of numba types
    """
    return tuple(numba_type(kind, from_dtype(dtype)) for kind in SIGNATURES[slot])


def address(slot, kernel, dtype):
    """Compile a kernel for the signature of its slot, or load it from the cache.

    Parameters
    ----------
    slot : int
        A slot of :mod:`fastmlp.engines.cpu.slots`.
    kernel : numba dispatcher
        It must return nothing and raise nothing.
    dtype : numpy.dtype
        The type of the network's numbers.

    Returns
    -------
    int
        The address, which can be used as long as the kernel is not freed.
    """
    addresses = _known.setdefault(kernel, {})
    if (slot, dtype) not in addresses:
        addresses[slot, dtype] = address_of(kernel, signature(slot, dtype))
    return addresses[slot, dtype]


def _elements(given):
    """Return the types of a tuple's elements; for a type that is no tuple's, itself in a tuple."""
    if isinstance(given, types.BaseTuple):
        return tuple(given[i] for i in range(len(given)))
    return (given,)


def _real_type(given):
    """Return the type of the network's numbers.

    It is the element type of the first argument that is an array or pointer of floats.

    Parameters
    ----------
    given : tuple of numba types
        The types of the arguments of a call.

    Returns
    -------
    numba type
        float64 where no argument is an array or pointer of floats.
    """
    for argument in given:
        for one in _elements(argument):
            is_of_many = isinstance(one, types.Array | types.CPointer)
            if is_of_many and isinstance(one.dtype, types.Float):
                return one.dtype
    return types.float64


def _fits(given, wanted):
    """Tell whether an argument of one type can be passed as another type.

    An integer of any size can be passed as an int64.

    Parameters
    ----------
    given, wanted : numba types

    Returns
    -------
    bool
    """
    if wanted == types.int64:
        return isinstance(given, types.Integer)
    if isinstance(wanted, types.BaseTuple):
        return getattr(given, "instance_class", None) is wanted.instance_class and all(
            map(_fits, _elements(given), _elements(wanted))
        )
    return given == wanted


def _checked(slot, given):
    """Return the types as which the arguments of a call are passed, or raise an error.

    Parameters
    ----------
    slot : int
    given : tuple of numba types
        The types of the arguments of the call.

    Returns
    -------
    tuple of numba types

    Raises
    ------
    numba.TypingError
        When the arguments do not fit. The message names the slot, the types that its kernel takes
        and those of the arguments.
    """
    real = _real_type(given)
    wanted = tuple(numba_type(kind, real) for kind in SIGNATURES[slot])
    if len(given) != len(wanted) or not all(map(_fits, given, wanted)):
        raise TypingError(
            f"the kernel in slot {NAMES[slot]} takes {len(wanted)} arguments, "
            f"{_listed(wanted)}, and is called with {len(given)}, {_listed(given)}"
        )
    return wanted


def _listed(arguments):
    """Write types in words; a tuple whose fields are right is named by its class alone."""
    real = _real_type(arguments)
    names = []
    for argument in arguments:
        kind = getattr(argument, "instance_class", None)
        is_right = kind in FIELDS and _fits(argument, numba_type(kind, real))
        names.append(kind.__name__ if is_right else str(types.unliteral(argument)))
    return f"({', '.join(names)})"


def _converted(context, builder, value, given, wanted):
    """Write what converts a value of one type to another type, or each field of a tuple.

    Parameters
    ----------
    context, builder
        The arguments of an intrinsic's ``codegen``.
    value : llvmlite value
    given, wanted : numba types

    Returns
    -------
    llvmlite value
    """
    if not isinstance(wanted, types.BaseTuple):
        return context.cast(builder, value, given, wanted)
    values = [
        context.cast(builder, builder.extract_value(value, i), given[i], wanted[i])
        for i in range(len(wanted))
    ]
    return context.make_tuple(builder, wanted, values)


def _call(calls, slot, args, of_layer):
    """Check an indirect call, and make what writes it.

    Parameters
    ----------
    calls, slot : numba types
        The types of the vector of addresses and of the number of the slot.
    args : tuple of numba types
        The types of the kernel's arguments.
    of_layer : bool
        Whether the slot has to be one of a layer, or else one of the network.

    Returns
    -------
    packed : numba type
        The type of all of the kernel's arguments together.
    write : callable
        ``write(context, builder, calls, index, packed)`` writes the call.

    Raises
    ------
    numba.TypingError
        When the call does not fit the slot.
    """
    if not isinstance(slot, types.IntegerLiteral):
        # Where a call does not fit, numba tries once more without the values of constants. None
        # tells numba that the call does not fit then either.
        return None
    number = slot.literal_value
    if calls != _ADDRESSES:
        raise TypingError(f"kernels are called by a vector of addresses, not by {calls}")
    if number not in SIGNATURES or is_of_layer(number) != of_layer:
        kind = "layer" if of_layer else "network"
        raise TypingError(f"{NAMES.get(number, number)} is no slot of a {kind}")
    given = args[0] if len(args) == 1 and isinstance(args[0], types.StarArgTuple) else args
    given = tuple(given)
    wanted = _checked(number, given)

    def write(context, builder, calls_value, index, packed):
        data = context.make_array(calls)(context, builder, calls_value).data
        values = [
            _converted(context, builder, value, source, target)
            for value, source, target in zip(
                cgutils.unpack_tuple(builder, packed, len(wanted)), given, wanted, strict=True
            )
        ]
        call_at(context, builder, builder.load(builder.gep(data, [index])), wanted, values)
        return context.get_dummy_value()

    return types.StarArgTuple(given), write


@intrinsic(prefer_literal=True)
def call(typing_context, calls, slot, *args):
    """Call the kernel in a slot of the network.

    Parameters
    ----------
    calls : vector of uint64
        The addresses of a :class:`fastmlp.engines.cpu.arguments.Network`.
    slot : int
        A global constant of :mod:`fastmlp.engines.cpu.slots`.
    *args
        The arguments of the slot's signature; integers of any size are passed as int64.

    Raises
    ------
    numba.TypingError
        When the arguments do not fit the signature. It is raised while the caller is compiled.
    """
    found = _call(calls, slot, args, of_layer=False)
    if found is None:
        return None
    packed, write = found

    def codegen(context, builder, signature, values):
        return write(context, builder, values[0], values[1], values[2])

    return types.void(calls, types.int64, packed), codegen


@intrinsic(prefer_literal=True)
def call_of_layer(typing_context, calls, layer, slot, *args):
    """Call the kernel in a slot of a layer.

    Parameters
    ----------
    calls : vector of uint64
        The addresses of a :class:`fastmlp.engines.cpu.arguments.Network`.
    layer : int
        The number of the layer.
    slot : int
        A global constant of :mod:`fastmlp.engines.cpu.slots`.
    *args
        The arguments of the slot's signature; integers of any size are passed as int64.

    Raises
    ------
    numba.TypingError
        When the arguments do not fit the signature. It is raised while the caller is compiled.
    """
    found = _call(calls, slot, args, of_layer=True)
    if found is None:
        return None
    packed, write = found

    def codegen(context, builder, signature, values):
        step = builder.mul(values[1], values[1].type(N_LAYER_SLOTS))
        return write(context, builder, values[0], builder.add(values[2], step), values[3])

    return types.void(calls, types.int64, types.int64, packed), codegen


@intrinsic
def has_layer_slot(typing_context, calls, layer, slot):
    """Tell whether there is a kernel in a slot of a layer.

    Parameters
    ----------
    calls : vector of uint64
        The addresses of a :class:`fastmlp.engines.cpu.arguments.Network`.
    layer : int
        The number of the layer.
    slot : int
        A slot of a layer; see :mod:`fastmlp.engines.cpu.slots`.

    Returns
    -------
    bool
    """

    def codegen(context, builder, signature, values):
        data = context.make_array(calls)(context, builder, values[0]).data
        index = builder.add(values[2], builder.mul(values[1], values[1].type(N_LAYER_SLOTS)))
        address = builder.load(builder.gep(data, [index]))
        return builder.icmp_unsigned("!=", address, address.type(0))

    return types.boolean(calls, types.int64, types.int64), codegen
