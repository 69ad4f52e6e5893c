"""The vector unit of the processor, and the register tile that suits it."""

import os
from dataclasses import dataclass

import numpy as np
from llvmlite import binding

#: Environment variable that narrows the vectors, to test what other machines run.
OVERRIDE = "FASTMLP_VECTOR_BYTES"


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


def detect() -> VectorUnit:
    """Describe the vector unit of this machine, as LLVM sees it.

    Returns
    -------
    VectorUnit

    Raises
    ------
    ValueError
        When the environment variable that narrows vectors has a value that is no width of one.
    """
    features = binding.get_host_cpu_features()
    is_arm = binding.get_process_triple().startswith(("aarch64", "arm64"))
    has_fma = is_arm or bool(features.get("fma"))
    if features.get("avx512f"):
        n_bytes = 64
    elif features.get("avx"):
        n_bytes = 32
    else:
        n_bytes = 16
    n_bytes = int(os.environ.get(OVERRIDE, n_bytes))
    if n_bytes not in (16, 32, 64):
        raise ValueError(f"{OVERRIDE} must be 16, 32 or 64, got {n_bytes}")
    many_registers = is_arm or bool(features.get("avx512vl"))
    return VectorUnit(n_bytes, 12 if many_registers else 6, has_fma)


HOST = detect()
TILE_ROWS = HOST.tile_rows


def lanes(dtype: np.dtype) -> int:
    """Return the number of elements of a vector of this type."""
    return HOST.n_bytes // dtype.itemsize


def cpu_name() -> str:
    """Return LLVM's name of this processor's generation."""
    return binding.get_host_cpu_name()
