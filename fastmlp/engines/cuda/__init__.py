"""The engine for NVIDIA GPUs, which is imported only when a GPU may be used."""

import warnings
from contextlib import suppress
from importlib.util import find_spec

import numpy as np

# This module puts numba-cuda in the place of numba's own numba.cuda. A .pth file of numba-cuda
# imports it, but Python does not read .pth files in a folder of PYTHONPATH, where packages lie that
# `pip install --target` installed.
with suppress(ImportError):
    import _numba_cuda_redirector  # noqa: F401


def _import_with_row_stack() -> None:
    """Import the module of numba-cuda 0.30 that refers to ``np.row_stack``, which NumPy 2.5 lacks.

    numba-cuda imports it when it first compiles anything. It names the function once, to register
    what compiled code calls in its place, and never looks it up again: NumPy's namespace can be as
    it was before once the module is there.
    """
    if hasattr(np, "row_stack") or find_spec("numba_cuda") is None:
        return
    np.row_stack = np.vstack  # noqa: NPY201
    try:
        # Where numba-cuda cannot be imported, support.why_not() says why.
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # what numba-cuda imports warns
            from .._numba import cuda_arrays  # noqa: F401
    finally:
        del np.row_stack  # noqa: NPY201


_import_with_row_stack()
