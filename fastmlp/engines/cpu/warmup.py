"""Loading of all kernels ahead of the first fit, and compilation of those that are missing."""

from collections.abc import Callable

from . import library
from .catalogue import DTYPES, names_of

# What the kernels are for, by the first part of their names; the others are for steps.
_PARTS = {
    "activate": "hidden layers",
    "activate_and_keep": "hidden layers",
    "multiply_by_derivative": "hidden layers",
    "activate_output": "losses",
    "losses_and_deltas": "losses",
    "row_losses": "losses",
    "update": "optimisers",
}
_STEPS = "steps"


def warmup(report: Callable[[int, int, str], object] | None = None) -> None:
    """Load all kernels for float32 and float64, and compile those that no file has.

    Later fits, in this process and in others that share the cache folder, compile nothing. Where
    the installed package has the code for this processor, there is nothing to compile.

    Parameters
    ----------
    report : callable, optional
        It is called as ``report(done, total, what)`` before each piece of work and, with
        ``done == total``, at the end.
    """
    work = [(dtype, part) for dtype in DTYPES for part in (_STEPS, *dict.fromkeys(_PARTS.values()))]
    for done, (dtype, part) in enumerate(work):
        if report is not None:
            report(done, len(work), f"{dtype.name} {part}")
        for name in names_of(dtype):
            if _PARTS.get(name.partition(".")[0], _STEPS) == part:
                library.address(name, dtype)
    if report is not None:
        report(len(work), len(work), "done")
