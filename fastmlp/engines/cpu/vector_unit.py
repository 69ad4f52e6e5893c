"""The vector unit of the processor, and the levels of processors that code is compiled for."""

import os
from dataclasses import dataclass

import numpy as np
from llvmlite import binding

from ...exceptions import DeviceError

#: Environment variable that chooses the level, to test what other machines run.
OVERRIDE = "FASTMLP_LEVEL"


@dataclass(frozen=True)
class VectorUnit:
    """What a processor offers for vectors.

    Attributes
    ----------
    n_bytes : int
        Number of bytes of a vector.
    tile_rows : int
        Number of rows of a register tile. A tile is two vectors wide. Its accumulators, two
        vectors of the right-hand matrix and a broadcast element fill the registers.
    has_fma : bool
        Whether a multiply-add is one instruction.
    """

    n_bytes: int
    tile_rows: int
    has_fma: bool


@dataclass(frozen=True)
class Level:
    """Processors that run the same code.

    Attributes
    ----------
    architecture : str
        How LLVM's name of the platform begins.
    cpu : str
        LLVM's name of the processor that code is compiled for.
    tuning : str
        LLVM's features that are switched on or off beside those of the processor.
    needs : frozenset of str
        LLVM's features without which the code does not run.
    unit : VectorUnit
    """

    architecture: str
    cpu: str
    tuning: str
    needs: frozenset[str]
    unit: VectorUnit


_V2 = frozenset({"cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3"})
_V3 = _V2 | {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"}
_V4 = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
#: The levels, those with wider vectors first. LLVM would use half vectors in loops at level 4.
LEVELS = {
    "x86-64-v4": Level("x86_64", "x86-64-v4", "-prefer-256-bit", _V4, VectorUnit(64, 12, True)),
    "x86-64-v3": Level("x86_64", "x86-64-v3", "", _V3, VectorUnit(32, 6, True)),
    "x86-64-v2": Level("x86_64", "x86-64-v2", "", _V2, VectorUnit(16, 6, False)),
    "aarch64": Level("aarch64", "generic", "", frozenset(), VectorUnit(16, 12, True)),
}


def _features() -> frozenset[str]:
    """Return LLVM's names of what this processor can do."""
    return frozenset(name for name, is_there in binding.get_host_cpu_features().items() if is_there)


def _architecture() -> str:
    """Return how LLVM's name of this platform begins; there are two names of 64-bit ARM."""
    return binding.get_process_triple().split("-")[0].replace("arm64", "aarch64")


def _detect() -> VectorUnit:
    """Describe the vector unit of this machine, as LLVM sees it."""
    features, is_arm = _features(), _architecture() == "aarch64"
    n_bytes = 64 if "avx512f" in features else 32 if "avx" in features else 16
    many_registers = is_arm or "avx512vl" in features
    return VectorUnit(n_bytes, 12 if many_registers else 6, is_arm or "fma" in features)


def runs(level: str) -> bool:
    """Tell whether this processor runs the code of a level."""
    found = LEVELS[level]
    return found.architecture == _architecture() and found.needs <= _features()


def _choose() -> str | None:
    """Return the level of this machine; None where none has the vectors that it has.

    Raises
    ------
    DeviceError
        When the environment variable that chooses a level does not name one.
    """
    chosen = os.environ.get(OVERRIDE)
    if chosen:
        if chosen not in LEVELS:
            raise DeviceError(
                f"{OVERRIDE} must be one of {', '.join(LEVELS)}, got {chosen!r}; "
                "set it to one of these, or unset it"
            )
        return chosen
    unit = _detect()
    return next((name for name in LEVELS if LEVELS[name].unit == unit and runs(name)), None)


#: The level whose code runs in this process.
LEVEL = _choose()
#: Whether the user has chosen the level.
IS_CHOSEN = bool(os.environ.get(OVERRIDE))
HOST = _detect() if LEVEL is None else LEVELS[LEVEL].unit
TILE_ROWS = HOST.tile_rows
#: Whether instructions can be told which lanes of a vector they load and store.
HAS_MASKS = HOST.n_bytes == 64


def lanes(dtype: np.dtype) -> int:
    """Return the number of elements of a vector of this type."""
    return HOST.n_bytes // dtype.itemsize


def cpu_name() -> str:
    """Return LLVM's name of this processor's generation."""
    return binding.get_host_cpu_name()


def compiler_target() -> tuple[str, str, str]:
    """Return what numba compiles for here: LLVM's platform, processor and features.

    It is this processor, unless the user has chosen a level.
    """
    triple = binding.get_process_triple()
    if LEVEL is not None and IS_CHOSEN:
        return triple, LEVELS[LEVEL].cpu, LEVELS[LEVEL].tuning
    return triple, cpu_name(), binding.get_host_cpu_features().flatten()
