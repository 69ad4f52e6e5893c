"""Calls of one compiled kernel by another through its address.

A kernel that calls another one directly is compiled together with a copy of it, and so on
up: the innermost loops would be optimised again for each caller. Through an address each
kernel is compiled once, in a fraction of the time.

Machine code does not know what a call passes, so that a wrong argument would corrupt memory
silently. Both sides therefore follow one table, :data:`fastmlp.engines.cpu.slots.SIGNATURES`:
:func:`address` compiles a kernel for the signature of its slot, and :func:`call` names its slot
and is checked against that signature while its caller is compiled.
"""

from functools import cache

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


def _numba_type(kind, real):
    """The numba type of an argument.

    Parameters
    ----------
    kind : Kind or class
        An element of a signature.
    real : numba type
        Of the network's numbers.
    """
    if kind is Kind.REALS:
        return types.Array(real, 1, "C")
    if kind is Kind.REAL_MATRIX:
        return types.Array(real, 2, "C")
    if kind is Kind.TO_REALS:
        return types.CPointer(real)
    if kind in FIELDS:
        return types.BaseTuple.from_types([_numba_type(k, real) for k in FIELDS[kind]], kind)
    return _FIXED_TYPES[kind]


@cache
def signature(slot, dtype):
    """The numba types that the kernel of a slot takes.

    Parameters
    ----------
    slot : int
        One of :mod:`fastmlp.engines.cpu.slots`.
    dtype : numpy.dtype
        Of the network.

    Returns
    -------
    tuple of numba types
    """
    return tuple(_numba_type(kind, from_dtype(dtype)) for kind in SIGNATURES[slot])


def address(slot, kernel, dtype):
    """Compile a kernel for the signature of its slot, or load it from the cache.

    Parameters
    ----------
    slot : int
        One of :mod:`fastmlp.engines.cpu.slots`.
    kernel : numba dispatcher
        It must return nothing and raise nothing.
    dtype : numpy.dtype
        Of the network.

    Returns
    -------
    int
        The address, for as long as the kernel lives.
    """
    return address_of(kernel, signature(slot, dtype))


def _elements(given):
    """The types in a tuple's type, or the type itself, as a tuple."""
    if isinstance(given, types.BaseTuple):
        return tuple(given[i] for i in range(len(given)))
    return (given,)


def _real_type(given):
    """The dtype of the first argument that is an array or pointer of floats: the network's."""
    for argument in given:
        for one in _elements(argument):
            is_of_many = isinstance(one, types.Array | types.CPointer)
            if is_of_many and isinstance(one.dtype, types.Float):
                return one.dtype
    return types.float64


def _fits(given, wanted):
    """Whether an argument can be passed as a type; integers of any size can be as int64.

    Parameters
    ----------
    given, wanted : numba types
    """
    if wanted == types.int64:
        return isinstance(given, types.Integer)
    if isinstance(wanted, types.BaseTuple):
        return getattr(given, "instance_class", None) is wanted.instance_class and all(
            map(_fits, _elements(given), _elements(wanted))
        )
    return given == wanted


def _checked(slot, given):
    """The types as which the arguments of a call are passed.

    Parameters
    ----------
    slot : int
    given : tuple of numba types

    Returns
    -------
    tuple of numba types

    Raises
    ------
    numba.TypingError
        Where the arguments do not fit; it names the slot, what it takes and what was given.
    """
    real = _real_type(given)
    wanted = tuple(_numba_type(kind, real) for kind in SIGNATURES[slot])
    if len(given) != len(wanted) or not all(map(_fits, given, wanted)):
        raise TypingError(
            f"the kernel in slot {NAMES[slot]} takes {len(wanted)} arguments, "
            f"{_listed(wanted)}, and is called with {len(given)}, {_listed(given)}"
        )
    return wanted


def _listed(arguments):
    """Types in words: tuples of the right fields by their class alone."""
    real = _real_type(arguments)
    names = []
    for argument in arguments:
        kind = getattr(argument, "instance_class", None)
        is_right = kind in FIELDS and _fits(argument, _numba_type(kind, real))
        names.append(kind.__name__ if is_right else str(types.unliteral(argument)))
    return f"({', '.join(names)})"


def _converted(context, builder, value, given, wanted):
    """Write what makes a value of one type that of another; tuples go field by field.

    Parameters
    ----------
    context, builder
        Of an intrinsic's ``codegen``.
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
    """Check an indirect call.

    Parameters
    ----------
    calls, slot : numba types
    args : tuple of numba types
        Of the kernel's arguments.
    of_layer : bool
        Whether the slot has to be one of a layer.

    Returns
    -------
    packed : numba type
        Of the kernel's arguments together.
    write : callable
        ``write(context, builder, calls, index, packed)`` writes the call.
    """
    if not isinstance(slot, types.IntegerLiteral):
        return None  # numba tries once more without constants where a call does not fit
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
        Of a :class:`fastmlp.engines.cpu.arguments.Network`.
    slot : int
        A global constant of :mod:`fastmlp.engines.cpu.slots`.
    *args
        As the slot's signature says; integers of any size are passed as int64.

    Raises
    ------
    numba.TypingError
        While the caller is compiled, where the arguments do not fit the signature.
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
    layer : int
        The number of the layer.
    calls, slot, *args
        As for :func:`call`.
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
    """Whether there is a kernel in a slot of a layer.

    Parameters
    ----------
    calls : vector of uint64
    layer : int
        The number of the layer.
    slot : int
    """

    def codegen(context, builder, signature, values):
        data = context.make_array(calls)(context, builder, values[0]).data
        index = builder.add(values[2], builder.mul(values[1], values[1].type(N_LAYER_SLOTS)))
        address = builder.load(builder.gep(data, [index]))
        return builder.icmp_unsigned("!=", address, address.type(0))

    return types.boolean(calls, types.int64, types.int64), codegen
