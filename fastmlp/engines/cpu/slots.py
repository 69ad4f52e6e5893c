"""The slots of the vector `calls`: which kernels are called by address, and with what arguments.

A kernel is compiled for the signature of its slot, and each call is checked against the same
signature while its caller is compiled (see :mod:`fastmlp.engines.cpu.indirect_call`). This module
imports no compiler, so that its table can also describe kernels that were compiled elsewhere.
"""

from enum import Enum
from typing import Any, TypeAlias

from .arguments import Inputs, Matrix, Network, Size, StridedMatrix


class Kind(Enum):
    """A kind of argument. Vectors and matrices are C-contiguous."""

    INTEGER = "int64"
    REALS = "vector of the network's dtype"
    REAL_MATRIX = "matrix of the network's dtype"
    DOUBLES = "vector of float64"
    INTEGERS = "vector of int64"
    FEATURES = "vector of int32"
    TO_REALS = "pointer to numbers of the network's dtype"
    TO_INTEGERS = "pointer to int64"
    TO_ADDRESSES = "pointer to uint64"


#: What a kernel takes as one argument: a kind, or the class of a tuple.
Argument: TypeAlias = Kind | type[tuple[Any, ...]]

_INTEGER, _REALS, _INTEGERS, _DOUBLES = Kind.INTEGER, Kind.REALS, Kind.INTEGERS, Kind.DOUBLES

#: The kinds of the fields of each tuple that is an argument.
FIELDS: dict[type[tuple[Any, ...]], tuple[Kind, ...]] = {
    Network: (Kind.TO_REALS, Kind.TO_INTEGERS, Kind.TO_INTEGERS, Kind.TO_ADDRESSES),
    Inputs: (Kind.REAL_MATRIX, Kind.FEATURES, _INTEGERS, _INTEGERS),
    Size: (_INTEGER,) * 3,
    Matrix: (_INTEGER,) * 2,
    StridedMatrix: (_INTEGER,) * 3,
}

# These slots exist once in a network. A slot holds 0 where the network needs no such kernel.
MULTIPLY, FORWARD, ACTIVATE_OUTPUT, FINISH_ROWS, LOSSES, BACKWARD = range(6)
UPDATE_WEIGHTS, SUM_GRADIENT, SUM_GROUP, TRANSPOSE_BLOCK = range(6, 10)
SHAPE_GRADIENT, DECAY_WEIGHTS, UPDATE, FINISH_UPDATE, LIMIT_NORMS = range(10, 15)
MULTIPLY_ROWS, GROUP_BY_FEATURE, SUM_BLOCK = range(15, 18)  # used for sparse inputs only
N_NETWORK_SLOTS = 18
# These slots exist once in each layer.
ACTIVATE, ACTIVATE_AND_KEEP, MULTIPLY_BY_DERIVATIVE, DROP_UNITS = range(18, 22)
N_LAYER_SLOTS = 4

SIGNATURES: dict[int, tuple[Argument, ...]] = {
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
    SUM_GRADIENT: (Network, *[_INTEGER] * 10),
    SUM_GROUP: (Network, Inputs, *[_INTEGER] * 7),
    TRANSPOSE_BLOCK: (_REALS, _INTEGERS, *[_INTEGER] * 6),
    SHAPE_GRADIENT: (_REALS, *[_INTEGER] * 6),
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
"""The arguments of each slot's kernel."""

NAMES = {
    number: name
    for name, number in globals().items()
    if isinstance(number, int) and number in SIGNATURES and not name.startswith(("N_", "_"))
}
"""The name of each slot, for messages."""


def is_of_layer(slot: int) -> bool:
    """Tell whether each layer has a slot of this number."""
    return slot >= N_NETWORK_SLOTS


def n_slots(n_layers: int) -> int:
    """Count the elements of the vector `calls` of a network with so many layers."""
    return N_NETWORK_SLOTS + n_layers * N_LAYER_SLOTS
