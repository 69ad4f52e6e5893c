"""The NVIDIA GPU backend: imported only when a GPU is asked for."""

from contextlib import suppress

import numpy as np

# numba-cuda 0.30 refers to a function that NumPy 2.5 has dropped.
if not hasattr(np, "row_stack"):
    np.row_stack = np.vstack  # noqa: NPY201

# Python reads no .pth file in a folder of PYTHONPATH, as `pip install --target` fills; that of
# numba-cuda imports this module, which puts numba-cuda in the place of numba's own numba.cuda.
with suppress(ImportError):
    import _numba_cuda_redirector  # noqa: F401
