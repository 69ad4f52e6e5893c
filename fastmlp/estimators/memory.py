"""Whether a network fits into memory at all, asked before any of it is allocated."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..exceptions import InputError
from ..network.weights import n_parameters

# A fit on the CPU has at least the initial weights, a copy of them for the engine, and the engine's
# own weights in two layouts. A fit on a GPU has the first two on the host.
_COPIES_CPU, _COPIES_GPU = 4, 2
# So many bytes are always there; to read files takes longer than some epochs of a small network.
_LITTLE = 2**20
# Files with the limit of memory of a container, of the two versions of Linux's control groups.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def check(layer_units: Sequence[int], dtype: np.dtype, device: str) -> None:
    """Raise InputError where the copies of the weights that each fit has exceed all memory.

    Parameters
    ----------
    layer_units : sequence of int
        Units of every layer, from the input features to the outputs.
    dtype : numpy.dtype
        Type of the weights.
    device : {'cpu', 'cuda', 'auto'}
    """
    needed = n_parameters(layer_units) * np.dtype(dtype).itemsize
    copies = _COPIES_CPU if device == "cpu" else _COPIES_GPU
    if needed * copies <= _LITTLE:
        return
    available = total()
    if available is not None and needed * copies > available:
        raise InputError(
            f"the weights of a network of {_listed(layer_units)} units need {_size(needed)} of "
            f"memory, of which training has at least {copies} copies, and there is "
            f"{_size(available)}; choose a smaller hidden_layer_sizes"
        )


def total() -> int | None:
    """Return the bytes that this process can have at most, or None where nobody says so."""
    found = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no such function
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            found.append(int(path.read_text()))
    with suppress(ImportError):  # on Windows
        import resource

        found.append(resource.getrlimit(resource.RLIMIT_AS)[0])  # -1 is no limit
    return min((n_bytes for n_bytes in found if n_bytes > 0), default=None)


def _listed(layer_units: Sequence[int]) -> str:
    """Write the units of each layer, without the digits of numbers that nobody can read."""
    shown = [str(units) if units < 10**15 else "more than 10**15" for units in layer_units[:8]]
    return "-".join([*shown, "..."] if len(layer_units) > len(shown) else shown)


def _size(n_bytes: int) -> str:
    """Write a size; the number may be too large for a float."""
    gibibytes = n_bytes // 2**30
    if gibibytes >= 10**9:
        return "more than a billion GiB"
    return f"{gibibytes:,} GiB" if gibibytes >= 10 else f"{n_bytes / 2**30:.2g} GiB"
