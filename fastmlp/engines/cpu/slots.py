"""The slots of the vector `calls`: which kernels are called by address, and with what arguments.

A kernel is compiled for the signature of its slot, and each call is checked against the same
signature while its caller is compiled (see :mod:`fastmlp.engines.cpu.indirect_call`). The table
needs no compiler, so that it can also describe kernels that were compiled elsewhere.
"""

from enum import Enum

from .arguments import Inputs, Matrix, Network, Size, StridedMatrix


class Kind(Enum):
    """Kinds of arguments; vectors and matrices are C-contiguous."""

    INTEGER = "int64"
    REALS = "vector of the network's dtype"
    REAL_MATRIX = "matrix of the network's dtype"
    DOUBLES = "vector of float64"
    INTEGERS = "vector of int64"
    FEATURES = "vector of int32"
    TO_REALS = "pointer to numbers of the network's dtype"
    TO_INTEGERS = "pointer to int64"
    TO_ADDRESSES = "pointer to uint64"


_INTEGER, _REALS, _INTEGERS, _DOUBLES = Kind.INTEGER, Kind.REALS, Kind.INTEGERS, Kind.DOUBLES

#: The kinds of the fields of each tuple that is an argument.
FIELDS = {
    Network: (Kind.TO_REALS, Kind.TO_INTEGERS, Kind.TO_INTEGERS, Kind.TO_ADDRESSES),
    Inputs: (Kind.REAL_MATRIX, Kind.FEATURES, _INTEGERS, _INTEGERS),
    Size: (_INTEGER,) * 3,
    Matrix: (_INTEGER,) * 2,
    StridedMatrix: (_INTEGER,) * 3,
}

# One slot for the whole network; 0 in `calls` where a network needs no such kernel.
MULTIPLY, FORWARD, ACTIVATE_OUTPUT, FINISH_ROWS, LOSSES, BACKWARD = range(6)
UPDATE_WEIGHTS, SUM_GRADIENT, SUM_GROUP, TRANSPOSE_BLOCK = range(6, 10)
SHAPE_GRADIENT, DECAY_WEIGHTS, UPDATE, FINISH_UPDATE, LIMIT_NORMS = range(10, 15)
MULTIPLY_ROWS, GROUP_BY_FEATURE, SUM_BLOCK = range(15, 18)  # for sparse inputs
N_NETWORK_SLOTS = 18
# One slot for each layer.
ACTIVATE, ACTIVATE_AND_KEEP, MULTIPLY_BY_DERIVATIVE, DROP_UNITS = range(18, 22)
N_LAYER_SLOTS = 4

SIGNATURES = {
    MULTIPLY: (_REALS, Size, StridedMatrix, Matrix, Matrix, Matrix),
    FORWARD: (Network, *[_INTEGER] * 4),
    ACTIVATE_OUTPUT: (_REALS, *[_INTEGER] * 4),
    FINISH_ROWS: (
        Network, _INTEGER, Kind.REAL_MATRIX, _REALS, _INTEGERS, _INTEGER, _DOUBLES,
        *[_INTEGER] * 2,
    ),
    LOSSES: (_REALS, _INTEGERS, *[_INTEGER] * 5, _DOUBLES, _INTEGER),
    BACKWARD: (Network, *[_INTEGER] * 2),
    UPDATE_WEIGHTS: (Network, Inputs, _INTEGERS, _DOUBLES, *[_INTEGER] * 5),
    SUM_GRADIENT: (Network, *[_INTEGER] * 9),
    SUM_GROUP: (Network, Inputs, *[_INTEGER] * 5),
    TRANSPOSE_BLOCK: (_REALS, _INTEGERS, *[_INTEGER] * 6),
    SHAPE_GRADIENT: (_REALS, *[_INTEGER] * 6, _DOUBLES, _INTEGER),
    DECAY_WEIGHTS: (_REALS, *[_INTEGER] * 3),
    UPDATE: (_REALS, _INTEGERS, *[_INTEGER] * 6),
    FINISH_UPDATE: (Network, _DOUBLES, *[_INTEGER] * 3),
    LIMIT_NORMS: (Network, *[_INTEGER] * 3),
    MULTIPLY_ROWS: (Network, Inputs, *[_INTEGER] * 3),
    GROUP_BY_FEATURE: (_INTEGERS, Inputs, *[_INTEGER] * 5),
    SUM_BLOCK: (Network, Inputs, _INTEGERS, *[_INTEGER] * 6),
    ACTIVATE: (_REALS, *[_INTEGER] * 2),
    ACTIVATE_AND_KEEP: (_REALS, *[_INTEGER] * 3),
    MULTIPLY_BY_DERIVATIVE: (_REALS, *[_INTEGER] * 3),
    DROP_UNITS: (_REALS, *[_INTEGER] * 10),
}  # fmt: skip
"""What each slot's kernel takes: kinds, and tuples by their classes."""

NAMES = {
    number: name
    for name, number in globals().items()
    if isinstance(number, int) and number in SIGNATURES and not name.startswith(("N_", "_"))
}
"""The name of each slot, for messages."""


def is_of_layer(slot):
    """Whether each layer has such a slot of its own."""
    return slot >= N_NETWORK_SLOTS


def n_slots(n_layers):
    """Elements of the vector `calls` of a network with so many layers."""
    return N_NETWORK_SLOTS + n_layers * N_LAYER_SLOTS
