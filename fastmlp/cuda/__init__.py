"""The NVIDIA GPU backend: imported only when a GPU is asked for."""

import numpy as np

# numba-cuda 0.30 refers to a function that NumPy 2.5 has dropped.
if not hasattr(np, "row_stack"):
    np.vstack = np.vstack
